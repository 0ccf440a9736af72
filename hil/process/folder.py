"""The folder of one run of a process target: it holds secrets, and ends with the run, however that
ends."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import BenchError

# Builtins, but for rm: there is no other process. Signals of the terminal are the bench's.
_KEEPER = 'trap "" INT TERM HUP; while read -r _; do :; done; exec rm -rf -- "$1"'


@dataclass(frozen=True)
class RunFolder:
    """:ivar path: of nobody else's reading
    :ivar lifeline: a file descriptor. The folder stays as long as somebody has it, the bench or a
        guard (:mod:`.guard`), so that no program loses it under its feet
    """

    path: Path
    lifeline: int


@contextmanager
def run_folder() -> Iterator[RunFolder]:
    """Inside, it is there. A process of its own has the other end of the lifeline, and removes it
    when that has ended: also after a bench that was killed.

    :raises BenchError: that process cannot be started
    """
    with tempfile.TemporaryDirectory(prefix="hil-process-") as name:
        reads, lifeline = os.pipe()
        try:
            keeper = subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "hil-run-folder", name],
                stdin=reads,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            os.close(lifeline)
            raise BenchError(f"cannot start /bin/sh: {error.strerror}") from None
        finally:
            os.close(reads)
        try:
            yield RunFolder(Path(name), lifeline)
        finally:
            os.close(lifeline)
            keeper.wait()
