"""Refresh: a long-lived token is traded for short-lived ones, each once, and for nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeGuard

import pytest

from hil.auth import tokens, verdict
from hil.auth.answer import Outcome
from hil.auth.contract import NotPromised
from hil.check import check, must, should
from hil.errors import Finding
from hil.secrets import SecretStr
from hil.target import Absent

if TYPE_CHECKING:
    from hil.auth.client import Api
    from hil.auth.contract import Token
    from hil.auth.grants import Grant, Grants
    from hil.auth.profile import Profile
    from hil.auth.raw import Answer, RawClient
    from hil.clock.skew import ClockControl
    from hil.control import MintControl
    from hil.target import Target

DOCS = "auth-adventures"

# How far the target's clock may be from the host's, seconds (see test_login.py).
CLOCK_TOLERANCE_S = 5

pytestmark = pytest.mark.usefixtures("refresh_control")


def claims_of(token: str, kind: Token, profile: Profile, answer: Answer) -> dict[str, Any]:
    """The claims of a token, of which the end is as far away as its kind lives."""
    try:
        claims = tokens.decode(token).claims
    except ValueError as error:
        verdict.broken("the token is three segments of base64url JSON", answer, str(error))
    exp = claims.get("exp")
    left = profile.unix(exp) - time.time() if _is_number(exp) else float("nan")
    if not abs(left - kind.lifetime_s) <= CLOCK_TOLERANCE_S:
        verdict.broken(f"it lives {kind.lifetime_s} s", answer, f"it lives {left:.0f} s")
    for name, value in kind.claims.items():
        if claims.get(name) != value:
            verdict.broken(f"claim {name} is {value!r}", answer, f"it is {claims.get(name)!r}")
    return claims


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


@pytest.fixture
def grant(grants: Grants) -> Grant:
    """A fresh pair."""
    return grants.login()


@check("REF-01", must, DOCS)
def test_a_login_gives_two_tokens_with_their_lifetimes(grant: Grant, profile: Profile) -> None:
    """An access token and a refresh token, which differ, and which live as long as promised.

    Usual cause: minutes taken for seconds; one lifetime for both kinds.
    """
    claims_of(grant.access, profile.token, profile, grant.answer)
    if profile.refresh.token is not None:
        claims_of(grant.refresh, profile.refresh.token, profile, grant.answer)
    if grant.access == grant.refresh:
        verdict.broken("two tokens", grant.answer, "both are the same")


@check("REF-02", must, "ASVS 9.2.2; RFC 8725 §3.12")
def test_a_refresh_token_does_not_open_the_resource(
    api: Api, raw: RawClient, profile: Profile, grant: Grant
) -> None:
    """Usual cause: one key for both kinds, and nobody looks which kind it is."""
    answer = raw.send(api.compose_resource(token=grant.refresh))
    verdict.refused(answer, "an access token is demanded", status=profile.bad_token)


@check("REF-03", must, "ASVS 9.2.2; RFC 8725 §3.12")
def test_an_access_token_is_not_traded_for_others(
    grants: Grants, profile: Profile, grant: Grant
) -> None:
    """Usual cause: one key for both kinds, and nobody looks which kind it is: then whoever gets
    hold of an access token keeps it for ever."""
    answer = grants.refresh(grant.access)
    verdict.refused(answer, "a refresh token is demanded", status=profile.bad_refresh)


@check("REF-04", must, DOCS)
def test_a_refresh_token_is_traded_for_a_new_pair(
    grants: Grants, profile: Profile, grant: Grant
) -> None:
    """The new access token opens the resource, and the new refresh token can be traded in turn.

    Usual cause: the answer brings the old refresh token again, or none.
    """
    second = grants.refreshed(grant.refresh)
    claims_of(second.access, profile.token, profile, second.answer)
    verdict.accepted(grants.use(second), "the new access token")
    third = grants.refreshed(second.refresh)
    verdict.accepted(grants.use(third), "the access token after that")


@check("REF-05", should, "RFC 6749 §10.4; RFC 9700 §4.14; ASVS 10.4.5")
def test_a_refresh_token_is_traded_once(grants: Grants, profile: Profile, grant: Grant) -> None:
    """Usual cause: the server keeps no record of what it has traded; a signature tells nothing of
    that."""
    grants.refreshed(grant.refresh)
    answer = grants.refresh(grant.refresh)
    verdict.refused(answer, "a refresh token is good for one trade", status=profile.bad_refresh)


@check("REF-06", should, "RFC 9700 §4.14.2")
def test_after_a_second_trade_the_newer_token_is_dead(
    grants: Grants, profile: Profile, grant: Grant, remark: Callable[[str, object], None]
) -> None:
    """If a token is shown twice, one of the two has stolen it, and nobody knows which: both lose.

    The RFC ends refresh tokens, and so does ASVS 10.4.5; whether the access tokens of that login
    end, too, is remarked.

    Usual cause: the second trade is refused, and the thief's first one goes on.
    """
    newer = grants.refreshed(grant.refresh)
    grants.refresh(grant.refresh)
    answer = grants.refresh(newer.refresh)
    verdict.refused(answer, "the whole family is dead", status=profile.bad_refresh)
    ended = "ended" if grants.use(newer).outcome is Outcome.REFUSED else "lives on"
    remark("access token after a second trade", ended)


@check("REF-07", must, DOCS)
def test_an_expired_refresh_token_is_refused(
    grants: Grants, profile: Profile, mint: MintControl
) -> None:
    """Usual cause: ``exp`` is looked at for access tokens only."""
    verdict.accepted(grants.refresh(mint(kind="refresh")), "a minted, sound refresh token")
    answer = grants.refresh(mint({"exp": round(time.time()) - 60}, kind="refresh"))
    verdict.refused(answer, "refresh tokens expire", status=profile.bad_refresh)


@check("REF-08", must, "RFC 6749 §5.2")
def test_what_is_no_refresh_token_is_refused(
    grants: Grants, raw: RawClient, profile: Profile
) -> None:
    """Garbage, null, a number, a list, nothing, and what is no JSON.

    Usual cause: an exception of the JWT library or of ``[]`` that nobody catches.
    """
    values: dict[str, Any] = {
        "garbage": "garbage",
        "dots": "..",
        "empty": "",
        "null": None,
        "a number": 5,
        "a list": [1],
        "an object": {"a": 1},
        "true": True,
    }
    in_json = profile.refresh.encoding == "json"
    sent = {
        name: grants.compose_refresh(value)
        for name, value in values.items()
        if in_json or isinstance(value, str)
    }
    sent["nothing"] = grants.compose_refresh()
    if in_json:
        sent["no object"] = grants.compose_refresh(body=[1])
        sent["no JSON"] = grants.compose_refresh(body=b"{")
        sent["no body"] = grants.compose_refresh(body=b"")
    verdict.refused_all(verdict.probe(raw, sent), "no refresh token", status=profile.bad_refresh)


@check("REF-09", should, "ASVS 10.4.8")
def test_refreshing_ends_one_day(
    grants: Grants, profile: Profile, clock: ClockControl, grant: Grant
) -> None:
    """However often it is refreshed, a login ends: at the promised time, else within four lifetimes
    of a refresh token.

    Usual cause: each refresh token begins a lifetime of its own.
    """
    refresh = profile.refresh
    if refresh.token is None:
        raise NotPromised("its refresh tokens are opaque: how long they live is not known")
    lifetime, began = refresh.token.lifetime_s, time.time()
    promised = refresh.absolute_lifetime_s or 4 * lifetime
    age = 0.0
    while age <= promised:
        age += min(0.8 * lifetime, max(promised - age, 0) + 60)
        clock.set(round(began + age))
        answer = grants.refresh(grant.refresh)
        if answer.status != 200:
            verdict.refused(answer, "a login that is too old", status=profile.bad_refresh)
            if age < (refresh.absolute_lifetime_s or 0) - CLOCK_TOLERANCE_S:
                verdict.broken(
                    f"refreshing goes on for {promised} s", answer, f"it ends at {age:.0f} s"
                )
            return
        grant = grants.pair(answer)
    raise Finding(
        f"{age:.0f} s after the login its refresh token is still traded; promised: "
        + ("it ends after " if refresh.absolute_lifetime_s else "it ends one day, e.g. within ")
        + f"{promised} s"
    )


@check("REF-10", should, "RFC 6749 §5.1")
def test_the_answer_says_what_kind_of_token_and_for_how_long(
    grants: Grants, grant: Grant, profile: Profile
) -> None:
    """``Cache-Control: no-store``, ``token_type`` and ``expires_in``, of a login and of a refresh.

    Usual cause: the framework's answer as it is.
    """
    for name, answer in (
        ("a login", grant.answer),
        ("a refresh", grants.refreshed(grant.refresh).answer),
    ):
        if "no-store" not in (answer.header("Cache-Control") or "").lower():
            verdict.broken(f"{name}'s answer is not stored", answer, "no Cache-Control: no-store")
        told = answer.json()
        if str(told.get("token_type", "")).lower() != profile.scheme.lower():
            verdict.broken(
                f"{name}'s token_type is {profile.scheme}", answer, f"{told.get('token_type')!r}"
            )
        lives = told.get("expires_in")
        if not (_is_number(lives) and abs(lives - profile.token.lifetime_s) <= CLOCK_TOLERANCE_S):
            verdict.broken(
                f"{name}'s expires_in is {profile.token.lifetime_s}", answer, f"{lives!r}"
            )


@check("REF-11", must, "common sense")
def test_an_access_token_that_lacks_what_it_needs_is_refused(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """Without one of the claims that tell kind and user, and with ``exp`` as text.

    Usual cause: ``claims["type"]`` raises KeyError and ends in a 500; ``claims.get`` is None.
    """
    verdict.accepted(raw.send(api.compose_resource(token=mint())), "a minted, sound token")
    kind = profile.token
    needed = sorted({*kind.claims, kind.user_claim})
    made = {f"no {name}": mint(without=[name]) for name in needed}
    made["exp as text"] = mint({"exp": str(round(time.time()) + 60)})
    answers = verdict.probe(
        raw, {name: api.compose_resource(token=token) for name, token in made.items()}
    )
    verdict.refused_all(answers, "a token without it", status=profile.bad_token)


@check("REF-12", must, "RFC 7519 §4.1.4")
def test_an_access_token_ends_to_the_second(
    api: Api,
    raw: RawClient,
    profile: Profile,
    target: Target,
    grant: Grant,
    patience: float,
    request: pytest.FixtureRequest,
) -> None:
    """Accepted right before ``exp``, refused right after: also where it lives for seconds only.

    Usual cause: a leeway in the library's defaults; a clock in whole minutes.
    """
    end = profile.unix(tokens.decode(grant.access).claims["exp"])
    over = end + profile.token.leeway_s

    def use() -> Answer:
        return raw.send(api.compose_resource(token=grant.access))

    if isinstance(target.controls.clock, Absent):
        wait = over + 0.1 - time.time()
        if wait > patience:
            pytest.skip(f"needs the clock, or {wait:.0f} s, more than --patience {patience:g}")
        time.sleep(max(0.0, end - 0.5 - time.time()))  # what is waited for is time itself
        verdict.accepted(use(), "half a second before exp")
        time.sleep(max(0.0, over + 0.1 - time.time()))
        verdict.refused(use(), "a tenth of a second after exp", status=profile.bad_token)
        return
    clock: ClockControl = request.getfixturevalue("clock")
    before = clock.at_second(end - 1, use)
    verdict.accepted(before.result, f"{before}, exp - 1 s")
    after = clock.at_second(over, use)
    verdict.refused(after.result, f"{after}, at exp", status=profile.bad_token)


@check("REF-13", must, "RFC 7617")
def test_a_login_with_malformed_basic_credentials_is_refused(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """Usual cause: an exception of ``b64decode`` or of ``split(':')`` that ends in a 500."""
    login = profile.basic_login
    values = {
        "not base64": "Basic !!!!",
        "one character": "Basic b",
        "no colon": "Basic ZGFsbGFu",
        "not UTF-8": "Basic //79",
        "no value": "Basic",
        "no credentials": "",
    }
    sent = {
        name: api.compose(login.method, login.path, [("Authorization", value)])
        for name, value in values.items()
    }
    sent["no field"] = api.compose(login.method, login.path)
    verdict.refused_all(
        verdict.probe(raw, sent), "malformed credentials", status=profile.bad_password | {400}
    )


@check("REF-14", must, "RFC 9110 §11.6.1")
def test_each_401_carries_a_challenge(
    api: Api, raw: RawClient, profile: Profile, grants: Grants, grant: Grant
) -> None:
    """At the resource without and with a bad token, and at the refresh route.

    Usual cause: ``abort(401)``, which adds no header field.
    """
    profile.demand_challenge()
    answers = verdict.probe(
        raw,
        {
            "no token": api.compose_resource(),
            "a forged token": api.compose_resource(token=tokens.forge(grant.access)),
            "a bad refresh token": grants.compose_refresh(SecretStr("garbage")),
        },
    )
    for name, answer in answers.items():
        if answer.status == 401 and not answer.all("WWW-Authenticate"):
            verdict.broken("a 401 carries WWW-Authenticate", answer, f"{name}: it has none")


@check("REF-15", must, "connexion tutorial")
def test_a_refresh_token_signed_with_another_kinds_key_is_refused(
    grants: Grants, profile: Profile, mint: MintControl
) -> None:
    """The claims of a refresh token, under the key of the access tokens.

    Usual cause: one function decodes all kinds, and picks the key by what the token says.
    """
    if mint.key("refresh") == mint.key("access"):
        raise NotPromised("its tokens are all signed with one key, and told apart by a claim")
    verdict.accepted(grants.refresh(mint(kind="refresh")), "a minted, sound refresh token")
    answer = grants.refresh(mint(kind="refresh", key=mint.key("access")))
    verdict.refused(answer, "each kind has a key of its own", status=profile.bad_refresh)
