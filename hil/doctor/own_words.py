"""What a board says of itself, asked over its REPL."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..deadline import Deadline
from ..errors import BoardError, HilError
from .examined import Examined, failed, of_target

if TYPE_CHECKING:
    from ..config import TargetSpec
    from ..discovery.mdns import Resolved
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
    spec: TargetSpec, device: str, resolved: Resolved | None, deadline: Deadline
) -> Iterator[Examined]:
    """Pause the board's application, ask, let it run on.

    :param resolved: what the network says of its host name
    """
    from ..clock import rtc
    from ..link.board import identify
    from ..link.reading import reading

    deadline = Deadline(deadline.at - _RESUME_S)
    try:
        with reading(spec.name, device, deadline) as repl:
            identity = identify(repl, deadline)
            offset = rtc.read(repl, deadline).offset
            room, journal = _looked(repl, deadline)
    except HilError as error:
        yield failed(spec.name, "REPL", error)
        return
    yield _identity(spec, identity)
    yield _firmware(spec, identity)
    if resolved:
        yield from _address(spec, resolved, identity)
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


def _firmware(spec: TargetSpec, identity: Identity) -> Examined:
    from ..boards.table import model

    row = model(spec.model or "")
    told = f"{identity.machine}, MicroPython {identity.release}"
    if row.target in identity.machine or row.title in identity.machine:
        if identity.epoch_year == row.epoch:
            return of_target(spec, "firmware", "ok", told)
        told += f", whose clock counts from {identity.epoch_year} and not {row.epoch}"
        return of_target(spec, "firmware", "warn", told, "is it a firmware for this board?")
    told += f"; expected: {row.target}, on a {row.title}"
    return of_target(
        spec, "firmware", "warn", told, "is 'model' right, and the firmware the board's?"
    )


def _address(spec: TargetSpec, resolved: Resolved, identity: Identity) -> Iterator[Examined]:
    from ..discovery.mdns import verify_address

    if problem := verify_address(resolved, identity.address):
        yield failed(spec.name, "address", problem)
    elif identity.address:
        yield of_target(spec, "address", "ok", f"the board says {identity.address} too")


def _clock(spec: TargetSpec, offset: float) -> Examined:
    if abs(offset) <= CLOCK_S:
        return of_target(spec, "clock", "ok", "right to two seconds")
    way = "ahead" if offset > 0 else "behind"
    days = f" ({abs(offset) / 86400:.0f} days)" if abs(offset) > 2 * 86400 else ""
    told = f"{abs(offset):.0f} s {way}{days}"
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
    told = repl.exec(LOOK, deadline).decode(errors="replace").strip()
    try:
        room, journal = ast.literal_eval(told)
        return int(room), bool(journal)
    except (ValueError, SyntaxError, TypeError, OverflowError, MemoryError, RecursionError):
        raise BoardError(f"the board answered {told[:100]!a} when asked for its room") from None
