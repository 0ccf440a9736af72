"""Bytes on a socket, one connection a probe: for the requests that an HTTP library refuses to send.

What came back is an :class:`hil.auth.answer.Answer`, whatever came back.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

from ..deadline import Deadline
from . import redaction
from .answer import Answer, Outcome, parse
from .held import Held

__all__ = ["Answer", "Header", "Outcome", "RawClient", "Request", "parse", "request"]

_PIECE = 1 << 14
_SHOWN = 16
_NOT_NOW = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Request(bytes):
    """A request as it goes over the wire. Its ``repr`` shows it without its secrets."""

    hidden: tuple[str, ...] = redaction.HIDDEN_FIELDS
    secrets: tuple[str, ...] = ()

    def changed(self, old: bytes, new: bytes) -> Request:
        """With ``new`` in place of the first ``old``, which must be there."""
        if old not in bytes(self):
            raise ValueError(f"{old!r} is not in the request {self!r}")
        made = Request(bytes(self).replace(old, new, 1))
        made.hidden, made.secrets = self.hidden, self.secrets
        return made

    def __repr__(self) -> str:
        head, _, body = bytes(self).partition(b"\r\n\r\n")
        section = head.split(b"\r\n")
        lines = redaction.head(b"\r\n".join(section[:_SHOWN]), self.hidden)
        shown = [line for line in lines if not line.lower().startswith(("host:", "connection:"))]
        if len(section) > _SHOWN:
            shown.append(f"and {len(section) - _SHOWN} more lines")
        told = redaction.body(body, self.hidden)
        whole = " | ".join([*shown, *([f"body: {told}"] if told else [])])
        return redaction.known(whole, self.secrets)


Header = tuple[str, "str | bytes"] | bytes
"""Name and value, or a whole header line without its line end, which is sent as it is."""


def request(
    method: str,
    target: str,
    headers: Iterable[Header] = (),
    body: bytes = b"",
    *,
    host: str | None = "board",
    hidden: tuple[str, ...] = redaction.HIDDEN_FIELDS,
    secrets: tuple[str, ...] = (),
) -> Request:
    """An HTTP/1.1 request that asks to close the connection. Nothing given is corrected.

    ``Host`` and ``Content-Length`` are added where ``headers`` has none (in any case of letters).

    :param target: the request target, as it is: not encoded, not normalised
    :param host: None: no ``Host``
    :param hidden: names of the fields that ``repr`` must not show
    :param secrets: texts that ``repr`` must not show anywhere
    """
    lines = [
        item if isinstance(item, bytes) else item[0].encode() + b": " + _encoded(item[1])
        for item in headers
    ]
    names = {line.partition(b":")[0].strip().lower() for line in lines}
    if host is not None and b"host" not in names:
        lines.insert(0, b"Host: " + host.encode())
    bodied = body or method.upper() in ("POST", "PUT", "PATCH")
    if bodied and not names & {b"content-length", b"transfer-encoding"}:
        lines.append(b"Content-Length: %d" % len(body))
    if b"connection" not in names:
        lines.append(b"Connection: close")
    start = f"{method} {target} HTTP/1.1".encode("utf-8", "surrogateescape")
    made = Request(b"\r\n".join([start, *lines, b"", body]))
    made.hidden, made.secrets = hidden, secrets
    return made


def _encoded(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")


class RawClient:
    """One connection for each request, to one address.

    :param timeout: seconds for one probe, from connecting to the end of the answer
    :param limit: connections at once: what the board's socket pool takes
    :param tls: https; the certificate is not looked at, a board signs its own
    :param observe: is told every answer; called from several threads
    """

    def __init__(
        self,
        address: str,
        port: int = 80,
        timeout: float = 10.0,
        *,
        limit: int = 4,
        tls: bool = False,
        observe: Callable[[Answer], None] | None = None,
    ) -> None:
        self.address = address
        self.port = port
        self.timeout = timeout
        self.limit = limit
        self.tls = tls
        self.observe = observe
        self._held = 0

    @classmethod
    def to(
        cls,
        base_url: str,
        timeout: float = 10.0,
        *,
        limit: int = 4,
        observe: Callable[[Answer], None] | None = None,
    ) -> RawClient:
        """The client for ``http://ADDRESS:PORT``, or ``https``."""
        url = urlsplit(base_url)
        tls = url.scheme == "https"
        port = url.port or (443 if tls else 80)
        return cls(url.hostname or "", port, timeout, limit=limit, tls=tls, observe=observe)

    def __repr__(self) -> str:
        return f"RawClient({self.address}:{self.port})"

    def send(
        self,
        data: bytes,
        *,
        half_close: bool = False,
        piece: int | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Send a request and read the answer. Never raises for what the network or the board does.

        An answer that comes before all is sent ends the sending: it counts, also when a reset
        follows it (RFC 9112 section 9.6).

        :param half_close: end our half of the connection after the request; TLS cannot
        :param piece: bytes for each send; None: as many as the socket takes
        :param timeout: seconds; None: the client's own
        """
        sent_at, began = time.time(), time.monotonic()
        deadline = Deadline.after(timeout or self.timeout)
        head = data[:5] == b"HEAD "
        try:
            connection = self.connect(deadline)
        except ConnectionResetError as error:  # connected, and reset before connect() has returned
            answer = _reset(told(error))
        except OSError as error:
            answer = Answer(Outcome.NO_ANSWER, detail=f"not connected: {told(error)}")
        else:
            with connection:
                connection.setblocking(False)
                ended = half_close and not self.tls
                answer = _exchange(connection, data, head, ended, piece or _PIECE, deadline)
        took_s = time.monotonic() - began
        answer = replace(answer, request=data, sent_at=sent_at, took_s=took_s)
        if self.observe:
            self.observe(answer)
        return answer

    @contextmanager
    def hold(self, data: bytes = b"") -> Iterator[Held]:
        """Keep a connection open on which ``data`` was sent. It counts against the limit.

        :raises OSError: not connected
        """
        held = Held(self.connect(Deadline.after(self.timeout)), self.timeout, self.observe)
        self._held += 1
        try:
            held.send(data)
            yield held
        finally:
            self._held -= 1
            held.close()

    def send_all(
        self,
        requests: Iterable[bytes],
        *,
        limit: int | None = None,
        half_close: bool = False,
        timeout: float | None = None,
    ) -> list[Answer]:
        """Send independent requests, several at once; the answers come in the requests' order.

        :param limit: connections at once; None: the client's own, less those that are held
        :param half_close: as for :meth:`send`, and so is ``timeout``
        """
        probes: Sequence[bytes] = list(requests)
        most = max(1, min(limit or self.limit - self._held, len(probes)))
        with ThreadPoolExecutor(most) as pool:
            sending = partial(self.send, half_close=half_close, timeout=timeout)
            return list(pool.map(sending, probes))

    def connect(self, deadline: Deadline) -> socket.socket:
        """A connection in the caller's hands, over TLS where the target's URL is https.

        :raises OSError: not connected, or no TLS
        """
        connection = socket.create_connection((self.address, self.port), deadline.remaining())
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self.tls:
            return connection
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            return context.wrap_socket(connection, server_hostname=self.address)
        except BaseException:
            connection.close()
            raise


def _exchange(
    connection: socket.socket,
    data: bytes,
    head: bool,
    half_close: bool,
    piece: int,
    deadline: Deadline,
) -> Answer:
    """Write and read at the same time: a server may answer, and reset, before all is sent."""
    received, unsent = b"", memoryview(data)
    trouble = ""
    if not unsent and half_close:
        connection.shutdown(socket.SHUT_WR)
    while True:
        writing = [connection] if unsent and not trouble else []
        readable, writable, _ = select.select([connection], writing, [], deadline.remaining())
        if not readable and not writable:
            answer = parse(received, head=head) if received else Answer(Outcome.NO_ANSWER)
            assert answer is not None
            return replace(answer, complete=False, detail="silent until the deadline")
        if readable:
            try:
                more = connection.recv(_PIECE)
            except _NOT_NOW:
                more = None
            except OSError as error:
                answer = parse(received, head=head) if received else None
                if answer is None or answer.status is None:
                    return _reset(told(error), received)
                return answer
            if more is not None:
                received += more
                answer = parse(received, head=head, ended=not more)
                if answer is not None:
                    if trouble and answer.status is None:
                        return _reset(trouble)
                    return answer
        if writable:
            try:
                unsent = unsent[connection.send(unsent[:piece]) :]
                if not unsent and half_close:
                    connection.shutdown(socket.SHUT_WR)
            except _NOT_NOW:
                pass
            except OSError as error:
                trouble = told(error)  # an answer may have come before it: read on


def _reset(detail: str, body: bytes = b"") -> Answer:
    return Answer(Outcome.RESET, body=body, complete=False, detail=detail, closed=True)


def told(error: OSError) -> str:
    """What went wrong with a socket, in a few lower-case words."""
    return (error.strerror or str(error) or type(error).__name__).lower()
