"""How evidence reads on a page: text without control characters, times and durations in words."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable


def visible(text: str) -> str:
    """The text with all that does not show, or that would reorder or hide other text (control and
    formatting characters, strange blanks), as escapes; lines stay lines."""
    text = text.replace("\r\n", "\n").replace("\t", "    ")
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        char if char == "\n" or char.isprintable() else ascii(char)[1:-1] for char in text
    )


def utc(unix: float) -> str:
    """``2026-11-29 05:21:12 UTC``; what no calendar has, as a number."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(unix))
    except (OverflowError, ValueError, OSError):
        return f"{unix:.0f} s since 1970"


def duration(seconds: float) -> str:
    """Three digits or fewer: ``0.4 ms``, ``12 ms``, ``3.2 s``, ``2 min 5 s``, ``1 h 0 min``,
    ``30 d``."""
    size = abs(seconds)
    if size < 0.00095:
        return f"{seconds * 1000:.1f} ms"
    if size < 0.9995:
        return f"{seconds * 1000:.0f} ms" if size >= 0.00995 else f"{seconds * 1000:.1f} ms"
    if size < 59.95:
        return f"{seconds:.1f} s" if size < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    if size < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if size >= 48 * 3600:
        return f"{round(seconds / 86400)} d"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def offset(seconds: float) -> str:
    """By how much one clock is ahead of another: ``+3600.0 s``, ``-0.4 s``."""
    return f"{seconds:+.1f} s"


def count(number: int, noun: str, plural: str = "") -> str:
    """``1 finding``, ``2 findings``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def check_order(check: str) -> tuple[str, int, str]:
    """Sorts ``LOG-9`` before ``LOG-10``."""
    group, _, rest = check.partition("-")
    number = re.match(r"[0-9]{1,9}", rest)
    return group, int(number[0]) if number else -1, rest


def ranges(checks: Iterable[str]) -> str:
    """Check ids in order, three and more in a row as one: ``BAS-01 to BAS-19, LOG-02``.

    >>> ranges(["LOG-03", "LOG-02", "LOG-01", "ROT-19", "ROT-20"])
    'LOG-01 to LOG-03, ROT-19, ROT-20'
    """
    rows: list[list[str]] = []
    for check in sorted(checks):
        group, _, number = check.rpartition("-")
        last_group, _, last = rows[-1][-1].rpartition("-") if rows else ("", "", "")
        numbers = number.isdigit() and last.isdigit()
        if group == last_group and numbers and int(number) == int(last) + 1:
            rows[-1].append(check)
        else:
            rows.append([check])
    return ", ".join(
        f"{row[0]} to {row[-1]}" if len(row) > 2 else ", ".join(row)  # two are as short
        for row in rows
    )


_PLURALS = {"finding": "findings", "error": "errors", "advisory": "advisories"}


def counted(number: int, word: str) -> str:
    """``1 finding``, ``2 findings``, ``2 passed``."""
    return f"{number} {_PLURALS.get(word, word) if number != 1 else word}"
