"""A run that is killed puts nothing back: the next one does, from the journal on the board."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.deadline import Deadline
from hil.link import files
from hil.link.board import BoardLink
from hil.report import events, runs
from hil.virtual.board import VirtualBoard

ROTATES_AND_HANGS = """
    import sys, threading
    from hil.check import check, must

    @check("ROT-02", must, "OpenMV docs 10.9.1")
    def test_rotation(secret, api, reboot, clock, password_control):
        secret.delete()
        reboot()
        clock.skew(86_400)
        password_control.change("another")
        print("changed", flush=True, file=sys.__stdout__)
        threading.Event().wait()
"""

LOGS_IN = """
    from hil.check import check, must

    @check("LOG-01", must, "OpenMV docs 10.9.2")
    def test_login(api):
        assert api.login().status_code == 200
"""

SPOILS_THE_JOURNAL = """
    from hil.check import check, must

    @check("LOG-01", must, "OpenMV docs 10.9.2")
    def test_spoils_it(files):
        files.write(".hil/index.json", b"not JSON")
"""


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualBoard]:
    """A board that outlives the runs, as a real one does."""
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.setenv("PORCH_PASSWORD", "correct horse")
    monkeypatch.delenv("HIL_DEVICES", raising=False)
    with VirtualBoard.start(
        "porch", model="openmv-n6", state=tmp_path / "porch", bus=tmp_path / "bus"
    ) as board:
        yield board


def run(pytester: pytest.Pytester, board: VirtualBoard) -> subprocess.Popen[str]:
    pytester.makefile(
        ".yaml",
        devices=f"""
            targets:
              porch:
                kind: board
                model: openmv-n6
                usb_serial: "{board.record.serial_number}"
                provision: true
                wifi: {{ssid: bench}}
                password: "${{PORCH_PASSWORD}}"
            """,
    )
    command = [sys.executable, "-m", "pytest", "-m", "hil", "-s", "-p", "no:cacheprovider"]
    return subprocess.Popen(
        command, cwd=pytester.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def on_board(board: VirtualBoard, path: str) -> bytes | None:
    deadline = Deadline.after(10)
    with (
        BoardLink("porch", board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        return files.read_file(repl, path, deadline) if files.exists(repl, path, deadline) else None


@pytest.fixture
def as_found(board: VirtualBoard) -> dict[str, bytes]:
    """What is on the board before anybody runs anything."""
    found = {"secret.bin": b"s" * 32, "settings.json": b'{"hostname": "as-found"}'}
    deadline = Deadline.after(10)
    with (
        BoardLink("porch", board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        for path, data in found.items():
            files.write_file(repl, path, data, deadline)
    return found


def wait_for_the_change(running: subprocess.Popen[str]) -> None:
    assert running.stdout
    seen = ""
    while "changed" not in seen:
        line = running.stdout.readline()
        assert line, seen
        seen += line


def test_the_run_after_a_kill_restores_the_board_and_passes(
    pytester: pytest.Pytester, board: VirtualBoard, as_found: dict[str, bytes]
) -> None:
    pytester.makepyfile(ROTATES_AND_HANGS)
    killed = run(pytester, board)
    wait_for_the_change(killed)
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert on_board(board, ".hil/index.json") is not None
    assert on_board(board, "secret.bin") != as_found["secret.bin"]
    left = runs.Run.load(runs.find(pytester.path / "artifacts"))
    assert left.end is None
    done = {type(event) for event in left.targets["porch"].events}
    assert {events.KeyChange, events.Boot, events.ClockSeen} <= done, "it tells all it had done"

    pytester.makepyfile(LOGS_IN)
    following = run(pytester, board)
    output, _ = following.communicate(timeout=60)
    assert following.returncode == 0, output
    assert "restored what a killed run had left" in output
    assert {path: on_board(board, path) for path in as_found} == as_found
    assert on_board(board, ".hil/index.json") is None


def test_ctrl_c_leaves_the_board_as_it_was_found(
    pytester: pytest.Pytester, board: VirtualBoard, as_found: dict[str, bytes]
) -> None:
    pytester.makepyfile(ROTATES_AND_HANGS)
    interrupted = run(pytester, board)
    wait_for_the_change(interrupted)
    os.kill(interrupted.pid, signal.SIGINT)
    interrupted.communicate(timeout=60)
    assert {path: on_board(board, path) for path in as_found} == as_found
    assert on_board(board, ".hil/index.json") is None


def test_a_board_that_is_not_put_back_fails_the_run(
    pytester: pytest.Pytester, board: VirtualBoard, as_found: dict[str, bytes]
) -> None:
    pytester.makepyfile(SPOILS_THE_JOURNAL)
    spoilt = run(pytester, board)
    output, _ = spoilt.communicate(timeout=60)
    assert "not put back: porch" in output, output
    assert spoilt.returncode == 1, output


def test_a_board_that_cannot_be_provisioned_goes_on_with_its_application(
    pytester: pytest.Pytester, board: VirtualBoard
) -> None:
    deadline = Deadline.after(10)
    with (
        BoardLink("porch", board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        files.write_file(repl, "main.py", b"while True: pass", deadline)
        repl.exec("import os\nos.mkdir('.hil')", deadline)
        files.write_file(repl, ".hil/index.json", b"not JSON", deadline)
    boots = board.control("status")["boots"]
    pytester.makepyfile(LOGS_IN)
    refused = run(pytester, board)
    output, _ = refused.communicate(timeout=90)
    assert refused.returncode == 1, output
    assert "BoardError: porch" in output
    assert board.control("status")["boots"] == boots + 1, "it was started again"
