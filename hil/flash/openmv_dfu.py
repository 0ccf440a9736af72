"""Flashing method ``openmv-dfu``: OpenMV's own bootloader, one alternate setting per partition.

Source: docs.openmv.io "production/firmware/flashing". Addressed by the setting's name, and only
where the bootloader numbers its settings as the board table does: the list of what is never written
goes by name.
"""

from __future__ import annotations

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


def supports(job: Job) -> Unsupported | None:
    """See :class:`hil.flash.method.FlashMethod`."""
    return dfu_util.supports(job, _LAYOUT)


def flash(job: Job, progress: Progress, deadline: Deadline) -> Notes:
    """See :class:`hil.flash.method.FlashMethod`."""
    return dfu_util.flash(job, _LAYOUT, progress, deadline)


def leave(model: Model, port: UsbPort, deadline: Deadline) -> str:
    """See :func:`hil.flash.dfu_util.leave`."""
    return dfu_util.leave(dfu_util.seen_at(port), _leaving(model), deadline)


def holds(partition: Partition, size: int, alts: Mapping[int, str | None]) -> bool:
    """Whether the partition has the number that the board table gives it, and only that one."""
    names = list(alts.values())
    alt = partition.alt
    return alt is not None and alts.get(alt) == partition.name and names.count(alts[alt]) == 1


def _place(partition: Partition) -> str:
    return f"alternate setting {partition.alt}"


def _options(partition: Partition, last: bool) -> list[str]:
    # A board that is reset before the last image would start half a firmware.
    return ["-a", partition.name, *(["--reset"] if last else [])]


def _leaving(_: Model) -> list[str]:
    # DFU_DETACH: the bootloader jumps to the firmware (boot/src/common/dfu.c, tud_dfu_detach_cb;
    # and main.c), without a reset and so without its window.
    return ["-a", "0", "-e"]


_LAYOUT = dfu_util.Layout("openmv-dfu", "OpenMV's", holds, _place, _options, _leaving)
