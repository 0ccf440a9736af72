"""What becomes of a check: whose fault it is, and what that amounts to.

pytest knows passed, failed and skipped. Here a promise that is broken is a *finding*, of a *must*,
an *advisory*, of a *should*, or *known*, where the profile declares it; what the board or the bench
fails in is an *error*, wherever in the check that shows. The verdict stands on the report, so that
it reaches whoever shows it, also from another process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest

if TYPE_CHECKING:
    from .auth.contract import Known
    from .check import Check
    from .report.events import Fault, Verdict, VerdictWord
    from .target import Target

    When = Literal["setup", "call", "teardown"]


@dataclass(frozen=True)
class Judged:
    """:ivar message: what was found, or why it was not examined; one or several lines, no secrets
    :ivar shown: what pytest shows of it; None: pytest knows better (an error that nobody foresaw)
    :ivar clock: the board's at a finding, in words
    :ivar not_promised: skipped for its profile, which promises no such thing
    """

    verdict: VerdictWord
    fault: Fault | None = None
    message: str = ""
    shown: str | None = None
    clock: str = ""
    not_promised: bool = False


def judge(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    check: Check,
    target: Target | None,
) -> Judged:
    """One phase of a check (setup, call, teardown).

    :param target: None: its bring-up has not succeeded
    """
    from .errors import Unavailable

    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, Unavailable):
        # It has asked for what this target, or its profile, has not.
        from .auth.contract import NotPromised

        return Judged(
            "skipped",
            message=str(error),
            shown=f"Skipped: {error}",
            not_promised=isinstance(error, NotPromised),
        )
    known = _known(target, check) if report.when == "call" else None
    if report.passed:
        if not known:
            return Judged("passed")
        told = (
            f"{check.id} passes, but the profile declares it a known deviation ({known.reason}); "
            "take it out of the profile's 'known:'"
        )
        return Judged("finding", "firmware", told, told)
    if report.skipped:
        return Judged("skipped", message=_reason(report))
    assert error is not None, "a report that failed has one"
    if known and isinstance(error, AssertionError):
        return Judged("known", "firmware", known.reason, f"known: {known.reason}")
    return _failed(item, error, report, check, target)


def _failed(
    item: pytest.Item,
    error: BaseException,
    report: pytest.TestReport,
    check: Check,
    target: Target | None,
) -> Judged:
    from .errors import Finding, HilError, fault_of

    each = parts(error)
    if len(each) > 1 and all(isinstance(one, Finding | HilError) for one in each):
        # Several fixtures have failed while they put back.
        told = "\n".join(dict.fromkeys(f"{fault_of(one)}: {one}" for one in each))
        first = next((one for one in each if isinstance(one, Finding)), each[0])
        return Judged(*_whose(first), told, told)
    verdict, fault = _whose(error)
    if not isinstance(error, AssertionError | HilError):
        return Judged(verdict, fault, f"{type(error).__name__}: {error}")
    advisory = (
        report.when == "call"
        and verdict == "finding"
        and check.severity.value == "should"
        and not item.config.getoption("strict", default=False)
    )
    if advisory:
        return Judged("advisory", fault, str(error), "advisory")
    if not isinstance(error, Finding | HilError):
        return Judged(verdict, fault, str(error))  # a plain assert: pytest shows its operands
    # The message says it all: our own stack frames would only hide it.
    shown, clock = f"{fault_of(error)}: {error}", ""
    if isinstance(error, Finding) and report.when == "call" and target:
        from .explain import board_clock, explanation

        clock = board_clock(target)
        shown = explanation(check, getattr(item, "function", None), str(error), clock)
    return Judged(verdict, fault, str(error), shown, clock)


def _whose(error: BaseException) -> tuple[VerdictWord, Fault]:
    """A broken promise is the firmware's; what nobody has foreseen is the bench's."""
    from .errors import BoardError

    if isinstance(error, AssertionError):
        return "finding", "firmware"
    return "error", "board" if isinstance(error, BoardError) else "bench"


def verdict(
    check: Check, function: Callable[..., object] | None, phases: Sequence[tuple[Judged, float]]
) -> Verdict:
    """What a check has come to, of what its phases have: the gravest of them, as evidence.

    :param phases: and how long each took, seconds
    """
    import time

    from .explain import told
    from .report.events import WORDS, Verdict

    judged = min((one for one, _ in phases), key=lambda one: WORDS.index(one.verdict))
    promise, cause = told(function)
    return Verdict(
        at=time.time(),
        check=check.id,
        severity=check.severity.value,
        title=getattr(function, "__name__", "").removeprefix("test_").replace("_", " "),
        source=check.source,
        verdict=judged.verdict,
        fault=judged.fault,
        message=judged.message,
        not_promised=judged.not_promised,
        promise=promise,
        cause=cause if judged.verdict in ("finding", "advisory", "known") else "",
        clock=judged.clock,
        took_s=round(sum(took for _, took in phases), 3),
    )


def _known(target: Target | None, check: Check) -> Known | None:
    """The declared deviation of this check on this target."""
    known = target.profile.known if target else ()
    return next((one for one in known if one.check == check.id), None)


def parts(error: BaseException) -> list[BaseException]:
    """Several fixtures may fail while they put back: pytest makes them a group."""
    inside = getattr(error, "exceptions", None)
    return [one for part in inside for one in parts(part)] if inside else [error]


def _reason(report: pytest.TestReport) -> str:
    longrepr = report.longrepr
    told = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)
    return told.removeprefix("Skipped: ")
