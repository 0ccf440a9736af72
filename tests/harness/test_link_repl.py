"""The raw REPL where the contract suite cannot go: boards that are silent, late, gone or half
used by somebody who was killed."""

from __future__ import annotations

import os
import pty
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial
import serial.rfc2217

from hil.deadline import Deadline
from hil.errors import BoardError
from hil.link import files
from hil.link.board import BoardLink
from hil.link.console import Console, Traceback
from hil.link.port import Port, PortGoneError
from hil.link.repl import Repl, ReplError
from hil.virtual.board import VirtualBoard


def soon() -> Deadline:
    return Deadline.after(10)


@pytest.fixture(scope="module")
def virtual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    state = tmp_path_factory.mktemp("board")
    with VirtualBoard.start("porch", state=state, bus=state / "bus") as board:
        yield board


@pytest.fixture
def repl(virtual: VirtualBoard) -> Iterator[Repl]:
    with (
        BoardLink("porch", virtual.device, consent=virtual.consent) as link,
        link.repl(soon()) as repl,
    ):
        yield repl


class Device:
    """Something on a serial port that is no board: it does ``answer(bytes)`` with what it gets."""

    def __init__(self, answer: Callable[[bytes], bytes]) -> None:
        self.far, slave = pty.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave
        self._answer = answer
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while data := os.read(self.far, 4096):
                os.write(self.far, self._answer(data))
        except OSError:
            return

    def close(self) -> None:
        os.close(self._slave)
        self._thread.join(5)
        os.close(self.far)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(lambda data: b"", id="silent"),
        pytest.param(lambda data: data, id="echoing"),
        pytest.param(lambda data: b"ERROR\r\n", id="modem"),
        pytest.param(lambda data: b"raw REPL; CTRL-B to exit\r\n>", id="stuck banner"),
    ],
)
def test_what_is_no_board_is_told_so_by_the_deadline(
    answer: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    device = Device(answer)
    with Port(device.path, target="porch") as port:
        before = time.monotonic()
        with pytest.raises(BoardError) as raised:
            Repl(port).enter(Deadline.after(0.7))
        assert 0.6 < time.monotonic() - before < 1.5
    device.close()
    assert f"porch: no raw REPL on {device.path}" in str(raised.value)
    assert "x Ctrl-C and Ctrl-A, last bytes" in str(raised.value)
    assert "->" in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_a_board_that_is_not_taken_goes_on_printing_to_the_console() -> None:
    device = Device(lambda data: b"")
    console = Console()
    with Port(device.path) as port:
        with pytest.raises(BoardError):
            Repl(port, console.append).enter(Deadline.after(0.1))
        os.write(device.far, b"alive\r\n")
        console.wait_for("^alive$", soon())
    device.close()


def test_another_program_that_reads_the_answers_away_is_named() -> None:
    device = Device(lambda data: b"")
    reader = "import sys; port = open(sys.argv[1], 'rb'); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", reader, device.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with Port(device.path) as port, pytest.raises(BoardError) as raised:
            Repl(port).enter(Deadline.after(0.1))
        other.kill()
    device.close()
    assert f"-> end what else has this port open: pid {other.pid} (" in str(raised.value)


def test_a_board_that_boots_late_is_awaited(tmp_path: Path) -> None:
    """Nothing that comes in the first 0.8 s is heard or answered."""
    boots = time.monotonic() + 0.8

    def relay(source: int, target: int) -> None:
        try:
            while data := os.read(source, 4096):
                if time.monotonic() > boots:
                    os.write(target, data)
        except OSError:
            return

    far, slave = pty.openpty()
    tty.setraw(slave)
    with VirtualBoard.start("late", state=tmp_path, bus=tmp_path / "bus") as virtual:
        board = os.open(virtual.device, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(board)
        relays = [
            threading.Thread(target=relay, args=ends) for ends in ((far, board), (board, far))
        ]
        for thread in relays:
            thread.start()
        with Port(os.ttyname(slave)) as port:
            repl = Repl(port, consent=virtual.consent)
            repl.enter(soon())
            assert repl.eval("6*7", soon()) == 42
            assert time.monotonic() > boots
    os.close(slave)
    for thread in relays:
        thread.join(5)
    os.close(board)
    os.close(far)


def test_what_an_earlier_caller_left_in_the_line_is_not_taken_for_an_answer(
    virtual: VirtualBoard,
) -> None:
    with Port(virtual.device) as port:
        repl = Repl(port, consent=virtual.consent)
        repl.enter(soon())
        port.write(b"print('theirs')\x04\x01\x01print('theirs')\x04\x01", soon())
        repl.enter(soon())
        assert repl.exec("print('ours')", soon()).split() == [b"ours"]
        repl.leave(soon())


KILLED = """
import sys
from hil.config import TargetSpec
from hil.deadline import Deadline
from hil.link import files
from hil.link.board import BoardLink
deadline = Deadline.after(30)
consent = TargetSpec("porch", "", "virtual", provision=True).consent()
with BoardLink("porch", sys.argv[1], consent=consent) as link, link.repl(deadline) as repl:
    print("in", flush=True)
    while True:
        repl.exec("x = 1", deadline)
        repl.exec("y = '" + "y" * 2000 + "'", deadline)
        repl.exec("for i in range(200): print('flood' * 10)", deadline)
        files.write_file(repl, "/flash/killed", bytes(range(256)) * 100, deadline)
"""


@pytest.mark.parametrize("seed", range(6))
def test_after_a_caller_was_killed_the_board_is_taken_as_ever(
    virtual: VirtualBoard, seed: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, virtual.device], stdout=subprocess.PIPE
    ) as caller:
        assert caller.stdout is not None
        caller.stdout.readline()
        threading.Event().wait(random.Random(seed).uniform(0, 0.15))
        caller.send_signal(signal.SIGKILL)
        caller.wait()
    tree = {"killed": bytes(range(256)) * 100}
    with (
        BoardLink("porch", virtual.device, consent=virtual.consent) as link,
        link.repl(soon()) as repl,
    ):
        assert repl.eval("6*7", soon()) == 42
        files.sync(repl, tree, "/flash", soon())
        assert files.read_file(repl, "/flash/killed", soon()) == tree["killed"]


def test_a_megabyte_of_output_after_a_long_silence(repl: Repl) -> None:
    pieces: list[bytes] = []
    code = "import time\ntime.sleep(1)\nfor i in range(10000): print('%099d' % i)"
    told = repl.exec(code, Deadline.after(30), pieces.append)
    assert [int(line) for line in told.split()] == list(range(10000))
    assert b"".join(pieces) == told


@pytest.mark.parametrize(
    ("kind", "message", "name"),
    [
        ("OSError", "[Errno 28] ENOSPC", "ENOSPC"),
        ("OSError", "28", "ENOSPC"),
        ("OSError", "[Errno 9001] EBOARD", "EBOARD"),
        ("OSError", "-2", "ENOENT"),
        ("OSError", "no number", ""),
        ("ValueError", "28", ""),
    ],
)
def test_an_oserror_is_known_by_its_name(kind: str, message: str, name: str) -> None:
    traceback = Traceback(("", f"{kind}: {message}"), kind, message)
    assert ReplError("", traceback=traceback).os_error == name


def test_long_code_goes_with_flow_control(repl: Repl, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = repl.port.write
    monkeypatch.setattr(
        repl.port, "write", lambda data, deadline: (written.append(data), write(data, deadline))
    )
    repl.exec("x = 1\n" * 500, soon())
    assert written[0] == b"\x05A\x01"
    assert max(map(len, written)) <= 256


def test_a_running_program_is_interrupted_at_the_first_attempt(repl: Repl) -> None:
    took = []
    for _ in range(5):
        repl.start("while True: pass", soon())
        start = time.perf_counter()
        repl.enter(soon())
        took.append(time.perf_counter() - start)
    assert sorted(took)[1] < 0.1


def test_a_program_without_end_is_named_when_its_time_is_up(repl: Repl) -> None:
    before = time.monotonic()
    with pytest.raises(BoardError, match="'while True:' did not end in time"):
        repl.exec("while True:\n    pass", Deadline.after(0.2))
    assert time.monotonic() - before < 1
    assert repl.eval("1", soon()) == 1


def test_control_characters_in_code_are_refused_before_they_are_sent(repl: Repl) -> None:
    with pytest.raises(ValueError, match="control characters"):
        repl.exec("print('\x04')", soon())
    assert repl.eval("'\\x04'", soon()) == "\x04"


def test_what_is_no_literal_is_told(repl: Repl) -> None:
    with pytest.raises(BoardError, match=r"'object\(\)' gave b'<object>', which is no literal"):
        repl.eval("object()", soon())


def test_contents_are_not_in_the_messages(repl: Repl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PIECE", 16)
    # The second piece fails: its folder is a file.
    with pytest.raises(BoardError, match="in '# write files'") as raised:
        files.sync(repl, {"a": b"secret" * 3, "a/b": b"secret" * 3}, "/flash/s", soon())
    assert "c2VjcmV0" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_one_command_takes_less_than_two_milliseconds(repl: Repl) -> None:
    took = []
    for _ in range(50):
        start = time.perf_counter()
        repl.exec("1", soon())
        took.append(time.perf_counter() - start)
    assert sorted(took)[10] < 0.002


def test_a_port_that_vanishes_under_a_command_is_told_as_that(tmp_path: Path) -> None:
    with (
        VirtualBoard.start("porch", state=tmp_path, bus=tmp_path / "bus") as board,
        BoardLink("porch", board.device, consent=board.consent) as link,
        link.repl(soon()) as repl,
    ):
        cut = threading.Timer(0.1, board.power_off)
        cut.start()
        with pytest.raises(PortGoneError, match=r"porch: port \S+ vanished"):
            repl.exec("while True: pass", soon())
        cut.join()


class WithoutLines(serial.Serial):  # type: ignore[misc]
    """A pseudo-terminal has no modem lines, which an RFC 2217 server wants to tell."""

    cts = dsr = ri = cd = False

    def _update_dtr_state(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass


class SerialServer:
    """RFC 2217 by pyserial's own server code, for one client."""

    def __init__(self, device: str) -> None:
        self._port = WithoutLines(device, timeout=0.05)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}?ign_set_control"
        self._threads = [threading.Thread(target=self._from_client)]
        self._threads[0].start()

    def write(self, data: bytes) -> None:
        self._client.sendall(data)

    def _from_client(self) -> None:
        self._client, _ = self._listener.accept()
        self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = serial.rfc2217.PortManager(self._port, self)
        ended = threading.Event()
        to_client = threading.Thread(target=self._to_client, args=(ended,))
        to_client.start()
        while data := self._client.recv(1024):
            self._port.write(b"".join(self._protocol.filter(data)))
        ended.set()
        to_client.join()
        self._client.close()

    def _to_client(self, ended: threading.Event) -> None:
        while not ended.is_set():
            data = self._port.read(self._port.in_waiting or 1)
            if data:
                self._client.sendall(b"".join(self._protocol.escape(data)))

    def close(self) -> None:
        self._threads[0].join(5)
        self._listener.close()
        self._port.close()


def test_a_board_behind_a_serial_server(virtual: VirtualBoard) -> None:
    server = SerialServer(virtual.device)
    with BoardLink("porch", server.url, consent=virtual.consent) as link, link.repl(soon()) as repl:
        assert len(repl.exec("for i in range(500): print('%098d' % i)", soon()).split()) == 500
        assert repl.exec("x = 1\n" * 200 + "print(x)", soon()).strip() == b"1"
    server.close()


def test_a_board_without_raw_paste_gets_a_program_in_pieces(
    virtual: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a small buffer behind its UART, and no way to say that it is full."""
    code = "x = 0\n" + "x += 1\n" * 60 + "print(x)"
    written: list[bytes] = []
    virtual.control("fault", name="no_raw_paste")
    try:
        with (
            BoardLink("porch", virtual.device, consent=virtual.consent) as link,
            link.repl(soon()) as repl,
        ):
            write = repl.port.write

            def noted(data: bytes, deadline: Deadline) -> None:
                written.append(bytes(data))
                write(data, deadline)

            monkeypatch.setattr(repl.port, "write", noted)
            assert repl.exec(code, soon()) == b"60\r\n"
    finally:
        virtual.control("heal")
    assert code.encode() in b"".join(written)
    assert max(len(piece) for piece in written) <= 64
