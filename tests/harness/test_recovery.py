"""The ladder: the gentlest rung that helps, each timed and told, and never past its budget."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st

from hil import deadline as deadlines
from hil import recovery
from hil.deadline import Deadline
from hil.errors import BenchError, BoardError
from hil.link import files
from hil.link.board import BoardLink, identify
from hil.link.repl import Repl
from hil.power import VirtualPower
from hil.recovery import BrokenError, Ladder, Recovery, Rung
from hil.target import Absent
from hil.virtual.board import VirtualBoard

BUDGET_S = 6.0
SILENT = BoardError("it says nothing")
NO_POWER = Absent("nothing switches it")
NO_WAY_OUT = Absent("nobody knows a way out")

# As a camera's sensor or its Wi-Fi does, they need a while before they begin; a Ctrl-C in that
# while still counts.
STARTS = "import time\ntime.sleep(0.3)\n"
SWALLOWS = (
    STARTS
    + """\
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
)
# In a C call no bytecode is reached, and Ctrl-C does nothing.
IN_C = STARTS + "import micropython\nmicropython.kbd_intr(-1)\nwhile True: pass\n"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    with VirtualBoard.start(
        "frail", model="openmv-n6", state=tmp_path / "state", bus=tmp_path / "bus"
    ) as board:
        yield board


@pytest.fixture
def link(board: VirtualBoard) -> Iterator[BoardLink]:
    with BoardLink("frail", board.device, consent=board.consent) as link:
        yield link


def give(link: BoardLink, path: str, text: str) -> None:
    """And reset, so that it runs."""
    deadline = Deadline.after(20)
    with link.repl(deadline) as repl:
        files.write_file(repl, path, text.encode(), deadline)
    link.hard_reset(deadline)


def silence(board: VirtualBoard) -> None:
    os.kill(board.control("status")["micropython_pid"], signal.SIGSTOP)


def wait_for(what: Callable[[], bool]) -> None:
    deadline = Deadline.after(20)
    while not what():
        assert not deadline.expired
        time.sleep(0.01)


def ladder(link: BoardLink, **other: Any) -> Ladder:
    parts: dict[str, Any] = {"works": identify, "power": NO_POWER, "bootloader": NO_WAY_OUT}
    return Ladder(link, **{**parts, **other})


def names(rungs: list[Rung]) -> list[str]:
    return [rung.name for rung in rungs if rung.took is not None]


# --- which rung helps ---------------------------------------------------------------------------


@pytest.mark.parametrize("application", [SWALLOWS, IN_C], ids=["swallows Ctrl-C", "hangs in C"])
def test_power_helps_where_ctrl_c_does_not(
    board: VirtualBoard, link: BoardLink, application: str
) -> None:
    give(link, "main.py", application)
    wait_for(lambda: bool(board.control("status")["phase"] == "run"))
    time.sleep(0.5)  # its start is over
    climb = ladder(link, power=VirtualPower(board, link))
    assert climb.climb(Deadline.after(BUDGET_S), SILENT).name == "power"
    assert names(climb.rungs) == ["Ctrl-C", "soft reset", "power"]
    assert link.identify(Deadline.after(5)).machine


def test_power_helps_a_board_that_is_silent(board: VirtualBoard, link: BoardLink) -> None:
    silence(board)
    told: list[Rung] = []
    climb = ladder(link, power=VirtualPower(board, link), tell=told.append)
    assert climb.climb(Deadline.after(BUDGET_S), SILENT).helped
    assert told == climb.rungs
    assert [str(rung).partition(":")[0] for rung in told[2:4]] == [
        "hard reset not tried",
        "bootloader not tried",
    ]
    assert told[2].told == "there is no REPL to reset it from"


def test_ctrl_c_is_enough_for_a_boot_script_that_raises(
    board: VirtualBoard, link: BoardLink
) -> None:
    give(link, "boot.py", "raise ValueError('no camera')\n")
    climb = ladder(link, power=VirtualPower(board, link))
    assert climb.climb(Deadline.after(BUDGET_S), SILENT).name == "Ctrl-C"
    assert len(climb.rungs) == 1


def test_a_soft_reset_clears_what_a_program_left_in_memory(link: BoardLink) -> None:
    deadline = Deadline.after(10)
    with link.repl(deadline) as repl:
        repl.exec("import machine\nmachine.unique_id = None", deadline)

    def works(repl: Repl, deadline: Deadline) -> None:
        repl.exec("import machine\nmachine.unique_id()", deadline)

    climb = ladder(link, works=works)
    assert climb.climb(Deadline.after(BUDGET_S), SILENT).name == "soft reset"
    assert climb.rungs[0].told.startswith("TypeError: ")


def test_a_hard_reset_is_made_where_a_soft_one_does_not_help(
    board: VirtualBoard, link: BoardLink
) -> None:
    boots = board.control("status")["boots"]

    def works(repl: Repl, deadline: Deadline) -> None:
        if board.control("status")["boots"] == boots:
            raise BoardError("its sensor does not answer")

    climb = ladder(link, works=works)
    assert climb.climb(Deadline.after(BUDGET_S), SILENT).name == "hard reset"
    assert [rung.told for rung in climb.rungs] == [
        "its sensor does not answer",
        "the same",
        "it answers",
    ]


@dataclass
class Bootloader:
    """Of a board whose port is away while it is in there."""

    board: VirtualBoard
    is_in: bool = True

    def seen(self) -> str | None:
        return "37c5:9206 at 1-2" if self.is_in else None

    def leave(self, deadline: Deadline) -> float:
        self.board.power_on()
        return 5.0


def test_a_board_in_its_bootloader_is_led_out(board: VirtualBoard, link: BoardLink) -> None:
    board.power_off()
    climb = ladder(link, bootloader=Bootloader(board))
    assert climb.climb(Deadline.after(BUDGET_S), SILENT).name == "bootloader"
    assert str(climb.rungs[1]) == "soft reset not tried: it has no port"


def test_power_brings_a_port_that_is_missing(board: VirtualBoard, link: BoardLink) -> None:
    board.power_off()
    helped = Recovery(link, VirtualPower(board, link), NO_WAY_OUT).reach(Deadline.after(BUDGET_S))
    assert "power has brought it back" in helped


# --- what is told -------------------------------------------------------------------------------


def test_the_whole_story_is_told_if_nothing_helps(board: VirtualBoard, link: BoardLink) -> None:
    silence(board)
    climb = ladder(link, bootloader=Bootloader(board, is_in=False))
    with pytest.raises(BrokenError) as broken:
        climb.climb(Deadline.after(2), SILENT)
    assert str(broken.value).startswith(
        "frail: it says nothing; nothing has brought it back: Ctrl-C 0."
    )
    first, *others = broken.value.message.partition("back: ")[2].split("; ")
    assert "no raw REPL on" in first
    assert others[0].startswith("soft reset 0.")
    assert others[0].endswith(": the same")
    assert others[1:] == [
        "hard reset not tried: there is no REPL to reset it from",
        "bootloader not tried: it does not show up in its bootloader",
        "power not tried: nothing switches it",
    ]
    assert "'power:' in devices.yaml" in str(broken.value.hint)


def test_a_switch_that_fails_is_told_and_hides_nothing(
    board: VirtualBoard, link: BoardLink
) -> None:
    silence(board)

    class Relay(VirtualPower):
        def off(self, deadline: Deadline | None = None) -> None:
            raise BenchError("no uhubctl")

    with pytest.raises(BrokenError, match=r"it says nothing; .* power 0\.\d s: no uhubctl"):
        ladder(link, power=Relay(board, link)).climb(Deadline.after(2), SILENT)


def test_a_port_that_somebody_holds_is_left_to_him(board: VirtualBoard, link: BoardLink) -> None:
    boots = board.control("status")["boots"]
    climb = ladder(link, power=VirtualPower(board, link))
    with (
        serial.serial_for_url(board.device, exclusive=True),
        pytest.raises(BenchError, match="is held by"),
    ):
        climb.climb(Deadline.after(BUDGET_S), SILENT)
    assert climb.rungs == []
    assert board.control("status")["boots"] == boots


# --- when it is climbed -------------------------------------------------------------------------


def test_a_board_that_answers_is_not_climbed_for(board: VirtualBoard, link: BoardLink) -> None:
    boots = board.control("status")["soft_resets"]
    assert Recovery(link, NO_POWER, NO_WAY_OUT).reach(Deadline.after(5)) == ""
    assert board.control("status")["soft_resets"] == boots


def test_a_missing_port_without_a_switch_is_the_benchs_fault(
    board: VirtualBoard, link: BoardLink
) -> None:
    board.power_off()
    recovery = Recovery(link, NO_POWER, NO_WAY_OUT)
    with pytest.raises(BenchError, match="no port"):
        recovery.reach(Deadline.after(5))
    assert not recovery.broken


def test_in_a_run_a_board_is_brought_back_once(link: BoardLink) -> None:
    recovery = Recovery(link, NO_POWER, NO_WAY_OUT)
    with recovery.once(SILENT):
        pass
    assert not recovery.broken
    with (
        pytest.raises(BoardError, match="fails again after it was brought back: it says nothing"),
        recovery.once(SILENT),
    ):
        pass
    assert recovery.broken


def test_a_board_that_has_just_been_silent_is_not_waited_for_at_length(
    board: VirtualBoard, link: BoardLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has to be put back after a check is several conversations."""
    monkeypatch.setattr("hil.link.board._SILENT_S", 0.1)
    silence(board)
    with pytest.raises(BoardError):
        link.identify(Deadline.after(0.1))
    long = Deadline.after(60)
    with pytest.raises(BoardError):
        link.identify(long)
    assert long.remaining() > 30
    link.expect_reset()  # after which it is waited for as before
    pid = board.control("status")["micropython_pid"]
    threading.Timer(0.6, os.kill, (pid, signal.SIGCONT)).start()
    assert link.identify(Deadline.after(20)).machine


# --- its budget ---------------------------------------------------------------------------------


@dataclass
class Fake:
    """A link, a power and a bootloader whose every call takes its time and then does or does not
    succeed; what waits ends by its deadline, as everything here does, and a little later.

    :ivar calls: for each: seconds, whether it succeeds
    """

    calls: list[tuple[float, bool]]
    now: float = 0.0
    name: str = "fake"
    margin: float = 0.01
    late: float = 0.0
    log: list[str] = field(default_factory=list)

    def call(self, deadline: Deadline) -> Fake:
        takes, succeeds = self.calls.pop() if self.calls else (1e9, False)
        left = deadline.at - self.now
        self.now += min(takes, max(0.0, left)) + self.margin
        self.late = max(self.late, self.now - deadline.at)
        if not succeeds or takes > left:
            raise BoardError("no")
        return self

    open = come_back = soft_reset = hard_reset = off = on = call

    def write(self, data: bytes, deadline: Deadline) -> None:
        self.call(deadline)

    def leave(self, deadline: Deadline) -> float:
        self.call(deadline)
        return 1000.0

    def expect_reset(self) -> None:
        pass

    def seen(self) -> str:
        return "here"

    @contextmanager
    def repl(self, deadline: Deadline) -> Iterator[Fake]:
        yield self.call(deadline)

    def works(self, repl: object, deadline: Deadline) -> None:
        self.call(deadline)


def test_without_time_nothing_is_tried() -> None:
    fake: Any = Fake([])
    with pytest.raises(BrokenError) as broken:
        Ladder(fake, fake.works, fake, fake).climb(Deadline.after(0), SILENT)
    assert {rung.told for rung in broken.value.rungs} == {"no time is left"}
    assert fake.now == 0.0


@given(
    st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=30),
    st.floats(0.5, 60),
)
def test_no_ladder_runs_past_its_budget(calls: list[tuple[float, bool]], budget: float) -> None:
    fake: Any = Fake(calls)

    class Clock:
        monotonic = staticmethod(lambda: fake.now)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deadlines, "time", Clock)
        patch.setattr(recovery, "time", Clock)
        climb = Ladder(fake, fake.works, fake, fake)
        with suppress(BrokenError):
            climb.climb(Deadline.after(budget), SILENT)
    *below, last = climb.rungs
    assert last.helped or len(climb.rungs) == 5
    assert not any(rung.helped for rung in below)
    slack = 5 * fake.margin
    assert fake.now <= budget + slack
    spent = 0.0
    for rung in climb.rungs:
        spent += rung.took or 0.0
        assert spent <= budget * (1 - recovery._LEFT[rung.name]) + slack
