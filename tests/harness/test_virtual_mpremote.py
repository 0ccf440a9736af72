"""Unmodified mpremote on the command line against virtual boards."""

from __future__ import annotations

import hashlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from hil.deadline import Deadline
from hil.virtual.board import VirtualBoard

MPREMOTE = [sys.executable, "-m", "mpremote"]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("mpremote")
    with VirtualBoard.start("mpremote", state=folder / "state", bus=folder / "bus") as board:
        yield board


def mpremote(board: VirtualBoard, *arguments: str, device: str | None = None) -> str:
    answer = subprocess.run(
        [*MPREMOTE, "connect", device or board.device, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "TZ": "UTC"},
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def test_files_there_and_back(board: VirtualBoard, tmp_path: Path) -> None:
    data = bytes(range(256)) * 20
    (tmp_path / "data.bin").write_bytes(data)
    mpremote(
        board,
        *("fs", "mkdir", ":folder", "+"),
        *("fs", "cp", str(tmp_path / "data.bin"), ":folder/data.bin", "+"),
        *("fs", "cp", ":folder/data.bin", str(tmp_path / "back.bin")),
    )
    assert (tmp_path / "back.bin").read_bytes() == data
    listing = mpremote(board, "ls", ":folder")
    assert re.search(r"^\s*5120 data\.bin\s*$", listing, re.MULTILINE)
    said = mpremote(board, "fs", "sha256sum", ":folder/data.bin")
    assert hashlib.sha256(data).hexdigest() in said
    mpremote(board, "fs", "rm", "-r", ":folder")
    assert "folder" not in mpremote(board, "ls")


def test_exec_run_and_eval(board: VirtualBoard, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("for n in range(3):\n    print('line', n)\n")
    assert mpremote(board, "exec", "print(6 * 7)").split() == ["42"]
    assert mpremote(board, "run", str(script)).splitlines() == ["line 0", "line 1", "line 2"]
    assert mpremote(board, "eval", "'a' + 'b'").split() == ["ab"]


def test_an_exception_is_told(board: VirtualBoard) -> None:
    answer = subprocess.run(
        [*MPREMOTE, "connect", board.device, "exec", "1 / 0"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert answer.returncode == 1
    assert "ZeroDivisionError: divide by zero" in answer.stdout + answer.stderr


def test_by_the_name_of_the_pseudo_terminal(board: VirtualBoard) -> None:
    device = os.path.realpath(board.device)
    assert mpremote(board, "eval", "1 + 1", device=device).split() == ["2"]


def test_soft_reset(board: VirtualBoard) -> None:
    before = board.control("status")
    mpremote(board, "exec", "kept = 1", "soft-reset")
    assert mpremote(board, "resume", "exec", "print('kept' in globals())").split() == ["False"]
    after = board.control("status")
    assert after["soft_resets"] > before["soft_resets"]
    assert after["boots"] == before["boots"]


def test_reset(board: VirtualBoard) -> None:
    boots = board.control("status")["boots"]
    mpremote(board, "reset")
    deadline = Deadline.after(5)
    while board.control("status")["boots"] == boots or not Path(board.device).exists():
        assert not deadline.expired
        time.sleep(0.005)
    assert mpremote(board, "eval", "2 + 2").split() == ["4"]


def test_rtc(board: VirtualBoard) -> None:
    mpremote(board, "rtc", "--set")
    fields = [int(field) for field in re.findall(r"\d+", mpremote(board, "rtc"))]
    year, month, day, _, hour, minute, second = fields[:7]
    board_time = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    assert abs(time.time() - board_time.timestamp()) < 5


def test_df(board: VirtualBoard) -> None:
    lines = mpremote(board, "df").splitlines()
    flash = next(line for line in lines if line.endswith("/flash"))
    assert 4_000_000 < int(flash.split()[1]) <= 4 * 1024 * 1024


def test_mount(board: VirtualBoard, tmp_path: Path) -> None:
    (tmp_path / "hosted.py").write_text("answer = 42\n")
    said = mpremote(board, "mount", str(tmp_path), "exec", "import hosted; print(hosted.answer)")
    assert "42" in said.split()  # mpremote prints its own line before it or after it


def test_repl(board: VirtualBoard) -> None:
    master, slave = pty.openpty()
    try:
        with subprocess.Popen(
            [*MPREMOTE, "connect", board.device, "repl"], stdin=slave, stdout=slave, stderr=slave
        ) as process:
            seen = b""

            def until(end: bytes) -> None:
                nonlocal seen
                deadline = Deadline.after(15)
                while end not in seen:
                    assert select.select([master], [], [], deadline.remaining())[0], seen
                    seen += os.read(master, 4096)
                seen = seen.partition(end)[2]

            until(b"Use Ctrl-] or Ctrl-x to exit")
            os.write(master, b"\r")
            until(b">>> ")
            os.write(master, b"6 * 7\r")
            until(b"\r\n42\r\n>>> ")
            os.write(master, b"while True: pass\r\r")
            time.sleep(0.1)
            os.write(master, b"\x03")
            until(b"KeyboardInterrupt: \r\n>>> ")
            os.write(master, b"\x1d")
            assert process.wait(10) == 0
    finally:
        os.close(master)
        os.close(slave)
