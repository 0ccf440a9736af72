"""What flashing is made of: images, the job, the steps, the ways it fails, and what a method is.

A method is a module with the functions of :class:`FlashMethod`: it brings images onto a board that
the flow (:mod:`hil.flash.flow`) has approved, and the flow proves that the board runs them. So a
method does not decide whether flashing is allowed.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from .. import consent as consents
from ..errors import BenchError, BoardError

if TYPE_CHECKING:
    from ..boards.model import Model
    from ..consent import Consent
    from ..deadline import Deadline
    from ..link.board import BoardLink
    from ..power import SwitchedPower
    from ..virtual.board import VirtualBoard

Progress = Callable[[str, int, int], None]
"""``progress(partition, done, total)``, bytes: called while a download goes on."""

Notes = tuple[str, ...]
"""What was not proven, and why: a sentence each, without its full stop."""

_METHODS = {
    "openmv-dfu": "hil.flash.openmv_dfu",
    "arduino-dfu": "hil.flash.arduino_dfu",
    "esptool": "hil.flash.esptool",
    "imx": "hil.flash.imx",
    "uf2": "hil.flash.uf2",
    "romfs": "hil.flash.romfs",
    "command": "hil.flash.command",
    "virtual": "hil.flash.virtual",
}
# The last lines of a tool hold its reason; more than this nobody reads in an error message.
_LAST_LINES = 6


@dataclass(frozen=True)
class Image:
    """What one partition is to hold.

    :ivar partition: as the board table calls it: ``FIRMWARE``
    :ivar content: read once: what is hashed is what is written
    :ivar path: where it came from, for messages
    """

    partition: str
    content: bytes = field(repr=False)
    path: str = ""

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True)
class Job:
    """One board to be flashed.

    :ivar target: its name in devices.yaml, for messages
    :ivar method: a name of the registry: ``openmv-dfu``
    :ivar images: in the order in which they are written
    :ivar link: to the board while MicroPython runs; a method closes it where a tool needs the port
    :ivar consent: its owner's, to write on it: without, there is no job
    :ivar usb_serial: the USB serial number that devices.yaml lists for it
    :ivar listed_id: the ``machine.unique_id()`` that devices.yaml lists for it
    :ivar unique_id: ``machine.unique_id()``, once the flow has asked the board
    :ivar location: where it is plugged in, as ``dfu-util -p`` takes it: ``1-2.3``; None: unknown
    :ivar in_bootloader: it waits in its bootloader already: there is nothing to enter
    :ivar may_enter: it may be sent into its bootloader, and not only looked for there
    :ivar power: what takes its power and gives it back; None: nothing does
    :ivar command: what the method ``command`` runs
    :ivar virtual: the board of the embedded bench behind it, for the method ``virtual``
    :raises NoConsentError: the consent is missing
    """

    target: str
    model: Model
    method: str
    images: tuple[Image, ...]
    link: BoardLink
    consent: Consent
    usb_serial: str | None = None
    listed_id: bytes | None = None
    unique_id: bytes | None = None
    location: str | None = None
    in_bootloader: bool = False
    may_enter: bool = True
    power: SwitchedPower | None = None
    command: str | None = None
    virtual: VirtualBoard | None = None

    def __post_init__(self) -> None:
        consents.require(self.consent, self.target, "flashing it")


class Step(enum.Enum):
    """Where flashing is, and where it fails."""

    CHECK = "check"
    ENTER = "enter the bootloader"
    FIND = "find the bootloader"
    DOWNLOAD = "download"
    VERIFY = "verify"
    RETURN = "return to MicroPython"


class Reason(enum.Enum):
    """Why a board is not flashed."""

    NO_METHOD = "no method"
    NO_PROGRAM = "no program"
    UNKNOWN_PARTITION = "unknown partition"
    NEVER_WRITTEN = "never written"
    EMPTY = "empty"
    TOO_LARGE = "too large"
    DAMAGED = "damaged image"
    OTHER_MODEL = "image for another model"
    INCOMPLETE = "incomplete"
    OTHER_BOARD = "another board"
    OTHER_LAYOUT = "another layout"
    AMBIGUOUS = "ambiguous"
    NOT_PERMITTED = "not permitted"
    NOT_AN_IMAGE = "not an image"
    NO_PORT = "no port"
    REMOTE_PORT = "remote port"


@dataclass(frozen=True)
class Unsupported:
    """A method's answer to a job that it cannot do.

    :ivar why: one sentence without its full stop
    :ivar hint: the next step
    """

    reason: Reason
    why: str
    hint: str


class RefusedError(BenchError):
    """The board is not flashed; nothing has been written on it.

    :ivar reason: the kind of it, for programs
    :ivar step: :attr:`Step.CHECK`, before the board was touched, or how far it came
    """

    def __init__(
        self, reason: Reason, why: str, *, target: str, hint: str, step: Step = Step.CHECK
    ) -> None:
        told = "" if step is Step.CHECK else f" ({step.value})"
        super().__init__(f"not flashed{told}: {why}", target=target, hint=hint)
        self.reason = reason
        self.step = step


class FlashError(BoardError):
    """Flashing failed on the board; what it runs now is not known.

    :ivar step: where
    :ivar said: the last lines of what the tool printed; empty where no tool was at work
    """

    def __init__(
        self, step: Step, what: str, *, target: str, hint: str, said: str = "", tool: str = ""
    ) -> None:
        self.step = step
        self.said = last_lines(said)
        quoted = f"; {tool or 'the tool'} said:\n    " + self.said.replace("\n", "\n    ")
        super().__init__(
            f"flashing failed at '{step.value}': {what}{quoted if self.said else ''}",
            target=target,
            hint=hint,
        )


class FlashMethod(Protocol):
    """What a method's module offers. None of it writes anything but the job's images.

    :ivar WITHOUT_MICROPYTHON: how it flashes a board on which MicroPython does not answer, for the
        one who reads that it does not
    """

    WITHOUT_MICROPYTHON: str

    def supports(self, job: Job) -> Unsupported | None:
        """None, or why this job cannot be done here: no program, not this model. Touches nothing.

        ``job.unique_id`` may still be None.
        """

    def waiting(self, job: Job, deadline: Deadline) -> bytes | None:
        """The ``machine.unique_id()`` of a board on which MicroPython does not answer: it waits in
        its bootloader, or is brought there. None: it is not there, or nothing proves which one it
        is. The flow compares it with what devices.yaml lists.

        ``job.unique_id`` is what follows from devices.yaml, if anything does.

        :raises RefusedError: a board is there, and why it is not flashed
        :raises FlashError: no way into the bootloader has worked; the message tells each
        """

    def flash(self, job: Job, progress: Progress, deadline: Deadline) -> Notes:
        """Enter the bootloader (unless ``job.in_bootloader``), write all images, verify what can be
        verified there, and tell the board to start MicroPython, without waiting for it.

        :returns: what could not be verified there
        :raises RefusedError: nothing was written: e.g. another layout than the table's
        :raises FlashError: the board failed, at which step, and what the tool said
        :raises BenchError: the bench did, e.g. the port is held
        """


def method(name: str) -> FlashMethod:
    """The method of this name; its module is imported now.

    :raises KeyError: there is none
    """
    return cast(FlashMethod, import_module(_METHODS[name]))


def methods() -> tuple[str, ...]:
    """The names of all methods."""
    return tuple(_METHODS)


def other_model(job: Job, why: str) -> Unsupported:
    """The answer of a method that is not for this model.

    :param why: one sentence without its full stop
    """
    own = job.model.flash_method
    return Unsupported(
        Reason.NO_METHOD,
        why,
        f"leave 'method' out: its own is {own}" if own else "'command' under 'flash' runs a tool",
    )


def quiet(partition: str, done: int, total: int) -> None:
    """A :data:`Progress` that shows nothing."""


def last_lines(said: str) -> str:
    """The last lines of what a tool printed, without blank ones and without control characters.

    A progress bar redraws its line by carriage returns: only its last state counts.
    """
    lines = (line.rstrip().rpartition("\r")[2] for line in said.split("\n"))
    clean = ("".join(c if c.isprintable() else " " for c in line).strip() for line in lines)
    return "\n".join([line for line in clean if line][-_LAST_LINES:])
