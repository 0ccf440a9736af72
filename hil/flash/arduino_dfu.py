"""Flashing method ``arduino-dfu``: Arduino's MCUboot, ST's DfuSe with absolute addresses.

Source: docs.openmv.io "production/firmware/flashing". ``:leave`` goes with the last image only, and
takes about 31 s until MicroPython's port is back (measured by OpenMV's bench).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..boards.model import Partition
from ..deadline import Deadline
from . import dfu_util
from .dfu_util import WITHOUT_MICROPYTHON, waiting
from .method import Job, Notes, Progress, Unsupported

if TYPE_CHECKING:
    from ..boards.model import Model
    from ..discovery.usb import UsbPort

__all__ = ["WITHOUT_MICROPYTHON", "flash", "leave", "supports", "waiting"]

# ST UM0424: "@Internal Flash  /0x08000000/01*128Ka,15*128Kg": address, then count*size, unit, type.
_REGION = re.compile(r"/0x([0-9A-Fa-f]{1,8})/([^/]*)")
_SECTORS = re.compile(r"(\d+)\*(\d+)([ BKM])")
_UNIT = {" ": 1, "B": 1, "K": 1024, "M": 1024 * 1024}


def supports(job: Job) -> Unsupported | None:
    """See :class:`hil.flash.method.FlashMethod`."""
    return dfu_util.supports(job, _LAYOUT)


def flash(job: Job, progress: Progress, deadline: Deadline) -> Notes:
    """See :class:`hil.flash.method.FlashMethod`."""
    return dfu_util.flash(job, _LAYOUT, progress, deadline)


def leave(model: Model, port: UsbPort, deadline: Deadline) -> str:
    """See :func:`hil.flash.dfu_util.leave`."""
    return dfu_util.leave(dfu_util.seen_at(port), _leaving(model), deadline)


def memory(name: str) -> list[range]:
    """The addresses that a DfuSe alternate setting tells in its name; empty: it tells none."""
    return [
        range(
            start := int(region[1], 16),
            start
            + sum(int(n) * int(size) * _UNIT[u] for n, size, u in _SECTORS.findall(region[2])),
        )
        for region in _REGION.finditer(name)
    ]


def holds(partition: Partition, size: int, alts: Mapping[int, str | None]) -> bool:
    """Whether so many bytes lie inside of the memory that the alternate setting tells to be."""
    name = alts.get(partition.alt) if partition.alt is not None else None
    first = partition.address
    if name is None or first is None:
        return False
    return any(first in region and first + size <= region.stop for region in memory(name))


def _place(partition: Partition) -> str:
    return f"at 0x{partition.address or 0:08X} of alternate setting {partition.alt}"


def _options(partition: Partition, last: bool) -> list[str]:
    return ["-a", str(partition.alt), "-s", f"0x{partition.address:08X}{':leave' if last else ''}"]


def _leaving(model: Model) -> list[str]:
    """As at the end of a download, without one: DETACH makes ST's DFU class unplug itself and come
    back (usbd_dfu.c, DFU_Detach), a download of no bytes makes it leave (DFU_Leave)."""
    firmware = model.partition("FIRMWARE")
    return ["-a", str(firmware.alt), "-s", f"0x{firmware.address:08X}:leave"]


_LAYOUT = dfu_util.Layout("arduino-dfu", "Arduino's", holds, _place, _options, _leaving)
