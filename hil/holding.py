"""``hil lock``: holding a board by hand, letting go of it, and who holds which.

A hold is a living process, as a run is: whatever ends it frees the board. :func:`release` ends
nothing but such a hold, and only one of the same user.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import lock
from .deadline import Deadline
from .errors import BenchError

if TYPE_CHECKING:
    from types import FrameType

    from .config import TargetSpec
    from .lock import Holder

# A hold ends as soon as it is told to; a command that runs in it may take a moment longer, seconds.
_RELEASED_S = 10.0
_LOOK_S = 0.05

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h)?", re.ASCII)
_SECONDS = {None: 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class State:
    """A target's lock. ``holder`` is None where nobody holds it."""

    target: str
    holder: Holder | None

    def as_dict(self) -> dict[str, Any]:
        return {"target": self.target, "holder": self.holder and asdict(self.holder)}

    def __str__(self) -> str:
        return f"{self.target}: {f'held by {self.holder}' if self.holder else 'free'}"


def states(specs: Sequence[TargetSpec], folder: Path) -> list[State]:
    """Of the boards among these targets.

    :param folder: where the virtual boards are
    """
    from .places.session import kept

    with kept(spec.labgrid.coordinator for spec in specs if spec.labgrid):
        return [
            State(spec.name, lock.holder(lock.key_of(spec, folder)))
            for spec in specs
            if spec.kind in ("virtual", "board")
        ]


def seconds(text: str) -> float:
    """``90``, ``90s``, ``10m``, ``2h`` in seconds.

    :raises ValueError: it is none of these
    """
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is no duration: write 90s, 10m or 2h")
    return float(found[1]) * _SECONDS[found[2]]


def key_of(spec: TargetSpec, folder: Path) -> lock.Key:
    """:raises BenchError: it is no board, so that there is nothing to hold"""
    if spec.kind not in ("virtual", "board"):
        what = "a URL" if spec.kind == "url" else f"a {spec.kind}"
        raise BenchError(f"it is {what}: only boards are held", target=spec.name)
    return lock.key_of(spec, folder)


@contextlib.contextmanager
def until_told() -> Iterator[threading.Event]:
    """Inside, Ctrl-C, SIGTERM and a closed terminal set the event and do no more."""
    told = threading.Event()

    def tell(number: int, frame: FrameType | None) -> None:
        told.set()

    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if os.name == "posix" else [])]
    before = {number: signal.signal(number, tell) for number in numbers}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_command(command: Sequence[str], deadline: Deadline | None, told: threading.Event) -> int:
    """Run a command to its end; end it when the time is over or when told to.

    A Ctrl-C is the command's, which has the same terminal: a REPL goes on after it.

    :returns: its exit status; 128 + number of the signal that ended it
    :raises BenchError: there is no such command
    """
    try:
        process = subprocess.Popen(command)
    except OSError as error:
        raise BenchError(f"cannot run {command[0]!r}: {error.strerror or error}") from None
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        _await(process, deadline, told)
    finally:
        signal.signal(signal.SIGINT, before)
    code = process.returncode
    return code if code >= 0 else 128 - code


def _await(
    process: subprocess.Popen[bytes], deadline: Deadline | None, told: threading.Event
) -> None:
    while process.poll() is None:
        if told.is_set() or (deadline and deadline.expired):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            process.wait()
            break
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_S)


def release(spec: TargetSpec, folder: Path) -> Holder | None:
    """End the ``hil lock hold`` of this user that holds the board, and wait until it is free.

    :returns: who held it; None: nobody did
    :raises BenchError: somebody else does, or a run, which nobody but its user shall end
    """
    key = key_of(spec, folder)
    holder = lock.holder(key)
    if holder is None:
        return None
    hint = "wait for it to end; a run puts the board back first"
    if holder.pid is None or not _is_hold(holder.pid):
        raise BenchError(
            f"held by {holder}: that is no 'hil lock hold'", target=spec.name, hint=hint
        )
    if not _is_ours(holder.pid):
        raise BenchError(f"held by {holder}: not yours to end", target=spec.name, hint="ask them")
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder.pid, signal.SIGTERM)
    deadline = Deadline.after(_RELEASED_S)
    never = threading.Event()
    while lock.holder(key) == holder:
        if deadline.expired:
            raise BenchError(
                f"{holder} was told to end, and has not in {_RELEASED_S:.0f} s",
                target=spec.name,
                hint="it may run a command that does not end",
            )
        never.wait(_LOOK_S)
    return holder


def _is_hold(pid: int) -> bool:
    """Whether this process is a ``hil lock hold``, by its command line."""
    told = _command_line(pid)
    words = [Path(word).name for word in told]
    return any(
        words[at - 1] in ("hil", "hil.exe", "__main__.py")
        and words[at : at + 2] == ["lock", "hold"]
        for at in range(1, len(words))
    )


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        pass
    if sys.platform == "win32":
        return []
    told = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return told.stdout.split()


def _is_ours(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except OSError:
        return True  # it has just ended
    try:
        return Path(f"/proc/{pid}").stat().st_uid == os.getuid()
    except FileNotFoundError:
        return True  # it has just ended, or this is another system, where the signal was proof
