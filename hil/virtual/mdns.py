"""A board's mDNS responder, as lwIP's in MicroPython: its host name's address, the reverse
pointer, and no service (RFC 6762).

Written here rather than taken from zeroconf, whose import alone costs each supervisor 100 ms,
twice the time in which a board starts.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

GROUP = "224.0.0.251"
PORT = 5353
_INTERFACE = "127.0.0.1"

_A, _PTR, _ANY = 1, 12, 255
_IN = 1
_CACHE_FLUSH = 0x8000  # RFC 6762 10.2: this record is unique
_TTL_S = 120  # RFC 6762 10: records with a host name
_LEGACY_TTL_S = 10  # RFC 6762 6.7
_ANSWER = 0x8400  # response, authoritative
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Question:
    """:ivar name: lower case, without the last dot"""

    name: str
    kind: int
    wants_in: bool


def questions(packet: bytes) -> list[Question]:
    """What a query asks; nothing for an answer.

    :raises ValueError: this is no DNS packet
    """
    if len(packet) < 12:
        raise ValueError("shorter than a DNS header")
    _, flags, count = struct.unpack_from("!HHH", packet)
    if flags & 0xF800:  # a response, or no standard query: RFC 6762 18.2, 18.3
        return []
    found = []
    at = 12
    for _ in range(count):
        name, at = _name(packet, at)
        if at + 4 > len(packet):
            raise ValueError("question cut off")
        kind, kind_class = struct.unpack_from("!HH", packet, at)
        at += 4
        found.append(Question(name, kind, kind_class & 0x7FFF in (_IN, _ANY)))
    return found


def _name(packet: bytes, at: int) -> tuple[str, int]:
    labels: list[str] = []
    after: int | None = None
    length = 0
    while True:
        if at >= len(packet):
            raise ValueError("name cut off")
        size = packet[at]
        if size & 0xC0 == 0xC0:
            if at + 2 > len(packet):
                raise ValueError("pointer cut off")
            target = struct.unpack_from("!H", packet, at)[0] & 0x3FFF
            after = at + 2 if after is None else after
            if target >= at:
                raise ValueError("pointer does not point back")
            at = target
        elif size & 0xC0:
            raise ValueError("unknown kind of label")
        elif size == 0:
            return ".".join(labels).lower(), (at + 1 if after is None else after)
        else:
            label = packet[at + 1 : at + 1 + size]
            length += size + 1
            if len(label) < size or length > _LONGEST_NAME:
                raise ValueError("label cut off, or name too long")
            labels.append(label.decode("utf-8", "replace"))
            at += 1 + size


def _wire(name: str) -> bytes:
    labels = [label.encode() for label in name.split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


@dataclass(frozen=True)
class Host:
    """The two records of a board: ``NAME.local`` and its address."""

    name: str
    address: str

    @property
    def forward(self) -> str:
        return f"{self.name}.local"

    @property
    def reverse(self) -> str:
        return ".".join(reversed(self.address.split("."))) + ".in-addr.arpa"

    def _records(self, asked: list[Question], ttl: int, flush: int) -> Iterator[bytes]:
        wanted = [(question.name, question.kind) for question in asked if question.wants_in]
        if any(name == self.forward.lower() and kind in (_A, _ANY) for name, kind in wanted):
            yield self._record(self.forward, _A, socket.inet_aton(self.address), ttl, flush)
        if any(name == self.reverse and kind in (_PTR, _ANY) for name, kind in wanted):
            yield self._record(self.reverse, _PTR, _wire(self.forward), ttl, flush)

    @staticmethod
    def _record(name: str, kind: int, data: bytes, ttl: int, flush: int) -> bytes:
        return _wire(name) + struct.pack("!HHIH", kind, _IN | flush, ttl, len(data)) + data

    def answer(self, packet: bytes, *, legacy: bool = False) -> bytes | None:
        """The answer to a query, or None where there is nothing to say.

        :param legacy: the asker is an ordinary resolver, not one of mDNS: it gets its id and
            question back and a short lifetime (RFC 6762 6.7)
        :raises ValueError: this is no DNS packet
        """
        asked = questions(packet)
        ttl, flush = (_LEGACY_TTL_S, 0) if legacy else (_TTL_S, _CACHE_FLUSH)
        records = list(self._records(asked, ttl, flush))
        if not records:
            return None
        identity, repeated = 0, b""
        if legacy:
            (identity,) = struct.unpack_from("!H", packet)
            repeated = b"".join(_wire(q.name) + struct.pack("!HH", q.kind, _IN) for q in asked)
        header = struct.pack(
            "!HHHHHH", identity, _ANSWER, len(asked) if legacy else 0, len(records), 0, 0
        )
        return header + repeated + b"".join(records)

    def announcement(self) -> bytes:
        """Unasked, when the link comes up (RFC 6762 8.3)."""
        both = [Question(self.forward.lower(), _A, True), Question(self.reverse, _PTR, True)]
        records = list(self._records(both, _TTL_S, _CACHE_FLUSH))
        return struct.pack("!HHHHHH", 0, _ANSWER, 0, len(records), 0, 0) + b"".join(records)


class Responder:
    """Answers while it is open. It leaves without a goodbye, as a board that is reset does."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.socket = _join()
        with contextlib.suppress(OSError):
            self.socket.sendto(host.announcement(), (GROUP, PORT))

    def fileno(self) -> int:
        return self.socket.fileno()

    def handle(self) -> None:
        """Read one packet and answer it."""
        try:
            packet, source = self.socket.recvfrom(9000)
        except BlockingIOError:
            return
        legacy = source[1] != PORT
        try:
            answer = self.host.answer(packet, legacy=legacy)
        except ValueError:
            return  # RFC 6762 18: anyone may send anything here; a bad packet is ignored
        if answer is not None:
            with contextlib.suppress(OSError):  # the asker may be gone
                self.socket.sendto(answer, source if legacy else (GROUP, PORT))

    def close(self) -> None:
        self.socket.close()


def _join() -> socket.socket:
    joined = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        joined.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "SO_REUSEPORT"):
            joined.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        joined.bind(("", PORT))
        interface = socket.inet_aton(_INTERFACE)
        membership = socket.inet_aton(GROUP) + interface
        joined.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
        joined.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        joined.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
        joined.setblocking(False)
    except OSError:
        joined.close()
        raise
    return joined
