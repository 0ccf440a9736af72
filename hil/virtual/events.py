"""One thread waiting for file descriptors and moments."""

from __future__ import annotations

import select
import selectors
import time
from collections.abc import Callable

Callback = Callable[[], None]


class Events:
    """Callbacks for readable descriptors and for named moments."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._moments: dict[str, tuple[float, Callback]] = {}
        self._paused: dict[int, Callback] = {}
        self.stopped = False

    def read(self, fd: int, callback: Callback) -> None:
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def forget(self, fd: int) -> None:
        """To be called before the descriptor is closed; harmless when it is not known."""
        if self._paused.pop(fd, None) is None and fd in self._selector.get_map():
            self._selector.unregister(fd)

    def want_read(self, fd: int, wanted: bool) -> None:
        """Pause or resume a descriptor."""
        if wanted and fd in self._paused:
            self.read(fd, self._paused.pop(fd))
        elif not wanted and fd in self._selector.get_map():
            self._paused[fd] = self._selector.unregister(fd).data

    def readable(self, fd: int) -> bool:
        """Whether there is something to read, or the end, this moment."""
        return bool(select.select([fd], [], [], 0)[0])

    def after(self, name: str, seconds: float, callback: Callback) -> None:
        """Once, ``seconds`` from now; replaces the moment of the same name."""
        self._moments[name] = (time.monotonic() + seconds, callback)

    def waits(self, name: str) -> bool:
        return name in self._moments

    def cancel(self, name: str) -> None:
        self._moments.pop(name, None)

    def run(self) -> None:
        """Until :attr:`stopped`."""
        while not self.stopped:
            timeout = None
            if self._moments:
                next_at = min(at for at, _ in self._moments.values())
                timeout = max(0.0, next_at - time.monotonic())
            for key, _ in self._selector.select(timeout):
                # An earlier callback of this round may have closed it, and its number may even
                # belong to something new.
                if self._selector.get_map().get(key.fd) is key:
                    key.data()
            now = time.monotonic()
            for name, (at, callback) in list(self._moments.items()):
                if at <= now and self._moments.get(name) == (at, callback):
                    del self._moments[name]
                    callback()
