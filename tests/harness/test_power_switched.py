"""The power of a real board, behind two commands; here the board is a virtual one."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hil.deadline import Deadline
from hil.errors import BenchError, BoardError
from hil.link.board import BoardLink
from hil.power import SwitchedPower
from hil.power.command import CommandSwitch
from hil.power.switched import CUTS
from hil.virtual.board import VirtualBoard

SWITCH = Path(__file__).with_name("power_command.py")


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    with VirtualBoard.start(
        "switched", model="openmv-n6", state=tmp_path / "state", bus=tmp_path / "bus"
    ) as board:
        yield board


@pytest.fixture
def link(board: VirtualBoard) -> Iterator[BoardLink]:
    with BoardLink("switched", board.device, consent=board.consent) as link:
        yield link


def switch_of(board: VirtualBoard) -> CommandSwitch:
    command = (sys.executable, str(SWITCH), str(board.state))
    return CommandSwitch((*command, "off"), (*command, "on"))


def is_on(board: VirtualBoard) -> bool:
    return bool(board.control("status")["power"] == "on")


def test_it_is_off_when_the_port_is_gone_and_on_when_it_is_back(
    board: VirtualBoard, link: BoardLink
) -> None:
    rebooted = []
    power = SwitchedPower(switch_of(board), link, lambda: rebooted.append(True), discharge_s=0.1)
    port = link.open(Deadline.after(5))
    for _ in "ab":
        power.off()
        assert not port.alive
        assert not is_on(board)
    for _ in "ab":
        power.on()
        assert is_on(board)
        assert link.identify(Deadline.after(5)).machine
    assert rebooted == [True]


@dataclass
class Switch:
    """Notes when it is switched; the board behind it is the test's own."""

    board: VirtualBoard
    log: list[tuple[str, float]] = field(default_factory=list)
    works: bool = True

    def __str__(self) -> str:
        return "the test's switch"

    def off(self, deadline: Deadline) -> None:
        self.log.append(("off", time.monotonic()))
        if self.works:
            self.board.power_off()

    def on(self, deadline: Deadline) -> None:
        self.log.append(("on", time.monotonic()))
        if self.works:
            self.board.power_on()


def test_a_switch_of_another_board_is_switched_on_again_and_told(
    board: VirtualBoard, link: BoardLink
) -> None:
    switch = Switch(board, works=False)
    power = SwitchedPower(switch, link, discharge_s=0.0)
    with pytest.raises(BenchError, match=r"the test's switch is off, and the port .* still there"):
        power.off(Deadline.after(0.3))
    assert [to for to, _ in switch.log] == ["off", "on"]


def test_a_port_that_is_away_is_not_waited_for(board: VirtualBoard, link: BoardLink) -> None:
    """A board in its bootloader, at the end of a ladder whose time is short."""
    link.open(Deadline.after(5))
    board.control("fault", name="vanish")
    switch = Switch(board)
    began = time.monotonic()
    SwitchedPower(switch, link, discharge_s=0.0).off(Deadline.after(10))
    (_, off), *_ = switch.log
    assert off - began < 2
    assert not is_on(board)


def test_the_port_of_a_uart_bridge_may_stay(board: VirtualBoard, link: BoardLink) -> None:
    switch = Switch(board, works=False)
    power = SwitchedPower(switch, link, port_stays=True, discharge_s=0.0)
    power.off()
    power.on()
    assert [to for to, _ in switch.log] == ["off", "on"]


def test_capacitors_are_given_their_time(board: VirtualBoard, link: BoardLink) -> None:
    switch = Switch(board)
    power = SwitchedPower(switch, link, discharge_s=0.4)
    power.off()
    power.on()
    (_, off), (_, on) = switch.log
    assert on - off >= 0.4


@dataclass
class FailsAtItsEnd(Switch):
    """Takes the power, and says that it has not."""

    def off(self, deadline: Deadline) -> None:
        super().off(deadline)
        raise BenchError("the relay does not answer")


@pytest.mark.parametrize(
    "work",
    [lambda power: power.off(), lambda power: power.cut_after(0.0, lambda: False, within=20)],
    ids=["off", "a cut"],
)
def test_a_switch_that_fails_half_way_leaves_no_board_without_power(
    board: VirtualBoard, link: BoardLink, work: Callable[[SwitchedPower], object]
) -> None:
    switch = FailsAtItsEnd(board)
    power = SwitchedPower(switch, link)
    with pytest.raises(BenchError, match="the relay does not answer"):
        work(power)
    assert [to for to, _ in switch.log] == ["off", "on"]
    assert is_on(board)


def test_a_board_gets_its_power_back_also_when_the_time_is_used_up(
    board: VirtualBoard, link: BoardLink
) -> None:
    power = SwitchedPower(switch_of(board), link)
    power.off()
    with contextlib.suppress(BoardError):  # its port comes later
        power.on(Deadline.after(0))
    assert is_on(board)


def test_a_port_that_does_not_come_back_is_the_boards_fault(
    board: VirtualBoard, link: BoardLink
) -> None:
    switch = Switch(board)
    power = SwitchedPower(switch, link, discharge_s=0.0)
    power.off()
    switch.works = False
    with pytest.raises(BoardError, match="the port did not come back"):
        power.on(Deadline.after(0.3))


# One in each eighth of the time, the same in every run.
SHARES = [0.007, 0.205, 0.349, 0.381, 0.624, 0.701, 0.766, 0.961]


def test_the_power_goes_at_moments_spread_over_the_works_time(
    board: VirtualBoard, link: BoardLink
) -> None:
    power = SwitchedPower(Switch(board), link, discharge_s=0.0)
    happened, points = [], []
    for cut in power.cuts():
        power.off()
        asked: list[float] = []

        def done(asked: list[float] = asked) -> bool:
            asked.append(time.monotonic())
            return asked[-1] - asked[0] > 0.4

        happened.append(cut.during(done, within=20))
        points.append(cut.point)
        assert is_on(board) is not happened[-1]
    assert happened[0] is False
    assert points[0] == "never: the work is timed"
    assert len(points) == CUTS + 1
    moments = [float(point.removesuffix(" s into the work")) for point in points[1:]]
    took = moments[-1] / SHARES[-1]
    assert took > 0.39  # printed with three digits
    assert [moment / took for moment in moments] == pytest.approx(SHARES, abs=0.005)
    assert any(happened)


def test_a_cut_leaves_a_board_whose_work_was_through_running(
    board: VirtualBoard, link: BoardLink
) -> None:
    switch = Switch(board)
    power = SwitchedPower(switch, link, discharge_s=0.0)
    assert power.cut_after(60.0, lambda: True, within=20) is False
    assert is_on(board)
    assert switch.log == []


def test_work_without_an_end_is_told_of(board: VirtualBoard, link: BoardLink) -> None:
    power = SwitchedPower(Switch(board), link, discharge_s=0.0)
    with pytest.raises(BoardError, match="the work was not through in time"):
        next(power.cuts()).during(lambda: False, within=0.05)
    with pytest.raises(BoardError, match="neither was the work through nor had its power gone"):
        power.cut_after(60.0, lambda: False, within=0.05)


def test_a_switch_that_fails_in_a_cut_is_told_of(board: VirtualBoard, link: BoardLink) -> None:
    command = CommandSwitch(("false",), ("true",))
    with pytest.raises(BenchError, match="power off, 'false', ended with status 1"):
        SwitchedPower(command, link).cut_after(0.0, lambda: False, within=20)


# --- commands -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("false",), "'false', ended with status 1: it printed nothing"),
        (("sh", "-c", "echo one; echo two >&2; exit 3"), "'sh', ended with status 3: two"),
        (("no-such-relay",), "'no-such-relay', cannot be started: No such file"),
        (("sleep", "60"), "'sleep', did not end in time"),
    ],
)
def test_a_command_that_fails_is_told_with_what_it_said(
    command: tuple[str, ...], message: str
) -> None:
    with pytest.raises(BenchError, match=f"the command for power on, {message}"):
        CommandSwitch(("true",), command).on(Deadline.after(0.5))


def test_no_shell_reads_a_command(tmp_path: Path) -> None:
    CommandSwitch(("touch", f"{tmp_path}/a b; c"), ("true",)).off(Deadline.after(10))
    assert [file.name for file in tmp_path.iterdir()] == ["a b; c"]
