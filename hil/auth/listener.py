"""A TCP port of the bench that a target is told to fetch keys from, and must not.

Who connects is noted and sent away at once: a target that fetches does not hang on it.
"""

from __future__ import annotations

import selectors
import socket
import threading
from types import TracebackType


def facing(address: str) -> str:
    """The bench's own address towards this one. Nothing is sent.

    :raises OSError: there is no route
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))  # any port: a UDP socket that connects only picks a route
        return str(probe.getsockname()[0])


class Listener:
    """Listens on an ephemeral port while it is entered.

    :ivar url: ``http://ADDRESS:PORT``
    :ivar callers: addresses that have connected, in their order
    """

    def __init__(self, address: str) -> None:
        self.callers: list[str] = []
        self._called = threading.Event()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = socket.create_server((address, 0), family=family)
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="hil-listener", daemon=True)

    def called(self, timeout: float) -> bool:
        """Whether anybody has connected; waits for it, seconds."""
        return self._called.wait(timeout)

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._wake.close()
        self._thread.join()
        self._woken.close()
        self._socket.close()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._socket in ready:
                    connection, peer = self._socket.accept()
                    connection.close()
                    self.callers.append(str(peer[0]))
                    self._called.set()
                elif self._woken in ready:  # only when nobody waits any more
                    return
