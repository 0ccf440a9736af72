"""A port behind a serial server: RFC 2217, or raw TCP. pyserial's clients, mended where they leak.

Only imported for such a port.
"""

from __future__ import annotations

import contextlib
import re
import socket
import warnings
from urllib.parse import urlsplit

import serial.rfc2217
import serial.urlhandler.protocol_socket

from hil.deadline import Deadline
from hil.errors import BenchError

#: How long a server that refuses us may take to say why, seconds; ser2net says it at once.
_PARTING_S = 0.5


# RFC 854: IAC, a command, and an option where it is WILL, WON'T, DO or DON'T.
_TELNET = re.compile(rb"\xff(?:[\xfb-\xfe].|[^\xfb-\xfe])", re.DOTALL)


class Rfc2217(serial.rfc2217.Serial):  # type: ignore[misc]
    """pyserial 3.5's client, without a traceback of its thread when the server hangs up on it."""

    def open(self) -> None:
        with warnings.catch_warnings():
            # It calls setDaemon(), which must not fail under `-W error`.
            warnings.simplefilter("ignore", DeprecationWarning)
            super().open()

    def close(self) -> None:
        connection = self._socket
        super().close()
        if connection is not None:  # left open where the server was the first to close
            connection.close()

    def reset_input_buffer(self) -> None:
        """Opening would throw away a booting board's first words."""

    def _telnet_read_loop(self) -> None:
        try:
            super()._telnet_read_loop()
        except (OSError, AttributeError, TypeError):
            # It answers the server, which is gone, or it is closed. TypeError: an end without a
            # beginning, or an answer to what was not asked: no telnet, so whoever reads must hear.
            self._read_buffer.put(None)


class RawTcp(serial.urlhandler.protocol_socket.Serial):  # type: ignore[misc]
    """The same for ``socket://``."""

    def open(self) -> None:
        super().open()
        # A command is several small writes: Nagle's algorithm holds each back for 40 ms.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def reset_input_buffer(self) -> None:
        """Opening would throw away the server's reason for hanging up."""

    def close(self) -> None:
        connection = self._socket
        super().close()
        if connection is not None:
            connection.close()


def parting_words(device: str) -> bytes:
    """What the server says before it hangs up on whoever connects; empty if it does not hang up.

    Asked once more, over plain TCP: pyserial talks first, and what came meanwhile may be lost.
    """
    parts, deadline, words = urlsplit(device), Deadline.after(_PARTING_S), b""
    address = (parts.hostname or "", parts.port or 0)
    with (
        contextlib.suppress(OSError),
        socket.create_connection(address, deadline.remaining()) as server,
    ):
        while not deadline.expired:
            server.settimeout(deadline.remaining() + 0.001)
            piece = server.recv(1000)
            if not piece:
                return words
            words += piece
    return b""


def why_not_remote(device: str, told: str, words: bytes, target: str | None) -> BenchError:
    """A port behind a serial server that cannot be opened.

    :param told: what was seen of it
    :param words: what the server said, if anything
    """
    # Without what telnet's commands leave of letters and control characters.
    plain = "".join(chr(byte) if 31 < byte < 127 else " " for byte in _TELNET.sub(b"", words))
    said = " ".join(plain.split())
    if said:
        # ser2net 4: "Device open failure: Value or file not found", "Port already in use".
        told = f"the serial server said {said[:120]!a}"
    if "in use" in said:
        hint = "somebody else is connected to this port of the server: end that, or wait"
    elif said:
        hint = "is the board plugged in at the serial server, and its port right there?"
    else:
        hint = "is the serial server running, and is this the port and the protocol it speaks?"
    return BenchError(f"cannot open {device}: {told}", target=target, hint=hint)
