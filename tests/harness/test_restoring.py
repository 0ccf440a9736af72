"""``hil restore``: after a kill, without another run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hil import journal, lock
from hil.cli import main
from hil.clock import rtc
from hil.deadline import Deadline
from hil.link import files
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

FOUND = {"secret.bin": b"s" * 32, "settings.json": b'{"hostname": "as-found"}'}
CHANGED = {"secret.bin": b"c" * 32, "settings.json": b'{"hostname": "hil-123456"}'}
AHEAD_S = 86_400


def deadline() -> Deadline:
    return Deadline.after(10)


def leave_a_journal(board: VirtualBoard) -> None:
    """As a run that was killed does: everything changed, the originals aside, the clock ahead."""
    with (
        BoardLink(board.name, board.device, consent=board.consent) as link,
        link.repl(deadline()) as repl,
    ):
        for path, data in FOUND.items():
            files.write_file(repl, path, data, deadline())
        assert journal.begin(repl, [*FOUND, "clock.json"], 0.0, deadline())
        for path, data in {**CHANGED, "clock.json": b"{}", journal.BALLAST: b"x"}.items():
            files.write_file(repl, path, data, deadline())
        rtc.set_clock(repl, round(time.time()) + AHEAD_S, deadline())


def on_board(board: VirtualBoard) -> tuple[dict[str, bytes], float]:
    """Its files of the application, and how far its clock is ahead."""
    with (
        BoardLink(board.name, board.device, consent=board.consent) as link,
        link.repl(deadline()) as repl,
    ):
        paths = [*FOUND, "clock.json", ".hil/index.json"]
        there = [path for path in paths if files.exists(repl, path, deadline())]
        return (
            {path: files.read_file(repl, path, deadline()) for path in there},
            rtc.read(repl, deadline()).offset,
        )


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)


@pytest.fixture
def porch(tmp_path: Path) -> Iterator[VirtualBoard]:
    """A board that is attached, as a real one is."""
    with VirtualBoard.start("porch", state=tmp_path / "porch", bus=tmp_path / "bus") as board:
        yield board


def inventory(board: VirtualBoard, provision: str = "true") -> None:
    Path("devices.yaml").write_text(
        f"""
targets:
  porch:
    kind: board
    model: openmv-n6
    usb_serial: "{board.record.serial_number}"
    provision: {provision}
  site: {{kind: url, url: "http://192.0.2.1"}}
"""
    )


def restore(*words: str) -> Result:
    return CliRunner().invoke(main, ["restore", *words])


def test_an_attached_board_is_restored_and_started(porch: VirtualBoard) -> None:
    inventory(porch)
    leave_a_journal(porch)
    boots = porch.control("status")["boots"]
    result = restore("--json")
    assert result.exit_code == 0, result.output
    first, site = json.loads(result.output)
    assert (first["target"], first["status"]) == ("porch", "restored")
    assert first["files"] == ["clock.json", "secret.bin", "settings.json"]
    assert site["status"] == "refused"
    assert porch.control("status")["boots"] == boots + 1, "its application runs again"
    left, ahead = on_board(porch)
    assert left == FOUND
    assert abs(ahead) < 2
    assert "porch: nothing: no run has left anything on it" in restore("porch").output
    assert lock.holder(porch.record.serial_number) is None


def test_a_board_in_its_bootloader_is_led_out_first(porch: VirtualBoard) -> None:
    inventory(porch)
    leave_a_journal(porch)
    with BoardLink("porch", porch.device, consent=porch.consent) as link:
        link.send_away("import machine\nmachine.bootloader()", deadline())
    result = restore("porch")
    assert result.exit_code == 0, result.output
    assert "porch: restored: clock.json, secret.bin, settings.json" in result.output
    assert on_board(porch)[0] == FOUND


def test_a_board_of_the_embedded_bench_is_powered_for_it(tmp_path: Path) -> None:
    Path("devices.yaml").write_text(
        "targets:\n"
        "  shed: {kind: virtual, model: openmv-ae3, provision: true}\n"
        "  attic: {kind: virtual, model: openmv-ae3, provision: true}\n"
    )
    state = tmp_path / ".hil" / "boards" / "shed"
    with VirtualBoard.start("shed", "openmv-ae3", state=state) as board:
        leave_a_journal(board)
    result = restore()
    assert result.exit_code == 0, result.output
    assert "shed: restored: clock.json, secret.bin, settings.json" in result.output
    assert "attic: nothing: it has never been started" in result.output
    with VirtualBoard.start("shed", "openmv-ae3", state=state) as board:
        assert on_board(board)[0] == FOUND


def test_a_board_without_consent_is_refused_with_the_reason(porch: VirtualBoard) -> None:
    inventory(porch, provision="false")
    leave_a_journal(porch)
    boots = porch.control("status")["boots"]
    result = restore("porch")
    assert result.exit_code == 3
    assert "porch: refused:" in result.output
    assert "'provision: true'" in result.output
    assert porch.control("status")["boots"] == boots
    assert on_board(porch)[0]["secret.bin"] == CHANGED["secret.bin"]


def test_a_board_that_is_not_listed_is_refused(porch: VirtualBoard) -> None:
    inventory(porch)
    result = restore("garden")
    assert result.exit_code == 2
    assert "no target 'garden'" in result.stderr


def test_a_board_that_is_not_attached_is_the_benchs_fault(porch: VirtualBoard) -> None:
    inventory(porch)
    porch.stop()
    result = restore("porch")
    assert result.exit_code == 3
    assert "porch: failed:" in result.output


def test_a_board_in_a_run_is_waited_for(porch: VirtualBoard) -> None:
    inventory(porch)
    leave_a_journal(porch)
    with lock.hold(porch.record.serial_number, "checks on porch", deadline()):
        result = restore("porch", "--wait", "0.3")
    assert result.exit_code == 3
    assert "waiting for porch: held by" in result.stderr
    assert on_board(porch)[0]["secret.bin"] == CHANGED["secret.bin"], "not touched"


def test_a_journal_that_cannot_be_read_is_the_boards_fault(porch: VirtualBoard) -> None:
    inventory(porch)
    leave_a_journal(porch)
    with (
        BoardLink("porch", porch.device, consent=porch.consent) as link,
        link.repl(deadline()) as repl,
    ):
        files.write_file(repl, ".hil/index.json", b"not JSON", deadline())
    boots = porch.control("status")["boots"]
    result = restore("porch")
    assert result.exit_code == 4
    assert "porch: failed:" in result.output
    assert porch.control("status")["boots"] == boots + 1, "it is started all the same"
