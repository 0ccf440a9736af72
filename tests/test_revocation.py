"""Revocation: a token that was logged out is dead, however it is written, and stays so."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from hil.auth import tokens, verdict
from hil.auth.contract import NotPromised
from hil.check import check, must, should
from hil.deadline import Deadline
from hil.secrets import SecretStr
from hil.target import Absent

if TYPE_CHECKING:
    from hil.auth.client import Api
    from hil.auth.profile import Profile
    from hil.auth.raw import Answer, RawClient, Request
    from hil.control import SecretControl, ServiceControl
    from hil.power import PowerControl
    from hil.target import RebootControl, Target

DOCS = "connexion tutorial"

AT_ONCE = 6
"""Logouts at the same time: few enough for a camera's sockets, more than one BGSAVE takes."""

BUSY_S = 2.0
"""How long a server whose store is busy is asked again. Redis takes connections before it has read
what it keeps."""


pytestmark = pytest.mark.usefixtures("bearer_control")


def log_out(api: Api, token: str) -> Request:
    """A logout, by the token that it ends."""
    logout = api.profile.logout
    return api.compose(logout.method, logout.path, [("Authorization", api.authorization(token))])


def answered(api: Api, raw: RawClient, request: Request) -> Answer:
    """Of a server whose store is busy, with the last logout or with its own start, the answer to a
    later try."""
    end = Deadline.after(BUSY_S)
    answer = raw.send(request)
    while answer.status == api.profile.logout.store_down and not end.expired:
        time.sleep(0.05)  # nothing tells when it is done
        answer = raw.send(request)
    return answer


def logged_out(api: Api, raw: RawClient, token: str) -> Answer:
    """The answer to a logout that must succeed. Where it finds the store busy, a later try may find
    the token ended all the same: what comes of several at once is REV-06's."""
    promised = frozenset(api.profile.logout.statuses)
    answer = raw.send(log_out(api, token))
    if answer.status == api.profile.logout.store_down:
        answer = answered(api, raw, log_out(api, token))
        promised |= api.profile.bad_token
    verdict.refused(answer, "a logout succeeds", status=promised)
    return answer


def use(api: Api, raw: RawClient, token: str) -> Answer:
    return raw.send(api.compose_resource(token=token))


@pytest.fixture
def token(api: Api) -> SecretStr:
    """A fresh token."""
    return api.token()


@check("REV-01", must, DOCS)
def test_a_logout_succeeds(api: Api, raw: RawClient, token: SecretStr) -> None:
    """Usual cause: ``payload['token']``, which no token holds: a KeyError, and a 500."""
    logged_out(api, raw, token)


@check("REV-02", must, "connexion tutorial; ASVS 7.4.1")
def test_a_token_is_dead_after_its_logout(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """At the resource, and for a second logout.

    Usual cause: the client forgets its token, and the server does nothing.
    """
    verdict.accepted(use(api, raw, token), "a fresh token")
    logged_out(api, raw, token)
    answers = verdict.probe(
        raw,
        {
            "the resource": api.compose_resource(token=token),
            "a second logout": log_out(api, token),
        },
    )
    verdict.refused_all(answers, "a token that was logged out", status=profile.bad_token)


@check("REV-03", must, "joserfc PR #51; GHSA-hxm8-2xgr-2p9m; ASVS 7.4.1")
def test_a_revoked_token_is_dead_in_any_spelling(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Padding, unused bits, foreign characters, the other alphabet: to a lenient decoder it is the
    same token, to a list of texts it is another one.

    Usual cause: the token's text is kept, instead of its ``jti`` or a hash of what was decoded.
    """
    header, payload, signature = tokens.segments(token)
    logged_out(api, raw, token)
    spellings = {f"= x {n}": SecretStr(token + "=" * n) for n in (1, 2, 4)}
    spellings["junk behind the padding"] = SecretStr(f"{token}=junk")
    for number, other in enumerate(tokens.respelled(signature), 2):
        spellings[f"unused bits, {number}"] = SecretStr(f"{header}.{payload}.{other}")
    for name, foreign in {"!": "!!!!", "a semicolon": ";", "a blank": " ", "~": "~~~~"}.items():
        dirty = f"{signature[:8]}{foreign}{signature[8:]}"
        spellings[f"{name} in the signature"] = SecretStr(f"{header}.{payload}.{dirty}")
    for name, part in {"header": header, "payload": payload}.items():
        spellings[f"padding of the {name}"] = SecretStr(token.replace(part, part + "==", 1))
    standard = signature.translate({ord("-"): "+", ord("_"): "/"})
    spellings["the other alphabet"] = SecretStr(f"{header}.{payload}.{standard}")
    answers = verdict.probe(
        raw,
        {
            name: api.compose_resource(token=text)
            for name, text in spellings.items()
            if text != token  # a signature without - and _ is the same in both alphabets
        },
    )
    verdict.refused_all(
        answers, "a token that was logged out", status=profile.bad_token | {400, 401}
    )


@check("REV-04", should, "connexion tutorial (bgsave)")
@pytest.mark.timeout(1800)  # on a real board: a boot for each cut
def test_a_revoked_token_is_dead_after_a_restart(
    api: Api,
    raw: RawClient,
    profile: Profile,
    target: Target,
    token: SecretStr,
    reboot: RebootControl,
    remark: Callable[[str, object], None],
    request: pytest.FixtureRequest,
) -> None:
    """After a reset; and where the bench has a hand on the power, after it went at any point of a
    logout: what was answered holds, and what was revoked before is not lost.

    Usual cause: the list is kept in memory; or it is written over, and cut short.
    """
    if not profile.logout.survives_restart:
        raise NotPromised("its profile does not promise it")
    other, dead = api.token(), {"revoked before a restart": token}
    logged_out(api, raw, token)
    reboot()
    only_these_are_dead(dead, other, api, raw)
    if isinstance(target.controls.power, Absent):
        return
    power: PowerControl = request.getfixturevalue("power")
    points = []
    for cut in power.cuts():
        ended = api.token()
        statuses: list[int | None] = []
        happened = cut.during(
            lambda: _asked_for(log_out(api, ended), raw, statuses),  # noqa: B023 - called now
            within=profile.boot_timeout_s,
        )
        points += [cut.point] if happened else []
        reboot("power")
        if set(statuses) & set(profile.logout.statuses):
            dead[f"revoked, and then a power cut {cut.point}"] = ended
        only_these_are_dead(dead, other, api, raw)
    remark("power cuts", f"logout: {len(points)}" + (f" ({points[0]} …)" if points else ""))


def _asked_for(logout: Request, raw: RawClient, statuses: list[int | None]) -> bool:
    statuses.append(raw.send(logout, timeout=2.0).status)
    return statuses[-1] is not None


def only_these_are_dead(
    dead: dict[str, SecretStr], other: SecretStr, api: Api, raw: RawClient
) -> None:
    """These tokens are refused, and another one still holds."""
    answers = verdict.probe(
        raw, {name: api.compose_resource(token=token) for name, token in dead.items()}
    )
    verdict.refused_all(answers, "what was revoked stays so", status=api.profile.bad_token)
    verdict.accepted(use(api, raw, other), "a token that was not revoked")


@pytest.fixture
def store(profile: Profile) -> str:
    """The service that keeps the list of revoked tokens."""
    store = profile.logout.store
    if store is None:
        raise NotPromised("its profile names no store: the target keeps the list itself")
    return store


@check("REV-05", must, "connexion tutorial (ApiError 503)")
def test_without_its_store_nobody_gets_in(
    target: Target,
    api: Api,
    raw: RawClient,
    profile: Profile,
    token: SecretStr,
    store: str,
    services: ServiceControl,
) -> None:
    """503, for sound and for revoked tokens, and never 200; when the store is back, so is the
    server, and what was revoked is still dead. LEAK-02 does not count these 503.

    Usual cause: ``except ConnectionError: return False``, which says "not revoked".
    """
    logout, revoked = profile.logout, api.token()
    logged_out(api, raw, revoked)
    with target.record.promised(logout.store_down):
        with services.down(store):
            answers = verdict.probe(
                raw,
                {
                    "a sound token": api.compose_resource(token=token),
                    "a revoked token": api.compose_resource(token=revoked),
                    "a logout": log_out(api, token),
                },
            )
            verdict.refused_all(answers, "the store is down", status={logout.store_down})
        answer = answered(api, raw, api.compose_resource(token=token))
    verdict.accepted(answer, "a sound token, when the store is back")
    if logout.survives_restart:
        answer = use(api, raw, revoked)
        verdict.refused(answer, "a revoked token, when the store is back", status=profile.bad_token)


@check("REV-06", should, "tutorial code (ResponseError → 503)")
def test_several_logouts_at_once_all_succeed(api: Api, raw: RawClient, profile: Profile) -> None:
    """Usual cause: each logout saves the whole list, and the second finds the first still at it."""
    ended = [api.token() for _ in range(AT_ONCE)]
    answers = raw.send_all([log_out(api, token) for token in ended])
    verdict.refused_all(
        {f"logout {n}": answer for n, answer in enumerate(answers, 1)},
        "a logout succeeds",
        status=profile.logout.statuses,
    )
    answers = raw.send_all([api.compose_resource(token=token) for token in ended])
    verdict.refused_all(
        {f"token {n}": answer for n, answer in enumerate(answers, 1)},
        "a token that was logged out",
        status=profile.bad_token,
    )


@check("REV-07", must, "common sense")
def test_a_logout_ends_no_other_login(api: Api, raw: RawClient, token: SecretStr) -> None:
    """Another token of the same user, from before and from after.

    Usual cause: what is kept is the user's name.
    """
    before = another(api, token)
    logged_out(api, raw, token)
    verdict.accepted(use(api, raw, before), "another token, from before")
    verdict.accepted(use(api, raw, api.token()), "another token, from after")


def another(api: Api, token: SecretStr) -> SecretStr:
    """A token that differs from this one: REV-08 is about those that do not."""
    for _ in range(30):
        other = api.token()
        if other != token:
            return other
    pytest.skip("its logins give the same token again and again: see LOG-38")


@check("REV-08", should, "LOG-38")
def test_two_logins_do_not_share_a_token(api: Api, raw: RawClient) -> None:
    """Two logins in one second: the logout of one leaves the other alone.

    Usual cause: nothing in the claims but the user and an ``exp`` in whole seconds: both have the
    same token.
    """
    first, second = [
        verdict.token_in(answer, api.profile.login.token_field)
        for answer in raw.send_all([api.compose_login()] * 2)
    ]
    logged_out(api, raw, first)
    verdict.accepted(use(api, raw, second), "the other login goes on")


@check("REV-09", must, "OpenMV docs")
def test_without_a_logout_a_rotation_revokes(
    api: Api,
    raw: RawClient,
    profile: Profile,
    target: Target,
    token: SecretStr,
    request: pytest.FixtureRequest,
) -> None:
    """Where there is no logout, a lost token must be ended in some way: here by a new key.

    Usual cause: the key is a constant.
    """
    if profile.given_logout:
        raise NotPromised("it has a logout: see REV-02")
    if isinstance(target.controls.secret, Absent):
        pytest.skip(f"needs the signing key, but {target.controls.secret.reason}")
    secret: SecretControl = request.getfixturevalue("secret")
    reboot: Callable[[], None] = request.getfixturevalue("reboot")
    secret.delete()
    reboot()
    verdict.refused(use(api, raw, token), "a token of the old key", status=profile.bad_token)
