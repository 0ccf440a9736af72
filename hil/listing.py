"""``hil list``: what is listed in devices.yaml, what is attached, and how the two match.

Opens no port and interrupts no application: USB descriptors, mDNS and the locks tell enough. Only a
board itself knows its firmware, so that is asked for (``--ask``), of all boards at once: a pause of
their applications.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .deadline import Deadline
from .sighting import ATTACHED, NO_PORT, REMOTE, Holders, Sighting, port_held, sight, unlisted

if TYPE_CHECKING:
    from .config import Inventory, TargetSpec
    from .discovery.mdns import Resolved
    from .discovery.usb import UsbPort
    from .link.board import Identity

_ONE_LINE = 1000

MDNS_BUDGET_S = 1.5
ASK_BUDGET_S = 10.0


@dataclass(frozen=True)
class Row:
    """:ivar target: name in devices.yaml; None: attached but not listed
    :ivar state: in plain words, parts with "; " between them. ``attached``: it can be used;
        ``remote``: it is behind a serial server, and was not looked for. Others begin with
        ``absent``, ``only on the network``, ``in its bootloader``, ``held by …``,
        ``port held by …``, ``unlisted`` (attached, only read), ``embedded`` (started when
        needed), ``process`` (likewise), ``url``
    :ivar port: where it is reached; of a process, the command that starts it
    :ivar location: where it is plugged in: ``1-2.3``
    :ivar firmware: what the board itself says that it runs; empty when it was not asked
    :ivar address: where its host name answers on mDNS; several, if several do
    """

    target: str | None
    model: str
    state: str
    port: str
    location: str
    serial_number: str
    firmware: str
    hostname: str
    address: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def rows(inventory: Inventory, *, ask: bool = False, bus: Path | None = None) -> list[Row]:
    """Listed targets in the file's order, then what is attached and not listed.

    :param ask: ask each listed board that is attached and free what it runs, in a pause
    :param bus: the virtual bus to look at; None: the default one
    """
    from .discovery import usb
    from .link.opening import holders_of
    from .places.session import kept

    specs = list(inventory.targets.values())
    names = [spec.hostname for spec in specs if spec.hostname]
    answers = _answers(names) if names else {}
    attached = usb.attached(bus)
    seen = sight(specs, attached, answers)
    others = unlisted(seen, attached)
    ports = [port for one in seen for port in one.ports] + others
    holders = holders_of(port.device for port in ports if port.device)
    with kept(spec.labgrid.coordinator for spec in specs if spec.labgrid):
        told = _asked_all(seen, holders) if ask else {}
        listed = [_row(one, seen, holders, told.get(one.spec.name)) for one in seen]
    return [*listed, *(_unlisted(port, holders) for port in others)]


def port_of(spec: TargetSpec, ports: Sequence[UsbPort]) -> UsbPort | None:
    """The attached port that a target of devices.yaml means, while MicroPython runs on it."""
    from .discovery.listed import ports_of

    found = ports_of(spec, ports) if spec.kind == "board" else []
    return found[0] if found else None


def _answers(names: Sequence[str]) -> dict[str, Resolved]:
    from .discovery import (
        mdns,  # brings asyncio: a third of the time that a list without names takes
    )

    return mdns.lookup(names, Deadline.after(MDNS_BUDGET_S))


def _row(
    seen: Sighting, all_of_them: Sequence[Sighting], holders: Holders, told: Identity | str | None
) -> Row:
    spec, device = seen.spec, seen.devices[0] if seen.devices else None
    held, presence = seen.held(holders), seen.presence
    state = [] if held and presence == ATTACHED else [presence]
    addresses = list(seen.answer.addresses) if seen.answer else []
    firmware, wrong_address = told if isinstance(told, str) else "", ""
    if told and not isinstance(told, str):
        firmware = f"{told.machine}, MicroPython {told.release}"
        wrong_address = _contradicted(seen, told)
        addresses = addresses or [told.address or ""]
    name = wrong_address or seen.name_problem(all_of_them)
    return Row(
        target=spec.name,
        model=spec.model or "",
        state="; ".join(filter(None, [*state, held, name])),
        port=(device.device if device else "") or spec.port or spec.url or _command(spec),
        location=(device.location if device else None) or "",
        serial_number=spec.usb_serial or (device.serial_number if device else None) or "",
        firmware=firmware,
        hostname=spec.hostname or "",
        address=", ".join(addresses),
    )


def _command(spec: TargetSpec) -> str:
    """As devices.yaml has it: with placeholders."""
    return " ".join(spec.process.command) if spec.process else ""


def _unlisted(port: UsbPort, holders: Holders) -> Row:
    from .discovery.listed import in_loader

    other = "runs other firmware" if port.mode == "unknown" else ""
    if port.mode == "run" and not port.model_key:
        other = "an OpenMV camera with old firmware, which does not tell its model"
    portless = "" if port.device or in_loader(port) else NO_PORT
    state = ["unlisted", in_loader(port) or other, portless, port_held(port.device, holders)]
    return Row(
        target=None,
        model=port.model_key or "?",
        state="; ".join(filter(None, state)),
        port=port.device,
        location=port.location or "",
        serial_number=port.serial_number or "",
        firmware="",
        hostname="",
        address="",
    )


def _asked_all(seen: Iterable[Sighting], holders: Holders) -> dict[str, Identity | str]:
    """What each board that is attached and free says of itself, all asked at once."""
    boards = [one for one in seen if one.spec.kind == "board"]
    free = [one for one in boards if one.presence in (ATTACHED, REMOTE)]
    free = [one for one in free if not one.held(holders)]
    if not free:
        return {}
    with ThreadPoolExecutor(len(free), "hil-ask") as pool:
        told = pool.map(_asked, free)
        return {one.spec.name: identity for one, identity in zip(free, told, strict=True)}


def _asked(seen: Sighting) -> Identity | str:
    """The board's own words, or its complaint."""
    from .errors import HilError
    from .link.board import identify
    from .link.reading import reading
    from .lock import hold, key_of

    spec, deadline = seen.spec, Deadline.after(ASK_BUDGET_S)
    device = seen.ports[0].device if seen.ports else spec.port or ""
    try:
        with (
            hold(key_of(spec), f"asking {spec.name} what it runs", Deadline.after(0)),
            reading(spec.name, device, deadline) as repl,
        ):
            return identify(repl, deadline)
    except HilError as error:
        return error.message


def _contradicted(seen: Sighting, told: Identity) -> str:
    """What is wrong with the address that the network has for this board, if anything is."""
    from .discovery.mdns import verify_address

    problem = verify_address(seen.answer, told.address) if seen.answer else None
    return problem.message if problem else ""


def print_table(rows: list[Row]) -> None:
    """The rows on the terminal, and what to do about unlisted boards."""
    from rich.console import Console
    from rich.table import Table

    # In a pipe or a file a row is one line: who searches it finds whole serial numbers.
    width = None if sys.stdout.isatty() else _ONE_LINE
    # No markup: what a device or a colleague says may hold brackets.
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    columns = {
        "target": [row.target or "-" for row in rows],
        "model": [row.model for row in rows],
        "state": [row.state for row in rows],
        "port": [row.port for row in rows],
        "USB": [row.location for row in rows],
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
    if any(row.state.startswith("unlisted") for row in rows):
        console.print(
            "\nAn unlisted board is only read. To check it, list it in devices.yaml with its USB"
            " serial number and 'provision: true'; 'hil init' writes such a file."
        )
    if any(" in its " in f" {row.state}" for row in rows):
        console.print(
            "\nA reset takes OpenMV's cameras through their bootloader for some seconds. To get a"
            " board out that stays there: 'hil flash TARGET' or 'hil recover TARGET'."
        )
