"""Into the bootloader: the touch, the catcher, and the ways after one another."""

from __future__ import annotations

import os
import termios
import threading
from dataclasses import dataclass, field, replace

import pytest
from jobs import CONSENT

from hil.boards.table import model
from hil.deadline import Deadline
from hil.errors import BenchError, BoardError
from hil.flash.bootloader import BOOTLOADER, enter, touch
from hil.flash.method import FlashError, Image, Job, Step
from hil.link.board import RESET

N6, PORTENTA, CAM = model("openmv-n6"), model("arduino-portenta-h7"), model("esp32-cam")


@dataclass
class Link:
    """What :class:`hil.link.board.BoardLink` is to :func:`enter`."""

    does: dict[str, object] = field(default_factory=dict)
    device: str = "/nowhere"
    asked: list[str] = field(default_factory=list)

    def send_away(self, by: str, deadline: Deadline) -> bool:
        self.asked.append(by)
        action = self.does.get(by)
        if isinstance(action, Exception):
            raise action
        if callable(action):
            action()
        return True

    def come_back(self, deadline: Deadline) -> None:
        self.asked.append("come back")

    def close(self) -> None:
        self.asked.append("close")

    def expect_reset(self) -> None:
        pass


def job(row=N6, **more) -> tuple[Job, Link]:
    link = Link(**more)
    return Job("porch", row, "openmv-dfu", (Image("FIRMWARE", b"\1"),), link, CONSENT), link


def test_the_catcher_looks_before_the_board_is_told_to_go():
    """A loader that is on the bus only while the board is being sent away."""
    window, looked = threading.Event(), threading.Event()

    def look(deadline: Deadline) -> str | None:
        found = "loader" if window.is_set() else None
        looked.set()
        return found

    def resets() -> None:
        assert looked.wait(10), "nobody looks yet"
        window.set()
        looked.clear()
        assert looked.wait(10)
        window.clear()  # it is over when send_away() returns

    wanted, _ = job(does={BOOTLOADER: resets})
    assert enter(wanted, look, Deadline.after(20)) == "loader"


def test_the_second_way_is_tried_when_the_first_does_not_work():
    gone = threading.Event()
    wanted, link = job(does={BOOTLOADER: BoardError("no raw REPL"), RESET: gone.set})
    found = enter(wanted, lambda _: "loader" if gone.is_set() else None, Deadline.after(20))
    assert found == "loader"
    assert link.asked == [BOOTLOADER, "come back", RESET]


@dataclass
class Power:
    """What :class:`hil.power.SwitchedPower` is to :func:`enter`."""

    did: list[str] = field(default_factory=list)

    def off(self, deadline: Deadline) -> None:
        self.did.append("off")

    def give(self, deadline: Deadline) -> None:
        self.did.append("on")


def test_without_a_repl_the_reset_window_is_opened_by_the_power():
    dead = {BOOTLOADER: BoardError("no raw REPL"), RESET: BoardError("no raw REPL")}
    power = Power()
    wanted, link = job(does=dead)
    found = enter(
        replace(wanted, power=power),
        lambda _: "loader" if power.did == ["off", "on"] else None,
        Deadline.after(20),
    )
    assert found == "loader"
    assert link.asked == [BOOTLOADER, "come back", RESET]


def test_a_board_that_obeys_keeps_its_power():
    gone, power = threading.Event(), Power()
    wanted, _ = job(does={BOOTLOADER: BoardError("busy"), RESET: gone.set})
    enter(
        replace(wanted, power=power),
        lambda _: "loader" if gone.is_set() else None,
        Deadline.after(20),
    )
    assert power.did == []


def test_when_no_way_works_each_is_told():
    wanted, _ = job(does={BOOTLOADER: BoardError("no raw REPL on /dev/ttyACM1")})
    with pytest.raises(FlashError) as caught:
        enter(wanted, lambda _: None, Deadline.after(20), entering_s=0.2)
    assert caught.value.step is Step.ENTER
    assert "machine.bootloader: no raw REPL on /dev/ttyACM1; reset window: no boot" in str(
        caught.value
    )


def test_what_the_look_refuses_ends_it_at_once():
    def look(deadline: Deadline) -> None:
        raise BenchError("two of them")

    wanted, link = job()
    with pytest.raises(BenchError, match="two of them"):
        enter(wanted, look, Deadline.after(20))
    assert len(link.asked) == 1


def test_a_board_that_waits_in_its_bootloader_is_not_sent_there():
    wanted, link = job()
    found = enter(replace(wanted, in_bootloader=True), lambda _: "loader", Deadline.after(20))
    assert (found, link.asked) == ("loader", [])


def test_a_model_that_needs_a_hand_says_so():
    wanted, link = job(CAM)
    with pytest.raises(FlashError, match="by hand only"):
        enter(wanted, lambda _: None, Deadline.after(20))
    assert link.asked == []


def test_an_arduino_is_touched_at_1200_baud_with_its_port_closed_before():
    master, slave = os.openpty()
    try:
        wanted, link = job(PORTENTA, device=os.ttyname(slave))

        def look(deadline: Deadline) -> str | None:
            return "loader" if termios.tcgetattr(master)[5] == termios.B1200 else None

        assert enter(wanted, look, Deadline.after(20)) == "loader"
        assert link.asked == ["close"]
    finally:
        os.close(master)
        os.close(slave)


def test_a_touch_of_a_port_that_is_not_there_is_told():
    with pytest.raises(BenchError, match="no port /nowhere"):
        touch("/nowhere", "porch")
