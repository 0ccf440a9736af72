"""A check that takes too long: where the host was, where the board was, and whose fault that is.

The way to it is :mod:`hil.out_of_time`.
"""

from __future__ import annotations

import linecache
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from .errors import BenchError, BoardError, HilError
from .target import Absent

if TYPE_CHECKING:
    from .bench import Bench
    from .deadline import Deadline
    from .link.interruption import Interrupted
    from .report.events import Fault, Stuck
    from .target import Target

SHOWN_FRAMES = 3, 4
"""Of the host's stack, from the check inwards and from the innermost outwards: more is a library's
own business."""

SHOWN_LINES = 8
"""Of the console: what fits on one screen with the rest."""

_PACKAGE = f"{Path(__file__).parent}/"
# Whoever is in here waits for the target; its own time limits are longer than the check's.
_TALKS = ("auth/client.py", "auth/raw.py", "auth/held.py", "link/")
_MACHINERY = ("/_pytest/", "/pluggy/", "/pytest_timeout.py")


@dataclass(frozen=True)
class HostFrames:
    """The host's stack, from the check or fixture inwards.

    :ivar lines: ``FILE:LINE in FUNCTION: CODE``
    :ivar where: the check's own line, and the innermost of ours
    :ivar talks: it waits for the target to say something
    """

    lines: tuple[str, ...]
    where: str
    talks: bool


def host_frames(thread: int, rootdir: Path) -> HostFrames:
    """Where a thread is now.

    :param thread: its ident
    """
    frame = sys._current_frames().get(thread)
    frames: list[FrameType] = []
    while frame is not None and not any(part in frame.f_code.co_filename for part in _MACHINERY):
        frames.insert(0, frame)
        frame = frame.f_back
    lines = [_told(frame, rootdir) for frame in frames]
    ours = [_PACKAGE in frame.f_code.co_filename for frame in frames]
    inner = len(ours) - 1 - ours[::-1].index(True) if True in ours else len(lines) - 1
    ends = dict.fromkeys((lines[0], lines[inner])) if lines else ["nowhere that can be seen"]
    first, last = SHOWN_FRAMES
    left_out = len(lines) - first - last
    if left_out > 1:
        lines[first:-last] = [f"... {left_out} more"]
    return HostFrames(
        tuple(lines),
        ", in ".join(line.partition(": ")[0] for line in ends),
        any(
            frame.f_code.co_filename.startswith(tuple(_PACKAGE + part for part in _TALKS))
            for frame in frames
        ),
    )


def _told(frame: FrameType, rootdir: Path) -> str:
    file, line = frame.f_code.co_filename, frame.f_lineno
    code = linecache.getline(file, line).strip()
    return f"{_short(file, rootdir)}:{line} in {frame.f_code.co_name}: {code}"


def _short(file: str, rootdir: Path) -> str:
    """Relative to the project, else to where it is imported from."""
    folders = [str(rootdir), *sorted(filter(None, sys.path), key=len, reverse=True)]
    folder = next((folder for folder in folders if file.startswith(f"{folder}/")), "")
    return file[len(folder) :].lstrip("/") if folder else file


@dataclass(frozen=True)
class Story:
    """:ivar coming: what its bring-up is at; empty: it is up
    :ivar board: how it took Ctrl-C; None: it is none, or is not up
    :ivar console: its last lines, redacted
    """

    target: str
    after_s: float
    limit_s: float
    host: HostFrames
    coming: str = ""
    board: Interrupted | None = None
    console: tuple[str, ...] = ()

    @property
    def fault(self) -> Fault:
        """The board's where it does not react, where its application was busy or has ended, or
        where the host waits for it; the bench's where the host waits for something else."""
        if self.coming or self.board is None:
            return "board" if self.host.talks else "bench"
        return "bench" if self.board.well and not self.host.talks else "board"

    def error(self) -> HilError:
        kind = BenchError if self.fault == "bench" else BoardError
        return kind(self._message(), target=self.target, hint=self._hint())

    def event(self, check: str) -> Stuck:
        """The same as evidence."""
        from .report.events import Stuck

        traceback = self.board.traceback if self.board else None
        return Stuck(
            at=time.time(),
            check=check,
            after_s=round(self.after_s, 3),
            host=self.host.lines,
            board=traceback.lines if traceback else (),
            console=self.console,
            fault=self.fault,
        )

    def _message(self) -> str:
        parts = [
            f"no end after {self.after_s:.1f} s (its time limit is {self.limit_s:g} s): "
            f"{self._where_board()}; the host was at {self.host.where}",
            *_part("the host, from the check inwards", self.host.lines),
        ]
        if self.board and self.board.traceback and not self.board.idle:
            parts += _part("the board, when it was interrupted", self.board.traceback.lines)
        parts += _part("its last lines", self.console)
        return "\n".join(parts)

    def _where_board(self) -> str:
        if self.coming:
            return self.coming
        if self.board is None:
            return "nothing can tell where its application was"
        if not self.board.reacted:
            return f"the board did not react to Ctrl-C ({self.board.told})"
        if self.board.traceback is None:
            return f"the board answered, and {self.board.told}"
        if self.board.idle:
            after = "answers again since" if self.board.goes_on else "does not answer since"
            return f"the board waited for requests ({self.board.where}), and {after}"
        return f"the board was busy at {self.board.where}"

    def _hint(self) -> str:
        if self.fault == "bench":
            well = ": the board is well" if self.board else ""
            return f"look at the host's line{well}; --timeout SECONDS gives a check more time"
        where = "board's line" if self.board and self.board.reacted else "target"
        return f"look at the {where}; --timeout SECONDS gives a check more time"


def _part(label: str, lines: tuple[str, ...]) -> list[str]:
    return [f"  {label}:", *(f"    {line}" for line in lines)] if lines else []


def look(
    bench: Bench,
    name: str,
    thread: int,
    rootdir: Path,
    after_s: float,
    limit_s: float,
    deadline: Deadline,
) -> Story:
    """Ask host and board where they are. The board's application is interrupted for it.

    :param thread: the check's
    :param after_s: since the check began
    """
    host = host_frames(thread, rootdir)
    target = next((up for up in bench.up() if up.name == name), None)
    if target is None:
        wait = next((str(wait) for wait in bench.waits() if wait.target == name), "")
        return Story(name, after_s, limit_s, host, coming=wait or "it was still being brought up")
    shown = _redactor(target)
    console = target.controls.console
    lines = [] if isinstance(console, Absent) else [one for one in console.lines if one.strip()]
    found = target.interrupt(deadline) if target.interrupt else None
    return Story(
        name, after_s, limit_s, host, board=found, console=tuple(map(shown, lines[-SHOWN_LINES:]))
    )


def _redactor(target: Target) -> Callable[[str], str]:
    from .auth import redaction

    secrets, fields = target.api.compose("GET", "/").secrets, target.profile.hidden_fields

    def shown(line: str) -> str:
        text = redaction.printed(redaction.fields(redaction.known(line, secrets), fields))
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:240])

    return shown
