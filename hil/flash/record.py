"""What a board was flashed with: written down on the bench, believed only while the board agrees.

An image cannot be read back from every board, so its hash is kept here, together with what the
board said of itself right after. Whoever flashes a board by other means changes what it says.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BenchError, BoardError
from ..link.repl import literal

if TYPE_CHECKING:
    from ..deadline import Deadline
    from ..link.repl import Repl
    from .method import Image

#: Prints the repr of a :class:`Reported`'s fields. Changes nothing.
REPORT = """\
import sys as _s, os as _o
_u=_o.uname() if hasattr(_o,'uname') else None
_i=_s.implementation
_k=getattr(_i,'_machine','') or (_u.machine if _u else '')
print(repr((_k,_s.version,_u.version if _u else '',getattr(_i,'_build',''),getattr(_i,'_mpy',0))))
"""


@dataclass(frozen=True)
class Reported:
    """What a board says of the firmware that it runs.

    :ivar machine: ``OPENMV_N6 with STM32N657X0``
    :ivar version: ``sys.version``: ``3.4.0; OpenMV v5.0.0; MicroPython v1.28.0``
    :ivar build: ``os.uname().version``, with the build's date
    :ivar target: ``sys.implementation._build``, since MicroPython 1.25
    :ivar mpy: ``sys.implementation._mpy``
    """

    machine: str
    version: str
    build: str = ""
    target: str = ""
    mpy: int = 0

    def __str__(self) -> str:
        return f"{self.machine}, {self.version.partition('; ')[2] or self.version}"


@dataclass(frozen=True)
class Record:
    """:ivar unique_id: ``machine.unique_id()``, which is the record's key
    :ivar partitions: SHA-256 in hex by partition: what the bench has written
    :ivar reported: what the board said right after; None: since then a flashing has failed
    """

    unique_id: bytes
    partitions: Mapping[str, str] = field(default_factory=dict)
    reported: Reported | None = None


def report(repl: Repl, deadline: Deadline) -> Reported:
    """Ask the board.

    :raises BoardError: it does not answer, or something else
    """
    told = repl.exec(REPORT, deadline)
    try:
        machine, version, build, target, mpy = literal(told)
        return Reported(str(machine), str(version), str(build), str(target), int(mpy))
    except (ValueError, TypeError, OverflowError):
        raise BoardError(
            f"the board answered {told[:200]!r} instead of its version", target=repl.port.target
        ) from None


def lacking(had: Record | None, reported: Reported, images: Iterable[Image]) -> tuple[str, ...]:
    """The partitions of which nothing proves that the board has these images: what was written
    there last was something else, or the board says another thing of itself than right after.

    :param had: its record; None: there is none
    """
    proven = had.partitions if had and had.reported == reported else {}
    return tuple(one.partition for one in images if proven.get(one.partition) != one.sha256)


def proven(state: Path, unique_id: bytes, reported: Reported) -> Mapping[str, str]:
    """What the bench knows that the board has: SHA-256 in hex by partition.

    :param reported: what the board says of itself now
    """
    had = load(state, unique_id)
    return had.partitions if had and had.reported == reported else {}


def load(state: Path, unique_id: bytes) -> Record | None:
    """The record of this board; None where there is none that can be read.

    :param state: the folder for what outlives a run
    """
    return _read(_file(state, unique_id))


def save(state: Path, record: Record) -> None:
    """Write the record down, whole or not at all.

    :raises BenchError: the folder cannot be written
    """
    file = _file(state, record.unique_id)
    whole = {**asdict(record), "unique_id": record.unique_id.hex()}
    fresh = file.with_suffix(f".{os.getpid()}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh.write_text(json.dumps(whole, indent=2))
        fresh.replace(file)
    except OSError as error:
        raise BenchError(
            f"what was flashed cannot be written down in {file.parent}: {error.strerror}",
            hint="is the disk full? may this user write there?",
        ) from error


def _file(state: Path, unique_id: bytes) -> Path:
    return state / "flash" / f"{unique_id.hex()}.json"


def _read(file: Path) -> Record | None:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        found: dict[str, Any] = json.loads(file.read_bytes())
        reported = found["reported"]
        return Record(
            unique_id=bytes.fromhex(found["unique_id"]),
            partitions={str(name): str(sha) for name, sha in found["partitions"].items()},
            reported=Reported(**reported) if reported else None,
        )
    return None
