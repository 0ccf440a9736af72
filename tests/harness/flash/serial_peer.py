"""A device behind a pseudo-terminal: what the tests' bootloaders have in common."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty
from types import TracebackType


class SerialPeer:
    """The other end of a serial line, served by a thread. Subclasses answer in :meth:`feed`.

    :ivar path: what a tool opens
    """

    def __init__(self) -> None:
        # The slave stays open here, so that the line survives a tool that closes and opens it.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.path = os.ttyname(self._slave)
        self._wake_r, self._wake_w = os.pipe()
        self._dead = False
        self.failed: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name=type(self).__name__, daemon=True)
        self._thread.start()

    def feed(self, data: bytes) -> None:
        """Called with whatever bytes have come, cut anywhere."""
        raise NotImplementedError

    def send(self, data: bytes) -> None:
        while data and not self._dead:
            data = data[os.write(self._master, data) :]

    def die(self) -> None:
        """Pulled out: whoever has the port open gets an error, and there is no such port.

        Its number stays taken until the end, lest another test's port is met under it.
        """
        if not self._dead:
            self._dead = True
            os.close(self._master)

    def _serve(self) -> None:
        try:
            while not self._dead:
                ready, _, _ = select.select([self._master, self._wake_r], [], [])
                if self._wake_r in ready:
                    return
                self.feed(os.read(self._master, 65536))
        except BaseException as error:  # noqa: BLE001 - told to the test at the end
            self.failed = error

    def __enter__(self) -> SerialPeer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.write(self._wake_w, b"x")
        self._thread.join(10)
        self.die()
        for fd in (self._slave, self._wake_r, self._wake_w):
            with contextlib.suppress(OSError):
                os.close(fd)
        if kind is None and self.failed:
            raise self.failed
