"""What history keeps of a run: verdicts, builds and times, in a thousandth of its evidence."""

from __future__ import annotations

import hashlib
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from .events import Boot, Exchange, Fault, Phase, Up, VerdictWord
from .runs import Run, TargetRun
from .words import visible

_MESSAGE = 300
# A virtual board is flashed in each run with an image that is built for it, so that flashing is
# never skipped: the same firmware with another stamp.
_STAMP = re.compile(r"(-hil)\.\d{8}T\d+(\.[0-9a-f]+) on \d{4}-\d\d-\d\d$")
_ANSWERED = {"accepted", "redirected", "refused", "5xx"}

Measure = tuple[str, str]
"""What was timed, and in which case of it, as only like is compared with like: ``("response",
CHECK)``, ``("boot", KIND)``, ``("bring-up", PHASES)``."""


@dataclass(frozen=True, kw_only=True)
class Build:
    """What a target ran, and what it was held to.

    :ivar firmware_sha256: over the hashes of its images, by partition
    """

    firmware: str | None = None
    firmware_sha256: str | None = None
    application_sha256: str | None = None
    profile_sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class CheckDigest:
    """:ivar message: its first line, at most 300 characters"""

    verdict: VerdictWord
    fault: Fault | None = None
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class TargetDigest:
    """One target in one run.

    :ivar unique_id: of the board; None: it has none, or did not come up
    :ivar fault: whose it is that it did not come up; None: it did, or the run was killed before
    :ivar message: why not
    :ivar seconds: medians
    """

    name: str
    unique_id: str | None = None
    kind: str = ""
    model: str | None = None
    profile: str = ""
    build: Build = Build()
    fault: Fault | None = None
    message: str = ""
    checks: dict[str, CheckDigest] = field(default_factory=dict)
    seconds: dict[Measure, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunDigest:
    """One run.

    :ivar at: its begin, Unix seconds, UTC
    :ivar exit_status: pytest's; None: it was killed, or goes on
    """

    name: str
    at: float
    host: str = ""
    hil: str = ""
    revision: str | None = None
    url: str | None = None
    took_s: float | None = None
    exit_status: int | None = None
    targets: dict[str, TargetDigest] = field(default_factory=dict)


def digest(run: Run) -> RunDigest:
    """A run, as history keeps it."""
    return RunDigest(
        name=run.name,
        at=run.begin.at,
        host=run.begin.host,
        hil=run.begin.hil,
        revision=run.begin.revision,
        url=run.begin.url,
        took_s=run.end.took_s if run.end else None,
        exit_status=run.end.exit_status if run.end else None,
        targets={name: _target(name, target) for name, target in run.targets.items()},
    )


def _target(name: str, target: TargetRun) -> TargetDigest:
    up, begin = target.up, target.begin
    return TargetDigest(
        name=name,
        unique_id=up.unique_id if up else None,
        kind=begin.kind if begin else "",
        model=begin.model if begin else None,
        profile=begin.profile if begin else "",
        build=_build(up) if up else Build(),
        fault=target.down.fault if target.down else None,
        message=first_line(target.down.message) if target.down else "",
        checks={
            check: CheckDigest(
                verdict=one.verdict, fault=one.fault, message=first_line(one.message)
            )
            for check, one in target.verdicts.items()
        },
        seconds=_seconds(target),
    )


def _build(up: Up) -> Build:
    firmware, stamps = _STAMP.subn(r"\1\2", up.firmware or "")
    return Build(
        firmware=firmware or None,
        firmware_sha256=None if stamps else _over(up.firmware_sha256),
        application_sha256=up.application_sha256,
        profile_sha256=up.profile_sha256,
    )


def _over(hashes: dict[str, str]) -> str | None:
    if not hashes:
        return None
    told = "\n".join(f"{partition} {one}" for partition, one in sorted(hashes.items()))
    return hashlib.sha256(told.encode()).hexdigest()


def first_line(text: str) -> str:
    """Of a message, what fits a table."""
    line = visible(text.strip().partition("\n")[0].strip())
    return line if len(line) <= _MESSAGE else f"{line[: _MESSAGE - 1]}…"


def _seconds(target: TargetRun) -> dict[Measure, float]:
    taken: dict[Measure, list[float]] = defaultdict(list)
    for event in target.events:
        if isinstance(event, Exchange) and event.took_s is not None:
            if event.outcome in _ANSWERED:  # a silence says how long was waited
                taken["response", event.check].append(event.took_s)
        elif isinstance(event, Boot):
            taken["boot", event.kind].append(event.took_s)
        elif isinstance(event, Up):
            # With flashing it is another matter than without.
            taken["bring-up", _phases(target)].append(event.took_s)
    return {measure: statistics.median(values) for measure, values in taken.items()}


def _phases(target: TargetRun) -> str:
    phases: Iterable[str] = (one.phase for one in target.events if isinstance(one, Phase))
    return " ".join(dict.fromkeys(phases))
