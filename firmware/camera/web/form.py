"""Forms (``application/x-www-form-urlencoded``), as strictly as heads and JSON are read."""

from web.media import media_type
from web.strictjson import check_utf8

_HEX = b"0123456789abcdefABCDEF"
_MOST = 16  # fields


def form(request):
    """The fields of an ``application/x-www-form-urlencoded`` body; None where it is no such."""
    if media_type(request) != "application/x-www-form-urlencoded":
        return None
    try:
        return fields(request.body)
    except ValueError:
        return None


def fields(data):
    """Names and values of a form in bytes. ``ValueError`` for an escape that is none, for what is
    not UTF-8, and for a name that is there twice (RFC 6749 §3.1)."""
    found = {}
    for pair in data.split(b"&", _MOST):
        name, _, value = pair.partition(b"=")
        name = _decoded(name)
        if name in found or len(found) == _MOST:
            raise ValueError("twice, or too many")
        found[name] = _decoded(value)
    return found


def _decoded(text):
    parts = text.replace(b"+", b" ").split(b"%")
    result = bytearray(parts[0])
    for part in parts[1:]:
        if len(part) < 2 or part[0] not in _HEX or part[1] not in _HEX:
            raise ValueError("bad escape")
        result.append(int(part[:2], 16))
        result += part[2:]
    check_utf8(result)
    return bytes(result).decode()
