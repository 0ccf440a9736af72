"""The dictionary finds what it says it finds, and does not tell the key."""

from __future__ import annotations

import hashlib
import os
import subprocess
from functools import cache

import pytest

from hil.auth import tokens, weak_keys
from hil.virtual.interpreter import find_micropython

CONTEXT = {"the user name": "gretel", "the host": "porch.local"}
UNIQUE_ID = bytes.fromhex("1f0033000651333037343234")


@cache
def candidates() -> list[weak_keys.Candidate]:
    return list(weak_keys.candidates(CONTEXT, {"the unique id": UNIQUE_ID}))


def found(key: bytes, alg: str = "HS256") -> str | None:
    return weak_keys.find(tokens.mint({"sub": "x"}, key, alg=alg), candidates())


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (b"", "the empty key, or zeros"),
        (bytes(32), "the empty key, or zeros"),
        (b"\xff" * 32, "32 equal bytes"),
        (bytes(range(32)), "bytes that count up"),
        (b"secret", "entry "),
        (b"your-256-bit-secret", "entry "),
        (b"gretel", "the user name"),
        (b"Gretel2024", "the user name, with an ending"),
        (b"PORCH.LOCAL", "the host, in another spelling"),
        (b"changemechangemechangemechangeme", ", repeated"),
        (b"camera".ljust(32), ", filled up"),
        (b"camera".ljust(32, b"\0"), "entry "),
        (hashlib.sha256(b"openmv").digest(), ", hashed by sha256"),
        (hashlib.md5(b"password", usedforsecurity=False).hexdigest().encode(), ", hashed by md5"),
        (b"4711", "a number of up to four digits"),
        (b"0007", "four digits"),
        (UNIQUE_ID, "the unique id"),
        ((UNIQUE_ID * 3)[:32], "the unique id, repeated"),
        (hashlib.sha256(UNIQUE_ID).digest(), "the unique id, hashed by sha256"),
    ],
)
def test_a_guessable_key_is_found(key: bytes, told: str) -> None:
    where = found(key)
    assert where is not None
    assert told in where
    if len(key) > 4:
        assert key.decode("latin-1").lower() not in where.lower()


@pytest.mark.parametrize("alg", ["HS384", "HS512"])
def test_other_hashes_are_tried_too(alg: str) -> None:
    assert found(b"secret", alg) is not None


def test_a_random_key_is_not_found_in_tens_of_thousands() -> None:
    assert found(os.urandom(32)) is None
    assert len({key for _, key in candidates()}) > 30_000


def test_an_entry_is_a_line_of_the_list() -> None:
    entries = weak_keys.published()
    assert 150 <= len(entries) == len(set(entries))
    assert not [entry for entry in entries if entry != entry.strip() or entry.startswith("# ")]
    where = found(entries[41].encode())
    assert where == "entry 42 of weak_keys.txt"


def test_no_candidate_is_shown() -> None:
    assert "secret: 6 chars" in repr(weak_keys.published()[0])


@pytest.mark.parametrize("bits", [8, 32])
@pytest.mark.parametrize("seed", [0, 42])
def test_a_key_of_micropythons_random_is_found(seed: int, bits: int) -> None:
    program = (
        f"import random; random.seed({seed})\n"
        f"print(b''.join(random.getrandbits({bits}).to_bytes({bits // 8}, 'little')"
        f" for _ in range({32 * 8 // bits})).hex())"
    )
    printed = subprocess.run(
        [*find_micropython(), "-c", program], capture_output=True, text=True, check=True
    )
    assert found(bytes.fromhex(printed.stdout)) == "MicroPython's random with a known seed"


def test_a_token_without_an_hmac_is_told() -> None:
    with pytest.raises(ValueError, match="HMAC"):
        weak_keys.find(tokens.mint({}, b"", alg="none"), weak_keys.candidates({}, {}))
