"""Requirements as text: which checks bear on which, and what a run has shown of them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from .requirements import CAVEAT, STANDARDS, Assessed, Requirement, Standard

COLUMNS = (
    "standard",
    "id",
    "title",
    "version",
    "strength",
    "confidence",
    "checks",
    "source",
)
"""Of the CSV without a run."""

OF_A_RUN = ("standing", "wording")
"""Its further columns with one."""

Row = Requirement | Assessed


def as_csv(rows: Sequence[Row]) -> str:
    """RFC 4180, but for bare LF."""
    assessed = any(isinstance(row, Assessed) for row in rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, *(OF_A_RUN if assessed else ())])
    for row in rows:
        one = requirement(row)
        told = (row.standing, row.wording()) if isinstance(row, Assessed) else ()
        writer.writerow(
            [
                one.standard,
                one.id,
                one.title,
                one.version,
                one.strength,
                one.confidence,
                " ".join(one.checks),
                one.source,
                *told,
            ]
        )
    return text.getvalue()


def as_markdown(rows: Sequence[Row]) -> str:
    """A section for each standard, with what one must know of it."""
    assessed = any(isinstance(row, Assessed) for row in rows)
    lines = [CAVEAT]
    for standard, some in by_standard(rows):
        lines += ["", f"## {standard.title}", "", f"{standard.version}. {standard.caveat}", ""]
        head = ["requirement", "title", "strength", "confidence"]
        head += ["standing", "what is known"] if assessed else ["checks"]
        lines += [_row(head), _row(["---"] * len(head))]
        for row in some:
            one = requirement(row)
            told = [row.standing, row.wording()] if isinstance(row, Assessed) else [checks(one)]
            lines.append(_row([one.cited, one.title, one.strength, one.confidence, *told]))
    return "\n".join(lines) + "\n"


def by_standard(rows: Iterable[Row]) -> Iterator[tuple[Standard, list[Row]]]:
    """The rows of each standard of which there are any."""
    rows = list(rows)
    for standard in STANDARDS.values():
        some = [row for row in rows if requirement(row).family == standard.key]
        if some:
            yield standard, some


def requirement(row: Row) -> Requirement:
    """What the row is about."""
    return row.requirement if isinstance(row, Assessed) else row


def checks(one: Requirement) -> str:
    """In words where there is none."""
    return " ".join(one.checks) or "none: not examined"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    """What a board has answered must not become a column, a line, or HTML."""
    for old, new in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("\n", " ")):
        text = text.replace(old, new)
    return text
