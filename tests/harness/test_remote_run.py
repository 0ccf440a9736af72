"""A whole run on a board behind ser2net: the same verdicts as on one that is attached here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from check_run import run_checks, short_folder
from serial_server import ser2net

from hil.virtual.board import VirtualBoard

#: Login and rotation: files, the secret, pauses, a reset.
ONE = "test_the_right_password_gets_a_token"
FEW = f"{ONE} or a_wrong_password_is_refused or a_rotation_ends_every_token"


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualBoard]:
    with short_folder() as folder:
        monkeypatch.setenv("HIL_VIRTUAL_BUS", str(folder / "bus"))
        with VirtualBoard.start("loft", state=folder / "b", bus=folder / "bus") as board:
            yield board


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def entry(port: str, unique_id: str) -> str:
    return (
        f"kind: board\nmodel: openmv-n6\nport: {port}\nunique_id: {unique_id}\nprovision: true\n"
        "wifi: {ssid: virtual}\ntrusted_network: true"
    )


def test_a_remote_board_gets_the_same_verdicts(
    board: VirtualBoard, folder: Path, require_program: Callable[[str, str], Path], tmp_path: Path
) -> None:
    unique_id = board.unique_id.hex()
    local = run_checks(folder, entry(board.device, unique_id), "-k", FEW)
    assert len(local.having("passed")) == 3, local.output
    program = require_program("ser2net", "ser2net")
    with ser2net(program, board.device, "rfc2217", tmp_path / "s", tuned=True) as server:
        remote = run_checks(folder, entry(server.url, unique_id), "-k", FEW)
    assert remote.verdicts == local.verdicts, remote.output


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
