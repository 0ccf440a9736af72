"""The method ``virtual``: the bootloader of a virtual board, found on the virtual bus by its serial
number, as ``dfu-util`` finds a real one on USB.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hil.boards.model import Model
from hil.deadline import Deadline
from hil.virtual import bus
from hil.virtual.board import bootloader_serial_of
from hil.virtual.bootloader import BLOCK
from hil.virtual.firmware import DamagedImageError, build, parse

from . import bootloader
from .method import FlashError, Image, Job, Notes, Progress, Reason, Step, Unsupported

# The bootloader is there in milliseconds; this is for a machine that is busy.
_SHOWS_S = 10.0
# Less than a real bus is looked at: it costs a run of the embedded bench nothing.
_LOOK_S = 0.003
_LOOKS = 15
WITHOUT_MICROPYTHON = ""  # nobody can bring it into its bootloader by hand
_RUN_AGAIN = "run again: the next run finds it in its bootloader, and flashes it"


def fresh_images(row: Model) -> tuple[Image, ...]:
    """Firmware for a virtual board of this model, built this moment: no board has it yet."""
    now = datetime.now(UTC)
    images = build(row, f"{now:%Y%m%dT%H%M%S%f}", f"{now:%Y-%m-%d}")
    return tuple(Image(partition, content) for partition, content in images.items())


def supports(job: Job) -> Unsupported | None:
    """Whether the board is a virtual one, and all images are sound and its own."""
    if job.virtual is None:
        return Unsupported(
            Reason.NO_METHOD,
            f"{job.target!r} is no board of the embedded bench",
            "the method 'virtual' is for 'kind: virtual' only",
        )
    for image in job.images:
        try:
            firmware = parse(image.content)
        except DamagedImageError as error:
            what = f"the image {image.path or image.partition} {error}"
            return Unsupported(Reason.DAMAGED, what, "build it again")
        if firmware.target != job.model.target:
            return Unsupported(
                Reason.OTHER_MODEL,
                f"the image is for {firmware.target}, and this is an {job.model.target}",
                f"give the image for {job.model.target}",
            )
        if firmware.partition != image.partition:
            return Unsupported(
                Reason.OTHER_LAYOUT,
                f"the image for {image.partition} was built for {firmware.partition}",
                "give each partition its own image",
            )
    return None


def waiting(job: Job, deadline: Deadline) -> bytes | None:
    """See :class:`hil.flash.method.FlashMethod`: it is in its bootloader, or comes up in it."""
    assert job.virtual is not None, "supports() has looked"
    if Path(job.virtual.device).exists():
        return None  # in its bootloader it has no port
    found = bootloader.wait_for(lambda _: _record(job), deadline.sooner(bootloader.WAITING_S))
    return job.virtual.unique_id if found else None


def flash(job: Job, progress: Progress, deadline: Deadline) -> Notes:
    """See :class:`hil.flash.method.FlashMethod`."""
    with _Loader(job, enter(job, deadline), deadline) as loader:
        loader.ask(Step.DOWNLOAD, "clear")
        for image in job.images:
            _download(loader, image, progress)
            loader.ask(Step.VERIFY, "manifest", partition=image.partition)
        loader.ask(Step.RETURN, "leave")
    return ()


def enter(job: Job, deadline: Deadline) -> Path:
    """Into the bootloader, through the REPL as on a real board; returns its socket."""
    # A pseudo-terminal does not tell the other side its rate: there is no 1200-baud touch.
    by_repl = replace(job.model, bootloader_entries=("machine.bootloader",))
    record = bootloader.enter(
        replace(job, model=by_repl), lambda _: _watch(job), deadline, entering_s=_SHOWS_S
    )
    return Path(record.loader)


def _download(loader: _Loader, image: Image, progress: Progress) -> None:
    total = len(image.content)
    for at in range(0, total, BLOCK):
        piece = image.content[at : at + BLOCK]
        loader.ask(
            Step.DOWNLOAD,
            "download",
            partition=image.partition,
            block=at // BLOCK,
            data=base64.b64encode(piece).decode(),
        )
        progress(image.partition, at + len(piece), total)


# --- on the bus ---


def _record(job: Job) -> bus.VirtualPort | None:
    """The bootloader of this very board: boards of one model differ in its serial number only."""
    assert job.virtual is not None, "supports() has looked"
    wanted = bootloader_serial_of(job.model, job.unique_id or job.virtual.unique_id)
    found = (port for port in bus.records(job.virtual.bus) if port.serial_number == wanted)
    return next((port for port in found if port.loader), None)


def _watch(job: Job) -> bus.VirtualPort | None:
    """Several looks at once: a virtual board is quicker than the eye that is kept on USB."""
    never = threading.Event()
    for _ in range(_LOOKS):
        if record := _record(job):
            return record
        never.wait(_LOOK_S)
    return None


class _Loader:
    """A claimed bootloader."""

    def __init__(self, job: Job, path: Path, deadline: Deadline) -> None:
        self._job = job
        self._deadline = deadline
        self._done = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(str(path.resolve()))
        except OSError as error:
            self._socket.close()
            raise self.failed(Step.FIND, f"it vanished from the bus: {error}") from None
        self._lines = self._socket.makefile("rb")

    def ask(self, step: Step, op: str, **arguments: Any) -> dict[str, Any]:
        """:raises FlashError: it refuses, or is gone"""
        try:
            self._socket.settimeout(max(0.001, self._deadline.remaining()))
            self._socket.sendall(json.dumps({"op": op, **arguments}).encode() + b"\n")
            line = self._lines.readline()
        except OSError as error:
            raise self.failed(
                step, f"its bootloader does not answer{self._done}: {error}"
            ) from None
        if not line:
            what = f"its bootloader vanished{self._done}: lost power, a reset, or unplugged"
            raise self.failed(step, what)
        answer: dict[str, Any] = json.loads(line)
        if answer["error"] is not None:
            raise self.failed(step, f"its bootloader refuses {op!r}", said=answer["error"])
        if op == "download":
            self._done = f" after block {arguments['block']} of {arguments['partition']}"
        return answer

    def failed(self, step: Step, what: str, said: str = "") -> FlashError:
        return FlashError(
            step, what, target=self._job.target, hint=_RUN_AGAIN, said=said, tool="it"
        )

    def __enter__(self) -> _Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()
