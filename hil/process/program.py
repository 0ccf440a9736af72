"""One life of a program that the bench has started: its output, and its end."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from ..errors import BenchError
from ..link.console import Console

_GUARD = Path(__file__).with_name("guard.py")
# How long a program that was asked to end may take, seconds; servers that drain their connections
# wait for as long as a client keeps one.
GRACE_S = 2.0
# The last of its output is in the pipe when it has ended. Only what has left its process group can
# keep the pipe open.
_DRAINED_S = 1.0
# What a program finds of the bench's own environment. Everything else is as devices.yaml says.
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "TZ")


class Program:
    """Started in a process group of its own; it does not outlive the bench (:mod:`.guard`).

    :param argv: program and arguments; the program is looked up on the bench's ``PATH``
    :param env: besides the little that it gets anyway
    :param console: gets what it prints
    :param holds: a file descriptor that its guard has, too, for as long as it runs
    :raises BenchError: it cannot be run
    """

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        folder: str,
        console: Console,
        *,
        holds: int,
    ) -> None:
        path = find(argv[0], folder)
        if os.name != "posix":
            raise BenchError("a process target needs POSIX: process groups and signals")
        report, told = os.pipe()
        try:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", "-X", "utf8", str(_GUARD), str(told), str(holds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(told, holds),
                cwd=folder,
                start_new_session=True,  # a Ctrl-C at the terminal is the bench's alone
            )
        except OSError as error:
            os.close(report)
            raise BenchError(f"cannot start anything in {folder}: {error.strerror}") from None
        finally:
            os.close(told)
        self._lifeline, output = self._guard.stdin, self._guard.stdout
        assert self._lifeline is not None
        assert output is not None
        self._reader = threading.Thread(
            target=_read, args=(output, console), name="hil-process-output", daemon=True
        )
        self._reader.start()
        wanted = {"argv": [path, *argv[1:]], "env": {**_environment(), **env}}
        with contextlib.suppress(BrokenPipeError):
            self._lifeline.write(json.dumps(wanted).encode() + b"\n")
            self._lifeline.flush()
        with os.fdopen(report, encoding="utf-8") as answer:
            line = answer.readline().strip()
        if not line.isdecimal():
            self.end()
            raise BenchError(f"{path} cannot be run: {line or 'its guard has ended'}")
        self.pid = int(line)

    @property
    def ended(self) -> bool:
        return self._guard.poll() is not None

    def ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(seconds)
        return self.ended

    @property
    def how_it_ended(self) -> str:
        """``ended with status 1``, ``was ended by SIGSEGV``."""
        code = self._guard.wait()
        if code > 128 and code - 128 in set(signal.Signals):
            return f"was ended by {signal.Signals(code - 128).name}"
        return f"ended with status {code}"

    def end(self, grace_s: float = 0.0) -> None:
        """Returns when it has ended, with all that it has started, and its output is read.

        :param grace_s: seconds for which it may end by itself, asked to by SIGTERM; 0: it is not
            asked
        """
        assert self._lifeline is not None
        if grace_s and not self.ended:
            with contextlib.suppress(OSError):
                self._lifeline.write(b"t")
                self._lifeline.flush()
            self.ends_within(grace_s)
        with contextlib.suppress(OSError):
            self._lifeline.close()
        self._guard.wait()
        self._reader.join(_DRAINED_S)


def find(program: str, folder: str) -> str:
    """Where a program is; one with a ``/`` is relative to the folder.

    :raises BenchError: nowhere
    """
    if "/" in program:
        path = Path(folder, program)
        if os.access(path, os.X_OK) and path.is_file():
            return str(path)
        raise BenchError(f"there is no program {program!a} in {folder}")
    found = shutil.which(program)
    if found is None:
        raise BenchError(
            f"there is no program {program!a} on PATH",
            hint="install it; for a Python program, {python} is the Python that hil runs on",
        )
    return found


def _environment() -> dict[str, str]:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # What it prints is looked at while it runs.
    return {**passed_on, "PYTHONUNBUFFERED": "1"}


def _read(output: IO[bytes], console: Console) -> None:
    with output:
        while data := os.read(output.fileno(), 1 << 16):
            console.append(data)
