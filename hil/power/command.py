"""A board's power behind commands of the bench's owner: a relay, a network socket."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass

from ..deadline import Deadline
from ..errors import BenchError

_SHOWN = 200
_MISSING = "is the program installed, and on PATH? 'power:' in devices.yaml names it"


@dataclass(frozen=True)
class CommandSwitch:
    """:class:`hil.power.Switch` by two commands. No shell reads them.

    :ivar off_command: program and arguments
    :ivar on_command: program and arguments
    """

    off_command: tuple[str, ...]
    on_command: tuple[str, ...]

    def __str__(self) -> str:
        return f"the power command {self.off_command[0]!r}"

    def require(self) -> None:
        """Look for its programs, and start none.

        :raises BenchError: one is not there
        """
        for command in (self.off_command, self.on_command):
            if shutil.which(command[0]) is None:
                raise BenchError(f"there is no program {command[0]!r}", hint=_MISSING)

    def off(self, deadline: Deadline) -> None:
        self._run("off", self.off_command, deadline)

    def on(self, deadline: Deadline) -> None:
        self._run("on", self.on_command, deadline)

    def _run(self, what: str, command: tuple[str, ...], deadline: Deadline) -> None:
        """:raises BenchError: it cannot be started, fails, or does not end in time"""
        name = f"the command for power {what}, {command[0]!r},"
        try:
            ended = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=max(0.001, deadline.remaining()),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"{name} did not end in time") from None
        except OSError as error:
            raise BenchError(
                f"{name} cannot be started: {error.strerror}",
                hint=_MISSING,
            ) from None
        if ended.returncode:
            told = ended.stdout.decode(errors="replace").strip().rpartition("\n")[2][:_SHOWN]
            raise BenchError(
                f"{name} ended with status {ended.returncode}: {told or 'it printed nothing'}",
                hint="try it by hand: 'power:' in devices.yaml shows it whole",
            )
