"""The camera's JWT code in a real MicroPython: forms, claims, and PyJWT as the other opinion."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from firmware_process import Worker, run, worker
from hypothesis import given
from hypothesis import strategies as st

KEY = bytes(range(32))
NOW = 1795364850  # the worker's clock stands still at this second

SETUP = f"""
import clock, settings
from auth import tokens
clock.unix = lambda: {NOW}
settings.get = lambda name: "owner"
tokens._key = {KEY!r}
def call(token):
    return tokens.verify(token.decode())
"""


@pytest.fixture(scope="module")
def verify(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with worker(SETUP, tmp_path_factory.mktemp("tokens")) as process:
        yield process


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def sign(header: bytes, payload: bytes, key: bytes = KEY, digest: str = "sha256") -> bytes:
    signed = b64(header) + b"." + b64(payload)
    return signed + b"." + b64(hmac.new(key, signed, digest).digest())


def claims(**changes: Any) -> bytes:
    return json.dumps({"sub": "owner", "exp": NOW + 60, **changes}).encode()


HEADER = b'{"alg":"HS256","typ":"JWT"}'
GOOD = sign(HEADER, claims())
H, P, S = GOOD.split(b".")
REFUSED, ACCEPTED = {"ok": None}, {"ok": "owner"}
NO_USERS: list[Any] = [5, ["owner"], {}, None, "", "mallory", "Owner", "owner\r\n"]
NO_DATES: list[Any] = [
    None,
    "1795364910",
    [],
    {},
    True,
    0,
    -1,
    NOW,
    NOW - 1,
    NOW + 3661,
    10**30,
    NOW - 0.5,
    946684800,
]


def test_the_sound_token_is_accepted(verify: Worker) -> None:
    assert verify(GOOD) == ACCEPTED
    assert verify(jwt.encode({"sub": "owner", "exp": NOW + 60}, KEY).encode()) == ACCEPTED


@pytest.mark.parametrize(
    "token",
    [
        b"", b".", b"..", b"...", H, H + b"." + P, H + b"." + P + b".", GOOD + b".", b"." + GOOD,
        GOOD + b".a", GOOD + b".a.b", H + b".." + S, b"." + P + b"." + S, P + b"." + H + b"." + S,
        GOOD[:-1], GOOD[:-2], GOOD[:-3], GOOD[:-4], GOOD + b"A", GOOD + b"=", GOOD + b"==",
        GOOD + b"=junk", GOOD + b" ", b" " + GOOD, GOOD + b"\n", GOOD[:-5] + b"!" + GOOD[-5:],
        GOOD[:-5] + b" " + GOOD[-5:], GOOD[:-5] + "é".encode() + GOOD[-5:], b"e!" + GOOD[1:],
        H + b"." + P + b"." + b64(bytes(32)), H + b"." + P + b".AA",
        H + b"." + P + b"." + b64(hmac.digest(KEY, H + b"." + P, "sha256")[:16]),
        H + b"." + P + b"." + b64(hmac.digest(KEY, H + b"." + P, "sha256") + b"\0"),
        H + b"." + b64(claims(sub="owner", exp=NOW + 61)) + b"." + S,
        b'{"payload":"x","signatures":[]}', b"null", b"undefined", b"' OR 1=1--",
    ],
)  # fmt: skip
def test_forms_that_are_not_a_token(verify: Worker, token: bytes) -> None:
    assert verify(token) == REFUSED


def test_only_one_spelling_of_the_last_character(verify: Worker) -> None:
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/="
    accepted = [last for last in alphabet if verify(GOOD[:-1] + bytes([last])) == ACCEPTED]
    assert accepted == [GOOD[-1]]


def test_the_standard_alphabet_is_not_the_urls(verify: Worker) -> None:
    for i in range(200):
        token = sign(HEADER, claims(jti=i))
        if token != (other := token.replace(b"-", b"+").replace(b"_", b"/")):
            assert verify(token) == ACCEPTED
            assert verify(other) == REFUSED


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none"}', b'{"alg":"None"}', b'{"alg":"HS384"}', b'{"alg":"RS256"}', b'{"alg":""}',
        b'{"alg":null}', b'{"alg":[]}', b'{"alg":true}', b'{"alg":"hs256"}', b'{"alg":"HS256 "}',
        b"{}", b'{"typ":"JWT"}', b"[]", b"5", b"null", b'"x"', b"true", b"", b"{", b"\xff",
        b'\xef\xbb\xbf{"alg":"HS256"}', b'{"alg":"HS256"}x', b'{"alg":"HS256",}',
        b'{"alg" "HS256"}', b'{"alg":"HS256","alg":"none"}', b'{"alg":"none","alg":"HS256"}',
        b'{"alg":"HS256","crit":["x"],"x":1}', b'{"alg":"HS256","b64":false,"crit":["b64"]}',
        b'{"alg":"HS256","b64":false}', b'{"alg":"HS256","typ":"at+jwt"}',
        b'{"alg":"HS256","typ":"refresh+jwt"}', b'{"alg":"HS256","typ":5}',
        b'{"alg":"HS256","x":' + b"[" * 700 + b"]" * 700 + b"}",
    ],
)  # fmt: skip
def test_headers_that_are_refused_under_the_right_key(verify: Worker, header: bytes) -> None:
    assert verify(sign(header, claims())) == REFUSED


@pytest.mark.parametrize(
    "header", [b'{"alg":"HS256"}', b'{"typ":"jwt","alg":"HS256"}', b' {"alg":"HS256","kid":5} ']
)
def test_headers_that_are_accepted(verify: Worker, header: bytes) -> None:
    assert verify(sign(header, claims())) == ACCEPTED


def test_other_keys_and_other_hashes(verify: Worker) -> None:
    for key in b"", b"1", KEY[:-1], KEY + b"\1", b"your-256-bit-secret", bytes(32):
        assert verify(sign(HEADER, claims(), key)) == REFUSED
    for digest in "sha384", "sha512", "sha1":
        assert verify(sign(HEADER, claims(), digest=digest)) == REFUSED


@pytest.mark.parametrize(
    "payload",
    [
        b"[]", b"5", b'"exp"', b"null", b"", b'{"user":"owner"}',
        b'{"exp":1795364910}', b'{"sub":"owner"}',
        *(claims(sub=sub) for sub in NO_USERS),
        *(claims(exp=exp) for exp in NO_DATES),
        claims(exp=0).replace(b": 0", b": 1e400"), claims(exp=0).replace(b": 0", b": NaN"),
        claims(exp=0).replace(b": 0", b": Infinity"), claims(exp=0).replace(b": 0", b": 1e-400"),
        *(claims(nbf=nbf) for nbf in (NOW + 1, NOW + 0.5, "0", None, True)),
        *(claims(iat=iat) for iat in (NOW + 6, "0", None)),
        claims(aud="other"), claims(aud=["a"]), claims(iss="someone"), claims(gen="x"),
        claims(gen=5),
        claims()[:-1] + b', "sub": "mallory"}', b'{"sub":"mallory",' + claims()[1:],
        claims().replace(b",", b" "), claims() + b"\0", b"\xef\xbb\xbf" + claims(),
        b'{"user":"owner","_flashes":[]}',
    ],
)  # fmt: skip
def test_claims_that_are_refused_under_the_right_key(verify: Worker, payload: bytes) -> None:
    assert verify(sign(HEADER, payload)) == REFUSED


@pytest.mark.parametrize(
    "changes",
    [{"exp": NOW + 1}, {"exp": NOW + 0.5}, {"exp": NOW + 3600}, {"nbf": NOW}, {"nbf": NOW - 0.5},
     {"iat": NOW + 5}, {"jti": "x", "other": {"a": [1]}}],
)  # fmt: skip
def test_claims_that_are_accepted(verify: Worker, changes: dict[str, Any]) -> None:
    assert verify(sign(HEADER, claims(**changes))) == ACCEPTED


@given(token=st.binary(max_size=120))
def test_no_bytes_crash_it(verify: Worker, token: bytes) -> None:
    assert verify(token) in (REFUSED, {"refused": True})  # the latter: not even UTF-8


@given(
    segment=st.sampled_from([0, 1, 2]), at=st.integers(0, 10**6), byte=st.integers(0x21, 0x7E),
    kind=st.sampled_from(["replace", "insert", "delete"]),
)  # fmt: skip
def test_no_single_change_is_accepted(
    verify: Worker, segment: int, at: int, byte: int, kind: str
) -> None:
    segments = GOOD.split(b".")
    text = segments[segment]
    at %= len(text)
    middle = b"" if kind == "delete" else bytes([byte])
    segments[segment] = text[:at] + middle + text[at + (kind != "insert") :]
    changed = b".".join(segments)
    assert verify(changed) == (ACCEPTED if changed == GOOD else REFUSED)


@given(exp=st.floats(NOW - 2, NOW + 2) | st.integers(NOW - 2, NOW + 2))
def test_expiry_agrees_with_exact_arithmetic(verify: Worker, exp: float) -> None:
    assert (verify(sign(HEADER, claims(exp=exp))) == ACCEPTED) == (exp > NOW)


@pytest.mark.parametrize("epoch", [1970, 2000])
def test_boards_of_both_epochs_issue_unix_time(tmp_path: Path, epoch: int) -> None:
    """A board of epoch 2000 has a ``time`` that counts from there, and an RTC that takes UTC."""
    (tmp_path / "secret.bin").write_bytes(KEY)
    offset = 946684800 if epoch == 2000 else 0
    token = run(
        f"""
import sys, time as host
class Time:
    ticks_ms, ticks_diff, ticks_add = host.ticks_ms, host.ticks_diff, host.ticks_add
    def time(): return int(host.time()) - {offset}
    def gmtime(seconds): return host.gmtime(seconds + {offset})
sys.modules["time"] = Time
class Machine:
    class RTC:
        def datetime(self, value): Machine.set = value
sys.modules["machine"] = Machine
import clock
from auth import tokens
clock.set_rtc(1795364850)  # 2026-11-22 16:27:30, a Sunday
assert Machine.set == (2026, 11, 22, 7, 16, 27, 30, 0), Machine.set
tokens.start()
token = tokens.issue("owner")
assert tokens.verify(token) == "owner"
print(token)
""",
        tmp_path,
    )
    read = jwt.decode(token.split()[-1], KEY, algorithms=["HS256"])
    assert abs(read["exp"] - time.time() - 3600) < 5


def test_pbkdf2_is_hashlibs(tmp_path: Path) -> None:
    cases = [(b"", b"saltsalt", 1), (b"pw", b"0123456789abcdef", 250), (b"x" * 99, b"salty" * 9, 3)]
    printed = run(
        f"""
import asyncio
from binascii import hexlify
from auth.passwords import pbkdf2
for case in {cases!r}:
    print(hexlify(asyncio.run(pbkdf2(*case))).decode())
""",
        tmp_path,
    )
    assert printed.split() == [hashlib.pbkdf2_hmac("sha256", *case).hex() for case in cases]
