"""``hil list``: what is listed in devices.yaml, what is attached, and how the two match.

Opens no port and interrupts no application: USB descriptors, mDNS and the locks tell enough. Only a
board itself knows its firmware, so that is asked for (``--ask``): a pause of its application.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from .deadline import Deadline

if TYPE_CHECKING:
    from .config import Inventory, TargetSpec
    from .discovery.usb import UsbPort

MDNS_BUDGET_S = 1.5
ASK_BUDGET_S = 10.0


@dataclass(frozen=True)
class Row:
    """:ivar target: name in devices.yaml; None: attached but not listed
    :ivar state: ``attached``, ``bootloader``, ``absent``, ``held by …``, ``embedded`` (started
        when needed), ``unlisted`` (attached, only read), ``url``
    :ivar firmware: what the board itself says that it runs; empty when it was not asked
    :ivar address: where its host name answers on mDNS
    """

    target: str | None
    model: str
    state: str
    port: str
    serial_number: str
    firmware: str
    hostname: str
    address: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def rows(inventory: Inventory, *, ask: bool = False) -> list[Row]:
    """Listed targets in the file's order, then what is attached and not listed.

    :param ask: ask each listed board that is attached and free what it runs, in a pause
    """
    from .discovery import mdns, usb

    ports = usb.usb_ports()
    names = [spec.hostname for spec in inventory.targets.values() if spec.hostname]
    addresses = mdns.resolve(names, Deadline.after(MDNS_BUDGET_S)) if names else {}
    told: list[Row] = []
    matched: set[str] = set()
    for spec in inventory.targets.values():
        port = port_of(spec, ports)
        if port:
            matched.add(port.device)
        state = _state(spec, port)
        firmware, address = "", addresses.get(spec.hostname or "") or ""
        if ask and state == "attached":
            firmware, address = _asked(spec, port.device if port else spec.port or "", address)
        told.append(
            Row(
                target=spec.name,
                model=spec.model or "",
                state=state,
                port=port.device if port else spec.port or spec.url or "",
                serial_number=spec.usb_serial or (port.serial_number if port else "") or "",
                firmware=firmware,
                hostname=spec.hostname or "",
                address=address,
            )
        )
    for port in usb.boards(ports):
        if port.device not in matched:
            told.append(
                Row(
                    target=None,
                    model=port.model_key or "?",
                    state="bootloader" if port.mode == "bootloader" else "unlisted",
                    port=port.device,
                    serial_number=port.serial_number or "",
                    firmware="",
                    hostname="",
                    address="",
                )
            )
    return told


def port_of(spec: TargetSpec, ports: Iterable[UsbPort]) -> UsbPort | None:
    """The attached port that a target of devices.yaml means, if it is attached."""
    for port in ports:
        if spec.usb_serial:
            if (port.serial_number or "").lower() == spec.usb_serial.lower():
                return port
        elif spec.port and spec.port == port.device:
            return port
    return None


def _asked(spec: TargetSpec, device: str, address: str) -> tuple[str, str]:
    """Firmware and address in the board's own words; its complaint instead if it has one."""
    from .errors import HilError
    from .link.board import BoardLink, identify

    deadline = Deadline.after(ASK_BUDGET_S)
    try:
        with (
            BoardLink(spec.name, device) as link,
            link.paused(deadline, lambda _: True) as repl,
        ):
            told = identify(repl, deadline)
    except HilError as error:
        return error.message, address
    return f"{told.machine}, MicroPython {told.release}", told.address or address


def _state(spec: TargetSpec, port: UsbPort | None) -> str:
    from . import lock

    if spec.kind == "url":
        return "url"
    if spec.kind == "virtual":
        return "embedded"
    holder = lock.holder(spec.usb_serial or spec.port or spec.name)
    if holder:
        return f"held by {holder}"
    if port is None:
        return "attached" if spec.port and "://" in spec.port else "absent"
    return "bootloader" if port.mode == "bootloader" else "attached"


def print_table(rows: list[Row]) -> None:
    """The rows on the terminal, and what to do about unlisted boards."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    columns = {
        "target": [row.target or "-" for row in rows],
        "model": [row.model for row in rows],
        "state": [row.state for row in rows],
        "port": [row.port for row in rows],
        "USB serial": [row.serial_number for row in rows],
        "host name": [row.hostname for row in rows],
        "address": [row.address for row in rows],
        "firmware": [row.firmware for row in rows],
    }
    table = Table(box=None, header_style="bold")
    told = {title: cells for title, cells in columns.items() if any(cells)}
    for title in told:
        table.add_column(title, overflow="fold")
    for cells in zip(*told.values(), strict=True):
        table.add_row(*cells)
    console.print(table)
    if any(row.state == "unlisted" for row in rows):
        console.print(
            "\nAn unlisted board is only read. To check it, list it in devices.yaml with its USB"
            " serial number and 'provision: true'."
        )
