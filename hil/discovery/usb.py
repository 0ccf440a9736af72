"""The boards on USB: what the operating system lists, against the board table.

Nothing is opened: a running application does not notice. Virtual boards are listed by the virtual
USB bus and look the same.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..boards.table import UsbMode, identify, model, serial_number_matches
from ..errors import BenchError
from . import sysfs

_LOOKS = 3


@dataclass(frozen=True)
class UsbPort:
    """A USB device, and the serial port that it shows, if it shows one.

    :ivar device: what to open: ``/dev/ttyACM0``, ``COM3``; changes with every reset. Empty: it
        shows no serial port, as most boards in their bootloader
    :ivar serial_number: tells the board from all others; None where the device has none
    :ivar location: where it is plugged in: ``1-2.3``; stays the same over resets
    :ivar model_key: the board's model; None if the ids do not tell
    :ivar mode: what runs on it: MicroPython (``run``), ``bootloader``, ``recovery``, or ``unknown``
    :ivar virtual: a board of the embedded bench
    :ivar name: a virtual board's name
    :ivar interface: which of the device's interfaces the port is: ``1.0``; None if it has only one
    """

    device: str
    vid: int
    pid: int
    serial_number: str | None
    product: str | None
    location: str | None
    model_key: str | None
    mode: UsbMode
    virtual: bool = False
    name: str | None = None
    interface: str | None = None

    def __str__(self) -> str:
        """``/dev/ttyACM0 (37c5:1206, openmv-n6, serial 346534563033)``."""
        what = f"{self.vid:04x}:{self.pid:04x}, {self.model_key or 'unknown board'}"
        mode = "" if self.mode in ("run", "unknown") else f", {self.mode}"
        where = self.device or f"USB {self.location}"
        return f"{where} ({what}{mode}, serial {self.serial_number or 'none'})"


class NotAttachedError(BenchError):
    """No port has this USB serial number."""


class SeveralAttachedError(BenchError):
    """Several ports have this USB serial number."""


def usb_ports(bus: Path | None = None) -> list[UsbPort]:
    """All serial ports with USB behind them, boards or not: real ones by location, then virtual.

    :param bus: the virtual bus to look at; None: the default one
    :raises BenchError: the operating system's list cannot be read
    """
    from ..virtual.bus import records

    real = [port for port in map(port_of, _comports()) if port]
    real.sort(key=lambda port: (sysfs.place(port.location), sysfs.place(port.interface)))
    return [*real, *map(virtual_port_of, records(bus))]


def attached(bus: Path | None = None) -> list[UsbPort]:
    """:func:`usb_ports`, and the boards of the table that show no serial port: in their bootloader,
    or in their chip's own ROM. The latter on Linux only.

    :raises BenchError: the operating system's list cannot be read
    """
    ports = usb_ports(bus)
    shown = {port.location for port in ports}
    bare = (_portless(one) for one in sysfs.devices() if one.location not in shown)
    return [*ports, *boards(bare)]


def boards(ports: Iterable[UsbPort]) -> list[UsbPort]:
    """Those that belong to a board of the table, in whatever mode: of each board its REPL's port.

    A board with several serial ports has its REPL on the first.
    """
    return one_each(port for port in ports if port.model_key or port.mode != "unknown")


def one_each(ports: Iterable[UsbPort]) -> list[UsbPort]:
    """Of each device the port at its first interface."""
    ports = list(ports)
    first: dict[tuple[object, ...], UsbPort] = {}
    for port in sorted(ports, key=lambda port: sysfs.place(port.interface)):
        # Two devices may show one serial number, and two virtual boards have one name.
        first.setdefault((port.location or port.device, port.serial_number), port)
    return [port for port in ports if port in first.values()]


def at(ports: Iterable[UsbPort], listed: str) -> list[UsbPort]:
    """Those that a listed path leads to, be it a link as those of /dev/serial/by-path."""
    path = Path(listed).resolve()
    return [
        port
        for port in ports
        if port.device and (port.device == listed or Path(port.device).resolve() == path)
    ]


def _comports() -> Sequence[Any]:
    from serial.tools import list_ports

    for _ in range(_LOOKS):
        # pyserial trips over a device that is unplugged while it reads it: int(None, 16).
        with contextlib.suppress(OSError, TypeError, ValueError):
            return list_ports.comports()  # type: ignore[no-any-return]
    raise BenchError(
        "the operating system's list of serial ports cannot be read",
        hint="a device that comes and goes all the time? 'dmesg --follow' shows it",
    )


def port_of(info: Any) -> UsbPort | None:
    """A port as pyserial's ``ListPortInfo`` describes it; None if there is no USB behind it."""
    if not isinstance(info.vid, int) or not isinstance(info.pid, int):
        return None
    row, mode = identify(info.vid, info.pid)
    # Of a device with several interfaces pyserial tells this port's too: 1-2.3:1.0.
    location, _, interface = str(info.location or "").partition(":")
    return UsbPort(
        device=str(info.device),
        vid=info.vid,
        pid=info.pid,
        serial_number=_text(info.serial_number),
        product=_text(info.product),
        location=_text(location),
        model_key=row.key if row else None,
        mode=mode,
        interface=_text(interface),
    )


def _portless(device: sysfs.Device) -> UsbPort:
    row, mode = identify(device.vid, device.pid)
    return UsbPort(
        device="",
        vid=device.vid,
        pid=device.pid,
        serial_number=_text(device.serial_number),
        product=_text(device.product),
        location=device.location,
        model_key=row.key if row else None,
        mode=mode,
    )


def virtual_port_of(record: Any) -> UsbPort:
    """A port as the virtual bus describes it.

    The ids decide on the model, as for a real board; the record's own ``model`` does not count.
    """
    row, mode = identify(record.vid, record.pid)
    return UsbPort(
        device=str(record.device),
        vid=record.vid,
        pid=record.pid,
        serial_number=_text(record.serial_number),
        product=_text(record.product),
        location=f"virtual:{record.name}",
        model_key=row.key if row else None,
        mode=mode,
        virtual=True,
        name=record.name,
    )


def find(ports: Sequence[UsbPort], *, usb_serial: str) -> UsbPort:
    """The port with this USB serial number. Letter case does not count: systems change it.

    :raises NotAttachedError: there is none; the message lists what is attached
    :raises SeveralAttachedError: there are several; the message lists them
    """
    found = one_each([port for port in ports if _same(port.serial_number, usb_serial)])
    if not found:
        raise not_attached(usb_serial, ports)
    if len(found) > 1:
        raise several_attached(usb_serial, found)
    return found[0]


def not_attached(usb_serial: str, ports: Sequence[UsbPort]) -> NotAttachedError:
    """What :func:`find` raises if no port has this serial number."""
    return NotAttachedError(
        f"no board with the USB serial number {usb_serial} is attached; {_list(ports)}",
        hint="is it plugged in and powered? 'hil list' shows what is attached",
    )


def several_attached(usb_serial: str, ports: Sequence[UsbPort]) -> SeveralAttachedError:
    """What :func:`find` raises if all of these have this serial number."""
    return SeveralAttachedError(
        f"{len(ports)} ports have the USB serial number {usb_serial}: {_joined(ports)}",
        hint="tell them apart by 'port: /dev/serial/by-path/…'",
    )


def find_by_unique_id(
    ports: Sequence[UsbPort], *, model_key: str, unique_id: bytes
) -> list[UsbPort]:
    """The ports of this model whose serial number may belong to ``machine.unique_id()``.

    Only ports that run MicroPython: bootloaders show another number.
    """
    row = model(model_key)
    return [
        port
        for port in ports
        if port.model_key == model_key
        and port.mode == "run"
        and port.serial_number
        and serial_number_matches(row, unique_id, port.serial_number)
    ]


def _same(one: str | None, other: str) -> bool:
    return one is not None and one.strip().lower() == other.strip().lower()


def _list(ports: Sequence[UsbPort]) -> str:
    known = boards(ports)
    if known:
        return f"attached: {_joined(known)}"
    if ports:
        return f"no known board is attached, only {_joined(ports)}"
    return "nothing is attached"


def _joined(ports: Iterable[UsbPort]) -> str:
    return ", ".join(map(str, ports))


def _text(value: Any) -> str | None:
    """A descriptor's string without what would spoil a terminal; None if nothing is left.

    A descriptor is whatever the device sends: NULs and control characters have been seen.
    """
    text = "".join(char for char in str(value or "") if char.isprintable()).strip()
    return text or None
