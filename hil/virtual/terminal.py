"""Two pseudo-terminals: the board's serial port, and the console of its MicroPython."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import time

_IFLAG, _OFLAG, _CFLAG, _LFLAG, _CC = 0, 1, 2, 3, 6
_HISTORY = 2048
_MOVED_S = 0.1  # it takes 0.1 ms, on a busy machine 10 ms
_PATIENCE_S = 0.5  # TinyUSB's MICROPY_HW_USB_CDC_TX_TIMEOUT


def make_raw(fd: int, *, marks_running: bool = False) -> None:
    """No echo, no line editing, no translation, no signals from characters.

    :param marks_running: leave ISIG on, with no character that raises a signal. MicroPython's
        unix port turns it off while its REPL reads.
    """
    mode = termios.tcgetattr(fd)
    mode[_IFLAG] &= ~(
        termios.BRKINT
        | termios.ICRNL
        | termios.IGNCR
        | termios.INLCR
        | termios.INPCK
        | termios.ISTRIP
        | termios.IXON
    )
    mode[_OFLAG] &= ~termios.OPOST
    mode[_CFLAG] = (mode[_CFLAG] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    mode[_LFLAG] = termios.ISIG if marks_running else 0
    for character in (termios.VINTR, termios.VQUIT, termios.VSUSP):
        mode[_CC][character] = b"\0"
    mode[_CC][termios.VMIN] = 1
    mode[_CC][termios.VTIME] = 0
    termios.tcsetattr(fd, termios.TCSANOW, mode)


def signals_from_characters(master: int) -> bool:
    """Whether ISIG is on."""
    return bool(termios.tcgetattr(master)[_LFLAG] & termios.ISIG)


class SerialPort:
    """The host's side. Closing it hangs up on whoever has it open."""

    def __init__(self) -> None:
        self.fd, self._slave = os.openpty()
        make_raw(self._slave)
        os.set_blocking(self.fd, False)
        # Keeping the other end open spares the hang-ups when a host closes it.
        self.device = os.ttyname(self._slave)
        self.pending = b""
        self._blocked_at: float | None = None
        self._recent = b""
        self._unheard = 0  # bytes that wait for a reader, once there has been none for a while

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._slave)

    def read(self) -> bytes:
        try:
            return os.read(self.fd, 4096)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> None:
        """Send, or keep for :meth:`flush` what the host does not take now."""
        if self._unheard and self._unread() >= self._unheard:
            self._write_unheard(data)
            return
        self._unheard = 0
        self.pending += data
        self.flush()

    def _drop_backlog(self) -> None:
        """What the kernel holds behind the 4 kB that a reader would see comes up piece by piece."""
        quiet = 0
        while quiet < 3:
            termios.tcflush(self._slave, termios.TCIFLUSH)
            time.sleep(0.001)
            quiet = 0 if self._unread() else quiet + 1

    def _write_unheard(self, data: bytes) -> None:
        """Nobody reads: replace what the terminal holds by the latest."""
        self._recent = (self._recent + data)[-_HISTORY:]
        termios.tcflush(self._slave, termios.TCIFLUSH)
        self._unheard = max(1, self._send(self._recent))
        # The kernel moves it to the reader's side in a moment; only then can it be counted.
        moved_by = time.monotonic() + _MOVED_S
        while self._unread() < self._unheard:
            if time.monotonic() > moved_by:
                self._unheard = 0  # somebody reads after all
                return
            time.sleep(0.00005)

    def flush(self) -> None:
        """Go on sending. Bytes that nobody reads for half a second are dropped, oldest first, as a
        USB CDC does whose host has not opened it: a board never waits for its console."""
        self.pending = self.pending[self._send(self.pending) :]
        if not self.pending:
            self._blocked_at = None
            return
        now = time.monotonic()
        if self._blocked_at is None:
            self._blocked_at = now
        elif now - self._blocked_at > _PATIENCE_S:
            data, self.pending, self._blocked_at = self.pending, b"", None
            self._recent = b""
            self._drop_backlog()
            self._write_unheard(data)

    @property
    def accepts(self) -> bool:
        """Whether the board may print more now."""
        return not self.pending

    def _send(self, data: bytes) -> int:
        try:
            return os.write(self.fd, data) if data else 0
        except BlockingIOError:
            return 0

    def _unread(self) -> int:
        answer = fcntl.ioctl(self._slave, termios.FIONREAD, b"\0" * 4)
        count: int = struct.unpack("i", answer)[0]
        return count
