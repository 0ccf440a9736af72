"""What a board says of itself, asked over its REPL."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from .. import lock
from ..deadline import Deadline
from ..errors import BoardError, HilError
from . import firmware
from .examined import Examined, failed, of_target

if TYPE_CHECKING:
    from ..config import TargetSpec
    from ..discovery.mdns import Resolved
    from ..flash.method import Job
    from ..link.board import Identity
    from ..link.repl import Repl

#: Of the time: to let the application run on takes some too, seconds.
_RESUME_S = 1.0
#: A clock that is off by less than this need not be mentioned, seconds: checks know a leeway.
CLOCK_S = 2.0
#: The first deploy takes about 270 KB, bytes.
ROOM = 300_000

#: Reads and writes nothing: bytes that are free, and whether a killed run has left its journal.
LOOK = """\
import os as _o
_s=_o.statvfs('.')
_j=True
try:_o.stat('.hil/index.json')
except OSError:_j=False
print(repr((_s[0]*_s[3],_j)))
"""


def ask(
    spec: TargetSpec,
    device: str,
    resolved: Resolved | None,
    job: Job | None,
    state: Path,
    deadline: Deadline,
) -> Generator[Examined, None, str | None]:
    """Pause the board's application, ask, let it run on.

    :param resolved: what the network says of its host name
    :param job: what a run would flash
    :param state: folder for what outlives a run
    :returns: its address, as it says; None: it is on no network, or does not answer
    """
    from ..clock import rtc
    from ..flash import record
    from ..link.board import identify
    from ..link.reading import reading

    deadline = Deadline(deadline.at - _RESUME_S)
    purpose, at_once = f"examining {spec.name}", Deadline.after(0)
    try:
        with (
            lock.hold(lock.key_of(spec), purpose, at_once),
            reading(spec.name, device, deadline) as repl,
        ):
            identity = identify(repl, deadline)
            reported = record.report(repl, deadline)
            offset = rtc.read(repl, deadline).offset
            room, journal = _looked(repl, deadline)
    except HilError as error:
        yield failed(spec.name, "REPL", error)
        return None
    yield _identity(spec, identity)
    yield firmware.found(spec, identity, reported, record.load(state, identity.unique_id), job)
    yield _address(spec, resolved, identity)
    yield _clock(spec, offset)
    yield _room(spec, room)
    if journal:
        yield of_target(
            spec,
            "journal",
            "warn",
            "a run that was killed has left it on the board: its files are not its own",
            f"the next run restores it; or 'hil restore {spec.name}'",
        )
    else:
        yield of_target(spec, "journal", "ok", "none: no killed run has left anything")
    return identity.address


def _identity(spec: TargetSpec, identity: Identity) -> Examined:
    from ..attachment import other_board
    from ..boards.table import model, serial_number_matches

    found = identity.unique_id.hex()
    if problem := other_board(spec, identity):
        return failed(spec.name, "REPL", problem)
    row = model(spec.model or "")
    if spec.usb_serial and len(identity.unique_id) == row.unique_id_bytes:
        serial = spec.usb_serial
        if not serial_number_matches(row, identity.unique_id, serial):
            told = f"unique_id {found} does not go with the USB serial number {serial}"
            return of_target(
                spec, "REPL", "note", told, "is 'model' right? see hil/boards/serials.py"
            )
    return of_target(spec, "REPL", "ok", f"it answers; unique_id {found}")


def _address(spec: TargetSpec, resolved: Resolved | None, identity: Identity) -> Examined:
    from ..discovery.mdns import verify_address

    if resolved and (problem := verify_address(resolved, identity.address)):
        return failed(spec.name, "address", problem)
    if identity.address:
        too = " too" if resolved and resolved.address else ""
        return of_target(spec, "address", "ok", f"the board says {identity.address}{too}")
    told = "the board says that it is on no network"
    if spec.provision:
        return of_target(spec, "address", "note", f"{told}; a run connects it")
    step = "does its application run, and connect it? a reset starts it"
    return of_target(spec, "address", "warn", told, step)


def _clock(spec: TargetSpec, offset: float) -> Examined:
    if abs(offset) <= CLOCK_S:
        return of_target(spec, "clock", "ok", "right to two seconds")
    way, days = "ahead" if offset > 0 else "behind", abs(offset) / 86400
    told = f"{days:.0f} days {way}" if days > 2 else f"{abs(offset):.0f} s {way}"
    if spec.provision:
        return of_target(spec, "clock", "note", f"{told}; a run sets it, and puts it back")
    return of_target(spec, "clock", "warn", told, "tokens end at the wrong time: set it by NTP")


def _room(spec: TargetSpec, room: int) -> Examined:
    told = f"{room // 1000} kB are free on the board"
    if room < ROOM:
        step = f"a first deploy takes {ROOM // 1000} kB: remove what is not needed"
        return of_target(spec, "room", "warn", told, step)
    return of_target(spec, "room", "ok", told)


def _looked(repl: Repl, deadline: Deadline) -> tuple[int, bool]:
    from ..link.repl import literal

    told = repl.exec(LOOK, deadline)
    try:
        room, journal = literal(told)
        return int(room), bool(journal)
    except (ValueError, TypeError, OverflowError):
        raise BoardError(f"the board answered {told[:100]!r} when asked for its room") from None
