"""What a check did, step by step, as a reader wants it: what was sent and got, when, at which board
time, and what happened to the board in between.

A timing check sends hundreds of pairs. Of steps that are alike the first few are told, and how many
more there were; all of them are in ``evidence.jsonl``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from .events import (
    Boot,
    CheckBegin,
    ClockSeen,
    Event,
    Exchange,
    KeyChange,
    Remark,
    Stuck,
    Verdict,
)
from .runs import TargetRun
from .words import duration, offset, utc, visible

ALIKE_SHOWN = 3
"""Exchanges with the same request and the same outcome, between two other steps."""

STEPS_SHOWN = 60
"""Steps of one check on one target."""

Kind = Literal["exchange", "clock", "boot", "key", "remark", "stuck"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """:ivar after_s: since the check began; seconds
    :ivar text: what was sent, or what happened
    :ivar got: the answer
    :ivar headers: those of the answer
    :ivar took: until the answer was whole, in words
    :ivar board: the board's clock in words, and how far it is from the host's
    :ivar more: how many like this one followed and are not told
    """

    kind: Kind
    after_s: float
    text: str
    got: str = ""
    headers: tuple[str, ...] = ()
    took: str = ""
    board: str = ""
    more: int = 0


@dataclass(frozen=True)
class Course:
    """The steps of one check on one target.

    :ivar left_out: how many steps there were besides, which are not alike
    """

    steps: tuple[Step, ...] = ()
    left_out: int = 0


def courses(target: TargetRun) -> dict[str, Course]:
    """By check id, of those that sent or did anything."""
    began: dict[str, float] = {}
    found: dict[str, list[Event]] = {}
    for event in target.events:
        if isinstance(event, CheckBegin):
            began[event.check] = event.at
            found[event.check] = []
        elif isinstance(event, (Exchange, ClockSeen, Boot, KeyChange, Remark, Stuck)):
            if event.check:
                found.setdefault(event.check, []).append(event)
                began.setdefault(event.check, event.at)
        elif isinstance(event, Verdict):
            found.setdefault(event.check, [])
    return {check: _course(events, began[check]) for check, events in found.items() if events}


def _course(events: list[Event], began: float) -> Course:
    steps: list[Step] = []
    last_alike: dict[tuple[str, str, int | None], int] = {}
    seen: dict[tuple[str, str, int | None], int] = {}
    left_out = 0
    for event in events:
        if isinstance(event, Exchange):
            key = (event.sent, event.outcome, event.status)
            seen[key] = seen.get(key, 0) + 1
            if seen[key] > ALIKE_SHOWN and key in last_alike:
                at = last_alike[key]
                steps[at] = replace(steps[at], more=steps[at].more + 1)
                continue
            if len(steps) < STEPS_SHOWN:
                last_alike[key] = len(steps)
        elif not isinstance(event, Remark):
            # The same request means something else now.
            seen, last_alike = {}, {}
        if len(steps) < STEPS_SHOWN:
            steps.append(_step(event, began))
        else:
            left_out += 1
    return Course(tuple(steps), left_out)


def _step(event: Event, began: float) -> Step:
    after_s = event.at - began
    if isinstance(event, Exchange):
        board = event.board
        return Step(
            kind="exchange",
            after_s=after_s,
            text=visible(event.sent),
            got=visible(event.got),
            headers=tuple(visible(line) for line in event.headers),
            took="" if event.took_s is None else duration(event.took_s),
            board=""
            if board is None
            else _board(board.unix, board.uncertainty_s, board.unix - event.at),
        )
    if isinstance(event, ClockSeen):
        return Step(
            kind="clock",
            after_s=after_s,
            text=f"the board's clock: {visible(event.action)}",
            board=_board(event.board.unix, event.board.uncertainty_s, event.offset_s),
        )
    if isinstance(event, Boot):
        told = f"reset ({visible(event.kind)}); it answered after {duration(event.took_s)}"
        return Step(kind="boot", after_s=after_s, text=told)
    if isinstance(event, KeyChange):
        told = f"the signing key on its flash was {event.action}"
        return Step(kind="key", after_s=after_s, text=told)
    if isinstance(event, Remark):
        told = f"{visible(event.name)}: {visible(event.value)}"
        return Step(kind="remark", after_s=after_s, text=told)
    assert isinstance(event, Stuck)
    lines = [
        f"stuck for {duration(event.after_s)}; the host was in",
        *(f"  {line}" for line in event.host),
        *(("the board was in", *(f"  {line}" for line in event.board)) if event.board else ()),
        *(("its last lines", *(f"  {line}" for line in event.console)) if event.console else ()),
    ]
    return Step(kind="stuck", after_s=after_s, text=visible("\n".join(lines)))


def _board(unix: float, uncertainty_s: float, offset_s: float) -> str:
    return f"{utc(unix)} ±{duration(uncertainty_s)}, {offset(offset_s)} from the host's"
