"""JSON Web Tokens by HS256 (RFC 7519, RFC 7515, RFC 7518 §3.2): one algorithm, one spelling.

The algorithm is this module's, never the token's (RFC 8725 §3.1): the header is only allowed to
agree. What a token says about keys (kid, jku, jwk, x5c …) is not looked at (RFC 8725 §3.10).
"""

from json import dumps

from auth.base64 import url_decode, url_encode
from auth.mac import equal, hmac
from web import strictjson

_HEADER = url_encode(b'{"alg":"HS256","typ":"JWT"}')
_DEPTH = 4  # levels of nesting; what we issue has one


class Invalid(Exception):
    """The token is not one of ours. Why is for nobody outside to know."""


def encode(claims, key):
    """A signed token, as str. ``claims``: a dict that JSON can hold."""
    signed = _HEADER + b"." + url_encode(dumps(claims).encode())
    return (signed + b"." + url_encode(hmac(key, signed))).decode()


def decode(token, key):
    """The claims of a token whose form and signature are right; ``Invalid`` otherwise.

    Numbers with a fraction or an exponent come back rounded up to whole seconds: for a clock of
    whole seconds ``now >= exp`` and ``now >= ceil(exp)`` are the same, and a board's 32-bit float
    could not hold a date of this century to better than two minutes.
    """
    try:
        return _decode(token.encode(), key)
    except (ValueError, UnicodeError):
        raise Invalid


def _decode(token, key):
    segments = token.split(b".")
    if len(segments) != 3:  # RFC 7515 §7.1; five would be a JWE
        raise Invalid
    header = strictjson.parse(url_decode(segments[0]), _DEPTH, whole)
    # RFC 7515 §5.2: an object, or invalid. §4.1.1: "alg" MUST be present.
    if not isinstance(header, dict) or header.get("alg") != "HS256":
        raise Invalid
    # RFC 7515 §4.1.11: an extension that is not understood MUST be refused, and none is; RFC 7797
    # asks for "crit" beside "b64", but a token without it is no more readable.
    if "crit" in header or "b64" in header:
        raise Invalid
    kind = header.get("typ", "JWT")  # RFC 8725 §3.11: at+jwt and others are for someone else
    if not isinstance(kind, str) or kind.upper() != "JWT":
        raise Invalid
    signed = token[: len(segments[0]) + 1 + len(segments[1])]
    if not equal(hmac(key, signed), url_decode(segments[2])):
        raise Invalid
    claims = strictjson.parse(url_decode(segments[1]), _DEPTH, whole)
    if not isinstance(claims, dict):  # RFC 7519 §7.2, step 10
        raise Invalid
    return claims


def whole(literal):
    """The least integer that is not below a JSON number such as ``1795364850.5`` or ``1e9``."""
    digits, _, exponent = literal.lower().partition(b"e")
    digits, _, fraction = digits.partition(b".")
    shift = int(exponent or b"0") - len(fraction)
    if not -80 < shift < 40:
        raise ValueError("out of any calendar")
    number = int(digits + fraction)
    return number * 10**shift if shift >= 0 else -(-number // 10**-shift)
