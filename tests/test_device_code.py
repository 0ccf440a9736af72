"""Device code: a device without a keyboard shows a code, its user lets it in elsewhere, once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from hil.auth import verdict
from hil.check import check, must, should
from hil.errors import Finding
from hil.secrets import SecretStr
from hil.target import Absent

if TYPE_CHECKING:
    from hil.auth.client import Api
    from hil.auth.device import DeviceFlow, Waiting
    from hil.auth.profile import Profile
    from hil.auth.provider import Provider
    from hil.auth.raw import Answer, RawClient
    from hil.clock.skew import ClockControl
    from hil.target import Target

DOCS = "auth-adventures"

DEVICE_BITS, USER_BITS = 128, 20
"""ASVS 7.2.3 and 6.5.4: what nobody guesses, and what nobody guesses in the time there is."""

SAMPLES = 3

SCRIPT = "<script>alert('hil')</script>\"'><b>hil</b>"


@pytest.fixture
def waiting(device: DeviceFlow) -> Waiting:
    """A device that has its codes."""
    return device.start()


def refused(profile: Profile) -> frozenset[int]:
    """Statuses of a device that gets no tokens (yet)."""
    return frozenset({profile.device.refused})


def tokens_in(answer: Answer, profile: Profile) -> SecretStr:
    """The access token that a device has got."""
    verdict.accepted(answer, "a device that was let in gets its tokens")
    return verdict.text_in(answer, profile.device_token_field)


def let_in(device: DeviceFlow, waiting: Waiting) -> None:
    """The user approves, and is told so."""
    verdict.accepted(device.approve(waiting), "the user lets the device in")


def number(answer: Answer, name: str) -> float:
    value = answer.json().get(name)
    if not isinstance(value, int | float) or isinstance(value, bool):
        verdict.broken(f"{name} is a JSON number", answer, f"it is {value!r}")
    return value


@check("DEV-01", must, "auth-adventures; RFC 8628 §3.2")
def test_a_device_gets_its_codes(
    raw: RawClient, profile: Profile, device: DeviceFlow, waiting: Waiting
) -> None:
    """Both codes, where the user goes, for how long, and how often the device may ask.

    Usual cause: a field by another name; ``interval`` left out where it is not 5.
    """
    answer, promised = waiting.answer, profile.device
    verdict.text_in(answer, "verification_uri")
    for name, value in (("expires_in", promised.lifetime_s), ("interval", promised.interval_s)):
        if name == "interval" and value == 5 and name not in answer.json():
            continue  # RFC 8628 §3.2: then it is 5
        if number(answer, name) != value:
            verdict.broken(f"{name} is {value}", answer, f"it is {answer.json()[name]}")


@check("DEV-02", must, "ASVS 6.5.4, 7.2.3")
def test_the_codes_cannot_be_guessed(device: DeviceFlow) -> None:
    """At most: the length, and the letters that occur, must allow for 128 and for 20 bits; and no
    two codes begin alike.

    Usual cause: ``random`` with a seed, a counter, a code of four digits.
    """
    several = [device.start() for _ in range(SAMPLES)]
    for kind, least in (("device_code", DEVICE_BITS), ("user_code", USER_BITS)):
        codes = [str(getattr(one, kind)) for one in several]
        bits = min(_most_bits(code) for code in codes)
        if bits < least:
            raise Finding(f"{kind} has {bits:.0f} bits at most; promised: {least}")
        common = _alike(codes)
        if len(set(codes)) < SAMPLES or common > len(codes[0]) // 2:
            raise Finding(
                f"{SAMPLES} values of {kind} begin with the same {common} characters; promised: "
                "they are random"
            )


def _alike(codes: list[str]) -> int:
    """With how many characters all of them begin."""
    columns = enumerate(zip(*codes, strict=False))
    return next((n for n, letters in columns if len(set(letters)) > 1), len(codes[0]))


def _most_bits(code: str) -> float:
    """An upper bound: each character from the smallest usual alphabet that has them all."""
    letters = code.replace("-", "")
    sizes = {
        "0123456789": 10,
        "0123456789abcdef": 16,
        "0123456789ABCDEF": 16,
        "BCDFGHJKLMNPQRSTVWXZ": 20,
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ": 26,
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789": 36,
    }
    size = next((n for alphabet, n in sizes.items() if set(letters) <= set(alphabet)), 64)
    return len(letters) * math.log2(size)


@check("DEV-03", must, "RFC 8628 §3.5")
def test_a_device_that_waits_is_told_so(
    profile: Profile, device: DeviceFlow, waiting: Waiting
) -> None:
    """Usual cause: 200 with no tokens; another error than the one that a client waits on."""
    answer = device.poll(waiting)
    verdict.refused(answer, "nobody has let it in yet", status=refused(profile))
    _error_is(answer, profile.device.pending_error)


def _error_is(answer: Answer, error: str | None) -> None:
    if error is None:
        return
    try:
        told = answer.json().get("error")
    except (ValueError, AttributeError):
        told = None
    if told != error:
        verdict.broken(f"error is {error!r}", answer, f"it is {told!r}")


@check("DEV-04", should, "RFC 8628 §3.5")
def test_a_device_that_asks_too_often_is_told_to_slow_down(
    profile: Profile, device: DeviceFlow, waiting: Waiting
) -> None:
    """Twice within the interval.

    Usual cause: ``interval`` is told, and nobody looks at it.
    """
    device.poll(waiting)
    answer = device.poll(waiting)
    verdict.refused(answer, "it asks too often", status=refused(profile) | {429})
    if answer.status != 429:
        _error_is(answer, "slow_down")


@check("DEV-05", must, "RFC 8628 §3.5")
def test_an_unknown_device_code_is_refused(
    raw: RawClient, profile: Profile, device: DeviceFlow, waiting: Waiting
) -> None:
    """Another one of the same length, the beginning, and what is none, while the device's own would
    get its tokens.

    Usual cause: an exception of ``bytes.fromhex`` or of a lookup that nobody catches.
    """
    let_in(device, waiting)
    code = waiting.device_code
    values = {
        "another": "0" * len(code),
        "the beginning": code[:-1],
        "and more": code + "0",
        "another case": code.swapcase(),
        "empty": "",
        "no hexadecimal": "zz",
        "not ASCII": "größe",
        "NUL": "\0",
        "a long one": "a" * 4000,
    }
    sent = {name: device.compose_poll(v) for name, v in values.items() if v != code}
    answers = verdict.probe(raw, sent)
    verdict.refused_all(answers, "no such code", status=refused(profile) | {400, 413, 414})
    verdict.accepted(device.poll(waiting), "the device's own code")


@check("DEV-06", must, "common sense")
def test_without_a_device_code_there_are_no_tokens(raw: RawClient, device: DeviceFlow) -> None:
    """Usual cause: ``form["device_code"]`` raises KeyError and ends in a 500."""
    answer = raw.send(device.compose_poll())
    verdict.refused(answer, "a device code is demanded", status={400, 422})


@check("DEV-07", must, "common sense")
def test_a_user_code_is_no_device_code(
    raw: RawClient, profile: Profile, device: DeviceFlow, waiting: Waiting
) -> None:
    """Also when the user has let the device in: whoever looks over his shoulder knows the code.

    Usual cause: one table for both codes.
    """
    let_in(device, waiting)
    answer = raw.send(device.compose_poll(waiting.user_code))
    verdict.refused(answer, "the device code is demanded", status=refused(profile))


@check("DEV-08", must, "RFC 8628 §3.3, §6.1")
def test_only_the_right_user_code_of_a_user_lets_a_device_in(
    raw: RawClient,
    profile: Profile,
    device: DeviceFlow,
    waiting: Waiting,
    remark: Callable[[str, object], None],
) -> None:
    """A wrong one is refused, and the device goes on waiting. So it does for the right one from
    somebody who has not logged in, or has a wrong password. Whether the right one may be written
    in lower case is remarked.

    Usual cause: whatever is written lets the oldest device in; the page asks for a password, and
    nobody looks at it.
    """
    wrong = waiting.user_code[::-1]
    if wrong == waiting.user_code:
        wrong = waiting.user_code[:-1]
    verdict.refused(
        device.approve(waiting, wrong), "a wrong code", status={400, 401, 403, 404, 422, 429}
    )
    verdict.refused(device.poll(waiting), "nobody has let it in", status=refused(profile) | {429})
    strangers = {"without a login": device.start()}
    device.approve_without_login(strangers["without a login"])
    if profile.device.approval.password_field:
        strangers["with a wrong password"] = device.start()
        with suppress(Finding):  # the way may end before the page for the code: a refusal, too
            device.approve(strangers["with a wrong password"], password="wrong")
    # What the page says to a stranger is its own affair: a form for the login, a redirection.
    polls = {f"let in {how}": device.poll(one) for how, one in strangers.items()}
    verdict.refused_all(polls, "only a user who has logged in lets it in", status=refused(profile))
    other = device.start()
    lower = device.approve(other, other.user_code.lower())
    remark("user code in lower case", "accepted" if lower.status == 200 else "refused")


@check("DEV-09", should, "RFC 8628 §5.1; ASVS 6.6.3")
def test_guessing_user_codes_gets_slow(
    target: Target, device: DeviceFlow, waiting: Waiting
) -> None:
    """Within 40 wrong codes, answers are 429 or clearly delayed. A reset afterwards, where there is
    one, lets the checks that follow write theirs.

    Usual cause: nothing counts failures.
    """
    usual = min(_guess(device, waiting, n)[1] for n in range(3))
    for n in range(3, 40):
        status, took = _guess(device, waiting, n)
        if status == 429 or (
            took > 2 * usual + 0.05 and _guess(device, waiting, n)[1] > 2 * usual + 0.05
        ):
            if not isinstance(target.controls.reboot, Absent):
                target.controls.reboot()
            return
    raise Finding(
        f"40 wrong codes, each refused in about {usual * 1000:.0f} ms; promised: guessing is "
        "throttled"
    )


def _guess(device: DeviceFlow, waiting: Waiting, n: int) -> tuple[int | None, float]:
    length = len(waiting.user_code)
    began = time.monotonic()
    answer = device.approve(waiting, f"{n:0{length}d}"[:length])
    return answer.status, time.monotonic() - began


@check("DEV-10", must, 'auth-adventures ("only once")')
def test_tokens_are_collected_once(
    api: Api, raw: RawClient, profile: Profile, device: DeviceFlow, waiting: Waiting
) -> None:
    """They open the resource; whoever asks again gets nothing.

    Usual cause: the code is marked as used when it expires, and not when it was used.
    """
    let_in(device, waiting)
    token = tokens_in(device.poll(waiting), profile)
    verdict.accepted(raw.send(api.compose_resource(token=token)), "the device's token")
    answer = device.poll(waiting)
    verdict.refused(answer, "a code is good once", status=refused(profile) | {429})


@check("DEV-11", must, "auth-adventures (900 s; ASVS 6.5.5 allows 600 s)")
def test_the_codes_expire(
    profile: Profile,
    device: DeviceFlow,
    waiting: Waiting,
    target: Target,
    patience: float,
    request: pytest.FixtureRequest,
) -> None:
    """After the promised time the user can let nobody in, and a device that was let in before is
    too late.

    Usual cause: ``expires_in`` is told, and nobody looks at it.
    """
    approved = device.start()
    let_in(device, approved)
    lifetime = profile.device.lifetime_s + 5
    if not isinstance(target.controls.clock, Absent):
        clock: ClockControl = request.getfixturevalue("clock")
        clock.skew(lifetime)
    elif lifetime <= patience:
        time.sleep(lifetime)  # what is waited for is the passing of time itself
    else:
        pytest.skip(f"needs the clock, or {lifetime} s, more than --patience {patience:g}")
    verdict.refused(
        device.approve(waiting), "the code has expired", status={400, 401, 403, 404, 410, 422}
    )
    for name, one in {"that waits": waiting, "that was let in": approved}.items():
        answer = device.poll(one)
        verdict.refused(answer, f"a device {name} is too late", status=refused(profile))


@check("DEV-12", must, "RFC 6749 §5.2")
def test_a_code_of_the_provider_is_good_once(
    api: Api, raw: RawClient, profile: Profile, device: DeviceFlow, waiting: Waiting
) -> None:
    """At the callback: used again, missing, made up.

    Usual cause: the provider's refusal is not looked at, and ends in a 500.
    """
    path = profile.oidc.code_path or profile.oidc.callback
    used = device.provider_code(waiting)
    sent = {
        "used again": f"{path}?code={quote(used, safe='')}",
        "missing": path,
        "empty": f"{path}?code=",
        "made up": f"{path}?code=made-up",
    }
    answers = verdict.probe(
        raw, {name: api.compose("GET", SecretStr(target)) for name, target in sent.items()}
    )
    verdict.refused_all(answers, "no such code", status={400, 401, 403, 422})


@check("DEV-13", should, "RFC 9700 §2.1; ASVS 10.2.1")
def test_the_way_to_the_provider_is_bound_to_this_login(profile: Profile, waiting: Waiting) -> None:
    """``state`` against a login that somebody else has begun, ``code_challenge`` (PKCE) against a
    code that somebody else has caught.

    Usual cause: one constant address for all logins.
    """
    _ = profile.oidc
    address = verdict.text_in(waiting.answer, profile.device.approval.start)
    query = parse_qs(urlsplit(address).query)
    lacking = [name for name in ("state", "code_challenge") if not query.get(name)]
    if lacking:
        verdict.broken(
            "the address has state and PKCE", waiting.answer, f"no {' nor '.join(lacking)}"
        )


@check("DEV-14", must, "XSS")
def test_what_is_in_the_address_is_escaped_in_the_page(
    api: Api, raw: RawClient, profile: Profile
) -> None:
    """HTML in the query of the pages that a user is sent to.

    Usual cause: a page put together with ``format``.
    """
    approval = profile.device.approval
    pages = {}
    if profile.given_oidc:
        pages["callback"] = f"{profile.oidc.callback}?code={quote(SCRIPT)}&state={quote(SCRIPT)}"
    if approval.path:
        pages["page for the code"] = f"{approval.path}?{approval.user_code_field}={quote(SCRIPT)}"
    answers = verdict.probe(
        raw, {name: api.compose("GET", target) for name, target in pages.items()}
    )
    for name, answer in answers.items():
        if answer.status is None or answer.status >= 500:
            verdict.refused(answer, f"the {name} answers", status=range(200, 500))
        html = "html" in (answer.header("Content-Type") or "").lower()
        if html and ("<script>alert" in answer.text or "<b>hil" in answer.text):
            verdict.broken(f"the {name} escapes what it shows", answer, "a script of the address")


@check("DEV-15", must, "OIDC Core §3.1.3.7; ASVS 6.8.2")
def test_an_id_token_that_is_not_for_this_login_lets_nobody_in(
    profile: Profile, device: DeviceFlow, provider: Provider
) -> None:
    """From another provider, for another client, without one, with another key, unsigned, signed
    with the public key as if that were a secret, expired. A sound one lets the user in before and
    after.

    Usual cause: the token came straight from the provider, so it is decoded and not verified.
    """
    from hil.auth.provider import SPOILED

    _ = profile.oidc
    let_in(device, device.start())
    approvals, polls = {}, {}
    for what in SPOILED:
        waiting = device.start()
        with provider.spoiling(what):
            approvals[what] = device.approve(waiting)
        polls[what] = device.poll(waiting)
    verdict.refused_all(approvals, "a spoiled ID token", status={400, 401, 403, 422})
    verdict.refused_all(polls, "nobody has let the device in", status=refused(profile))
    let_in(device, device.start())
