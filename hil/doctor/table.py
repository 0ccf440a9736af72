"""The doctor's findings on the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .examined import Examined, Status

_COLOURS: dict[Status, str] = {
    "ok": "green",
    "note": "cyan",
    "warn": "yellow",
    "fail": "red",
    "skip": "dim",
}


def print_table(found: Sequence[Examined]) -> None:
    """One row each, the next step below what was told, and the sum."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=None, header_style="bold")
    for title in ("", "who", "what", "told"):
        table.add_column(title, overflow="fold")  # a long path is broken, not cut off
    for one in found:
        # Text, not markup: what a device or a tool says may hold brackets.
        told = Text(f"{one.told}\n-> {one.next_step}" if one.next_step else one.told)
        table.add_row(Text(one.status, _COLOURS[one.status]), Text(one.who), one.what, told)
    console.print(table)
    count = Counter(one.status for one in found)
    console.print(", ".join(f"{count[status]} {status}" for status in _COLOURS if count[status]))
