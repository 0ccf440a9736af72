"""A terminal whose last lines are kept up to date below everything else that is written.

What others write goes above them, whoever writes it and whenever. Each change is one ``write()``,
and what has not changed is not written: nothing flickers.

Only ECMA-48's cursor up, erase to the end of the line and erase below are used, and no line is as
wide as the terminal. So after a change of its width stale lines may be left above, at worst; what
others have written is never written over.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Sequence

# Control sequences (ECMA-48) and operating system commands, e.g. pytest's progress: no columns.
_NOT_SEEN = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\].*?(?:\x07|\x1b\\)")

# A line that is being written, e.g. xdist's of its workers, is left alone until nobody goes on with
# it for so long, seconds.
_OPEN_S = 0.5


class Screen:
    """:param fd: the terminal; a duplicate of it is used, so that pytest's capturing does not
    take what is written here
    """

    def __init__(self, fd: int, encoding: str = "utf-8", *, line_is_open: bool = False) -> None:
        self._fd = os.dup(fd)
        self.encoding = encoding
        self._lock = threading.RLock()
        self._shown: tuple[str, ...] = ()
        self._line_is_open = line_is_open
        self._written = 0.0
        self._halted = self._closed = False

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines; 80 by 24 where the terminal does not say."""
        with contextlib.suppress(OSError):
            columns, lines = os.get_terminal_size(self._fd)
            if columns > 0 and lines > 0:
                return columns, lines
        return 80, 24

    def show(self, lines: Sequence[str]) -> None:
        """Have these as the last lines: each shorter than the terminal is wide, none more than it
        has lines."""
        with self._lock:
            if self._closed or self._halted or tuple(lines) == self._shown:
                return
            if self._line_is_open and time.monotonic() - self._written < _OPEN_S:
                return
            begin = "\r\n" if self._line_is_open else self._to_top()
            self._line_is_open = False
            self._send(begin + (_painted(lines) or "\x1b[J"))
            self._shown = tuple(lines)

    def write(self, text: str) -> int:
        """Above those lines. What ends without a line feed goes on there until they change."""
        with self._lock:
            seen = _NOT_SEEN.sub("", text)
            if not seen or self._closed:
                self._send(text)
                return len(text)
            above = (self._to_top() + "\x1b[J" if self._shown else "") + text
            self._line_is_open, self._written = not seen.endswith("\n"), time.monotonic()
            again = "" if self._line_is_open else _painted(self._shown)
            self._send(above + again)
            if not again:
                self._shown = ()
            return len(text)

    def halt(self) -> None:
        """Take the last lines away, until :meth:`go_on`: somebody else has the terminal."""
        with self._lock:
            self._take_away()
            self._halted = True

    def go_on(self) -> None:
        with self._lock:
            self._halted, self._line_is_open = False, True

    def close(self) -> None:
        """Take the last lines away. What is written from now on goes straight to the terminal."""
        with self._lock:
            self._take_away()
            self._closed = True

    def _take_away(self) -> None:
        if self._shown:
            self._send(self._to_top() + "\x1b[J")
            self._shown = ()

    def _to_top(self) -> str:
        """From the end of the last line to the beginning of the first."""
        up = len(self._shown) - 1
        return "\r" + (f"\x1b[{up}A" if up > 0 else "") if self._shown else ""

    def _send(self, text: str) -> None:
        data = memoryview(text.encode(self.encoding, "replace"))
        # A terminal that has gone takes nothing any more, and that is no reason to end a run.
        with contextlib.suppress(OSError):
            while data:
                data = data[os.write(self._fd, data) :]

    # -- as a file, for those who write to one -----------------------------------------------------

    def flush(self) -> None: ...

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd


def _painted(lines: Sequence[str]) -> str:
    return "\r\n".join(f"{line}\x1b[K" for line in lines) + ("\x1b[J" if lines else "")
