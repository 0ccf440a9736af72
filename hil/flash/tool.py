"""Running a flashing tool: its output as it comes, ended by a deadline, never left behind."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..deadline import Deadline
from ..errors import BenchError
from .method import Image

# A tool that is told to end may still let go of its board; one that does not is killed.
_ENDED_S = 2.0


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
    on_line: Callable[[str], None] | None = None,
    env: Mapping[str, str] | None = None,
) -> Ran:
    """Run a program to its end, or to the deadline: then all that it has started ends with it, so
    that nothing goes on writing on a board that the bench has given up.

    :param on_output: gets all that was said so far, whenever more has come
    :param on_line: gets each line once, as it comes, also one that a progress bar ends by a
        carriage return
    :param env: added to the environment
    :raises FileNotFoundError: there is no such program; other OSErrors: it does not start
    """
    process = subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **(env or {})},
    )
    said = bytearray()
    try:
        _listen(process, deadline, said, on_output, on_line)
        status = process.poll()
    finally:
        # Also after Ctrl-C, or an error of the listener's: a tool that goes on writes unwatched.
        if process.poll() is None:
            _end(process)
    return Ran(status, said.decode(errors="replace"))


def _listen(
    process: subprocess.Popen[bytes],
    deadline: Deadline,
    said: bytearray,
    on_output: Callable[[str], None] | None,
    on_line: Callable[[str], None] | None,
) -> None:
    """Until the process has ended and its output is read, or the deadline has come.

    What it leaves in the background may hold its output open for ever, so the end is the process's
    own, which a thread waits for.
    """
    assert process.stdout is not None
    output = process.stdout.fileno()
    os.set_blocking(output, False)
    ended, end = os.pipe()

    def wait() -> None:
        process.wait()
        os.close(end)  # the other end becomes readable

    threading.Thread(target=wait, name="hil-tool", daemon=True).start()
    sources, line = [output, ended], b""
    try:
        while not deadline.expired:
            ready, _, _ = select.select(sources, [], [], deadline.remaining())
            if output in ready:
                data = _read(output)
                if not data:
                    sources.remove(output)
                said += data
                if data and on_output:
                    on_output(said.decode(errors="replace"))
                line = _tell(line + data, on_line)
            elif ready:
                break
        if on_line and line.strip():
            on_line(line.decode(errors="replace"))
    finally:
        os.close(ended)
        process.stdout.close()


def _read(output: int) -> bytes:
    try:
        return os.read(output, 65536)
    except OSError:
        return b""


def _tell(data: bytes, on_line: Callable[[str], None] | None) -> bytes:
    """Tell the complete lines; what is left is the beginning of the next."""
    if not on_line:
        return b""
    *lines, rest = re.split(rb"[\r\n]", data)
    for line in lines:
        if line.strip():
            on_line(line.decode(errors="replace"))
    return rest


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it has started, gently first."""
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_ENDED_S)
    if sys.platform != "win32":
        _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, number)


@contextlib.contextmanager
def image_file(image: Image, suffix: str = "") -> Iterator[Path]:
    """The image as a file for a tool: exactly the bytes that were approved and hashed, whatever
    has become of the file that they were read from.

    :raises BenchError: there is no room for it
    """
    with TemporaryDirectory(prefix="hil-flash-") as folder:
        # Some tools tell the format by the ending.
        suffix = suffix or Path(image.path).suffix or ".bin"
        path = Path(folder) / f"{image.partition}{suffix}"
        try:
            path.write_bytes(image.content)
        except OSError as error:
            raise BenchError(
                f"the image for {image.partition} cannot be written to {folder} for the flashing"
                f" tool: {error.strerror or error}",
                hint="is the disk full? TMPDIR names another folder",
            ) from error
        yield path
