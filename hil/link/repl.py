"""MicroPython's raw REPL: mpremote's protocol code on a port whose reads block and never hang.

A conversation is: :meth:`Repl.enter`, any number of :meth:`Repl.exec` and :meth:`Repl.eval`, then
:meth:`Repl.leave` (the friendly prompt) or :meth:`Repl.start` (a program that is left running).
Between conversations the port's bytes go to the console.
"""

from __future__ import annotations

import ast
import errno
import itertools
import os
import re
import struct
from collections.abc import Callable
from typing import Any

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from hil import consent as consents
from hil.consent import Consent
from hil.deadline import Deadline
from hil.errors import BoardError
from hil.link.console import Traceback, find_tracebacks, without_noise
from hil.link.opening import holders
from hil.link.port import Port, PortGoneError, shortened

_INTERRUPT = b"\x03"
_RAW_MODE = b"\x01"
_FRIENDLY_MODE = b"\x02"
_END = b"\x04"
_BANNER = b"raw REPL; CTRL-B to exit\r\n>"
_PROMPT = b">>> "
_ERRNO = re.compile(r"(\d+)(?:\] (E[A-Z0-9]+))?")

#: Up to this many bytes go in one write and one round trip; raw paste takes three. A board's input
#: buffer holds 256 bytes or more (MICROPY_REPL_STDIN_BUFFER_MAX).
_SHORT = 200
#: Boards without raw paste have no flow control at all: so many bytes, then a pause. 12.8 kB/s is
#: what a UART at 115200 baud carries. micro:bit firmware 1.9.2 on QEMU: no loss up to here.
_PACED_BYTES = 64
_PACED_S = 0.005
#: How long each attempt to enter waits for the raw REPL's banner before the next, seconds.
#: The first is for a board at its prompt (1 ms), the last for one that boots.
_ATTEMPTS_S = (0.15, 0.3, 0.5, 1.0, 1.0, 2.0)


class ReplError(BoardError):
    """The code raised on the board.

    :ivar traceback: what it raised; ``None`` where the board printed none
    :ivar output: what it printed before
    """

    def __init__(
        self,
        message: str,
        *,
        traceback: Traceback | None,
        output: bytes = b"",
        target: str | None = None,
    ) -> None:
        super().__init__(message, target=target)
        self.traceback = traceback
        self.output = output

    @property
    def exception_type(self) -> str:
        """E.g. ``OSError``; empty where the board printed no traceback."""
        return self.traceback.exception_type if self.traceback else ""

    @property
    def os_error(self) -> str:
        """The name of an ``OSError``'s number, e.g. ``ENOENT``; empty for other exceptions.

        A board prints ``[Errno 2] ENOENT``, or the bare number where names are left out.
        """
        if self.traceback is None or self.exception_type != "OSError":
            return ""
        match = _ERRNO.search(self.traceback.message)
        if match is None:
            return ""
        return match[2] or errno.errorcode.get(int(match[1]), "")


class _Line:
    """What mpremote's transport takes for its ``serial.Serial``; each call ends by the deadline."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.deadline = Deadline(0)
        self.timeout: float | None = None

    def read(self, n: int = 1) -> bytes:
        return self.port.read(n, self.deadline)

    def write(self, data: bytes) -> int:
        self.port.write(data, self.deadline)
        return len(data)

    def inWaiting(self) -> int:  # noqa: N802 - mpremote's name
        return self.port.waiting

    def close(self) -> None:
        """The port belongs to the link."""


class Transport(SerialTransport):  # type: ignore[misc]
    """mpremote's transport on an open :class:`Port`.

    mpremote's own opens the port itself, polls it, and prints what it did not expect. Here a read
    that ends short raises, so that none of those branches is reached.
    """

    def __init__(self, port: Port) -> None:
        self.in_raw_repl = False
        self.use_raw_paste = True
        self.device_name = port.device
        self.mounted = False
        self.is_pty = True
        self.serial = _Line(port)

    def read_until(
        self,
        min_num_bytes: int,
        ending: bytes,
        timeout: float | None = 10,
        data_consumer: Callable[[bytes], None] | None = None,
        timeout_overall: float | None = None,
    ) -> bytes:
        """mpremote's signature; the only time that counts is the line's deadline."""
        line: _Line = self.serial
        return line.port.read_until(ending, line.deadline, data_consumer)


class Repl:
    """The raw REPL of the board behind ``port``.

    :param port: open
    :param console: gets what the application printed up to the moment it was interrupted
    :param consent: of the board's owner; without it, the board runs the programs of
        :func:`hil.link.reading.programs` and no other
    """

    def __init__(
        self,
        port: Port,
        console: Callable[[bytes], None] | None = None,
        *,
        consent: Consent | None = None,
    ) -> None:
        self.port = port
        self._consent = consent
        self._console = console or _nowhere
        self._transport = Transport(port)
        self._raw_paste: bool | None = None
        self._ready = False
        self._started = False
        #: Whether the last :meth:`enter` interrupted a running program.
        self.interrupted = False

    # --- in and out ---

    def enter(self, deadline: Deadline) -> None:
        """Take the REPL from whatever the board does, without a soft reset.

        From the friendly prompt, a half-typed line, paste mode, raw REPL, inside raw paste, a
        running or printing program, and a board that still boots.

        :raises BoardError: no raw REPL before the deadline
        """
        self._ready = self._started = False
        self.port.to_buffer()
        self._console(self.port.drain())
        seen = bytearray()
        for attempt in itertools.count():
            share = deadline.sooner(_ATTEMPTS_S[min(attempt, len(_ATTEMPTS_S) - 1)])
            if self._attempt(attempt, share, seen) and self._in_step(share, seen):
                break
            if deadline.expired:
                self.port.to_sink(self._console)
                raise self._no_raw_repl(attempt + 1, bytes(seen))
        self._ready = True
        told = bytes(seen)
        # A program that ended prints its traceback, or the REPL greets after it.
        self.interrupted = b"KeyboardInterrupt" in told or b"\nMicroPython " in told
        rest = without_noise(told)
        if rest:
            self._console(rest)
        if self._raw_paste is None:
            self._raw_paste = self._has_raw_paste(deadline)

    def _attempt(self, attempt: int, share: Deadline, seen: bytearray) -> bool:
        """Ctrl-C, Ctrl-A, and whether the raw REPL's banner came; what came goes to ``seen``."""
        try:
            # First both at once: at a prompt that is one round trip. Some ports throw away what
            # follows a Ctrl-C closely (a tty flushes its input), so then with an answer between.
            # An application may catch one interrupt, so later two; and an old `input()` (1.9.2)
            # sees it only after a line, which by then cannot be a half-typed one.
            if attempt == 0:
                self.port.write(_INTERRUPT + _RAW_MODE, share)
            elif attempt % 2:
                self.port.write(_INTERRUPT, share)
                self.port.wait_for_output(share.sooner(0.1))
                self.port.write(_RAW_MODE, share)
            else:
                self.port.write(_INTERRUPT + b"\r" + _INTERRUPT + _RAW_MODE, share)
            seen += self.port.read_until(_BANNER, share)
        except PortGoneError:
            raise
        except BoardError:
            seen += self.port.drain()
            del seen[:-100_000]  # a program that floods the line
            return False
        return True

    def _in_step(self, share: Deadline, seen: bytearray) -> bool:
        """Whether the board answers *this* question: no banner of an earlier attempt, or of an
        earlier caller that was killed, is taken for the answer."""
        nonce = os.urandom(4).hex().encode()
        try:
            self.port.write(b"print('hil-''%s')\x04" % nonce, share)
            told = self.port.read_until(b"hil-" + nonce, share)
            seen += told.removesuffix(b"OKhil-" + nonce)
            self.port.read_until(b"\x04\x04>", share)
        except PortGoneError:
            raise
        except BoardError:
            seen += self.port.drain()
            return False
        return True

    def _no_raw_repl(self, attempts: int, seen: bytes) -> BoardError:
        # A program that took no lock (a terminal, ModemManager) may be reading the answers away.
        others = ", ".join(f"pid {pid} ({command})" for pid, command in holders(self.port.device))
        return BoardError(
            f"no raw REPL on {self.port.device} ({attempts} x Ctrl-C and Ctrl-A, "
            f"last bytes {shortened(seen)})",
            target=self.port.target,
            hint=f"end what else has this port open: {others}"
            if others
            else "does the board run MicroPython, at this baud rate? Reset it, or take its power",
        )

    def _has_raw_paste(self, deadline: Deadline) -> bool:
        self.port.write(b"\x05A\x01", deadline)
        answer = self.port.read(2, deadline)
        if answer == b"R\x01":
            # An empty program: the window (2 bytes, and \x01 for a second window), then its end.
            self.port.read(3, deadline)
            self.port.write(_END, deadline)
            self.port.read_until(b"\x04\x04\x04>", deadline)
            return True
        self.port.read_until(b">", deadline)
        return False

    def leave(self, deadline: Deadline) -> None:
        """Back to the friendly prompt; from then on the output goes to the console.

        A program that :meth:`start` has left running is left alone; one that outlived its deadline
        is interrupted. A board that does not answer is not an error here: nothing more is asked
        of it.
        """
        if self._started:
            return
        try:
            if not self._ready:
                self.enter(deadline)
            self._ready = False
            self.port.write(b"\r" + _FRIENDLY_MODE, deadline)
            self.port.read_until(_PROMPT, deadline.sooner(1.0))
        except BoardError:
            self._console(without_noise(self.port.drain()))
        self.port.to_sink(self._console)

    # --- code ---

    def exec(
        self,
        code: str,
        deadline: Deadline,
        on_output: Callable[[bytes], None] | None = None,
    ) -> bytes:
        """Run ``code`` and wait for its end, however long it is silent.

        :param on_output: gets what it prints as it comes
        :returns: what it printed
        :raises ReplError: it raised; with the traceback
        :raises BoardError: it did not end before the deadline, or the board does not answer
        """
        try:
            self._send(code, deadline)
            output = self.port.read_until(_END, deadline, on_output)[:-1]
            error = self.port.read_until(b"\x04>", deadline)[:-2]
        except BoardError as failure:
            self._ready = False
            if deadline.expired and not isinstance(failure, PortGoneError):
                failure.message = f"{_first_line(code)!r} did not end in time: {failure.message}"
            raise
        if error:
            raise self._raised(code, output, error)
        return output

    def _raised(self, code: str, output: bytes, error: bytes) -> ReplError:
        told = error.decode(errors="replace")
        tracebacks = find_tracebacks(told)
        traceback = tracebacks[-1] if tracebacks else None
        last = traceback.lines[-1] if traceback else told.strip()
        return ReplError(
            f"{last} (in {_first_line(code)!r})",
            traceback=traceback,
            output=output,
            target=self.port.target,
        )

    def eval(self, expression: str, deadline: Deadline) -> Any:
        """The value of ``expression``, where its ``repr`` is a Python literal.

        :raises ReplError: it raised
        :raises BoardError: what it gives is no literal
        """
        told = self.exec(f"print(repr({expression}))", deadline)
        try:
            return literal(told)
        except ValueError:
            raise BoardError(
                f"{expression!r} gave {shortened(told.strip())}, which is no literal",
                target=self.port.target,
            ) from None

    def start(self, code: str, deadline: Deadline) -> None:
        """Run ``code`` without waiting for its end; the output goes to the console from here on."""
        self._send(code, deadline)
        self._ready = False
        self._started = True
        self.port.to_sink(self._console)

    def soft_reset(self, deadline: Deadline) -> None:
        """A soft reset from the raw REPL: the heap is new, ``boot.py`` runs, ``main.py`` does not.

        Ends in the raw REPL. What the board prints on the way goes to the console.
        """
        consents.require(self._consent, self.port.target, "a soft reset")
        if not self._ready:
            self.enter(deadline)
        self._ready = False
        self.port.write(_END, deadline)
        told = self.port.read_until(_BANNER, deadline)
        self._console(without_noise(told.removeprefix(b"OK\r\n")))
        if not self._in_step(deadline, bytearray()):
            self.enter(deadline)
        self._ready = True

    def _send(self, code: str, deadline: Deadline) -> None:
        """Give ``code`` to the board; what follows on the port is what it prints.

        All code that a board ever runs comes through here, and so does the question for consent.
        """
        self._require_consent(code)
        data = code.encode()
        if not set(data).isdisjoint(b"\x01\x02\x03\x04\x05"):
            raise ValueError("code with control characters ends the raw REPL's input")
        if not self._ready:
            self.enter(deadline)
        if self._raw_paste and len(data) > _SHORT:
            self._paste(data, deadline)
            return
        if self._raw_paste:
            self.port.write(data + _END, deadline)
        else:
            self._write_paced(data + _END, deadline)
        answer = self.port.read(2, deadline)
        if answer != b"OK":
            raise BoardError(
                f"the raw REPL answered {answer!r} instead of OK", target=self.port.target
            )

    def _require_consent(self, code: str) -> None:
        if self._consent is None:
            from hil.link.reading import programs

            if code in programs():
                return
        consents.require(self._consent, self.port.target, f"{_first_line(code)!r}")

    def _paste(self, data: bytes, deadline: Deadline) -> None:
        line: _Line = self._transport.serial
        line.deadline = deadline
        self.port.write(b"\x05A\x01", deadline)
        answer = self.port.read(2, deadline)
        if answer != b"R\x01":
            raise BoardError(f"raw paste answered {answer!r}", target=self.port.target)
        try:
            self._transport.raw_paste_write(data)
        except (TransportError, struct.error) as error:
            raise BoardError(f"raw paste: {error}", target=self.port.target) from error

    def _write_paced(self, data: bytes, deadline: Deadline) -> None:
        for at in range(0, len(data), _PACED_BYTES):
            if at:
                # There is no echo to wait for; a vanishing port ends the pause.
                self.port.wait_gone(deadline.sooner(_PACED_S))
            self.port.write(data[at : at + _PACED_BYTES], deadline)


def literal(told: bytes) -> Any:
    """The value of a Python literal that a board has printed.

    :raises ValueError: it is none
    """
    try:
        return ast.literal_eval(told.decode(errors="replace").strip())
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        # Nested too deep, or an unhashable key: literal_eval's own documentation lists them.
        raise ValueError("not a literal") from None


def _first_line(code: str) -> str:
    line = code.strip().partition("\n")[0]
    return line if len(line) <= 60 else line[:57] + "..."


def _nowhere(data: bytes) -> None:
    pass
