"""A board behind the real ser2net: over RFC 2217 and over raw TCP."""

from __future__ import annotations

import contextlib
import queue
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from serial import rfc2217
from serial_server import SerialServer, ser2net

from hil.config import TargetSpec
from hil.deadline import Deadline
from hil.errors import BenchError, BoardError
from hil.link import remote
from hil.link.board import BoardLink
from hil.link.port import Port
from hil.link.remote import parting_words, why_not_remote
from hil.virtual.board import VirtualBoard

CONSENT = TargetSpec("porch", "", "virtual", provision=True).consent()


def soon() -> Deadline:
    return Deadline.after(15)


@pytest.fixture(scope="module")
def program(require_program: Callable[[str, str], Path]) -> Path:
    return require_program("ser2net", "ser2net")


@pytest.fixture(scope="module")
def one_board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("remote")
    with VirtualBoard.start("porch", state=folder / "porch", bus=folder / "bus") as board:
        yield board


@pytest.fixture(scope="module", params=["rfc2217", "socket"])
def one_server(
    request: pytest.FixtureRequest,
    program: Path,
    one_board: VirtualBoard,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SerialServer]:
    """With ser2net's defaults: it often keeps the connection to a board that has gone."""
    folder = tmp_path_factory.mktemp("ser2net")
    with ser2net(program, one_board.device, request.param, folder) as server:
        yield server


@pytest.fixture
def board(one_board: VirtualBoard) -> VirtualBoard:
    """With power."""
    one_board.power_on()
    return one_board


@pytest.fixture
def server(one_server: SerialServer, board: VirtualBoard) -> SerialServer:
    return one_server


@pytest.fixture
def link(server: SerialServer) -> Iterator[BoardLink]:
    with BoardLink("porch", server.url, consent=CONSENT) as link:
        yield link


def test_a_hard_reset_finds_the_board_again(link: BoardLink, board: VirtualBoard) -> None:
    before = board.control("status")["boots"]
    for boots in (1, 2):
        port = link.open(soon())
        link.hard_reset(soon())
        assert not port.alive, "a connection to a board that was gone"
        with link.repl(soon()) as repl:
            assert repl.eval("6*7", soon()) == 42
        assert board.control("status")["boots"] == before + boots


def test_a_hard_reset_waits_for_a_board_that_is_away_for_long(
    program: Path, tmp_path: Path
) -> None:
    """The DFU window of an OpenMV camera, during which the server has no port to open."""
    with (
        VirtualBoard.start(
            "porch", state=tmp_path / "p", bus=tmp_path / "bus", latency={"reset_s": 2.5}
        ) as board,
        ser2net(program, board.device, "socket", tmp_path / "s") as server,
        BoardLink("porch", server.url, consent=CONSENT) as link,
    ):
        link.hard_reset(soon())
        with link.repl(soon()) as repl:
            assert repl.eval("6*7", soon()) == 42
        assert board.control("status")["boots"] == 2


def test_a_board_that_resets_by_itself_is_found_again(link: BoardLink, board: VirtualBoard) -> None:
    with link.repl(soon()) as repl:
        repl.exec("kept = 1", soon())
    board.control("hard_reset")
    with link.repl(soon()) as repl:
        assert repl.eval("'kept' in globals()", soon()) is False


def test_every_byte_passes(link: BoardLink) -> None:
    """Also 255, which is a command of telnet, and CR NUL, which telnet knows as CR. Not 4: the raw
    REPL ends its answers by it."""
    every = (bytes(range(256)) * 2 + b"\xff\xff\r\x00\r\n").replace(b"\x04", b"")
    with link.repl(soon()) as repl:
        told = repl.exec(f"import sys\nsys.stdout.buffer.write({every!r})", soon())
    assert told == every


def test_a_board_without_power_is_told_by_the_deadline(
    link: BoardLink, board: VirtualBoard, server: SerialServer
) -> None:
    link.open(soon())
    board.power_off()
    with pytest.raises(BoardError, match=r"porch: "), link.repl(Deadline.after(2)):
        pass


def test_a_server_without_the_board_says_so(board: VirtualBoard, server: SerialServer) -> None:
    board.power_off()
    with pytest.raises(BenchError, match=r"Device open failure(?s:.*)plugged in at the serial"):
        Port(server.url, target="porch", answer_s=0.5)


def test_a_port_that_somebody_else_uses_is_told(link: BoardLink, server: SerialServer) -> None:
    link.open(soon())
    with pytest.raises(BenchError, match=r"already in use(?s:.*)somebody else is connected"):
        Port(server.url, target="porch", answer_s=0.5)


@pytest.mark.parametrize("scheme", ["rfc2217", "socket"])
def test_no_server_is_the_benchs_fault(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(BenchError, match=r"cannot open (?s:.*)is the serial server running"):
        Port(url, target="porch")


@pytest.mark.parametrize("scheme", ["rfc2217", "socket"])
def test_a_command_over_a_tuned_server_takes_milliseconds(
    program: Path, board: VirtualBoard, tmp_path: Path, scheme: str
) -> None:
    """0.8 and 0.5 ms where this was written; 4.2 and 3.5 ms with ser2net's defaults."""
    with (
        ser2net(program, board.device, scheme, tmp_path / "s", tuned=True) as server,
        BoardLink("porch", server.url, consent=CONSENT) as link,
        link.repl(soon()) as repl,
    ):
        took = []
        for _ in range(30):
            start = time.perf_counter()
            repl.exec("1", soon())
            took.append(time.perf_counter() - start)
    assert statistics.median(took) < 0.02


def test_a_wait_on_a_remote_port_ends_when_it_is_closed(server: SerialServer) -> None:
    port = Port(server.url)
    closer = threading.Timer(0.1, port.close)
    closer.start()
    assert port.wait_gone(soon())
    closer.join()


def test_a_server_that_talks_without_an_end_is_not_listened_to_for_ever() -> None:
    """A web camera, a chat: no serial server. It does not hang up, so what it says is no reason."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rfc2217://127.0.0.1:{server.getsockname()[1]}"

        def talk() -> None:
            client, _ = server.accept()
            with client, contextlib.suppress(OSError):
                while True:
                    client.sendall(b"blah ")

        talker = threading.Thread(target=talk)
        talker.start()
        start = time.monotonic()
        assert parting_words(url) == b""
        assert time.monotonic() - start < 5
        talker.join()


@given(st.binary(max_size=300))
def test_whatever_a_server_says_is_one_printable_line(words: bytes) -> None:
    told = why_not_remote("socket://loft-pi:4000", "it hung up", words, "loft").message
    assert told.isprintable()
    assert len(told) < 250


# Commands of telnet, the beginning and the end of a subnegotiation, and RFC 2217's answer about the
# baud rate.
TELNET = [b"\xff\xfb", b"\xff\xfd", b"\xff\xfa", b"\xff\xf0", b"\xff\xff", b"\xff", b"\x2c\x65"]


@given(st.lists(st.sampled_from(TELNET) | st.binary(max_size=3)))
@example([b"\xff\xf0"])
@example([b"\xff\xfa", b"\x2c\x65", b"\xff\xf0"])
def test_whatever_a_server_sends_over_telnet_its_end_is_heard(pieces: list[bytes]) -> None:
    """Also an end of a subnegotiation that has not begun, and answers to what nobody asked: the
    thread that reads does not die of it in silence, or its board would just seem to be mute."""

    class Server:
        def __init__(self) -> None:
            self.pieces = iter([*pieces, b""])

        def recv(self, size: int) -> bytes:
            return next(self.pieces, b"")

    port = remote.Rfc2217()
    port.logger, port._socket, port._read_buffer = None, Server(), queue.Queue()
    port._telnet_options, port._write_lock = [], threading.Lock()
    asked = rfc2217.TelnetSubnegotiation(port, "baudrate", rfc2217.SET_BAUDRATE, b"\x65")
    port._rfc2217_options = {"baudrate": asked}
    port._internal_raw_write = lambda data: None
    port.is_open = True
    port._telnet_read_loop()
    port.is_open = False
    heard = list(port._read_buffer.queue)
    assert heard[-1] is None
    assert None not in heard[:-1]


def test_a_server_that_is_not_there_is_told_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    for url in (f"rfc2217://127.0.0.1:{number}", f"socket://127.0.0.1:{number}"):
        with pytest.raises(BenchError) as told:
            Port(url)
        assert told.value.message == f"cannot open {url}: [Errno 111] Connection refused"


def test_what_a_server_says_is_told_without_telnets_commands() -> None:
    """As ser2net 4.3.11 sends it."""
    words = b"\xff\xfb\x03\xff\xfd\x00\xff\xfd,Device open failure: Value or file not found\r\n"
    told = why_not_remote("rfc2217://loft-pi:4000", "", words, "loft").message
    assert told.endswith("said 'Device open failure: Value or file not found'")
