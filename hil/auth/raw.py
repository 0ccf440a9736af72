"""Bytes on a socket, one connection a probe: for the requests that an HTTP library refuses to send.

The answer is parsed strictly and nothing in it raises: what came back is told by
:class:`Outcome`, which keeps apart *accepted*, *refused*, *5xx*, *no answer* and *reset*.
"""

from __future__ import annotations

import enum
import json
import re
import select
import socket
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ..deadline import Deadline
from . import redaction

_MAX_ANSWER = 1 << 20
_PIECE = 1 << 14


class Outcome(enum.Enum):
    """What became of a probe."""

    ACCEPTED = "accepted"
    """2xx"""
    REDIRECTED = "redirected"
    """1xx as the final answer, or 3xx"""
    REFUSED = "refused"
    """4xx"""
    SERVER_ERROR = "5xx"
    NO_ANSWER = "no answer"
    """Not connected, closed without a byte, or silent until the deadline."""
    RESET = "reset"
    """The connection was reset before a status came."""
    NOT_HTTP = "not HTTP"
    """Bytes came, and they are no HTTP answer."""


class Request(bytes):
    """A request as it goes over the wire. Its ``repr`` shows it without its secrets."""

    hidden: tuple[str, ...] = redaction.HIDDEN_FIELDS
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        head, _, body = bytes(self).partition(b"\r\n\r\n")
        lines = redaction.head(head, self.hidden)
        shown = [line for line in lines if not line.lower().startswith(("host:", "connection:"))]
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


@dataclass(frozen=True, repr=False)
class Answer:
    """What came back.

    :ivar status: None unless a whole, sound header section came
    :ivar headers: in the answer's order, names as they were sent
    :ivar body: decoded from the transfer coding; what came of it, where it was cut
    :ivar complete: the body is as long as the answer said
    :ivar detail: what was wrong, in words; empty when nothing was
    :ivar request: what was sent
    """

    outcome: Outcome
    status: int | None = None
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    complete: bool = True
    detail: str = ""
    request: bytes = field(default=b"", compare=False)

    def all(self, name: str) -> list[str]:
        """The values of a header field, one for each line."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of a header field, its lines joined (RFC 9110 section 5.2); None: not there."""
        values = self.all(name)
        return ", ".join(values) if values else None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """:raises ValueError: the body is not JSON"""
        return json.loads(self.body)

    def __repr__(self) -> str:
        told = [self.outcome.value]
        if self.status is not None:
            told.append(f"{self.status} {self.reason}".rstrip())
        if self.body:
            told.append(redaction.body(self.body))
        if self.detail:
            told.append(f"({self.detail})")
        return " ".join(told)


# RFC 9112 section 4; the reason may be empty, and microdot's is "N/A".
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: ([^\r\n]*))?")
_FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")


def parse(data: bytes, *, head: bool = False, ended: bool = True) -> Answer | None:
    """Parse what a server sent. Never raises.

    :param head: the answer is to a HEAD request and has no body, whatever its fields say
    :param ended: nothing more will come; else None tells that the answer is not whole yet
    """
    while True:
        section, found, body = data.partition(b"\r\n\r\n")
        if not found:
            if not ended and len(data) < _MAX_ANSWER:
                return None
            if not data:
                return Answer(Outcome.NO_ANSWER, detail="closed without an answer")
            return _not_http(data, "no end of the header section")
        answer = _section(section)
        status = answer.status
        if status is None or not 100 <= status < 200 or status == 101 or (not body and ended):
            break
        data = body  # an interim answer: the final one follows (RFC 9110 section 15.2)
    if status is None:
        return answer
    if head or status < 200 or status in (204, 304):
        return answer
    return _with_body(answer, body, ended)


def _section(section: bytes) -> Answer:
    """The status line and the header fields."""
    start, *lines = section.split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(start)
    if not status_line:
        return _not_http(section, "no HTTP/1.x status line")
    headers: list[tuple[str, str]] = []
    for line in lines:
        matched = _FIELD_LINE.fullmatch(line)
        if not matched:
            return _not_http(section, "a malformed header line")
        headers.append((matched[1].decode("ascii"), matched[2].decode("latin-1")))
    status, reason = int(status_line[1]), (status_line[2] or b"").decode("latin-1").strip()
    return Answer(_outcome(status), status, reason, tuple(headers))


def _not_http(data: bytes, detail: str) -> Answer:
    return Answer(Outcome.NOT_HTTP, body=data, complete=False, detail=detail)


def _outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome.ACCEPTED
    if 400 <= status < 500:
        return Outcome.REFUSED
    return Outcome.SERVER_ERROR if 500 <= status < 600 else Outcome.REDIRECTED


def _with_body(answer: Answer, body: bytes, ended: bool) -> Answer | None:
    codings = (answer.header("Transfer-Encoding") or "").lower()
    if codings == "chunked":
        decoded, whole = _dechunk(body)
        if not whole and not ended and len(body) < _MAX_ANSWER:
            return None
        return replace(
            answer, body=decoded, complete=whole, detail="" if whole else "cut within its chunks"
        )
    lengths = {value.strip() for value in answer.all("Content-Length")}
    if not lengths:
        # RFC 9112 section 6.3: the body ends with the connection.
        return replace(answer, body=body) if ended or len(body) >= _MAX_ANSWER else None
    if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,9}", next(iter(lengths))):
        return replace(answer, body=body, complete=False, detail="an unsound Content-Length")
    length = int(lengths.pop())
    if len(body) < length and not ended and len(body) < _MAX_ANSWER:
        return None
    detail = "" if len(body) >= length else f"cut: {len(body)} of {length} bytes of the body"
    return replace(answer, body=body[:length], complete=len(body) >= length, detail=detail)


def _dechunk(data: bytes) -> tuple[bytes, bool]:
    """The chunks that are there, and whether the last one is (RFC 9112 section 7.1)."""
    out, at = b"", 0
    while True:
        end = data.find(b"\r\n", at)
        size = (
            re.fullmatch(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;.*)?", data[at:end]) if end >= 0 else None
        )
        if size is None:
            return out, False
        length, at = int(size[1], 16), end + 2
        if length == 0:
            return out, True
        out += data[at : at + length]
        if data[at + length : at + length + 2] != b"\r\n":
            return out, False
        at += length + 2


class RawClient:
    """One connection for each request, to one address.

    :param timeout: seconds for one probe, from connecting to the end of the answer
    :param limit: connections at once: what the board's socket pool takes
    """

    def __init__(
        self, address: str, port: int = 80, timeout: float = 10.0, *, limit: int = 4
    ) -> None:
        self.address = address
        self.port = port
        self.timeout = timeout
        self.limit = limit

    def __repr__(self) -> str:
        return f"RawClient({self.address}:{self.port})"

    def send(self, data: bytes, *, half_close: bool = False, piece: int | None = None) -> Answer:
        """Send a request and read the answer. Never raises for what the network or the board does.

        An answer that comes before all is sent ends the sending: it counts, also when a reset
        follows it (RFC 9112 section 9.6).

        :param half_close: end our half of the connection after the request
        :param piece: bytes for each send; None: as many as the socket takes
        """
        deadline = Deadline.after(self.timeout)
        head = data[:5] == b"HEAD "
        try:
            connection = socket.create_connection((self.address, self.port), deadline.remaining())
        except OSError as error:
            return Answer(Outcome.NO_ANSWER, detail=f"not connected: {_told(error)}", request=data)
        with connection:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answer = _exchange(connection, data, head, half_close, piece or _PIECE, deadline)
        return replace(answer, request=data)

    @contextmanager
    def hold(self, data: bytes) -> Iterator[None]:
        """Keep a connection open on which ``data`` was sent, and nothing is read.

        :raises OSError: not connected
        """
        with socket.create_connection((self.address, self.port), self.timeout) as connection:
            connection.sendall(data)
            yield

    def send_all(self, requests: Iterable[bytes], *, limit: int | None = None) -> list[Answer]:
        """Send independent requests, several at once; the answers come in the requests' order.

        :param limit: connections at once; None: the client's own
        """
        probes: Sequence[bytes] = list(requests)
        with ThreadPoolExecutor(max(1, min(limit or self.limit, len(probes)))) as pool:
            return list(pool.map(self.send, probes))


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
            except (BlockingIOError, InterruptedError):
                more = None
            except OSError as error:
                answer = parse(received, head=head) if received else None
                if answer is None or answer.status is None:
                    return Answer(Outcome.RESET, body=received, complete=False, detail=_told(error))
                return answer
            if more is not None:
                received += more
                answer = parse(received, head=head, ended=not more)
                if answer is not None:
                    if trouble and answer.status is None:
                        return Answer(Outcome.RESET, complete=False, detail=trouble)
                    return answer
        if writable:
            try:
                unsent = unsent[connection.send(unsent[:piece]) :]
                if not unsent and half_close:
                    connection.shutdown(socket.SHUT_WR)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError as error:
                trouble = _told(error)  # an answer may have come before it: read on


def _told(error: OSError) -> str:
    return (error.strerror or str(error) or type(error).__name__).lower()
