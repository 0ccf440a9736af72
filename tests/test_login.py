"""Login: a password is traded for a token, and only the right one, asked for the right way."""

from __future__ import annotations

import json
import time
import unicodedata
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from hil.auth import timing, tokens, verdict
from hil.auth.contract import NotPromised
from hil.auth.default_credentials import default_pairs
from hil.auth.redaction import hidden
from hil.check import check, must, should
from hil.errors import Finding, NotStartedError
from hil.secrets import SecretStr

if TYPE_CHECKING:
    from hil.auth.client import Api, Credentials
    from hil.auth.profile import Profile
    from hil.auth.raw import Answer, RawClient
    from hil.control import FileControl, PasswordControl
    from hil.fixtures.timing import SameTime

DOCS = "OpenMV docs 10.9"

# How far the board's clock may be from the host's, seconds: both follow NTP, and NTP sets a board's
# to a whole second.
CLOCK_TOLERANCE_S = 5

EPOCH_2000 = 946_684_800
"""2000-01-01 in Unix seconds: where stm32 and esp32 ports start counting."""

ANY_4XX = range(400, 500)


pytestmark = pytest.mark.usefixtures("login_control")


def decoded(answer: Answer, profile: Profile) -> tokens.Decoded:
    try:
        return tokens.decode(verdict.token_in(answer, profile.login.token_field))
    except ValueError as error:
        verdict.broken("the token is three segments of base64url JSON", answer, str(error))


def bad_request(profile: Profile) -> frozenset[int]:
    """Statuses for a login that lacks what it must have."""
    return profile.wrong_password | profile.malformed


@check("LOG-01", must, "OpenMV docs 10.9.2")
def test_the_right_password_gets_a_token(api: Api, raw: RawClient, profile: Profile) -> None:
    """A JSON object comes back with a token of three base64url segments.

    Usual cause: the token is in another field, or bytes were put into JSON as ``b'…'``.
    """
    decoded(raw.send(api.compose_login()), profile)


@check("LOG-02", must, "RFC 8725 §3.1; ASVS 9.1.2")
def test_the_token_is_signed_with_an_allowed_algorithm(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """The header names an algorithm of the profile's list, and the type JWT.

    Usual cause: a JWT library whose default is ``none``, or which leaves ``typ`` out.
    """
    answer = raw.send(api.compose_login())
    header = decoded(answer, profile).header
    if header.get("alg") not in profile.token.algorithms:
        verdict.broken(
            f"alg is one of {', '.join(profile.token.algorithms)}",
            answer,
            f"alg {header.get('alg')!r}",
        )
    if header.get("typ") != profile.token.type:
        verdict.broken(f"typ is {profile.token.type}", answer, f"typ {header.get('typ')!r}")


@check("LOG-03", must, "OpenMV docs 10.9.2")
def test_the_token_says_who_and_until_when_and_nothing_else(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """``sub`` is the user, ``exp`` a JSON number, and no claim is there that the profile lacks. The
    same for a login whose body brings claims of its own, unless it is refused.

    Usual cause: ``exp`` written as text, an internal field of the user that went along, or the
    body's members taken over into the claims.
    """
    _says_who_and_until_when(raw.send(api.compose_login()), profile)
    if profile.login.encoding == "basic":
        return  # a request without a body, which brings nothing
    claims = sorted({*profile.token.claims, "sub", "role"})
    brought: dict[str, str | int] = dict.fromkeys(claims, "mallory")
    brought["exp"] = int(time.time()) + 10 * 365 * 86_400
    answer = raw.send(api.compose_login(more=brought))
    if answer.status not in profile.malformed:
        _says_who_and_until_when(answer, profile)
        if decoded(answer, profile).claims["exp"] == brought["exp"]:
            verdict.broken("the server decides how long a token lives", answer, "the body did")


def _says_who_and_until_when(answer: Answer, profile: Profile) -> None:
    claims = decoded(answer, profile).claims
    for name, value in profile.token.claims.items():
        if claims.get(name) != value:
            verdict.broken(f"claim {name} is {value!r}", answer, f"it is {claims.get(name)!r}")
    exp = claims.get("exp")
    if not isinstance(exp, int | float) or isinstance(exp, bool):
        verdict.broken("exp is a JSON number", answer, f"it is a {type(exp).__name__}")
    if lacking := sorted(set(profile.token.required_claims) - claims.keys()):
        verdict.broken(f"it has the claims {', '.join(lacking)}", answer, "it has not")
    kind = profile.token
    allowed = {"exp", *kind.claims, *kind.required_claims, *kind.optional_claims}
    if extra := sorted(claims.keys() - allowed):
        verdict.broken(
            f"the claims are {', '.join(sorted(allowed))}", answer, f"also {', '.join(extra)}"
        )


@check("LOG-04", must, 'OpenMV docs 10.9 ("exp is a Unix timestamp"); RFC 7519 §2 NumericDate')
def test_exp_is_a_unix_timestamp(api: Api, raw: RawClient, profile: Profile) -> None:
    """``exp`` is the host's Unix time plus the lifetime: any client can tell when a token ends.

    Usual cause: ``int(time.time())`` on a port that counts from 2000 (stm32, esp32).
    """
    before = time.time()
    answer = raw.send(api.compose_login())
    after = time.time()
    exp = decoded(answer, profile).claims.get("exp")
    if not isinstance(exp, int | float):
        verdict.broken("exp is Unix time", answer, f"it is a {type(exp).__name__}")
    issued = exp - profile.token.lifetime_s
    if not before - CLOCK_TOLERANCE_S <= issued <= after + CLOCK_TOLERANCE_S:
        off = round(issued - before)
        told = f"it is {off:+d} s from that"
        if abs(off + EPOCH_2000) <= CLOCK_TOLERANCE_S:
            told += ": seconds since 2000, not since 1970"
        verdict.broken(f"exp is Unix time + {profile.token.lifetime_s}", answer, told)


@check("LOG-05", should, "RFC 6750 §5.3")
def test_a_token_lives_no_longer_than_promised(api: Api, raw: RawClient, profile: Profile) -> None:
    """The time from now to ``exp`` is at most the profile's lifetime.

    Usual cause: a lifetime in minutes or milliseconds.
    """
    answer = raw.send(api.compose_login())
    exp = decoded(answer, profile).claims.get("exp")
    left = profile.unix(exp) - time.time() if isinstance(exp, int | float) else float("inf")
    if left > profile.token.lifetime_s + CLOCK_TOLERANCE_S:
        verdict.broken(f"at most {profile.token.lifetime_s} s", answer, f"it lives {left:.0f} s")


@check("LOG-06", must, "OpenMV docs")
def test_a_wrong_password_is_refused(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: an ``or`` for an ``and``, or a comparison with an unset password."""
    words = {
        "another word": "wrong-Password-17",
        "the user's name": credentials.user,
        "as long as the right one": "x" * len(credentials.password),
    }
    answers = verdict.probe(
        raw,
        {
            name: api.compose_login(password=word)
            for name, word in words.items()
            if word != credentials.password  # then it is no wrong one
        },
    )
    verdict.refused_all(answers, "a wrong password gets no token", status=profile.wrong_password)
    for answer in answers.values():
        if answer.status != profile.refusals.throttled:
            verdict.says(answer, "a wrong password", profile.refusals.bodies.get("password"))


@check("LOG-07", should, "ASVS 6.3.8; WSTG-IDNT-04")
def test_a_refusal_does_not_tell_whether_the_user_exists(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """An unknown user and a wrong password get the same status, header fields and body.

    Usual cause: "no such user" in the answer's text.
    """
    unknown, wrong = raw.send_all(
        [api.compose_login(user="nobody-here"), api.compose_login(password="wrong")]
    )
    verdict.refused_all(
        {"unknown user": unknown, "wrong password": wrong},
        "both are refused",
        status=profile.wrong_password,
    )
    verdict.indistinguishable(
        {"a wrong password": wrong, "an unknown user": unknown}, "the same answer to both"
    )


@check("LOG-08", should, "ASVS 6.3.8")
@pytest.mark.timeout(timing.TIMEOUT_S)
def test_a_refusal_takes_as_long_for_an_unknown_user(
    api: Api, profile: Profile, credentials: Credentials, same_time: SameTime
) -> None:
    """One wrong password, for the user and for a name of the same length, in 200 timed pairs.

    A finding is a difference that shows in two batches of them, of which a plain one ends at a
    quarter or half; the report tells what this link could resolve.

    Usual cause: the password is hashed for a known user only.
    """
    nobody = timing.another_name(credentials.user)
    password = "a-wrong-password"
    same_time(
        {
            "a wrong password": api.compose_login(password=password),
            "an unknown user": api.compose_login(user=nobody, password=password),
        },
        "the time of a refusal does not tell whether the user exists",
        status=profile.wrong_password,
        throttled=profile.refusals.throttled,
        right=api.compose_login(),
    )


@check("LOG-09", must, "OpenMV docs 10.9")
def test_a_login_without_user_or_password_is_refused(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """Usual cause: ``None == load_password()`` where no password is stored."""
    answers = verdict.probe(
        raw,
        {
            "neither": api.compose_login(user=..., password=...),
            "no password": api.compose_login(password=...),
            "no user": api.compose_login(user=...),
        },
    )
    verdict.refused_all(answers, "both fields are demanded", status=bad_request(profile))


@check("LOG-10", must, "ASVS 16.5.3")
def test_a_password_that_is_no_text_is_refused(api: Api, raw: RawClient, profile: Profile) -> None:
    """null, an empty text, an array, an object, a boolean and a number open nothing.

    Usual cause: a hash function that fails on them with a 5xx, or ``True ==`` in a comparison.
    """
    values: dict[str, Any] = {"null": None, '""': "", "[]": [], "{}": {}, "true": True, "0": 0}
    answers = verdict.probe(
        raw, {name: api.compose_login(password=value) for name, value in values.items()}
    )
    verdict.refused_all(answers, "a password is a text", status=bad_request(profile))


@check("LOG-11", must, "ASVS 6.2.1")
def test_an_empty_password_store_lets_nobody_in(
    api: Api,
    raw: RawClient,
    profile: Profile,
    files: FileControl,
    password_control: PasswordControl,
) -> None:
    """With nothing stored, the empty password and the one of before are refused.

    Usual cause: an empty file read as the password ``""``.
    """
    answers = {}
    for name, content in {"an empty file": b"", "an empty object": b"{}"}.items():
        files.write(password_control.path, content)
        answers[f'{name}, ""'] = raw.send(api.compose_login(password=""))
        answers[f"{name}, null"] = raw.send(api.compose_login(password=None))
        answers[f"{name}, the one of before"] = raw.send(api.compose_login())
    allowed = bad_request(profile) | {503}
    verdict.refused_all(answers, "no stored password, no token", status=allowed)


@check("LOG-12", should, "ASVS 16.5.2")
def test_a_missing_password_store_lets_nobody_in(
    api: Api,
    raw: RawClient,
    profile: Profile,
    files: FileControl,
    password_control: PasswordControl,
) -> None:
    """Without the file that stores it, any password is refused, by 401 or by 503.

    Usual cause: an exception while reading it, that ends in a 500.
    """
    files.remove(password_control.path)
    answers = {
        "empty": raw.send(api.compose_login(password="")),
        "the one of before": raw.send(api.compose_login()),
    }
    allowed = profile.wrong_password | {503}
    verdict.refused_all(answers, "no stored password, no token", status=allowed)


@check("LOG-13", must, "RFC 9110 §15.5.16")
def test_credentials_in_plain_text_are_refused(api: Api, raw: RawClient) -> None:
    """Content-Type ``text/plain``: what a browser sends across origins without asking.

    Usual cause: the body is parsed as JSON whatever its type; or ``request.json`` is None, and
    ``None.get`` ends in a 500.
    """
    answer = raw.send(api.compose_login(content_type="text/plain"))
    verdict.refused(answer, "a login is application/json", status=ANY_4XX)


@check("LOG-14", must, "RFC 9110 §15.5.16")
@pytest.mark.usefixtures("json_login")
def test_credentials_without_a_content_type_are_refused(api: Api, raw: RawClient) -> None:
    """Usual cause: ``request.json`` is None, and ``None.get`` ends in a 500."""
    answer = raw.send(api.compose_login(content_type=None))
    verdict.refused(answer, "a login is application/json", status=ANY_4XX)


@check("LOG-15", must, "RFC 9110 §15.5.16")
def test_credentials_in_a_form_are_refused(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: a framework that reads form and JSON alike."""
    form = SecretStr(urlencode(_form(profile, credentials)))
    answer = raw.send(
        api.compose_login(body=form.encode(), content_type="application/x-www-form-urlencoded")
    )
    verdict.refused(answer, "a login is application/json", status=ANY_4XX)


def _form(profile: Profile, credentials: Credentials) -> dict[str, str]:
    login = profile.login
    return {login.user_field: credentials.user, login.password_field: credentials.password}


@check("LOG-16", must, "RFC 9110 §15.5.1")
def test_malformed_json_is_a_bad_request(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: the parser's exception is not caught and ends in a 500."""
    sound = SecretStr(json.dumps(_form(profile, credentials)))
    bodies = hidden(
        {
            "no end": sound[:-1],
            "single quotes": sound.replace('"', "'"),
            "no colon": sound.replace('": ', '" '),
            "no quotes": f"{{{profile.login.user_field}: {credentials.user}}}",
            "a comma too many": sound[:-1] + ",}",
            "a lone brace": "{",
            "no JSON at all": "hello",
        }
    )
    answers = verdict.probe(
        raw, {name: api.compose_login(body=body.encode()) for name, body in bodies.items()}
    )
    verdict.refused_all(answers, "malformed JSON is refused", status=profile.malformed)


@check("LOG-17", must, "RFC 9110 §15.5.1")
@pytest.mark.usefixtures("json_login")
def test_an_empty_body_is_a_bad_request(api: Api, raw: RawClient, profile: Profile) -> None:
    """Usual cause: ``json.loads(b"")`` raises and ends in a 500."""
    answer = raw.send(api.compose_login(body=b""))
    verdict.refused(answer, "an empty body", status=profile.malformed)


@check("LOG-18", must, "RFC 9110 §15.5.1")
def test_json_that_is_no_object_is_a_bad_request(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """An array, a text, a number, true, null.

    Usual cause: ``.get`` of what is no dict ends in a 500.
    """
    bodies = [b"[]", b'["user", "pass"]', b'"user"', b"5", b"true", b"null"]
    answers = verdict.probe(raw, {b.decode(): api.compose_login(body=b) for b in bodies})
    verdict.refused_all(answers, "a login is a JSON object", status=profile.malformed)


@check("LOG-19", must, "RFC 9110 §15.5.1")
def test_json_with_something_behind_it_is_a_bad_request(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: MicroPython's ``json.load`` stops after the first value and ignores the rest."""
    sound = SecretStr(json.dumps(_form(profile, credentials)))
    tails = {"a word": " x", "a brace": "}", "a second object": ' {"a": 1}', "NUL": "\0"}
    answers = verdict.probe(
        raw,
        {name: api.compose_login(body=(sound + tail).encode()) for name, tail in tails.items()},
    )
    verdict.refused_all(answers, "one JSON value and nothing more", status=profile.malformed)


@check("LOG-20", must, "RFC 8259 §8.1")
def test_json_is_utf8(api: Api, raw: RawClient, profile: Profile, credentials: Credentials) -> None:
    """UTF-16 and invalid UTF-8 are bad requests; a byte order mark may also be ignored.

    Usual cause: ``.decode()`` raises UnicodeError, which nobody catches.
    """
    sound = SecretStr(json.dumps(_form(profile, credentials)))
    verdict.refused_all(
        verdict.probe(
            raw,
            {
                "UTF-16": api.compose_login(body=sound.encode("utf-16")),
                "a lone continuation byte": api.compose_login(
                    body=sound.encode().replace(b'"}', b'\x80"}')
                ),
                "Latin-1": api.compose_login(body=sound.encode().replace(b'"}', b'\xfc"}')),
                "an overlong slash": api.compose_login(
                    body=sound.encode().replace(b'"}', b'\xc0\xaf"}')
                ),
            },
        ),
        "JSON is UTF-8",
        status=profile.malformed,
    )
    answer = raw.send(api.compose_login(body=sound.encode("utf-8-sig")))
    promise = "a byte order mark is refused or ignored"
    verdict.refused(answer, promise, status=profile.malformed | {200})


@check("LOG-21", must, "RFC 9110 §8.3.1 (case-insensitive)")
def test_the_media_type_is_recognised_in_any_case(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """Usual cause: microdot compares ``application/json`` with case."""
    answer = raw.send(api.compose_login(content_type="Application/JSON"))
    verdict.accepted(answer, "media types are case-insensitive")
    decoded(answer, profile)


@check("LOG-22", should, "RFC 9110 §5.6.6")
def test_a_space_before_the_media_types_parameter_is_accepted(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """Usual cause: microdot splits at ``;`` and strips nothing."""
    answer = raw.send(api.compose_login(content_type="application/json ; charset=utf-8"))
    verdict.accepted(answer, "optional white space around ';'")
    decoded(answer, profile)


@check("LOG-23", must, "RFC 9110 §5.6.6")
def test_a_media_type_with_a_charset_is_accepted(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """Usual cause: the whole field is compared with ``application/json``."""
    answer = raw.send(api.compose_login(content_type="application/json; charset=utf-8"))
    verdict.accepted(answer, "a charset parameter changes nothing")
    decoded(answer, profile)


@check("LOG-24", should, "RFC 8259 §4")
def test_a_password_given_twice_is_refused(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Two parsers that read different ones let a filter be passed by.

    Usual cause: the JSON parser silently keeps the last.
    """
    login = profile.login
    body = SecretStr(
        f'{{"{login.user_field}": {json.dumps(credentials.user)}, '
        f'"{login.password_field}": "wrong", '
        f'"{login.password_field}": {json.dumps(credentials.password)}}}'
    )
    answer = raw.send(api.compose_login(body=body.encode()))
    verdict.refused(answer, "a field given twice", status=bad_request(profile))


@check("LOG-25", must, "ASVS 6.2.5")
def test_a_password_may_have_any_character(
    api: Api, raw: RawClient, profile: Profile, password_control: PasswordControl
) -> None:
    """Written as UTF-8 or with escapes, in JSON it is the same text; in NFD it is another one. It
    may be 64 characters long (ASVS 6.2.9), and the last one counts.

    Usual cause: surrogate pairs, which MicroPython's ``json`` does not join; a hash that reads 72
    bytes.
    """
    try:
        password_control.change(("Grüße-Ключ-鍵-😀" * 5)[:64])
    except NotStartedError as error:
        raise Finding(f"{error.message}\npromised: 64 characters, whatever they are") from None
    verdict.accepted_all(
        verdict.probe(
            raw,
            {
                "UTF-8": api.compose_login(),
                "escapes": api.compose_login(
                    body=json.dumps(_form(profile, api.credentials), ensure_ascii=True).encode()
                ),
            },
        ),
        "a non-ASCII password",
    )
    right = api.credentials.password
    others = {
        "NFD": unicodedata.normalize("NFD", right),
        "another last character": right[:-1] + "x",
    }
    verdict.refused_all(
        verdict.probe(
            raw,
            {name: api.compose_login(password=other) for name, other in hidden(others).items()},
        ),
        "a password is compared exactly",
        status=profile.wrong_password,
    )


@check("LOG-26", must, "ASVS 6.2.8")
def test_a_password_is_compared_exactly(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """No other case, no prefix, nothing before or behind it.

    Usual cause: ``strip()`` on what was read from a file, or a comparison up to the shorter length.
    """
    right = credentials.password
    variants = hidden(
        {
            "other case": right.swapcase(),
            "upper case": right.upper(),
            "a prefix": right[:-1],
            "the first half": right[: len(right) // 2],
            "a space behind": right + " ",
            "a space before": " " + right,
            "a line feed behind": right + "\n",
            "CR LF behind": right + "\r\n",
            "a NUL behind": right + "\0",
            "a NUL and more behind": right + "\0x",
            "doubled": right + right,
            "NFD": unicodedata.normalize("NFD", right),
        }
    )
    answers = verdict.probe(
        raw,
        {
            name: api.compose_login(password=other)
            for name, other in variants.items()
            if other != right
        },
    )
    verdict.refused_all(
        answers, "almost the password is not the password", status=profile.wrong_password
    )


@check("LOG-27", must, "ASVS 6.2.8")
def test_a_user_name_is_compared_exactly(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: ``lower()`` or ``strip()`` on one side."""
    user = credentials.user
    variants = {
        "capital": user.capitalize(),
        "upper case": user.upper(),
        "a space behind": user + " ",
        "a space before": " " + user,
        "a NUL behind": user + "\0",
        "a prefix": user[:-1],
        "empty": "",
    }
    answers = verdict.probe(
        raw,
        {name: api.compose_login(user=other) for name, other in variants.items() if other != user},
    )
    verdict.refused_all(answers, "almost the user is not the user", status=bad_request(profile))


@check("LOG-28", must, "robustness")
def test_a_long_password_is_refused_like_any_wrong_one(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Of 64 and of 4096 characters, and the right one with much behind it (bcrypt reads 72).

    Usual cause: a buffer or a hash with a limit; out of memory ends in a 500.
    """
    right = credentials.password
    variants = {
        "64": "x" * 64,
        "4096": "x" * 4096,
        "the right one and more": right + "x" * (4096 - len(right)),
    }
    answers = verdict.probe(
        raw, {name: api.compose_login(password=long) for name, long in variants.items()}
    )
    verdict.refused_all(
        answers, "a long wrong password is a wrong password", status=profile.wrong_password
    )


@check("LOG-29", must, "RFC 9110 §15.5.14")
def test_a_body_over_the_limit_is_refused(api: Api, raw: RawClient, profile: Profile) -> None:
    """413, without reading it: a reset that follows the answer is in order.

    Usual cause: the body is read into memory first; or 400 because it was never read at all.
    """
    if profile.login.encoding == "basic":
        raise NotPromised("its login has no body, but Basic credentials")
    password = "x" * (profile.body_limit + 1024)
    answer = raw.send(api.compose_login(password=password))
    verdict.refused(answer, "content too large", status={413})


@check("LOG-30", must, "ASVS 16.5.3")
def test_deeply_nested_json_does_no_harm(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """A login with a value nested 300 to 7000 deep is refused, or let in by a parser that copes: no
    5xx, no reset, and the application goes on.

    Usual cause: a recursive parser overflows the C stack, and the board resets.
    """
    sound = SecretStr(json.dumps(_form(profile, credentials)))
    answers = {}
    for depth in (300, 1000, 3000, 7000):
        body = SecretStr(f'{sound[:-1]}, "x": {"[" * depth}{"]" * depth}}}')
        answers[f"{depth} deep"] = raw.send(api.compose_login(body=body.encode()))
    verdict.refused_all(answers, "deep nesting does no harm", status={*ANY_4XX, 200})


@check("LOG-31", must, "ASVS 14.2.1")
def test_credentials_in_the_query_are_refused(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """A query stands in logs, histories and Referer fields.

    Usual cause: a framework whose ``request.args`` and body are merged.
    """
    target = SecretStr(f"{profile.login.path}?{urlencode(_form(profile, credentials))}")
    answers = verdict.probe(
        raw,
        {
            "no body": api.compose_login(target=target, body=b"", content_type=None),
            "an empty object": api.compose_login(target=target, body={}),
            "GET": api.compose_login(target=target, body=b"", content_type=None, method="GET"),
        },
    )
    verdict.refused_all(answers, "credentials in the query count for nothing", status=ANY_4XX)


@check("LOG-32", must, "RFC 9110 §15.5.6")
def test_other_methods_are_not_allowed(api: Api, raw: RawClient, profile: Profile) -> None:
    """GET, PUT, DELETE and TRACE get 405, with good credentials, too; or the refusal of another
    route that takes them, where the profile says so.

    Usual cause: 404 of a router that matches method and path at once; or a route for all methods.
    """
    verdict.refused_all(
        _by_other_methods(api, raw), "a login is a POST", status=profile.wrong_method
    )


def _by_other_methods(api: Api, raw: RawClient) -> dict[str, Answer]:
    return verdict.probe(
        raw, {method: api.compose_login(method=method) for method in _OTHER_METHODS}
    )


_OTHER_METHODS = ("PUT", "GET", "DELETE", "TRACE")


@check("LOG-33", should, "RFC 9110 §15.5.6 MUST")
def test_a_405_tells_what_is_allowed(api: Api, raw: RawClient, profile: Profile) -> None:
    """Usual cause: microdot sends no Allow."""
    answers = _by_other_methods(api, raw)
    answer = next((one for one in answers.values() if one.status == 405), None)
    if answer is None:
        verdict.refused_all(answers, "a login is a POST", status=profile.wrong_method)
        raise NotPromised(f"it refuses all other methods by {profile.refusals.method}")
    allow = answer.header("Allow") or ""
    if profile.login.method not in [method.strip() for method in allow.split(",")]:
        verdict.broken(f"Allow names {profile.login.method}", answer, f"Allow is {allow!r}")


@check("LOG-34", should, "RFC 9110 §15.5.2 MUST")
def test_a_refused_login_carries_a_challenge(api: Api, raw: RawClient, profile: Profile) -> None:
    """Where it is a 401. Usual cause: ``abort(401)``, which adds no header field."""
    profile.demand_challenge()
    if 401 not in profile.bad_password:
        raise NotPromised(f"it refuses a wrong password by {profile.refusals.password}")
    answer = raw.send(api.compose_login(password="wrong"))
    verdict.refused(answer, "a wrong password", status=profile.bad_password)
    if not answer.all("WWW-Authenticate"):
        verdict.broken("a 401 carries WWW-Authenticate", answer, "it has none")


@check("LOG-35", should, "RFC 6749 §5.1; ASVS 14.3.2")
def test_a_token_is_not_stored_by_caches(api: Api, raw: RawClient) -> None:
    """Usual cause: nobody set the field."""
    answer = raw.send(api.compose_login())
    verdict.accepted(answer, "the right password")
    if "no-store" not in (answer.header("Cache-Control") or "").lower():
        verdict.broken("Cache-Control: no-store", answer, f"{answer.header('Cache-Control')!r}")


@check("LOG-37", must, "ASVS 6.3.2; WSTG-ATHN-02")
def test_no_default_credentials_open_it(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Twenty pairs that cameras and boards are shipped with, and guides tell to change; and those
    that the system's own document publishes. The password in use may be one of them.

    Usual cause: a fallback for a missing settings file; a password that nobody has to change.
    """
    pairs = default_pairs(credentials.user, profile.published.passwords)
    answers = verdict.probe(
        raw,
        {
            name: api.compose_login(user=user, password=password)
            for name, (user, password) in pairs.items()
        },
    )
    verdict.refused_all(answers, "default credentials are refused", status=bad_request(profile))


@check("LOG-38", should, "ASVS 7.2.4")
def test_two_logins_in_one_second_get_different_tokens(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """Usual cause: nothing in the claims but ``sub`` and an ``exp`` in whole seconds."""
    answers = raw.send_all([api.compose_login()] * 4)
    distinct = {verdict.token_in(answer, profile.login.token_field) for answer in answers}
    if len(distinct) < len(answers):
        verdict.broken("each login gets a token of its own", answers[0], "the same token again")


@check("LOG-39", should, "robustness")
def test_fifty_parallel_logins_are_all_answered(api: Api, raw: RawClient) -> None:
    """Usual cause: a socket pool that runs dry."""
    answers = raw.send_all([api.compose_login()] * 50)
    verdict.accepted_all({str(i): a for i, a in enumerate(answers, 1)}, "each login is answered")


@check("LOG-40", must, "ASVS 4.1.1")
def test_a_login_answers_json_without_the_password(
    api: Api, raw: RawClient, credentials: Credentials
) -> None:
    """Usual cause: an answer that echoes the request; ``text/plain`` for a JSON text."""
    answer = raw.send(api.compose_login())
    verdict.accepted(answer, "the right password")
    media_type = (answer.header("Content-Type") or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        verdict.broken("the answer is application/json", answer, f"it is {media_type!r}")
    if credentials.password.encode() in answer.body:
        verdict.broken("no password in the answer", answer, "it is there")


@check("LOG-36", should, "ASVS 6.3.1; WSTG-ATHN-03")
def test_guessing_passwords_gets_slow(api: Api, raw: RawClient, profile: Profile) -> None:
    """Within 100 wrong passwords in a row, answers are 429 or clearly delayed; the right password
    still works. The check stops guessing as soon as it sees either.

    Usual cause: nothing counts failures.
    """
    usual = min(_timed(api, raw, profile)[1] for _ in range(5))
    for _ in range(95):
        status, took = _timed(api, raw, profile)
        # Three in a row cannot be a pause of the garbage collector.
        if status == profile.refusals.throttled or (
            took > 2 * usual + 0.02
            and min(_timed(api, raw, profile)[1] for _ in range(2)) > 2 * usual + 0.02
        ):
            break
    else:
        raise Finding(
            f"100 wrong passwords, each refused in about {usual * 1000:.0f} ms; "
            "promised: guessing is throttled"
        )
    verdict.accepted(raw.send(api.compose_login()), "the right password works after that")


def _timed(api: Api, raw: RawClient, profile: Profile) -> tuple[int | None, float]:
    began = time.monotonic()
    answer = raw.send(api.compose_login(password="a-guess"))
    verdict.refused(answer, "a wrong password", status=profile.wrong_password)
    return answer.status, time.monotonic() - began
