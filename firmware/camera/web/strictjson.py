"""JSON as RFC 8259 writes it. MicroPython's ``json`` takes more than that: missing and surplus
commas, ``01``, ``1.``, lone surrogates, invalid UTF-8; and it recurses as deep as the text does.

On a request's body and on a token, lenience is a fault: two readers of one text must not disagree.
"""

_SPACE = b" \t\n\r"
_ESCAPES = {0x22: 0x22, 0x5C: 0x5C, 0x2F: 0x2F, 0x62: 8, 0x66: 12, 0x6E: 10, 0x72: 13, 0x74: 9}
_WORDS = ((b"true", True), (b"false", False), (b"null", None))
_LONGEST_NUMBER = 64  # characters; int() of thousands of digits takes a board seconds


def parse(data, depth=8, fraction=float):
    """The value of a JSON text in bytes; ``ValueError`` when it is not one.

    Names in an object must be unique (RFC 8259 §4 leaves it open, RFC 7519 §4 allows refusing).

    :param depth: levels of arrays and objects that are allowed
    :param fraction: makes a value of a number that is not an integer, from its characters
    """
    text = _Text(data, fraction)
    text.skip_space()
    value = text.value(depth)
    text.skip_space()
    if text.at != len(data):
        raise ValueError("something follows")
    return value


class _Text:
    def __init__(self, data, fraction):
        self.data = data
        self.at = 0
        self.fraction = fraction

    def peek(self):
        """The next byte, or 0 (in JSON never part of a text) at the end."""
        return self.data[self.at] if self.at < len(self.data) else 0

    def skip_space(self):
        while self.at < len(self.data) and self.data[self.at] in _SPACE:
            self.at += 1

    def take(self, byte):
        """Whether ``byte`` comes next, spaces aside; it is then passed."""
        self.skip_space()
        if self.peek() != byte:
            return False
        self.at += 1
        self.skip_space()
        return True

    def value(self, depth):
        byte = self.peek()
        if byte == 0x22:
            return self.string()
        if byte == 0x7B or byte == 0x5B:
            if depth == 0:
                raise ValueError("nested too deep")
            return self.object(depth - 1) if byte == 0x7B else self.array(depth - 1)
        if byte == 0x2D or 0x30 <= byte <= 0x39:
            return self.number()
        for word, value in _WORDS:
            if self.data[self.at : self.at + len(word)] == word:
                self.at += len(word)
                return value
        raise ValueError("no value")

    def object(self, depth):
        members = {}
        self.take(0x7B)
        if self.take(0x7D):
            return members
        while True:
            if self.peek() != 0x22:
                raise ValueError("no name")
            name = self.string()
            if name in members or not self.take(0x3A):
                raise ValueError("name twice, or no colon")
            members[name] = self.value(depth)
            if self.take(0x7D):
                return members
            if not self.take(0x2C):
                raise ValueError("no comma")

    def array(self, depth):
        items = []
        self.take(0x5B)
        if self.take(0x5D):
            return items
        while True:
            items.append(self.value(depth))
            if self.take(0x5D):
                return items
            if not self.take(0x2C):
                raise ValueError("no comma")

    def digits(self):
        start = self.at
        while 0x30 <= self.peek() <= 0x39:
            self.at += 1
        if self.at == start:
            raise ValueError("no digit")

    def number(self):
        start = self.at
        if self.peek() == 0x2D:
            self.at += 1
        if self.peek() == 0x30:
            self.at += 1  # a leading zero stands alone
        else:
            self.digits()
        integer = True
        if self.peek() == 0x2E:
            integer = False
            self.at += 1
            self.digits()
        if self.peek() in b"eE":
            integer = False
            self.at += 1
            if self.peek() in b"+-":
                self.at += 1
            self.digits()
        literal = self.data[start : self.at]
        if len(literal) > _LONGEST_NUMBER:
            raise ValueError("number too long")
        return int(literal) if integer else self.fraction(literal)

    def string(self):
        self.at += 1
        start = self.at
        plain = True  # ASCII without escapes: the usual case needs no second look
        while True:
            byte = self.peek()
            if byte == 0x22:
                break
            if byte < 0x20:
                raise ValueError("control character, or no end")
            if byte == 0x5C:
                plain = False
                self.at += 1
            elif byte >= 0x80:
                plain = False
            self.at += 1
        raw = self.data[start : self.at]
        self.at += 1
        if plain:
            return raw.decode()
        check_utf8(raw)
        return _unescaped(raw).decode() if b"\\" in raw else raw.decode()


def _unescaped(raw):
    parts = raw.split(b"\\")
    result = bytearray(parts[0])
    i = 1
    while i < len(parts):
        part = parts[i]
        i += 1
        if not part:  # an escaped backslash: split has cut on both sides of the second one
            if i == len(parts):
                raise ValueError("half an escape")
            result += b"\\" + parts[i]
            i += 1
        elif part[0] == 0x75:
            code = _hex4(part)
            if 0xD800 <= code < 0xDC00 and part[5:] == b"" and parts[i : i + 1]:
                part = parts[i]
                i += 1
                low = _hex4(part) if part[:1] == b"u" else 0
                if not 0xDC00 <= low < 0xE000:
                    raise ValueError("half a surrogate pair")
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
            if 0xD800 <= code < 0xE000:
                raise ValueError("half a surrogate pair")
            result += chr(code).encode() + part[5:]
        elif part[0] in _ESCAPES:
            result.append(_ESCAPES[part[0]])
            result += part[1:]
        else:
            raise ValueError("unknown escape")
    return bytes(result)


def _hex4(part):
    digits = part[1:5]
    if len(digits) != 4:
        raise ValueError("short escape")
    for digit in digits:
        if digit not in b"0123456789abcdefABCDEF":
            raise ValueError("bad escape")
    return int(digits, 16)


def check_utf8(data):
    """``ValueError`` when the bytes are not UTF-8 (RFC 3629 §4): MicroPython's ``decode`` lets
    overlong forms, surrogates and code points above U+10FFFF through."""
    at = 0
    while at < len(data):
        byte = data[at]
        at += 1
        if byte < 0x80:
            continue
        low, high = 0x80, 0xBF  # what the second byte may be
        if 0xC2 <= byte <= 0xDF:
            more = 1
        elif 0xE0 <= byte <= 0xEF:
            more = 2
            low = 0xA0 if byte == 0xE0 else low
            high = 0x9F if byte == 0xED else high
        elif 0xF0 <= byte <= 0xF4:
            more = 3
            low = 0x90 if byte == 0xF0 else low
            high = 0x8F if byte == 0xF4 else high
        else:
            raise ValueError("not UTF-8")
        for _ in range(more):
            if at == len(data) or not low <= data[at] <= high:
                raise ValueError("not UTF-8")
            low, high = 0x80, 0xBF
            at += 1
