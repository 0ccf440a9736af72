"""OpenMV RT1062: NXP's second-stage loader, spoken to with spsdk (``blhost``; extra ``hil[imx]``).

Erase the region, in sectors of 4 KiB; write; read back; reset: the everyday way of OpenMV's
documentation ("production/firmware/flashing"), which needs no jumper. What that page has for a
board that is beyond it (boot configuration, the loader itself, e-fuses) is not here, and no
partition that the board table forbids is erased, not even in part.

The work is done by another process, :mod:`.imx_loader`, which is ready before the board is reset.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..boards.model import Model, Partition
from ..deadline import Deadline
from ..errors import BoardError
from .bootloader import BOOTLOADER, ENTER_S
from .image import not_raw
from .method import (
    FlashError,
    Image,
    Job,
    Notes,
    Progress,
    Reason,
    RefusedError,
    Step,
    Unsupported,
    last_lines,
    other_model,
)
from .tool import image_file, run_tool

if TYPE_CHECKING:
    from ..discovery.usb import UsbPort

# The loader that OpenMV's boards carry tells K2.8.0 (read in OpenMV IDE and openmv-ota).
LOADER_VERSION = 0x4B020800
SECTOR = 0x1000

WITHOUT_MICROPYTHON = (
    "without MicroPython it is flashed in its loader, which tells nothing of its board: list it by"
    " where it is plugged in ('port: /dev/serial/by-path/…' and 'unique_id')"
)

_USB = Path("/sys/bus/usb/devices")
_HINT = {
    Step.ENTER: "nothing was written; reset the board and try again",
    Step.FIND: "nothing was written; may this user open the loader's USB device? 'hil doctor "
    "--udev' prints the rules",
    Step.DOWNLOAD: "the loader is intact: flash again; if the board does not start MicroPython, "
    "its loader waits about 1 s after each reset",
    Step.VERIFY: "flash again; if that fails too, the supply is weak or the flash worn out",
    Step.RETURN: "it is written and verified: reset the board by hand",
}


def supports(job: Job) -> Unsupported | None:
    """None, or why not: see :class:`~.method.FlashMethod`."""
    if job.model.flash_method != "imx":
        return other_model(job, f"an {job.model.title} has no loader of NXP's")
    if find_spec("spsdk") is None:
        return Unsupported(Reason.NO_PROGRAM, "spsdk is not installed", "pip install 'hil[imx]'")
    for image in job.images:
        try:
            region(job.model, image)
        except ValueError as error:
            return Unsupported(
                Reason.NEVER_WRITTEN, str(error), "FIRMWARE and ROMFS0 are what may be written"
            )
    return next(filter(None, map(not_raw, job.images)), None)


def waiting(job: Job, deadline: Deadline) -> bytes | None:
    """See :class:`~.method.FlashMethod`: the loader tells nothing of its board, so it is known by
    where it is plugged in. Linux tells that; elsewhere None."""
    if not job.location:
        return None
    try:
        vid, pid = (
            int((_USB / job.location / name).read_text(), 16) for name in ("idVendor", "idProduct")
        )
    except (OSError, ValueError):
        return None
    return job.unique_id if (vid, pid) in job.model.bootloader_ids else None


def region(model: Model, image: Image) -> tuple[int, int]:
    """Where an image goes: address, and bytes to be erased, in whole sectors.

    :raises ValueError: there is no such region, it may not be written, or it is too small
    """
    try:
        row = model.partition(image.partition)
    except KeyError:
        raise ValueError(f"no partition {image.partition} is known") from None
    if row.address is None or row.size is None:
        raise ValueError(f"no address is known for {image.partition}")
    size = -(-len(image.content) // SECTOR) * SECTOR
    if size > row.size:
        raise ValueError(f"{image.partition} holds {row.size} bytes, the image {size} with its pad")
    for other in model.partitions:
        if other.never and _overlap(other, row.address, size):
            raise ValueError(f"{image.partition} is not written: it is {other.never}")
    return row.address, size


def _overlap(row: Partition, address: int, size: int) -> bool:
    if row.address is None:
        return False
    return row.address < address + size and address < row.address + (row.size or 0)


def flash(job: Job, progress: Progress, deadline: Deadline) -> Notes:
    """Reset into the loader, erase, write, read back, reset: see :class:`~.method.FlashMethod`.

    :raises RefusedError: another loader, or another board's; nothing was written
    :raises FlashError: the loader was not caught, or failed
    """
    heard = _Heard(job, progress, deadline)
    with ExitStack() as stack:
        order = {
            "device": loader_device(job.model),
            "version": LOADER_VERSION,
            "claim_s": deadline.sooner(ENTER_S).remaining(),
            "seconds": max(1.0, deadline.remaining()),
            "images": [
                _entry(job.model, image, stack.enter_context(image_file(image)))
                for image in job.images
            ],
        }
        argv = [sys.executable, "-m", "hil.flash.imx_loader", json.dumps(order)]
        ran = run_tool(argv, deadline, on_line=heard.line)
    if heard.done:
        return tuple(
            f"{partition} was not read back: its loader does not give its memory back"
            for partition in heard.unverified
        )
    step, what = heard.failure or (heard.step, "the process that speaks to the loader has ended")
    if ran.status is None:
        what = "it did not end in time"
    if heard.refused:
        hint = "nothing was written; unplug other boards with a chip of NXP's, and repeat"
        raise RefusedError(heard.refused, what, target=job.target, hint=hint, step=step)
    said = "" if heard.failure else "\n".join(heard.words)
    raise FlashError(step, what, target=job.target, said=said, tool="spsdk", hint=_HINT[step])


def leave(model: Model, port: UsbPort, deadline: Deadline) -> str:
    """Reset the board out of its loader. Nothing is erased or written.

    :returns: why it is not reset; empty: it is
    """
    if find_spec("spsdk") is None:
        return "spsdk is not installed: pip install 'hil[imx]'"
    told: list[str] = []
    order = {
        "device": loader_device(model),
        "version": LOADER_VERSION,
        "claim_s": deadline.remaining(),
        "seconds": max(1.0, deadline.remaining()),
        "images": [],
    }
    argv = [sys.executable, "-m", "hil.flash.imx_loader", json.dumps(order)]
    ran = run_tool(argv, deadline, on_line=told.append)
    if ran.status is None:
        return "its loader does not answer in time"
    last: Any = json.loads(told[-1]) if told and told[-1].startswith("{") else {}
    return "" if last.get("event") == "done" else str(last.get("what", last_lines(ran.said)))


def loader_device(model: Model) -> str:
    """The loader, as :mod:`.imx_loader` takes it."""
    vid, pid = model.bootloader_ids[0]
    return f"usb:{vid:#06x}:{pid:#06x}"


def _entry(model: Model, image: Image, file: Path) -> dict[str, object]:
    address, size = region(model, image)
    return {
        "partition": image.partition,
        "address": address,
        "erase": size,
        "file": str(file),
    }


class _Heard:
    """What the process has told so far; it is answered by resetting the board."""

    def __init__(self, job: Job, progress: Progress, deadline: Deadline) -> None:
        self._job, self._progress, self._deadline = job, progress, deadline
        self.step = Step.ENTER
        self.done = False
        self.unverified: list[str] = []
        self.words: list[str] = []
        self.failure: tuple[Step, str] | None = None
        self.refused: Reason | None = None

    def line(self, line: str) -> None:
        try:
            told: Any = json.loads(line)
            event = told["event"]
        except (ValueError, TypeError, KeyError):
            self.words.append(line)  # spsdk's own, for the message
            return
        if event == "ready":
            self._enter(told["waiting"])
        elif event == "claimed":
            self.step = Step.DOWNLOAD
        elif event == "progress":
            self._progress(told["partition"], told["done"], told["total"])
        elif event == "unverified":
            self.unverified.append(told["partition"])
        elif event == "failed":
            self.failure = (Step[told["step"]], told["what"])
            self.refused = Reason[told["refused"]] if told.get("refused") else None
        elif event == "done":
            self.done = True

    def _enter(self, waiting: int) -> None:
        """The process looks for the loader from now on: reset."""
        self.step = Step.FIND
        if self._job.in_bootloader:
            self._job.link.close()
            return
        if waiting:
            raise RefusedError(
                Reason.AMBIGUOUS,
                "the loader of another board is waiting already",
                target=self._job.target,
                hint="reset or unplug that one",
                step=Step.ENTER,
            )
        try:
            self._job.link.send_away(BOOTLOADER, self._deadline)
        except BoardError as error:
            raise FlashError(
                Step.ENTER, error.message, target=self._job.target, hint=_HINT[Step.ENTER]
            ) from error
        finally:
            self._job.link.close()
