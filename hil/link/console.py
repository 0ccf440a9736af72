"""What the board printed outside our commands, and the tracebacks in it."""

from __future__ import annotations

import codecs
import io
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass

from hil.deadline import Deadline
from hil.errors import BoardError

_HEAD = "Traceback (most recent call last):"
_EXCEPTION = re.compile(r"([A-Za-z_][\w.]*)(?:: ?(.*))?")
_SOFT_REBOOT = "MPY: soft reboot"


@dataclass(frozen=True)
class Traceback:
    """A MicroPython traceback.

    :ivar lines: as printed, from ``Traceback (most recent call last):`` to the exception's line
    :ivar exception_type: e.g. ``OSError``
    :ivar message: what follows it, e.g. ``[Errno 28] ENOSPC``; empty when nothing does
    """

    lines: tuple[str, ...]
    exception_type: str
    message: str

    def __str__(self) -> str:
        return "\n".join(self.lines)


def find_tracebacks(text: str) -> list[Traceback]:
    """Every complete traceback in ``text``, in order."""
    lines = re.split(r"\r?\n", text)
    found = []
    at = 0
    while at < len(lines):
        start = at
        at += 1
        # Not "is": the application may have printed half a line before it raised.
        column = lines[start].find(_HEAD)
        if column < 0 or lines[start][column:].rstrip() != _HEAD:
            continue
        while at < len(lines) and lines[at].startswith("  "):
            at += 1
        if at == len(lines):
            continue
        match = _EXCEPTION.fullmatch(lines[at])
        if match:
            told = (_HEAD, *lines[start + 1 : at + 1])
            found.append(Traceback(told, match[1], (match[2] or "").strip()))
            at += 1
    return found


# What Ctrl-C and the way into the raw REPL make the board print: the interrupt's traceback, the
# friendly REPL's greeting, prompts, and raw REPL's marks.
_NOISE = re.compile(
    rb"\x04?Traceback \(most recent call last\):\r?\n(?:  [^\n]*\n)*"
    rb"KeyboardInterrupt:? ?\r?\n(?:\x04>?)?"
    rb"|MicroPython [^\r\n]* on [^\r\n]*; [^\r\n]*\r?\n(?:Type \"help\(\)\"[^\r\n]*\r?\n)?"
    rb"|(?:\r\n)?(?:>>> |=== )"
    rb"|(?:\r\n)?raw REPL; CTRL-B to exit\r\n>?"
    rb"|\x04>?"
)


def without_noise(data: bytes) -> bytes:
    """``data`` without what our own Ctrl-C and Ctrl-A made the board print.

    A line that the interrupt cut short ends there.
    """
    rest = _NOISE.sub(b"", data)
    if not rest.strip():
        return b""
    return rest if rest.endswith(b"\n") else rest + b"\r\n"


class Console:
    """The board's output outside our commands, the last :attr:`limit` characters of it.

    The port's reader thread appends, any thread reads.

    :param limit: characters kept; the oldest go first
    """

    def __init__(self, limit: int = 1_000_000) -> None:
        self.limit = limit
        self.tell: Callable[[str], None] | None = None
        """Is told what is added, as it comes."""
        self._changed = threading.Condition()
        # Keeps an unfinished UTF-8 sequence, or a "\r" whose "\n" is to come, for the next piece.
        self._decoder = io.IncrementalNewlineDecoder(
            codecs.getincrementaldecoder("utf-8")("replace"), translate=True
        )
        self._text = ""
        self._dropped = 0
        self._after_mark = False

    def append(self, data: bytes) -> None:
        """Add what came from the port; it may end within a UTF-8 sequence."""
        if not data:
            return
        data = self._without_marks(data)
        with self._changed:
            text = self._decoder.decode(data)
            self._text += text
            # Cut by a third, not at each piece.
            if len(self._text) > self.limit * 3 // 2:
                self._dropped += len(self._text) - self.limit
                self._text = self._text[-self.limit :]
            self._changed.notify_all()
        if self.tell:
            self.tell(text)

    def start_line(self) -> None:
        """End a line that nothing more will follow: a prompt before a reset."""
        with self._changed:
            if not self._text or self._text.endswith("\n"):
                return
            self._text += "\n"
        if self.tell:
            self.tell("\n")

    def _without_marks(self, data: bytes) -> bytes:
        # A program that was started from the raw REPL ends in `\x04 error \x04 >`.
        if self._after_mark and data.startswith(b">"):
            data = data[1:]
        self._after_mark = data.endswith(b"\x04")
        return data.replace(b"\x04>", b"").replace(b"\x04", b"") if b"\x04" in data else data

    @property
    def text(self) -> str:
        with self._changed:
            return self._text[-self.limit :]

    @property
    def lines(self) -> list[str]:
        """The lines; the last one may still grow."""
        return self.text.splitlines()

    @property
    def tracebacks(self) -> list[Traceback]:
        """Those whose last line has ended."""
        whole, _, _ = self.text.rpartition("\n")
        return find_tracebacks(whole)

    @property
    def soft_reboots(self) -> int:
        """How often the board said that it reboots softly."""
        return self.text.count(_SOFT_REBOOT)

    def mark(self) -> int:
        """A position: what comes from now on is after it."""
        with self._changed:
            return self._dropped + len(self._text)

    def since(self, mark: int) -> str:
        """What came after ``mark``."""
        with self._changed:
            return self._text[max(0, mark - self._dropped) :]

    def wait_for(
        self, pattern: str | re.Pattern[str], deadline: Deadline, *, since: int = 0
    ) -> re.Match[str]:
        """Wait until ``pattern`` (a regular expression) is found after the mark ``since``.

        :raises BoardError: it was not printed in time
        """
        wanted = re.compile(pattern, re.MULTILINE) if isinstance(pattern, str) else pattern
        with self._changed:
            while True:
                match = wanted.search(self._text, max(0, since - self._dropped))
                if match:
                    return match
                if not self._changed.wait(deadline.remaining()) and deadline.expired:
                    last = self._text[-200:]
                    raise BoardError(
                        f"the board did not print {wanted.pattern!r} in time; last: {last!r}"
                    )
