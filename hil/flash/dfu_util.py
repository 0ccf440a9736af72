"""dfu-util at work: the right bootloader out of several, and the images written to it.

What :mod:`.openmv_dfu` and :mod:`.arduino_dfu` have in common; a :class:`Layout` is what they have
not.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..boards.model import Model, Partition
from ..boards.table import (
    bootloader_serial_number_of,
    serial_number_matches,
    unique_id_of_bootloader,
)
from ..deadline import Deadline
from . import bootloader
from .dfu_output import (
    BEGUN,
    FORBIDDEN,
    UNREADABLE,
    VANISHED,
    Bootloader,
    complaint,
    downloaded,
    parse_listing,
)
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
from .tool import find_program, image_file, run_tool

if TYPE_CHECKING:
    from ..discovery.usb import UsbPort

PROGRAM = "dfu-util"
WITHOUT_MICROPYTHON = (
    "without MicroPython it is flashed in its bootloader: bring it there by hand (a reset; on an"
    " Arduino two, quickly) while 'hil flash' looks for it"
)

DESCRIPTOR_REST_S = 10.0
"""Seconds of rest for a bootloader whose strings cannot be read yet: measured by OpenMV's bench
with a Portenta right after the 1200-baud touch (exit status 74)."""

# It lists what it sees in 30 ms; a board that is just changing its mode can hang it for 5 s.
_LISTING_S = 15.0
_LEAVING_S = 10.0
_BAR_CHARS = 200  # the last progress bar is among these


@dataclass(frozen=True)
class Layout:
    """A kind of bootloader.

    :ivar method: the flashing method's name
    :ivar whose: ``OpenMV's``
    :ivar holds: whether a partition, with so many bytes, lies where the board table has it
    :ivar place: where the board table has it, in words
    :ivar options: dfu-util's, to write it; true: it is the last one
    :ivar leaving: dfu-util's, to have MicroPython started without writing anything
    """

    method: str
    whose: str
    holds: Callable[[Partition, int, Mapping[int, str | None]], bool]
    place: Callable[[Partition], str]
    options: Callable[[Partition, bool], list[str]]
    leaving: Callable[[Model], list[str]]


def supports(job: Job, layout: Layout) -> Unsupported | None:
    """Needs dfu-util, a model with this bootloader, and images that can be written as they are."""
    if job.model.flash_method != layout.method:
        return other_model(job, f"an {job.model.title} has no bootloader of {layout.whose}")
    return program_missing() or next(filter(None, map(not_raw, job.images)), None)


def flash(job: Job, layout: Layout, progress: Progress, deadline: Deadline) -> Notes:
    """See :class:`hil.flash.method.FlashMethod`."""
    loader = find(job, deadline)
    images = [(image, job.model.partition(image.partition)) for image in job.images]
    for image, partition in images:
        if not layout.holds(partition, len(image.content), loader.alts):
            leave(loader, layout.leaving(job.model), deadline)
            has = ", ".join(f"{number} {name}" for number, name in sorted(loader.alts.items()))
            raise RefusedError(
                Reason.OTHER_LAYOUT,
                f"{image.partition} must be {layout.place(partition)}, and the bootloader has"
                f" {has}",
                target=job.target,
                hint="this bootloader is not the one that the board table knows: flash it with the"
                " vendor's tool",
                step=Step.FIND,
            )
    for image, partition in images:
        options = layout.options(partition, image is job.images[-1])
        download(job, loader, image, options, progress, deadline)
    return ()


class Finder:
    """Looks for this job's bootloader: by its serial number, from which the unique id follows; for
    a model of which that is not known, by the USB path. The run mode's serial number is another
    one, and never looked for.

    :ivar forbidden: a bootloader was there that may not be opened
    """

    def __init__(self, job: Job) -> None:
        self._job = job
        self._serial = (
            bootloader_serial_number_of(job.model, job.unique_id) if job.unique_id else None
        )
        self._rest: Deadline | None = None
        self.forbidden = False

    @property
    def tells(self) -> bool:
        """Whether there is anything to know it by."""
        return self._by_serial or self._job.location is not None

    @property
    def _by_serial(self) -> bool:
        known = self._job.model.bootloader_serial_rule != "unknown"
        return known and bool(self._job.unique_id or self._job.usb_serial)

    def _is_mine(self, one: Bootloader) -> bool:
        job = self._job
        if self._serial is not None:
            return (one.serial_number or "").lower() == self._serial.lower()
        unique_id = unique_id_of_bootloader(job.model, one.serial_number or "")
        return unique_id is not None and serial_number_matches(
            job.model, unique_id, job.usb_serial or ""
        )

    def __call__(self, deadline: Deadline) -> Bootloader | None:
        """:raises RefusedError: several could be meant, or another board is where this one was"""
        if self._rest and not self._rest.expired:
            return None
        ids = [f",{vid:04x}:{pid:04x}" for vid, pid in self._job.model.bootloader_ids]
        seen: list[Bootloader] = []
        for one in ids:
            said = run_tool([_program(), "-l", "-d", one], deadline.sooner(_LISTING_S)).said
            self.forbidden = self.forbidden or bool(FORBIDDEN.search(said))
            seen += parse_listing(said)
        mine = self.pick(seen)
        if mine is None and not all(one.readable for one in seen):
            self._rest = Deadline.after(DESCRIPTOR_REST_S)
        return mine

    def pick(self, seen: Iterable[Bootloader]) -> Bootloader | None:
        """The one among these; None while it is not there or not readable yet."""
        job, readable = self._job, [one for one in seen if one.readable]
        there = [one for one in readable if job.location and one.path == job.location]
        mine = list(filter(self._is_mine, readable)) if self._by_serial else there
        if not mine and there:
            must = self._serial or f"that of the USB serial number {job.usb_serial}"
            raise self._refused(
                Reason.OTHER_BOARD,
                f"the bootloader at {job.location} has the serial number"
                f" {there[0].serial_number!a}, this board's must be {must}",
                "is another board plugged in there now? 'hil list' shows what is attached",
            )
        if len(mine) > 1:
            raise self._refused(
                Reason.AMBIGUOUS,
                f"{len(mine)} bootloaders could be meant: {', '.join(map(str, mine))}",
                "unplug all but one of them",
            )
        return mine[0] if mine else None

    def _refused(self, reason: Reason, why: str, hint: str) -> RefusedError:
        return RefusedError(reason, why, target=self._job.target, hint=hint, step=Step.FIND)


def find(job: Job, deadline: Deadline) -> Bootloader:
    """Bring the board into its bootloader, if it is not there, and find it on USB.

    :raises RefusedError: the right one cannot be told, or must not be opened
    :raises FlashError: it does not get there
    """
    finder = Finder(job)
    if not finder.tells:  # before it is sent there, from where nobody could call it back
        raise RefusedError(
            Reason.AMBIGUOUS,
            f"nothing tells which bootloader is this {job.model.title}: its serial number there is"
            " not known, nor the USB port that it is plugged in",
            target=job.target,
            hint="list it by 'usb_serial', and repeat while MicroPython runs on it",
        )
    try:
        return bootloader.enter(job, finder, deadline)
    except FlashError as error:
        if finder.forbidden:
            raise RefusedError(
                Reason.NOT_PERMITTED,
                "the board is in its bootloader, and this user may not open that USB device",
                target=job.target,
                hint="'hil doctor --udev' prints the udev rules that give the permission; until"
                " then its reset button starts MicroPython again",
                step=Step.FIND,
            ) from error
        raise


# --- what it is told -----------------------------------------------------------------------------


def _can_be_sent(job: Job) -> bool:
    """Whether there is a way into the bootloader without MicroPython: its power, or a touch of the
    port that shows its own serial number."""
    if not job.may_enter:
        return False
    touched = "1200-baud touch" in job.model.bootloader_entries
    return job.power is not None or bool(touched and job.usb_serial and job.link.device)


def program_missing() -> Unsupported | None:
    """None, if dfu-util is installed."""
    if find_program(PROGRAM):
        return None
    return Unsupported(
        Reason.NO_PROGRAM,
        f"{PROGRAM} is not installed",
        "install it (Debian: apt-get install dfu-util; macOS: brew install dfu-util)",
    )


def waiting(job: Job, deadline: Deadline) -> bytes | None:
    """See :class:`hil.flash.method.FlashMethod`: told by the bootloader's serial number, or by the
    place where it is plugged in. Where its power or a touch can bring it there, they do."""
    finder = Finder(job)
    if not finder.tells:
        return None
    # One that has just been reset shows up for a moment, and is flashed in that.
    loader = bootloader.wait_for(finder, deadline.sooner(bootloader.WAITING_S))
    if loader is None and _can_be_sent(job):
        loader = bootloader.enter(job, finder, deadline)
    if loader is None:
        return None
    return unique_id_of_bootloader(job.model, loader.serial_number or "") or job.unique_id


def download(
    job: Job,
    loader: Bootloader,
    image: Image,
    options: Sequence[str],
    progress: Progress,
    deadline: Deadline,
) -> None:
    """Write one image, and believe only what the output proves.

    :param options: after the selection of the device: ``-a NAME`` and what the method needs
    :raises FlashError: what went wrong, with dfu-util's last lines
    """
    size = _payload(image.content)
    progress(image.partition, 0, size)

    def on_output(said: str) -> None:
        if done := downloaded(said[-_BAR_CHARS:]):
            progress(image.partition, done, size)

    with image_file(image) as file:
        argv = [_program(), *_selection(loader), *options, "-D", str(file)]
        ran = run_tool(argv, deadline, on_output)
        if UNREADABLE.search(ran.said) and not BEGUN.search(ran.said) and not ran.timed_out:
            threading.Event().wait(min(DESCRIPTOR_REST_S, deadline.remaining()))
            ran = run_tool(argv, deadline, on_output)
    wrong = complaint(ran, size)
    if not wrong:
        return
    written = downloaded(ran.said) == size
    cable = "check its cable and hub; " if VANISHED in wrong else ""
    raise FlashError(
        Step.VERIFY if written else Step.DOWNLOAD,
        f"{image.partition}: {wrong}",
        target=job.target,
        said=ran.said,
        tool=f"{PROGRAM} (exit status {ran.status})" if not ran.timed_out else PROGRAM,
        hint=f"{cable}it is most likely still in its bootloader: repeat 'hil flash {job.target}';"
        " if it is not found there, press its reset button (twice on an Arduino) and repeat",
    )


def leave(loader: Bootloader, options: Sequence[str], deadline: Deadline) -> str:
    """Ask the bootloader to start MicroPython without having written anything. Whether it does
    shows on the bus only: one that is gone before it has answered makes dfu-util complain.

    :param options: after the selection of the device: what the method asks by
    :returns: its last words, if it complains; empty: it does not
    """
    if missing := program_missing():
        return f"{missing.why}: {missing.hint}"
    ran = run_tool([_program(), *_selection(loader), *options], deadline.sooner(_LEAVING_S))
    if ran.status == 0:
        return ""
    if ran.timed_out:
        return f"{PROGRAM} did not end in time"
    # Before its errors it tells who has written it, and how far it came.
    errors = re.findall(rf"^{PROGRAM}: (.+)$", ran.said, re.MULTILINE)
    return f"{PROGRAM}: " + ("; ".join(errors) or last_lines(ran.said).rpartition("\n")[2])


def seen_at(port: UsbPort) -> Bootloader:
    """The bootloader that discovery has seen, with no setting asked for."""
    return Bootloader(port.vid, port.pid, port.location or "", port.serial_number, {})


def _selection(loader: Bootloader) -> list[str]:
    """By everything that is known of it: it may have changed places since it was listed."""
    serial = loader.serial_number
    # dfu-util takes what follows a comma for another mode's serial number.
    by_serial = ["-S", serial] if serial and "," not in serial else []
    return ["-d", f",{loader.vid:04x}:{loader.pid:04x}", "-p", loader.path, *by_serial]


def _payload(content: bytes) -> int:
    """Bytes that go over: dfu-util keeps a DFU suffix (DFU 1.1, appendix B) for itself."""
    has_suffix = len(content) > 16 and content[-8:-5] == b"UFD" and content[-5] >= 16
    return len(content) - content[-5] if has_suffix else len(content)


def _program() -> str:
    return find_program(PROGRAM) or PROGRAM
