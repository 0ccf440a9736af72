"""Signing keys that can be guessed, tried offline: one token is all that an attacker needs.

RFC 8725 section 3.5; what is found is told by where it comes from, never by its text. HMAC fills a
key up with zeros (RFC 2104 section 2), so that a word and the word with NULs after it are one key.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from ..secrets import SecretBytes, SecretStr
from . import tokens

Candidate = tuple[str, bytes]
"""Where it comes from, in words, and the key."""

_LIST = Path(__file__).with_name("weak_keys.txt")
_YEARS = range(2015, 2031)
_ENDINGS = (
    *(str(number) for number in (*range(10), 12, 42, 99, 123, 321, 1234, 12345, 123456, *_YEARS)),
    *("!", "?", ".", "key", "_key", "-key", "secret", "_secret", "-secret", "\n", "\r\n"),
)
_SIZES = (1, 8, 16, 20, 24, 32, 48, 64)  # bytes


@lru_cache
def published() -> tuple[SecretStr, ...]:
    """The entries of ``weak_keys.txt``."""
    lines = _LIST.read_text("utf-8").splitlines()
    return tuple(SecretStr(line) for line in lines if line not in ("", "#") and line[:2] != "# ")


def candidates(context: Mapping[str, str], numbers: Mapping[str, bytes]) -> Iterator[Candidate]:
    """Some tens of thousands of keys, the likeliest first.

    :param context: words that belong to the target, by what they are: ``{"the user name": …}``
    :param numbers: the same of what is no text: ``{"the board's unique id": …}``
    """
    yield from _made_without_words()
    words = {f"entry {number} of {_LIST.name}": word for number, word in enumerate(published(), 1)}
    words = {name: SecretStr(word) for name, word in context.items() if word} | words
    for name, word in words.items():
        yield name, SecretBytes(word.encode())
    for name, word in words.items():
        for kind, key in (*_respelled(word), *_made_of(word.encode())):
            yield f"{name}, {kind}", key
    for name, number in numbers.items():
        yield name, number
        for kind, key in _made_of(number):
            yield f"{name}, {kind}", key
    for digits in range(10_000):
        yield "a number of up to four digits", b"%d" % digits
        yield "four digits", b"%04d" % digits


def find(token: str, keys: Iterable[Candidate]) -> str | None:
    """Where the token's key comes from; None: it is none of these.

    :raises ValueError: not a token, or one that no HMAC signs
    """
    header, payload, signature = tokens.segments(token)
    alg = tokens.decode(token).header.get("alg")
    sought = SecretBytes(tokens.decode_segment(signature))
    signed = f"{header}.{payload}"
    if not isinstance(alg, str) or not tokens.mac(signed, b"", alg):
        raise ValueError("the token is not signed with an HMAC")
    for name, key in keys:
        if tokens.mac(signed, key, alg) == sought:
            return name
    return None


def _made_without_words() -> Iterator[Candidate]:
    yield "the empty key, or zeros", b""
    for size in _SIZES:
        for byte in range(1, 256):
            yield f"{size} equal bytes", bytes([byte]) * size
        yield "bytes that count up", bytes(range(size))
        yield "bytes that count up", bytes(range(1, size + 1))
    for seed in (_YASMARANG, *range(64)):
        for size in (16, 32, 64):
            yield "MicroPython's random with a known seed", _yasmarang(seed, size, 8)
            yield "MicroPython's random with a known seed", _yasmarang(seed, size, 32)


def _respelled(word: str) -> Iterator[Candidate]:
    for spelling in {word.lower(), word.upper(), word.title(), word[::-1]} - {word}:
        yield "in another spelling", spelling.encode()
    for other in {word, word.title()}:
        for ending in _ENDINGS:
            yield "with an ending", (other + ending).encode()


def _made_of(data: bytes) -> Iterator[Candidate]:
    for size in _SIZES[2:]:
        yield "repeated", (data * size)[:size]
        for filler in (b" ", b"0"):
            yield "filled up", data[:size].ljust(size, filler)
    yield "doubled", data * 2
    yield "in base64", base64.b64encode(data)
    for digest in ("md5", "sha1", "sha256", "sha512"):
        made = hashlib.new(digest, data, usedforsecurity=False)
        yield f"hashed by {digest}", made.digest()
        yield f"hashed by {digest}", made.hexdigest().encode()


_YASMARANG = 0xEDA4BABA


def _yasmarang(seed: int, size: int, bits: int) -> bytes:
    """``size`` bytes of MicroPython's ``random.getrandbits(bits)`` after ``random.seed(seed)``.

    Its generator starts from this seed by itself on ports that do not seed it otherwise
    (extmod/modrandom.c).
    """
    pad, n, d, dat = seed, 69, 233, 0
    made = bytearray()
    while len(made) < size:
        pad = (pad + dat + d * n) & 0xFFFFFFFF
        pad = ((pad << 3) + (pad >> 29)) & 0xFFFFFFFF
        n = pad | 2
        d = (d ^ ((pad << 31) + (pad >> 1))) & 0xFFFFFFFF
        dat = (dat ^ (pad & 0xFF) ^ (d >> 8) ^ 1) & 0xFF
        value = (pad ^ (d << 5) ^ (pad >> 18) ^ (dat << 1)) & 0xFFFFFFFF
        made += (value & ((1 << bits) - 1)).to_bytes(bits // 8, "little")
    return bytes(made[:size])
