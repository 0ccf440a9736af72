"""Flashing from end to end, the same for every method.

examine  is it allowed, which board is it, does it have the images already
flash    the method: into the bootloader, download, out of it
         back in MicroPython: the same board, running what the images hold

Content decides, never a file's name: a board has the images if the bench has written these very
bytes on it and the board still says of itself what it said right after. A board that was flashed is
left at its prompt: whoever called starts its application, by a reset.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from ..boards.table import serial_number_matches, unique_id_of
from ..deadline import Deadline
from ..discovery.usb import NotAttachedError
from ..errors import BenchError, BoardError, HilError
from ..link.board import identify
from ..link.opening import NoPortError
from . import record as records
from .approval import approve
from .image import is_firmware, runs, versions_in
from .method import (
    FlashError,
    FlashMethod,
    Job,
    Notes,
    Progress,
    Reason,
    RefusedError,
    Step,
    method,
    quiet,
)
from .record import Record, Reported

# Entering by two ways, a bootloader that rests, and the REPL before and after.
_FIXED_S = 90.0
# The slowest of all: a UART at 460800 baud carries 46 kB/s, and erasing takes as long as writing.
_BYTES_PER_S = 20_000
_ASK_S = 15.0


@dataclass(frozen=True)
class Examined:
    """:ivar job: with the board's unique id, and whether it waits in its bootloader
    :ivar reported: what it runs now; None: MicroPython does not answer, it waits to be flashed
    :ivar has_it: it has all images already
    """

    job: Job
    reported: Reported | None
    has_it: bool


@dataclass(frozen=True)
class Outcome:
    """:ivar written: the partitions that were written; none: the board had it all already
    :ivar reported: what it runs
    :ivar took_s: seconds, all in all
    :ivar notes: what was not proven, and why; by the method, or by what the board tells of itself
    """

    written: tuple[str, ...]
    reported: Reported
    took_s: float
    notes: Notes = ()


def budget_s(job: Job) -> float:
    """Seconds that flashing may take at most, with every method."""
    size = sum(len(image.content) for image in job.images)
    return _FIXED_S + size / _BYTES_PER_S + job.model.back_from_bootloader_s


def allow(job: Job) -> FlashMethod:
    """The method that can do the job, if it may be done. Touches nothing.

    :raises RefusedError: it may not, or cannot here
    """
    approve(job)
    how = _method(job)
    if unsupported := how.supports(job):
        raise RefusedError(
            unsupported.reason, unsupported.why, target=job.target, hint=unsupported.hint
        )
    return how


def examine(job: Job, state: Path, deadline: Deadline) -> Examined:
    """Whether the job may be done, and whether there is anything to do. Writes nothing, and pauses
    the board's application for the moment in which it is asked. A board that does not answer may be
    in its bootloader afterwards, if ``job.may_enter``.

    :param state: the folder for what outlives a run
    :raises RefusedError: it may not be flashed
    :raises BenchError: it is not attached, or held
    :raises BoardError: MicroPython does not answer, and nothing else proves which board it is
    """
    how = allow(job)
    asking = deadline.sooner(_ASK_S)
    try:
        # The application is only paused: it may be that there is nothing to do.
        with job.link.paused(asking, lambda _: True) as repl:
            unique_id = identify(repl, asking).unique_id
            reported = records.report(repl, asking)
    except (NoPortError, NotAttachedError, BoardError) as silent:
        return Examined(_without_micropython(job, how, silent, deadline), None, has_it=False)
    _is_the_listed_one(job, unique_id)
    lacking = records.lacking(records.load(state, unique_id), reported, job.images)
    return Examined(replace(job, unique_id=unique_id), reported, has_it=not lacking)


def flash(
    job: Job,
    state: Path,
    progress: Progress = quiet,
    deadline: Deadline | None = None,
    *,
    force: bool = False,
) -> Outcome:
    """Have the board run these images: flashed, if it has them not, and proven.

    :param state: the folder for what outlives a run
    :param deadline: by default :func:`budget_s` from now
    :param force: flash it also where it has the images; overrides no refusal
    :raises RefusedError: it may not be flashed; nothing was written
    :raises FlashError: it failed: at which step, what the tool said, how to recover
    :raises BenchError: it is not attached, or held
    :raises BoardError: it does not answer
    """
    started = time.monotonic()
    deadline = deadline or Deadline.after(budget_s(job))
    examined = examine(job, state, deadline)
    job = examined.job
    if examined.has_it and examined.reported and not force:
        return Outcome((), examined.reported, time.monotonic() - started)
    assert job.unique_id is not None, "examine() gives it"
    had = records.load(state, job.unique_id) or Record(job.unique_id)
    kept = dict(had.partitions)
    for image in job.images:
        kept.pop(image.partition, None)
    # Before the first byte: after a kill nobody may believe that it has what it has not.
    records.save(state, Record(job.unique_id, kept))
    try:
        notes = _method(job).flash(job, progress, deadline)
    except RefusedError:
        records.save(state, had)  # nothing was written
        raise
    reported = _returned(job, deadline)
    notes += _verified(job, reported)
    written = {image.partition: image.sha256 for image in job.images}
    records.save(state, Record(job.unique_id, kept | written, reported))
    return Outcome(tuple(written), reported, time.monotonic() - started, notes)


def _method(job: Job) -> FlashMethod:
    try:
        return method(job.method)
    except KeyError:
        raise RefusedError(
            Reason.NO_METHOD,
            f"there is no flashing method {job.method!a}",
            target=job.target,
            hint="leave 'method' out: the board table knows the model's own",
        ) from None


def _is_the_listed_one(job: Job, unique_id: bytes) -> None:
    """:raises RefusedError: another board answers than the one that devices.yaml lists"""
    if job.listed_id not in (None, unique_id):
        raise RefusedError(
            Reason.OTHER_BOARD,
            f"the board at {job.link.device} has the unique id {unique_id.hex()}, and not the"
            f" listed {job.listed_id.hex() if job.listed_id else ''}",
            target=job.target,
            hint="is another board in its place? correct 'port' or 'unique_id' in devices.yaml",
        )
    try:
        same = not job.usb_serial or serial_number_matches(job.model, unique_id, job.usb_serial)
    except ValueError as error:  # the id's length: it is another model
        raise RefusedError(
            Reason.OTHER_BOARD,
            f"the board is no {job.model.title}: {error}",
            target=job.target,
            hint="is 'model' right in devices.yaml?",
        ) from None
    if not same:
        raise RefusedError(
            Reason.OTHER_BOARD,
            f"the board at {job.link.device} has the unique id {unique_id.hex()}, to which the"
            f" listed USB serial number {job.usb_serial} does not belong",
            target=job.target,
            hint="is another board of the same model in its place? 'hil list' shows which",
        )


def _without_micropython(job: Job, how: FlashMethod, silent: HilError, deadline: Deadline) -> Job:
    """The job of a board that is blank, broken, or in its bootloader after a flashing that failed.

    :raises RefusedError: another board is there
    :raises FlashError: it cannot be brought into its bootloader
    :raises HilError: ``silent``: it is not there either, or nothing proves which one it is
    """
    listed = job.listed_id or unique_id_of(job.model, job.usb_serial or "")
    unique_id = how.waiting(replace(job, unique_id=job.unique_id or listed), deadline)
    if unique_id is None:
        silent.hint = "; ".join(filter(None, (silent.hint, how.WITHOUT_MICROPYTHON)))
        raise silent
    _is_the_listed_one(job, unique_id)
    return replace(job, unique_id=unique_id, in_bootloader=True)


def _returned(job: Job, deadline: Deadline) -> Reported:
    """What the board says when it is back in MicroPython.

    :raises FlashError: it does not come back, or another one does
    """
    row = job.model
    within = deadline.sooner(row.back_from_bootloader_s + row.bootloader_on_reset_s)
    try:
        job.link.come_back(within)
        # Its firmware may make its file system first, and is interrupted while it boots.
        asking = deadline.sooner(_ASK_S)
        with job.link.repl(asking) as repl:
            unique_id = identify(repl, asking).unique_id
            reported = records.report(repl, asking)
    except (BenchError, BoardError) as error:
        raise FlashError(
            Step.RETURN,
            f"all was written, and {error.message}",
            target=job.target,
            hint="reset it by its button; if MicroPython does not start, the image may not be made"
            f" for this board: bring it into its bootloader by hand and flash a good one with"
            f" 'hil flash {job.target} --image FILE'",
        ) from error
    if unique_id != job.unique_id:
        raise FlashError(
            Step.VERIFY,
            f"the board that came back has the unique id {unique_id.hex()}, it was"
            f" {job.unique_id.hex() if job.unique_id else 'unknown'}",
            target=job.target,
            hint="is another board in its place?",
        )
    return reported


def _verified(job: Job, reported: Reported) -> Notes:
    """Whether the version that the board tells is an image's; a note where nothing tells.

    :raises FlashError: it runs another one
    """
    firmware = b"\0".join(image.content for image in job.images if is_firmware(image))
    if not firmware:
        return ()
    proven = runs(firmware, reported.version, reported.build)
    if proven is None:
        return ("image and board tell no version in common: that it runs the image is not proven",)
    if not proven:
        raise FlashError(
            Step.VERIFY,
            f"the board runs {reported}, and the image is"
            f" {', '.join(sorted(versions_in(firmware))[:4])}",
            target=job.target,
            hint="the bootloader has not taken the image: repeat it; is it the right partition?",
        )
    return ()
