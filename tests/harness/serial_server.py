"""The real ser2net in front of a serial port."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hil.deadline import Deadline

PROTOCOLS = {"rfc2217": "telnet(rfc2217),tcp", "socket": "tcp"}

CONFIG = """\
%YAML 1.1
---
connection: &board
  accepter: {accepter}{nodelay},127.0.0.1,{port}
  connector: serialdev,{device},115200n81,local
  options:
    chardelay: {chardelay}
"""


@dataclass(frozen=True)
class SerialServer:
    """:ivar url: what devices.yaml calls the port"""

    url: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def ser2net(
    program: Path, device: str, scheme: str, folder: Path, *, tuned: bool = False
) -> Iterator[SerialServer]:
    """:param scheme: ``rfc2217`` or ``socket``
    :param tuned: as docs/how-to/serial-server.md advises; else ser2net's defaults, with which it
        does not always notice that the port is gone
    """
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(5):  # somebody else may take the free port
        port = _free_port()
        config = folder / "ser2net.yaml"
        config.write_text(
            CONFIG.format(
                accepter=PROTOCOLS[scheme],
                nodelay="(nodelay)" if tuned else "",
                port=port,
                device=device,
                chardelay="false" if tuned else "true",
            )
        )
        with (folder / "ser2net.log").open("ab") as log:
            process = subprocess.Popen(
                [program, "-n", "-d", "-u", "-c", config], stdout=log, stderr=log
            )
        try:
            if _listens(port, process):
                yield SerialServer(f"{scheme}://127.0.0.1:{port}", process)
                return
        finally:
            process.kill()
            process.wait()
    pytest.fail(f"ser2net does not listen: {(folder / 'ser2net.log').read_text()[-1000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _listens(port: int, process: subprocess.Popen[bytes]) -> bool:
    """From the kernel's table: to connect would open the board's port."""
    deadline = Deadline.after(10)
    while not deadline.expired and process.poll() is None:
        if _listener(port, process.pid):
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    return False


def _listener(port: int, pid: int) -> bool:
    sockets = set()
    for fd in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            sockets.add(str(fd.readlink()))
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[1] == f"0100007F:{port:04X}" and words[3] == "0A":
            return f"socket:[{words[9]}]" in sockets
    return False
