"""The live lines: what each target of a run does this moment.

Reads the run's folder as it grows, and nothing else: so it needs not know which process writes it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.cells import cell_len, set_cell_size

from . import runs
from .events import (
    WORDS,
    CheckBegin,
    ClockSeen,
    Down,
    Event,
    Exchange,
    Phase,
    PutBack,
    TargetBegin,
    Up,
    Verdict,
    VerdictWord,
)

_ONE, _MANY = 0, 1
_TOLD: dict[VerdictWord, tuple[str, str]] = {
    "finding": ("finding", "findings"),
    "error": ("error", "errors"),
    "advisory": ("advisory", "advisories"),
    "known": ("known", "known"),
    "skipped": ("skipped", "skipped"),
    "passed": ("passed", "passed"),
}
_COLOURS: dict[str, str] = {"finding": "31;1", "error": "35;1", "advisory": "33", "passed": "32"}
_FAINT, _BOLD = "2", "1"
_LONG_S = 2.0
"""A step or check that takes longer is shown with its time."""
_OFF_S = 2.0
"""A board's clock that differs by more is shown with the difference: an RTC counts whole seconds,
and LOG-02 and others hold it to less."""
_NAME = 16
_ACTIVITY = 16
_CONSOLE = 12
"""Columns: the longest that a name may be, the least of what is worth to be shown of a console."""


@dataclass
class TargetState:
    """:ivar state: ``waits`` (it has not begun), ``coming``, ``ready``, ``checking``, ``out``,
        ``done``
    :ivar doing: the phase, or the check
    :ivar since: host time, Unix seconds
    :ivar offset: board minus host, seconds; None: not known
    :ivar console: the last line of it
    """

    name: str
    state: str = "waits"
    doing: str = ""
    since: float = 0.0
    verdicts: dict[str, VerdictWord] = field(default_factory=dict)
    offset: float | None = None
    console: str = ""

    def add(self, event: Event) -> Verdict | Down | None:
        """What has happened to it.

        :returns: the event, if it is one to be told at once
        """
        if isinstance(event, TargetBegin):
            self.state, self.doing, self.since = "coming", "", event.at
        elif isinstance(event, Phase):
            self.state, self.doing, self.since = "coming", event.phase, event.at
        elif isinstance(event, Up):
            self.state, self.doing, self.since = "ready", "", event.at
        elif isinstance(event, CheckBegin):
            if self.state != "out":
                self.state = "checking"
            self.doing, self.since = event.check, event.at
        elif isinstance(event, PutBack):
            self.state, self.doing = "done", ""
        elif isinstance(event, Exchange | ClockSeen) and event.board:
            self.offset = event.board.unix - event.at
        elif isinstance(event, Down):
            self.state, self.doing = "out", ""
            return event
        elif isinstance(event, Verdict):
            self.verdicts[event.check] = event.verdict
            self.doing, self.since = "", event.at
            # What has kept it from coming up has been told.
            told = event.verdict == "finding" or (event.verdict == "error" and self.state != "out")
            return event if told else None
        return None

    def counts(self) -> Counter[VerdictWord]:
        return Counter(self.verdicts.values())


class LiveRun:
    """A run, as far as it has come.

    :param folder: ``artifacts/RUN``
    :param totals: how many checks each target has, where that is known
    :param held: by whom a target is held that this run waits for, in words
    """

    def __init__(
        self,
        folder: Path,
        targets: Iterable[str],
        totals: Mapping[str, int] | None = None,
        held: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self.targets = [TargetState(name) for name in targets]
        self._folder = folder
        self._totals = totals or {}
        self._held = held
        self._read: dict[Path, int] = {}

    def look(self) -> list[str]:
        """Read what has been written since.

        :returns: what is to be told at once: a line for each finding and error
        """
        told = []
        for target in self.targets:
            folder = self._folder / target.name
            path = folder / runs.EVIDENCE_FILE
            if self._has_grown(path):
                events, self._read[path] = runs.follow(path, self._read.get(path, 0))
                told += [
                    _news(target.name, news) for event in events if (news := target.add(event))
                ]
            path = folder / runs.CONSOLE_FILE
            if self._has_grown(path):
                target.console = self._last_line(path) or target.console
        return told

    def _has_grown(self, path: Path) -> bool:
        try:
            return path.stat().st_size > self._read.get(path, 0)
        except OSError:
            return False

    def _last_line(self, path: Path) -> str:
        with path.open("rb") as file:
            file.seek(max(self._read.get(path, 0), path.stat().st_size - 2000))
            text = file.read().decode("utf-8", "replace")
            self._read[path] = file.tell()
        return next((line for line in reversed(text.splitlines()) if line.strip()), "")

    def lines(
        self, columns: int, rows: int, *, colour: bool = False, now: float | None = None
    ) -> list[str]:
        """The live lines: one for each target; where they are too many, those that wait and those
        that are done take one each.

        :param columns: no line is wider
        :param rows: no more lines than these
        :param now: host time, Unix seconds
        """
        if all(target.state == "waits" for target in self.targets):
            return []  # xdist still tells how its workers fare
        now = time.time() if now is None else now
        held = self._held()
        draw = _Drawing(columns, colour, now, self._totals, held, self._name_width())
        if len(self.targets) <= rows:
            return [draw.line(target) for target in self.targets]
        active = [one for one in self.targets if one.state in ("coming", "checking")]
        waiting = [one for one in self.targets if one.state in ("waits", "ready")]
        done = [one for one in self.targets if one.state in ("out", "done")]
        folded = [
            draw.folded(many, what) for many, what in ((waiting, "wait"), (done, "done")) if many
        ]
        room = max(0, rows - len(folded))
        if len(active) > room:
            room = max(0, room - 1)
            folded.insert(0, draw.folded(active[room:], "more"))
        return [*(draw.line(target) for target in active[:room]), *folded][:rows]

    def _name_width(self) -> int:
        return min(_NAME, max((cell_len(one.name) for one in self.targets), default=0))


@dataclass
class _Drawing:
    """How a target becomes a line."""

    columns: int
    colour: bool
    now: float
    totals: Mapping[str, int]
    held: Mapping[str, str]
    name_width: int

    def line(self, target: TargetState) -> str:
        held = self.held.get(target.name, "")
        parts = [
            (_cut(target.name, self.name_width), _BOLD),
            (_cut(self._activity(target, held), _ACTIVITY), ""),
            *self._counts(target.counts(), self.totals.get(target.name)),
        ]
        if clock := self._clock(target):
            parts.append((clock, _FAINT))
        if last := held or target.console:
            used = sum(cell_len(text) + 2 for text, _ in parts)
            if self.columns - used >= _CONSOLE:
                parts.append((_plain(last), _FAINT))
        return self._joined(parts)

    def folded(self, targets: Sequence[TargetState], what: str) -> str:
        counts: Counter[VerdictWord] = sum((one.counts() for one in targets), Counter())
        boards = f"{len(targets)} {what}"
        names = ", ".join(one.name for one in targets)
        return self._joined(
            [(_cut(boards, self.name_width), _BOLD), *self._counts(counts, None), (names, _FAINT)]
        )

    def _activity(self, target: TargetState, held: str) -> str:
        since = self.now - target.since
        long = f" {since:.0f} s" if since >= _LONG_S else ""
        if held:
            return f"is held{long}"
        if target.state == "coming":
            return f"{target.doing}{long}"
        if target.state == "checking":
            return f"{target.doing}{long}" if target.doing else f"between{long}"
        return {"waits": "", "ready": "up", "out": "out", "done": "done"}[target.state]

    def _counts(self, counts: Counter[VerdictWord], total: int | None) -> list[tuple[str, str]]:
        parts = []
        if total:
            digits = len(str(total))
            parts.append((f"{sum(counts.values()):>{digits}}/{total}", ""))
        # Those that pass are what one sees last.
        for word in reversed(WORDS) if not counts["finding"] and not counts["error"] else WORDS:
            if number := counts[word]:
                told = _TOLD[word][_ONE if number == 1 else _MANY]
                parts.append((f"{number} {told}", _COLOURS.get(word, "")))
        return parts

    def _clock(self, target: TargetState) -> str:
        if target.offset is None or target.state in ("done", "out"):
            return ""
        shown = time.strftime("%H:%M:%SZ", time.gmtime(self.now + target.offset))
        return shown if abs(target.offset) < _OFF_S else f"{shown} {_difference(target.offset)}"

    def _joined(self, parts: Iterable[tuple[str, str]]) -> str:
        """As much of it as there is room for."""
        room = self.columns
        drawn: list[str] = []
        for text, style in parts:
            gap = 2 if drawn else 0
            if room - gap < 1:
                break
            text = text if cell_len(text) <= room - gap else set_cell_size(text, room - gap)
            room -= gap + cell_len(text)
            drawn.append(f"\x1b[{style}m{text}\x1b[0m" if style and self.colour else text)
        return "  ".join(drawn).rstrip()


def _difference(seconds: float) -> str:
    """``+3 s``, ``-24 h``: in the largest unit that is not far off."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{seconds / size:+.0f} {unit}"
    return f"{seconds:+.0f} s"


def _cut(text: str, columns: int) -> str:
    return set_cell_size(text, columns)


def _plain(text: str) -> str:
    """A board may print what moves a terminal's cursor."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def _news(target: str, event: Verdict | Down) -> str:
    """``finding LOG-06 porch: promised: 401, got: 200``."""
    what = f"{event.fault} error"
    check = "" if isinstance(event, Down) else f" {event.check}"
    if isinstance(event, Verdict) and event.verdict == "finding":
        what = "finding"
    first = event.message.strip().partition("\n")[0].removeprefix(f"{target}: ")
    return f"{what}{check} {target}: {_plain(first)}"
