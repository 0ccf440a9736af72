"""What a run changes on a board is copied aside *on the board* before the first change.

The journal lives in ``.hil/`` on the board's own flash, so whoever finds the board next, from
whatever host, can put it back: the run itself at its end, or the next run after a kill. The
originals (a signing key, a password's hash) thereby never leave the board.

Its ``index.json`` is the commit point: it is renamed into place after the copies are complete, and
removed after everything is restored, the clock too. A cut anywhere in between leaves either no
journal and an unchanged board, or a whole journal and a restore that can be repeated.

The host name is among the settings, which the application reads at its next start.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .deadline import Deadline
from .errors import BoardError

if TYPE_CHECKING:
    from .link.repl import Repl

BALLAST = ".hil/ballast"
"""What a check fills the flash with. It goes before anything is put back, which needs the room."""

# Absent is what the file system says is absent (ENOENT; ENODEV: nothing is mounted there). On a
# flash that cannot be read, a journal must not look like none.
# Copying goes through a 512-byte buffer: a camera's heap may be nearly full.
_BOARD_CODE = """
import os, json
def _hil_copy(a, b):
    buf = bytearray(512)
    view = memoryview(buf)
    with open(a, 'rb') as f, open(b + '.hil~', 'wb') as g:
        while True:
            n = f.readinto(buf)
            if not n:
                break
            g.write(view[:n])
    if not _hil_same(a, b + '.hil~'):
        raise OSError('not kept as it was written: copy of ' + a)
    _hil_remove(b)
    os.rename(b + '.hil~', b)
def _hil_same(a, b):
    one, other = bytearray(256), bytearray(256)
    with open(a, 'rb') as f, open(b, 'rb') as g:
        while True:
            n = f.readinto(one)
            if n != g.readinto(other) or one != other:
                return False
            if not n:
                return True
def _hil_kind(p):
    try:
        return 'dir' if os.stat(p)[0] & 0x4000 else 'file'
    except OSError as e:
        if e.errno not in (2, 19):
            raise
        return 'absent'
def _hil_remove(p):
    if _hil_kind(p) == 'file':
        os.remove(p)
    elif _hil_kind(p) == 'dir':
        for e in os.listdir(p):
            _hil_remove(p + '/' + e)
        os.rmdir(p)
def _hil_sync():
    if hasattr(os, 'sync'):
        os.sync()
"""

_BEGIN = """
if _hil_kind('.hil/index.json') == 'file':
    print('unfinished')
else:
    _hil_remove('.hil')
    os.mkdir('.hil')
    files = {}
    for i, p in enumerate(%(paths)s):
        files[p] = None
        if _hil_kind(p) == 'file':
            files[p] = '.hil/%%d' %% i
            _hil_copy(p, files[p])
    index = json.dumps({'files': files, 'clock_offset_s': %(clock)r})
    with open('.hil/index.new', 'w') as f:
        f.write(index)
    _hil_sync()
    with open('.hil/index.new') as f:
        if f.read() != index:
            raise OSError('not kept as it was written: the index')
    os.rename('.hil/index.new', '.hil/index.json')
    _hil_sync()
    print('begun')
"""

_RESTORE = """
_hil_remove('.hil/ballast')
if _hil_kind('.hil/index.json') != 'file':
    print('null')
else:
    with open('.hil/index.json') as f:
        index = json.load(f)
    for p, copy in index['files'].items():
        if copy is None:
            _hil_remove(p)
        else:
            if _hil_kind(p) == 'dir':
                _hil_remove(p)
            # What has not changed needs no room, which a full flash does not have.
            if _hil_kind(p) == 'absent' or not _hil_same(copy, p):
                _hil_copy(copy, p)
    _hil_sync()
    print(json.dumps(index))
"""

_END = """
os.remove('.hil/index.json')
_hil_sync()
_hil_remove('.hil')
"""

_FORGET = (
    "\nfor _n in ('_hil_copy', '_hil_same', '_hil_kind', '_hil_remove', '_hil_sync'):"
    "\n    del globals()[_n]\n"
)


@dataclass(frozen=True)
class Restored:
    """:ivar paths: the files put back (or removed, where there had been none)
    :ivar clock_offset_s: how far the board's clock is ahead of true time again, seconds
    """

    paths: tuple[str, ...]
    clock_offset_s: float


def begin(repl: Repl, paths: Sequence[str], clock_offset_s: float, deadline: Deadline) -> bool:
    """Copy ``paths`` aside (relative to the board's working directory; missing ones are noted).

    :param clock_offset_s: how far the board's clock is ahead of true time, seconds
    :returns: False when an unfinished journal of an earlier run is there; nothing is done then:
        :func:`restore` it first.
    :raises BoardError: the board could not write the copies (flash full, read-only)
    """
    # As text: a camera's floats have 24 bits, which for a clock that is years off is half a minute.
    work = _BEGIN % {"paths": repr(list(paths)), "clock": f"{clock_offset_s:.1f}"}
    answer = _run(repl, work, "written", deadline)
    if answer not in (b"begun", b"unfinished"):
        raise BoardError(f"the journal on the board answered {answer[:80]!r}")
    return answer == b"begun"


def restore(repl: Repl, deadline: Deadline) -> Restored | None:
    """Put everything back that the board's journal lists, verify it, and end the journal.

    The clock comes to what it was within a second, the files byte by byte.

    :returns: None when there was no journal
    :raises BoardError: a file or the clock could not be put back; the journal stays, so that it can
        be repeated
    """
    from .clock import rtc

    answer = _run(repl, _RESTORE, "put back", deadline)
    try:
        index = json.loads(answer)
        if index is None:
            return None
        restored = Restored(tuple(sorted(index["files"])), float(index["clock_offset_s"]))
        if not math.isfinite(restored.clock_offset_s) or not all(
            map(str.isprintable, restored.paths)
        ):
            raise ValueError("no journal of ours")
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        raise BoardError(f"the journal on the board answered {answer[:80]!r}") from None
    rtc.set_clock(repl, round(time.time() + restored.clock_offset_s), deadline)
    _run(repl, _END, "ended", deadline)
    return restored


def _run(repl: Repl, work: str, what: str, deadline: Deadline) -> bytes:
    from .link.repl import ReplError

    try:
        return repl.exec(_BOARD_CODE + work + _FORGET, deadline).strip()
    except ReplError as error:
        why = f"{error.exception_type}: {error.traceback.message}" if error.traceback else ""
        raise BoardError(
            f"the journal on the board cannot be {what}: {why or error.message}",
            target=error.target,
            hint=_HINTS.get(error.os_error, "'.hil/' on the board holds what it had before"),
        ) from None


_HINTS = {
    "ENOSPC": "the flash is full: remove files from the board",
    # FatFs denies a new folder for which no cluster is free (FR_DENIED).
    "EACCES": "the flash is full, or takes no new file: remove files from the board",
    "EIO": "the flash takes no writes: is it write-protected, worn out, or its file system broken?",
    "EROFS": "the flash takes no writes: it is write-protected",
}
