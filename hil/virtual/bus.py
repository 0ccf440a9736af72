"""The virtual USB bus: a directory with one record per plugged-in virtual board."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class VirtualPort:
    """What the bus knows of a board, as the host's operating system would of a USB device.

    :ivar device: the serial port; empty while the bootloader runs, which has none
    :ivar address: IPv4 address of the board on the host
    :ivar http_port: where the board's port 80 is found at that address
    :ivar supervisor_pid: whose death unplugs the board
    :ivar loader: the bootloader's socket while it runs; else empty
    """

    name: str
    model: str
    device: str
    vid: int
    pid: int
    serial_number: str
    product: str
    supervisor_pid: int
    address: str
    http_port: int
    loader: str = ""


def default_bus() -> Path:
    """``HIL_VIRTUAL_BUS``, or one directory per user."""
    if named := os.environ.get("HIL_VIRTUAL_BUS"):
        return Path(named)
    import tempfile  # 6 ms that a board's process does not need

    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "")
    return Path(tempfile.gettempdir()) / f"hil-bus-{user}"


def plug_in(bus: Path, port: VirtualPort) -> Path:
    """Write the record. It appears complete or not at all."""
    bus.mkdir(mode=0o700, parents=True, exist_ok=True)
    record = bus / f"{port.supervisor_pid}.json"
    temporary = bus / f".{port.supervisor_pid}.new"
    temporary.write_text(json.dumps(asdict(port)))
    temporary.replace(record)
    return record


def unplug(record: Path) -> None:
    record.unlink(missing_ok=True)


def records(bus: Path | None = None) -> list[VirtualPort]:
    """The boards that are plugged in, by name. Records of dead supervisors are removed."""
    folder = default_bus() if bus is None else bus
    ports = []
    for record in sorted(folder.glob("*.json")):
        port = _read(record)
        if port is None:
            continue
        if _alive(port.supervisor_pid):
            ports.append(port)
        else:
            with contextlib.suppress(OSError):
                record.unlink()
    return sorted(ports, key=lambda port: (port.name, port.serial_number))


def _read(record: Path) -> VirtualPort | None:
    """None: unplugged this moment, or no record at all."""
    try:
        found = json.loads(record.read_bytes())
        port = VirtualPort(**{field.name: found[field.name] for field in fields(VirtualPort)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    numbers = (port.vid, port.pid, port.supervisor_pid, port.http_port)
    texts = (port.name, port.model, port.device, port.serial_number, port.product, port.address)
    if all(type(n) is int and 0 < n < 1 << 31 for n in numbers) and all(
        isinstance(text, str) for text in (*texts, port.loader)
    ):
        return port
    return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
