"""Connections that stay open: what is sent when, what comes in between, when the server ends them.

For what one request and one answer cannot show: a client that falls silent, several requests on one
connection, many connections at once.
"""

from __future__ import annotations

import re
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from ..deadline import Deadline
from .answer import Answer, Outcome, parse

_PIECE = 1 << 14
_INTERIM = re.compile(rb"HTTP/1\.[01] 1[0-9]{2}[ \r].*\r\n\r\n", re.DOTALL)


class Held:
    """One connection in the caller's hands.

    :ivar received: all that has come
    :ivar closed: the server has closed or reset it
    """

    def __init__(
        self,
        connection: socket.socket,
        timeout: float,
        observe: Callable[[Answer], None] | None = None,
    ) -> None:
        self._connection = connection
        self._timeout = timeout
        self._observe = observe
        self.received = b""
        self.closed = False

    def send(self, data: bytes) -> None:
        """Send all of it; a server that has ended the connection is told by :attr:`closed`."""
        self._connection.settimeout(self._timeout)
        try:
            self._connection.sendall(data)
        except OSError:
            self.closed = True

    def read(
        self, enough: Callable[[bytes], bool] = lambda _: False, timeout: float | None = None
    ) -> bytes:
        """Read until that is enough, the server ends the connection, or the time is over.

        :param enough: is asked with all that has come
        :param timeout: seconds; None: the client's own
        :returns: all that has come
        """
        deadline = Deadline.after(self._timeout if timeout is None else timeout)
        while not self.closed and not enough(self.received) and not deadline.expired:
            try:
                self._connection.settimeout(max(0.001, deadline.remaining()))
                more = self._connection.recv(_PIECE)
            except TimeoutError:
                break
            except OSError:
                more = b""
            self.received += more
            self.closed = not more
        return self.received

    def answers(self, requests: Sequence[bytes], timeout: float | None = None) -> list[Answer]:
        """Send the requests in one go, and read an answer to each (RFC 9112 section 9.3.2)."""
        sent_at = time.time()
        self.send(b"".join(requests))
        read = self.read(
            lambda data: len(_split(data, requests, ended=False)) == len(requests), timeout
        )
        found = _split(read, requests, ended=True)
        unanswered = Answer(Outcome.NO_ANSWER, closed=self.closed)
        found += [unanswered] * (len(requests) - len(found))
        pairs = zip(found, requests, strict=True)
        return [self._told(replace(one, sent_at=sent_at), sent) for one, sent in pairs]

    def answer(
        self, request: bytes, *, final: bool = False, timeout: float | None = None
    ) -> Answer:
        """Read the answer to what was sent.

        :param final: read on behind an interim answer (RFC 9110 section 15.2)
        """
        head = request[:5] == b"HEAD "

        def enough(data: bytes) -> bool:
            interim = not final and _INTERIM.fullmatch(data)
            return bool(interim) or parse(data, head=head, ended=False) is not None

        data = self.read(enough, timeout)
        answer = parse(data, head=head) if data else None
        return self._told(answer or Answer(Outcome.NO_ANSWER, closed=self.closed), request)

    def _told(self, answer: Answer, request: bytes) -> Answer:
        answer = replace(answer, request=request)
        if self._observe:
            self._observe(answer)
        return answer

    def close(self) -> None:
        """End it, also under a :class:`Watch`: closing alone would wait for its ``recv()``."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def reset(self) -> None:
        """Close with RST in place of FIN."""
        with suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._connection.close()


def _split(data: bytes, requests: Sequence[bytes], *, ended: bool) -> list[Answer]:
    """The answers in ``data``, which are at most as many as the requests."""
    found = []
    for sent in requests:
        answer = parse(data, head=sent[:5] == b"HEAD ", ended=ended) if data else None
        if answer is None:
            break
        found.append(answer)
        data = answer.surplus
    return found


class Watch:
    """When the server ends connections on which nothing more is sent. Each is watched in a thread
    of its own, so that checks can go on beside it.

    :param limit_s: how long to watch
    """

    def __init__(self, connections: Mapping[str, Held], limit_s: float) -> None:
        self._ended: dict[str, float | None] = {}
        # Daemons: an aborted run does not wait for them.
        self._threads = [
            threading.Thread(target=self._look, args=(name, held, limit_s), daemon=True)
            for name, held in connections.items()
        ]
        for thread in self._threads:
            thread.start()

    def _look(self, name: str, held: Held, limit_s: float) -> None:
        began = time.monotonic()
        held.read(timeout=limit_s)
        self._ended[name] = time.monotonic() - began if held.closed else None

    def result(self) -> dict[str, float | None]:
        """For each connection the seconds until its end, None where there was none in time. Waits
        for it."""
        for thread in self._threads:
            thread.join()
        return dict(self._ended)


@contextmanager
def half_open(
    address: tuple[str, int], count: int, data: bytes, patience: float = 2.0
) -> Iterator[int]:
    """Hold that many connections, with ``data`` sent on each, as far as the server takes them.

    :param patience: seconds for all of them: a small board leaves some unanswered
    :returns: how many were taken
    """
    deadline = Deadline.after(patience)
    connections = []
    try:
        for _ in range(count):
            connection = socket.socket()
            connection.setblocking(False)
            connections.append(connection)
            connection.connect_ex(address)
        waiting, taken = list(connections), 0
        while waiting and not deadline.expired:
            _, ready, _ = select.select([], waiting, [], deadline.remaining())
            for connection in ready:
                waiting.remove(connection)
                with suppress(OSError):
                    taken += connection.send(data) == len(data)
        yield taken
    finally:
        for connection in connections:
            connection.close()
