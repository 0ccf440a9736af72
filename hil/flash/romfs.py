"""A ROMFS partition, written by the running MicroPython itself: mpremote's ``romfs deploy``.

No bootloader: the board stays in MicroPython, whose firmware must offer ``vfs.rom_ioctl``. What
was written is read back on the board, hashed, and compared. Then the board is reset: modules may
have been running out of the partition that was replaced.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from ..deadline import Deadline
from ..errors import BenchError, BoardError
from ..link.board import RESET
from ..link.opening import holders
from ..link.repl import ReplError
from .method import FlashError, Image, Job, Notes, Progress, Reason, RefusedError, Step, Unsupported
from .tool import Ran, image_file, run_tool

# mpremote/romfs.py: what an image begins with.
_MAGIC = b"\xd2\xcd1"
_PARTITION = re.compile(r"ROMFS(\d+)")
_WRITING = re.compile(r"Writing at offset (\d+)")

# vfs.rom_ioctl as mpremote uses it (commands.py, do_romfs): 1 counts the partitions, 2 gives one: a
# negative number, a block device, or memory. A block device answers ioctl 4 and 5 with its blocks.
_QUERY = """\
import vfs as _v
def _q(n):
 if not hasattr(_v,'rom_ioctl'):return -1
 if n>=_v.rom_ioctl(1):return -2
 d=_v.rom_ioctl(2,n)
 if isinstance(d,int):return -2
 return d.ioctl(4,0)*d.ioctl(5,0) if hasattr(d,'ioctl') else len(d)
"""
# In pieces: a board has no memory for a whole image.
_HASH = """\
import vfs as _v,hashlib as _h,binascii as _b
def _s(n,z):
 d=_v.rom_ioctl(2,n);h=_h.sha256();a=0
 k=d.ioctl(5,0) if hasattr(d,'ioctl') else 4096
 u=bytearray(k)
 while a<z:
  m=min(k,z-a)
  if hasattr(d,'ioctl'):
   d.readblocks(a//k,u);h.update(memoryview(u)[:m])
  else:h.update(memoryview(d)[a:a+m])
  a+=m
 return _b.hexlify(h.digest()).decode()
"""
WITHOUT_MICROPYTHON = "MicroPython itself writes its ROMFS: flash its firmware first"
_AGAIN = "firmware and files are untouched: deploy again; until then the board may lack its modules"


@dataclass(frozen=True)
class _Partition:
    """:ivar size: bytes"""

    number: int
    size: int


def supports(job: Job) -> Unsupported | None:
    """None, or why not: see :class:`~.method.FlashMethod`.

    Whether the firmware offers it, only the board can tell: :func:`flash` asks before it writes.
    """
    if not job.link.device and not job.usb_serial:  # which is what it is found by
        return Unsupported(
            Reason.NO_PORT, "it has no serial port", "'usb_serial:' or 'port:' in devices.yaml"
        )
    if job.in_bootloader:
        return Unsupported(
            Reason.NO_METHOD,
            "ROMFS is written by MicroPython, and the board is in its bootloader",
            "reset it",
        )
    for image in job.images:
        if not _PARTITION.fullmatch(image.partition):
            return Unsupported(
                Reason.UNKNOWN_PARTITION,
                f"{image.partition} is no ROMFS partition",
                "'images: {ROMFS0: FILE}' in devices.yaml; firmware goes by another method",
            )
        if not image.content.startswith(_MAGIC):
            return Unsupported(
                Reason.NOT_AN_IMAGE,
                f"{image.path or image.partition} is no ROMFS image",
                "'mpremote romfs build FOLDER' makes one",
            )
    return None


def waiting(job: Job, deadline: Deadline) -> bytes | None:
    """None: there is no bootloader in this."""
    return None


def flash(job: Job, progress: Progress, deadline: Deadline) -> Notes:
    """Deploy, read back, reset: see :class:`~.method.FlashMethod`.

    :raises RefusedError: the firmware has no such partition; nothing was written
    :raises FlashError: mpremote failed, or the partition holds something else
    """
    partitions = [_ask(job, image, deadline) for image in job.images]
    for image, partition in zip(job.images, partitions, strict=True):
        _deploy(job, image, partition, progress, deadline)
        _verify(job, image, partition, deadline)
    try:
        job.link.send_away(RESET, deadline)
    except BoardError as error:
        raise FlashError(
            Step.RETURN, error.message, target=job.target, hint="all is written: reset it by hand"
        ) from error
    return ()


def _ask(job: Job, image: Image, deadline: Deadline) -> _Partition:
    number = int(image.partition.removeprefix("ROMFS"))
    with job.link.repl(deadline) as repl:
        repl.exec(_QUERY, deadline)
        size = repl.eval(f"_q({number})", deadline)
    if size == -1:
        why = "its firmware cannot write ROMFS: it has no vfs.rom_ioctl"
        raise _refused(job, Reason.NO_METHOD, why, "write the partition by the bootloader")
    if size < 0:
        why = f"its firmware knows no partition {image.partition}"
        raise _refused(job, Reason.UNKNOWN_PARTITION, why, "'mpremote romfs query' lists them")
    if len(image.content) > size:
        why = f"{image.partition} holds {size} bytes, the image has {len(image.content)}"
        raise _refused(job, Reason.TOO_LARGE, why, "put less into it")
    return _Partition(number, size)


def _refused(job: Job, reason: Reason, why: str, hint: str) -> RefusedError:
    return RefusedError(reason, why, target=job.target, hint=hint)


def _deploy(
    job: Job, image: Image, partition: _Partition, progress: Progress, deadline: Deadline
) -> None:
    total = len(image.content)

    def hear(line: str) -> None:
        if match := _WRITING.search(line):
            progress(image.partition, min(int(match[1]), total), total)

    job.link.close()  # mpremote opens the port itself
    with image_file(image, suffix=".romfs") as file:
        # It begins with a soft reset: nothing runs out of the partition that it erases.
        ran = run_tool(
            [
                *(sys.executable, "-m", "mpremote", "connect", job.link.device),
                *("romfs", "--partition", str(partition.number), "deploy", str(file)),
            ],
            deadline,
            on_line=hear,
            env={"PYTHONUNBUFFERED": "1"},
        )
    if ran.status != 0:
        raise _failed(job, image, ran)
    progress(image.partition, total, total)


def _failed(job: Job, image: Image, ran: Ran) -> BenchError | FlashError:
    if "failed to access" in ran.said:
        who = ", ".join(f"pid {pid} ({command})" for pid, command in holders(job.link.device))
        return BenchError(
            f"mpremote cannot open {job.link.device}",
            target=job.target,
            hint=f"it is held by {who}: end it" if who else "'hil doctor' tells who holds it",
        )
    how = "did not end in time" if ran.status is None else "failed"
    return FlashError(
        Step.DOWNLOAD,
        f"deploying {image.partition} {how}",
        target=job.target,
        said=ran.said,
        tool="mpremote",
        hint=_AGAIN,
    )


def _verify(job: Job, image: Image, partition: _Partition, deadline: Deadline) -> None:
    try:
        with job.link.repl(deadline) as repl:
            repl.exec(_HASH, deadline)
            held = repl.eval(f"_s({partition.number},{len(image.content)})", deadline)
    except ReplError as error:
        held = error.message
    if held != image.sha256:
        raise FlashError(
            Step.VERIFY,
            f"{image.partition} does not hold what was written: {held}, not {image.sha256}",
            target=job.target,
            hint=_AGAIN,
        )
