"""A board's power behind a USB hub that switches its ports one by one, by ``uhubctl``.

Its exit status is 0 also when the hub has not obeyed, or has no such port (tried, 2.5.0): what
counts is the state that it prints afterwards.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..deadline import Deadline
from ..errors import BenchError

# Debian has it in /usr/sbin, which is not on everybody's PATH.
_SBIN = os.pathsep.join(("/usr/sbin", "/sbin"))

_HUB = re.compile(r"(?:Current|New) status for hub (\S+) \[(.*)\]")
_PORT = re.compile(r" +Port (\d+): [0-9a-f]{4}((?: [^\s\[]+)*)(?: \[.*\])?", re.ASCII)
_FORBIDDEN = ("permission problems", "udev is set up correctly", "LIBUSB_ERROR_ACCESS")
_UDEV = (
    'a udev rule lets a group switch hubs: SUBSYSTEM=="usb", ATTR{bDeviceClass}=="09", '
    'MODE="0660", GROUP="dialout"; then plug the hub in anew'
)


@dataclass(frozen=True)
class HubState:
    """One hub as ``uhubctl`` shows it.

    :ivar location: where it is plugged in: ``1-1.4``
    :ivar switches_ports: each of them by itself (``ppps``), not all at once
    :ivar ports: whether each port that was asked for has power
    """

    location: str
    switches_ports: bool
    ports: Mapping[int, bool] = field(default_factory=dict)


def parse(told: str) -> list[HubState]:
    """What ``uhubctl`` printed: each hub as it was shown last, whatever else there is."""
    hubs: dict[str, HubState] = {}
    ports: dict[int, bool] = {}
    for line in told.split("\n"):  # a name may hold what splitlines() takes for an end
        if hub := _HUB.fullmatch(line):
            ports = {}
            switches = "ppps" in hub[2].rsplit(", ", 1)[-1]
            hubs[hub[1]] = HubState(hub[1], switches, ports)
        elif port := _PORT.fullmatch(line):
            ports[int(port[1])] = "power" in port[2].split()
    return list(hubs.values())


@dataclass(frozen=True)
class HubPort:
    """:class:`hil.power.Switch`: one port of a hub.

    A USB 3 hub is two hubs to the system, and its plug has one supply: ``uhubctl`` switches both.

    :ivar hub: where the hub is plugged in, as ``uhubctl`` and the kernel say: ``1-1.4``
    :ivar port: the port of this hub, from 1
    """

    hub: str
    port: int

    def __str__(self) -> str:
        return f"port {self.port} of hub {self.hub}"

    def off(self, deadline: Deadline) -> None:
        self._switch("off", deadline)

    def on(self, deadline: Deadline) -> None:
        self._switch("on", deadline)

    def has_power(self, deadline: Deadline) -> bool:
        """Whether the port has power now. Switches nothing.

        :raises BenchError: as :meth:`off`, but for a hub that would not obey
        """
        return self._power_in(self._uhubctl(["-p", str(self.port)], deadline), deadline)

    def _switch(self, to: str, deadline: Deadline) -> None:
        """:raises BenchError: there is no ``uhubctl``, no such hub or port, no permission; the hub
        cannot switch single ports, or does not obey
        """
        told = self._uhubctl(["-p", str(self.port), "-a", to], deadline)
        if self._power_in(told, deadline) is not (to == "on"):
            raise BenchError(
                f"{self} was told to switch {to}, and says that it has not",
                hint="some hubs say that they can switch, and cannot: uhubctl's list of hubs tells",
            )

    def _power_in(self, told: str, deadline: Deadline) -> bool:
        hub = next((hub for hub in parse(told) if hub.location == self.hub), None)
        if hub is None:
            raise self._no_such_hub(deadline)
        if self.port not in hub.ports:
            raise BenchError(
                f"hub {self.hub} has no port {self.port}",
                hint=f"'uhubctl -l {self.hub}' shows its ports",
            )
        return hub.ports[self.port]

    def _no_such_hub(self, deadline: Deadline) -> BenchError:
        # With -f it also shows those that it would not switch.
        seen = parse(self._uhubctl(["-f"], deadline, here=False))
        if any(hub.location == self.hub for hub in seen):
            return BenchError(
                f"hub {self.hub} cannot switch single ports",
                hint="uhubctl's list of hubs tells which can (it shows them with 'ppps')",
            )
        others = ", ".join(hub.location for hub in seen if hub.switches_ports)
        return BenchError(
            f"uhubctl sees no hub at {self.hub}",
            hint=f"hubs that can switch: {others or 'none'}; 'hub' in devices.yaml is one of them",
        )

    def _uhubctl(self, options: list[str], deadline: Deadline, *, here: bool = True) -> str:
        path = os.environ.get("PATH", os.defpath)
        program = shutil.which("uhubctl", path=f"{path}{os.pathsep}{_SBIN}")
        if program is None:
            raise BenchError(
                f"no uhubctl, which switches {self}",
                hint="install it (Debian: apt-get install uhubctl)",
            )
        where = ["-l", self.hub] if here else []
        try:
            ended = subprocess.run(
                [program, *where, *options],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=max(0.001, deadline.remaining()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchError(
                f"uhubctl was not through in time, for {self}",
                hint="does a device on this bus hang? Unplug what is not needed",
            ) from None
        errors = ended.stderr.decode(errors="replace")
        if any(sign in errors for sign in _FORBIDDEN):
            raise BenchError(f"no permission to switch {self}", hint=_UDEV)
        return ended.stdout.decode(errors="replace")
