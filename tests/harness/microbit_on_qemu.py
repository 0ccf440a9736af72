"""The micro:bit's MicroPython on QEMU: a firmware that nobody here has built, behind a UART."""

from __future__ import annotations

import contextlib
import queue
import re
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

FIRMWARE = "/usr/share/firmware-microbit-micropython/firmware.hex"


@dataclass(frozen=True)
class MicroBit:
    """:ivar pty: its serial line"""

    pty: str
    _process: subprocess.Popen[str]

    def reset(self) -> None:
        """As its button does."""
        assert self._process.stdin is not None
        self._process.stdin.write("system_reset\n")
        self._process.stdin.flush()


@contextlib.contextmanager
def running(qemu: Path) -> Iterator[MicroBit]:
    """:param qemu: the program ``qemu-system-arm``"""
    process = subprocess.Popen(
        [
            *(qemu, "-M", "microbit", "-device", f"loader,file={FIRMWARE}"),
            *("-serial", "pty", "-display", "none", "-monitor", "stdio"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process, lines), daemon=True)
    reader.start()
    try:
        yield MicroBit(_announced_pty(lines), process)
    finally:
        process.kill()
        process.wait()
        reader.join()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _announced_pty(lines: queue.Queue[str]) -> str:
    """QEMU prints ``char device redirected to /dev/pts/N``, on which stream depends on its age."""
    told = ""
    while True:
        try:
            line = lines.get(timeout=20)
        except queue.Empty:
            pytest.fail(f"QEMU announced no serial port in 20 s; it said: {told!r}")
        found = re.search(r"redirected to (/dev/\S+)", line)
        if found:
            return found[1]
        if not line:
            pytest.fail(f"QEMU ended without a serial port; it said: {told!r}")
        told += line
