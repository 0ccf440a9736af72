"""``hil doctor``: is this host fit for a bench, and what ails each target? With the next step.

Without ``--repl`` nothing is opened and no application is interrupted.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .deadline import Deadline
from .errors import HilError

if TYPE_CHECKING:
    from .config import Inventory, TargetSpec
    from .discovery.usb import UsbPort

Status = Literal["ok", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Examined:
    """:ivar who: ``host`` or a target's name
    :ivar what: what was examined
    :ivar told: what came of it
    :ivar next_step: what to do about it; empty when nothing is to be done
    """

    who: str
    what: str
    status: Status
    told: str
    next_step: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def examine(inventory: Inventory, names: Sequence[str] | None, *, repl: bool) -> list[Examined]:
    """Examine the host, then the targets.

    :param names: these targets only; None: all
    :param repl: also enter each attached board's REPL, which pauses its application
    :raises ConfigError: a name is not in the inventory
    """
    from . import config
    from .discovery import usb

    specs = config.select(inventory, names)
    ports = usb.usb_ports()
    found = [_packages(), _interpreter(), _inventory(inventory), _serial_group(ports)]
    for spec in specs:
        found += _target(spec, ports, repl=repl)
    return found


def _packages() -> Examined:
    told = ", ".join(
        f"{name} {importlib.metadata.version(name)}"
        for name in ("hil", "mpremote", "pyserial", "pytest", "zeroconf")
    )
    return Examined("host", "packages", "ok", told)


def _interpreter() -> Examined:
    from .virtual.interpreter import find_micropython

    try:
        argv = find_micropython()
    except HilError as error:
        return Examined("host", "MicroPython", "warn", error.message, error.hint or "")
    where = os.environ.get("HIL_MICROPYTHON") or Path(argv[0]).name
    return Examined("host", "MicroPython", "ok", f"for the embedded bench: {where}")


def _inventory(inventory: Inventory) -> Examined:
    return Examined(
        "host", "inventory", "ok", f"{inventory.path}: {len(inventory.targets)} targets"
    )


def _serial_group(ports: Sequence[UsbPort]) -> Examined:
    real = [port.device for port in ports if not port.virtual]
    closed = [device for device in real if not os.access(device, os.R_OK | os.W_OK)]
    if closed and os.name == "posix":
        return Examined(
            "host",
            "serial ports",
            "fail",
            f"no permission for {', '.join(closed)}",
            "add your user to the port's group ('ls -l' names it; on Debian: dialout), log in anew",
        )
    return Examined("host", "serial ports", "ok", ", ".join(real) or "no board's port is attached")


def _target(spec: TargetSpec, ports: Sequence[UsbPort], *, repl: bool) -> Iterator[Examined]:
    def step(what: str, work: Callable[[], str]) -> Examined:
        try:
            return Examined(spec.name, what, "ok", work())
        except HilError as error:
            return Examined(spec.name, what, "fail", error.message, error.hint or "")

    yield step("secrets", lambda: _secrets(spec))
    yield step("profile", lambda: _profile(spec))
    if spec.kind == "virtual":
        yield Examined(spec.name, "port", "skip", "an embedded board is started by each run")
        return
    if spec.kind == "board":
        port = step("port", lambda: _port(spec, ports))
        yield port
        if port.status == "ok" and repl:
            yield step("REPL", lambda: _repl(spec, port.told))
        elif port.status == "ok":
            yield Examined(spec.name, "REPL", "skip", "it would pause the application", "--repl")
    if spec.hostname:
        yield step("mDNS", lambda: _mdns(spec.hostname or ""))


def _secrets(spec: TargetSpec) -> str:
    spec.secrets(os.environ)
    return "all set in the environment"


def _profile(spec: TargetSpec) -> str:
    from .auth.profile import load_profile

    return load_profile(spec.profile).title


def _port(spec: TargetSpec, ports: Sequence[UsbPort]) -> str:
    from .discovery import usb

    if spec.usb_serial:
        return usb.find(ports, usb_serial=spec.usb_serial).device
    return spec.port or ""


def _repl(spec: TargetSpec, device: str) -> str:
    from .link.board import BoardLink, identify

    deadline = Deadline.after(10)
    with (
        BoardLink(spec.name, device) as link,
        link.paused(deadline, lambda _: True) as repl,
    ):
        identity = identify(repl, deadline)
    return f"{identity.machine}, MicroPython {identity.release}, at {identity.address}"


def _mdns(hostname: str) -> str:
    from .discovery import mdns
    from .errors import BenchError

    address = mdns.resolve([hostname], Deadline.after(3))[hostname]
    if address is None:
        raise BenchError(
            f"nobody answers for {hostname}.local",
            hint="is the board powered, on this network, and its host name set?",
        )
    return f"{hostname}.local is {address}"


def print_table(found: Sequence[Examined]) -> None:
    from rich.console import Console
    from rich.table import Table

    colours = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "dim"}
    console = Console(highlight=False)
    table = Table("", "who", "what", "told", box=None, header_style="bold")
    for one in found:
        told = f"{one.told}\n-> {one.next_step}" if one.next_step else one.told
        table.add_row(f"[{colours[one.status]}]{one.status}[/]", one.who, one.what, told)
    console.print(table)
