"""A finding told in one screen: what was promised and by whom, what was sent, what came back, what
time it was on the board, and what usually causes it.

``hil checks explain ID`` tells the same before the fact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .deadline import Deadline
from .errors import HilError
from .target import Absent

if TYPE_CHECKING:
    from .check import Check
    from .target import Target

# A pause takes milliseconds; a board that has gone must not hold up the report of it. Seconds.
_CLOCK_BUDGET_S = 5.0


def told(function: object) -> tuple[str, str]:
    """The promise in words, and its usual cause, of a check's docstring.

    :returns: both without line breaks; empty where the docstring has no such part
    """
    import inspect

    promise, _, cause = (inspect.getdoc(function) or "").partition("Usual cause:")
    return _plain(promise), _plain(cause)


def _plain(text: str) -> str:
    return " ".join(text.replace("``", "'").split())


def board_clock(target: Target) -> str:
    """What the board's clock shows now, and how far that is from the host's.

    Where it cannot be read, the reason stands in place of a time.
    """
    import time

    clock = target.controls.clock
    if isinstance(clock, Absent):
        return f"not known: {clock.reason}"
    try:
        reading = clock.now(deadline=Deadline.after(_CLOCK_BUDGET_S))
    except HilError as error:
        return f"not known: {error.message}"
    shown = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(reading.unix))
    return f"{shown} on the board, {reading.offset:+.1f} s from the host's"


def explanation(check: Check, function: object, finding: str, clock: str) -> str:
    """The whole text of a finding in a check's own work.

    :param finding: what was found, promised, sent and got; no secrets
    :param clock: from :func:`board_clock`
    """
    name = getattr(function, "__name__", "").removeprefix("test_").replace("_", " ")
    promise, cause = told(function)
    lines = [
        f"{check.id} ({check.severity.value}): {name}",
        *_part("source", check.source),
        *_part("promise", promise),
        *_part("finding", finding),
        *_part("clock", clock),
        *_part("cause", cause and f"usually: {cause}"),
        *_part("more", f"hil checks explain {check.id}"),
    ]
    return "\n".join(lines)


def _part(label: str, text: str) -> list[str]:
    first, *others = text.strip().splitlines() or [""]
    if not first:
        return []
    # Lines that are indented already stay in their places below the others.
    indented = (line if line.startswith(" ") else f"  {line}" for line in others)
    return [f"  {label:<8} {first}", *(f"{'':<9}{line}" for line in indented)]
