"""RS256 (RFC 7518 section 3.3) with a key that is nobody's, for tokens that bring their own key.

Its primes are Mersenne's: no private key lies in the project, and everybody has this one.
"""

from __future__ import annotations

import hashlib
import math

from .tokens import encode_segment

_PRIMES = (2**521 - 1, 2**607 - 1, 2**1279 - 1)  # several primes: RFC 8017 section 3
_MODULUS = math.prod(_PRIMES)  # 2407 bits, of which RFC 7518 section 3.3 demands 2048
_EXPONENT = 65537
_LENGTH = (_MODULUS.bit_length() + 7) // 8
# DigestInfo of SHA-256 (RFC 8017 section 9.2, note 1)
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def public_jwk() -> dict[str, str]:
    """RFC 7518 section 6.3.1."""
    exponent = _EXPONENT.to_bytes(3, "big")
    modulus = _MODULUS.to_bytes(_LENGTH, "big")
    return {"kty": "RSA", "e": encode_segment(exponent), "n": encode_segment(modulus)}


def sign(message: bytes) -> bytes:
    """RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2.1)."""
    encoded = _DIGEST_INFO + hashlib.sha256(message).digest()
    padded = b"\x00\x01" + b"\xff" * (_LENGTH - len(encoded) - 3) + b"\x00" + encoded
    message_number = int.from_bytes(padded, "big")
    signature = 0
    for prime in _PRIMES:  # each on its own, put together by the Chinese remainder theorem: faster
        power = pow(message_number, pow(_EXPONENT, -1, prime - 1), prime)
        others = _MODULUS // prime
        signature += power * others * pow(others, -1, prime)
    return (signature % _MODULUS).to_bytes(_LENGTH, "big")
