"""Public keys that a target shows, as key confusion uses them: their text taken for an HMAC key.

RFC 8725 section 2.1: a verifier that takes the algorithm from the token's header computes an HMAC
with whatever bytes it holds as its RSA key, which are public. Which bytes those are (PEM with or
without its last line end, DER, the JWK's text) is the verifier's affair: all are tried.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from .tokens import decode_segment, json_bytes

PLACES = (
    "/.well-known/jwks.json",
    "/.well-known/openid-configuration",
    "/jwks.json",
    "/jwks",
    "/certs",
    "/public.pem",
)
"""Where keys are shown: RFC 8414 section 2 and OpenID Connect Discovery, and what is usual."""

_PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----[A-Za-z0-9+/=\s]+-----END \1-----")
_RSA = bytes.fromhex("300d06092a864886f70d0101010500")  # rsaEncryption, NULL (RFC 3279 2.3.1)


def shown_in(document: bytes) -> dict[str, bytes]:
    """The keys that a document holds, PEM or JWK, in each form; empty when there is none."""
    text = document.decode("utf-8", "replace")
    found: dict[str, bytes] = {}
    for block in _PEM.finditer(text):
        with suppress(ValueError):  # looks like PEM, and is none
            found |= of_pem(block[0])
    try:
        value = json.loads(document)
    except ValueError:
        return found
    for number, jwk in enumerate(_jwks(value), 1):
        for form, key in of_jwk(jwk).items():
            found[f"key {number}, {form}"] = key
    return found


def of_pem(pem: str) -> dict[str, bytes]:
    """A certificate (its public key, too) or a public key."""
    text = pem.strip().encode()
    der = base64.b64decode("".join(pem.strip().splitlines()[1:-1]))
    found = _forms("", text, der)
    if b"CERTIFICATE" in text.partition(b"\n")[0]:
        info = _public_key_info(der)
        found |= _forms("the certificate's key, ", _pem(info), info)
    return found


def of_jwk(jwk: dict[str, Any]) -> dict[str, bytes]:
    """Its text; for RSA the key that it means; its certificate; an ``oct`` key itself."""
    found = {"JWK": json_bytes(jwk), "JWK as Python writes it": json.dumps(jwk).encode()}
    with suppress(KeyError, TypeError, ValueError, AttributeError):  # strange: its text remains
        if jwk["kty"] == "oct":
            found["the secret"] = decode_segment(jwk["k"])
        elif jwk["kty"] == "RSA":
            numbers = b"".join(_integer(decode_segment(jwk[name])) for name in ("n", "e"))
            info = _der(0x30, _RSA + _der(0x03, b"\0" + _der(0x30, numbers)))
            found |= _forms("RSA, ", _pem(info), info)
        for certificate in jwk.get("x5c", ()):
            found |= of_pem(ssl.DER_cert_to_PEM_cert(base64.b64decode(certificate)))
    return found


def _jwks(value: Any) -> Iterator[dict[str, Any]]:
    keys = value.get("keys", [value]) if isinstance(value, dict) else value
    if isinstance(keys, list):
        yield from (key for key in keys if isinstance(key, dict) and "kty" in key)


def _forms(name: str, pem: bytes, der: bytes) -> dict[str, bytes]:
    return {f"{name}PEM": pem + b"\n", f"{name}PEM without line end": pem, f"{name}DER": der}


def _pem(info: bytes) -> bytes:
    text = base64.b64encode(info).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----"]).encode()


def _public_key_info(certificate: bytes) -> bytes:
    """subjectPublicKeyInfo (RFC 5280 section 4.1). :raises ValueError: it is not DER"""
    _, start, _ = _element(certificate, 0)
    _, at, end = _element(certificate, start)
    fields = []
    while at < end:
        tag, _, after = _element(certificate, at)
        if tag != 0xA0:  # the version, which the oldest certificates lack
            fields.append(certificate[at:after])
        at = after
    if len(fields) < 6:
        raise ValueError("no certificate")
    return fields[5]  # serial number, signature, issuer, validity, subject


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, where the content begins, where it ends."""
    try:
        tag, length, start = data[at], data[at + 1], at + 2
    except IndexError:
        raise ValueError("DER ends early") from None
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(data[start : start + size], "big"), start + size
    return tag, start, start + length


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _integer(magnitude: bytes) -> bytes:
    return _der(0x02, b"\0" + magnitude if magnitude[:1] >= b"\x80" else magnitude)
