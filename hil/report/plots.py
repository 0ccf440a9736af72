"""What a person would rather look at than read: how long boards take to answer and to boot, and a
token's life against the board's clock. Numbers here; :mod:`hil.report.svg` draws them.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Literal

from .events import Boot, CheckBegin, ClockSeen, Exchange, KeyChange, TargetEvent, TokenSeen
from .runs import Run, TargetRun
from .words import duration, visible


@dataclass(frozen=True)
class Spread:
    """How long something took on one target; seconds.

    :ivar low: a twentieth was faster
    :ivar high: a twentieth was slower
    """

    target: str
    count: int
    low: float
    quarter: float
    median: float
    three_quarters: float
    high: float
    longest: float


def median(took: Sequence[float]) -> float:
    """Of one value or more."""
    return statistics.median(took)


def response_times(run: Run) -> list[Spread]:
    """Of every request that got an answer, from connecting to its end; targets without one are left
    out."""
    found = []
    for target in run.targets.values():
        took = sorted(
            event.took_s
            for event in target.events
            if isinstance(event, Exchange) and event.took_s is not None and event.status is not None
        )
        if took:
            found.append(_spread(visible(target.name), took))
    return found


def _spread(target: str, took: Sequence[float]) -> Spread:
    def at(share: float) -> float:
        return took[round(share * (len(took) - 1))]

    middle = median(took)
    return Spread(target, len(took), at(0.05), at(0.25), middle, at(0.75), at(0.95), took[-1])


@dataclass(frozen=True)
class Boots:
    """:ivar took: seconds from the reset to the answer, by kind of reset, in order"""

    target: str
    took: dict[str, tuple[float, ...]]

    @property
    def median(self) -> float:
        return median([one for took in self.took.values() for one in took])


def boot_times(run: Run) -> list[Boots]:
    """The resets of each target; those without one are left out."""
    found = []
    for target in run.targets.values():
        kinds: dict[str, list[float]] = {}
        for event in target.events:
            if isinstance(event, Boot):
                kinds.setdefault(visible(event.kind), []).append(event.took_s)
        if kinds:
            took = {kind: tuple(took) for kind, took in sorted(kinds.items())}
            found.append(Boots(visible(target.name), took))
    return found


Story = Literal["skew", "reboot", "rotation"]
STORIES: dict[Story, str] = {
    "skew": "the board's clock is moved",
    "reboot": "the board is reset",
    "rotation": "its signing key is changed",
}

MARKS_SHOWN = 14


@dataclass(frozen=True)
class Mark:
    """What happened to a token, or to the board that judges it.

    :ivar board: the board's clock, Unix seconds; None: not known
    :ivar what: the request, or what happened to the board
    :ivar outcome: of the request
    """

    kind: Literal["accepted", "refused", "other", "clock", "boot", "key"]
    board: float | None
    what: str
    outcome: str = ""


@dataclass(frozen=True)
class Life:
    """One token in one check.

    :ivar verdict: of the check
    :ivar issued: its ``iat``, Unix seconds; without one, the second in which it was first seen
    :ivar expires: its ``exp``
    :ivar left_out: how many marks are not told: alike in a row, or beyond :data:`MARKS_SHOWN`
    """

    story: Story
    target: str
    check: str
    title: str
    verdict: str
    issued: float
    expires: float
    marks: tuple[Mark, ...]
    left_out: int = 0


def lives(run: Run) -> list[Life]:
    """For each story the check that tells it best, one that failed before others: of the first
    target that has it, and of each other one where its verdict is another."""
    all_lives = [life for target in run.targets.values() for life in _lives(target)]
    found = []
    for story in STORIES:
        told = [life for life in all_lives if life.story == story]
        if not told:
            continue
        best = max(told, key=_worth)
        verdicts = set()
        for life in told:
            if life.check == best.check and life.verdict not in verdicts:
                verdicts.add(life.verdict)
                found.append(life)
    return found


def _worth(life: Life) -> tuple[bool, bool, int, int]:
    uses = [mark.kind for mark in life.marks if mark.outcome]
    changes = sum(before != after for before, after in pairwise(uses))
    return life.verdict == "finding", changes > 0, -life.left_out, min(len(uses), 8)


def _lives(target: TargetRun) -> Iterable[Life]:
    check: list[TargetEvent] = []
    for event in target.events:
        if isinstance(event, CheckBegin):
            yield from _life(target, check)
            check = [event]
        elif check and isinstance(event, (Exchange, ClockSeen, Boot, KeyChange)):
            check.append(event)
    yield from _life(target, check)


def _life(target: TargetRun, events: Sequence[TargetEvent]) -> Iterable[Life]:
    """The token that was used most often, where it was used on both sides of what happened."""
    begin = events[0] if events else None
    verdict = target.verdicts.get(begin.check) if isinstance(begin, CheckBegin) else None
    story = _story(events)
    uses: dict[str, int] = {}
    for event in events:
        token = event.token if isinstance(event, Exchange) else None
        if token and token.exp is not None:
            uses[token.id] = uses.get(token.id, 0) + 1
    if verdict is None or story is None or not uses:
        return
    token_id = max(uses, key=uses.__getitem__)
    marks, issued, expires = _marks(events, token_id)
    kinds = ["use" if mark.outcome else mark.kind for mark in marks]
    if "use" not in kinds or {"clock", "boot", "key"}.isdisjoint(kinds):
        return
    happened = min(i for i, kind in enumerate(kinds) if kind != "use")
    if "use" not in kinds[:happened] or "use" not in kinds[happened:]:
        return
    told = _thinned(marks)[:MARKS_SHOWN]
    yield Life(
        story=story,
        target=visible(target.name),
        check=visible(verdict.check),
        title=visible(verdict.title),
        verdict=verdict.verdict,
        issued=issued,
        expires=expires,
        marks=tuple(told),
        left_out=len(marks) - len(told),
    )


def _thinned(marks: Sequence[Mark]) -> list[Mark]:
    """Of uses in a row that are alike, the first and the last."""
    found: list[Mark] = []
    for _, alike in groupby(marks, key=lambda mark: (mark.kind, mark.what, mark.outcome)):
        first, *others = alike
        found += [first, *others[-1:]] if first.outcome else [first, *others]
    return found


def _story(events: Iterable[TargetEvent]) -> Story | None:
    found = {type(event) for event in events if not _is_reading(event)}
    if KeyChange in found:
        return "rotation"
    if ClockSeen in found:
        return "skew"
    return "reboot" if Boot in found else None


def _is_reading(event: TargetEvent) -> bool:
    return isinstance(event, ClockSeen) and event.action in ("read", "restore")


def _marks(events: Iterable[TargetEvent], token_id: str) -> tuple[list[Mark], float, float]:
    marks: list[Mark] = []
    issued = expires = 0.0
    ahead: float | None = None
    for event in events:
        if isinstance(event, Exchange):
            if event.board:
                ahead = event.board.unix - event.at
            token = event.token
            if token and token.id == token_id and token.exp is not None:
                board = event.board.unix if event.board else None
                expires = token.exp
                issued = issued or _issued(token, board or event.at)
                marks.append(_use(event, board))
            continue
        board = None if ahead is None else event.at + ahead
        if isinstance(event, ClockSeen):
            ahead = event.offset_s
            if not _is_reading(event):
                told = f"clock moved to {event.offset_s:+.0f} s ({visible(event.action)})"
                marks.append(Mark("clock", event.board.unix, told))
        elif isinstance(event, Boot):
            told = f"reset ({visible(event.kind)}, {duration(event.took_s)})"
            marks.append(Mark("boot", board, told))
        elif isinstance(event, KeyChange):
            marks.append(Mark("key", board, f"signing key {event.action}"))
    last_use = max((i for i, mark in enumerate(marks) if mark.outcome), default=-1)
    return marks[: last_use + 1], issued, expires


def _issued(token: TokenSeen, seen: float) -> float:
    return token.iat if token.iat is not None else float(int(seen))


def _use(event: Exchange, board: float | None) -> Mark:
    kind: Literal["accepted", "refused", "other"] = "other"
    if event.outcome in ("accepted", "refused"):
        kind = "accepted" if event.outcome == "accepted" else "refused"
    what = (
        visible(event.sent).partition(" | ")[0].removesuffix(" HTTP/1.1").removesuffix(" HTTP/1.0")
    )
    status = f" {event.status}" if event.status is not None else ""
    return Mark(kind, board, what, f"{visible(event.outcome)}{status}")
