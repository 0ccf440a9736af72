"""A serial port with a reader thread: what the board sends is taken at once, and waits block.

mpremote polls its port with a 10 ms sleep, so that one REPL command takes 10.7 ms however fast the
board is. Here one thread blocks in the operating system, and whoever waits for bytes blocks on a
condition, to the microsecond and no longer than its deadline.

Bytes go to one of two places: the buffer, while somebody holds a conversation with the REPL, or
else the *sink* (the console), so that a running application never blocks on a full pipe.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import threading
from collections.abc import Callable
from types import TracebackType

import serial

from hil.deadline import Deadline
from hil.errors import BenchError, BoardError
from hil.link.opening import ANSWER_S, READ_S, is_remote, open_serial, served_at

#: OpenMV cameras leave the REPL for their own protocol at this rate (omv_protocol.h:61).
OPENMV_PROTOCOL_BAUDRATE = 921600
#: A serial server takes a connection first and opens its port then; if it cannot, it says so and
#: hangs up. On raw TCP nothing else tells. ser2net 4.3 took 0.4 ms; a network adds its round trip,
#: and a Raspberry Pi may be busy. Seconds.
_HANG_UP_S = 0.25


class PortGoneError(BoardError):
    """The port vanished while it was open: the board reset, lost power or was unplugged."""


class Port:
    """An open serial port: a device path, or ``rfc2217://host:port`` or ``socket://host:port``, or
    the ``labgrid://host:port/place`` that tells one of these two.

    :param device: path or URL
    :param baudrate: bits per second; never 921600 (see :data:`OPENMV_PROTOCOL_BAUDRATE`)
    :param target: the board's name, for messages
    :param answer_s: how long a serial server may take to each question, seconds
    :raises BenchError: the port is missing, not permitted, or held by another process
    """

    def __init__(
        self,
        device: str,
        baudrate: int = 115200,
        *,
        target: str | None = None,
        answer_s: float = ANSWER_S,
    ) -> None:
        if baudrate == OPENMV_PROTOCOL_BAUDRATE:
            raise BenchError("921600 baud is OpenMV's protocol mode, not the REPL", target=target)
        self.device = device = served_at(device)
        self.target = target
        self._serial = open_serial(device, baudrate, target, answer_s)
        self._changed = threading.Condition()
        self._buffer = bytearray()
        self._sink: Callable[[bytes], None] | None = None
        #: Is told all that comes, wherever it goes: for whoever must see it without taking it.
        self.listener: Callable[[bytes], None] | None = None
        self._gone: str | None = None
        self._closing = False
        # Windows ports, and RFC 2217, which is more than a descriptor, have none to wait on.
        raw_tcp = device.startswith("socket://")
        fd = self._serial.fileno() if raw_tcp else getattr(self._serial, "fd", None)
        self._fd: int | None = fd if os.name == "posix" and isinstance(fd, int) else None
        self._wake_r, self._wake_w = os.pipe()
        self._thread = threading.Thread(target=self._read, name=f"hil-port-{device}", daemon=True)
        self._thread.start()
        if raw_tcp and self.wait_gone(Deadline.after(_HANG_UP_S)):
            from hil.link.remote import why_not_remote

            words = self.drain()
            self.close()
            raise why_not_remote(device, "the serial server hung up at once", words, target)

    @property
    def remote(self) -> bool:
        """Behind a serial server, which may not tell that the board has gone."""
        return is_remote(self.device)

    @property
    def alive(self) -> bool:
        """Open, and not vanished."""
        return self._gone is None and not self._closing

    @property
    def waiting(self) -> int:
        """Bytes in the buffer."""
        return len(self._buffer)

    # --- reading ---

    def read(self, n: int, deadline: Deadline) -> bytes:
        """Exactly ``n`` bytes.

        :raises BoardError: they did not come in time
        :raises PortGoneError: the port vanished
        """
        with self._changed:
            while len(self._buffer) < n:
                self._wait(deadline, f"{n} bytes")
            return self._take(n)

    def read_until(
        self,
        ending: bytes,
        deadline: Deadline,
        on_output: Callable[[bytes], None] | None = None,
    ) -> bytes:
        """Everything up to and with ``ending``.

        What was read stays in the buffer when the deadline comes first.

        :param on_output: gets the bytes before the ending as they come
        :raises BoardError: ``ending`` did not come in time
        :raises PortGoneError: the port vanished
        """
        seen = told = 0
        while True:
            with self._changed:
                while True:
                    at = self._buffer.find(ending, max(0, seen - len(ending) + 1))
                    seen = len(self._buffer)
                    if at >= 0 or (on_output and seen - len(ending) + 1 > told):
                        break
                    self._wait(deadline, repr(ending))
                end = at if at >= 0 else seen - len(ending) + 1
                news = bytes(self._buffer[told:end]) if on_output else b""
                told = end
                data = self._take(at + len(ending)) if at >= 0 else b""
            # Outside the lock: the callback may take its time.
            if on_output and news:
                on_output(news)
            if at >= 0:
                return data

    def wait_for_output(self, deadline: Deadline) -> bool:
        """Wait until the buffer holds something; ``False`` when the deadline came first."""
        with self._changed:
            while not self._buffer:
                if self._gone is not None or not self._changed.wait(deadline.remaining()):
                    return bool(self._buffer)
            return True

    def wait_gone(self, deadline: Deadline) -> bool:
        """Wait until the port has vanished; ``False`` when the deadline came first."""
        with self._changed:
            while self._gone is None and not self._closing:
                if not self._changed.wait(deadline.remaining()):
                    return False
            return True

    def peek(self) -> bytes:
        """What is in the buffer, left there."""
        with self._changed:
            return bytes(self._buffer)

    def drain(self) -> bytes:
        """What is in the buffer, emptied."""
        with self._changed:
            return self._take(len(self._buffer))

    def to_sink(self, sink: Callable[[bytes], None]) -> None:
        """Give what is in the buffer, and everything from now on, to ``sink``."""
        with self._changed:
            self._sink = sink
            if self._buffer:
                sink(self._take(len(self._buffer)))

    def to_buffer(self) -> None:
        """Keep everything from now on in the buffer."""
        with self._changed:
            self._sink = None

    def _take(self, n: int) -> bytes:
        data = bytes(self._buffer[:n])
        del self._buffer[:n]
        return data

    def _wait(self, deadline: Deadline, what: str) -> None:
        self._check()
        if not self._changed.wait(deadline.remaining()) and deadline.expired:
            raise BoardError(
                f"{self.device}: no {what} in time, last bytes {shortened(bytes(self._buffer))}",
                target=self.target,
            )

    def _check(self) -> None:
        if self._gone is not None:
            raise PortGoneError(
                f"port {self.device} vanished ({self._gone})",
                target=self.target,
                hint="the board reset, lost power or was unplugged",
            )
        if self._closing:
            raise BenchError(f"port {self.device} is closed", target=self.target)

    def _read(self) -> None:
        try:
            while True:
                data = self._read_local() if self._fd is not None else self._read_serial()
                if data is None:
                    return
                if not data:
                    continue
                if listener := self.listener:
                    listener(data)
                with self._changed:
                    if self._sink is not None:
                        self._sink(data)
                    else:
                        self._buffer += data
                        self._changed.notify_all()
        except (OSError, serial.SerialException, TypeError) as error:
            # TypeError: what pyserial's read raises when the port is closed under it.
            reason = str(error)
        if not self._closing:
            with self._changed:
                self._gone = reason
                self._changed.notify_all()

    def _read_local(self) -> bytes | None:
        assert self._fd is not None
        ready, _, _ = select.select([self._fd, self._wake_r], [], [])
        if self._wake_r in ready:
            return None
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:  # somebody else took it, who opened the port without a lock
            return b""
        if not data:
            raise OSError(errno.EIO, "end of file")
        return data

    def _read_serial(self) -> bytes | None:
        while not self._closing:
            data: bytes = self._serial.read(1)
            if data and self.device.startswith("socket://"):
                # Its `in_waiting` is never more than 1; a read without waiting gets all.
                self._serial.timeout = 0
                data += self._serial.read(65536)
                self._serial.timeout = READ_S
            elif data:
                data += self._serial.read(self._serial.in_waiting)
            if data:
                return data
        return None

    # --- writing ---

    def write(self, data: bytes, deadline: Deadline) -> None:
        """Send all of ``data``.

        :raises BoardError: the board did not take it in time
        :raises PortGoneError: the port vanished
        """
        self._check()
        try:
            if self._fd is None:
                # rfc2217:// refuses a time limit; TCP takes a command at once.
                if not self.device.startswith("rfc2217://"):
                    self._serial.write_timeout = max(0.001, deadline.remaining())
                self._serial.write(data)
                return
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[os.write(self._fd, rest) :]
                except BlockingIOError:
                    if not select.select([], [self._fd], [], deadline.remaining())[1]:
                        raise serial.SerialTimeoutException from None
        except serial.SerialTimeoutException:
            raise BoardError(
                f"{self.device}: the board takes no more input", target=self.target
            ) from None
        except (OSError, serial.SerialException) as error:
            with self._changed:
                self._gone = self._gone or str(error)
                self._changed.notify_all()
            self._check()

    # --- closing ---

    def close(self) -> None:
        """Close; again does nothing."""
        if self._closing:
            return
        self._closing = True
        with self._changed:
            self._changed.notify_all()
        os.write(self._wake_w, b"x")
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=2)
        # RTS before DTR, as mpremote does: the other order resets an ESP board on Windows.
        # A pty has neither line, and a vanished port answers nothing.
        with contextlib.suppress(OSError, serial.SerialException):
            self._serial.rts = False
            self._serial.dtr = False
        with contextlib.suppress(OSError, serial.SerialException):
            self._serial.close()
        os.close(self._wake_r)
        os.close(self._wake_w)

    def __enter__(self) -> Port:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def shortened(data: bytes, limit: int = 120) -> str:
    """``repr`` of the last ``limit`` bytes, for messages."""
    return repr(data) if len(data) <= limit else f"...{data[-limit:]!r}"
