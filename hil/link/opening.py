"""Opening a serial port, and saying why it cannot be opened: missing, forbidden, held by whom."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path

import serial

from hil.errors import BenchError
from hil.places.address import is_place

#: Ports behind an URL are read by pyserial, which can be told to stop only between two reads.
READ_S = 0.2
#: How long a serial server may take to answer each of RFC 2217's questions, seconds: pyserial's own
#: figure. ser2net 4.3 on the same host answers within a millisecond.
ANSWER_S = 3.0


class NoPortError(BenchError):
    """There is no such port: nothing is plugged in, or it has no power."""


class _LocalSerial(serial.Serial):  # type: ignore[misc]
    """pyserial throws away what came before the port was open: a booting board's first words."""

    def _reset_input_buffer(self) -> None:
        pass


def is_remote(device: str) -> bool:
    """Whether it is a port behind a serial server: an URL, not a device path."""
    return "://" in device


def served_at(device: str) -> str:
    """Where a serial port is now: a place of labgrid at whatever TCP port its exporter serves.

    :raises NoPortError: the exporter shows no port at the moment
    :raises BenchError: labgrid's coordinator does not answer, or the place is not acquired
    """
    if not is_place(device):
        return device
    from hil.places.acquisition import serial_url

    return serial_url(device)


def open_serial(
    device: str, baudrate: int, target: str | None, answer_s: float = ANSWER_S
) -> serial.SerialBase:
    """Open a device path or a pyserial URL, with an exclusive lock.

    :param answer_s: how long a serial server may take to each question, seconds
    :raises BenchError: the port is missing, not permitted, or held by another process
    """
    if is_remote(device):
        return _open_remote(device, baudrate, target, answer_s)
    try:
        return _LocalSerial(device, baudrate=baudrate, timeout=READ_S, exclusive=True)
    except (OSError, ValueError) as error:  # SerialException is an OSError
        raise _why_not(device, error, target) from None


def _open_remote(
    device: str, baudrate: int, target: str | None, answer_s: float
) -> serial.SerialBase:
    from hil.link.remote import RawTcp, Rfc2217, parting_words, why_not_remote

    opened: serial.SerialBase
    if device.startswith("socket://"):
        opened, url = RawTcp(timeout=READ_S, exclusive=True), device
    elif device.startswith("rfc2217://"):
        # Without waiting for answers about DTR and RTS: ser2net gives none for a port that lacks
        # the lines (a pseudo-terminal), and nothing here depends on them.
        opened = Rfc2217(baudrate=baudrate, timeout=READ_S, exclusive=True)
        more = "&" if "?" in device else "?"
        url = f"{device}{more}ign_set_control&timeout={answer_s:.1f}"
    else:
        raise BenchError(
            f"{device} is no port", target=target, hint="rfc2217://HOST:PORT or socket://HOST:PORT"
        )
    try:
        opened.port = url
        opened.open()
    except (OSError, ValueError) as error:
        refused = f"Could not open port {url}: "  # pyserial's words, with an URL that is ours
        told = str(error)
        words = b"" if told.startswith(refused) else parting_words(device)
        raise why_not_remote(device, told.removeprefix(refused), words, target) from None
    return opened


def _why_not(device: str, error: OSError | ValueError, target: str | None) -> BenchError:
    number = getattr(error, "errno", None)
    if number == errno.ENOENT or not Path(device).exists():
        return NoPortError(
            f"no port {device}",
            target=target,
            hint="is the board plugged in and powered? 'hil list' shows what is attached",
        )
    if number == errno.EACCES:
        return BenchError(
            f"no permission to open {device}",
            target=target,
            hint="add yourself to the port's group (dialout or uucp) and log in again",
        )
    if "exclusively lock" in str(error) or number in {errno.EBUSY, errno.EWOULDBLOCK}:
        who = holders(device)
        by = ", ".join(f"pid {pid} ({command})" for pid, command in who) or _holder_unseen()
        return BenchError(
            f"port {device} is held by {by}", target=target, hint="end it, or wait until it is done"
        )
    return BenchError(f"cannot open {device}: {error}", target=target)


def _holder_unseen() -> str:
    if Path("/proc/self/fd").exists():
        return f"a process of another user, or this one (pid {os.getpid()})"
    return "another program ('lsof' tells which)"


def holders(device: str) -> list[tuple[int, str]]:
    """Processes other than this one that have ``device`` open: (pid, command line).

    From ``/proc``, so on Linux only, and only those that we may look into. A virtual board's
    supervisor is the board, not a holder.
    """
    return holders_of([device])[device]


def holders_of(devices: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    """:func:`holders` of several ports, in one look at all processes."""
    numbers = dict.fromkeys(devices, 0)
    for device in numbers:
        with contextlib.suppress(OSError):
            numbers[device] = Path(device).stat().st_rdev
    holding: dict[int, list[tuple[int, str]]] = {number: [] for number in numbers.values()}
    wanted = holding.keys() - {0}
    for process in Path("/proc").glob("[0-9]*") if wanted else ():
        if process.name == str(os.getpid()):
            continue
        with contextlib.suppress(OSError):  # it ended, or is not ours to look into
            for number in wanted & {_device_number(fd) for fd in (process / "fd").iterdir()}:
                words = (process / "cmdline").read_text(errors="replace").replace("\0", " ").split()
                command = " ".join(words)
                if "hil.virtual.supervisor" not in command:
                    holding[number].append((int(process.name), command[:120]))
    return {device: holding[number] for device, number in numbers.items()}


def _device_number(fd: Path) -> int:
    """0: it is no device."""
    try:
        # Only character devices: a stat of anything else on a dead network mount could hang.
        return fd.stat().st_rdev if str(fd.readlink()).startswith("/dev/") else 0
    except OSError:
        return 0
