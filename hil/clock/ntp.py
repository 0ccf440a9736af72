"""The bench's own SNTP server: true time plus an offset, and the faults a client must survive.

Packets are those of RFC 5905 section 7.3, the answers follow the server rules of RFC 4330
section 6. All times are Unix seconds (UTC, no leap seconds); the host's clock, ``time.time_ns()``,
is the truth that the offset is added to.
"""

from __future__ import annotations

import enum
import math
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from hil.deadline import Deadline
from hil.errors import BenchError, BoardError

ERA = 2**32
"""Seconds in an NTP era. Era 0 began 1900-01-01, era 1 begins 2036-02-07 06:28:16 UTC."""

UNIX_IN_NTP = 2_208_988_800
"""1970-01-01 as seconds of NTP era 0 (RFC 5905, figure 4)."""

RFC_4330_EARLIEST = 2**31 - UNIX_IN_NTP
"""1968-01-20 03:14:08 UTC: where RFC 4330 section 3 starts the 136 years it can tell apart."""

NTPTIME_EARLIEST = 1_704_067_200
"""2024-01-01: MicroPython's ``ntptime`` (0.2.0) reads anything earlier as the next era."""

NTPTIME_END = NTPTIME_EARLIEST + ERA
"""2160-02-07 06:28:16 UTC: the first moment that ``ntptime`` reads as 2024 again."""

LATE_S = 2.0
"""How long :attr:`Fault.LATE` holds an answer, seconds: twice the timeout of ``ntptime`` (1 s)."""

_HEADER = struct.Struct("!BBbbII4s8s8s8s8s")
_PORT_HINT = "port 0 takes a free one; port 123 needs root or CAP_NET_BIND_SERVICE, and no ntpd"


def unix_to_ntp(unix: float) -> bytes:
    """A moment as an NTP timestamp: 32 bits of seconds, 32 of fraction, the era left out.

    Exact to 2^-32 s (233 ps) for any finite ``unix`` in seconds. All zeros means "unknown"
    (RFC 5905 section 6), so the first tick of an era becomes the second one.
    """
    whole = math.floor(unix)
    # Apart, because a float of whole seconds since 1900 has only 2^-21 s left for the fraction.
    ticks = ((whole + UNIX_IN_NTP) << 32) + round((unix - whole) * ERA)
    return (ticks % 2**64 or 1).to_bytes(8, "big")


def ntp_to_unix(timestamp: bytes, earliest: float = RFC_4330_EARLIEST) -> float:
    """The one moment with this timestamp in the 2^32 s (136 years) from ``earliest`` on.

    :param timestamp: 8 bytes; seconds and fraction
    :param earliest: the pivot, Unix seconds: RFC 4330's 1968, or :data:`NTPTIME_EARLIEST`
    :raises ValueError: not 8 bytes
    """
    if len(timestamp) != 8:
        raise ValueError(f"an NTP timestamp has 8 bytes, not {len(timestamp)}")
    ticks = int.from_bytes(timestamp, "big") - (UNIX_IN_NTP << 32)
    whole_earliest = math.floor(earliest)
    pivot = (whole_earliest << 32) + round((earliest - whole_earliest) * ERA)
    ticks = pivot + (ticks - pivot) % 2**64
    return (ticks >> 32) + (ticks % ERA) / ERA


def require_ntptime_reach(unix: float) -> None:
    """Refuse a moment that a board's ``ntptime`` cannot be led to.

    It takes 4 bytes of the answer and adds 2^32 to anything before 2024-01-01, so that 2023-11-14
    (1700000000) becomes 2159-12-22. From 2024-01-01 up to 2160-02-07 06:28:15 it obeys.

    :param unix: the time that the server would serve, Unix seconds
    :raises BenchError: outside that window
    """
    if not NTPTIME_EARLIEST <= unix < NTPTIME_END:
        raise BenchError(
            f"ntptime cannot be led to Unix time {unix:.0f}: it follows NTP only within "
            "2024-01-01 .. 2160-02-07 and reads anything else in another era",
            hint="set the RTC instead: clock.set() and clock.skew() reach all that the port holds",
        )


class Fault(enum.Enum):
    """What the server does wrong, on purpose. ``NONE`` is a correct server."""

    NONE = "none"
    SILENT = "silent"
    """No answer."""
    LATE = "late"
    """A correct answer, :data:`LATE_S` seconds after the request."""
    SHORT = "short"
    """The first 40 bytes: without the transmit timestamp."""
    WRONG_MODE = "wrong mode"
    """Mode 3, client, as the request (RFC 4330 section 5 has the client discard it)."""
    KISS_OF_DEATH = "kiss of death"
    """Stratum 0 and code DENY (RFC 5905 section 7.4), times zero: it tells no time."""
    UNSYNCHRONISED = "unsynchronised"
    """Leap indicator 3, stratum 0 (RFC 4330 section 4), otherwise plausible."""
    FOREIGN_ORIGINATE = "foreign originate"
    """The originate timestamp is not the client's: as from an off-path attacker."""


@dataclass(frozen=True)
class Request:
    """One valid client request.

    :ivar at: host time of arrival, Unix seconds
    :ivar peer: address and port of the client
    :ivar version: NTP version, 1 to 4
    :ivar offset: what was served is true time plus this many seconds
    :ivar fault: how it was answered
    """

    at: float
    peer: tuple[str, int]
    version: int
    offset: float
    fault: Fault


def answer(request: bytes, received: float, offset: float, now: Callable[[], float]) -> bytes:
    """The 48 bytes that answer ``request``; empty for what a server must not answer.

    That is: fewer than 48 bytes, a mode other than 3 (client), a version other than 1 to 4.
    Extension fields and MACs behind the header are ignored: the bench has no keys.

    :param received: host time of arrival, Unix seconds
    :param offset: seconds, added to all that is served
    :param now: the host's clock, for the transmit timestamp, asked last
    """
    if len(request) < _HEADER.size:
        return b""
    first, poll, transmit = request[0], request[2], request[40:48]
    version, mode = first >> 3 & 7, first & 7
    if mode != 3 or not 1 <= version <= 4:
        return b""
    return _HEADER.pack(
        version << 3 | 4,  # LI 0: no leap second in sight; mode 4: server
        # The bench *is* the reference that its boards are measured against: stratum 1.
        1,
        struct.unpack("b", bytes([poll]))[0],
        -20,  # log2 seconds: 1 us, time.time_ns() and a Python thread are no better
        0,  # root delay: none, we are the root
        66,  # root dispersion, 2^-16 s: 1 ms, what NTP leaves a host on a LAN
        # RFC 5905 7.3: reference ids that begin with X are free for development; HIL alone is not.
        b"XHIL",
        unix_to_ntp(math.floor(received) + offset),  # reference: some moment before the request
        transmit,  # originate: bit by bit, the client knows its request by it
        unix_to_ntp(received + offset),
        unix_to_ntp(now() + offset),
    )


def spoil(reply: bytes, fault: Fault) -> bytes:
    """``reply`` with the fault in it."""
    first = reply[0]
    if fault is Fault.SHORT:
        return reply[:40]
    if fault is Fault.WRONG_MODE:
        return bytes([first & 0xF8 | 3]) + reply[1:]
    if fault is Fault.KISS_OF_DEATH:
        return (
            bytes([first | 0xC0, 0]) + reply[2:12] + b"DENY" + bytes(8) + reply[24:32] + bytes(16)
        )
    if fault is Fault.UNSYNCHRONISED:
        return bytes([first | 0xC0, 0]) + reply[2:]
    if fault is Fault.FOREIGN_ORIGINATE:
        return reply[:24] + bytes(b ^ 0x5A for b in reply[24:32]) + reply[32:]
    return reply


class NtpServer:
    """Serves the host's time plus :attr:`offset` seconds over UDP, from one thread.

    Use it as a context manager. :attr:`offset` (seconds) and :attr:`fault` may be changed while
    it runs and hold from the next request on.

    :param host: IPv4 address to listen on; ``0.0.0.0`` for boards on the network
    :param port: UDP port; 0 takes a free one, :attr:`port` then tells which
    :raises BenchError: on entering, when the address cannot be bound
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        offset: float = 0.0,
        fault: Fault = Fault.NONE,
    ) -> None:
        self.host = host
        self.port = port
        self.offset = offset
        self.fault = fault
        self._requests: list[Request] = []
        self._arrived = threading.Condition()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> NtpServer:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((self.host, self.port))
        except OSError as error:
            self._socket.close()
            where = f"{self.host} UDP port {self.port}"
            raise BenchError(f"no NTP server on {where}: {error}", hint=_PORT_HINT) from error
        self.port = self._socket.getsockname()[1]
        self._ear, self._mouth = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="hil-ntp", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the thread and free the port. At once, and harmless when it is stopped already."""
        if self._thread is None:
            return
        self._mouth.send(b"x")
        self._thread.join()
        self._thread = None
        for end in (self._mouth, self._ear, self._socket):
            end.close()

    @property
    def requests(self) -> tuple[Request, ...]:
        """The valid requests so far, oldest first."""
        with self._arrived:
            return tuple(self._requests)

    def wait_for_request(self, deadline: Deadline, after: int = 0) -> Request:
        """The first request beyond the first ``after`` ones; waits for it.

        ``seen = len(server.requests)``, make the board ask, ``wait_for_request(d, after=seen)``.

        :raises BoardError: none came in time
        """
        with self._arrived:
            came = self._arrived.wait_for(lambda: len(self._requests) > after, deadline.remaining())
            if came:
                return self._requests[after]
        raise BoardError(
            f"no NTP request came to {self.host}:{self.port} in time ({after} before)",
            hint="does the board's ntp_host lead to the bench? is UDP port 123 routed to it?",
        )

    def _serve(self) -> None:
        held: list[tuple[float, bytes, tuple[str, int]]] = []  # due (monotonic), in order
        with selectors.DefaultSelector() as ready:
            ready.register(self._socket, selectors.EVENT_READ)
            ready.register(self._ear, selectors.EVENT_READ)
            while True:
                patience = max(0.0, held[0][0] - time.monotonic()) if held else None
                sources = {key.fileobj for key, _ in ready.select(patience)}
                if self._ear in sources:
                    return
                while held and held[0][0] <= time.monotonic():
                    self._send(*held.pop(0)[1:])
                if self._socket in sources:
                    late = self._handle()
                    if late is not None:
                        held.append((time.monotonic() + LATE_S, *late))

    def _handle(self) -> tuple[bytes, tuple[str, int]] | None:
        """Take one packet and answer it; return the answer that is to be sent late, if any."""
        try:
            packet, peer = self._socket.recvfrom(2048)
        except OSError:
            return None  # Windows reports an earlier answer's "port unreachable" here
        received = _host_time()
        offset, fault = self.offset, self.fault  # one value each for the whole answer
        reply = answer(packet, received, offset, _host_time)
        if not reply:
            return None
        late = None
        if fault is Fault.LATE:
            late = (reply, peer)
        elif fault is not Fault.SILENT:
            self._send(spoil(reply, fault), peer)
        # Recorded after the answer is out: who waited for the request may ask what it caused.
        with self._arrived:
            self._requests.append(Request(received, peer, packet[0] >> 3 & 7, offset, fault))
            self._arrived.notify_all()
        return late

    def _send(self, reply: bytes, peer: tuple[str, int]) -> None:
        try:
            self._socket.sendto(reply, peer)
        except OSError:
            return  # UDP promises nothing, and a peer may name port 0; the next client matters


def _host_time() -> float:
    return time.time_ns() / 1e9
