"""A whole run on a board behind ser2net, or at a place of labgrid: the same verdicts as on one that
is attached here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from check_run import run_checks, short_folder
from labgrid_rig import Coordinator, coordinator, exporter, serial_port
from serial_server import ser2net

from hil.places.session import me
from hil.virtual.board import VirtualBoard

#: Login, rotation, clock, console: files, the secret, pauses, resets, what the board prints.
ONE = "test_the_right_password_gets_a_token"
FEW = (
    f"{ONE} or a_wrong_password_is_refused or a_rotation_ends_every_token"
    " or refused_at_the_very_second or the_console_tells_no_secret"
)

HANGS = """
    import sys, threading
    from hil.check import check, must

    @check("LOG-01", must, "OpenMV docs 10.9.2")
    def test_hangs(api):
        assert api.login().status_code == 200
        print("in the middle", flush=True, file=sys.__stdout__)
        threading.Event().wait()
"""


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualBoard]:
    with short_folder() as folder:
        monkeypatch.setenv("HIL_VIRTUAL_BUS", str(folder / "bus"))
        with VirtualBoard.start("loft", state=folder / "b", bus=folder / "bus") as board:
            yield board


@pytest.fixture
def lab(
    board: VirtualBoard, require_program: Callable[[str, str], Path], tmp_path: Path
) -> Iterator[Coordinator]:
    """With the board at a place that has the tag ``board=n6``."""
    require_program("ser2net", "ser2net")
    with (
        coordinator(tmp_path / "lab") as lab,
        exporter(lab, "pi", serial_port("cams", board.device)),
    ):
        tags = {"board": "n6", "unique_id": board.unique_id.hex()}
        lab.add_place("loft", "pi/cams/NetworkSerialPort", tags)
        yield lab


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


COMMON = (
    "kind: board\nmodel: openmv-n6\nprovision: true\nwifi: {ssid: virtual}\ntrusted_network: true"
)


def entry(port: str, unique_id: str) -> str:
    return f"{COMMON}\nport: {port}\nunique_id: {unique_id}"


def test_a_remote_board_gets_the_same_verdicts(
    board: VirtualBoard,
    lab: Coordinator,
    folder: Path,
    require_program: Callable[[str, str], Path],
    tmp_path: Path,
) -> None:
    unique_id = board.unique_id.hex()
    local = run_checks(folder, entry(board.device, unique_id), "-k", FEW)
    assert len(local.having("passed")) == 5, local.output
    program = require_program("ser2net", "ser2net")
    with ser2net(program, board.device, "rfc2217", tmp_path / "s", tuned=True) as server:
        remote = run_checks(folder, entry(server.url, unique_id), "-k", FEW)
    assert remote.verdicts == local.verdicts, remote.output
    place = f"{COMMON}\nlabgrid: {{coordinator: '{lab.address}', tags: {{board: n6}}}}"
    remote = run_checks(folder, place, "-k", FEW)
    assert remote.verdicts == local.verdicts, remote.output
    assert f"targets: {folder.name}.loft (openmv-n6)" in remote.output
    assert lab.acquired_by("loft") is None


def test_a_place_is_given_back_after_ctrl_c_and_by_the_run_after_a_killed_one(
    lab: Coordinator, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_LOCKS", str(folder / "locks"))
    fields = COMMON.replace("\n", "\n    ")
    (folder / "devices.yaml").write_text(
        f"targets:\n  loft:\n    {fields}\n"
        f"    labgrid: {{coordinator: '{lab.address}', place: loft}}\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_hangs.py").write_text(dedent(HANGS))
    outputs = []
    for ending in (signal.SIGKILL, signal.SIGINT):
        run = subprocess.Popen(
            [sys.executable, "-m", "pytest", "-m", "hil", "-s", "-p", "no:cacheprovider"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert run.stdout is not None
        seen = line = run.stdout.readline()
        while line and "in the middle" not in line:
            line = run.stdout.readline()
            seen += line
        assert line, seen
        assert lab.acquired_by("loft") == me()
        os.kill(run.pid, ending)
        outputs.append(seen + run.communicate(timeout=60)[0])
        assert lab.acquired_by("loft") == (me() if ending == signal.SIGKILL else None)
    assert "place 'loft' was left acquired by a run that has died" in outputs[1]


def test_another_board_behind_the_port_is_refused_and_left_as_it_was(
    board: VirtualBoard, folder: Path
) -> None:
    found = board.unique_id.hex()
    listed = "0" * len(found)
    run = run_checks(folder, entry(board.device, listed), "-k", ONE)
    assert run.having("error") == {"LOG-01"}, run.output
    assert f"lists unique_id {listed}, the board says {found}" in run.output
    assert "have two boards been swapped?" in run.output
    assert board.control("status")["boots"] == 1, "a board that is not ours was reset"
