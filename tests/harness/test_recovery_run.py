"""A board that falls silent in a run: it is brought back once, or is out, and the others finish."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hil.cli import main
from hil.virtual.board import VirtualBoard

SWITCH = Path(__file__).with_name("power_command.py")

# What a real board may take is too long for a test.
SHORT = """
    import hil.bringup, hil.control, hil.recovery
    hil.recovery.BUDGET_S = 8.0
    hil.recovery.FIRST_ANSWER_S = 2.0
    hil.control.FILE_BUDGET_S = 2.0
    hil.bringup.BROKEN_PUT_BACK_S = 1.0
"""

CHECKS = """
    from hil.check import check, must
    from hil.deadline import Deadline

    def hang(target):
        # As in a C call: Ctrl-C does nothing any more.
        code = "import micropython\\nmicropython.kbd_intr(-1)\\nwhile True: pass"
        with target.controls.files._paused(Deadline.after(5)) as repl:
            repl.start(code, Deadline.after(5))

    @check("LOG-01", must, "one")
    def test_answers(api):
        assert api.login().status_code == 200

    @check("LOG-02", must, "two")
    def test_falls_silent(target, secret, clock, password_control):
        password_control.change("another")
        clock.skew(-86_400)
        if target.name == "frail":
            hang(target)

    @check("LOG-03", must, "three")
    def test_answers_again(api, clock):
        assert api.login().status_code == 200
        assert abs(clock.now().offset) < 2

    @check("LOG-04", must, "four")
    def test_answers_still(api):
        assert api.login().status_code == 200
"""

VIRTUAL = "{kind: virtual, model: openmv-ae3, provision: true}"


@pytest.fixture(autouse=True)
def _own_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    """Attached, as a real one is."""
    with VirtualBoard.start(
        "frail", model="openmv-n6", state=tmp_path / "frail", bus=tmp_path / "bus"
    ) as board:
        yield board


def silence(board: VirtualBoard) -> None:
    os.kill(board.control("status")["micropython_pid"], signal.SIGSTOP)


def attached(board: VirtualBoard, *, power: bool, provision: bool = True) -> str:
    command = f"{sys.executable}, {SWITCH}, {board.state}"
    return f"""
    kind: board
    model: openmv-n6
    usb_serial: "{board.record.serial_number}"
    provision: {"true" if provision else "false"}
    wifi: {{ssid: bench}}
    power: {f"{{command: {{off: [{command}, 'off'], on: [{command}, 'on']}}}}" if power else "none"}
"""


Run = Callable[[str], pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    def run(devices: str) -> pytest.RunResult:
        pytester.makeconftest(SHORT)
        pytester.makepyfile(CHECKS)
        (pytester.path / "devices.yaml").write_text(f"targets:\n{devices}")
        return pytester.runpytest_subprocess("-m", "hil", timeout=100)

    return run


def test_a_board_with_power_is_brought_back_and_goes_on(run: Run, board: VirtualBoard) -> None:
    result = run(f"  frail:{attached(board, power=True)}\n")
    result.assert_outcomes(passed=3, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "BoardError: frail: *",
            "frail: 3 checks passed, *",
            "  note: *; power has brought it back: Ctrl-C *: *; hard reset not tried: *",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_a_broken_board_is_out_at_once_and_the_others_finish(run: Run, board: VirtualBoard) -> None:
    result = run(f"  frail:{attached(board, power=False)}\n  sound: {VIRTUAL}\n")
    result.assert_outcomes(passed=5, failed=1, errors=1, skipped=2)
    result.stdout.fnmatch_lines(
        [
            "hil: not put back: frail: *",
            "frail: 1 check passed, *, 2 skipped",
            "sound: 4 checks passed",
            "*LOG-03, LOG-04: frail is out of the run: *; nothing has brought it back: Ctrl-C *; "
            "power not tried: nothing at 'frail' switches its power",
        ]
    )
    assert result.duration < 60


def test_a_silent_board_is_brought_back_before_its_first_check(
    run: Run, board: VirtualBoard
) -> None:
    silence(board)
    board.power_off()
    result = run(f"  frail:{attached(board, power=True)}\n")
    result.stdout.fnmatch_lines(["*note: no port *; power has brought it back: *"])


def test_a_board_that_is_broken_from_the_start_costs_one_error(
    run: Run, board: VirtualBoard
) -> None:
    silence(board)
    result = run(f"  frail:{attached(board, power=False)}\n")
    result.assert_outcomes(errors=1, skipped=3)
    result.stdout.fnmatch_lines(
        ["BoardError: frail: *; nothing has brought it back: Ctrl-C *", "*-> take its power by*"]
    )


# --- hil recover --------------------------------------------------------------------------------


@pytest.fixture
def recover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hil.recovery.BUDGET_S", 10.0)

    def recover(devices: str) -> Result:
        (tmp_path / "devices.yaml").write_text(f"targets:\n  frail:{devices}")
        return CliRunner().invoke(main, ["recover", "frail"])

    return recover


def test_by_hand_each_rung_is_told_and_the_board_runs(
    recover: Callable[[str], Result], board: VirtualBoard
) -> None:
    silence(board)
    result = recover(attached(board, power=True))
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    for line, start in zip(lines, BY_HAND, strict=True):
        assert line.startswith(f"frail: {start}")


BY_HAND = [
    "Ctrl-C ",
    "soft reset ",
    "hard reset not tried: there is no REPL",
    "bootloader not tried: ",
    "power ",
    "reset, its application starts",
]


def test_by_hand_a_broken_board_is_exit_code_4(
    recover: Callable[[str], Result], board: VirtualBoard
) -> None:
    silence(board)
    result = recover(attached(board, power=False))
    assert result.exit_code == 4
    assert "nothing has brought it back" in result.output


def test_by_hand_nothing_is_done_without_consent(
    recover: Callable[[str], Result], board: VirtualBoard
) -> None:
    boots = board.control("status")["boots"]
    result = recover(attached(board, power=True, provision=False))
    assert result.exit_code == 3
    assert "'provision: true' in its entry" in result.output
    assert board.control("status")["boots"] == boots
