"""Expiry: a token ends at its second, on the board's clock, and does not come back.

But for one check, nothing here waits for a token to expire: the clock is moved, or a token is
minted with the times that are needed. Times are Unix seconds, whatever year the board counts from.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from hil.auth import tokens, verdict
from hil.check import check, must, should
from hil.clock.ntp import NTPTIME_EARLIEST
from hil.clock.rtc import RTC_RANGE, utc
from hil.deadline import Deadline
from hil.errors import Finding
from hil.secrets import SecretStr
from hil.target import Absent

if TYPE_CHECKING:
    from hil.auth.client import Api
    from hil.auth.profile import Profile
    from hil.auth.raw import Answer, RawClient
    from hil.clock.skew import ClockControl
    from hil.control import MintControl
    from hil.target import RebootControl, Target

NTP_PROMISE = 'OpenMV docs 10.9 ("the wall clock has to be set")'

NEXT_NTP_ERA = 2_085_978_496
"""2036-02-07T06:28:16Z, Unix seconds."""

UNSET = 1_577_836_800
"""2020-01-01: before any build of today's firmware, so no clock that was set shows it, and after
2000, so that the clock of every port can. Boards without a battery wake up between 1970 and 2021.
"""

DAY = 86_400

# How far the board's clock may be from the host's, seconds (see test_login.py).
CLOCK_TOLERANCE_S = 5


pytestmark = pytest.mark.usefixtures("bearer_control")


@pytest.fixture
def token(api: Api, profile: Profile) -> SecretStr:
    """A fresh token, with an ``exp`` by which the clock can be set."""
    fresh = api.token()
    off = expiry(fresh, profile) - profile.token.lifetime_s - time.time()
    if abs(off) > CLOCK_TOLERANCE_S:
        raise Finding(
            f"exp is {off:+.0f} s from Unix time + {profile.token.lifetime_s}: "
            "no second to check it at (see LOG-04)"
        )
    return fresh


def expiry(token: str, profile: Profile) -> int:
    """``exp``, Unix seconds."""
    exp = verdict.decoded(token).claims.get("exp")
    if not isinstance(exp, int | float) or isinstance(exp, bool):
        raise Finding(f"exp is a {type(exp).__name__}; promised: a JSON number")
    return int(profile.unix(exp))


def use(api: Api, raw: RawClient, token: str) -> Answer:
    return raw.send(api.compose_resource(token=token))


def use_all(api: Api, raw: RawClient, minted: dict[str, SecretStr]) -> dict[str, Answer]:
    return verdict.probe(
        raw, {name: api.compose_resource(token=token) for name, token in minted.items()}
    )


def expects_minted_token(api: Api, raw: RawClient, mint: MintControl) -> None:
    """The positive control of minting: the bench's signature is the board's."""
    verdict.accepted(use(api, raw, mint()), "a sound token signed with the board's own key")


def with_exp(mint: MintControl, api: Api, literal: str) -> SecretStr:
    """A token whose ``exp`` is this JSON literal, whatever JSON may think of it."""
    claims = dict(verdict.decoded(api.token()).claims, exp=None)
    text = json.dumps(claims, separators=(",", ":")).replace('"exp":null', f'"exp":{literal}')
    return mint(raw_payload=text.encode())


def within(profile: Profile) -> int:
    """Seconds: a time that is well ahead, and that no token outlives."""
    return min(600, profile.token.lifetime_s // 2)


@check("EXP-01", must, "RFC 7519 §4.1.4")
def test_a_token_is_accepted_two_seconds_before_its_end(
    api: Api, raw: RawClient, profile: Profile, clock: ClockControl, token: SecretStr
) -> None:
    """Usual cause: ``exp`` and the clock in different epochs, or a leeway with the wrong sign."""
    at = clock.at_second(expiry(token, profile) - 2, lambda: use(api, raw, token))
    verdict.accepted(at.result, f"a token holds until its exp; {at}, exp - 2 s")


@check("EXP-02", must, 'RFC 7519 §4.1.4 "on or after"')
def test_a_token_is_refused_at_the_very_second(
    api: Api, raw: RawClient, profile: Profile, clock: ClockControl, token: SecretStr
) -> None:
    """ "On or after" ``exp`` it must not be accepted: at ``exp`` it is over.

    Usual cause: ``now > exp`` for ``now >= exp``; a leeway that nobody asked for.
    """
    end = expiry(token, profile)
    last = clock.at_second(end - 1, lambda: use(api, raw, token))
    verdict.accepted(last.result, f"a token holds until its exp; {last}, exp - 1 s")
    leeway = profile.token.leeway_s
    over = clock.at_second(end + leeway, lambda: use(api, raw, token))
    promise = f"refused on or after exp; {over}, exp + {leeway} s"
    verdict.refused(over.result, promise, status=profile.bad_token)


@check("EXP-03", must, "RFC 7519 §4.1.4 (leeway ≤ a few minutes)")
def test_a_token_is_refused_after_its_end(
    api: Api, raw: RawClient, profile: Profile, clock: ClockControl, token: SecretStr
) -> None:
    """One second, one minute and five minutes later.

    Usual cause: ``exp`` is not looked at, or a generous leeway.
    """
    end = expiry(token, profile) + profile.token.leeway_s
    answers = {}
    for later in (1, 60, 300):
        at = clock.at_second(end + later, lambda: use(api, raw, token))
        answers[f"exp + {profile.token.leeway_s + later} s, {at}"] = at.result
    verdict.refused_all(answers, "after exp", status=profile.bad_token)


@check("EXP-04", must, "OpenMV docs")
@pytest.mark.timeout(0)  # it waits for as long as the reader has granted, and no longer
def test_a_token_ends_by_the_passing_of_time(
    api: Api, raw: RawClient, profile: Profile, patience: float
) -> None:
    """The whole lifetime of a token, waited for; nobody moves the clock.

    Usual cause: a clock that stands still, or that a task of the application sets back.
    """
    wait = profile.token.lifetime_s + profile.token.leeway_s + CLOCK_TOLERANCE_S
    if wait > patience:
        pytest.skip(f"needs to wait {wait} s for a token to end, more than --patience {patience:g}")
    end = Deadline.after(wait)
    token = api.token()
    verdict.accepted(use(api, raw, token), "a fresh token")
    time.sleep(end.remaining())  # what is waited for is the passing of time itself
    verdict.refused(use(api, raw, token), f"refused {wait} s later", status=profile.bad_token)


@check("EXP-05", must, "RFC 7519 §4.1.4")
def test_a_token_with_an_end_in_the_past_is_refused(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """An hour ago, at 0, before 1970, and ``true``, which Python takes for 1.

    Usual cause: ``if exp and …``, for which 0 is no ``exp`` at all.
    """
    expects_minted_token(api, raw, mint)
    values: dict[str, Any] = {
        "an hour ago": round(time.time()) - 3600,
        "0": 0,
        "1": 1,
        "negative": -1,
        "very negative": -(2**62),
        "true": True,
        "false": False,
    }
    answers = use_all(api, raw, {name: mint({"exp": exp}) for name, exp in values.items()})
    verdict.refused_all(answers, "exp in the past", status=profile.bad_token)


@check("EXP-06", should, 'profile "tokens expire"; ASVS 9.2.1')
def test_a_token_without_an_end_is_refused(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """Usual cause: ``if 'exp' in claims and …``: without one a token lives for ever."""
    expects_minted_token(api, raw, mint)
    answer = use(api, raw, mint(without=["exp"]))
    verdict.refused(answer, "tokens expire", status=profile.bad_token)


@check("EXP-07", must, "RFC 7519 §4.1.4 MUST be a number")
def test_an_end_that_is_no_number_is_refused(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """Usual cause: a TypeError in the comparison that ends in a 500; ``int(exp)``."""
    expects_minted_token(api, raw, mint)
    future = round(time.time()) + within(profile)
    values: dict[str, Any] = {
        '"123"': "123",
        "a future one as text": str(future),
        "null": None,
        "[]": [],
        "a future one in a list": [future],
        "{}": {},
        '""': "",
        "a date": "2099-01-01T00:00:00Z",
    }
    answers = use_all(api, raw, {name: mint({"exp": exp}) for name, exp in values.items()})
    verdict.refused_all(answers, "exp must be a number", status=profile.bad_token)


@check("EXP-08", must, "RFC 7519 §2")
def test_an_end_with_a_fraction_counts(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """A NumericDate may have a fraction: in the future accepted, in the past refused.

    Usual cause: a board's 32-bit float, which holds today's dates to two minutes only.
    """
    now = round(time.time())
    past = {
        "10 min ago": mint({"exp": now - 600.5}),
        "an exponent": with_exp(mint, api, f"{profile.date(now - 600) / 1e9:.9f}e9"),
    }
    verdict.refused_all(use_all(api, raw, past), "exp in the past", status=profile.bad_token)
    ahead = within(profile) + 0.5
    verdict.accepted(use(api, raw, mint({"exp": now + ahead})), f"exp in {ahead} s")


@check("EXP-09", should, "profile max TTL")
def test_an_end_beyond_any_calendar_is_refused(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """Usual cause: no limit on a token's lifetime; an overflow of the float that ends in a 500."""
    expects_minted_token(api, raw, mint)
    literals = (f"1{'0' * 30}", "1e400", "1e30", str(2**63), "9" * 300)
    answers = use_all(api, raw, {text[:40]: with_exp(mint, api, text) for text in literals})
    verdict.refused_all(answers, "no token outlives its lifetime", status=profile.bad_token)


@check("EXP-10", must, "RFC 8259")
def test_an_end_that_is_not_a_json_number_is_refused(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """NaN compares false with everything, so ``exp <= now`` never comes true.

    Usual cause: a JSON parser that takes NaN and Infinity, as Python's does.
    """
    expects_minted_token(api, raw, mint)
    literals = ("NaN", "Infinity", "-Infinity", "nan", "inf", "+9999999999", "0x7fffffff")
    answers = use_all(api, raw, {text: with_exp(mint, api, text) for text in literals})
    verdict.refused_all(answers, "exp is JSON", status=profile.bad_token)


@check("EXP-11", must, "RFC 7519 §4.1.5; ASVS 9.2.1")
def test_a_token_is_refused_before_its_time(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """``nbf`` in the future: refused; in the past: accepted.

    Usual cause: ``nbf`` is not looked at (micropython-lib's jwt).
    """
    now = round(time.time())
    verdict.accepted(use(api, raw, mint({"nbf": now - 60})), "nbf in the past")
    minted = {f"nbf in {s} s": mint({"nbf": now + s}) for s in (600, 3000)}
    answers = use_all(api, raw, minted)
    verdict.refused_all(answers, "before nbf", status=profile.bad_token)


@check("EXP-12", should, "profile rule (RFC 7519 §4.1.6 sets none)")
def test_a_token_issued_in_the_future_is_refused(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """Usual cause: ``iat`` is not looked at; the RFC does not demand it."""
    now = round(time.time())
    verdict.accepted(use(api, raw, mint({"iat": now - 60})), "iat in the past")
    answer = use(api, raw, mint({"iat": now + 600}))
    verdict.refused(answer, "iat in the future", status=profile.bad_token)


@check("EXP-13", should, "ASVS 9.2.1")
def test_an_expired_token_stays_dead_when_the_clock_is_set_back(
    api: Api, raw: RawClient, profile: Profile, clock: ClockControl, token: SecretStr
) -> None:
    """Usual cause: ``exp`` is compared with whatever the clock says just now."""
    clock.set(expiry(token, profile) + 10)
    verdict.refused(use(api, raw, token), "after exp", status=profile.bad_token)
    clock.skew(0)
    answer = use(api, raw, token)
    verdict.refused(answer, "an expired token stays dead", status=profile.bad_token)


@contextmanager
def no_ntp(clock: ClockControl) -> Iterator[None]:
    """The bench's NTP server is silent. A network's own one is out of the bench's reach."""
    from hil.clock.ntp import Fault

    if clock.ntp is None:
        yield
        return
    clock.ntp.fault = Fault.SILENT
    try:
        yield
    finally:
        clock.ntp.fault = Fault.NONE


def lose_power(target: Target) -> bool:
    """A power cycle after which nobody sets the clock. False: the bench has no control of it."""
    power = target.controls.power
    if isinstance(power, Absent):
        return False
    try:
        power.off()
    finally:
        power.on()
    if not target.api.alive(Deadline.after(target.profile.boot_timeout_s)):
        raise Finding("no HTTP answer after a loss of power; promised: it comes up with no time")
    return True


@check("EXP-14", must, NTP_PROMISE)
def test_an_expired_token_stays_dead_over_a_reboot_that_loses_the_time(
    target: Target,
    api: Api,
    raw: RawClient,
    profile: Profile,
    clock: ClockControl,
    reboot: RebootControl,
    token: SecretStr,
    remark: Callable[[str, object], None],
) -> None:
    """The clock forgets the time and NTP does not answer, as after a power cut without network.

    By setting it and a reset on every board; by taking the power where the bench can.

    Usual cause: against a clock in 2015 every token of today lies in the future.
    """
    with no_ntp(clock):
        clock.set(expiry(token, profile) + 10)
        verdict.refused(use(api, raw, token), "after exp", status=profile.bad_token)
        clock.set(UNSET)
        reboot()
        answers = {"after a reset": use(api, raw, token)}
        if lose_power(target):
            answers["after a loss of power"] = use(api, raw, token)
            remark("clock after a loss of power", utc(clock.now().unix))
    verdict.refused_all(answers, "an expired token stays dead", status=profile.bad_token)


@check("EXP-15", should, NTP_PROMISE)
def test_no_token_is_issued_before_the_clock_is_set(
    target: Target, api: Api, raw: RawClient, clock: ClockControl
) -> None:
    """503: a token of an unset clock would be expired, or wrong by years.

    Usual cause: nobody looks whether the clock was ever set.
    """
    with no_ntp(clock):
        clock.set(UNSET)
        answers = {"the clock in 2020": raw.send(api.compose_login())}
        if lose_power(target):
            answer = raw.send(api.compose_login())
            # Some boards keep the time without power, and some get it from their network at once.
            if clock.now().unix < NTPTIME_EARLIEST:
                answers["after a loss of power"] = answer
    verdict.refused_all(answers, "no token without the time", status={503})


@check("EXP-16", must, NTP_PROMISE)
def test_a_token_of_an_unset_clock_is_refused_once_it_is_set(
    api: Api, raw: RawClient, profile: Profile, clock: ClockControl, mint: MintControl
) -> None:
    """Issued by the board where it does so with an unset clock, else minted as it would have been.

    Usual cause: an ``exp`` in another epoch, which is in the future for ever.
    """
    clock.set(UNSET)
    answer = raw.send(api.compose_login())
    if answer.status == 200:
        early = api.token()
    clock.skew(0)
    if answer.status != 200:
        expects_minted_token(api, raw, mint)
        early = mint({"exp": UNSET + profile.token.lifetime_s})
    refused = use(api, raw, early)
    verdict.refused(refused, "at once, when the clock is right", status=profile.bad_token)


@check("EXP-17", must, "RFC 7519 §2")
def test_the_host_and_the_board_mean_the_same_second(
    api: Api, raw: RawClient, profile: Profile, clock: ClockControl, mint: MintControl
) -> None:
    """A token of the host that ended 10 s ago in Unix time is over on the board, too.

    Usual cause: a port that counts from 2000: there it would live for 30 more years.
    """
    now = round(clock.now().unix)
    ahead = within(profile)
    answer = use(api, raw, mint({"exp": now + ahead}))
    verdict.accepted(answer, f"exp in {ahead} s, Unix time")
    answer = use(api, raw, mint({"exp": now - 10}))
    verdict.refused(answer, "exp ten seconds ago, Unix time", status=profile.bad_token)


@check("EXP-18", should, "ntptime is unauthenticated SNTP")
def test_a_false_ntp_answer_revives_no_token(
    api: Api,
    raw: RawClient,
    profile: Profile,
    clock: ClockControl,
    reboot: RebootControl,
    token: SecretStr,
) -> None:
    """A day ahead, a reboot, (about) the true time, a day behind: what was expired stays dead, and
    logging in works ahead and behind.

    Usual cause: SNTP is believed, and ``exp`` is compared with whatever the clock says just now; or
    the latest time seen is remembered in memory only.
    """
    if clock.ntp is None or not clock.reaches_ntp:
        pytest.skip("needs an NTP server of the bench, but this target reaches none")
    true_offset = clock.ntp.offset
    try:
        clock.ntp.offset = true_offset + DAY
        clock.force_ntp()
        verdict.refused(use(api, raw, token), "a day later", status=profile.bad_token)
        verdict.accepted(use(api, raw, api.token()), "a fresh token, a day ahead")
        reboot()
        # NTP sets whole seconds: half a minute, so that it is surely after the token was issued.
        for ahead in (30, -DAY):
            clock.ntp.offset = true_offset + ahead
            clock.force_ntp()
            verdict.refused(use(api, raw, token), "it stays dead", status=profile.bad_token)
        verdict.accepted(use(api, raw, api.token()), "a fresh token, a day behind")
    finally:
        clock.ntp.offset = true_offset


@check("EXP-19", should, "port time range")
def test_it_works_at_the_ends_of_the_calendar(
    api: Api,
    raw: RawClient,
    profile: Profile,
    clock: ClockControl,
    remark: Callable[[str, object], None],
) -> None:
    """Login, use of the token, and its ``exp`` in Unix time, as far as the board's clock goes.

    In 2038, 2099 and 2106, and by NTP in 2036, when its seconds start anew from 0.

    Usual cause: 31-bit integers, or two-digit years.
    """
    first, end = RTC_RANGE[clock.now().epoch]
    moments = {
        "by NTP in its next era": NEXT_NTP_ERA + 60,
        "2038-01-19T03:14:08Z": 2**31,
        "2099-12-31T00:00:00Z": 4_102_358_400,
        "2106-02-07T00:00:00Z": 4_294_944_000,
    }
    answers = {}
    for name, unix in moments.items():
        if not first <= unix < end - DAY // 4:
            remark("not judged", f"{name}: its clock ends at {utc(end - 1)}")
        elif "NTP" not in name:
            clock.set(unix)
            answers[name] = _logged_in(api, raw, profile, clock, name)
        elif clock.ntp is None or not clock.reaches_ntp:
            remark("not judged", f"{name}: this target reaches no NTP server of the bench")
        else:
            true_offset = clock.ntp.offset
            clock.ntp.offset = true_offset + unix - time.time()
            try:
                clock.force_ntp()
                answers[name] = _logged_in(api, raw, profile, clock, name)
            finally:
                clock.ntp.offset = true_offset
    verdict.accepted_all(answers, "a fresh token is accepted")


def _logged_in(
    api: Api, raw: RawClient, profile: Profile, clock: ClockControl, moment: str
) -> Answer:
    """A fresh token, whose ``exp`` is judged, in use."""
    token = api.token()
    ahead = expiry(token, profile) - profile.token.lifetime_s - clock.now().unix
    if abs(ahead) > CLOCK_TOLERANCE_S:
        raise Finding(
            f"{moment}: exp is {ahead:+.0f} s from the board's clock + {profile.token.lifetime_s}; "
            "promised: Unix seconds at any time"
        )
    return use(api, raw, token)


@check("EXP-20", should, "no oracle")
def test_an_expired_token_is_refused_like_a_forged_one(
    api: Api, raw: RawClient, profile: Profile, mint: MintControl
) -> None:
    """Usual cause: an error text for each reason."""
    sound = mint()
    expired = mint({"exp": round(time.time()) - 600})
    answers = use_all(api, raw, {"expired": expired, "forged": tokens.forge(sound)})
    verdict.refused_all(answers, "both are refused", status=profile.bad_token)
    verdict.indistinguishable(answers, "the same answer, whatever is wrong with the token")
