"""The virtual boards' SD card: where boot mounts it, what it hides, and that it is out again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.deadline import Deadline
from hil.errors import BenchError
from hil.link import files
from hil.link.board import BoardLink
from hil.link.repl import ReplError
from hil.virtual import bus
from hil.virtual.board import VirtualBoard


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    with start(tmp_path / "state") as board:
        yield board


def start(state: Path, model: str = "openmv-n6") -> VirtualBoard:
    return VirtualBoard.start("card", model=model, state=state, bus=state.parent / "bus")


def insert(board: VirtualBoard, *, blank: bool = True) -> None:
    board.power_off()
    board.control("insert_card", blank=blank)
    board.power_on()


def remove(board: VirtualBoard) -> None:
    board.power_off()
    board.control("remove_card")
    board.power_on()


def power_cycle(board: VirtualBoard) -> None:
    board.power_off()
    board.power_on()


def told(board: VirtualBoard, expression: str) -> object:
    deadline = Deadline.after(10)
    with (
        BoardLink(board.name, board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        return repl.eval(expression, deadline)


def write(board: VirtualBoard, path: str, data: bytes) -> None:
    deadline = Deadline.after(10)
    with (
        BoardLink(board.name, board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        files.write_file(repl, path, data, deadline)


CWD = "__import__('os').getcwd()"
HERE = "sorted(__import__('os').listdir())"
PATH = "__import__('sys').path"
RAN = "globals().get('ran')"


def test_boot_mounts_the_card_as_its_working_directory(board: VirtualBoard) -> None:
    assert told(board, CWD) == "/flash"
    without = told(board, PATH)
    insert(board)
    assert board.control("status")["card"] is True
    assert told(board, CWD) == "/sdcard"
    assert told(board, HERE) == []
    flash = ["", ".frozen", "/flash", "/flash/lib"]
    assert told(board, PATH) == [*flash, "/sdcard", "/sdcard/lib", "/rom", "/rom/lib"]
    remove(board)
    assert board.control("status")["card"] is False
    assert told(board, CWD) == "/flash"
    assert told(board, PATH) == without == [*flash, "/rom", "/rom/lib"]
    with pytest.raises(ReplError, match="ENODEV"):
        told(board, "__import__('os').listdir('/sdcard')")


def test_the_card_hides_the_boot_scripts_of_the_flash(board: VirtualBoard) -> None:
    write(board, "boot.py", b"ran = ['boot of flash']")
    write(board, "main.py", b"ran.append('main of flash')")
    power_cycle(board)
    assert told(board, RAN) == ["boot of flash", "main of flash"]
    insert(board)
    assert told(board, RAN) is None
    write(board, "main.py", b"import module\nran = module.name")
    write(board, "/flash/module.py", b"name = 'module of flash'")
    power_cycle(board)
    assert told(board, RAN) == "module of flash"
    remove(board)
    assert told(board, RAN) == ["boot of flash", "main of flash"]


def test_the_same_card_keeps_what_is_on_it_and_a_blank_one_has_nothing(
    board: VirtualBoard,
) -> None:
    insert(board)
    write(board, "kept", b"k" * 2000)
    remove(board)
    assert told(board, HERE) == []
    insert(board, blank=False)
    assert told(board, HERE) == ["kept"]
    insert(board, blank=True)
    assert told(board, HERE) == []


def test_skipsd_makes_boot_ignore_the_card(board: VirtualBoard) -> None:
    write(board, "SKIPSD", b"")
    insert(board)
    assert told(board, CWD) == "/flash"
    deadline = Deadline.after(10)
    with (
        BoardLink(board.name, board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        files.remove_file(repl, "SKIPSD", deadline)
    power_cycle(board)
    assert told(board, CWD) == "/sdcard"


def test_a_card_that_is_no_file_system_is_not_mounted(board: VirtualBoard) -> None:
    insert(board)
    board.power_off()
    with (board.state / "card.img").open("r+b") as image:
        image.write(b"x" * 65536)
    board.power_on()
    assert told(board, CWD) == "/flash"


def test_a_write_to_the_card_counts_for_a_power_cut(board: VirtualBoard) -> None:
    insert(board)
    before = board.control("status")["block_writes"]
    write(board, "new", b"n" * 2000)
    assert board.control("status")["block_writes"] > before + 3


def test_a_card_goes_in_and_out_without_power_only(board: VirtualBoard) -> None:
    with pytest.raises(BenchError, match="it has power"):
        board.control("insert_card")
    with pytest.raises(BenchError, match="it has power"):
        board.control("remove_card")
    board.power_off()
    with pytest.raises(BenchError, match="no card in it yet"):
        board.control("insert_card", blank=False)
    assert board.control("status")["card"] is False


def test_a_model_that_mounts_no_card_takes_none(tmp_path: Path) -> None:
    with start(tmp_path / "state", "openmv-ae3") as board:
        board.power_off()
        with pytest.raises(BenchError, match="mounts no SD card on openmv-ae3"):
            board.control("insert_card")


def test_the_card_is_out_when_the_supervisor_has_ended(tmp_path: Path) -> None:
    with start(tmp_path / "state") as board:
        insert(board)
        assert told(board, CWD) == "/sdcard"
    with start(tmp_path / "state") as board:
        assert told(board, CWD) == "/flash"


# --- as a control of the checks ---

AS_FOUND = {"secret.bin": b"s" * 32, "settings.json": b'{"hostname": "as-found"}'}

EMBEDDED = """
targets:
  slot:
    kind: virtual
    model: {model}
    provision: true
"""

LEAVES_IT_IN = """
    from hil.check import check, must

    found = {}

    @check("ROT-11", must, "one")
    def test_leaves_it_in(api, secret, files, card):
        found.update(key=secret.held())
        files.write("clock.json", b"of the flash")
        card.insert()
        assert api.login().status_code == 200
        assert files.read("clock.json") != files.read("/flash/clock.json")
        assert files.read("/sdcard/secret.bin") == secret.held() != found["key"]
        assert files.read("settings.json") == files.read("/flash/settings.json")
        assert False, "in the middle of it"

    @check("ROT-12", must, "two")
    def test_finds_it_as_it_was(api, secret, files, clock):
        assert not files.exists("/sdcard")
        assert secret.read() == found["key"] == secret.held() == files.read("/flash/secret.bin")
        assert abs(clock.now().offset) < 2
        assert api.login().status_code == 200
"""

HANGS = """
    import sys, threading
    from hil.check import check, must

    @check("ROT-13", must, "one")
    def test_hangs(api, secret, password_control, card):
        password_control.change("another")
        card.insert()
        secret.delete()
        print("changed", flush=True, file=sys.__stdout__)
        threading.Event().wait()
"""

FORGETS_IT = """
    from hil.check import check, must

    @check("ROT-13", must, "one")
    def test_forgets_it(api, target):
        target.controls.card.insert()
        assert api.login().status_code == 200
"""

LOGS_IN = """
    from hil.check import check, must

    @check("LOG-01", must, "one")
    def test_login(api, files):
        assert files.exists("/flash/.hil/index.json")
        assert not files.exists("/sdcard")
        assert api.login().status_code == 200
"""


@pytest.fixture
def embedded(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.Pytester:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)
    pytester.makefile(".yaml", devices=EMBEDDED.format(model="openmv-n6"))
    return pytester


def test_a_check_that_leaves_the_card_in_spoils_no_other(embedded: pytest.Pytester) -> None:
    embedded.makepyfile(LEAVES_IT_IN)
    result = embedded.runpytest_subprocess("-m", "hil", timeout=100)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*in the middle of it*"])


def test_without_a_card_the_check_is_skipped_with_the_reason(embedded: pytest.Pytester) -> None:
    embedded.makepyfile(HANGS)
    embedded.makefile(".yaml", devices=EMBEDDED.format(model="openmv-ae3"))
    result = embedded.runpytest_subprocess("-m", "hil", timeout=100)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*ROT-13: needs an SD card*, but*openmv-ae3 mounts no card*"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_ends_with_the_card_in_leaves_the_flash_to_be_restored(
    embedded: pytest.Pytester, tmp_path: Path, number: signal.Signals
) -> None:
    state = embedded.path / ".hil" / "boards" / "slot"
    with VirtualBoard.start("slot", state=state, bus=tmp_path / "bus") as board:
        for path, data in AS_FOUND.items():
            write(board, path, data)

    embedded.makepyfile(HANGS)
    running = run(embedded)
    wait_for(running, "changed")
    (supervisor,) = {port.supervisor_pid for port in bus.records(tmp_path / "bus")}
    os.kill(running.pid, number)
    running.communicate(timeout=60)
    wait_gone(supervisor)
    assert on_flash(state, tmp_path) == ({} if number == signal.SIGKILL else AS_FOUND)

    embedded.makepyfile(LOGS_IN)
    following = run(embedded)
    output, _ = following.communicate(timeout=60)
    assert following.returncode == 0, output
    assert ("restored what a killed run had left" in output) is (number == signal.SIGKILL)
    assert on_flash(state, tmp_path) == AS_FOUND


def test_a_card_that_nobody_takes_out_is_out_before_the_flash_is_put_back(
    embedded: pytest.Pytester, tmp_path: Path
) -> None:
    state = embedded.path / ".hil" / "boards" / "slot"
    with VirtualBoard.start("slot", state=state, bus=tmp_path / "bus") as board:
        for path, data in AS_FOUND.items():
            write(board, path, data)
    embedded.makepyfile(FORGETS_IT)
    embedded.runpytest_subprocess("-m", "hil", timeout=100).assert_outcomes(passed=1)
    assert on_flash(state, tmp_path) == AS_FOUND


def run(pytester: pytest.Pytester) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", "-m", "hil", "-s", "-p", "no:cacheprovider"]
    return subprocess.Popen(
        command, cwd=pytester.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(running: subprocess.Popen[str], word: str) -> None:
    assert running.stdout
    seen = ""
    while word not in seen:
        line = running.stdout.readline()
        assert line, seen
        seen += line


def wait_gone(pid: int) -> None:
    deadline = Deadline.after(10)
    while not deadline.expired:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.01)
    pytest.fail(f"the supervisor {pid} outlives its bench")


def on_flash(state: Path, tmp_path: Path) -> dict[str, bytes]:
    """The files of the board that no run holds; none of them while a journal waits."""
    deadline = Deadline.after(10)
    with (
        VirtualBoard.start("slot", state=state, bus=tmp_path / "bus") as board,
        BoardLink("slot", board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        assert repl.eval(CWD, deadline) == "/flash"
        if files.exists(repl, ".hil/index.json", deadline):
            return {}
        return {
            path: files.read_file(repl, path, deadline) for path in ("secret.bin", "settings.json")
        }
