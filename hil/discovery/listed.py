"""A listed board among what is attached: running, in its bootloader, or on its way out of it.

OpenMV's cameras show up as their bootloader for up to :attr:`Model.bootloader_on_reset_s` on every
reset. A bootloader has another USB id and another serial number than MicroPython on the same board,
and mostly no serial port, so which board it is follows from the unique id in its number, or from
where it is plugged in.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..boards.table import Model, model, serial_number_matches, unique_id_of_bootloader
from ..deadline import Deadline
from ..errors import BoardError
from . import usb

if TYPE_CHECKING:
    from ..config import TargetSpec
    from .usb import UsbPort

_LOOK_S = 0.05
_LOADERS = ("bootloader", "recovery")

# From the end of the window to MicroPython's port: the firmware boots and the host enumerates it.
# Also how long a board is away between unplugging itself and its bootloader's appearance.
_AWAY_S = 2.0

# udev's path_id: pci-0000:00:14.0-usb-0:2.3:1.0, of newer systemd also …-usbv2-0:2.3:1.0. The
# controller's own number of its bus is always 0 there.
_BY_PATH = re.compile(r"/dev/serial/by-path/.*-usb(?:v\d)?-\d+:([0-9.]+):\d+\.\d+(?:-port\d+)?")


class InBootloaderError(BoardError):
    """The board is in its bootloader, and does not come out of it by itself."""


@dataclass(frozen=True)
class Loader:
    """A device in its bootloader, or in its chip's own ROM, that is a listed board.

    :ivar certain: False: it is the listed board's model, and nothing tells which board of it
    """

    port: UsbPort
    certain: bool

    def __str__(self) -> str:
        """``is in its bootloader (USB 1-2.3, 37c5:9206)``."""
        at_usb = self.port.location and not self.port.virtual
        where = f"USB {self.port.location}, " if at_usb else ""
        ids = f"{self.port.vid:04x}:{self.port.pid:04x}"
        return f"{'is' if self.certain else 'may be'} {in_loader(self.port)} ({where}{ids})"


class Locator:
    """Finds one listed board's serial port, again and again: USB numbers it anew on every reset.

    :param spec: a target of kind ``board``
    :param look: what is attached now
    """

    def __init__(
        self, spec: TargetSpec, look: Callable[[], Sequence[UsbPort]] = usb.attached
    ) -> None:
        self._spec = spec
        self._look = look
        self._location: str | None = None

    @property
    def location(self) -> str | None:
        """Where the board was plugged in when it was seen running last."""
        return self._location

    def __call__(self, deadline: Deadline) -> str:
        """The port to open. Waits for a board that is in its window, or just away in a reset.

        A port that is listed as such and is not there is returned all the same: opening it tells
        what is wrong.

        :raises BenchError: no board has its serial number, or several have
        :raises InBootloaderError: it is in its bootloader for longer than a reset takes it
        """
        port = self._spec.port
        if port and not port.startswith("/dev/"):  # a URL, or another system's name
            return port
        end, seen = deadline.sooner(_AWAY_S), False
        never = threading.Event()
        while True:
            attached = self._look()
            device = self._running(attached)
            if device is not None:
                return device
            loader = loader_of(self._spec, attached, self._location)
            if loader and not seen:
                end, seen = deadline.sooner(self._window(loader)), True
            if end.expired:
                return self._missing(attached, loader)
            never.wait(min(_LOOK_S, end.remaining()))

    def _running(self, attached: Sequence[UsbPort]) -> str | None:
        port = running(self._spec, attached)
        if port:
            self._location = port.location
            return self._spec.port or port.device
        if self._spec.port and Path(self._spec.port).exists():
            return self._spec.port  # no USB behind it
        return None

    def _window(self, loader: Loader) -> float:
        """Seconds until a board that is only passing through its bootloader is out of it."""
        window = model(self._spec.model or "").bootloader_on_reset_s
        return window + _AWAY_S if window and loader.port.mode == "bootloader" else 0.0

    def _missing(self, attached: Sequence[UsbPort], loader: Loader | None) -> str:
        name = self._spec.name
        if loader and loader.certain:
            raise InBootloaderError(
                f"the board {loader}, and stays there",
                target=name,
                hint=f"'hil flash {name}' gives it firmware; 'hil recover {name}' tries to start"
                " what it has",
            )
        if self._spec.port:
            return self._spec.port
        error = usb.not_attached(self._spec.usb_serial or "", attached)
        if loader:
            error.message += f"; the board {loader}"
        raise error


def in_loader(port: UsbPort) -> str:
    """``in its bootloader``, or ``in its chip's ROM loader``; empty: it is in none."""
    return {"bootloader": "in its bootloader", "recovery": "in its chip's ROM loader"}.get(
        port.mode, ""
    )


def running(spec: TargetSpec, attached: Sequence[UsbPort]) -> UsbPort | None:
    """The port of the listed board while it runs; None: it shows none.

    :raises SeveralAttachedError: several boards have its serial number
    """
    ports = ports_of(spec, attached)
    if len(ports) > 1 and spec.usb_serial:
        raise usb.several_attached(spec.usb_serial, ports)
    return ports[0] if ports else None


def ports_of(spec: TargetSpec, attached: Sequence[UsbPort]) -> list[UsbPort]:
    """:func:`running` of each board that the entry may mean."""
    usable = [port for port in attached if port.device and port.mode not in _LOADERS]
    if listed := spec.port:
        return usb.at(usable, listed)
    number = (spec.usb_serial or "").lower()
    return usb.one_each(port for port in usable if (port.serial_number or "").lower() == number)


def loader_of(
    spec: TargetSpec, attached: Sequence[UsbPort], location: str | None = None
) -> Loader | None:
    """The device in a bootloader, or in a ROM, that the listed board is, or may be.

    :param location: where the board was plugged in when it was seen last
    """
    if not spec.model:
        return None
    row = model(spec.model)
    loaders = (port for port in attached if port.mode in _LOADERS and _may_be(row, port))
    verdicts = [(_is(row, spec, port, location), port) for port in loaders]
    certain = [port for verdict, port in verdicts if verdict]
    possible = [port for verdict, port in verdicts if verdict is None]
    found = certain or possible
    return Loader(found[0], certain=len(certain) == 1) if found else None


def _may_be(row: Model, port: UsbPort) -> bool:
    return (port.vid, port.pid) in row.bootloader_ids + row.recovery_ids


def _is(row: Model, spec: TargetSpec, port: UsbPort, location: str | None) -> bool | None:
    """Whether this loader is the listed board; None: nothing tells."""
    number = port.serial_number
    if number and spec.usb_serial:
        if port.mode == "bootloader":
            unique_id = unique_id_of_bootloader(row, number)
            if unique_id is not None:
                return serial_number_matches(row, unique_id, spec.usb_serial)
        elif number.lower() == spec.usb_serial.lower():
            return True  # ST's ROM shows the short form, as ST's USB stack does in run mode
    listed = _BY_PATH.fullmatch(spec.port or "")
    if location:
        return port.location == location
    if listed:
        return (port.location or "").partition("-")[2] == listed[1]
    return None
