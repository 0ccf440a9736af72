"""What can be seen of a listed target without touching it: on USB, on the network, in the locks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .places.address import is_place

if TYPE_CHECKING:
    from .config import TargetSpec
    from .discovery.listed import Loader
    from .discovery.mdns import Resolved
    from .discovery.usb import UsbPort

Holders = Mapping[str, Sequence[tuple[int, str]]]
"""Of each port the processes that have it open: pid and command."""

ATTACHED = "attached"
REMOTE = "remote"
"""Behind a serial server: whether it is there would show only by opening it."""


NO_PORT = "shows no serial port"
"""On USB it is there, and no driver has made a port of it, or not yet."""


@dataclass(frozen=True)
class Sighting:
    """One target of devices.yaml, and what was seen of it.

    :ivar ports: where it runs; more than one: several boards have its USB serial number
    :ivar portless: the device that it is while it shows no serial port, though it runs
    :ivar loader: the device in a bootloader that it is, or may be
    :ivar answer: what the network says of its host name
    """

    spec: TargetSpec
    ports: tuple[UsbPort, ...]
    portless: UsbPort | None
    loader: Loader | None
    answer: Resolved | None

    @property
    def devices(self) -> list[UsbPort]:
        """What is attached of it for sure."""
        loader = self.loader
        found = [*self.ports, self.portless, loader.port if loader and loader.certain else None]
        return [port for port in found if port]

    @property
    def presence(self) -> str:
        """``attached``, ``remote``, or what else there is to say, in plain words."""
        spec = self.spec
        if spec.kind == "process":
            return f"process; profile {Path(spec.profile).stem}"
        if spec.kind != "board":
            return "embedded" if spec.kind == "virtual" else spec.kind
        if len(self.ports) > 1:
            devices = ", ".join(port.device for port in self.ports)
            return f"{len(self.ports)} boards have its USB serial number: {devices}"
        if self.ports:
            return _runs(spec, self.ports[0])
        if self.portless:
            return f"attached, but it {NO_PORT}: has this computer the driver, cdc_acm?"
        if self.loader and self.loader.certain:
            return str(self.loader).removeprefix("is ")
        if is_place(spec.port):
            return _at_its_place(spec.port or "")
        if spec.port and "://" in spec.port:
            return REMOTE
        if spec.port and Path(spec.port).exists():
            return ATTACHED
        known = self.answer and self.answer.address
        absent = "only on the network" if known else "absent"
        return f"{absent}; {self.loader}" if self.loader else absent

    def held(self, holders: Holders) -> str:
        """Who has it now; empty: nobody, as far as can be seen."""
        from . import lock
        from .errors import BenchError

        if self.spec.kind != "board":
            return ""
        try:
            if holder := lock.holder(lock.key_of(self.spec)):
                return f"held by {holder}"
        except BenchError as error:
            return f"whether it is held cannot be told: {error.message}"
        held = (port_held(port.device, holders) for port in self.ports)
        return "; ".join(filter(None, held))

    def name_problem(self, all_of_them: Iterable[Sighting]) -> str:
        """What is wrong with its host name; empty: nothing that can be seen."""
        answer = self.answer
        if answer is None:
            return ""
        name = f"{answer.hostname}.local"
        if answer.collision:
            return f"{name} answers from {len(answer.addresses)} addresses: two boards claim it"
        for other in all_of_them:
            shared = other.answer and set(answer.addresses) & set(other.answer.addresses)
            if shared and other.spec is not self.spec:
                return f"{name} leads to the same address as the name of {other.spec.name!r}"
        return ""


def sight(
    specs: Sequence[TargetSpec], attached: Sequence[UsbPort], answers: Mapping[str, Resolved]
) -> list[Sighting]:
    """Look for each target.

    :param attached: what is on USB: :func:`hil.discovery.usb.attached`
    :param answers: what the network says of each host name
    """
    from .discovery.listed import loader_of, ports_of

    boards = [spec for spec in specs if spec.kind == "board"]
    ports = {spec.name: tuple(ports_of(spec, attached)) for spec in boards}
    away = [spec for spec in boards if not ports[spec.name]]
    loaders = {spec.name: loader_of(spec, attached) for spec in away}
    # What one target certainly is, no other one may be.
    taken = [loader.port for loader in loaders.values() if loader and loader.certain]
    free = [port for port in attached if port not in taken]
    for spec in away:
        loader = loaders[spec.name]
        if loader and not loader.certain:
            loaders[spec.name] = loader_of(spec, free)
    return [
        Sighting(
            spec,
            ports.get(spec.name, ()),
            _portless(spec, attached) if spec in away else None,
            loaders.get(spec.name),
            answers.get(spec.hostname or ""),
        )
        for spec in specs
    ]


def _portless(spec: TargetSpec, attached: Iterable[UsbPort]) -> UsbPort | None:
    number = (spec.usb_serial or "").lower()
    bare = (port for port in attached if not port.device and port.mode == "run" and number)
    return next((port for port in bare if (port.serial_number or "").lower() == number), None)


def unlisted(seen: Iterable[Sighting], attached: Sequence[UsbPort]) -> list[UsbPort]:
    """The boards that are attached and are none of these targets."""
    from .discovery.usb import boards

    # A board that is listed by one of its ports owns the others too.
    owned = {_place(port) for one in seen for port in one.devices}
    return [port for port in boards(attached) if _place(port) not in owned]


def port_held(device: str, holders: Holders) -> str:
    """``port held by pid 4711 (mpremote)``; empty: it is free, as far as can be seen."""
    who = ", ".join(f"pid {pid} ({command})" for pid, command in holders.get(device, ()))
    return f"port held by {who}" if who else ""


def _place(port: UsbPort) -> tuple[str | None, str | None]:
    return (port.location or port.device, port.serial_number)


def _at_its_place(url: str) -> str:
    from .errors import BenchError
    from .places.acquisition import presence

    try:
        wrong = presence(url)
    except BenchError as error:
        wrong = error.message
    return f"absent; {wrong}" if wrong else REMOTE


def _runs(spec: TargetSpec, port: UsbPort) -> str:
    ids = f"{port.vid:04x}:{port.pid:04x}"
    if port.model_key not in (None, spec.model):
        return f"attached, but USB says that it is an {port.model_key} ({ids})"
    if port.model_key and port.mode == "unknown":
        return f"attached, but it runs other firmware than MicroPython ({ids})"
    return ATTACHED
