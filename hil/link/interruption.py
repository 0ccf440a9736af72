"""Where a board is stuck: its application is interrupted, and its traceback tells.

For a check that takes too long. The link may be in use by the very thread that is stuck: then
Ctrl-C goes past it, and what the board answers is heard beside it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hil.deadline import Deadline
from hil.errors import HilError
from hil.link.board import RESUME, BoardLink
from hil.link.console import Traceback, find_tracebacks
from hil.link.port import Port

_INTERRUPT = b"\x03"
_RAW_MODE = b"\x01"
_PROMPT = re.compile(rb">>> $|\x04>$|raw REPL; CTRL-B to exit\r\n>$")
#: For a thread that is about to leave the link; one that is stuck in it does not, seconds.
_HELD_S = 0.2
_FRAME = re.compile(r'  File "(?P<file>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>.+))?')


@dataclass(frozen=True)
class Interrupted:
    """How a board took Ctrl-C.

    :ivar reacted: something came back
    :ivar traceback: of the application's ``KeyboardInterrupt``; None: none was running, or it did
        not react
    :ivar told: why not; or in which conversation it was
    :ivar goes_on: the application was put back to work, and answers
    :ivar held: the REPL was somebody's who talks to it
    """

    reacted: bool
    traceback: Traceback | None = None
    told: str = ""
    goes_on: bool = False
    held: bool = False

    @property
    def well(self) -> bool:
        """It does what is asked of it: its application, or its REPL, waited for the host."""
        return self.reacted and (self.goes_on or (self.held and self.traceback is None))

    @property
    def where(self) -> str:
        """``main.py:123 in handler``: the innermost line; empty where it is not known."""
        frame = _innermost(self.traceback)
        if frame is None:
            return ""
        function = frame["function"]
        return f"{frame['file']}:{frame['line']}" + (f" in {function}" if function else "")

    @property
    def idle(self) -> bool:
        """It waited in its event loop for something to do."""
        frame = _innermost(self.traceback)
        return frame is not None and frame["file"].startswith(("asyncio/", "uasyncio/"))


def _innermost(traceback: Traceback | None) -> re.Match[str] | None:
    found = [_FRAME.match(line) for line in (traceback.lines if traceback else ())]
    return next((frame for frame in reversed(found) if frame), None)


def interrupt(
    link: BoardLink, deadline: Deadline, answers: Callable[[Deadline], bool]
) -> Interrupted:
    """Stop its application, and tell where it was. One that was idle is put back to work.

    :param answers: whether the application answers a request
    """
    port = link.port
    if port is None:
        return Interrupted(False, told="its port is gone")
    with _heard(port) as heard, link.held(min(_HELD_S, deadline.remaining() / 4)) as had:
        if not had:
            return _past_the_holder(port, heard, deadline)
        share = deadline.sooner(deadline.remaining() * 0.7)
        try:
            with link.repl(share) as repl:
                found = Interrupted(True, heard.traceback(), "" if repl.interrupted else _AT_PROMPT)
                if found.idle:
                    repl.start(RESUME, deadline)
        except HilError as error:
            return Interrupted(False, told=error.message)
    goes_on = found.idle and answers(deadline)
    return Interrupted(True, found.traceback, found.told, goes_on)


_AT_PROMPT = "no application was running: it was at its prompt"


def _past_the_holder(port: Port, heard: _Heard, deadline: Deadline) -> Interrupted:
    try:
        # A program is interrupted by the first; at the raw REPL's prompt only Ctrl-A is answered.
        for keys, share in ((_INTERRUPT, 0.5), (_INTERRUPT + _RAW_MODE, 1.0)):
            port.write(keys, deadline)
            if heard.wait(deadline.sooner(deadline.remaining() * share)):
                if traceback := heard.traceback():
                    return Interrupted(True, traceback, held=True)
                port.drain()  # what this has made it say is no answer to its holder
                told = "its REPL waited for what the host has to say"
                return Interrupted(True, told=told, held=True)
    except HilError as error:
        return Interrupted(False, told=error.message, held=True)
    return Interrupted(False, held=True, told="nothing came back after Ctrl-C")


class _Heard:
    """What comes on a port, beside whoever takes it."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._changed = threading.Condition()

    def __call__(self, data: bytes) -> None:
        with self._changed:
            self._data += data
            del self._data[:-100_000]  # a program that floods the line
            self._changed.notify_all()

    def wait(self, deadline: Deadline) -> bool:
        """Until a prompt has come."""
        with self._changed:
            return self._changed.wait_for(
                lambda: _PROMPT.search(self._data) is not None, deadline.remaining()
            )

    def traceback(self) -> Traceback | None:
        with self._changed:
            text = self._data.decode(errors="replace")
        found = [one for one in find_tracebacks(text) if one.exception_type == "KeyboardInterrupt"]
        return found[0] if found else None


@contextmanager
def _heard(port: Port) -> Iterator[_Heard]:
    heard = _Heard()
    port.listener = heard
    try:
        yield heard
    finally:
        port.listener = None
