"""The clock of virtual boards, moved under a running application, over the real link."""

from __future__ import annotations

import math
import os
import socket
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hil.clock import rtc
from hil.clock.ntp import Fault, NtpServer
from hil.clock.rtc import opened
from hil.clock.skew import ClockControl
from hil.deadline import Deadline
from hil.errors import BenchError, BoardError
from hil.link import files
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

EPOCH_2000 = 946_684_800

APPLICATION = b"""\
import asyncio, time
t = "the application's own"
async def serve(reader, writer):
    writer.write(b"%d %s\\n" % (time.time(), t.encode()))
    await writer.drain()
    writer.close()
    await writer.wait_closed()
async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 80)
    print("listening")
    await server.wait_closed()
asyncio.run(main())
"""


@dataclass
class Camera:
    """A virtual board whose application answers every connection with its time."""

    board: VirtualBoard
    link: BoardLink
    ntp: NtpServer
    epoch: int

    def ask(self) -> int:
        """The application's ``time.time()``, as Unix seconds."""
        with socket.create_connection((self.board.address, self.board.http_port), 5) as connection:
            shown, own = connection.makefile().readline().rstrip().split(" ", 1)
        assert own == "the application's own"
        return int(shown) + (EPOCH_2000 if self.epoch == 2000 else 0)

    def answers(self, deadline: Deadline) -> bool:
        try:
            return self.ask() is not None
        except OSError:
            return False

    def route(self, server: NtpServer) -> str:
        self.board.control("route", destination="*:123", to=["127.0.0.1", server.port])
        return "ntp.bench"

    def control(self) -> ClockControl:
        return ClockControl(
            opened(lambda deadline: self.link.paused(deadline, self.answers)),
            ntp=self.ntp,
            route=self.route,
            target=self.link.name,
        )


@pytest.fixture(scope="module", params=[("openmv-n6", 2000), ("openmv-ae3", 1970)])
def camera(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Camera]:
    model, epoch = request.param
    home: Path = tmp_path_factory.mktemp("clock")
    name = f"clock-{model}-{os.getpid()}"
    with (
        VirtualBoard.start(name, model, state=home / "state", bus=home / "bus") as board,
        BoardLink(name, board.device, consent=board.consent) as link,
        NtpServer() as ntp,
    ):
        with link.repl(Deadline.after(10)) as repl:
            files.write_file(repl, "main.py", APPLICATION, Deadline.after(10))
        link.hard_reset(Deadline.after(10))
        link.console.wait_for("listening", Deadline.after(10))
        yield Camera(board, link, ntp, epoch)


@pytest.fixture
def clock(camera: Camera) -> Iterator[ClockControl]:
    control = camera.control()
    camera.ntp.offset, camera.ntp.fault = 0.0, Fault.NONE
    yield control
    control.restore()
    assert camera.link.pause_failures == 0


def test_a_reading_is_what_the_application_sees(camera: Camera, clock: ClockControl) -> None:
    board = clock.now()
    assert board.epoch == camera.epoch
    assert board.uncertainty < 0.6
    low, high = board.when(time.time())
    assert math.floor(low) <= camera.ask() <= math.ceil(high)


def test_a_precise_reading_agrees_with_a_plain_one(clock: ClockControl) -> None:
    plain, precise = clock.now(), clock.now(precise=True)
    assert precise.uncertainty < 0.1
    assert abs(precise.offset - plain.offset) <= plain.uncertainty + precise.uncertainty


@pytest.mark.parametrize("seconds", [3600, -3600, 0, 20 * 365 * 86_400])
def test_the_running_application_sees_the_skewed_time(
    camera: Camera, clock: ClockControl, seconds: int
) -> None:
    clock.skew(seconds)
    assert abs(camera.ask() - (time.time() + seconds)) < 2


def test_a_move_costs_less_than_a_tenth_of_a_second_and_no_reset(
    camera: Camera, clock: ClockControl
) -> None:
    costs = []
    for _ in range(9):
        started = time.perf_counter()
        clock.skew(60)
        costs.append(time.perf_counter() - started)
    assert statistics.median(costs) < 0.1
    assert camera.link.pause_failures == 0


def test_the_application_serves_at_exactly_the_chosen_second(
    camera: Camera, clock: ClockControl
) -> None:
    for unix in (1_700_000_000, 1_800_000_000, 4_102_444_799):
        done = clock.at_second(unix, lambda: [camera.ask() for _ in range(5)])
        assert done.result == [unix] * 5
        assert done.standing.after is not None


def test_a_second_that_began_at_a_tick_is_known_to_milliseconds(
    camera: Camera, clock: ClockControl
) -> None:
    with clock.standing_at(1_800_000_000, at_tick=True) as standing:
        assert camera.ask() == 1_800_000_000
    assert standing.before.uncertainty < 0.1


@pytest.mark.parametrize("offset", [0.0, 86_400.0, -86_400.0, 10 * 365 * 86_400.0])
def test_the_boards_own_ntptime_follows_the_bench(
    camera: Camera, clock: ClockControl, offset: float
) -> None:
    camera.ntp.offset = offset
    measured = clock.force_ntp()
    assert abs(measured.offset - offset) < 2
    assert abs(camera.ask() - (time.time() + offset)) < 3
    with camera.link.paused(Deadline.after(10), camera.answers) as repl:
        assert repl.eval("__import__('ntptime').host", Deadline.after(5)) == "pool.ntp.org"


def test_ntptime_is_not_asked_to_go_where_it_cannot(camera: Camera, clock: ClockControl) -> None:
    camera.ntp.offset = 1_700_000_000 - time.time()
    with pytest.raises(BenchError, match=r"ntptime cannot be led to"):
        clock.force_ntp()


@pytest.mark.parametrize("fault", [Fault.SILENT, Fault.SHORT])
def test_an_ntptime_that_raises_is_a_board_error(
    camera: Camera, clock: ClockControl, fault: Fault
) -> None:
    camera.ntp.fault = fault
    failed = r"settime\(\) with 'ntp.bench' failed: (OS|Value)Error.*heard 1 request$"
    with pytest.raises(BoardError, match=failed) as raised:
        clock.force_ntp()
    assert raised.value.target == camera.link.name
    assert camera.answers(Deadline.after(5))


def test_a_kiss_of_death_that_ntptime_believes_is_noticed(
    camera: Camera, clock: ClockControl
) -> None:
    camera.ntp.fault = Fault.KISS_OF_DEATH
    with pytest.raises(BoardError, match=r"the bench's server served \+0\.0 s"):
        clock.force_ntp()  # it is in 2036 now: no time is the first second of the next era
    assert camera.ask() // 10 == 2_085_978_496 // 10


def test_what_the_boards_rtc_cannot_hold_is_refused(camera: Camera, clock: ClockControl) -> None:
    too_late, last = {2000: (4_102_444_800, 4_102_444_790), 1970: (2**32, 2**32 - 10)}[camera.epoch]
    with pytest.raises(BenchError, match=f"epoch is {camera.epoch} holds"):
        clock.set(too_late)
    assert clock.set(last).second == last
    with camera.link.paused(Deadline.after(10), camera.answers) as repl:
        assert rtc.read(repl, Deadline.after(5)).second - last in (0, 1)


def test_everything_is_put_back(camera: Camera, clock: ClockControl) -> None:
    for ahead in (0.0, -5000.0):
        camera.control().skew(ahead)
        camera.ntp.offset = 86_400.0
        with clock.standing_at(1_800_000_000):
            pass
        clock.force_ntp()
        clock.skew(-7)
        clock.restore()
        assert clock.now().offset == pytest.approx(ahead, abs=2)
