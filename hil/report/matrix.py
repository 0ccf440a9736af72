"""Every check on every target: the table of a checklist, and its words."""

from __future__ import annotations

import csv
import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .events import CheckBegin, Verdict, VerdictWord
from .runs import TargetRun
from .words import check_order, visible

Cell = VerdictWord | Literal["unfinished", "none", "beyond"]
"""What one check is on one target. ``unfinished``: it began, and the run ended in it. ``none``: no
verdict. ``beyond``: skipped, because the profile does not promise it."""

CELLS: tuple[Cell, ...] = (
    *("finding", "error", "unfinished", "advisory", "known", "skipped", "none", "beyond", "passed"),
)
"""From what a reader must see first to what may be passed over."""

CELL_WORDS: dict[Cell, str] = {
    "finding": "finding",
    "error": "error",
    "unfinished": "unfinished",
    "advisory": "advisory",
    "known": "known",
    "skipped": "skipped",
    "none": "no verdict",
    "beyond": "not promised",
    "passed": "passed",
}


def cell_of(verdict: Verdict | None, began: bool = False) -> Cell:
    """:param began: where there is no verdict: the check has begun"""
    if verdict is None:
        return "unfinished" if began else "none"
    return "beyond" if verdict.not_promised else verdict.verdict


@dataclass(frozen=True)
class Row:
    """One check on all targets, in the order of the targets.

    :ivar cells: one for each target
    """

    check: str
    group: str
    title: str
    severity: str
    source: str
    cells: tuple[Cell, ...]

    @property
    def worst(self) -> Cell:
        return min(self.cells, key=CELLS.index, default="none")


def counts(cells: Iterable[Cell]) -> dict[Cell, int]:
    found = list(cells)
    return {cell: found.count(cell) for cell in CELLS if cell in found}


def rows(targets: Sequence[TargetRun]) -> tuple[Row, ...]:
    """The checks that have a verdict or began, and those of the catalogue."""
    known = _catalogue()
    began = [
        {event.check for event in target.events if isinstance(event, CheckBegin)}
        for target in targets
    ]
    checks = {check for target in targets for check in target.verdicts}
    checks = checks.union(known, *began)
    found_rows = []
    for check in sorted(checks, key=lambda check: (group_place(check), check_order(check))):
        found = [target.verdicts.get(check) for target in targets]
        told = next((verdict for verdict in found if verdict), None)
        group, request, severity, source = known.get(check, (check.partition("-")[0], "", "", ""))
        title, severity, source = (
            (told.title, told.severity, told.source) if told else (request, severity, source)
        )
        cells = tuple(
            cell_of(verdict, check in started)
            for verdict, started in zip(found, began, strict=True)
        )
        found_rows.append(
            Row(
                check=visible(check),
                group=visible(group),
                title=visible(title),
                severity=severity,
                source=visible(source),
                cells=cells,
            )
        )
    return tuple(found_rows)


@functools.cache
def _catalogue() -> dict[str, tuple[str, str, str, str]]:
    """By check id: its group, what is sent, severity, source."""
    path = Path(__file__).parents[1] / "checks.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return {
            row["id"]: (row["group"], row["request"], row["severity"], row["source"])
            for row in csv.DictReader(file)
        }


@functools.cache
def _groups() -> dict[str, int]:
    found: dict[str, int] = {}
    for check in _catalogue():
        found.setdefault(check.partition("-")[0], len(found))
    return found


def group_place(check: str) -> int:
    """Where its group stands among those of the catalogue; behind them: others."""
    return _groups().get(check.partition("-")[0], len(_groups()))
