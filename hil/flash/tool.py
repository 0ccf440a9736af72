"""Running a flashing tool: its output as it comes, ended by a deadline, never left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from ..deadline import Deadline
from .method import Image

_ENDED_S = 2.0  # how long a tool that was ended may take to be gone


@dataclass(frozen=True)
class Ran:
    """What came of a tool.

    :ivar status: its exit status; None: the deadline came first, and it was ended
    :ivar said: standard output and error, as they came
    """

    status: int | None
    said: str

    @property
    def timed_out(self) -> bool:
        return self.status is None


def find_program(name: str) -> str | None:
    """The program's path, also where an ordinary user's PATH has no /usr/sbin."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin")))


def run_tool(
    argv: Sequence[str],
    deadline: Deadline,
    on_output: Callable[[str], None] | None = None,
    *,
    env: Mapping[str, str] | None = None,
) -> Ran:
    """Run a program to its end, or to the deadline.

    :param on_output: gets all that was said so far, whenever more has come; it must be quick
    :param env: added to the environment
    :raises FileNotFoundError: there is no such program; other OSErrors: it does not start
    """
    process = subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
    )
    assert process.stdout is not None
    said = bytearray()
    reader = threading.Thread(target=_read, args=(process.stdout, said, on_output), daemon=True)
    reader.start()
    status: int | None = None
    try:
        status = process.wait(deadline.remaining())
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:  # also after Ctrl-C: a tool that goes on writes unwatched
            process.kill()
            process.wait(_ENDED_S)
        # A grandchild may hold the pipe open; what it says later is not waited for.
        reader.join(_ENDED_S)
    return Ran(status, said.decode(errors="replace"))


def _read(stream: IO[bytes], said: bytearray, on_output: Callable[[str], None] | None) -> None:
    with stream, contextlib.suppress(OSError):
        while data := os.read(stream.fileno(), 65536):
            said += data
            if on_output:
                on_output(said.decode(errors="replace"))


@contextlib.contextmanager
def image_file(image: Image) -> Iterator[Path]:
    """The image as a file for a tool: exactly the bytes that were approved and hashed, whatever
    has become of the file that they were read from."""
    with TemporaryDirectory(prefix="hil-flash-") as folder:
        path = Path(folder) / f"{image.partition}.bin"
        path.write_bytes(image.content)
        yield path
