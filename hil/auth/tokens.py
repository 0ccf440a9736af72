"""JSON Web Tokens (RFC 7519) in compact form: read without verifying, signed as wished, verified.

Minting is our own few lines: a library refuses to sign what most checks need (an empty key, ``exp``
as a text, ``alg: none``). Verifying is PyJWT's: strict, and written by somebody else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ..secrets import SecretStr

_HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
_ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
_SEGMENT = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


@dataclass(frozen=True)
class Decoded:
    """:ivar header: the JOSE header, e.g. ``{"alg": "HS256", "typ": "JWT"}``
    :ivar claims: the payload
    """

    header: dict[str, Any]
    claims: dict[str, Any]


def encode_segment(data: bytes) -> str:
    """base64url without padding (RFC 7515 section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_segment(segment: str) -> bytes:
    """:raises ValueError: not base64url without padding, or with bits left over"""
    if not _SEGMENT.fullmatch(segment) or len(segment) % 4 == 1:
        raise ValueError("a segment is not base64url")
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error:
        raise ValueError("a segment is not base64url") from None
    if encode_segment(data) != segment:
        raise ValueError("a segment has bits left over")
    return data


def decode(token: str) -> Decoded:
    """Header and claims, unverified.

    :raises ValueError: not three base64url segments, of which the first two are JSON objects
    """
    segments = token.split(".")
    if len(segments) != 3:
        raise ValueError(f"a token has three segments, this has {len(segments)}")
    header, claims, _ = (decode_segment(segment) for segment in segments)
    parts = []
    for name, data in (("header", header), ("payload", claims)):
        try:
            part = json.loads(data)
        except ValueError:  # says nothing of the content
            raise ValueError(f"the token's {name} is not JSON") from None
        if not isinstance(part, dict):
            raise ValueError(f"the token's {name} is no JSON object")
        parts.append(part)
    return Decoded(*parts)


def mint(
    claims: Mapping[str, Any] | bytes,
    key: bytes,
    *,
    header: Mapping[str, Any] | None = None,
    alg: str = "HS256",
) -> SecretStr:
    """Sign a token.

    :param claims: a payload, or its bytes as they shall stand in the token
    :param key: the HMAC key; may be empty
    :param header: laid over ``{"alg": alg, "typ": "JWT"}``; a value None leaves the field out
    :param alg: HS256, HS384, HS512; anything else, such as ``none``, gets an empty signature
    """
    fields = {"alg": alg, "typ": "JWT", **(header or {})}
    fields = {name: value for name, value in fields.items() if value is not None}
    payload = claims if isinstance(claims, bytes) else json_bytes(claims)
    return sign(f"{encode_segment(json_bytes(fields))}.{encode_segment(payload)}", key, alg)


def sign(signed: str, key: bytes, alg: str = "HS256") -> SecretStr:
    """A token of header and payload as they stand, whatever stands there.

    :param signed: what the signature covers: the first two segments and the dot between them
    :param alg: as for :func:`mint`; the header's is not looked at
    """
    return SecretStr(f"{signed}.{encode_segment(mac(signed, key, alg))}")


def mac(signed: str, key: bytes, alg: str = "HS256") -> bytes:
    """The signature's bytes; none for an algorithm that is no HMAC."""
    digest = _HASHES.get(alg)
    return hmac.digest(key, signed.encode(), digest) if digest else b""


def json_bytes(value: object) -> bytes:
    """As it stands in a segment.

    Python writes NaN and Infinity, which no JSON has: some checks are about them.
    """
    return json.dumps(value, separators=(",", ":")).encode()


def segments(token: str) -> tuple[SecretStr, SecretStr, SecretStr]:
    """Header, payload and signature as they stand.

    :raises ValueError: not three segments
    """
    found = tuple(SecretStr(segment) for segment in token.split("."))
    if len(found) != 3:
        raise ValueError(f"a token has three segments, this has {len(found)}")
    return found


def respelled(segment: str) -> list[SecretStr]:
    """The other spellings of the same bytes, which differ in the last character's unused bits.

    32 bytes have three, 48 none, 64 fifteen (RFC 4648 section 3.5).
    """
    unused = {2: 4, 3: 2}.get(len(segment) % 4, 0)
    first = _ALPHABET.index(segment[-1]) if unused else 0
    return [SecretStr(segment[:-1] + _ALPHABET[first ^ bits]) for bits in range(1, 1 << unused)]


def forge(token: str) -> SecretStr:
    """The same token with one bit of its signature flipped."""
    signed, _, segment = token.rpartition(".")
    signature = bytearray(decode_segment(segment))
    signature[0] ^= 0x01
    return SecretStr(f"{signed}.{encode_segment(bytes(signature))}")


def verify(token: str, key: bytes, algorithms: Collection[str]) -> dict[str, Any]:
    """The claims, when a strict verifier accepts the token on the host's clock.

    :raises ValueError: it does not; the message says why
    """
    import jwt

    try:
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=list(algorithms))
    except jwt.exceptions.PyJWTError as error:
        raise ValueError(f"PyJWT: {type(error).__name__}: {error}") from None
    return claims
