"""Token integrity: what this board has signed opens the route, exactly as it was signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.auth import tokens, verdict
from hil.check import check, must
from hil.secrets import SecretStr

if TYPE_CHECKING:
    from hil.auth.client import Api
    from hil.auth.profile import Profile
    from hil.auth.raw import RawClient

pytestmark = pytest.mark.usefixtures("bearer_control")


@pytest.fixture
def token(api: Api) -> SecretStr:
    """A fresh token."""
    return api.token()


@check("JWT-01", must, "WSTG-SESS-10; ASVS 9.1.1")
def test_changed_claims_under_the_old_signature_are_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: the payload is decoded, and the signature is not looked at."""
    header, _, signature = (SecretStr(segment) for segment in token.split("."))
    claims = tokens.decode(token).claims
    changed = {
        "another user": {**claims, "sub": "admin"},
        "a later end": {**claims, "exp": claims["exp"] + 60},
        "one claim more": {**claims, "x": 1},
    }
    variants = {}
    for name, other in changed.items():
        payload = SecretStr(tokens.mint(other, b"").split(".")[1])
        variants[name] = api.compose_ack(token=f"{header}.{payload}.{signature}")
    answers = verdict.probe(raw, variants)
    verdict.refused_all(answers, "a signature covers the claims", status=profile.unauthorized)


@check("JWT-02", must, 'jwt_tool "broken signature"; wycheproof tc2')
def test_a_broken_signature_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """One bit flipped, and shortened by one to four characters.

    Usual cause: a comparison up to the shorter length.
    """
    variants = {"one bit": tokens.forge(token)}
    variants |= {f"{n} shorter": SecretStr(token[:-n]) for n in (1, 2, 3, 4)}
    answers = verdict.probe(
        raw, {name: api.compose_ack(token=broken) for name, broken in variants.items()}
    )
    verdict.refused_all(answers, "the signature is wrong", status=profile.unauthorized)


@check("JWT-06", must, "CVE-2015-2951; RFC 8725 §3.1")
def test_an_unsigned_token_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """``alg: none`` in any case of letters, without a signature and with the old one.

    Usual cause: the algorithm is taken from the token's own header.
    """
    claims, signature = tokens.decode(token).claims, SecretStr(token.split(".")[2])
    variants = {}
    for alg in ("none", "None", "NONE", "nOnE"):
        unsigned = tokens.mint(claims, b"", alg=alg)
        variants[alg] = api.compose_ack(token=unsigned)
        variants[f"{alg}, with the old signature"] = api.compose_ack(token=unsigned + signature)
    answers = verdict.probe(raw, variants)
    verdict.refused_all(answers, "a token is signed", status=profile.unauthorized)
