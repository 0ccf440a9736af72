"""The folders that a bench writes to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from .. import lock
from ..deadline import Deadline
from .examined import Examined
from .host import Host, line

#: Room for one run: evidence, consoles, reports. Bytes; a run of all checks wrote 3 MB.
ROOM = 50 * 1024 * 1024


def disk(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """Whether a run can write what it keeps."""
    from ..virtual.board import CARD_BYTES, FLASH_BYTES

    virtual = sum(spec.kind == "virtual" for spec in host.specs)
    need = ROOM + virtual * (FLASH_BYTES + CARD_BYTES)
    folder = next(path for path in (host.state, *host.state.resolve().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    told = f"{_mb(free)} free for {host.state}, a run needs up to {_mb(need)}"
    if not os.access(folder, os.W_OK):
        yield line("disk", "fail", f"{folder} cannot be written to", "run in a folder of your own")
    elif free < need // 5:
        yield line("disk", "fail", told, "make room, or run in a folder on another disk")
    elif free < need:
        yield line("disk", "warn", told, "make room, or run in a folder on another disk")
    else:
        yield line("disk", "ok", told)


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def locks(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """Whether every user of this computer can lock a board."""
    folder = lock.lock_folder()
    if not folder.exists():
        yield line("locks", "ok", f"{folder} is made by the first run")
        return
    mode = folder.stat().st_mode
    everybody = f"sudo chmod 0777 {folder}"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield line("locks", "fail", f"{folder} cannot be written to by this user", everybody)
    elif os.name == "posix" and (mode & 0o1000 or mode & 0o007 != 0o007):
        told = (
            f"{folder} has mode {mode & 0o7777:04o}: other users of the bench cannot lock a board"
        )
        yield line("locks", "warn", told, everybody)
    else:
        yield line("locks", "ok", str(folder))


def virtual_bus(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """Whether virtual boards can be plugged in."""
    from ..virtual import bus

    folder = bus.default_bus()
    if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
        needed = any(spec.kind == "virtual" for spec in host.specs)
        yield line(
            "virtual bus",
            "fail" if needed else "note",
            f"{folder} cannot be written to by this user",
            "remove it, or name another folder in HIL_VIRTUAL_BUS",
        )
        return
    count = len(bus.records(folder))
    yield line("virtual bus", "ok", f"{folder}: boards plugged in: {count}")
