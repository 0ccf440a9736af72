"""What several runs tell together: what is red since when, what flickers, what has become slower,
what is no longer examined.

A check that was skipped, or ended in an error, has not been examined: it is neither red nor green.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from .digest import CheckDigest, RunDigest
from .series import Point, Series, Swapped, of_one_board, series_of

EXAMINED = ("passed", "finding", "advisory", "known")

LAST = 60
"""Runs that are looked at, unless somebody says otherwise."""

# A flickering check.
LOOKED_AT = 10
OF_ONE_BUILD = 2
OF_ANY_BUILD = 4
SETTLED = 5

# A target that has become slower.
AT_LEAST_RUNS = 2
USUAL_RUNS = 4
RATIO = 1.25
NOISES = 4.0
FLOOR_S = {"response": 0.002, "boot": 0.2, "bring-up": 1.0}

RULES = f"""\
red: its last verdict is a finding; since the first of them, with no other verdict between.
flickers: in its last {LOOKED_AT} examined runs, passed and not passed have changed
{OF_ONE_BUILD} times between runs of one build (firmware, application, profile), or {OF_ANY_BUILD}
times in all, and its last {SETTLED} verdicts are not alike. Such a check is not listed as red.
slower: each of the last runs (at least {AT_LEAST_RUNS}) took more than {RATIO} times the median of
all before them (at least {USUAL_RUNS}), and more than {NOISES:g} times the usual difference between
one run and the next above it. Responses are compared check by check, boots kind
by kind, bring-ups only where the build was there already.
no longer examined: skipped, an error, or not in the run, and examined before.
"""


@dataclass(frozen=True, kw_only=True)
class Broken:
    """A check whose last verdict is a finding (or an advisory).

    :ivar first: of the unbroken row
    :ivar last: in which it was examined
    :ivar before: the last examined run before the row; None: the row begins with what was looked at
    :ivar runs: in the row, in which it was examined
    :ivar gaps: in the row and since, in which it was not
    """

    target: str
    check: str
    verdict: str
    message: str
    first: Point
    last: Point
    before: Point | None
    runs: int
    gaps: int


@dataclass(frozen=True, kw_only=True)
class Flickering:
    """:ivar changes: between passed and not passed
    :ivar of_one_build: of these, those between two runs of the same build
    :ivar runs: that were looked at
    :ivar verdicts: of them, the latest last
    """

    target: str
    check: str
    message: str
    changes: int
    of_one_build: int
    runs: int
    verdicts: tuple[str, ...]
    last: Point


@dataclass(frozen=True, kw_only=True)
class Unexamined:
    """Checks of one target that were examined once, and are no longer.

    :ivar last: the last run in which they were
    :ivar runs: of the target since
    """

    target: str
    checks: tuple[str, ...]
    reason: str
    last: Point
    runs: int


@dataclass(frozen=True, kw_only=True)
class Slower:
    """:ivar usual_s: the median before
    :ivar now_s: the median since
    """

    target: str
    measure: str
    usual_s: float
    now_s: float
    first: Point
    before: Point
    runs: int


@dataclass(frozen=True, kw_only=True)
class Trends:
    """What the runs tell; see :data:`RULES`. Each list is in the order of targets and checks."""

    runs: tuple[RunDigest, ...]
    red: tuple[Broken, ...]
    advisories: tuple[Broken, ...]
    flickering: tuple[Flickering, ...]
    slower: tuple[Slower, ...]
    unexamined: tuple[Unexamined, ...]
    swapped: tuple[Swapped, ...]
    series: tuple[Series, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: without the runs' digests."""
        told = {
            one.name: [asdict(part) for part in getattr(self, one.name)]
            for one in fields(self)
            if one.name not in ("runs", "series")
        }
        runs = [
            {
                "run": run.name,
                "at": run.at,
                "revision": run.revision,
                "exit_status": run.exit_status,
            }
            for run in self.runs
        ]
        targets = []
        for one in self.series:
            words = {
                check: [found.verdict if found else None for found in row]
                for check, row in one.verdicts.items()
            }
            targets.append(asdict(one) | {"verdicts": words})
        return {"runs": runs, **told, "targets": targets}


def trends(
    runs: Sequence[RunDigest], *, targets: Sequence[str] = (), checks: Sequence[str] = ()
) -> Trends:
    """:param runs: the oldest first
    :param targets: only of these; none: of all
    :param checks: likewise
    """
    names = list(dict.fromkeys(name for run in reversed(runs) for name in run.targets))
    swapped: list[Swapped] = []
    series: list[Series] = []
    for name in targets or names:
        rows = [(run, run.targets[name]) for run in runs if name in run.targets]
        if rows:
            begin, swap = of_one_board(name, rows)
            series.append(series_of(name, rows[begin:], checks))
            swapped += [swap] if swap else []
    flickering = [found for one in series for found in _flickering(one)]
    unsteady = {(one.target, one.check) for one in flickering}
    broken = [
        found
        for one in series
        for found in _broken(one)
        if (found.target, found.check) not in unsteady
    ]
    return Trends(
        runs=tuple(runs),
        red=tuple(one for one in broken if one.verdict == "finding"),
        advisories=tuple(one for one in broken if one.verdict == "advisory"),
        flickering=tuple(flickering),
        slower=tuple(found for one in series for found in _slower(one)),
        unexamined=tuple(found for one in series for found in _unexamined(one)),
        swapped=tuple(swapped),
        series=tuple(series),
    )


def _examined(row: Sequence[CheckDigest | None]) -> list[tuple[int, CheckDigest]]:
    return [(i, one) for i, one in enumerate(row) if one and one.verdict in EXAMINED]


def _broken(series: Series) -> list[Broken]:
    found = []
    for check, row in series.verdicts.items():
        examined = _examined(row)
        word = examined[-1][1].verdict if examined else ""
        if word not in ("finding", "advisory"):
            continue
        others = [k for k, (_, one) in enumerate(examined) if one.verdict != word]
        begin = others[-1] + 1 if others else 0
        first, runs = examined[begin][0], len(examined) - begin
        found.append(
            Broken(
                target=series.target,
                check=check,
                verdict=word,
                message=examined[-1][1].message,
                first=series.points[first],
                last=series.points[examined[-1][0]],
                before=series.points[examined[begin - 1][0]] if begin else None,
                runs=runs,
                gaps=len(row) - first - runs,
            )
        )
    return found


def _flickering(series: Series) -> list[Flickering]:
    found = []
    for check, row in series.verdicts.items():
        examined = _examined(row)[-LOOKED_AT:]
        passed = [one.verdict == "passed" for _, one in examined]
        changes = [k for k in range(1, len(passed)) if passed[k] != passed[k - 1]]
        at_once = [
            k
            for k in changes
            if series.points[examined[k][0]].build == series.points[examined[k - 1][0]].build
        ]
        many = len(at_once) >= OF_ONE_BUILD or len(changes) >= OF_ANY_BUILD
        if not many or len(passed) - changes[-1] >= SETTLED:
            continue
        told = [one.message for _, one in examined if one.verdict != "passed"]
        found.append(
            Flickering(
                target=series.target,
                check=check,
                message=told[-1],
                changes=len(changes),
                of_one_build=len(at_once),
                runs=len(examined),
                verdicts=tuple(one.verdict for _, one in examined),
                last=series.points[examined[-1][0]],
            )
        )
    return found


def _unexamined(series: Series) -> list[Unexamined]:
    grouped: dict[tuple[int, str], list[str]] = {}
    for check, row in series.verdicts.items():
        examined = _examined(row)
        if examined and examined[-1][0] < len(row) - 1:
            reason = _reason(row[-1], series)
            grouped.setdefault((examined[-1][0], reason), []).append(check)
    return [
        Unexamined(
            target=series.target,
            checks=tuple(checks),
            reason=reason,
            last=series.points[last],
            runs=len(series.points) - 1 - last,
        )
        for (last, reason), checks in sorted(grouped.items())
    ]


def _reason(latest: CheckDigest | None, series: Series) -> str:
    if latest:
        return f"{latest.verdict}: {latest.message}" if latest.message else latest.verdict
    if series.down[-1]:
        return f"not brought up: {series.down[-1]}"
    return "not in the last run" if series.points[-1].ended else "the last run has no end"


def _slower(series: Series) -> list[Slower]:
    found = []
    for measure, row in series.seconds.items():
        timed = [(i, value) for i, value in enumerate(row) if value is not None]
        values = [value for _, value in timed]
        begin = slower_since(values, FLOOR_S[measure])
        if begin is not None:
            found.append(
                Slower(
                    target=series.target,
                    measure=measure,
                    usual_s=statistics.median(values[:begin]),
                    now_s=statistics.median(values[begin:]),
                    first=series.points[timed[begin][0]],
                    before=series.points[timed[begin - 1][0]],
                    runs=len(values) - begin,
                )
            )
    return found


def slower_since(values: Sequence[float], floor: float) -> int | None:
    """Where the last row of slower runs begins, if there is one; see :data:`RULES`.

    The noise is taken from the differences between neighbours (median of their absolute values,
    times 1.4826 / sqrt 2 for a normal distribution's deviation): a drift does not hide in it.

    :param floor: what is never worth telling, in the values' unit
    """
    for begin in range(USUAL_RUNS, len(values) - AT_LEAST_RUNS + 1):
        before = values[:begin]
        usual = statistics.median(before)
        steps = [abs(b - a) for a, b in itertools.pairwise(before)]
        noise = 1.0483 * statistics.median(steps)
        if min(values[begin:]) > max(RATIO * usual, usual + NOISES * noise, usual + floor):
            return begin
    return None
