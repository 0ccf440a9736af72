"""UF2: a loader that shows up as a drive, and takes a file that is copied there.

The drive must be mounted: the bench does not mount what it has not been told to. It vanishes when
the loader has all blocks and starts what it has got; one that stays has not taken them.

No model of the board table has such a loader so far: the method serves those that get one
(:attr:`~hil.boards.model.Model.uf2_family`).
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from ..deadline import Deadline
from .bootloader import enter
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
    other_model,
)
from .uf2_file import is_uf2, parse

WITHOUT_MICROPYTHON = (
    "without MicroPython it is flashed by its loader's drive, which tells nothing of its board:"
    " list it by where it is plugged in ('port: /dev/serial/by-path/…' and 'unique_id')"
)

_MOUNTS = Path("/proc/self/mounts")
_BLOCK_DEVICES = Path("/sys/class/block")
_VOLUMES = Path("/Volumes")  # macOS
_FAT = ("vfat", "msdos", "fat")
_INFO = "INFO_UF2.TXT"
_BOARD = re.compile(r"^Board-ID:\s*(\S+)\s*$", re.MULTILINE | re.IGNORECASE)
# So much at a time, each on the drive before the next, for the progress to be true.
_PIECE = 64 * 512
_LOOK_S = 0.05


@dataclass(frozen=True)
class Drive:
    """A mounted drive of a UF2 loader.

    :ivar board: its ``Board-ID``; empty if the file tells none
    :ivar device: ``sda1``; None where the system does not tell
    """

    path: Path
    board: str
    device: str | None = None

    def is_at(self, location: str) -> bool:
        """Whether it is plugged in there: ``1-2.3``. False where the system does not tell."""
        if not self.device:
            return False
        return location in (_BLOCK_DEVICES / self.device).resolve().parts


def supports(job: Job) -> Unsupported | None:
    """None, or why not: see :class:`~.method.FlashMethod`."""
    if job.model.uf2_family is None:
        return other_model(job, f"the loader of the {job.model.title} takes no UF2 files")
    if len(job.images) != 1:
        return Unsupported(
            Reason.INCOMPLETE,
            f"{len(job.images)} images are given, and the loader starts the first at once",
            "give one UF2 file with all that is to be written",
        )
    return _wrong_image(job, job.images[0])


def _wrong_image(job: Job, image: Image) -> Unsupported | None:
    name = image.path or image.partition
    try:
        families = parse(image.content)
    except ValueError as error:
        what = "is a damaged UF2 file" if is_uf2(image.content) else "is no UF2 file"
        return Unsupported(
            Reason.NOT_AN_IMAGE, f"{name} {what}: {error}", "build or download it again"
        )
    if job.model.uf2_family not in families:
        found = ", ".join(f"{family:#010x}" for family in families) or "none"
        return Unsupported(
            Reason.OTHER_MODEL,
            f"{name} is for other chips: family {found}, not {job.model.uf2_family:#010x}",
            f"MicroPython's {job.model.target}-….uf2",
        )
    return None


def waiting(job: Job, deadline: Deadline) -> bytes | None:
    """See :class:`~.method.FlashMethod`: its drive is mounted, and plugged in where this board is,
    which is all that tells it from others."""
    return job.unique_id if job.location and _of(job) else None


def flash(job: Job, progress: Progress, deadline: Deadline) -> Notes:
    """Copy, and wait until the drive has vanished: see :class:`~.method.FlashMethod`.

    :raises RefusedError: several drives may be this board's; nothing was written
    :raises FlashError: no drive is mounted, the copy failed, or the loader has not taken it
    """
    drive = enter(job, lambda _: _one(job), deadline)
    job.link.close()
    (image,) = job.images
    _copy(job, drive, image, progress, deadline)
    never = threading.Event()
    while _is_there(drive):
        if deadline.expired:
            raise FlashError(
                Step.RETURN,
                f"the drive {drive.path} is still there: the loader has not taken {image.path}",
                target=job.target,
                hint="is the file made for this very board? The loader is intact: flash again",
            )
        never.wait(min(_LOOK_S, deadline.remaining()))
    return ()


def drives() -> list[Drive]:
    """The mounted drives of UF2 loaders.

    Only FAT is looked at: asking a network's file system that is gone would hang.
    """
    found = []
    for path, device in _mounted():
        with contextlib.suppress(OSError):
            text = (path / _INFO).read_bytes()[:4096].decode(errors="replace")
            match = _BOARD.search(text)
            found.append(Drive(path, match[1] if match else "", device))
    return found


def _mounted() -> list[tuple[Path, str | None]]:
    if sys.platform == "darwin":
        return [(path, None) for path in _VOLUMES.glob("*")]
    try:
        table = _MOUNTS.read_text(errors="replace")
    except OSError:
        return []
    rows = [row.split() for row in table.splitlines()]
    return [
        (Path(_unescaped(row[1])), row[0].rpartition("/")[2])
        for row in rows
        if len(row) >= 3 and row[2] in _FAT
    ]


def _unescaped(word: str) -> str:
    """proc(5): space, tab, newline and backslash are written in octal."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), word)


def _of(job: Job) -> list[Drive]:
    return [
        drive
        for drive in drives()
        if drive.board in job.model.uf2_boards and (not job.location or drive.is_at(job.location))
    ]


def _one(job: Job) -> Drive | None:
    found = _of(job)
    if len(found) > 1:
        raise RefusedError(
            Reason.AMBIGUOUS,
            f"several drives may be this board's: {', '.join(str(one.path) for one in found)}",
            target=job.target,
            hint="eject all but one",
            step=Step.FIND,
        )
    return found[0] if found else None


def _is_there(drive: Drive) -> bool:
    return any((one.path, one.device) == (drive.path, drive.device) for one in drives())


def _copy(job: Job, drive: Drive, image: Image, progress: Progress, deadline: Deadline) -> None:
    """In a thread: the system lets nobody out of a write to a drive that hangs."""
    ended = threading.Event()
    failure: list[OSError] = []
    written = 0

    def work() -> None:
        nonlocal written
        try:
            file = os.open(drive.path / "HIL.UF2", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            try:
                rest = memoryview(image.content)
                while rest and not deadline.expired:
                    rest = rest[os.write(file, rest[:_PIECE]) :]
                    written = len(image.content) - len(rest)
                    os.fsync(file)
                    if rest:
                        progress(image.partition, written, len(image.content))
            finally:
                os.close(file)
        except OSError as error:
            failure.append(error)
        finally:
            ended.set()

    threading.Thread(target=work, name="hil-uf2", daemon=True).start()
    ended.wait(deadline.remaining())
    if written < len(image.content):
        why = failure[0].strerror or failure[0] if failure else "the drive takes no more"
        raise FlashError(
            Step.DOWNLOAD,
            f"{written} of {len(image.content)} bytes were copied to {drive.path}: {why}",
            target=job.target,
            hint="the loader is intact: reset the board into it, and flash again",
        )
    progress(image.partition, written, written)
    # The loader starts the image at the last block: an error of that write is no failure.
    if failure and _is_there(drive):
        raise FlashError(
            Step.DOWNLOAD,
            f"the end of the copy failed: {failure[0].strerror or failure[0]}",
            target=job.target,
            hint="the loader is intact: flash again",
        )
