"""Tokens, checked against PyJWT: what we mint it accepts, and what it mints we read."""

from __future__ import annotations

import base64
import json
import time

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.auth import tokens
from hil.secrets import SecretStr

KEY = bytes(range(32))


def test_a_minted_token_is_accepted_by_pyjwt() -> None:
    claims = {"sub": "owner", "exp": int(time.time()) + 600}
    minted = tokens.mint(claims, KEY)
    assert jwt.decode(minted, KEY, algorithms=["HS256"]) == claims
    assert tokens.verify(minted, KEY, ["HS256"]) == claims
    assert tokens.decode(minted) == tokens.Decoded({"alg": "HS256", "typ": "JWT"}, claims)


@pytest.mark.parametrize("alg", ["HS384", "HS512"])
def test_other_hashes_are_accepted_by_pyjwt(alg: str) -> None:
    key = KEY * 2
    assert jwt.decode(tokens.mint({"a": 1}, key, alg=alg), key, algorithms=[alg]) == {"a": 1}


def test_a_token_of_pyjwt_is_read() -> None:
    made = jwt.encode({"sub": "owner"}, KEY, headers={"kid": "1"})
    assert tokens.decode(made) == tokens.Decoded(
        {"alg": "HS256", "typ": "JWT", "kid": "1"}, {"sub": "owner"}
    )


def test_no_algorithm_has_an_empty_signature() -> None:
    assert tokens.mint({}, KEY, alg="none").endswith(".")


def test_an_empty_key_signs() -> None:
    signed = tokens.mint({"a": 1}, b"")
    with pytest.raises(ValueError, match="PyJWT"):
        tokens.verify(signed, KEY, ["HS256"])
    assert signed.rpartition(".")[2]


def test_header_fields_are_laid_over_and_left_out() -> None:
    made = tokens.mint({}, KEY, header={"typ": None, "kid": "x"})
    assert tokens.decode(made).header == {"alg": "HS256", "kid": "x"}


def test_a_payload_goes_in_as_it_is() -> None:
    made = tokens.mint(b'{"exp":1e400}', KEY)
    assert tokens.decode_segment(made.split(".")[1]) == b'{"exp":1e400}'


def test_a_forged_token_differs_in_its_signature_only_and_is_refused() -> None:
    sound = tokens.mint({"sub": "owner"}, KEY)
    forged = tokens.forge(sound)
    assert forged.rpartition(".")[0] == sound.rpartition(".")[0]
    assert forged != sound
    with pytest.raises(ValueError, match="InvalidSignatureError"):
        tokens.verify(forged, KEY, ["HS256"])


def test_a_strict_verifier_refuses_an_expired_token() -> None:
    with pytest.raises(ValueError, match="ExpiredSignatureError"):
        tokens.verify(tokens.mint({"exp": int(time.time()) - 1}, KEY), KEY, ["HS256"])


def test_tokens_are_not_shown() -> None:
    assert isinstance(tokens.mint({}, KEY), SecretStr)
    assert isinstance(tokens.forge(tokens.mint({}, KEY)), SecretStr)


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", "three segments"),
        ("a.b", "three segments"),
        ("a.b.c.d", "three segments"),
        ("!!!!.e30.", "base64url"),
        ("e30=.e30.", "base64url"),
        ("e31.e30.", "bits left over"),
        ("e30.W10.", "no JSON object"),
        ("e30.eyI.", "not JSON"),
        ("é.e30.", "base64url"),
    ],
)
def test_what_is_no_token_is_told(token: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        tokens.decode(token)


@given(st.text(max_size=60))
def test_reading_garbage_raises_nothing_but_valueerror(text: str) -> None:
    with pytest.raises(ValueError, match=r"segment|token"):
        tokens.decode(text)


@given(st.binary(max_size=80))
def test_segments_go_there_and_back(data: bytes) -> None:
    segment = tokens.encode_segment(data)
    assert "=" not in segment
    assert tokens.decode_segment(segment) == data


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=4))
def test_claims_go_there_and_back(claims: dict[str, object]) -> None:
    minted = tokens.mint(claims, KEY)
    assert tokens.decode(minted).claims == json.loads(json.dumps(claims))


def test_header_and_payload_are_signed_as_they_stand() -> None:
    sound = tokens.mint({"a": 1}, KEY)
    signed = sound.rpartition(".")[0]
    assert tokens.sign(signed, KEY) == sound
    assert tokens.sign("é!. ", KEY).startswith("é!. .")
    assert tokens.sign(signed, KEY * 2, "HS512") == tokens.mint(
        {"a": 1}, KEY * 2, header={"alg": "HS256"}, alg="HS512"
    )


def test_segments_are_hidden() -> None:
    sound = tokens.mint({"a": 1}, KEY)
    assert ".".join(tokens.segments(sound)) == sound
    assert all(isinstance(segment, SecretStr) for segment in tokens.segments(sound))
    with pytest.raises(ValueError, match="three segments"):
        tokens.segments("a.b")


@pytest.mark.parametrize(("size", "spellings"), [(32, 3), (48, 0), (64, 15), (31, 15)])
def test_other_spellings_mean_the_same_bytes(size: int, spellings: int) -> None:
    data = bytes(range(200, 200 + 8)) * (size // 8) + b"\xa5" * (size % 8)
    segment = tokens.encode_segment(data)
    others = tokens.respelled(segment)
    assert len({segment, *others}) == spellings + 1
    for other in others:
        assert base64.urlsafe_b64decode(other + "=" * (-len(other) % 4)) == data
        with pytest.raises(ValueError, match="bits left over"):
            tokens.decode_segment(other)
