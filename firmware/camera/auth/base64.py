"""Base64 as the RFCs write it, and nothing near it.

binascii skips foreign characters and ignores the unused last bits, so that one token would have
many spellings. What is decoded here is encoded again and must come out as it went in: that refuses
foreign characters (RFC 4648 §3.3), unused bits that are not zero (§3.5), and wrong padding at once.
"""

from binascii import a2b_base64, b2a_base64


def url_encode(data):
    """base64url without padding (RFC 7515 §2), as bytes."""
    text = b2a_base64(data)[:-1].rstrip(b"=")
    return text.replace(b"+", b"-").replace(b"/", b"_")


def url_decode(text):
    """Bytes of a base64url text without padding. ValueError for any other spelling."""
    data = a2b_base64(text.replace(b"-", b"+").replace(b"_", b"/") + b"=" * (-len(text) % 4))
    if url_encode(data) != text:
        raise ValueError("not canonical base64url")
    return data


def decode(text):
    """Bytes of a base64 text with padding (RFC 4648 §4). ValueError for any other spelling."""
    data = a2b_base64(text)
    if b2a_base64(data)[:-1] != text:
        raise ValueError("not canonical base64")
    return data
