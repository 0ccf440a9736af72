"""A terminal as a person has one: a pseudo-terminal, and what its screen shows."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence

import pyte

from hil.deadline import Deadline

# The child's terminal is to be its controlling one, or Ctrl-C would reach nobody.
_OWN = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"  # noqa: E501


class Terminal:
    """:ivar fd: the side of the programs
    :ivar raw: all that they have written
    """

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self._master, self.fd = os.openpty()
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000, ratio=1.0)
        self._stream = pyte.ByteStream(self._screen)
        self._child: subprocess.Popen[bytes] | None = None
        self.raw = b""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._screen.resize(rows, columns)

    def run(self, command: Sequence[str], *, cwd: os.PathLike[str], env: Mapping[str, str]) -> None:
        """Start a program in it."""
        self._child = subprocess.Popen(
            [sys.executable, "-c", _OWN, *command],
            stdin=self.fd,
            stdout=self.fd,
            stderr=self.fd,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    @property
    def lines(self) -> list[str]:
        """All that has ever been shown and is not written over, as far as it was read."""
        gone = ["".join(line[x].data for x in sorted(line)) for line in self._screen.history.top]
        return [line.rstrip() for line in [*gone, *self._screen.display]]

    @property
    def text(self) -> str:
        return "\n".join(self.lines).rstrip()

    def read(self, deadline: Deadline | None = None) -> bool:
        """What is there now; with a deadline, wait for something. False: nothing came."""
        wait = deadline.remaining() if deadline else 0
        came = False
        while select.select([self._master], [], [], 0 if came else wait)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return came
            self.raw += data
            self._stream.feed(data)
            came = True
        return came

    def until(self, text: str, seconds: float = 30) -> None:
        """Wait until the screen shows this."""
        deadline = Deadline.after(seconds)
        while text not in self.text:
            assert self.read(deadline) or not deadline.expired, f"no {text!r} in:\n{self.text}"

    def finish(self, seconds: float = 60) -> int:
        """Wait until the program has ended. :returns: its exit status"""
        assert self._child
        deadline = Deadline.after(seconds)
        while self._child.poll() is None:
            assert not deadline.expired, f"it does not end:\n{self.text}"
            self.read(deadline.sooner(0.1))
        self.read()
        return self._child.returncode

    def close(self) -> None:
        if self._child and self._child.poll() is None:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
        os.close(self._master)
        os.close(self.fd)
