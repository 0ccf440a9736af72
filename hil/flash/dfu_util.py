"""dfu-util at work: the right bootloader out of several, and one image written to it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..boards.table import bootloader_serial_number_of
from ..deadline import Deadline
from .dfu_output import (
    BEGUN,
    FORBIDDEN,
    UNREADABLE,
    Bootloader,
    complaint,
    downloaded,
    parse_listing,
)
from .method import (
    FlashError,
    Image,
    Job,
    Progress,
    Reason,
    RefusedError,
    Step,
    Unsupported,
    last_lines,
)
from .tool import find_program, image_file, run_tool

if TYPE_CHECKING:
    from ..discovery.usb import UsbPort

PROGRAM = "dfu-util"

DESCRIPTOR_REST_S = 10.0
"""Seconds of rest for a bootloader whose strings cannot be read yet: measured by OpenMV's bench
with a Portenta right after the 1200-baud touch (exit status 74)."""

# It lists what it sees in 30 ms; a board that is just changing its mode can hang it for 5 s.
_LISTING_S = 15.0
_LEAVING_S = 10.0
_BAR_CHARS = 200  # the last progress bar is among these


class Finder:
    """Looks for this job's bootloader: by its serial number where that follows from the unique id,
    else by the USB path. Never by the run mode's serial number, which the bootloader does not have.

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
        return self._serial is not None or self._job.location is not None

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
        if self._serial is None:
            mine = there
        else:
            mine = [one for one in readable if _same(one.serial_number, self._serial)]
            if not mine and there:
                raise self._refused(
                    Reason.OTHER_BOARD,
                    f"the bootloader at {job.location} has the serial number"
                    f" {there[0].serial_number!a}, this board's must be {self._serial}",
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
    from .bootloader import enter

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
        return enter(job, finder, deadline)
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


def program_missing() -> Unsupported | None:
    """None, if dfu-util is installed."""
    if find_program(PROGRAM):
        return None
    return Unsupported(
        Reason.NO_PROGRAM,
        f"{PROGRAM} is not installed",
        "install it (Debian: apt-get install dfu-util; macOS: brew install dfu-util)",
    )


def is_waiting(job: Job, deadline: Deadline) -> bool:
    """Whether this very board is in its bootloader now."""
    if not find_program(PROGRAM) or not (job.unique_id or job.location):
        return False
    finder = Finder(job)
    # One that left a reset shows up as its bootloader for a moment: it is running soon.
    from .bootloader import wait_for

    return wait_for(finder, deadline) is not None


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
    raise FlashError(
        Step.VERIFY if written else Step.DOWNLOAD,
        f"{image.partition}: {wrong}",
        target=job.target,
        said=ran.said,
        tool=f"{PROGRAM} (exit status {ran.status})" if not ran.timed_out else PROGRAM,
        hint=f"it is most likely still in its bootloader: repeat 'hil flash {job.target}'; if it is"
        " not found there, press its reset button (twice on an Arduino) and repeat",
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


def _same(one: str | None, other: str) -> bool:
    return one is not None and one.lower() == other.lower()
