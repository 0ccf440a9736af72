"""Roles and kinds: who may what, and which token is for what."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hil.auth import tokens, verdict
from hil.auth.contract import NotPromised
from hil.check import check, must, should
from hil.secrets import SecretStr

if TYPE_CHECKING:
    from hil.auth.client import Api
    from hil.auth.contract import Guarded
    from hil.auth.profile import Profile
    from hil.auth.raw import Answer, RawClient, Request
    from hil.control import MintControl

DOCS = "connexion tutorial"

pytestmark = pytest.mark.usefixtures("bearer_control")


def visit(api: Api, route: Guarded, token: str) -> Request:
    """A request for a guarded route."""
    return api.compose(route.method, route.path, [("Authorization", api.authorization(token))])


@pytest.fixture
def basic_user(api: Api, profile: Profile) -> Api:
    """The routes as a user who may not everything."""
    return api.of(profile.roles.basic_user)


@pytest.fixture
def admin(api: Api, profile: Profile) -> Api:
    """The routes as a user who may."""
    return api.of(profile.roles.admin_user)


def role_claim(profile: Profile) -> str:
    claim = profile.roles.claim
    if claim is None:
        raise NotPromised("its tokens say nothing of roles")
    return claim


@check("ROL-01", must, "connexion tutorial; RFC 9110 §15.5.4")
def test_a_basic_role_does_not_open_the_admins_route(
    raw: RawClient, profile: Profile, basic_user: Api
) -> None:
    """With a sound token, which opens what it should.

    Usual cause: the role is checked where it is shown, and not where it counts; ``<=`` for ``<``.
    """
    token = basic_user.token()
    verdict.accepted(raw.send(basic_user.compose_resource(token=token)), "what the role may")
    answer = raw.send(visit(basic_user, profile.roles.admin, token))
    verdict.refused(answer, "the role may not", status={profile.roles.refused})


@check("ROL-02", must, 'connexion tutorial {"basic":1,"admin":2}')
def test_an_admin_role_opens_it(raw: RawClient, profile: Profile, admin: Api) -> None:
    """And what the basic role opens, too.

    Usual cause: ``==`` for ``>=`` in the comparison of roles.
    """
    token = admin.token()
    verdict.accepted(raw.send(visit(admin, profile.roles.admin, token)), "the role may")
    verdict.accepted(raw.send(admin.compose_resource(token=token)), "and what a lower one may")


@check("ROL-03", must, "ASVS 9.1.1")
def test_a_role_cannot_be_changed_in_the_token(
    raw: RawClient, profile: Profile, basic_user: Api, admin: Api
) -> None:
    """The admin's role in the claims of a basic user's token, under the signature that was there.

    Usual cause: the role is read before the signature is looked at.
    """
    claim = role_claim(profile)
    role = verdict.decoded(admin.token()).claims.get(claim)
    header, payload, signature = tokens.segments(basic_user.token())
    claims = {**json.loads(tokens.decode_segment(payload)), claim: role}
    changed = tokens.encode_segment(json.dumps(claims).encode())
    forged = SecretStr(f"{header}.{changed}.{signature}")
    answer = raw.send(visit(basic_user, profile.roles.admin, forged))
    verdict.refused(answer, "a signature covers the role", status=profile.bad_token)


@check("ROL-04", must, "ASVS 16.5.3")
def test_an_unknown_role_may_nothing(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """A role that nobody has, an empty one, other JSON values, none at all.

    Usual cause: ``roles[payload["role"]]`` raises KeyError and ends in a 500; ``None >= …``.
    """
    claim = role_claim(profile)
    values: dict[str, Any] = {
        "a role that nobody has": "nobody",
        "another case": "ADMIN",
        "empty": "",
        "null": None,
        "a number": 99,
        "a list": ["admin"],
        "true": True,
    }
    made = {name: mint({claim: value}) for name, value in values.items()}
    made["no role"] = mint(without=[claim])
    answers = verdict.probe(
        raw, {name: visit(api, profile.roles.admin, token) for name, token in made.items()}
    )
    verdict.refused_all(answers, "no such role", status=profile.bad_token | {403})


@check("ROL-05", must, "connexion tutorial (per-type secrets)")
def test_a_token_of_another_kind_does_not_open_the_resource(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """Sound tokens for refreshing, for an email address, for a password: each has its own use.

    Usual cause: one key for all kinds, and nobody looks which kind it is.
    """
    made = {kind: mint(kind=kind) for kind in other_kinds(profile)}
    answers = verdict.probe(
        raw, {kind: api.compose_resource(token=token) for kind, token in made.items()}
    )
    verdict.refused_all(answers, "a token of another kind", status=profile.bad_token)


def other_kinds(profile: Profile) -> list[str]:
    """Kinds of tokens besides the access token."""
    refresh = profile.given_refresh and profile.given_refresh.token
    kinds = [*(["refresh"] if refresh else []), *profile.other_tokens]
    if not kinds:
        raise NotPromised(f"the profile {profile.name!r} has one kind of token")
    return kinds


@check("ROL-06", should, "RFC 8725 §3.12")
def test_the_claims_of_another_kind_are_refused_under_any_key(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """An email token's claims, signed with the access tokens' key: the claims tell the kind, too.

    Usual cause: the kind is told by the key alone.
    """
    verdict.accepted(raw.send(api.compose_resource(token=mint())), "a minted, sound token")
    made = {kind: mint(kind=kind, key=mint.key("access")) for kind in other_kinds(profile)}
    answers = verdict.probe(
        raw, {kind: api.compose_resource(token=token) for kind, token in made.items()}
    )
    verdict.refused_all(answers, "the claims of another kind", status=profile.bad_token)


@check("ROL-07", should, 'connexion tutorial ("claims present")')
def test_a_token_without_its_claims_is_refused(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """Each claim that the profile demands left out, and each flag turned to false.

    Usual cause: ``'standard_claim' in payload``, which is true of false.
    """
    kind = profile.token
    verdict.accepted(raw.send(api.compose_resource(token=mint())), "a minted, sound token")
    made = {
        f"no {name}": mint(without=[name]) for name in sorted({*kind.claims, *kind.required_claims})
    }
    made |= {
        f"{name}: false": mint({name: False})
        for name, value in kind.claims.items()
        if value is True
    }
    if not made:
        raise NotPromised(f"the profile {profile.name!r} demands no claims")
    answers = verdict.probe(
        raw, {name: api.compose_resource(token=token) for name, token in made.items()}
    )
    verdict.refused_all(answers, "a token has its claims", status=profile.bad_token)


@check("ROL-08", should, "RFC 8725 §3.8")
def test_a_token_of_another_issuer_is_refused(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """Usual cause: ``iss`` is written and never read."""
    if "iss" not in profile.token.claims:
        raise NotPromised("its tokens name no issuer")
    verdict.accepted(raw.send(api.compose_resource(token=mint())), "a minted, sound token")
    values: dict[str, Any] = {"another": "https://other.example", "empty": "", "a list": []}
    made = {name: mint({"iss": value}) for name, value in values.items()}
    answers = verdict.probe(
        raw, {name: api.compose_resource(token=token) for name, token in made.items()}
    )
    verdict.refused_all(answers, "another issuer", status=profile.bad_token)


@check("ROL-09", must, "identity binding")
def test_each_user_is_told_by_name(api: Api, raw: RawClient, profile: Profile) -> None:
    """Two users log in, and each is told who they are, also turn and turn about: by the route that
    tells it, or by the token itself.

    Usual cause: a name that was written into the code for the first user.
    """
    whose = profile.whose
    users = {user: api.of(user) for user in (profile.user, second_user(profile))}
    made = {user: one.token() for user, one in users.items()}
    for user, token in (*made.items(), *made.items()):
        told = f"it is {user!r}'s token"
        if route := whose.route:
            answer = raw.send(visit(users[user], route, token))
            name = _field(answer, whose.field)
        else:
            answer = raw.send(users[user].compose_resource(token=token))
            name = verdict.decoded(token).claims.get(whose.claim)
        verdict.accepted(answer, told)
        if name != user:
            verdict.broken(told, answer, f"it is told to be {name!r}'s")


def _field(answer: Answer, name: str) -> object:
    try:
        found = answer.json()
    except ValueError:
        return None
    return found.get(name) if isinstance(found, dict) else None


def second_user(profile: Profile) -> str:
    """Another user than the profile's."""
    if profile.second_user is None:
        raise NotPromised("its profile names one user only")
    return profile.second_user


@check("ROL-10", must, "common sense")
def test_a_password_is_good_for_its_user_only(api: Api, raw: RawClient, profile: Profile) -> None:
    """Under a name that nobody has, and, where there is a second user, under theirs.

    Usual cause: the password is compared, and the name is not.
    """
    names = ["nobody-here", *([profile.second_user] if profile.second_user else [])]
    answers = verdict.probe(raw, {name: api.compose_login(user=name) for name in names})
    verdict.refused_all(answers, "only its user's password", status=profile.wrong_password)
