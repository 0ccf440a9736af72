"""The bench's OpenID provider, seen by PyJWT as a client: sound tokens pass, each spoiled one does
not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from hil.auth.provider import SPOILED, Provider

CLIENT, BACK = "a-client", "http://127.0.0.1:1/back?x=1"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider("dallan") as running:
        yield running


def code(provider: Provider, **more: str) -> str:
    query = {"client_id": CLIENT, "response_type": "code", "redirect_uri": BACK, **more}
    answer = httpx.get(f"{provider.url}/auth", params=query)
    assert answer.status_code == 302
    back = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert back["x"] == ["1"]
    assert back.get("state") == ([more["state"]] if "state" in more else None)
    return back["code"][0]


def traded(provider: Provider, a_code: str) -> httpx.Response:
    return httpx.post(f"{provider.url}/token", data={"code": a_code, "redirect_uri": BACK})


def validate(provider: Provider, token: str) -> dict[str, object]:
    """As a client must, by what the provider publishes. RS256 is checked by hand: PyJWT would need
    the cryptography package."""
    told = httpx.get(f"{provider.url}/.well-known/openid-configuration").json()
    keys = {key["kid"]: key for key in httpx.get(told["jwks_uri"]).json()["keys"]}
    header = jwt.get_unverified_header(token)
    if header["alg"] not in told["id_token_signing_alg_values_supported"]:
        raise jwt.InvalidAlgorithmError
    key = keys[header["kid"]]
    signed, _, signature = token.rpartition(".")

    def number(text: str) -> int:
        return int.from_bytes(base64.urlsafe_b64decode(text + "=="), "big")

    opened = pow(number(signature), number(key["e"]), number(key["n"]))
    import hashlib

    if not opened.to_bytes(400, "big").endswith(hashlib.sha256(signed.encode()).digest()):
        raise jwt.InvalidSignatureError
    claims = jwt.decode(token, options={"verify_signature": False})
    unsigned = jwt.encode(claims, "k" * 32, "HS256")  # the rest of the rules are PyJWT's
    checked: dict[str, object] = jwt.decode(
        unsigned, "k" * 32, ["HS256"], audience=CLIENT, issuer=told["issuer"]
    )
    return checked


def test_a_code_is_traded_once_for_a_sound_token(provider: Provider) -> None:
    a_code = code(provider, state="s1", nonce="n1")
    answer = traded(provider, a_code)
    claims = validate(provider, answer.json()["id_token"])
    assert (claims["sub"], claims["nonce"]) == ("dallan", "n1")
    assert answer.headers["Cache-Control"] == "no-store"
    again = traded(provider, a_code)
    assert (again.status_code, again.json()) == (400, {"error": "invalid_grant"})
    assert traded(provider, "made up").status_code == 400


def test_a_request_that_lacks_something_gets_no_code(provider: Provider) -> None:
    answer = httpx.get(f"{provider.url}/auth", params={"client_id": CLIENT})
    assert answer.status_code == 400


@pytest.mark.parametrize("what", list(SPOILED))
def test_a_client_that_follows_the_rules_refuses_each_spoiled_token(
    provider: Provider, what: str
) -> None:
    with provider.spoiling(what):
        token = traded(provider, code(provider)).json()["id_token"]
    with pytest.raises((jwt.PyJWTError, KeyError)):
        validate(provider, token)
    json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    validate(provider, traded(provider, code(provider)).json()["id_token"])
