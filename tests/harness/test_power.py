"""Power control: every block write of a boot is met by one cut, and the board comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hil import journal, power
from hil.deadline import Deadline
from hil.errors import BenchError, BoardError
from hil.link import files
from hil.link.board import BoardLink
from hil.link.repl import ReplError
from hil.power import VirtualPower
from hil.virtual.board import VirtualBoard

WRITING = b"with open('mark', 'wb') as f:\n f.write(b'm' * 2000)\n"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    with VirtualBoard.start(
        "power", model="openmv-n6", state=tmp_path / "state", bus=tmp_path / "bus"
    ) as board:
        yield board


@pytest.fixture
def link(board: VirtualBoard) -> Iterator[BoardLink]:
    with BoardLink("power", board.device, consent=board.consent) as link:
        yield link


@pytest.fixture
def control(board: VirtualBoard, link: BoardLink) -> VirtualPower:
    return VirtualPower(board, link)


def write(link: BoardLink, path: str, data: bytes) -> None:
    deadline = Deadline.after(10)
    with link.repl(deadline) as repl:
        files.write_file(repl, path, data, deadline)


def size(link: BoardLink, path: str) -> int:
    """-1: there is no such file."""
    deadline = Deadline.after(10)
    with link.repl(deadline) as repl:
        if not files.exists(repl, path, deadline):
            return -1
        return len(files.read_file(repl, path, deadline))


def block_writes(board: VirtualBoard) -> int:
    return int(board.control("status")["block_writes"])


def test_off_and_on_may_be_repeated(control: VirtualPower, link: BoardLink) -> None:
    for switch, state in ((control.off, False), (control.on, True)):
        switch()
        switch()
        assert control.is_on() is state
    assert size(link, "mark") == -1


def test_a_board_without_a_port_loses_its_power_too(
    control: VirtualPower, board: VirtualBoard, link: BoardLink
) -> None:
    """In its bootloader, out of which a cold boot leads."""
    assert link.send_away("import machine\nmachine.bootloader()", Deadline.after(5))
    control.off()
    assert not control.is_on()
    control.on()
    assert size(link, "mark") == -1, "MicroPython runs"


def test_every_write_of_a_boot_is_met_by_one_cut(
    board: VirtualBoard, control: VirtualPower, link: BoardLink
) -> None:
    write(link, "main.py", WRITING)
    written = []
    for cut in control.cuts():
        deadline = Deadline.after(10)
        with link.repl(deadline) as repl:
            files.remove_file(repl, "mark", deadline, missing_ok=True)
        control.off()
        before = block_writes(board)
        happened = cut.during(lambda: bool(board.control("status")["phase"] == "repl"))
        assert happened is not control.is_on()
        written.append(block_writes(board) - before)
        control.on()
    assert len(written) > 3
    assert written == [*range(1, len(written)), len(written) - 1]


def test_a_cut_may_hit_a_board_that_runs(
    board: VirtualBoard, control: VirtualPower, link: BoardLink
) -> None:
    told = []

    def work() -> bool:
        told.append(control.is_on())
        try:
            write(link, "new", b"n" * 2000)
        except BoardError:
            return False
        return True

    first, before = next(control.cuts()), block_writes(board)
    assert first.during(work) is True
    assert told == [True]
    assert block_writes(board) == before + 1
    control.on()
    assert size(link, "new") == -1


def test_a_board_that_does_nothing_is_told_of(control: VirtualPower) -> None:
    with pytest.raises(BoardError, match="has not written 1 blocks"):
        next(control.cuts()).during(lambda: False, within=0.05)
    assert control.is_on()


def test_an_application_that_writes_for_ever_is_named(
    control: VirtualPower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(power.virtual, "_MOST_WRITES", 2)
    with pytest.raises(BenchError, match="2 cuts, and it writes on"):
        list(control.cuts())


def test_a_full_flash_takes_nothing_and_the_journal_empties_it(link: BoardLink) -> None:
    write(link, "secret.bin", b"s" * 32)
    deadline = Deadline.after(10)
    with link.repl(deadline) as repl:
        journal.begin(repl, ["secret.bin"], 0.0, deadline)
        files.remove_file(repl, "secret.bin", deadline)
        assert files.fill(repl, journal.BALLAST, deadline) == 0
        with pytest.raises(ReplError) as full:
            repl.exec("with open('more', 'wb') as f: f.write(b'm')", deadline)
        assert full.value.os_error == "ENOSPC"
        assert journal.restore(repl, deadline) is not None
    assert size(link, "secret.bin") == 32
    write(link, "more", b"m" * 2000)


def test_a_folder_in_a_files_place_is_made_and_removed(link: BoardLink) -> None:
    deadline = Deadline.after(10)
    with link.repl(deadline) as repl:
        files.make_folder(repl, "folder", deadline)
        with pytest.raises(ReplError):
            repl.exec("open('folder', 'wb')", deadline)
        files.remove_folder(repl, "folder", deadline)
        assert not files.exists(repl, "folder", deadline)


CHECKS = """
    from hil.check import check, must

    found = {}

    @check("ROT-11", must, "one")
    def test_leaves_it_off(api, secret, power):
        found.update(key=secret.held())
        secret.delete()
        power.off()
        assert False, "in the middle of it"

    @check("ROT-12", must, "two")
    def test_finds_it_as_it_was(api, secret, clock):
        assert secret.read() == found["key"] == secret.held()
        assert abs(clock.now().offset) < 2
        assert clock.to_restore is None
        assert api.login().status_code == 200

    @check("ROT-13", must, "three")
    def test_loses_the_key_and_the_time(reboot, secret):
        secret.delete()
        reboot("power")
        assert len(secret.read()) == 32
"""


def test_a_check_that_leaves_the_power_off_spoils_no_other(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)
    pytester.makepyfile(CHECKS)
    target = "{kind: virtual, model: openmv-n6, provision: true}"
    pytester.makefile(".yaml", devices=f"targets:\n  cut: {target}\n")
    result = pytester.runpytest_subprocess("-m", "hil", timeout=100)
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*in the middle of it*"])
