"""The head of an HTTP/1.x request, read strictly (RFC 9110, RFC 9112).

microdot reads heads leniently: of two Authorization fields the last wins, a folded line or a colon
too few ends in a traceback, ``Content-Length: abc`` too. Two readers that take one request for two
different ones are the root of request smuggling, so what is not plainly right is refused here.
"""

MAX_LINE = 2048  # bytes of one line, microdot's own limit; a token of ours has about 200
MAX_HEAD = 8192  # bytes of all lines together
MAX_FIELDS = 64
MAX_BODY = 16 * 1024  # bytes, microdot's own limit
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT")

_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Fields of which a second one would leave open which of them counts (RFC 9110 §5.3).
_ONCE = ("authorization", "content-length", "content-type", "expect", "host", "transfer-encoding")


class Refusal(Exception):
    """The request is answered with ``status`` and is read no further."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status
        self.text = text


class Head:
    """``method``, ``path`` (without query), ``minor`` version, ``fields`` by lower-case name,
    ``content_length``, ``expects_continue``."""

    def __init__(self, lines):
        self.method, target, self.minor = _request_line(lines[0])
        self.fields = _fields(lines[1:])
        self.path = _path(target)
        if self.minor > 0 and not self.fields.get("host"):
            raise Refusal(400, "Host missing")  # RFC 9112 §3.2
        self.content_length = _content_length(self.fields, self.minor)
        self.expects_continue = self.minor > 0 and _expects_continue(self.fields)


def too_long(data, ended):
    """Refuses a head whose last line, or whose sum of lines, is longer than we read.

    :param data: what has come so far
    :param ended: whether the head's end is in it
    """
    start = data.rfind(b"\n") + 1 if not ended else len(data)
    if len(data) - start > MAX_LINE or len(data) > MAX_HEAD:
        # RFC 9110 §15.5.15 for the target, RFC 6585 §5 for the fields
        raise Refusal(431 if b"\n" in data else 414, "Too long")


def split(data):
    """The lines of a head that ends in an empty line. The only line end is CRLF (RFC 9112 §2.2
    allows a bare LF to be refused, and demands it of a bare CR)."""
    lines = data[:-4].split(b"\r\n")
    for line in lines:
        if len(line) > MAX_LINE:
            raise Refusal(431 if line is not lines[0] else 414, "Too long")
        for byte in line:
            if byte < 0x20 and byte != 0x09 or byte == 0x7F:
                raise Refusal(400, "Control character")  # RFC 9110 §5.5
    return lines


def _request_line(line):
    # RFC 9112 §3: method SP request-target SP HTTP-version, single spaces
    parts = line.split(b" ")
    if len(parts) != 3 or not _is_token(parts[0]) or not parts[1]:
        raise Refusal(400, "Bad request line")
    version = parts[2]
    if len(version) != 8 or version[:7] != b"HTTP/1." or not version[7:].isdigit():
        raise Refusal(400, "Bad HTTP version")  # 505 would be right; we send no 5xx to a client
    for byte in parts[1]:
        if not 0x21 <= byte <= 0x7E:
            raise Refusal(400, "Bad target")
    return parts[0].decode(), parts[1].decode(), version[7] - 0x30


def _path(target):
    if target[0] != "/":
        # RFC 9112 §3.2.2: absolute-form MUST be accepted, and means the same
        scheme, found, rest = target.partition("://")
        if not found or scheme.lower() not in ("http", "https"):
            return "*"  # asterisk-form and authority-form: no such resource here
        target = "/" + rest.partition("/")[2]
    return target.partition("?")[0]


def _fields(lines):
    if len(lines) > MAX_FIELDS:
        raise Refusal(431, "Too many fields")
    fields = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        # A name that is no token: obs-fold (RFC 9112 §5.2), space before the colon (§5.1), no colon
        if not colon or not _is_token(name):
            raise Refusal(400, "Bad header field")
        name = name.decode().lower()
        if name in fields and name in _ONCE:
            raise Refusal(400, "Repeated " + name)
        try:
            fields[name] = value.strip(b" \t").decode()
        except UnicodeError:
            raise Refusal(400, "Bad header field")
    return fields


def _content_length(fields, minor):
    """RFC 9112 §6.3: the body's length, or a refusal: the length must be beyond doubt."""
    if "transfer-encoding" in fields:
        if "content-length" in fields or minor == 0:
            raise Refusal(400, "Two lengths")
        raise Refusal(411, "Length required")  # RFC 9112 §6.3 allows it; 501 would be a 5xx
    digits = fields.get("content-length", "0")
    if not digits or not all(c in "0123456789" for c in digits):
        raise Refusal(400, "Bad Content-Length")
    if len(digits) > 9 or int(digits) > MAX_BODY:
        raise Refusal(413, "Payload too large")
    return int(digits)


def _expects_continue(fields):
    expectation = fields.get("expect", "").lower()
    if expectation and expectation != "100-continue":
        raise Refusal(417, "Expectation failed")  # RFC 9110 §10.1.1
    return bool(expectation)


def _is_token(name):
    for byte in name:
        if byte not in _TOKEN:
            return False
    return len(name) > 0
