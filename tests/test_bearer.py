"""The bearer header: how a token is presented, and what happens when it is not, or wrongly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hil.auth import tokens, verdict
from hil.auth.challenge import challenge, challenges
from hil.auth.contract import NotPromised
from hil.auth.redaction import hidden
from hil.check import check, must, should
from hil.secrets import SecretBytes, SecretStr

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


def bearer_challenge(answer: Answer, profile: Profile) -> dict[str, str]:
    """The parameters of the answer's challenge by the scheme of the profile."""
    profile.demand_challenge()
    found = challenge(answer.all("WWW-Authenticate"), profile.scheme)
    if found is None:
        values = answer.all("WWW-Authenticate")
        verdict.broken(
            f"a 401 carries a {profile.scheme} challenge", answer, f"WWW-Authenticate is {values}"
        )
    return found.parameters


def missing_field(answers: dict[str, Answer], profile: Profile) -> None:
    """Each answer is the documented one for a body without the required field."""
    body = profile.resource.body
    verdict.refused_all(answers, body.missing_text, status={body.missing_status})
    for name, answer in answers.items():
        if body.missing_text not in answer.text:
            verdict.broken(f"the body says {body.missing_text!r}", answer, f"{name}: another text")


@check("BRR-01", must, "OpenMV docs 10.9.3")
def test_a_token_opens_the_route(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """The documented answer, compared as JSON: MicroPython keeps no order of keys. Who asks is
    known by the token: members of the body that name somebody else change nothing.

    Usual cause: the verifier's identity does not reach the handler, which takes the body's.
    """
    answer = raw.send(api.compose_resource(token=token))
    promised = profile.resource.answer
    verdict.accepted(answer, "a fresh token", json=promised)
    if profile.resource.given_body is None:
        return
    sound = profile.resource.body.sound
    answered = promised.keys() if isinstance(promised, dict) else ()
    names = {*profile.token.claims, *answered, profile.login.user_field}
    others = dict.fromkeys(sorted(names - sound.keys()), "mallory")
    answer = raw.send(api.compose_resource(token=token, body={**sound, **others}))
    if answer.status not in profile.malformed:  # a body with unknown members may be refused
        verdict.accepted(answer, "the token says who asks", json=promised)


@check("BRR-02", must, "OpenMV docs 10.9; RFC 6750 §3")
def test_no_token_no_entry(api: Api, raw: RawClient, profile: Profile) -> None:
    """Usual cause: the decorators in the wrong order, so that the route is registered unguarded."""
    answer = raw.send(api.compose_resource())
    promise = "a request without a token"
    verdict.refused(answer, promise, status=profile.no_credentials)
    verdict.says(answer, promise, profile.refusals.bodies.get("missing"))


@check("BRR-03", must, "RFC 9110 §11.6.1, §15.5.2 MUST; RFC 6750 §3 MUST")
def test_a_401_carries_a_bearer_challenge(api: Api, raw: RawClient, profile: Profile) -> None:
    """Any challenge, where no scheme is before a token.

    Usual cause: microdot's TokenAuth only calls ``abort(401)``.
    """
    profile.demand_challenge()
    if not profile.resource.scheme and profile.refusals.missing != 401:
        raise NotPromised(f"it refuses a request without a token by {profile.refusals.missing}")
    answer = raw.send(api.compose_resource())
    verdict.refused(answer, "a request without a token", status=profile.no_credentials)
    if profile.resource.scheme:
        bearer_challenge(answer, profile)
    elif not challenges(answer.all("WWW-Authenticate")):
        verdict.broken("a 401 carries WWW-Authenticate", answer, "it has no challenge")


@check("BRR-04", should, "RFC 6750 §3.1")
def test_the_challenge_to_a_bad_token_says_so(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """``error="invalid_token"`` tells a client to fetch another token.

    Usual cause: one challenge for all refusals.
    """
    answer = raw.send(api.compose_resource(token=tokens.forge(token)))
    verdict.refused(answer, "a forged token", status=profile.bad_token)
    error = bearer_challenge(answer, profile).get("error")
    if error != "invalid_token":
        verdict.broken('error="invalid_token"', answer, f"error is {error!r}")


@check("BRR-05", should, "RFC 6750 §3.1")
def test_the_challenge_without_credentials_has_no_error(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """Usual cause: one challenge for all refusals."""
    answer = raw.send(api.compose_resource())
    verdict.refused(answer, "a request without a token", status=profile.no_credentials)
    if "error" in bearer_challenge(answer, profile):
        verdict.broken("no error code where nothing was tried", answer, "there is one")


@check("BRR-06", must, "RFC 6750 §2.1")
def test_a_header_without_a_token_is_refused(api: Api, raw: RawClient, profile: Profile) -> None:
    """Usual cause: ``split(' ', 1)`` of what has no blank; an empty token that is decoded."""
    scheme = profile.scheme
    values = {"empty": "", "scheme only": scheme, "scheme and a blank": f"{scheme} "}
    answers = verdict.probe(
        raw, {name: api.compose_resource(value) for name, value in values.items()}
    )
    verdict.refused_all(answers, "no token", status=profile.no_token | {400})


@check("BRR-07", must, "RFC 9110 §11.1")
def test_the_scheme_is_recognised_in_any_case(api: Api, raw: RawClient, token: SecretStr) -> None:
    """Usual cause: ``startswith('Bearer ')``."""
    own = api.profile.scheme
    answers = verdict.probe(
        raw,
        {
            scheme: api.compose_resource(f"{scheme} {token}")
            for scheme in (own.lower(), own.upper(), own.swapcase())
        },
    )
    verdict.accepted_all(answers, "a scheme is case-insensitive")


@check("BRR-08", should, "RFC 9110 §11.4 (1*SP)")
def test_several_blanks_after_the_scheme_are_accepted(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """Usual cause: the token is everything after the first blank."""
    scheme = api.profile.scheme
    verdict.accepted(raw.send(api.compose_resource(f"{scheme}  {token}")), "one blank or more")


@check("BRR-09", must, "RFC 9110 §11.4 (1*SP)")
def test_a_tab_after_the_scheme_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: ``split()``, which splits at any white space."""
    scheme = profile.scheme
    answers = verdict.probe(
        raw,
        {
            "TAB": api.compose_resource(f"{scheme}\t{token}"),
            "blank, TAB": api.compose_resource(f"{scheme} \t{token}"),
        },
    )
    verdict.refused_all(answers, "blanks only", status=profile.no_token | {400})


@check("BRR-10", must, "RFC 6750 §2.1")
def test_a_token_without_a_scheme_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: the scheme is cut off where it is there, and not demanded."""
    demanded = profile.scheme
    answer = raw.send(api.compose_resource(str(token)))
    verdict.refused(answer, f"no token without {demanded}", status=profile.no_token)


@check("BRR-11", must, "RFC 9110 §11.4")
def test_a_token_under_another_scheme_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: whatever stands behind the first blank is taken for a token."""
    own = profile.scheme
    answers = verdict.probe(
        raw,
        {
            scheme: api.compose_resource(f"{scheme} {token}")
            for scheme in ("Basic", "Token", "JWT", "Digest", f"{own}s", own[:-1])
            if scheme != own
        },
    )
    verdict.refused_all(answers, f"the scheme is {own}", status=profile.no_token)


@check("BRR-12", must, "RFC 6750 §2.1 b64token")
def test_a_malformed_bearer_value_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: ``strip('"')``, or a search for the token anywhere in the value."""
    scheme = profile.scheme
    values = hidden(
        {
            "a colon": f"{scheme}: {token}",
            "an equals sign": f"{scheme}={token}",
            "quotes": f'{scheme} "{token}"',
            "the scheme twice": f"{scheme} {scheme} {token}",
            "a second credential": f"{scheme} {token}, Basic b3duZXI6eA==",
            "two tokens": f"{scheme} {token} {token}",
            "a parameter": f"{scheme} {token};x=1",
            "named": f"{scheme} token={token}",
        }
    )
    answers = verdict.probe(
        raw, {name: api.compose_resource(value) for name, value in values.items()}
    )
    verdict.refused_all(answers, "one scheme and one token", status=profile.no_token | {400})


@check("BRR-13", must, "RFC 9110 §5.1")
def test_the_field_name_is_recognised_in_any_case(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """And its value with no blank behind the colon, or several.

    Usual cause: a dict of header fields by their names as sent.
    """
    value = api.authorization(token)
    lines = hidden(
        {
            "lower case": f"authorization: {value}",
            "upper case": f"AUTHORIZATION: {value}",
            "mixed case": f"aUtHoRiZaTiOn: {value}",
            "no blank": f"Authorization:{value}",
            "blanks around": f"Authorization:   {value}  ",
            "a TAB": f"Authorization:\t{value}",
        }
    )
    answers = verdict.probe(
        raw, {name: api.compose_resource(headers=[line.encode()]) for name, line in lines.items()}
    )
    verdict.accepted_all(answers, "field names are case-insensitive, white space is optional")


@check("BRR-14", should, "RFC 9112 §5.1 MUST")
def test_a_space_before_the_colon_is_a_bad_request(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """Two servers in a row that read it differently can be played against each other.

    Usual cause: the name is stripped, or looked up with the blank.
    """
    value = api.authorization(token)
    line = SecretStr(f"Authorization : {value}")
    answer = raw.send(api.compose_resource(headers=[line.encode()]))
    verdict.refused(answer, "no white space before the colon", status={400})


@check("BRR-15", must, "RFC 9112 §5.2")
def test_a_folded_line_is_refused_or_read_as_one(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """Usual cause: a line without a colon, and ``split(':', 1)`` ends in a 500."""
    scheme = api.profile.scheme
    answers = verdict.probe(
        raw,
        {
            "a blank": api.compose_resource(
                headers=[f"Authorization: {scheme}\r\n {token}".encode()]
            ),
            "a TAB": api.compose_resource(
                headers=[f"Authorization: {scheme}\r\n\t{token}".encode()]
            ),
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
    """A token stands for its whole field value, e.g. ``Bearer TOKEN``."""
    lines = [
        SecretStr(f"Authorization: {api.authorization(one) if isinstance(one, SecretStr) else one}")
        for one in credentials
    ]
    answer = raw.send(api.compose_resource(headers=[line.encode() for line in lines]))
    verdict.refused(answer, "one Authorization field", status=profile.no_token | {400})


@check("BRR-19", must, "RFC 6750 §2.3; ASVS 14.2.1")
def test_a_token_anywhere_else_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """In the query, a form where it takes a body, a cookie, and in other fields.

    Usual cause: a framework that looks in several places.
    """
    value, path = api.authorization(token), profile.resource.path
    requests = {
        "query": api.compose_resource(target=f"{path}?access_token={token}"),
        "query, token": api.compose_resource(target=f"{path}?token={token}"),
        "cookie": api.compose_resource(
            headers=[("Cookie", f"access_token={token}; token={token}")]
        ),
        "X-Authorization": api.compose_resource(headers=[("X-Authorization", value)]),
        "Proxy-Authorization": api.compose_resource(headers=[("Proxy-Authorization", value)]),
        "X-Access-Token": api.compose_resource(headers=[("X-Access-Token", token)]),
    }
    if profile.resource.given_body:
        requests["form"] = api.compose_resource(
            body=SecretBytes(f"access_token={token}".encode()),
            content_type="application/x-www-form-urlencoded",
        )
    answers = verdict.probe(raw, requests)
    promise = "a token is taken from Authorization only"
    verdict.refused_all(answers, promise, status=profile.no_token)


@check("BRR-20", must, 'OpenMV docs 10.9 ("without the handler seeing anything")')
def test_a_bad_token_is_refused_before_the_body_is_looked_at(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: the body is parsed in the framework or the decorator, and fails first."""
    bad = tokens.forge(token)
    answers = verdict.probe(
        raw,
        {
            "malformed": api.compose_resource(token=bad, body=b"{"),
            "empty": api.compose_resource(token=bad, body=b""),
            "no UTF-8": api.compose_resource(token=bad, body=b"\xff\xfe"),
            "without a token": api.compose_resource(body=b"{"),
        },
    )
    verdict.refused_all(answers, "without the handler seeing anything", status=profile.no_token)


@check("BRR-21", must, "OpenMV docs")
def test_a_body_without_the_field_gets_the_documented_answer(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: ``'count' in None`` for a body that is not JSON."""
    answers = verdict.probe(
        raw,
        {
            "{}": api.compose_resource(token=token, body={}),
            "[]": api.compose_resource(token=token, body=[]),
            "another field": api.compose_resource(token=token, body={"x": 1}),
            "text/plain": api.compose_resource(token=token, content_type="text/plain"),
        },
    )
    missing_field(answers, profile)


@check("BRR-22", must, "RFC 9110 §15.5.1")
def test_a_body_that_is_no_json_is_a_bad_request(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """None, an empty one, a malformed one.

    Usual cause: ``json.loads`` raises in ``request.json`` and ends in a 500.
    """
    answers = verdict.probe(
        raw,
        {
            "none": api.compose_resource(token=token, body=b"", content_type=None),
            "empty": api.compose_resource(token=token, body=b""),
            "malformed": api.compose_resource(token=token, body=b'{"count": '),
            "a word": api.compose_resource(token=token, body=b"count"),
            "no UTF-8": api.compose_resource(token=token, body=b'{"count": "\xff"}'),
        },
    )
    verdict.refused_all(answers, "a body of JSON is demanded", status=profile.malformed)


@check("BRR-23", must, "RFC 9110 §15.5.1")
def test_a_body_that_is_a_number_or_a_boolean_is_a_bad_request(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: ``'count' in 5`` is a TypeError and ends in a 500."""
    answers = verdict.probe(
        raw, {text: api.compose_resource(token=token, body=text.encode()) for text in ("5", "true")}
    )
    verdict.refused_all(answers, "a body is a JSON object", status=profile.malformed)


@check("BRR-24", must, 'OpenMV docs 10.9 ("missing count")')
def test_the_fields_name_in_a_text_or_a_list_is_not_the_field(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: ``'count' in body`` is true of a text and of a list that contain it."""
    field = profile.resource.body.required_field
    answers = verdict.probe(
        raw,
        {
            "a text": api.compose_resource(token=token, body=f"x{field}x"),
            "a list": api.compose_resource(token=token, body=[field]),
            "nested": api.compose_resource(token=token, body={"x": {field: 1}}),
        },
    )
    body = profile.resource.body
    verdict.refused_all(answers, body.missing_text, status={body.missing_status})


@check("BRR-25", should, "ASVS 2.2.1")
def test_a_field_of_the_wrong_kind_is_a_bad_request(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """null, another type than that of the documented value, and a number below zero.

    Usual cause: presence is checked, and not the value.
    """
    body = profile.resource.body
    field = body.required_field
    is_text = isinstance(body.sound.get(field), str)
    answers = verdict.probe(
        raw,
        {
            repr(value): api.compose_resource(token=token, body={**body.sound, field: value})
            for value in (None, [] if is_text else "x", -1)
        },
    )
    verdict.refused_all(answers, f"a sound {field!r} is demanded", status=profile.malformed)


@check("BRR-26", must, "WSTG-ATHN-04; ASVS 4.1.4")
def test_no_other_method_reaches_the_handler(api: Api, raw: RawClient, profile: Profile) -> None:
    """Other methods, a lower-case one, and overriding fields, all without a token.

    Usual cause: a guard that looks at one method only.
    """
    path = profile.resource.path
    methods = ("GET", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "post")
    override = "X-HTTP-Method-Override"
    answers = verdict.probe(
        raw,
        {method: api.compose_resource(method=method) for method in methods}
        | {
            "GET as POST": api.compose_resource(method="GET", headers=[(override, "POST")]),
            "POST as GET": api.compose_resource(headers=[(override, "GET")]),
            "_method": api.compose_resource(target=f"{path}?_method=POST", method="GET"),
        },
    )
    # RFC 9110 section 15.6.2: 501 is the answer to a method that is not known at all.
    verdict.refused_all(answers, "the handler never runs", status=[*NEVER_ACCEPTED, 501])
    options = raw.send(api.compose_resource(method="OPTIONS"))
    verdict.refused(options, "OPTIONS at most lists methods", status=[200, 204, *NEVER_ACCEPTED])
    if options.outcome is options.outcome.ACCEPTED and _is_the_answer(options, profile):
        verdict.broken("the handler never runs", options, "it ran for OPTIONS")


def _is_the_answer(answer: Answer, profile: Profile) -> bool:
    try:
        return bool(answer.json() == profile.resource.answer)
    except ValueError:
        return False


@check("BRR-27", must, "WSTG-ATHN-04")
def test_no_other_spelling_of_the_path_gets_around_the_guard(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """Usual cause: the guard matches the path as it is, the router a normalised one."""
    path = profile.resource.path
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
    answers = verdict.probe(
        raw, {target: api.compose_resource(target=target) for target in targets}
    )
    verdict.refused_all(
        # A redirection to the right path lets nobody in either.
        answers,
        "no token, no entry",
        status=profile.no_credentials | {301, 307, 308, 404, 400, 405},
    )


@check("BRR-28", must, 'jwt_tool "persistence check"')
def test_a_token_is_accepted_after_a_hundred_refused_ones(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Usual cause: a lock that counts refusals, or memory that is not given back."""
    forged = api.compose_resource(token=tokens.forge(token))
    answers = raw.send_all([forged] * 100)
    verdict.refused_all(
        {str(i): answer for i, answer in enumerate(answers, 1)},
        "a forged token",
        status=profile.bad_token,
    )
    verdict.accepted(raw.send(api.compose_resource(token=token)), "the sound token, after that")


@check("BRR-29", should, "robustness")
def test_fifty_parallel_calls_are_all_answered(api: Api, raw: RawClient, token: SecretStr) -> None:
    """Usual cause: a socket pool that runs dry."""
    answers = raw.send_all([api.compose_resource(token=token)] * 50)
    verdict.accepted_all({str(i): a for i, a in enumerate(answers, 1)}, "each call is answered")


@check("BRR-30", must, "cross-scheme")
def test_basic_credentials_do_not_open_the_token_route(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: one guard for both schemes."""
    scheme = profile.scheme
    answers = verdict.probe(
        raw,
        {
            "Basic": api.compose_resource(f"Basic {credentials.basic}"),
            f"under {scheme}": api.compose_resource(f"{scheme} {credentials.basic}"),
        },
    )
    verdict.refused_all(answers, "a token is demanded", status=profile.no_token)
