"""Flashing method ``arduino-dfu``: Arduino's MCUboot, ST's DfuSe with absolute addresses.

Source: docs.openmv.io "production/firmware/flashing". ``:leave`` goes with the last image only, and
takes about 31 s until MicroPython's port is back (measured by OpenMV's bench).
"""

from __future__ import annotations

import re

from ..deadline import Deadline
from . import dfu_util
from .dfu_output import Bootloader
from .dfu_util import is_waiting
from .method import Job, Notes, Progress, Reason, RefusedError, Step, Unsupported

__all__ = ["flash", "is_waiting", "supports"]

# ST UM0424: "@Internal Flash  /0x08000000/01*128Ka,15*128Kg": address, then count*size, unit, type.
_REGION = re.compile(r"/0x([0-9A-Fa-f]{1,8})/([^/]*)")
_SECTORS = re.compile(r"(\d+)\*(\d+)([ BKM])")
_UNIT = {" ": 1, "B": 1, "K": 1024, "M": 1024 * 1024}


def supports(job: Job) -> Unsupported | None:
    """Needs dfu-util, and a model with this bootloader."""
    if job.model.flash_method != "arduino-dfu":
        return Unsupported(
            Reason.NO_METHOD,
            f"an {job.model.title} has no bootloader of Arduino's",
            f"leave 'method' out: its own is {job.model.flash_method}",
        )
    return dfu_util.program_missing()


def flash(job: Job, progress: Progress, deadline: Deadline) -> Notes:
    """See :class:`hil.flash.method.FlashMethod`."""
    loader = dfu_util.find(job, deadline)
    try:
        check_layout(job, loader)
    except RefusedError:
        dfu_util.leave(loader, deadline)
        raise
    for image in job.images:
        partition = job.model.partition(image.partition)
        leave = ":leave" if image is job.images[-1] else ""
        options = ["-a", str(partition.alt), "-s", f"0x{partition.address:08X}{leave}"]
        dfu_util.download(job, loader, image, options, progress, deadline)
    return ()


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


def check_layout(job: Job, loader: Bootloader) -> None:
    """Every image lies inside of the memory that its alternate setting tells to be.

    :raises RefusedError: it does not
    """
    for image in job.images:
        partition = job.model.partition(image.partition)
        name = loader.alts.get(partition.alt) if partition.alt is not None else None
        first = partition.address
        if name is None or first is None or not _inside(first, len(image.content), memory(name)):
            layout = ", ".join(f"{number} {name}" for number, name in sorted(loader.alts.items()))
            raise RefusedError(
                Reason.OTHER_LAYOUT,
                f"{image.partition} must be at {first and f'0x{first:08X}'} of alternate setting"
                f" {partition.alt}, and its bootloader has {layout}",
                target=job.target,
                hint="this bootloader is not the one that the board table knows: flash it with the"
                " vendor's tool",
                step=Step.FIND,
            )


def _inside(first: int, size: int, regions: list[range]) -> bool:
    return any(first in region and first + size <= region.stop for region in regions)
