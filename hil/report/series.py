"""One target through many runs: its verdicts and its times, with only like beside like.

A board is its target's name *and* its unique id: where another board stands in its place, its story
begins anew.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, fields

from .digest import Build, CheckDigest, Measure, RunDigest, TargetDigest

MEASURES = {"response": 3, "boot": 1, "bring-up": 1}
"""What is timed, and how many cases of it a run must have timed to be compared."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A run, as one target saw it.

    :ivar at: its begin, Unix seconds, UTC
    :ivar hil: the version that has checked it
    :ivar ended: False: it was killed, or goes on
    """

    run: str
    at: float
    hil: str
    revision: str | None
    build: Build
    ended: bool

    def changed_since(self, earlier: Point) -> dict[str, tuple[str | None, str | None]]:
        """What is another one: of the build's fields, ``revision`` and ``hil``."""
        told = {
            one.name: (getattr(earlier.build, one.name), getattr(self.build, one.name))
            for one in fields(Build)
        }
        told |= {"revision": (earlier.revision, self.revision), "hil": (earlier.hil, self.hil)}
        return {name: pair for name, pair in told.items() if pair[0] != pair[1]}


@dataclass(frozen=True, kw_only=True)
class Series:
    """A target through the runs.

    :ivar unique_id: of the board that it is now
    :ivar verdicts: by check; None: not in that run
    :ivar counts: by run: how many checks have which verdict
    :ivar down: by run: why it did not come up; empty: it did
    :ivar seconds: by measure and run; None: not measured
    """

    target: str
    kind: str
    model: str | None
    unique_id: str | None
    points: tuple[Point, ...]
    verdicts: dict[str, tuple[CheckDigest | None, ...]]
    counts: tuple[dict[str, int], ...]
    down: tuple[str, ...]
    seconds: dict[str, tuple[float | None, ...]]


@dataclass(frozen=True, kw_only=True)
class Swapped:
    """Another board answers by this name."""

    target: str
    before: str
    now: str
    first: Point


Row = tuple[RunDigest, TargetDigest]


def point(run: RunDigest, target: TargetDigest) -> Point:
    return Point(
        run=run.name,
        at=run.at,
        hil=run.hil,
        revision=run.revision,
        build=target.build,
        ended=run.exit_status is not None,
    )


def of_one_board(name: str, rows: list[Row]) -> tuple[int, Swapped | None]:
    """Where the runs of the board begin that it is now."""
    known = [(i, target.unique_id) for i, (_, target) in enumerate(rows) if target.unique_id]
    for (_, before), (i, now) in reversed(list(itertools.pairwise(known))):
        if before != now:
            told = Swapped(target=name, before=before, now=now, first=point(*rows[i]))
            return i, told
    return 0, None


def series_of(name: str, rows: list[Row], only: Sequence[str]) -> Series:
    found = sorted({check for _, target in rows for check in target.checks})
    latest = rows[-1][1]
    ids = [target.unique_id for _, target in rows if target.unique_id]
    return Series(
        target=name,
        kind=latest.kind,
        model=latest.model,
        unique_id=ids[-1] if ids else None,
        points=tuple(point(*row) for row in rows),
        verdicts={
            check: tuple(target.checks.get(check) for _, target in rows)
            for check in found
            if not only or check in only
        },
        counts=tuple(_counts(target) for _, target in rows),
        down=tuple(target.message if target.fault else "" for _, target in rows),
        seconds={measure: _pace(measure, rows) for measure in MEASURES},
    )


def _counts(target: TargetDigest) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in target.checks.values():
        counts[one.verdict] = counts.get(one.verdict, 0) + 1
    return counts


def _pace(measure: str, rows: list[Row]) -> tuple[float | None, ...]:
    """By run, how long it takes, as if each run had measured the same cases.

    A run of some checks only is not quicker than one of all: each case is compared with its own
    median over all runs, and the middle of these ratios is what a run is worth.
    """
    taken = [
        {case: seconds for case, seconds in target.seconds.items() if case[0] == measure}
        for _, target in rows
    ]
    if measure == "bring-up":
        # What is new has to be deployed first; and of the first run nobody knows.
        for i, (_, target) in enumerate(rows):
            if i == 0 or rows[i - 1][1].build != target.build:
                taken[i] = {}
    all_of: dict[Measure, list[float]] = {}
    for one in taken:
        for case, seconds in one.items():
            all_of.setdefault(case, []).append(seconds)
    usual = {case: statistics.median(values) for case, values in all_of.items()}
    usual = {case: seconds for case, seconds in usual.items() if seconds > 0}
    if not usual:
        return (None,) * len(rows)
    typical = statistics.median(usual.values())
    paces: list[float | None] = []
    for one in taken:
        ratios = [seconds / usual[case] for case, seconds in one.items() if case in usual]
        enough = len(ratios) >= min(MEASURES[measure], len(usual))
        paces.append(typical * statistics.median(ratios) if ratios and enough else None)
    return tuple(paces)
