"""A virtual board's clock: the model's epoch, whole seconds, what resets and power do to it."""

from __future__ import annotations

import ast
import calendar
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from hil.boards.table import model
from hil.deadline import Deadline
from hil.virtual.board import VirtualBoard

EPOCH_2000 = 946_684_800
MODELS = ["openmv-n6", "openmv-ae3", "openmv-rt1062"]


@contextlib.contextmanager
def connected(board: VirtualBoard) -> Iterator[SerialTransport]:
    deadline = Deadline.after(10)
    while True:
        try:
            transport = SerialTransport(board.device)
            break
        except TransportError:
            assert not deadline.expired
            time.sleep(0.005)
    try:
        transport.enter_raw_repl(soft_reset=False)
        yield transport
    finally:
        with contextlib.suppress(OSError):  # the port may have gone
            transport.close()


def ask(transport: SerialTransport, expression: str) -> Any:
    return ast.literal_eval(transport.exec(f"print({expression})").decode())


@pytest.fixture(scope="module", params=MODELS)
def board(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("clock")
    with VirtualBoard.start(
        "clock", request.param, state=folder / "state", bus=folder / "bus"
    ) as board:
        yield board


@pytest.fixture
def repl(board: VirtualBoard) -> Iterator[SerialTransport]:
    with connected(board) as transport:
        transport.exec("import time, machine")
        yield transport


def epoch_offset(board: VirtualBoard) -> int:
    return EPOCH_2000 if model(board.record.model).epoch == 2000 else 0


def set_clock(transport: SerialTransport, unix: int) -> None:
    t = time.gmtime(unix)
    items = (t.tm_year, t.tm_mon, t.tm_mday, t.tm_wday + 1, t.tm_hour, t.tm_min, t.tm_sec, 0)
    transport.exec(f"machine.RTC().datetime({items})")


def unix(board: VirtualBoard, transport: SerialTransport) -> int:
    seconds = ask(transport, "time.time()")
    assert type(seconds) is int
    return seconds + epoch_offset(board)


def test_the_epoch_is_the_models(board: VirtualBoard, repl: SerialTransport) -> None:
    assert ask(repl, "time.gmtime(0)")[0] == model(board.record.model).epoch
    assert len(ask(repl, "time.gmtime(0)")) == 8


def test_gmtime_and_mktime_agree_with_the_calendar(
    board: VirtualBoard, repl: SerialTransport
) -> None:
    offset = epoch_offset(board)
    moments = [0, 951_782_399, 951_782_400, 1_709_164_800, 1_735_689_599, 4_102_444_799]
    for moment in (m for m in moments if m >= offset):
        seconds = moment - offset
        expected = time.gmtime(moment)
        got = ask(repl, f"time.gmtime({seconds})")
        assert got == (*expected[:6], expected.tm_wday, expected.tm_yday)
        assert ask(repl, f"time.mktime({got})") == seconds
        assert calendar.timegm(got[:6]) == moment
    assert ask(repl, "time.localtime(86399) == time.gmtime(86399)") is True


def test_a_cold_boot_has_the_models_unset_clock(
    board: VirtualBoard,
) -> None:
    board.power_off()
    board.power_on()
    with connected(board) as transport:
        transport.exec("import time, machine")
        assert 0 <= unix(board, transport) - model(board.record.model).unset_clock < 10


def test_setting_holds_over_soft_and_hard_reset_and_not_over_power_loss(
    board: VirtualBoard, repl: SerialTransport
) -> None:
    set_clock(repl, 1_800_000_000)
    assert 0 <= unix(board, repl) - 1_800_000_000 < 5
    repl.exec_raw_no_follow("machine.soft_reset()")
    repl.read_until(1, b"raw REPL; CTRL-B to exit\r\n")
    repl.exec("import time, machine")
    assert 0 <= unix(board, repl) - 1_800_000_000 < 5
    board.control("hard_reset")
    with connected(board) as transport:
        transport.exec("import time, machine")
        assert 0 <= unix(board, transport) - 1_800_000_000 < 10
    board.power_off()
    board.power_on()
    with connected(board) as transport:
        transport.exec("import time, machine")
        assert 0 <= unix(board, transport) - model(board.record.model).unset_clock < 10


def test_a_second_begins_when_it_is_set(board: VirtualBoard, repl: SerialTransport) -> None:
    time.sleep(0.7 - time.time() % 0.7)  # at no particular moment of the host's second
    set_clock(repl, 1_800_000_000)
    items = ask(repl, "machine.RTC().datetime()")
    assert items[6] == 0
    assert items[7] < 300_000
    repl.exec("while time.time() % 60 == 0: pass")
    items = ask(repl, "machine.RTC().datetime()")
    assert items[6] == 1
    assert items[7] < 300_000


def test_the_weekday_is_the_ports(board: VirtualBoard, repl: SerialTransport) -> None:
    monday = 1_800_230_400
    assert time.gmtime(monday).tm_wday == 0
    set_clock(repl, monday)
    first, _ = model(board.record.model).rtc_weekday_range
    assert ask(repl, "machine.RTC().datetime()")[3] == first
    # mpremote writes Python's weekday: a Monday is 0, which stm32 takes as it is.
    t = time.gmtime(monday)
    items = (t.tm_year, t.tm_mon, t.tm_mday, 0, t.tm_hour, t.tm_min, t.tm_sec, 0)
    repl.exec(f"machine.RTC().datetime({items})")
    assert ask(repl, "machine.RTC().datetime()")[3] == 0


def test_nanoseconds_belong_to_the_same_clock(board: VirtualBoard, repl: SerialTransport) -> None:
    seconds, nanoseconds = ask(repl, "(time.time(), time.time_ns())")
    assert 0 <= nanoseconds // 10**9 - seconds <= 1


class Sntp(threading.Thread):
    """Answers every query with one time, whatever it was."""

    def __init__(self, unix: int) -> None:
        super().__init__(daemon=True)
        self.unix = unix
        self.queries: list[bytes] = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))

    def run(self) -> None:
        while True:
            try:
                query, source = self.socket.recvfrom(100)
                if not query:
                    return  # shut down
            except OSError:
                return
            self.queries.append(query)
            answer = bytearray(48)
            answer[0] = 0x24
            struct.pack_into("!I", answer, 40, (self.unix + 2_208_988_800) & 0xFFFFFFFF)
            self.socket.sendto(answer, source)

    def __enter__(self) -> Sntp:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port


def test_ntptime_sets_the_clock_through_a_route(board: VirtualBoard, repl: SerialTransport) -> None:
    with Sntp(1_900_000_000) as server:
        board.control("route", destination="pool.ntp.org:123", to=["127.0.0.1", server.port])
        repl.exec("import ntptime; ntptime.settime()")
        assert 0 <= unix(board, repl) - 1_900_000_000 < 5
        assert [len(query) for query in server.queries] == [48]
        assert server.queries[0][0] == 0x23
    board.control("route", destination="pool.ntp.org:123", to=None)


def test_ntptime_takes_what_lies_before_2024_for_the_next_era(
    board: VirtualBoard, repl: SerialTransport
) -> None:
    with Sntp(1_700_000_000) as server:
        board.control("route", destination="*:123", to=["127.0.0.1", server.port])
        seconds = ask(repl, "__import__('ntptime').time()")
        assert seconds + epoch_offset(board) == 1_700_000_000 + 2**32
    board.control("route", destination="*:123", to=None)


def test_ntptime_without_a_way_out_is_an_oserror(
    board: VirtualBoard, repl: SerialTransport
) -> None:
    code = "import ntptime\ntry:\n ntptime.settime()\nexcept OSError as e:\n print(e.errno)"
    assert repl.exec(code) == b"-2\r\n"
