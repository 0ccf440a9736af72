"""USB devices as Linux lists them, with a serial port or without.

A board in its bootloader shows no serial port, and pyserial lists nothing else. Elsewhere than on
Linux this list is empty: there a board in its bootloader cannot be told from one that is unplugged.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEVICES = Path("/sys/bus/usb/devices")

_NO_PLACE = (1 << 16,)


@dataclass(frozen=True)
class Device:
    """:ivar serial_number: as the device sends it, whatever that is; empty: it has none
    :ivar product: likewise
    :ivar location: where it is plugged in, ``1-2.3``: bus, then the ports of the hubs on the way
    """

    vid: int
    pid: int
    serial_number: str
    product: str
    location: str


def devices(folder: Path = DEVICES) -> list[Device]:
    """All devices but root hubs, by location. Nothing is opened, and none is woken up."""
    try:
        names = [entry.name for entry in folder.iterdir()]
    except OSError:  # another system, or no USB at all
        return []
    # "1-2.3" is a device, "1-2.3:1.0" an interface of it, "usb1" a root hub.
    found = [_device(folder / name) for name in names if "-" in name and ":" not in name]
    return sorted((one for one in found if one), key=lambda one: place(one.location))


def place(location: str | None) -> tuple[int, ...]:
    """``1-2.10`` → ``(1, 2, 10)``, to sort by; what is no location comes last."""
    numbers = (location or "").replace("-", ".").split(".")
    if not all(part.isascii() and part.isdigit() for part in numbers):
        return _NO_PLACE
    return tuple(int(part) for part in numbers)


def _device(folder: Path) -> Device | None:
    """None: it was unplugged while it was read. Boards come and go: every reset is one."""
    try:
        vid, pid = (_id(folder / name) for name in ("idVendor", "idProduct"))
    except (OSError, ValueError):
        return None
    return Device(vid, pid, _text(folder / "serial"), _text(folder / "product"), folder.name)


def _id(file: Path) -> int:
    """``37c5``: the kernel writes four digits.

    :raises ValueError: it is something else
    """
    high, low = bytes.fromhex(file.read_text())
    return high << 8 | low


def _text(file: Path) -> str:
    """A string of the device; a device that has none has no such file."""
    try:
        return file.read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""
