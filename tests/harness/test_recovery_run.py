"""A board that falls silent in a run: it is brought back once, or is out, and the others finish."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hil.cli import main
from hil.deadline import Deadline
from hil.flash.bootloader import BOOTLOADER
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

SWITCH = Path(__file__).with_name("power_command.py")

# What a real board may take is too long for a test.
SHORT = """
    import hil.control, hil.link.board, hil.put_back, hil.recovery
    hil.recovery.BUDGET_S = 8.0
    hil.recovery.FIRST_ANSWER_S = 2.0
    hil.control.FILE_BUDGET_S = 2.0
    hil.link.board._SILENT_S = 0.5
    hil.put_back.BROKEN_S = 1.0
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
        if target.name != "sound":
            hang(target)

    @check("LOG-03", must, "three")
    def test_answers_again(api, clock):
        assert api.login().status_code == 200
        assert abs(clock.now().offset) < 2

    @check("LOG-04", must, "four")
    def test_answers_still(api):
        assert api.login().status_code == 200
"""

STRAYS = """
    import contextlib

    from hil.check import check, must
    from hil.deadline import Deadline
    from hil.errors import HilError
    from hil.link.port import PortGoneError

    @check("LOG-01", must, "one")
    def test_goes_into_its_bootloader(target, secret, clock, password_control):
        password_control.change("another")
        clock.skew(-86_400)
        with (
            contextlib.suppress(PortGoneError),
            target.controls.files._paused(Deadline.after(5)) as repl,
        ):
            repl.start("import machine\\nmachine.bootloader()", Deadline.after(5))
        secret.read()

    @check("LOG-02", must, "two")
    def test_answers_again(api, clock):
        assert api.login().status_code == 200
        assert abs(clock.now().offset) < 2
"""

VIRTUAL = "{kind: virtual, model: openmv-ae3, provision: true}"


@pytest.fixture(autouse=True)
def _own_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)


Attach = Callable[[str], VirtualBoard]


@pytest.fixture
def attach(tmp_path: Path) -> Iterator[Attach]:
    """Attached, as a real one is."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(
            VirtualBoard.start(name, model="openmv-n6", state=tmp_path / name, bus=tmp_path / "bus")
        )


@pytest.fixture
def board(attach: Attach) -> VirtualBoard:
    return attach("frail")


def silence(board: VirtualBoard) -> None:
    os.kill(board.control("status")["micropython_pid"], signal.SIGSTOP)


def enter_bootloader(board: VirtualBoard) -> None:
    deadline = Deadline.after(10)
    with BoardLink(board.name, board.device, consent=board.consent) as link:
        assert link.send_away(BOOTLOADER, deadline)
    while board.control("status")["phase"] != "bootloader":
        assert not deadline.expired


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


Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    def run(devices: str, *options: str, checks: str = CHECKS) -> pytest.RunResult:
        pytester.makeconftest(SHORT)
        pytester.makepyfile(checks)
        (pytester.path / "devices.yaml").write_text(f"targets:\n{devices}")
        result = pytester.runpytest_subprocess("-m", "hil", *options, timeout=100)
        assert "Traceback" not in result.stdout.str()
        return result

    return run


def test_boards_that_hang_in_a_check_come_back_by_power_or_are_out(
    run: Run, attach: Attach
) -> None:
    frail = f"  frail:{attached(attach('frail'), power=True)}\n"
    lost = f"  lost:{attached(attach('lost'), power=False)}\n"
    result = run(frail + lost + f"  sound: {VIRTUAL}\n")
    # Errors, since the board is to blame; and one for each, though the fixtures failed as well.
    result.assert_outcomes(passed=3 + 1 + 4, errors=2, skipped=2)
    result.stdout.fnmatch_lines(
        [
            "frail: 3 checks passed, 1 error",
            "lost: 1 check passed, 1 error, 2 skipped",
            "sound: 4 checks passed",
            "board: errors, and what has brought it back",
            "  LOG-02 frail: no raw REPL on *",
            "  LOG-02 lost: no raw REPL on *",
            "  frail: power has brought it back: Ctrl-C *: *; hard reset not tried: *",
            "  lost is out of the run, 2 checks not examined: nothing has brought it back: Ctrl-C *"
            "; power not tried: nothing at 'lost' switches its power",
            "bench: errors, waits and problems",
            "  hil: not put back: lost: *",
            "not checked, and why",
            "  LOG-03, LOG-04: lost is out of the run",
        ]
    )


def test_boards_that_are_silent_from_the_start_come_back_or_cost_one_error(
    run: Run, attach: Attach
) -> None:
    dark, mute = attach("dark"), attach("mute")
    dark.power_off()
    silence(mute)
    devices = f"  dark:{attached(dark, power=True)}\n  mute:{attached(mute, power=False)}\n"
    result = run(devices, "-k", "answers")
    result.assert_outcomes(passed=3, errors=1, skipped=2, deselected=2)
    result.stdout.fnmatch_lines(
        [
            "BoardError: mute: *; nothing has brought it back: Ctrl-C *",
            "*-> take its power by*",
            "dark: 3 checks passed",
            "  note: no board with the USB serial number *; power has brought it back: *",
        ]
    )


def test_a_board_in_its_bootloader_is_led_out_of_it(run: Run, attach: Attach) -> None:
    """Nothing flashes it: it runs what it has."""
    frail = attach("frail")
    before = frail.control("status")["firmware"]
    enter_bootloader(frail)
    result = run(f"  frail:{attached(frail, power=False)}\n", "-k", "answers")
    result.assert_outcomes(passed=3, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "frail: 3 checks passed",
            "  note: the board is in its bootloader (37c5:9206), and stays there; bootloader has "
            "brought it back: Ctrl-C *: the same; soft reset not tried: it has no port; *",
        ]
    )
    assert frail.control("status")["firmware"] == before


def test_one_that_comes_back_to_its_bootloader_needs_its_power(run: Run, attach: Attach) -> None:
    # Whether it is seen to be away for a moment is left to the machine's load.
    frail, lost = attach("frail"), attach("lost")
    for board in (frail, lost):
        enter_bootloader(board)
        board.control("bootloader_fault", kind="stays")
    result = run(
        f"  frail:{attached(frail, power=True)}\n  lost:{attached(lost, power=False)}\n",
        *("-k", "answers"),
    )
    result.assert_outcomes(passed=3, errors=1, skipped=2, deselected=2)
    result.stdout.fnmatch_lines(
        [
            "BoardError: lost: the board is in its bootloader (37c5:9206), and stays there; "
            "nothing has brought it back: *; bootloader *; power not tried: *",
            "frail: 3 checks passed",
            "  note: *; power has brought it back: *; bootloader *; power *",
        ]
    )


def test_boards_that_get_into_their_bootloader_in_a_check_come_back(
    run: Run, attach: Attach
) -> None:
    frail = f"  frail:{attached(attach('frail'), power=False)}\n"
    result = run(frail + f"  inside: {VIRTUAL}\n", checks=STRAYS)
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(
        [
            "frail: 1 check passed, 1 error",
            "inside: 1 check passed, 1 error",
            "  frail: *bootloader has brought it back: Ctrl-C *",
            "  inside: *bootloader has brought it back: Ctrl-C *",
        ]
    )


# --- hil recover --------------------------------------------------------------------------------


@pytest.fixture
def recover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Result]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hil.recovery.BUDGET_S", 7.0)

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


def test_by_hand_a_board_is_led_out_of_its_bootloader(
    recover: Callable[[str], Result], board: VirtualBoard
) -> None:
    enter_bootloader(board)
    result = recover(attached(board, power=False))
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[3:] == [
        *(line for line in result.output.splitlines() if line.startswith("frail: bootloader ")),
        "frail: reset, its application starts",
    ]
    assert ": it answers" in result.output.splitlines()[3]
    assert board.control("status")["phase"] != "bootloader"


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
