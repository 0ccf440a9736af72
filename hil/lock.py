"""One holder per board, across processes and users of this computer.

The lock is the kernel's: a process that dies, however it dies, has let go. The record beside it
(who, since when, for what) is information for people and never decides anything.

A board that is a place of labgrid is locked here first, and then acquired from its coordinator.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import hashlib
import json
import os
import re
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from .deadline import Deadline
from .errors import BenchError
from .places.address import is_place
from .places.address import key_of as place_key

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from .config import TargetSpec

Key = str | tuple[str, ...]
"""What a board's lock is called; several names where it may be listed by several things."""

_POLL_S = 0.05  # flock() with a time limit can only be polled

# holder() takes the lock for microseconds to see whether it is free; that is nobody to wait for.
_GLIMPSE_S = 0.2

# Whoever waits looks this often whether it is still for the same holder, and still wanted.
_LOOK_AGAIN_S = 0.5


@dataclass(frozen=True)
class Holder:
    """Who holds a board, as far as is known.

    :ivar pid: None: the lock is held, and the record is missing or its writer is gone; or it is
        acquired from labgrid, which knows user and host
    :ivar since: UTC, ISO 8601
    """

    pid: int | None = None
    user: str = ""
    host: str = ""
    since: str = ""
    purpose: str = ""

    def __str__(self) -> str:
        """``alice (pid 4711) since 2026-11-22 16:40:09 UTC for checks on porch``."""
        if not self.user:
            return "another process, which has left no record"
        since = self.since.replace("T", " ").replace("+00:00", " UTC")
        if self.pid is None:
            return f"{self.user} on {self.host} since {since}: {self.purpose}"
        where = "" if self.host == socket.gethostname() else f" on {self.host}"
        return f"{self.user} (pid {self.pid}{where}) since {since} for {self.purpose}"


class HeldError(BenchError):
    """Somebody else holds the board.

    :ivar holder: who
    """

    def __init__(self, key: str, holder: Holder, hint: str = "") -> None:
        end = f", or end process {holder.pid}" if holder.pid else ""
        super().__init__(f"{key} is held by {holder}", hint=hint or f"wait for it to end{end}")
        self.holder = holder


def lock_folder() -> Path:
    """``$HIL_LOCKS``, else one folder that all users of this computer share.

    Not below ``$TMPDIR``: two processes that disagree on it would both hold the board.
    """
    if named := os.environ.get("HIL_LOCKS"):
        return Path(named)
    shared = tempfile.gettempdir() if sys.platform == "win32" else "/tmp"  # noqa: S108
    return Path(shared) / "hil-locks"


def key_of(spec: TargetSpec, state: Path = Path(".hil")) -> Key:
    """What a target's lock is called: all who mean the same board have a name in common.

    A board that is listed by its port is also locked by what is behind the port now, so that it is
    held for whoever lists it by its serial number, or by another link. A board that is not there
    has the listed name only. A process is that of its folder, another checkout's is another one;
    what is at a URL is the same one, whatever it is called.

    :param state: the run's folder: each has virtual boards of its own
    """
    if spec.kind == "virtual":
        return f"{spec.name}@{(state / 'boards' / spec.name).resolve()}"
    if spec.process:
        return f"{spec.name}@{spec.process.folder}"
    if spec.url:
        return spec.url
    if is_place(spec.port):
        return place_key(spec.port or "")
    if spec.usb_serial or not spec.port or "://" in spec.port:
        return spec.usb_serial or spec.port or spec.name
    return (spec.port, _behind(spec.port))


def _behind(port: str) -> str:
    """The USB serial number of the device at this port, if no other one has it; else its place."""
    from .discovery import usb

    with contextlib.suppress(BenchError):  # a list that cannot be read: bring-up will say so
        ports = usb.usb_ports()
        for here in usb.at(ports, port):
            alike = [one for one in ports if one.serial_number == here.serial_number]
            if here.serial_number and len(usb.one_each(alike)) == 1:
                return here.serial_number
            if here.location:
                return f"USB {here.location}"
    return str(Path(port).resolve())


@contextlib.contextmanager
def hold(
    key: Key,
    purpose: str,
    deadline: Deadline,
    *,
    on_wait: Callable[[Holder], object] | None = None,
    given_up: Callable[[], bool] = lambda: False,
    folder: Path | None = None,
) -> Iterator[str]:
    """Hold a board for the length of a ``with`` block; it may end in another thread.

    :param key: :func:`key_of` the board
    :param purpose: what for, in a few words, for whoever waits
    :param on_wait: called with the holder if there is one to wait for, and with each that follows
        it; a holder whose record is not written yet is told as one without a pid
    :param given_up: asked from time to time; True ends the waiting before the deadline
    :param folder: where the locks are; None: :func:`lock_folder`
    :returns: what there is to say of how it was taken; mostly nothing
    :raises HeldError: it is still held at ``deadline``; the message names the holder
    :raises BenchError: the folder cannot be used; or labgrid's coordinator has not such a place
    """
    # Always in this order: nobody waits for the first of two names while he holds the second.
    names = dict.fromkeys([key] if isinstance(key, str) else key)
    folder, note = folder or lock_folder(), ""
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(_hold(name, purpose, deadline, on_wait, given_up, folder))
            if is_place(name):
                from .places.acquisition import acquired

                record = _record_of_place(name, folder)
                note = stack.enter_context(acquired(name, deadline, record, on_wait, given_up))
        yield note


@contextlib.contextmanager
def _hold(
    key: str,
    purpose: str,
    deadline: Deadline,
    on_wait: Callable[[Holder], object] | None,
    given_up: Callable[[], bool],
    folder: Path,
) -> Iterator[None]:
    lock, record = _files(key, folder)
    try:
        _make(folder)
        within, told = _GLIMPSE_S, None
        while not _taken(lock, within):
            found = _read(record)
            if on_wait and found != told:
                on_wait(found)
            if deadline.expired or given_up():
                raise HeldError(key, found)
            within, told = deadline.sooner(_LOOK_AGAIN_S).remaining(), found
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        _write(record, purpose)
        yield
    finally:
        _clear(record)
        lock.release()


def _taken(lock: BaseFileLock, within: float) -> bool:
    """:param within: seconds"""
    from filelock import Timeout

    try:
        lock.acquire(timeout=within, poll_interval=_POLL_S)
    except Timeout:
        return False
    return True


def holder(key: Key, *, folder: Path | None = None) -> Holder | None:
    """Who holds the board now; None: nobody does, whatever a record says.

    :raises BenchError: the folder cannot be used; or labgrid's coordinator does not answer
    """
    names = [key] if isinstance(key, str) else key
    folder = folder or lock_folder()
    for name in names:
        found = _holder(name, folder)
        if found is None and is_place(name):
            from .places.acquisition import holder as holder_of_place

            found = holder_of_place(name, _record_of_place(name, folder))
        if found:
            return found
    return None


def _holder(key: str, folder: Path) -> Holder | None:
    from filelock import Timeout

    lock, record = _files(key, folder)
    try:
        Path(lock.lock_file).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return _read(record)
    except OSError as error:
        raise _unusable(folder, error) from error
    lock.release()
    return None


def _files(key: str, folder: Path) -> tuple[BaseFileLock, Path]:
    from filelock import FileLock

    key = key.lower()  # operating systems change the case of USB serial numbers
    readable = re.sub(r"[^a-z0-9.-]+", "-", key, flags=re.ASCII).strip("-.")[:40]
    stem = f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    # thread_local=False: a board is taken by one thread and given back by another.
    lock = FileLock(folder / f"{stem}.lock", mode=0o666, thread_local=False)
    return lock, folder / f"{stem}.json"


def _record_of_place(key: str, folder: Path) -> Path:
    _, record = _files(key, folder)
    return record.with_suffix(".place.json")


def _make(folder: Path) -> None:
    """Everybody may add files and, unlike in /tmp, remove them: in a folder with the sticky bit
    filelock (from 4.2 on) refuses a file that another user has left."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return
    folder.chmod(0o777)


def _write(record: Path, purpose: str) -> None:
    me = Holder(
        pid=os.getpid(),
        user=_user(),
        host=socket.gethostname(),
        since=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        purpose=purpose,
    )
    # A record that cannot be written costs a name in a message, and nothing else.
    with contextlib.suppress(OSError):
        overwrite(record, json.dumps(asdict(me)).encode())


def _clear(record: Path) -> None:
    with contextlib.suppress(OSError):
        overwrite(record, b"")


def overwrite(record: Path, content: bytes) -> None:
    """In place: in a shared folder nobody can replace the file that another user left.

    :raises OSError: it cannot be written
    """
    flags = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        # Without O_CREAT, which Linux refuses for other users' files (fs.protected_regular).
        file = os.open(record, flags | os.O_TRUNC)
    except FileNotFoundError:
        file = os.open(record, flags | os.O_CREAT | os.O_EXCL, 0o666)
        if hasattr(os, "fchmod"):
            os.fchmod(file, 0o666)  # whatever the umask says
    try:
        os.write(file, content)
    finally:
        os.close(file)


def _read(record: Path) -> Holder:
    """The holder as the record has it, if it can be believed."""
    try:
        found = json.loads(record.read_bytes())
        written = Holder(
            pid=int(found["pid"]),
            user=str(found["user"]),
            host=str(found["host"]),
            since=str(found["since"]),
            purpose=str(found["purpose"]),
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return Holder()
    if written.host == socket.gethostname() and not _alive(written.pid or 0):
        return Holder()  # the record of a process that died; somebody else holds the lock now
    return written


def _alive(pid: int) -> bool:
    if sys.platform == "win32":
        return True  # there os.kill() would end the process
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True  # another user's
    return True


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for this user id, as in containers
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "unknown user"


def _unusable(folder: Path, error: OSError) -> BenchError:
    wanted = "it must be writable for everybody who uses the bench, without the sticky bit"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        wanted = "make room on its disk"
    return BenchError(
        f"the folder of the boards' locks cannot be used: {folder}: {error.strerror or error}",
        hint=f"{wanted}; HIL_LOCKS names another one",
    )
