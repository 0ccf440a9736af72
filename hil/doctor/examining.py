"""All that is examined, at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..deadline import Deadline
from ..errors import ConfigError
from . import network, newcomers, programs, room, target
from .examined import BUDGET_S, Examined, Probe, run
from .host import NTP_PORT, Host

if TYPE_CHECKING:
    from ..config import Inventory, TargetSpec


_OF_HOST: Mapping[str, Callable[[Host, Deadline], Iterator[Examined]]] = {
    "packages": programs.packages,
    "MicroPython": programs.interpreter,
    "flashing tools": programs.tools,
    "mDNS": network.mdns,
    "serial ports": newcomers.serial_ports,
    "unlisted": newcomers.unlisted,
    "udev": newcomers.access,
    "ModemManager": newcomers.modem_manager,
    "automount": newcomers.automount,
    "NTP port": network.ntp_port,
    "disk": room.disk,
    "locks": room.locks,
    "virtual bus": room.virtual_bus,
}


def host_probes(host: Host) -> list[Probe]:
    """What is to be examined of the host, in the order in which it is shown."""
    return [Probe("host", what, partial(work, host)) for what, work in _OF_HOST.items()]


def examine(
    inventory: Inventory | ConfigError,
    names: Sequence[str] | None,
    *,
    repl: bool,
    state: Path,
    root: Path = Path("/"),
    ntp_port: int = NTP_PORT,
    budget_s: float = BUDGET_S,
) -> list[Examined]:
    """Examine the host, then the targets. Takes no longer than ``budget_s``.

    :param inventory: or what is wrong with it, which then is one of the findings
    :param names: these targets only; None: all
    :param repl: also enter each board's REPL, which pauses its application
    :param state: folder for what outlives a run
    :param root: the host's root folder, where its udev rules and processes are looked for
    :param ntp_port: UDP port that the boards' NTP clients ask
    :raises ConfigError: a name is not in the inventory
    """
    from .. import config
    from ..discovery import usb

    deadline = Deadline.after(budget_s)
    wrong = inventory if isinstance(inventory, ConfigError) else None
    specs: tuple[TargetSpec, ...] = ()
    if not isinstance(inventory, ConfigError):
        specs = config.select(inventory, names)
        told = f"{inventory.path}: {len(inventory.targets)} targets"
    ports = usb.attached()
    here = Host(specs, ports, state, root, ntp_port)

    def listed(deadline: Deadline) -> Iterator[Examined]:
        if wrong:
            step = wrong.hint or "correct it: the packaged hil/devices.yaml explains every key"
            yield Examined("host", "inventory", "fail", wrong.message, step)
        else:
            yield Examined("host", "inventory", "ok", told)

    look = target.Look(ports, repl=repl, state=state)
    look.names.ask([spec.hostname for spec in specs if spec.hostname], deadline)
    return run(
        [
            Probe("host", "inventory", listed),
            *host_probes(here),
            *(target.probe(spec, look) for spec in specs),
        ],
        deadline,
    )
