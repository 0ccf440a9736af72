"""Flashing method ``openmv-dfu``: OpenMV's own bootloader, one alternate setting per partition.

Source: docs.openmv.io "production/firmware/flashing". Addressed by the setting's name, and only
where the bootloader numbers its settings as the board table does: the list of what is never written
goes by name.
"""

from __future__ import annotations

from ..deadline import Deadline
from . import dfu_util
from .dfu_output import Bootloader
from .dfu_util import is_waiting
from .method import Job, Notes, Progress, Reason, RefusedError, Step, Unsupported

__all__ = ["flash", "is_waiting", "supports"]


def supports(job: Job) -> Unsupported | None:
    """Needs dfu-util, and a model with this bootloader."""
    if job.model.flash_method != "openmv-dfu":
        return Unsupported(
            Reason.NO_METHOD,
            f"an {job.model.title} has no bootloader of OpenMV's",
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
        last = image is job.images[-1]
        # A board that is reset before the last image would start half a firmware.
        options = ["-a", image.partition, *(["--reset"] if last else [])]
        dfu_util.download(job, loader, image, options, progress, deadline)
    return ()


def check_layout(job: Job, loader: Bootloader) -> None:
    """Every partition of the job has the number that the board table gives it, and only that one.

    :raises RefusedError: it is not so
    """
    names = list(loader.alts.values())
    for image in job.images:
        alt = job.model.partition(image.partition).alt
        if (
            alt is None
            or loader.alts.get(alt) != image.partition
            or names.count(image.partition) != 1
        ):
            layout = ", ".join(f"{number} {name}" for number, name in sorted(loader.alts.items()))
            raise RefusedError(
                Reason.OTHER_LAYOUT,
                f"{image.partition} must be alternate setting {alt}, and the bootloader has"
                f" {layout}",
                target=job.target,
                hint="this bootloader is not the one that the board table knows: flash it with the"
                " vendor's tool",
                step=Step.FIND,
            )
