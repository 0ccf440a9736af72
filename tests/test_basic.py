"""Basic: the admin route for a closed network, its challenge, and how credentials are read."""

from __future__ import annotations

import time
import unicodedata
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from hil.auth import timing, verdict
from hil.auth.challenge import challenge
from hil.auth.client import basic
from hil.auth.default_credentials import default_pairs
from hil.auth.redaction import hidden
from hil.check import check, must, should
from hil.errors import Finding
from hil.secrets import SecretBytes, SecretStr

if TYPE_CHECKING:
    from hil.auth.client import Api, Credentials
    from hil.auth.profile import Profile
    from hil.auth.raw import Answer, RawClient, Request
    from hil.control import PasswordControl
    from hil.fixtures.timing import SameTime
    from hil.target import Target


pytestmark = pytest.mark.usefixtures("basic_control")


def sound(api: Api) -> Request:
    return api.compose_basic(f"Basic {api.credentials.basic}")


def opened(answer: Answer, profile: Profile) -> None:
    """The answer is the admin page."""
    verdict.accepted(answer, "the right credentials")
    if answer.text != profile.basic.answer:
        verdict.broken(f"the body is {profile.basic.answer!r}", answer, "it is another text")


def basic_challenge(answer: Answer) -> dict[str, str]:
    """The parameters of the answer's Basic challenge."""
    found = challenge(answer.all("WWW-Authenticate"), "Basic")
    if found is None:
        values = answer.all("WWW-Authenticate")
        verdict.broken("a 401 carries a Basic challenge", answer, f"WWW-Authenticate is {values}")
    return found.parameters


@check("BAS-01", must, "RFC 7617 §2")
def test_no_credentials_get_a_challenge(api: Api, raw: RawClient, profile: Profile) -> None:
    """Without the challenge a browser shows no dialog.

    Usual cause: ``abort(401)``, which adds no header field.
    """
    answer = raw.send(api.compose_basic())
    verdict.refused(answer, "no credentials", status=profile.no_credentials)
    basic_challenge(answer)


@check("BAS-02", must, "OpenMV docs 10.9; RFC 7617 §2, §2.1")
def test_the_challenge_names_the_realm(api: Api, raw: RawClient, profile: Profile) -> None:
    """The documented realm to the letter; a charset, if there is one, is UTF-8.

    Usual cause: a framework's default realm.
    """
    answer = raw.send(api.compose_basic())
    verdict.refused(answer, "no credentials", status=profile.no_credentials)
    parameters = basic_challenge(answer)
    if parameters.get("realm") != profile.basic.realm:
        verdict.broken(
            f"the realm is {profile.basic.realm!r}", answer, f"it is {parameters.get('realm')!r}"
        )
    if parameters.get("charset", "UTF-8").upper() != "UTF-8":
        verdict.broken("charset is UTF-8", answer, f"it is {parameters['charset']!r}")


@check("BAS-03", must, "OpenMV docs 10.9")
def test_the_right_credentials_open_it(api: Api, raw: RawClient, profile: Profile) -> None:
    """Usual cause: the identity does not reach the handler."""
    opened(raw.send(sound(api)), profile)


@check("BAS-04", must, "OpenMV docs 10.9; ASVS 6.3.8")
def test_wrong_credentials_get_the_same_challenge(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """A wrong user and a wrong password are not told apart.

    Usual cause: "no such user" in the answer's text.
    """
    answers = verdict.probe(
        raw,
        {
            "wrong password": compose(api, credentials.user, "wrong"),
            "wrong user": compose(api, "nobody", credentials.password),
            "both": compose(api, "nobody", "wrong"),
        },
    )
    verdict.refused_all(answers, "wrong credentials", status=profile.bad_password)
    basic_challenge(answers["wrong password"])
    verdict.indistinguishable(answers, "the same answer as to a wrong password")


def compose(api: Api, user: str | bytes, password: str | bytes) -> Request:
    """A visit with these credentials."""
    return api.compose_basic(f"Basic {basic(user, password)}")


@check("BAS-05", must, "RFC 7617 §2; RFC 9110 §11.1")
def test_the_scheme_is_recognised_in_any_case(
    api: Api, raw: RawClient, credentials: Credentials
) -> None:
    """Usual cause: microdot's ``startswith('Basic ')``."""
    answers = verdict.probe(
        raw,
        {
            scheme: api.compose_basic(f"{scheme} {credentials.basic}")
            for scheme in ("basic", "BASIC", "bAsIc")
        },
    )
    verdict.accepted_all(answers, "a scheme is case-insensitive")


@check("BAS-06", should, "RFC 9110 §11.4")
def test_several_blanks_after_the_scheme_are_accepted(
    api: Api, raw: RawClient, credentials: Credentials
) -> None:
    """Usual cause: the credentials are everything after the first blank."""
    answer = raw.send(api.compose_basic(f"Basic  {credentials.basic}"))
    verdict.accepted(answer, "one blank or more")


@check("BAS-07", must, "RFC 7617 §2")
def test_malformed_credentials_are_refused(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: an exception of ``a2b_base64`` or of ``split(':', 1)`` that nobody catches."""
    no_colon = SecretStr(basic(credentials.user, "").rstrip("=")[:-1])
    values = hidden(
        {
            "empty": "",
            "scheme only": "Basic",
            "scheme and a blank": "Basic ",
            "not base64": "Basic !!!!",
            "one character": "Basic b",
            "no colon": "Basic b3duZXI=",
            "cut": f"Basic {no_colon}",
            "in clear": f"Basic {credentials.user}:{credentials.password}",
            "TAB": f"Basic\t{credentials.basic}",
            "no scheme": str(credentials.basic),
            "twice": f"Basic Basic {credentials.basic}",
            "quotes": f'Basic "{credentials.basic}"',
        }
    )
    answers = verdict.probe(raw, {name: api.compose_basic(value) for name, value in values.items()})
    verdict.refused_all(answers, "malformed credentials", status=profile.bad_password)


@check("BAS-08", must, "RFC 7617 §2.1")
def test_credentials_that_are_not_utf8_are_refused(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: ``.decode()`` raises UnicodeError and ends in a 500."""
    user, password = credentials.user.encode(), SecretBytes(credentials.password.encode())
    variants: dict[str, tuple[str | bytes, str | bytes]] = {
        "a password of stray bytes": (user, b"\xff\xfe\x80"),
        "stray bytes behind the password": (user, SecretBytes(password + b"\x80")),
        "a user of stray bytes": (b"\xff\xfe", password),
        "a surrogate": (user, b"\xed\xa0\x80"),
        "Latin-1": (user, "pässwörd".encode("latin-1")),
        "overlong": (user, b"\xc1\xb0"),
    }
    answers = verdict.probe(raw, {name: compose(api, *pair) for name, pair in variants.items()})
    verdict.refused_all(answers, "credentials are UTF-8", status=profile.wrong_password)
    # A field value that is no ASCII at all, not even base64.
    answer = raw.send(api.compose_basic(b"Basic \xff\xfe\xe9"))
    verdict.refused(answer, "credentials are base64", status=profile.bad_password | {400})


@check("BAS-09", must, "RFC 7617 §2, §2.1")
def test_a_password_may_have_a_colon_and_any_character(
    api: Api, raw: RawClient, profile: Profile, password_control: PasswordControl
) -> None:
    """In UTF-8 it is accepted, in Latin-1 refused; the first colon ends the user's name.

    Usual cause: ``split(':')`` without a limit; a comparison of bytes with text.
    """
    password_control.change("pä:ss:wörd:")
    user, password = api.credentials.user, api.credentials.password
    verdict.accepted(raw.send(sound(api)), "a password with colons and umlauts")
    answers = verdict.probe(
        raw,
        {
            "Latin-1": compose(api, user, password.encode("latin-1")),
            "NFD": compose(api, user, unicodedata.normalize("NFD", password)),
            "up to the colon": compose(api, user, password.partition(":")[0]),
            "without the last colon": compose(api, user, password[:-1]),
        },
    )
    verdict.refused_all(answers, "a password is compared exactly", status=profile.wrong_password)


@check("BAS-10", must, "RFC 7617 §2 (no CTL)")
def test_control_characters_in_credentials_are_refused(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: ``strip()``, or a comparison in C that stops at NUL."""
    user, password = credentials.user, credentials.password
    variants = {
        "NUL behind the password": (user, SecretStr(password + "\0")),
        "NUL and more": (user, SecretStr(password + "\0x")),
        "LF behind the password": (user, SecretStr(password + "\n")),
        "CR LF behind the password": (user, SecretStr(password + "\r\n")),
        "NUL behind the user": (user + "\0", password),
        "LF behind the user": (user + "\n", password),
        "LF before the user": ("\n" + user, password),
    }
    answers = verdict.probe(raw, {name: compose(api, *pair) for name, pair in variants.items()})
    verdict.refused_all(answers, "no control characters", status=profile.wrong_password)


@check("BAS-11", should, "RFC 4648 §3.3")
def test_junk_in_base64_is_refused(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: ``a2b_base64`` skips what it does not know."""
    good = credentials.basic
    variants = hidden(
        {
            "a character inside": good[:4] + "!" + good[4:],
            "a blank inside": good[:4] + " " + good[4:],
            "a TAB inside": good[:4] + "\t" + good[4:],
            "padding and more": good.rstrip("=") + "==" + "QUJD",
            "a character behind": good + "!",
        }
    )
    answers = verdict.probe(
        raw, {name: api.compose_basic(f"Basic {junk}") for name, junk in variants.items()}
    )
    verdict.refused_all(answers, "base64 and nothing else", status=profile.wrong_password)


@check("BAS-12", must, "OpenMV docs 10.9; ASVS 6.3.2")
def test_empty_and_default_credentials_are_refused(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Nor, where there is no login for LOG-37 to try, do those that devices are shipped with, or
    that the system's own document publishes, open it.

    Usual cause: an unset password that equals the empty one; one that nobody has to change.
    """
    pairs: dict[str, tuple[str, str]] = {
        "no user": ("", credentials.password),
        "no password": (credentials.user, ""),
        "neither": ("", ""),
    }
    if profile.given_login is None:
        pairs |= default_pairs(credentials.user, profile.published.passwords)
    answers = verdict.probe(raw, {name: compose(api, *pair) for name, pair in pairs.items()})
    verdict.refused_all(
        answers, "empty and default credentials are refused", status=profile.wrong_password
    )


@check("BAS-13", must, "cross-scheme")
def test_a_token_does_not_open_the_admin_route(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: one guard for both schemes."""
    token = api.token()
    answers = verdict.probe(
        raw,
        {
            "Bearer": api.compose_basic(f"Bearer {token}"),
            "under Basic": api.compose_basic(f"Basic {token}"),
            "as the password": compose(api, credentials.user, token),
        },
    )
    verdict.refused_all(answers, "a token is no password", status=profile.wrong_password)


@check("BAS-14", must, "WSTG-ATHN-04")
def test_no_other_method_shows_the_content(api: Api, raw: RawClient, profile: Profile) -> None:
    """HEAD, OPTIONS, POST and others without credentials.

    Usual cause: a guard on GET only, and HEAD served by the same handler.
    """
    answers = verdict.probe(
        raw,
        {
            method: api.compose_basic(method=method)
            for method in ("HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "get")
        },
    )
    status = profile.bad_password | {400, 404, 405, 501}
    verdict.refused_all(answers, "no credentials, no content", status=status)
    options = raw.send(api.compose_basic(method="OPTIONS"))
    verdict.refused(options, "OPTIONS at most lists methods", status=status | {200, 204})
    for name, answer in (answers | {"OPTIONS": options}).items():
        _shows_nothing(name, answer, profile)


def _shows_nothing(name: str, answer: Answer, profile: Profile) -> None:
    if profile.basic.answer in answer.text:
        verdict.broken("no protected content without credentials", answer, f"{name} shows it")


@check("BAS-15", must, "common sense")
def test_a_refusal_shows_nothing_of_the_content(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Usual cause: the page is rendered first, and the status set afterwards."""
    answers = verdict.probe(
        raw,
        {
            "no credentials": api.compose_basic(),
            "wrong password": compose(api, credentials.user, "wrong"),
        },
    )
    verdict.refused_all(answers, "wrong credentials", status=profile.wrong_password)
    for name, answer in answers.items():
        _shows_nothing(name, answer, profile)


@check("BAS-16", should, "ASVS 6.3.1")
def test_guessing_passwords_gets_slow(
    api: Api, raw: RawClient, profile: Profile, credentials: Credentials
) -> None:
    """Within 100 wrong passwords in a row, answers are 429 or clearly delayed; the right password
    still works. The check stops guessing as soon as it sees either.

    Usual cause: the login is throttled, and the Basic route is not.
    """
    guess = compose(api, credentials.user, "a-guess")

    def timed() -> tuple[int | None, float]:
        began = time.monotonic()
        answer = raw.send(guess)
        verdict.refused(answer, "a wrong password", status=profile.wrong_password)
        return answer.status, time.monotonic() - began

    usual = min(timed()[1] for _ in range(5))
    slow = 2 * usual + 0.02
    for _ in range(95):
        status, took = timed()
        # Three in a row cannot be a pause of the garbage collector.
        if status == profile.refusals.throttled or (
            took > slow and min(timed()[1] for _ in range(2)) > slow
        ):
            break
    else:
        raise Finding(
            f"100 wrong passwords, each refused in about {usual * 1000:.0f} ms; "
            "promised: guessing is throttled"
        )
    verdict.accepted(raw.send(sound(api)), "the right password works after that")


@check("BAS-17", should, "ASVS 6.3.8")
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
            "a wrong password": compose(api, credentials.user, password),
            "an unknown user": compose(api, nobody, password),
        },
        "the time of a refusal does not tell whether the user exists",
        status=profile.wrong_password,
        throttled=profile.refusals.throttled,
        right=sound(api),
    )


@check("BAS-18", should, "RFC 7617 §4; OpenMV docs 10.9; ASVS 12.2.1")
def test_passwords_cross_no_network_in_the_clear(target: Target) -> None:
    """TLS, or a network that devices.yaml declares as trusted, or this host's own.

    Usual cause: nobody has decided yet; Basic credentials can be read by whoever is on the way.
    """
    url = urlsplit(target.base_url)
    if url.scheme == "https" or target.trusted_network or on_this_host(url.hostname or ""):
        return
    raise Finding(
        f"{target.base_url} takes passwords in the clear; promised: TLS, or a trusted network\n"
        f"  is this one trusted? then write 'trusted_network: true' under {target.name!r}"
        " in devices.yaml"
    )


def on_this_host(name: str) -> bool:
    """Whether nothing that is sent there leaves this host."""
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


@check("BAS-19", must, "ASVS 8.3.2")
def test_a_changed_password_holds_at_once(
    api: Api, raw: RawClient, profile: Profile, password_control: PasswordControl
) -> None:
    """The old one is refused and the new one accepted, without a reboot.

    Usual cause: the password is read at boot, or the last good one is kept in memory.
    """
    old = api.credentials
    verdict.accepted(raw.send(sound(api)), "the old password, before the change")
    password_control.change("a-new-password-17")
    answer = raw.send(api.compose_basic(f"Basic {old.basic}"))
    verdict.refused(answer, "the old password, after the change", status=profile.wrong_password)
    verdict.accepted(raw.send(sound(api)), "the new password, at once")
