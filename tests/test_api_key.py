"""API keys: one long-lived secret in every request, in its place, whole, and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.auth import verdict
from hil.auth.challenge import challenge
from hil.auth.contract import NotPromised
from hil.auth.redaction import hidden
from hil.check import check, must, should
from hil.errors import Finding
from hil.secrets import SecretStr

if TYPE_CHECKING:
    from hil.auth.client import Api
    from hil.auth.profile import Profile
    from hil.auth.raw import RawClient

DOCS = "auth-adventures"

pytestmark = pytest.mark.usefixtures("key_control")


def refused(profile: Profile) -> frozenset[int]:
    """Statuses for a key that is none: it may count as missing, or as wrong."""
    return profile.no_token


@pytest.fixture
def field(profile: Profile) -> str:
    """The query's field that takes a key."""
    query = profile.api_key.query
    if query is None:
        raise NotPromised("its profile takes no key from the query")
    return query


@check("KEY-01", must, DOCS)
def test_only_the_whole_key_opens_it(
    api: Api, raw: RawClient, profile: Profile, api_key: SecretStr
) -> None:
    """None, another, the beginning, the end, the key and more, in another case, an empty one.

    Usual cause: ``startswith`` or ``in``; a comparison with an unset key, which is empty.
    """
    variants = hidden(
        {
            "another": "x" * len(api_key),
            "the beginning": api_key[:-1],
            "the end": api_key[1:],
            "and more": api_key + "x",
            "twice": api_key * 2,
            "a blank behind": api_key + " x",
            "another case": api_key.swapcase(),
            "empty": "",
        }
    )
    sent = {
        name: api.compose_key(key=key)
        for name, key in variants.items()
        if key != api_key  # of digits alone there is no other case
    }
    answers = verdict.probe(raw, {"none": api.compose_key(), **sent})
    verdict.refused_all(answers, "the key, and nothing else", status=refused(profile))


@check("KEY-02", must, "RFC 9110 §11.1")
def test_the_scheme_is_recognised_in_any_case(
    api: Api, raw: RawClient, profile: Profile, api_key: SecretStr
) -> None:
    """Usual cause: ``startswith('Apikey ')``."""
    own = profile.key_scheme
    answers = verdict.probe(
        raw,
        {
            scheme: api.compose_key(f"{scheme} {api_key}")
            for scheme in (own, own.lower(), own.upper(), own.swapcase())
        },
    )
    verdict.accepted_all(answers, "a scheme is case-insensitive")


@check("KEY-03", should, "RFC 9110 §11.4")
def test_several_blanks_after_the_scheme_are_accepted(
    api: Api, raw: RawClient, profile: Profile, api_key: SecretStr
) -> None:
    """Usual cause: the key is everything after the first blank."""
    answer = raw.send(api.compose_key(f"{profile.key_scheme}  {api_key}"))
    verdict.accepted(answer, "one blank or more")


@check("KEY-04", must, DOCS)
def test_a_key_in_the_query_opens_it(
    api: Api, raw: RawClient, field: str, api_key: SecretStr
) -> None:
    """Where the document promises it; KEY-09 tells what that costs.

    Usual cause: another name of the field than the documented one.
    """
    verdict.accepted(raw.send(api.compose_key(query=[(field, api_key)])), "a key in the query")


@check("KEY-05", must, "ambiguity")
def test_a_bad_key_in_the_header_is_not_made_good_by_the_query(
    api: Api, raw: RawClient, profile: Profile, field: str, api_key: SecretStr
) -> None:
    """One rule: who shows a bad key is refused, whatever else is shown.

    Usual cause: ``header or query``, where a bad header falls through to the query.
    """
    answer = raw.send(api.compose_key(key="bad", query=[(field, api_key)]))
    verdict.refused(answer, "a bad key is a bad key", status=refused(profile) | {400})


@check("KEY-06", should, "ambiguity")
def test_two_keys_in_the_query_are_refused(
    api: Api, raw: RawClient, profile: Profile, field: str, api_key: SecretStr
) -> None:
    """Two servers in a row that read different ones can be played against each other.

    Usual cause: a mapping of the query, in which the last field wins.
    """
    answers = verdict.probe(
        raw,
        {
            "bad, good": api.compose_key(query=[(field, "bad"), (field, api_key)]),
            "good, bad": api.compose_key(query=[(field, api_key), (field, "bad")]),
        },
    )
    verdict.refused_all(answers, "one key", status=refused(profile) | {400})


@check("KEY-07", must, "common sense")
def test_a_key_that_is_not_ascii_is_refused(api: Api, raw: RawClient, profile: Profile) -> None:
    """In the header, in UTF-8 and in Latin-1, and in the query.

    Usual cause: ``hmac.compare_digest`` of texts that are not ASCII raises TypeError: a 500.
    """
    scheme = f"{profile.api_key.scheme} ".lstrip(" ").encode()
    sent = {
        "UTF-8": api.compose_key(scheme + "schlüssel-鍵".encode()),
        "Latin-1": api.compose_key(scheme + "schlüssel".encode("latin-1")),
        "stray bytes": api.compose_key(scheme + b"\xff\xfe"),
    }
    if profile.api_key.query:
        sent["in the query"] = api.compose_key(query=[(profile.api_key.query, "schlüssel-鍵")])
    answers = verdict.probe(raw, sent)
    verdict.refused_all(answers, "no such key", status=refused(profile) | {400})


@check("KEY-08", must, "RFC 9110 §11.6.1")
def test_a_401_carries_a_challenge(api: Api, raw: RawClient, profile: Profile) -> None:
    """Usual cause: ``abort(401)``, which adds no header field."""
    profile.demand_challenge()
    answers = verdict.probe(
        raw, {"no key": api.compose_key(), "a wrong key": api.compose_key(key="wrong")}
    )
    verdict.refused_all(answers, "no key, no entry", status=refused(profile))
    for name, answer in answers.items():
        fields = answer.all("WWW-Authenticate")
        if answer.status == 401 and not challenge(fields, profile.api_key.scheme):
            told = f"{name}: WWW-Authenticate is {fields}"
            verdict.broken(f"a 401 carries a {profile.api_key.scheme} challenge", answer, told)


@check("KEY-09", should, "ASVS 14.2.1")
def test_a_key_in_the_url_is_not_accepted(
    api: Api, raw: RawClient, profile: Profile, api_key: SecretStr
) -> None:
    """A URL stands in logs, histories and Referer fields.

    Usual cause: it is easier for the client; the document says so itself.
    """
    fields = dict.fromkeys(
        filter(None, (profile.api_key.query, "api_key", "apikey", "key", "token"))
    )
    answers = verdict.probe(
        raw, {name: api.compose_key(query=[(name, api_key)]) for name in fields}
    )
    taken = [name for name, answer in answers.items() if answer.status == 200]
    if taken:
        raise Finding(
            f"the key is accepted as ?{taken[0]}=…; promised: credentials do not stand in URLs"
        )


@check("KEY-10", must, "common sense")
def test_a_key_under_another_scheme_or_field_is_refused(
    api: Api, raw: RawClient, profile: Profile, api_key: SecretStr
) -> None:
    """``Bearer``, no scheme, ``X-Api-Key``.

    Usual cause: whatever stands behind the first blank is taken for a key.
    """
    own = profile.key_scheme
    schemes = [scheme for scheme in ("Bearer", "Basic", "Token", own + "s") if scheme != own]
    sent = {scheme: api.compose_key(f"{scheme} {api_key}") for scheme in schemes}
    sent["no scheme"] = api.compose_key(str(api_key))
    for name in ("X-Api-Key", "Api-Key", "X-Authorization", "Proxy-Authorization"):
        value = f"{own} {api_key}" if name.endswith("ization") else api_key
        sent[name] = api.compose_key(headers=[(name, value)])
    answers = verdict.probe(raw, sent)
    verdict.refused_all(answers, "Authorization, and its scheme", status=refused(profile) | {400})
