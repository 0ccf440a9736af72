"""A serial line between a board and the harness, with the faults that a virtual board has.

What a fault does is :mod:`hil.virtual.faults`' business; the board at the other end is not.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from hil.virtual.events import Events
from hil.virtual.faults import Faults
from hil.virtual.terminal import SerialPort, make_raw


class Uart:
    """In place of the machine that the faults expect.

    :param far: the board's serial line, open and not blocking; it stays open
    :param device: where the harness finds the port
    :param reset: the board's
    """

    def __init__(self, far: int, device: Path, reset: Callable[[], None]) -> None:
        self.events = Events()
        self.faults = Faults(cast(Any, self))
        self.device = device
        self.plug: Uart | None = None  # here, as long as there is a port
        self.port: SerialPort
        self._far = far
        self._reset = reset
        self._wanted: queue.Queue[Callable[[], None]] = queue.Queue()
        self._ear, self._mouth = os.pipe()
        self.events.read(far, self._from_board)
        self.events.read(self._ear, self._do_wanted)
        self.replug()

    def plant(self, name: str, **options: Any) -> None:
        """See :meth:`hil.virtual.faults.Faults.plant`."""
        self.do(lambda: self.faults.plant(name, **options))

    def met(self) -> list[str]:
        """See :attr:`hil.virtual.faults.Faults.met`."""
        self.do(lambda: None)  # what has just struck is through with it
        return self.faults.met

    def heal(self) -> None:
        """As if there had never been a fault."""

        def renew() -> None:
            for name in ("replug", "trickle"):
                self.events.cancel(name)
            self.faults = Faults(cast(Any, self))
            self.replug()

        self.do(renew)

    def do(self, what: Callable[[], None]) -> None:
        """In the line's own thread; returns when it is done."""
        done = threading.Event()
        self._wanted.put(what)
        self._wanted.put(done.set)
        os.write(self._mouth, b"xx")
        assert done.wait(5), "it has raised"

    def close(self) -> None:
        self.unplug()
        for end in (self._ear, self._mouth):
            self.events.forget(end)
            os.close(end)
        self.events.forget(self._far)

    def _do_wanted(self) -> None:
        for _ in os.read(self._ear, 100):
            self._wanted.get()()

    # What the faults ask of a machine

    def say(self, data: bytes) -> None:
        """To the harness."""
        if data and self.plug is not None:
            self.port.write(data)
            self._flush()

    def _flush(self) -> None:
        if self.plug is not None:
            self.port.flush()
            if not self.port.accepts:
                self.events.after("flush", 0.002, self._flush)

    def hard_reset(self, cause: str = "hard") -> None:
        """A UART bridge has its own power: the port stays."""
        self.faults.on_reset(0.0)
        self.say(self.faults.greeting())
        self._reset()

    def unplug(self) -> None:
        if self.plug is not None:
            self.events.forget(self.port.fd)
            self.device.unlink()
            self.port.close()
            self.plug = None

    def replug(self) -> None:
        if self.plug is None:
            self.port, self.plug = SerialPort(), self
            self.device.symlink_to(self.port.device)
            self.events.read(self.port.fd, self._from_host)

    # The bytes

    def _from_host(self) -> None:
        data = memoryview(self.faults.from_host(self.port.read()))
        while data:
            with contextlib.suppress(BlockingIOError):
                data = data[os.write(self._far, data) :]

    def _from_board(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.say(self.faults.to_host(os.read(self._far, 4096)))


@contextlib.contextmanager
def uart(far: int, device: Path, reset: Callable[[], None]) -> Iterator[Uart]:
    """At work in a thread of its own."""
    line = Uart(far, device, reset)
    thread = threading.Thread(target=line.events.run, daemon=True)
    thread.start()
    try:
        yield line
    finally:
        line.do(lambda: setattr(line.events, "stopped", True))
        thread.join()
        line.close()


@contextlib.contextmanager
def open_line(pty: str) -> Iterator[int]:
    """For as long as the board is there: QEMU looks for a new peer once a second only."""
    fd = os.open(pty, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    make_raw(fd)
    try:
        yield fd
    finally:
        os.close(fd)
