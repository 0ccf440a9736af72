"""The link to a board: resets, pauses that fail, and a port that comes and goes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.deadline import Deadline
from hil.errors import BenchError, BoardError
from hil.link import files
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

TICKS = """\
import asyncio
async def main():
    print("main: up")
    while True:
        print("tick")
        await asyncio.sleep(0.01)
asyncio.run(main())
"""
# Not to be resumed: no event loop.
LOOP = """\
import time
print("main: up")
while True:
    print("tick")
    time.sleep(0.01)
"""


def soon() -> Deadline:
    return Deadline.after(10)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    with VirtualBoard.start("porch", state=tmp_path, bus=tmp_path / "bus") as board:
        yield board


@pytest.fixture
def link(board: VirtualBoard) -> Iterator[BoardLink]:
    with BoardLink("porch", board.device, consent=board.consent) as link:
        yield link


def boot(link: BoardLink, main: str) -> None:
    with link.repl(soon()) as repl:
        files.sync(repl, {"main.py": main.encode()}, "/flash", soon())
    mark = link.console.mark()
    link.hard_reset(soon())
    link.console.wait_for("^main: up$", soon(), since=mark)


def ticks(link: BoardLink, deadline: Deadline) -> bool:
    """The application's sign of life."""
    try:
        link.console.wait_for("^tick$", deadline, since=link.console.mark())
    except BoardError:
        return False
    return True


def test_a_hard_reset_runs_main_and_its_output_is_in_the_console(link: BoardLink) -> None:
    boot(link, TICKS)
    assert ticks(link, soon())


def test_a_paused_application_is_resumed_without_a_reset(link: BoardLink) -> None:
    boot(link, TICKS)
    with link.paused(soon(), lambda deadline: ticks(link, deadline)) as repl:
        assert repl.interrupted
        assert repl.eval("1", soon()) == 1
    assert ticks(link, soon())
    assert (link.pauses, link.pause_failures) == (1, 0)
    assert link.console.text.count("main: up") == 1
    assert "Keyboard" not in link.console.text


def test_an_application_that_cannot_be_resumed_gets_a_reset(link: BoardLink) -> None:
    boot(link, LOOP)
    with link.paused(soon(), lambda deadline: ticks(link, deadline.sooner(0.5))):
        pass
    assert link.pause_failures == 1
    assert ticks(link, soon())


def test_an_application_that_does_not_come_back_is_the_boards_fault(link: BoardLink) -> None:
    boot(link, TICKS)
    with (
        pytest.raises(BoardError, match="does not answer after a pause, nor after a hard reset"),
        link.paused(soon(), lambda deadline: False),
    ):
        pass


def test_what_the_work_in_a_pause_raised_counts_more_than_the_resume(link: BoardLink) -> None:
    boot(link, LOOP)
    with (
        pytest.raises(KeyError, match="work"),
        link.paused(soon(), lambda deadline: ticks(link, deadline.sooner(0.5))),
    ):
        raise KeyError("work")
    assert ticks(link, soon())


def test_a_pause_takes_milliseconds(link: BoardLink) -> None:
    boot(link, TICKS)
    took = []
    for _ in range(10):
        start = time.perf_counter()
        with link.paused(soon(), lambda deadline: True) as repl:
            repl.exec("1", soon())
        took.append(time.perf_counter() - start)
        assert ticks(link, soon())
    assert sorted(took)[2] < 0.05


def test_the_port_is_looked_for_again_after_a_reset(board: VirtualBoard) -> None:
    asked = []

    def locate(deadline: Deadline) -> str:
        asked.append(deadline)
        return board.device

    with BoardLink("porch", board.device, consent=board.consent, locate=locate) as link:
        link.hard_reset(soon())
        assert asked
        with link.repl(soon()) as repl:
            assert repl.eval("1", soon()) == 1


def test_a_board_that_will_not_come_back_is_not_waited_for(board: VirtualBoard) -> None:
    """As one that has stayed in its bootloader: that is no matter of time."""

    def locate(deadline: Deadline) -> str:
        raise BoardError("the board is in its bootloader")

    with (
        BoardLink("porch", board.device, consent=board.consent, locate=locate) as link,
        pytest.raises(BoardError, match=r"^the board is in its bootloader"),
    ):
        link.hard_reset(soon())


def test_a_board_that_resets_by_itself_is_found_again(board: VirtualBoard, link: BoardLink) -> None:
    boot(link, TICKS)
    port = link.open(soon())
    board.control("hard_reset")
    assert port.wait_gone(soon())
    with link.repl(soon()) as repl:
        assert repl.eval("1", soon()) == 1


def test_a_board_without_power_is_told_by_the_deadline(
    board: VirtualBoard, link: BoardLink
) -> None:
    port = link.open(soon())
    board.power_off()
    assert port.wait_gone(soon())
    start = time.monotonic()
    with (
        pytest.raises(BoardError, match=r"porch: the port did not come back: no port"),
        link.repl(Deadline.after(0.3)),
    ):
        pass
    assert time.monotonic() - start < 1


def test_a_port_that_comes_back_late_is_awaited(board: VirtualBoard, link: BoardLink) -> None:
    port = link.open(soon())
    board.power_off()
    assert port.wait_gone(soon())
    power = threading.Timer(0.3, board.power_on)
    power.start()
    with link.repl(soon()) as repl:
        assert repl.eval("1", soon()) == 1
    power.join()


def test_a_second_link_is_told_who_holds_the_port(board: VirtualBoard, link: BoardLink) -> None:
    link.open(soon())
    with pytest.raises(
        BenchError, match=rf"port {board.device} is held by .*\(pid {os.getpid()}\)"
    ):
        BoardLink("porch", board.device, consent=board.consent).open(soon())


def test_what_is_in_the_firmware_need_not_be_sent(link: BoardLink) -> None:
    names = ["microdot", "json", "no_such_module"]
    with link.repl(soon()) as repl:
        assert files.frozen(repl, names, soon()) == {"microdot", "json"}
        files.write_file(repl, "/flash/lib/microdot/__init__.py", b"", soon())
        assert files.frozen(repl, names, soon()) == {"json"}


def test_who_the_board_is(board: VirtualBoard, link: BoardLink) -> None:
    identity = link.identify(soon())
    assert identity.unique_id == board.unique_id
    assert identity.epoch_year == 2000
    assert identity.hostname == "mpy-stm32"
    assert identity.address is None
