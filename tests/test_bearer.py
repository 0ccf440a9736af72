"""The bearer header: how a token is presented, and what happens when it is not, or wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.auth import tokens, verdict
from hil.auth.challenge import challenge
from hil.auth.redaction import hidden
from hil.check import check, must, should
from hil.secrets import SecretStr

if TYPE_CHECKING:
    from hil.auth.client import Api, Credentials
    from hil.auth.profile import Profile
    from hil.auth.raw import Answer, RawClient

NEVER_ACCEPTED = range(400, 500)


pytestmark = pytest.mark.usefixtures("bearer_control")


@pytest.fixture
def token(api: Api) -> SecretStr:
    """A fresh token."""
    return api.token()


def bearer_challenge(answer: Answer) -> dict[str, str]:
    """The parameters of the answer's Bearer challenge."""
    found = challenge(answer.all("WWW-Authenticate"), "Bearer")
    if found is None:
        values = answer.all("WWW-Authenticate")
        verdict.broken("a 401 carries a Bearer challenge", answer, f"WWW-Authenticate is {values}")
    return found.parameters


def missing_field(answers: dict[str, Answer], profile: Profile) -> None:
    """Each answer is the documented one for a body without the required field."""
    ack = profile.ack
    verdict.refused_all(answers, ack.missing_text, status={ack.missing_status})
    for name, answer in answers.items():
        if ack.missing_text not in answer.text:
            verdict.broken(f"the body says {ack.missing_text!r}", answer, f"{name}: another text")


@check("BRR-01", must, "OpenMV docs 10.9.3")
def test_a_token_opens_the_route(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """The documented answer, compared as JSON: MicroPython keeps no order of keys. Who asks is
    known by the token: members of the body that name somebody else change nothing.

    Usual cause: the verifier's identity does not reach the handler, which takes the body's.
    """
    answer = raw.send(api.compose_ack(token=token))
    verdict.accepted(answer, "a fresh token", json=profile.ack.answer)
    names = {*profile.token.claims, *profile.ack.answer, profile.login.user_field}
    others = dict.fromkeys(sorted(names - profile.ack.body.keys()), "mallory")
    answer = raw.send(api.compose_ack(token=token, body={**profile.ack.body, **others}))
    if answer.status != 400:  # a body with unknown members may be refused
        verdict.accepted(answer, "the token says who asks", json=profile.ack.answer)


@check("BRR-02", must, "OpenMV docs 10.9; RFC 6750 §3")
def test_no_token_no_entry(api: Api, raw: RawClient, profile: Profile) -> None:
    """Usual cause: the decorators in the wrong order, so that the route is registered unguarded."""
    answer = raw.send(api.compose_ack())
    verdict.refused(answer, "a request without a token", status=profile.unauthorized)


@check("BRR-03", must, "RFC 9110 §11.6.1, §15.5.2 MUST; RFC 6750 §3 MUST")
def test_a_401_carries_a_bearer_challenge(api: Api, raw: RawClient, profile: Profile) -> None:
    """Usual cause: microdot's TokenAuth only calls ``abort(401)``."""
    answer = raw.send(api.compose_ack())
    verdict.refused(answer, "a request without a token", status=profile.unauthorized)
    bearer_challenge(answer)


@check("BRR-04", should, "RFC 6750 §3.1")
def test_the_challenge_to_a_bad_token_says_so(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """``error="invalid_token"`` tells a client to fetch another token.

    Usual cause: one challenge for all refusals.
    """
    answer = raw.send(api.compose_ack(token=tokens.forge(token)))
    verdict.refused(answer, "a forged token", status=profile.unauthorized)
    error = bearer_challenge(answer).get("error")
    if error != "invalid_token":
        verdict.broken('error="invalid_token"', answer, f"error is {error!r}")


@check("BRR-05", should, "RFC 6750 §3.1")
def test_the_challenge_without_credentials_has_no_error(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """Usual cause: one challenge for all refusals."""
    answer = raw.send(api.compose_ack())
    verdict.refused(answer, "a request without a token", status=profile.unauthorized)
    if "error" in bearer_challenge(answer):
        verdict.broken("no error code where nothing was tried", answer, "there is one")


@check("BRR-06", must, "RFC 6750 §2.1")
def test_a_header_without_a_token_is_refused(api: Api, raw: RawClient, profile: Profile) -> None:
    """Usual cause: ``split(' ', 1)`` of what has no blank; an empty token that is decoded."""
    values = {"empty": "", "scheme only": "Bearer", "scheme and a blank": "Bearer "}
    answers = verdict.probe(raw, {name: api.compose_ack(value) for name, value in values.items()})
    verdict.refused_all(answers, "no token", status=profile.unauthorized | {400})


@check("BRR-07", must, "RFC 9110 §11.1")
def test_the_scheme_is_recognised_in_any_case(api: Api, raw: RawClient, token: SecretStr) -> None:
    """Usual cause: ``startswith('Bearer ')``."""
    answers = verdict.probe(
        raw,
        {scheme: api.compose_ack(f"{scheme} {token}") for scheme in ("bearer", "BEARER", "bEaReR")},
    )
    verdict.accepted_all(answers, "a scheme is case-insensitive")


@check("BRR-08", should, "RFC 9110 §11.4 (1*SP)")
def test_several_blanks_after_the_scheme_are_accepted(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """Usual cause: the token is everything after the first blank."""
    verdict.accepted(raw.send(api.compose_ack(f"Bearer  {token}")), "one blank or more")


@check("BRR-09", must, "RFC 9110 §11.4 (1*SP)")
def test_a_tab_after_the_scheme_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: ``split()``, which splits at any white space."""
    answers = verdict.probe(
        raw,
        {
            "TAB": api.compose_ack(f"Bearer\t{token}"),
            "blank, TAB": api.compose_ack(f"Bearer \t{token}"),
        },
    )
    verdict.refused_all(answers, "blanks only", status=profile.unauthorized | {400})


@check("BRR-10", must, "RFC 6750 §2.1")
def test_a_token_without_a_scheme_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: the scheme is cut off where it is there, and not demanded."""
    answer = raw.send(api.compose_ack(str(token)))
    verdict.refused(answer, "no scheme", status=profile.unauthorized)


@check("BRR-11", must, "RFC 9110 §11.4")
def test_a_token_under_another_scheme_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: whatever stands behind the first blank is taken for a token."""
    answers = verdict.probe(
        raw,
        {
            scheme: api.compose_ack(f"{scheme} {token}")
            for scheme in ("Basic", "Token", "JWT", "Digest", "Bearers", "Bear")
        },
    )
    verdict.refused_all(answers, "the scheme is Bearer", status=profile.unauthorized)


@check("BRR-12", must, "RFC 6750 §2.1 b64token")
def test_a_malformed_bearer_value_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: ``strip('"')``, or a search for the token anywhere in the value."""
    values = hidden(
        {
            "a colon": f"Bearer: {token}",
            "an equals sign": f"Bearer={token}",
            "quotes": f'Bearer "{token}"',
            "the scheme twice": f"Bearer Bearer {token}",
            "a second credential": f"Bearer {token}, Basic b3duZXI6eA==",
            "two tokens": f"Bearer {token} {token}",
            "a parameter": f"Bearer {token};x=1",
            "named": f"Bearer token={token}",
        }
    )
    answers = verdict.probe(raw, {name: api.compose_ack(value) for name, value in values.items()})
    verdict.refused_all(answers, "one scheme and one token", status=profile.unauthorized | {400})


@check("BRR-13", must, "RFC 9110 §5.1")
def test_the_field_name_is_recognised_in_any_case(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """And its value with no blank behind the colon, or several.

    Usual cause: a dict of header fields by their names as sent.
    """
    lines = hidden(
        {
            "lower case": f"authorization: Bearer {token}",
            "upper case": f"AUTHORIZATION: Bearer {token}",
            "mixed case": f"aUtHoRiZaTiOn: Bearer {token}",
            "no blank": f"Authorization:Bearer {token}",
            "blanks around": f"Authorization:   Bearer {token}  ",
            "a TAB": f"Authorization:\tBearer {token}",
        }
    )
    answers = verdict.probe(
        raw, {name: api.compose_ack(headers=[line.encode()]) for name, line in lines.items()}
    )
    verdict.accepted_all(answers, "field names are case-insensitive, white space is optional")


@check("BRR-14", should, "RFC 9112 §5.1 MUST")
def test_a_space_before_the_colon_is_a_bad_request(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """Two servers in a row that read it differently can be played against each other.

    Usual cause: the name is stripped, or looked up with the blank.
    """
    line = SecretStr(f"Authorization : Bearer {token}")
    answer = raw.send(api.compose_ack(headers=[line.encode()]))
    verdict.refused(answer, "no white space before the colon", status={400})


@check("BRR-15", must, "RFC 9112 §5.2")
def test_a_folded_line_is_refused_or_read_as_one(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """Usual cause: a line without a colon, and ``split(':', 1)`` ends in a 500."""
    answers = verdict.probe(
        raw,
        {
            "a blank": api.compose_ack(headers=[f"Authorization: Bearer\r\n {token}".encode()]),
            "a TAB": api.compose_ack(headers=[f"Authorization: Bearer\r\n\t{token}".encode()]),
        },
    )
    verdict.refused_all(answers, "refused, or one space", status={400, 200})


@check("BRR-16", should, "RFC 9110 §5.3; RFC 6750 §3.1 invalid_request")
def test_two_tokens_bad_and_good_are_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: microdot keeps the last of several fields."""
    _two_fields(api, raw, profile, tokens.forge(token), token)


@check("BRR-17", should, "RFC 9110 §5.3; RFC 6750 §3.1 invalid_request")
def test_basic_and_a_token_together_are_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: microdot keeps the last of several fields."""
    _two_fields(api, raw, profile, "Basic b3duZXI6eA==", token)


@check("BRR-18", must, "RFC 9110 §5.3; RFC 6750 §3.1 invalid_request")
def test_two_tokens_good_and_bad_are_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: the first of several fields is taken."""
    _two_fields(api, raw, profile, token, tokens.forge(token))


def _two_fields(api: Api, raw: RawClient, profile: Profile, *credentials: str) -> None:
    """A token stands for ``Bearer TOKEN``."""
    lines = [
        SecretStr(f"Authorization: {f'Bearer {one}' if isinstance(one, SecretStr) else one}")
        for one in credentials
    ]
    answer = raw.send(api.compose_ack(headers=[line.encode() for line in lines]))
    verdict.refused(answer, "one Authorization field", status=profile.unauthorized | {400})


@check("BRR-19", must, "RFC 6750 §2.3; ASVS 14.2.1")
def test_a_token_anywhere_else_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """In the query, a form, a cookie, and in other fields.

    Usual cause: a framework that looks in several places.
    """
    path, form = profile.ack.path, "application/x-www-form-urlencoded"
    answers = verdict.probe(
        raw,
        {
            "query": api.compose_ack(target=f"{path}?access_token={token}"),
            "form": api.compose_ack(body=f"access_token={token}".encode(), content_type=form),
            "cookie": api.compose_ack(headers=[("Cookie", f"access_token={token}; token={token}")]),
            "X-Authorization": api.compose_ack(headers=[("X-Authorization", f"Bearer {token}")]),
            "Proxy-Authorization": api.compose_ack(
                headers=[("Proxy-Authorization", f"Bearer {token}")]
            ),
            "X-Access-Token": api.compose_ack(headers=[("X-Access-Token", token)]),
        },
    )
    verdict.refused_all(
        answers, "a token is taken from Authorization only", status=profile.unauthorized
    )


@check("BRR-20", must, 'OpenMV docs 10.9 ("without the handler seeing anything")')
def test_a_bad_token_is_refused_before_the_body_is_looked_at(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: the body is parsed in the framework or the decorator, and fails first."""
    bad = tokens.forge(token)
    answers = verdict.probe(
        raw,
        {
            "malformed": api.compose_ack(token=bad, body=b"{"),
            "empty": api.compose_ack(token=bad, body=b""),
            "no UTF-8": api.compose_ack(token=bad, body=b"\xff\xfe"),
            "without a token": api.compose_ack(body=b"{"),
        },
    )
    verdict.refused_all(answers, "without the handler seeing anything", status=profile.unauthorized)


@check("BRR-21", must, "OpenMV docs")
def test_a_body_without_the_field_gets_the_documented_answer(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: ``'count' in None`` for a body that is not JSON."""
    answers = verdict.probe(
        raw,
        {
            "{}": api.compose_ack(token=token, body={}),
            "[]": api.compose_ack(token=token, body=[]),
            "another field": api.compose_ack(token=token, body={"x": 1}),
            "text/plain": api.compose_ack(token=token, content_type="text/plain"),
        },
    )
    missing_field(answers, profile)


@check("BRR-22", must, "RFC 9110 §15.5.1")
def test_a_body_that_is_no_json_is_a_bad_request(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """None, an empty one, a malformed one.

    Usual cause: ``json.loads`` raises in ``request.json`` and ends in a 500.
    """
    answers = verdict.probe(
        raw,
        {
            "none": api.compose_ack(token=token, body=b"", content_type=None),
            "empty": api.compose_ack(token=token, body=b""),
            "malformed": api.compose_ack(token=token, body=b'{"count": '),
            "a word": api.compose_ack(token=token, body=b"count"),
            "no UTF-8": api.compose_ack(token=token, body=b'{"count": "\xff"}'),
        },
    )
    verdict.refused_all(answers, "a body of JSON is demanded", status={400})


@check("BRR-23", must, "RFC 9110 §15.5.1")
def test_a_body_that_is_a_number_or_a_boolean_is_a_bad_request(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """Usual cause: ``'count' in 5`` is a TypeError and ends in a 500."""
    answers = verdict.probe(
        raw, {text: api.compose_ack(token=token, body=text.encode()) for text in ("5", "true")}
    )
    verdict.refused_all(answers, "a body is a JSON object", status={400})


@check("BRR-24", must, 'OpenMV docs 10.9 ("missing count")')
def test_the_fields_name_in_a_text_or_a_list_is_not_the_field(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: ``'count' in body`` is true of a text and of a list that contain it."""
    field = profile.ack.required_field
    answers = verdict.probe(
        raw,
        {
            "a text": api.compose_ack(token=token, body=f"x{field}x"),
            "a list": api.compose_ack(token=token, body=[field]),
            "nested": api.compose_ack(token=token, body={"x": {field: 1}}),
        },
    )
    verdict.refused_all(answers, profile.ack.missing_text, status={profile.ack.missing_status})


@check("BRR-25", should, "ASVS 2.2.1")
def test_a_field_of_the_wrong_kind_is_a_bad_request(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """null, another type than that of the documented value, and a number below zero.

    Usual cause: presence is checked, and not the value.
    """
    ack = profile.ack
    is_text = isinstance(ack.body.get(ack.required_field), str)
    answers = verdict.probe(
        raw,
        {
            repr(value): api.compose_ack(token=token, body={**ack.body, ack.required_field: value})
            for value in (None, [] if is_text else "x", -1)
        },
    )
    verdict.refused_all(answers, f"a sound {ack.required_field!r} is demanded", status={400})


@check("BRR-26", must, "WSTG-ATHN-04; ASVS 4.1.4")
def test_no_other_method_reaches_the_handler(api: Api, raw: RawClient, profile: Profile) -> None:
    """Other methods, a lower-case one, and overriding fields, all without a token.

    Usual cause: a guard that looks at one method only.
    """
    path = profile.ack.path
    methods = ("GET", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "post")
    override = "X-HTTP-Method-Override"
    answers = verdict.probe(
        raw,
        {method: api.compose_ack(method=method) for method in methods}
        | {
            "GET as POST": api.compose_ack(method="GET", headers=[(override, "POST")]),
            "POST as GET": api.compose_ack(headers=[(override, "GET")]),
            "_method": api.compose_ack(target=f"{path}?_method=POST", method="GET"),
        },
    )
    # RFC 9110 section 15.6.2: 501 is the answer to a method that is not known at all.
    verdict.refused_all(answers, "the handler never runs", status=[*NEVER_ACCEPTED, 501])
    options = raw.send(api.compose_ack(method="OPTIONS"))
    verdict.refused(options, "OPTIONS at most lists methods", status=[200, 204, *NEVER_ACCEPTED])
    if options.outcome is options.outcome.ACCEPTED and _is_the_answer(options, profile):
        verdict.broken("the handler never runs", options, "it ran for OPTIONS")


def _is_the_answer(answer: Answer, profile: Profile) -> bool:
    try:
        return bool(answer.json() == profile.ack.answer)
    except ValueError:
        return False


@check("BRR-27", must, "WSTG-ATHN-04")
def test_no_other_spelling_of_the_path_gets_around_the_guard(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """Usual cause: the guard matches the path as it is, the router a normalised one."""
    path = profile.ack.path
    folder, _, name = path.rpartition("/")
    targets = (
        f"{path}/",
        f"/{path}",
        path.upper(),
        f"{folder}%2f{name}",
        f"{path}%00",
        f"{path};x",
        f"{folder}/../{folder.strip('/')}/{name}",
        f"{folder}/./{name}",
        f"{path}?",
        f"{path}?token=1",
        f"{path}%20",
        f"http://board{path}",
    )
    answers = verdict.probe(raw, {target: api.compose_ack(target=target) for target in targets})
    verdict.refused_all(
        answers, "no token, no entry", status=profile.unauthorized | {404, 400, 405}
    )


@check("BRR-28", must, 'jwt_tool "persistence check"')
def test_a_token_is_accepted_after_a_hundred_refused_ones(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: a lock that counts refusals, or memory that is not given back."""
    forged = api.compose_ack(token=tokens.forge(token))
    answers = raw.send_all([forged] * 100)
    verdict.refused_all(
        {str(i): answer for i, answer in enumerate(answers, 1)},
        "a forged token",
        status=profile.unauthorized,
    )
    verdict.accepted(raw.send(api.compose_ack(token=token)), "the sound token, after that")


@check("BRR-29", should, "robustness")
def test_fifty_parallel_calls_are_all_answered(api: Api, raw: RawClient, token: SecretStr) -> None:
    """Usual cause: a socket pool that runs dry."""
    answers = raw.send_all([api.compose_ack(token=token)] * 50)
    verdict.accepted_all({str(i): a for i, a in enumerate(answers, 1)}, "each call is answered")


@check("BRR-30", must, "cross-scheme")
def test_basic_credentials_do_not_open_the_token_route(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: one guard for both schemes."""
    answers = verdict.probe(
        raw,
        {
            "Basic": api.compose_ack(f"Basic {credentials.basic}"),
            "under Bearer": api.compose_ack(f"Bearer {credentials.basic}"),
        },
    )
    verdict.refused_all(answers, "a token is demanded", status=profile.unauthorized)
