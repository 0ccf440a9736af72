"""A port behind a serial server: RFC 2217, or raw TCP. pyserial's clients, mended where they leak.

Only imported for such a port.
"""

from __future__ import annotations

import contextlib
import socket
import warnings
from urllib.parse import urlsplit

import serial.rfc2217
import serial.urlhandler.protocol_socket

from hil.errors import BenchError

_PARTING_S = 0.5


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

    def _telnet_read_loop(self) -> None:
        try:
            super()._telnet_read_loop()
        except (OSError, AttributeError):  # it answers the server, which is gone, or it is closed
            self._read_buffer.put(None)


class RawTcp(serial.urlhandler.protocol_socket.Serial):  # type: ignore[misc]
    """The same for ``socket://``."""

    def open(self) -> None:
        super().open()
        # A command is several small writes: Nagle's algorithm holds each back for 40 ms.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        connection = self._socket
        super().close()
        if connection is not None:
            connection.close()


def parting_words(device: str) -> bytes:
    """What the server says before it hangs up on whoever connects; empty if it does not hang up.

    Asked once more, over plain TCP: pyserial talks first, and what came meanwhile may be lost.
    """
    parts = urlsplit(device)
    words = b""
    with (
        contextlib.suppress(OSError),
        socket.create_connection((parts.hostname or "", parts.port or 0), _PARTING_S) as server,
    ):
        while piece := server.recv(1000):
            words += piece
        return words
    return b""


def why_not_remote(device: str, told: str, words: bytes, target: str | None) -> BenchError:
    """A port behind a serial server that cannot be opened.

    :param told: what was seen of it
    :param words: what the server said, if anything
    """
    said = " ".join(words.decode("ascii", errors="ignore").split())
    said = "".join(char for char in said if char.isprintable())  # telnet's commands
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
