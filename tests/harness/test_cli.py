"""The ``hil`` command as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hil.cli import main
from hil.virtual.board import VirtualBoard

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("HIL_DEVICES", raising=False)
    return lambda *words: CliRunner().invoke(main, words, catch_exceptions=True)


@pytest.fixture
def attached(tmp_path: Path) -> Iterator[VirtualBoard]:
    with VirtualBoard.start(
        "porch", model="openmv-n6", state=tmp_path / "porch", bus=tmp_path / "bus"
    ) as board:
        yield board


def inventory(tmp_path: Path, board: VirtualBoard) -> None:
    (tmp_path / "devices.yaml").write_text(
        f"""
targets:
  porch:
    kind: board
    model: openmv-n6
    usb_serial: {board.record.serial_number}
    provision: true
  shed:
    kind: board
    model: openmv-ae3
    usb_serial: 0123456789abcdef
    provision: true
"""
    )


def test_list_tells_attached_from_absent(run: Run, tmp_path: Path, attached: VirtualBoard) -> None:
    inventory(tmp_path, attached)
    rows = json.loads(run("list", "--json").output)
    assert [(row["target"], row["state"], row["port"]) for row in rows] == [
        ("porch", "attached", attached.device),
        ("shed", "absent", ""),
    ]
    assert rows[0]["firmware"] == "", "a board that was not asked"


def test_list_does_not_claim_that_a_remote_board_is_there(run: Run, tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text(
        "targets: {loft: {kind: board, model: openmv-n6, port: 'socket://127.0.0.1:9'}}\n"
    )
    (row,) = json.loads(run("list", "--json").output)
    assert (row["state"], row["port"]) == ("remote", "socket://127.0.0.1:9")


def test_list_asks_a_board_what_it_runs(run: Run, tmp_path: Path, attached: VirtualBoard) -> None:
    inventory(tmp_path, attached)
    rows = json.loads(run("list", "--ask", "--json").output)
    assert "MicroPython 1." in rows[0]["firmware"]


def test_list_names_what_is_attached_and_not_listed(run: Run, attached: VirtualBoard) -> None:
    result = run("list")
    assert result.exit_code == 0
    assert attached.record.serial_number in result.output
    assert "unlisted" in result.output
    assert "devices.yaml" in result.output


def test_doctor_examines_a_board_and_fails_on_an_absent_one(
    run: Run, tmp_path: Path, attached: VirtualBoard
) -> None:
    inventory(tmp_path, attached)
    assert run("doctor", "porch", "--repl").exit_code == 0
    result = run("doctor", "--json")
    assert result.exit_code == 1
    (failed,) = [one for one in json.loads(result.output) if one["status"] == "fail"]
    assert failed["who"] == "shed"
    assert "0123456789abcdef" in failed["told"]
    assert failed["next_step"]


def test_what_doctor_finds_is_five_words_and_a_next_step(
    run: Run, tmp_path: Path, attached: VirtualBoard
) -> None:
    inventory(tmp_path, attached)
    found = json.loads(run("doctor", "--json").output)
    assert found
    for one in found:
        assert list(one) == ["who", "what", "status", "told", "next_step"]
        assert one["status"] in {"ok", "note", "warn", "fail", "skip"}
        assert one["told"]
        assert one["next_step"] or one["status"] not in {"warn", "fail"}
    assert {one["who"] for one in found} == {"host", "porch", "shed"}


def test_doctor_tells_a_wrong_inventory_and_examines_the_host(run: Run, tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text("targets:\n  porch:\n    kynd: board\n")
    result = run("doctor", "--json")
    assert result.exit_code == 1
    found = {one["what"]: one for one in json.loads(result.output)}
    assert found["inventory"]["status"] == "fail"
    assert "devices.yaml:3:5" in found["inventory"]["told"]
    assert found["packages"]["status"] == "ok"


def test_doctor_does_not_know_a_target_that_is_not_listed(run: Run) -> None:
    result = run("doctor", "shed")
    assert result.exit_code == 2
    assert "no target 'shed'" in result.stderr


def test_doctor_shows_a_table_with_the_next_steps_and_the_sum(
    run: Run, tmp_path: Path, attached: VirtualBoard
) -> None:
    inventory(tmp_path, attached)
    result = run("doctor", "shed")
    assert result.exit_code == 1
    assert "-> is it plugged in and powered?" in result.output
    assert "1 fail" in result.output


def test_a_wrong_inventory_is_usage_and_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "devices.yaml").write_text("targets:\n  porch:\n    kynd: board\n")
    result = run("list")
    assert result.exit_code == 2
    assert "devices.yaml:3:5" in result.stderr
    assert "'kind'" in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_explain_tells_source_request_and_cause(run: Run) -> None:
    result = run("checks", "explain", "exp-02")
    assert result.exit_code == 0
    assert "RFC 7519 §4.1.4" in result.output
    assert "cause    usually: " in result.output


def test_explain_of_an_unknown_check_offers_the_nearest(run: Run) -> None:
    result = run("checks", "explain", "EXP-2")
    assert result.exit_code == 2
    assert "EXP-02" in result.output
