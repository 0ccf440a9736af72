"""Reading, setting and moving a board's clock, on a simulated board that runs the real scripts.

Time is simulated on both sides: the host's clock moves only by what the link and the board cost,
so that every bound can be held against the truth.
"""

from __future__ import annotations

import builtins
import contextlib
import io
import math
import time
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.clock.ntp import NtpServer
from hil.clock.rtc import BoardTime, opened, read, require_rtc_range, set_clock, utc
from hil.clock.skew import ClockControl, SecondPassedError, Standing
from hil.deadline import Deadline
from hil.errors import BenchError, BoardError

NOW = 1_795_365_455.25
EPOCH_2000 = 946_684_800
SOON = Deadline(math.inf)


class Board:
    """A board's clock and REPL. Its scripts are run by CPython over fake ``time`` and ``machine``.

    :param epoch: 1970 or 2000
    :param ahead: the clock's offset to the host's, seconds
    :param keeps_phase: setting it does not begin the second anew
    :param there: seconds that a command takes to the board
    :param back: seconds that the answer takes
    """

    def __init__(
        self,
        *,
        epoch: int = 1970,
        ahead: float = 0.0,
        keeps_phase: bool = False,
        there: float = 0.001,
        back: float = 0.001,
    ) -> None:
        self.host = NOW
        self.epoch, self.ahead, self.keeps_phase = epoch, ahead, keeps_phase
        self.there, self.back = there, back
        self.stopped_at: float | None = None
        self.deaf = False
        self.settime: Callable[[str], None] = lambda host: None
        self.round_trips = 0
        self.pauses = 0
        self.pausing, self.resuming = 0.005, 0.02
        self.scripts: list[str] = []
        self.weekday = -1
        self.ntptime = types.SimpleNamespace(host="pool.ntp.org")
        self.ntptime.settime = lambda: self.settime(self.ntptime.host)
        self.globals: dict[str, Any] = {}

    # -- the truth

    @property
    def unix(self) -> float:
        return self.host + self.ahead if self.stopped_at is None else self.stopped_at

    def set(self, unix: float) -> None:
        if self.stopped_at is not None:
            self.stopped_at = unix
        elif not self.deaf:
            self.ahead = unix + (self.unix % 1 if self.keeps_phase else 0) - self.host

    def works(self, seconds: float, then: Callable[[], object]) -> None:
        """Let time pass, then do that."""
        self.host += seconds
        then()

    # -- MicroPython

    def _time(self) -> int:
        self.host += 30e-6
        return math.floor(self.unix) - (EPOCH_2000 if self.epoch == 2000 else 0)

    def _ticks_us(self) -> int:
        self.host += 30e-6
        return round(self.host * 1e6)

    def _datetime(self, fields: tuple[int, ...]) -> None:
        year, month, day, self.weekday, hour, minute, second, subsecond = fields
        assert subsecond == 0
        if self.epoch == 2000:
            assert 2000 <= year < 2100, "stm32 does not check this, and breaks"
        self.host += 0.0002
        when = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
        self.set(when.timestamp())

    def _import(self, name: str, *_: object) -> object:
        fake_time = types.SimpleNamespace(
            time=self._time,
            gmtime=lambda seconds: (self.epoch, 1, 1),
            ticks_us=self._ticks_us,
            ticks_diff=lambda late, early: late - early,
            sleep_ms=self._sleep_ms,
        )
        clock = types.SimpleNamespace(datetime=self._datetime)
        machine = types.SimpleNamespace(RTC=lambda: clock)
        return {"time": fake_time, "machine": machine, "ntptime": self.ntptime}[name]

    def _sleep_ms(self, duration: int) -> None:
        self.host += duration / 1000

    def exec(self, code: str, deadline: Deadline) -> bytes:
        assert len(code) < 1024
        self.round_trips += 1
        self.scripts.append(code)
        self.host += self.there
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            before = set(self.globals)
            scope = {**self.globals, "__builtins__": {**vars(builtins), "__import__": self._import}}
            exec(code, scope)  # noqa: S102 - the scripts under test
            assert set(scope) - {"__builtins__"} == before, "the application's globals are its own"
        self.host += self.back
        return printed.getvalue().replace("\n", "\r\n").encode()

    # -- the application

    @contextmanager
    def paused(self, deadline: Deadline) -> Iterator[Board]:
        self.pauses += 1
        self.host += self.pausing
        yield self
        self.host += self.resuming


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Board]:
    def board(**properties: Any) -> Board:
        made = Board(**properties)
        _simulate(monkeypatch, made)
        return made

    return board


def _simulate(monkeypatch: pytest.MonkeyPatch, board: Board) -> None:
    clock = types.SimpleNamespace(time=lambda: board.host)
    monkeypatch.setattr("hil.clock.rtc.time", clock)
    monkeypatch.setattr("hil.clock.skew.time", clock)


def holds(measured: BoardTime, board: Board) -> bool:
    """Whether the board's true clock is within what was measured."""
    low, high = measured.when(board.host)
    return low - 1e-6 <= board.unix <= high + 1e-6


# -- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [1970, 2000])
def test_a_reading_is_unix_time_whatever_the_epoch(
    simulate: Callable[..., Board], epoch: int
) -> None:
    board = simulate(epoch=epoch, ahead=-100.0)
    measured = read(board, SOON)
    assert measured.epoch == epoch
    assert measured.second == math.floor(NOW - 100)
    assert holds(measured, board)
    assert measured.uncertainty == pytest.approx(0.5, abs=0.01)


def test_a_plain_reading_is_one_round_trip_per_sample(simulate: Callable[..., Board]) -> None:
    board = simulate()
    read(board, SOON, samples=1)
    assert board.round_trips == 1
    read(board, SOON, samples=3)
    assert board.round_trips == 4


def test_a_precise_reading_is_good_to_half_the_round_trip(simulate: Callable[..., Board]) -> None:
    board = simulate(ahead=12.345, there=0.004, back=0.002)
    measured = read(board, SOON, precise=True)
    assert board.round_trips == 1
    assert holds(measured, board)
    assert measured.offset == pytest.approx(12.345, abs=0.0035)
    assert measured.uncertainty <= 0.0035


_latency = st.floats(0.0001, 0.4)


@settings(deadline=None, max_examples=150)
@given(
    epoch=st.sampled_from([1970, 2000]),
    ahead=st.floats(-5e7, 1e9),
    there=_latency,
    back=_latency,
    samples=st.integers(1, 4),
    precise=st.booleans(),
)
def test_the_truth_is_always_within_the_uncertainty(
    epoch: int, ahead: float, there: float, back: float, samples: int, precise: bool
) -> None:
    board = Board(epoch=epoch, ahead=ahead, there=there, back=back)
    with pytest.MonkeyPatch.context() as patch:
        _simulate(patch, board)
        measured = read(board, SOON, samples=samples, precise=precise)
    assert holds(measured, board)
    assert measured.uncertainty <= (there + back) / 2 + (0.001 if precise else 0.501)


def test_more_samples_are_never_worse_than_the_quickest(simulate: Callable[..., Board]) -> None:
    board = simulate(there=0.2)
    trips = iter([0.2, 0.001, 0.3])
    plain = board.exec

    def varying(code: str, deadline: Deadline) -> bytes:
        board.there = next(trips)
        return plain(code, deadline)

    board.exec = varying  # type: ignore[method-assign]
    measured = read(board, SOON, samples=3)
    assert measured.uncertainty <= 0.502
    assert holds(measured, board)


def test_a_clock_that_stands_still_is_a_board_error(simulate: Callable[..., Board]) -> None:
    board = simulate()
    board.stopped_at = 1_445_000_000.0
    with pytest.raises(BoardError, match="stands still: 2015-10-16"):
        read(board, SOON, precise=True)


def test_a_clock_that_moves_while_it_is_read_is_a_board_error(
    simulate: Callable[..., Board],
) -> None:
    board = simulate()
    plain = board.exec

    def moving(code: str, deadline: Deadline) -> bytes:
        board.ahead += 5
        return plain(code, deadline)

    board.exec = moving  # type: ignore[method-assign]
    with pytest.raises(BoardError, match="was moved by"):
        read(board, SOON)


def test_a_host_clock_that_is_stepped_is_a_bench_error(simulate: Callable[..., Board]) -> None:
    board = simulate(ahead=0.7)
    plain = board.exec

    def stepped(code: str, deadline: Deadline) -> bytes:
        output = plain(code, deadline)
        board.host -= 5
        return output

    board.exec = stepped  # type: ignore[method-assign]
    with pytest.raises(BenchError, match="host's clock was stepped"):
        read(board, SOON, precise=True)


class Says:
    """A board that answers the same to everything."""

    def __init__(self, output: bytes) -> None:
        self.output = output

    def exec(self, code: str, deadline: Deadline) -> bytes:
        return self.output


@settings(deadline=None)
@given(
    output=st.one_of(
        st.binary(max_size=200),
        st.from_regex(rb"hil-clock -?[0-9]{0,25} -?[0-9]{0,25} [0-9]{0,12} [0-9]", fullmatch=True),
    ),
    at_tick=st.booleans(),
)
def test_whatever_a_board_answers_is_a_time_or_an_error_of_ours(
    output: bytes, at_tick: bool
) -> None:
    with contextlib.suppress(BoardError, BenchError):
        assert read(Says(output), SOON, precise=at_tick).epoch in (1970, 2000)
    with contextlib.suppress(BoardError, BenchError):
        board = set_clock(Says(output), 1_800_000_000, SOON, at_tick=at_tick)
        assert board.second == 1_800_000_000


def test_nonsense_is_shown_and_is_the_boards_fault() -> None:
    with pytest.raises(BoardError, match=r"makes no sense: b'Traceback"):
        read(Says(b"Traceback (most recent call last)"), SOON)


@pytest.mark.parametrize("epoch", [0, 1900, 1999, 2026])
def test_an_epoch_that_no_port_has_is_refused(epoch: int) -> None:
    with pytest.raises(BoardError, match="epochs 1970 and 2000 are known"):
        read(Says(b"hil-clock %04d 1800000000 0 0" % epoch), SOON)


def test_output_of_the_application_around_the_answer_does_not_matter() -> None:
    shown = int(time.time())
    measured = read(Says(b"frame 1\r\nhil-clock 1970 %d 0 0\r\nframe 2\r\n" % shown), SOON)
    assert measured.second == shown


# -- setting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("epoch", [1970, 2000])
@pytest.mark.parametrize(
    "unix", [EPOCH_2000, 1_709_208_000, 1_800_000_000, 2_147_483_648, 4_102_444_799]
)
def test_a_clock_is_set_and_read_back_in_one_round_trip(
    simulate: Callable[..., Board], epoch: int, unix: int
) -> None:
    board = simulate(epoch=epoch, ahead=0.4)
    measured = set_clock(board, unix, SOON)
    assert board.round_trips == 1
    assert board.host - NOW < 0.004, "no second look was needed"
    assert measured.second == unix
    assert holds(measured, board)
    assert board.weekday == datetime.fromtimestamp(unix, timezone.utc).isoweekday()


@pytest.mark.parametrize("keeps_phase", [False, True])
@pytest.mark.parametrize("ahead", [0.0, 0.3, 0.7499])
def test_at_the_tick_the_second_has_just_begun(
    simulate: Callable[..., Board], keeps_phase: bool, ahead: float
) -> None:
    board = simulate(ahead=ahead, keeps_phase=keeps_phase)
    measured = set_clock(board, 1_800_000_000, SOON, at_tick=True)
    assert measured.second == 1_800_000_000
    assert 1_800_000_000 <= board.unix < 1_800_000_000.01
    assert holds(measured, board)
    assert measured.uncertainty < 0.01


@pytest.mark.parametrize(
    ("epoch", "unix", "limits"),
    [
        (2000, EPOCH_2000 - 1, "2000-01-01 00:00:00Z to 2099-12-31 23:59:59Z"),
        (2000, 4_102_444_800, "2000-01-01 00:00:00Z to 2099-12-31 23:59:59Z"),
        (1970, -1, "1970-01-01 00:00:00Z to 2106-02-07 06:28:15Z"),
        (1970, 2**32, "1970-01-01 00:00:00Z to 2106-02-07 06:28:15Z"),
        (1970, 10**15, "1970-01-01 00:00:00Z to 2106-02-07 06:28:15Z"),
    ],
)
def test_what_the_rtc_cannot_hold_is_refused_and_not_set(
    simulate: Callable[..., Board], epoch: int, unix: int, limits: str
) -> None:
    board = simulate(epoch=epoch)
    with pytest.raises(BenchError, match=limits):
        set_clock(board, unix, SOON)
    assert board.ahead == 0


def test_the_last_seconds_of_an_rtc_are_reached(simulate: Callable[..., Board]) -> None:
    require_rtc_range(2**32 - 1)
    assert set_clock(simulate(), 2**32 - 2, SOON).second == 2**32 - 2
    assert set_clock(simulate(epoch=2000), 4_102_444_799, SOON).second == 4_102_444_799


def test_a_clock_that_ignores_being_set_is_a_board_error(simulate: Callable[..., Board]) -> None:
    board = simulate()
    board.deaf = True
    with pytest.raises(BoardError, match="was set to 2027-01-15 08:00:00Z and reads 2026-11-22"):
        set_clock(board, 1_800_000_000, SOON)


def test_a_clock_that_is_set_and_does_not_run_is_a_board_error(
    simulate: Callable[..., Board],
) -> None:
    board = simulate()
    board.stopped_at = 0.0
    with pytest.raises(BoardError, match=r"stands still: 2027-01-15 07:59:59Z for 1\.5 s"):
        set_clock(board, 1_800_000_000, SOON, at_tick=True)


def test_a_clock_that_takes_a_moment_to_be_set_is_given_it(simulate: Callable[..., Board]) -> None:
    board = simulate()
    wanted: list[float] = []
    board.set = wanted.append  # type: ignore[method-assign, assignment]

    def takes_effect(duration: int) -> None:
        del board.set
        board.set(wanted[0])

    board._sleep_ms = takes_effect  # type: ignore[method-assign]
    assert set_clock(board, 1_800_000_000, SOON).second == 1_800_000_000


def test_only_whole_seconds_can_be_set(simulate: Callable[..., Board]) -> None:
    with pytest.raises(TypeError):
        set_clock(simulate(), 1.5, SOON)  # type: ignore[arg-type]


@pytest.mark.parametrize("unix", [-(10**20), 10**20, math.inf])
def test_a_moment_without_a_calendar_is_shown_as_a_number(unix: float) -> None:
    assert utc(unix) == f"Unix time {unix}"


# -- moving it while the application runs ------------------------------------------------------


@pytest.mark.parametrize("epoch", [1970, 2000])
@pytest.mark.parametrize("seconds", [0, 3600, -3600, 0.4, -86_400 * 365 * 20, 86_400 * 365 * 50])
def test_skew_is_relative_to_true_time(
    simulate: Callable[..., Board], epoch: int, seconds: float
) -> None:
    board = simulate(epoch=epoch, ahead=-777.0)
    measured = ClockControl(opened(board.paused)).skew(seconds)
    assert board.ahead == pytest.approx(seconds, abs=0.51)
    assert measured.offset == pytest.approx(board.ahead, abs=measured.uncertainty + 1e-6)
    assert board.pauses == 1


def test_a_move_costs_one_pause_and_two_round_trips(simulate: Callable[..., Board]) -> None:
    board = simulate()
    ClockControl(opened(board.paused)).set(1_800_000_000)
    assert (board.pauses, board.round_trips) == (1, 2)


@pytest.mark.parametrize("unix", [-1, 2**32, 2**33])
def test_what_no_rtc_holds_does_not_even_pause_the_application(
    simulate: Callable[..., Board], unix: int
) -> None:
    board = simulate()
    clock = ClockControl(opened(board.paused))
    for move in (
        lambda: clock.set(unix),
        lambda: clock.skew(unix - NOW),
        lambda: clock.standing_at(unix).__enter__(),
    ):
        with pytest.raises(BenchError, match="cannot set the clock"):
            move()
    assert board.pauses == 0


def test_a_link_so_slow_that_the_time_is_stale_does_not_pass(
    simulate: Callable[..., Board],
) -> None:
    board = simulate(there=4.0)
    with pytest.raises(BoardError, match=r"to be \+100\.0 s from true time and is \+9\d\.\d s"):
        ClockControl(opened(board.paused)).skew(100)


def test_now_reads_and_moves_nothing(simulate: Callable[..., Board]) -> None:
    board = simulate(ahead=5.0)
    clock = ClockControl(opened(board.paused))
    assert holds(clock.now(), board)
    assert clock.now(precise=True).offset == pytest.approx(5.0, abs=0.01)
    assert clock.to_restore is None
    assert clock.restore() is None
    assert board.pauses == 2


@pytest.mark.parametrize(
    ("ahead", "restored"), [(0.0, 0.0), (1.2, 0.0), (-1.2, 0.0), (60.0, 60.0), (-9e8, -9e8)]
)
def test_restoring_gives_true_time_or_the_old_offset(
    simulate: Callable[..., Board], ahead: float, restored: float
) -> None:
    board = simulate(ahead=ahead)
    clock = ClockControl(opened(board.paused))
    with clock.standing_at(1_700_000_000):
        pass
    clock.skew(3600)
    clock.set(1_800_000_000)
    board.host += 1000
    assert clock.to_restore is not None
    clock.restore()
    assert board.ahead == pytest.approx(restored, abs=1.2)
    assert clock.to_restore is None


def test_what_a_killed_run_left_is_restored(simulate: Callable[..., Board]) -> None:
    board = simulate(ahead=3600.0)
    ClockControl(opened(board.paused), to_restore=-500.0).restore()
    assert board.ahead == pytest.approx(-500, abs=1)


def test_a_restore_that_fails_says_so_and_can_be_tried_again(
    simulate: Callable[..., Board],
) -> None:
    board = simulate()
    clock = ClockControl(opened(board.paused), target="porch")
    clock.skew(3600)
    board.deaf = True
    with pytest.raises(BoardError, match=r"^porch: the clock was set to"):
        clock.restore()
    board.deaf = False
    clock.restore()
    assert board.ahead == pytest.approx(0, abs=0.51)


# -- standing at a second ----------------------------------------------------------------------


@pytest.mark.parametrize("keeps_phase", [False, True])
def test_the_clock_stands_at_the_second_and_it_is_proven(
    simulate: Callable[..., Board], keeps_phase: bool
) -> None:
    board = simulate(ahead=0.5, keeps_phase=keeps_phase)  # the phase is .75: 0.25 s are left
    with ClockControl(opened(board.paused)).standing_at(1_800_000_000) as standing:
        assert math.floor(board.unix) == 1_800_000_000
        board.host += 0.05
        assert math.floor(board.unix) == 1_800_000_000
    assert standing.after is not None
    assert standing.ended - standing.began == pytest.approx(0.05)
    assert board.pauses == 2


def test_work_that_ends_within_the_second_counts_though_the_pause_after_it_does_not(
    simulate: Callable[..., Board],
) -> None:
    board = simulate()
    with ClockControl(opened(board.paused)).standing_at(1_800_000_000) as standing:
        board.host = standing.before.host + 0.97
        board.pausing = 0.3
    assert standing.after is not None
    assert standing.after.second > 1_800_000_000


def test_a_second_that_began_at_a_tick_is_proven_over_a_slow_link(
    simulate: Callable[..., Board],
) -> None:
    board = simulate()
    with ClockControl(opened(board.paused)).standing_at(1_800_000_000, at_tick=True) as standing:
        board.host = standing.before.host + 0.9
        board.there = 0.5
    assert standing.after is not None
    assert standing.after.uncertainty > 0.2


def test_a_bench_that_is_too_slow_says_that_and_no_more(simulate: Callable[..., Board]) -> None:
    board = simulate()
    with (
        pytest.raises(SecondPassedError, match="left 2027-01-15 08:00:00Z before"),
        ClockControl(opened(board.paused)).standing_at(1_800_000_000),
    ):
        board.host += 1.0


def test_a_finding_counts_only_when_the_second_is_proven(simulate: Callable[..., Board]) -> None:
    board = simulate()
    clock = ClockControl(opened(board.paused))
    with pytest.raises(AssertionError, match="refused"), clock.standing_at(1_800_000_000):
        raise AssertionError("refused")
    with pytest.raises(SecondPassedError), clock.standing_at(1_800_000_000):
        board.works(1.0, lambda: pytest.fail("refused, because the second was over"))


@pytest.mark.parametrize("by", [-40.0, 3.0, -0.9])
def test_a_clock_that_something_else_moves_is_a_board_error(
    simulate: Callable[..., Board], by: float
) -> None:
    board = simulate()
    with (
        pytest.raises(BoardError, match=r"then moved by .* something else"),
        ClockControl(opened(board.paused)).standing_at(1_800_000_000, at_tick=True),
    ):
        board.works(0.5, lambda: setattr(board, "ahead", board.ahead + by))


def test_an_action_is_repeated_until_it_ran_within_the_second(
    simulate: Callable[..., Board],
) -> None:
    board = simulate()
    slow = iter([1.5, 2.0, 0.3])
    seconds: list[tuple[int, int]] = []

    def action() -> str:
        began = math.floor(board.unix)
        board.host += next(slow)
        seconds.append((began, math.floor(board.unix)))
        return f"answer {len(seconds)}"

    done = ClockControl(opened(board.paused)).at_second(1_800_000_000, action)
    assert done.result == "answer 3"
    assert done.attempts == 3
    assert seconds[-1] == (1_800_000_000, 1_800_000_000)
    assert isinstance(done.standing, Standing)
    shown = utc(1_800_000_000)
    assert str(done) == f"at board time {shown} (set to it; {shown} when read back)"


def test_the_second_attempt_needs_no_luck_with_the_phase(simulate: Callable[..., Board]) -> None:
    board = simulate(ahead=0.74, keeps_phase=True)  # 0.01 s of the second are left

    began = []

    def action() -> int:
        began.append(board.unix % 1)
        board.host += 0.8
        return math.floor(board.unix)

    done = ClockControl(opened(board.paused)).at_second(1_800_000_000, action)
    assert (done.result, done.attempts) == (1_800_000_000, 2)
    assert began[1] < 0.03


def test_an_action_that_never_fits_is_the_benchs_fault(simulate: Callable[..., Board]) -> None:
    board = simulate()

    def action() -> None:
        board.host += 1.1

    with pytest.raises(SecondPassedError, match=r"porch: .*\(3 attempts\)"):
        ClockControl(opened(board.paused), target="porch").at_second(
            1_800_000_000, action, attempts=3
        )


@settings(deadline=None, max_examples=150)
@given(
    ahead=st.floats(-1e6, 1e6),
    keeps_phase=st.booleans(),
    at_tick=st.booleans(),
    there=st.floats(0.0001, 0.2),
    back=st.floats(0.0001, 0.2),
    work=st.floats(0, 1.3),
)
def test_what_is_proven_is_true(
    ahead: float, keeps_phase: bool, at_tick: bool, there: float, back: float, work: float
) -> None:
    board = Board(ahead=ahead, keeps_phase=keeps_phase, there=there, back=back)
    with pytest.MonkeyPatch.context() as patch:
        _simulate(patch, board)
        ran: list[float] = []
        try:
            with ClockControl(opened(board.paused)).standing_at(1_800_000_000, at_tick=at_tick):
                ran.append(board.unix)
                board.host += work
                ran.append(board.unix)
        except SecondPassedError:
            return
    assert [math.floor(moment) for moment in ran] == [1_800_000_000] * 2


# -- NTP ---------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[NtpServer]:
    with NtpServer() as running:
        yield running


def synchronises(board: Board, server: NtpServer, late: float = 0.01) -> None:
    """Give the board an ``ntptime`` that asks the server, with whole seconds as ntptime has."""

    def settime(host: str) -> None:
        assert host == "bench.example"
        import ntplib

        ntplib.NTPClient().request("127.0.0.1", 4, server.port, timeout=2)
        served = math.floor(board.host + server.offset)
        board.host += late
        board.set(served)

    board.settime = settime


@pytest.mark.parametrize("offset", [0.0, 86_400.0, -86_400.5])
def test_forcing_ntp_makes_the_board_follow_the_server(
    simulate: Callable[..., Board], server: NtpServer, offset: float
) -> None:
    board = simulate(ahead=44.0)
    server.offset = offset
    synchronises(board, server)
    clock = ClockControl(opened(board.paused), ntp=server, route=lambda _: "bench.example")
    measured = clock.force_ntp()
    assert measured.offset == pytest.approx(offset, abs=1.6)
    assert board.ntptime.host == "pool.ntp.org"
    assert clock.to_restore == pytest.approx(44.0, abs=0.6)


def test_an_ntptime_that_asks_nobody_is_a_board_error(
    simulate: Callable[..., Board], server: NtpServer
) -> None:
    board = simulate()
    clock = ClockControl(
        opened(board.paused), ntp=server, route=lambda _: "bench.example", target="porch"
    )
    with pytest.raises(BoardError, match="porch: no NTP request"):
        clock.force_ntp()


def test_a_clock_that_ntp_leaves_elsewhere_is_a_board_error(
    simulate: Callable[..., Board], server: NtpServer
) -> None:
    board = simulate()
    server.offset = 500.0
    synchronises(board, server)
    board.deaf = True
    clock = ClockControl(opened(board.paused), ntp=server, route=lambda _: "bench.example")
    with pytest.raises(BoardError, match=r"is [+-]0\.\d s from true time, .* served \+500\.0 s"):
        clock.force_ntp()


@pytest.mark.parametrize(
    ("epoch", "served", "why"),
    [
        (1970, 1_700_000_000, "cannot be led to"),
        (2000, 4_102_444_800 + 100, "epoch is 2000 holds"),
        (1970, 2**32 + 100, "epoch is 1970 holds"),
    ],
)
def test_a_time_out_of_ntptimes_reach_is_refused_before_it_is_tried(
    simulate: Callable[..., Board], server: NtpServer, epoch: int, served: int, why: str
) -> None:
    board = simulate(epoch=epoch)
    server.offset = served - NOW
    synchronises(board, server)
    clock = ClockControl(opened(board.paused), ntp=server, route=lambda _: "bench.example")
    with pytest.raises(BenchError, match=why):
        clock.force_ntp()
    assert board.ahead == 0


def test_a_server_that_no_board_can_reach_is_a_bench_error(
    simulate: Callable[..., Board], server: NtpServer
) -> None:
    board = simulate()
    with pytest.raises(BenchError, match="ntptime asks port 123"):
        ClockControl(opened(board.paused), ntp=server).force_ntp()
    with pytest.raises(BenchError, match="no NTP server"):
        ClockControl(opened(board.paused)).force_ntp()
