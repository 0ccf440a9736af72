"""Out of a bootloader that a board stays in, by what its flashing method knows. Nothing is written.

A bootloader is seen by discovery: one without a serial port on Linux only. One that may be another
board's is left alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .boards.table import model
from .deadline import Deadline
from .discovery import usb
from .discovery.listed import Loader, Locator, loader_of
from .errors import BenchError, BoardError
from .target import Absent

if TYPE_CHECKING:
    from .boards.table import Model
    from .config import TargetSpec
    from .discovery.usb import UsbPort
    from .virtual.board import VirtualBoard
    from .virtual.bus import VirtualPort

_LOOK_S = 0.05
# A device that has been told to go is off the bus in milliseconds.
_GONE_S = 1.0


def way_out(spec: TargetSpec, virtual: VirtualBoard | None, find: Locator) -> WayOut | Absent:
    """:param virtual: the board of the embedded bench, where it is one
    :param find: has seen where the board was plugged in, if it has run
    :returns: Absent: nothing here leads this board out
    """
    from .virtual.board import bootloader_serial_of

    row = model(spec.model or "")
    if virtual:
        number = bootloader_serial_of(row, virtual.unique_id)
        return WayOut(spec.name, row, lambda: _virtual_loader(number))
    if "://" in (spec.port or ""):
        return Absent("its USB is at the computer that serves its port")
    if not row.bootloader_ids:
        return Absent(f"an {row.title} does not show in which mode it is")
    if row.flash_method not in _WAYS:
        return Absent(f"nothing here leads an {row.title} out of its loader")
    return WayOut(spec.name, row, lambda: loader_of(spec, usb.attached(), find.location))


@dataclass(frozen=True)
class WayOut:
    """:class:`hil.recovery.Bootloader` of one board.

    :ivar look: what is, or may be, the board in its bootloader now; None: it shows no such thing
    """

    target: str
    model: Model
    look: Callable[[], Loader | None]

    def seen(self) -> str | None:
        """``is in its bootloader (USB 1-1.2, 37c5:9206)``; None: it does not show up there.

        :raises BenchError: what shows up may be another board
        """
        loader = self._loader()
        return str(loader) if loader else None

    def leave(self, deadline: Deadline) -> float:
        """Make it start MicroPython, unless it does so by itself: right after a reset it is in its
        window.

        :returns: seconds until its port is there, at most
        :raises BoardError: it does not leave
        :raises BenchError: what shows up may be another board
        """
        row, loader = self.model, self._loader()
        # A chip's ROM has no window, and that of a virtual board is not worth the wait.
        passing = not loader or (loader.port.mode == "bootloader" and not loader.port.virtual)
        window = row.bootloader_on_reset_s if passing else 0.0
        if loader := self._stays(window, deadline):
            wrong = self._way(loader)(row, loader.port, deadline)
            if self._stays(_GONE_S + window, deadline):
                raise BoardError(
                    f"it does not leave its bootloader{wrong and f': {wrong}'}",
                    target=self.target,
                    hint=f"'hil doctor {self.target}' tells whether this user may open it",
                )
        return window + row.back_from_bootloader_s

    def _stays(self, seconds: float, deadline: Deadline) -> Loader | None:
        """The board in its bootloader, if it is still there after this time."""
        end, never = deadline.sooner(seconds), threading.Event()
        while (loader := self._loader()) and not end.expired:
            never.wait(min(_LOOK_S, end.remaining()))
        return loader

    def _loader(self) -> Loader | None:
        loader = self.look()
        if loader and not loader.certain:
            raise BenchError(
                f"it {loader}, or another board of its model is",
                target=self.target,
                hint="list it by 'port: /dev/serial/by-path/…', which tells where it is plugged in",
            )
        return loader

    def _way(self, loader: Loader) -> Callable[[Model, UsbPort, Deadline], str]:
        if loader.port.virtual:
            return _leave_virtual
        if loader.port.mode == "bootloader":
            return _WAYS[self.model.flash_method]
        raise BoardError(
            f"the board {loader}: nothing here leads out of that",
            target=self.target,
            hint="its reset button or its power does, if it has firmware to start",
        )


# --- of each method: asks, and returns why it does not work, as far as that is told ---


def _leave_openmv(row: Model, port: UsbPort, deadline: Deadline) -> str:
    from .flash import openmv_dfu

    return openmv_dfu.leave(row, port, deadline)


def _leave_arduino(row: Model, port: UsbPort, deadline: Deadline) -> str:
    from .flash import arduino_dfu

    return arduino_dfu.leave(row, port, deadline)


def _leave_imx(row: Model, port: UsbPort, deadline: Deadline) -> str:
    from .flash import imx

    return imx.leave(row, port, deadline)


_WAYS: dict[str | None, Callable[[Model, UsbPort, Deadline], str]] = {
    "openmv-dfu": _leave_openmv,
    "arduino-dfu": _leave_arduino,
    "imx": _leave_imx,
}


# --- virtual boards ---


def _on_bus(number: str | None) -> VirtualPort | None:
    from .virtual import bus

    found = (record for record in bus.records() if record.serial_number == number)
    return next((record for record in found if record.loader), None)


def _virtual_loader(number: str) -> Loader | None:
    record = _on_bus(number)
    return Loader(usb.virtual_port_of(record), certain=True) if record else None


def _leave_virtual(row: Model, port: UsbPort, deadline: Deadline) -> str:
    from .virtual.bootloader import leave

    record = _on_bus(port.serial_number)
    return leave(record.loader, deadline) if record else "it is gone"
