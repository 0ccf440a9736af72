"""The bench's way to a virtual board, beside the serial line: JSON lines on ``control.sock``."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

from hil.deadline import Deadline
from hil.errors import BenchError

NAME = "control.sock"
_LONGEST_PATH = 100  # sun_path: 108 bytes on Linux, 104 on macOS


def listen(state: Path, file: str = NAME) -> tuple[socket.socket, Path]:
    """A listening socket at ``state``/control.sock, and the path where it really is: a path too
    long for a socket becomes a link to a short one."""
    name = state / file
    name.unlink(missing_ok=True)
    real = name
    if len(os.fsencode(name)) > _LONGEST_PATH:
        import tempfile  # 6 ms, seldom needed

        real = Path(tempfile.mkdtemp(prefix="hil-")) / file
        name.symlink_to(real)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(str(real))
    server.listen(16)
    server.setblocking(False)
    return server, real


def unlisten(state: Path, real: Path, file: str = NAME) -> None:
    (state / file).unlink(missing_ok=True)
    if real.parent != state:
        real.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            real.parent.rmdir()


def ask(state: Path, request: dict[str, Any], deadline: Deadline, *, board: str) -> Any:
    """One request, one answer.

    :raises BenchError: nobody answers, or the supervisor refuses
    """
    path = Path(os.path.realpath(state / NAME))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(max(0.001, deadline.remaining()))
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = b""
            while not answer.endswith(b"\n"):
                if not (more := connection.recv(65536)):
                    break
                answer += more
    except OSError as error:
        raise BenchError(
            f"the virtual board's supervisor does not answer on {state / NAME}: {error}",
            target=board,
            hint="is it still running? 'hil list' tells",
        ) from error
    if not answer:
        raise BenchError(
            f"the virtual board's supervisor ended during {request['op']!r}", target=board
        )
    reply = json.loads(answer)
    if "error" in reply:
        raise BenchError(f"control {request['op']!r}: {reply['error']}", target=board)
    return reply["result"]
