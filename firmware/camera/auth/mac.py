"""HMAC-SHA256 (RFC 2104) and a comparison in constant time; MicroPython has neither built in."""

from hashlib import sha256

_BLOCK = 64  # bytes, SHA-256's input block (RFC 2104 §2)


def pads(key):
    """The inner and outer padded keys, to be kept where one key signs often."""
    if len(key) > _BLOCK:
        key = sha256(key).digest()
    key = key + bytes(_BLOCK - len(key))
    return bytes(b ^ 0x36 for b in key), bytes(b ^ 0x5C for b in key)


def hmac(key, message):
    inner_pad, outer_pad = pads(key)
    inner = sha256(inner_pad)
    inner.update(message)
    outer = sha256(outer_pad)
    outer.update(inner.digest())
    return outer.digest()


def equal(a, b):
    """Whether two byte strings are the same, in a time that tells nothing about where they differ
    (RFC 7518 §3.2). The lengths are no secret: they are the algorithm's."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0
