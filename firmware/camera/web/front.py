"""Connections: one request each, read whole and checked, given to microdot, answered, closed.

``microdot.Microdot.dispatch_request`` takes a ``Request`` and returns a ``Response``; its own ASGI
and WSGI adapters use it the same way. What microdot's socket server lacks sits here, in one
place: a strict head (web.head), timeouts, and a limit on open connections.
"""

import asyncio
import time

from microdot import Request, Response
from microdot.microdot import NoCaseDict

from web import answer
from web.head import METHODS, Head, Refusal, split, too_long

OPEN = 16  # connections that are read or answered at once: at worst 24 KiB of heap each
WAITING = 64  # further ones that are accepted and not read yet; beyond, a newcomer is closed
GRACE_MS = 1000  # a request that has not come whole in this time yields its place to a newcomer
IDLE_S = 5  # without a byte
REQUEST_S = 15  # for a whole request
ANSWER_S = 10  # for a client to take the answer
_DRAIN = 64 * 1024  # bytes of a refused request that are read before the connection is closed
_DRAIN_S = 0.25  # without one of them, where more are known to come (a body too large)
_GLANCE_S = 0.03  # the same where there may be none (a head that is wrong)


class _Connection:
    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.task = asyncio.current_task()
        self.began = time.ticks_ms()
        self.reading = True
        self.data = b""


class Front:
    """``serve`` is the callback of ``asyncio.start_server``."""

    def __init__(self, app):
        self.app = app
        self.open = []  # in order of arrival
        self.waiting = 0

    async def serve(self, reader, writer):
        try:
            if await self._place():
                connection = _Connection(reader, writer)
                self.open.append(connection)
                try:
                    await self._converse(connection)
                finally:
                    self.open.remove(connection)
        except (OSError, asyncio.TimeoutError):
            pass  # the client went away, or does not take its answer: nobody is left to tell
        finally:
            await writer.wait_closed()

    async def _place(self):
        """Waits for one of the ``OPEN`` places. False when the queue for them is full too."""
        if self.waiting >= WAITING:
            return False
        self.waiting += 1
        try:
            while len(self.open) >= OPEN:
                self._make_room()
                await asyncio.sleep_ms(20)
        finally:
            self.waiting -= 1
        return True

    def _make_room(self):
        """Ends the oldest connection that keeps us waiting, so that half-open ones, however many,
        cannot keep a whole request out."""
        now = time.ticks_ms()
        for connection in self.open:
            if connection.reading and time.ticks_diff(now, connection.began) > GRACE_MS:
                connection.reading = False
                connection.task.cancel()
                return

    async def _converse(self, connection):
        more_s = 0  # how long to wait for what may still come of the request
        try:
            request = await self._request(connection)
            if request is None:
                return
            connection.reading = False
            response = await self.app.dispatch_request(request)
        except Refusal as refusal:
            response = Response(refusal.text, refusal.status, {"Cache-Control": "no-store"})
            more_s = _DRAIN_S if refusal.status in (413, 414, 431) else _GLANCE_S
        except asyncio.CancelledError:
            response = Response("Too slow", 408)
        connection.reading = False
        await asyncio.wait_for(_send(connection.writer, answer.to_bytes(response)), ANSWER_S)
        if more_s:
            await self._drain(connection, more_s)

    async def _request(self, connection):
        """A microdot Request; None when the client closed without a word."""
        data = await self._head(connection)
        if data is None:
            return None
        head = Head(split(data))
        if head.expects_continue and len(connection.data) < head.content_length:
            await _send(connection.writer, b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(connection.data) < head.content_length:
            if not await self._more(connection):
                raise Refusal(400, "Body too short")
        # Methods are case-sensitive (RFC 9110 §9.1), which microdot does not know, so one that is
        # not known gets a name that no route has. The query is dropped: no route has arguments, and
        # microdot's decoder raises on "%zz".
        return Request(
            self.app,
            _address(connection.writer.get_extra_info("peername")),
            head.method if head.method in METHODS else "?",
            head.path,
            "1.%d" % head.minor,
            NoCaseDict(head.fields),
            body=connection.data[: head.content_length],
        )

    async def _head(self, connection):
        """The bytes up to and with the empty line; what follows stays in ``connection.data``."""
        searched = 0
        while True:
            while connection.data[:2] == b"\r\n":  # RFC 9112 §2.2: ignore empty lines in front
                connection.data = connection.data[2:]
                searched = 0
            end = connection.data.find(b"\r\n\r\n", searched)
            too_long(connection.data[: end + 4] if end >= 0 else connection.data, end >= 0)
            if end >= 0:
                data = connection.data[: end + 4]
                connection.data = connection.data[end + 4 :]
                return data
            searched = max(0, len(connection.data) - 3)
            if not await self._more(connection):
                if not connection.data:
                    return None
                raise Refusal(400, "Request incomplete")

    async def _more(self, connection):
        """Adds what has come to ``connection.data``; False at its end. Refuses one that is slow."""
        left = REQUEST_S - time.ticks_diff(time.ticks_ms(), connection.began) / 1000
        try:
            if left <= 0:
                raise asyncio.TimeoutError
            more = await asyncio.wait_for(connection.reader.read(1024), min(IDLE_S, left))
        except asyncio.TimeoutError:
            raise Refusal(408, "Too slow")
        connection.data += more
        return len(more) > 0

    async def _drain(self, connection, seconds):
        """Reads on after a refusal: closing with unread bytes makes TCP reset the connection, and
        the reset may overtake the answer (RFC 9112 §9.6)."""
        most = _DRAIN
        try:
            while most > 0:
                more = await asyncio.wait_for(connection.reader.read(1024), seconds)
                if not more:
                    return
                most -= len(more)
        except asyncio.TimeoutError:
            return  # nothing more on its way


async def _send(writer, data):
    writer.write(data)
    await writer.drain()


def _address(peer):
    """The client's ``(address, port)``; the unix port gives the bytes of a C sockaddr."""
    if isinstance(peer, tuple):
        return peer
    return ".".join(str(b) for b in bytes(peer[4:8])), peer[2] << 8 | peer[3]
