"""The port: waits that end, and errors that say what to do."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hil.deadline import Deadline
from hil.errors import BenchError, BoardError
from hil.link.opening import holders
from hil.link.port import Port, PortGoneError, shortened


@dataclass
class Pair:
    """A pseudo-terminal: ``board`` is its far end."""

    board: int
    device: str

    def unplug(self) -> None:
        os.close(self.board)
        self.board = -1


@pytest.fixture
def pair() -> Iterator[Pair]:
    board, slave = pty.openpty()
    tty.setraw(slave)
    device = os.ttyname(slave)
    os.close(slave)
    made = Pair(board, device)
    yield made
    if made.board >= 0:
        os.close(made.board)


def soon() -> Deadline:
    return Deadline.after(5)


def test_bytes_come_up_to_the_ending_and_the_rest_stays(pair: Pair) -> None:
    with Port(pair.device) as port:
        os.write(pair.board, b"one>two>rest")
        assert port.read_until(b">", soon()) == b"one>"
        assert port.read_until(b">", soon()) == b"two>"
        assert port.read(4, soon()) == b"rest"


def test_an_ending_may_come_in_pieces(pair: Pair) -> None:
    with Port(pair.device) as port:
        os.write(pair.board, b"text \x04")
        later = threading.Timer(0.05, os.write, [pair.board, b"\x04>"])
        later.start()
        told: list[bytes] = []
        assert port.read_until(b"\x04\x04>", soon(), told.append) == b"text \x04\x04>"
        assert b"".join(told) == b"text "
        later.join()


def test_a_wait_ends_at_the_deadline_and_tells_what_came(pair: Pair) -> None:
    with Port(pair.device) as port:
        os.write(pair.board, b"something else")
        before = time.monotonic()
        with pytest.raises(BoardError, match="last bytes b'something else'"):
            port.read_until(b">", Deadline.after(0.1))
        assert 0.09 < time.monotonic() - before < 1
        assert port.drain() == b"something else"


def test_a_board_that_takes_no_input_is_no_hang(pair: Pair) -> None:
    with Port(pair.device) as port, pytest.raises(BoardError, match="takes no more input"):
        port.write(b"x" * 1_000_000, Deadline.after(0.1))


def test_a_port_that_vanishes_ends_every_wait(pair: Pair) -> None:
    with Port(pair.device) as port:
        later = threading.Timer(0.05, pair.unplug)
        later.start()
        with pytest.raises(PortGoneError, match=f"port {pair.device} vanished"):
            port.read_until(b">", soon())
        assert port.wait_gone(soon())
        assert not port.alive
        with pytest.raises(PortGoneError):
            port.write(b"x", soon())
        later.join()


def test_output_goes_to_the_sink_while_nobody_talks(pair: Pair) -> None:
    told: list[bytes] = []
    came = threading.Event()

    def sink(data: bytes) -> None:
        told.append(data)
        came.set()

    with Port(pair.device) as port:
        os.write(pair.board, b"early ")
        assert port.wait_for_output(soon())
        port.to_sink(sink)
        came.clear()
        os.write(pair.board, b"late")
        assert came.wait(5)
        assert b"".join(told) == b"early late"
        port.to_buffer()
        os.write(pair.board, b">")
        assert port.read_until(b">", soon()) == b">"


def test_a_megabyte_arrives_whole(pair: Pair) -> None:
    data = os.urandom(1_000_000).replace(b"\x04", b"x")
    with Port(pair.device) as port:
        writer = threading.Thread(target=_write_all, args=(pair.board, data + b"\x04"))
        writer.start()
        assert port.read_until(b"\x04", Deadline.after(20)) == data + b"\x04"
        writer.join()


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def test_a_missing_port_is_the_benchs_fault(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"porch: no port .*absent\n  -> is the board plugged in"):
        Port(str(tmp_path / "absent"), target="porch")


def test_a_port_without_permission_names_the_group(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.getuid() == 0:
        # root may open everything: let the system call refuse.
        def refuse(*_: object, **__: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    else:
        Path(pair.device).chmod(0)
    with pytest.raises(BenchError, match=r"no permission to open(?s:.*)dialout"):
        Port(pair.device)


HOLD = """
import serial, sys
port = serial.serial_for_url(sys.argv[1], exclusive=True)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_held_port_names_the_holder(pair: Pair) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, pair.device], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert [pid for pid, _ in holders(pair.device)] == [holder.pid]
        with pytest.raises(BenchError, match=rf"held by pid {holder.pid} \(.*import serial"):
            Port(pair.device)
        holder.kill()


def test_openmvs_protocol_rate_is_refused(pair: Pair) -> None:
    with pytest.raises(BenchError, match="921600"):
        Port(pair.device, 921600)


def test_a_port_may_be_a_socket() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        with Port(url) as port:
            board, _ = server.accept()
            port.write(b"print(1)\x04", soon())
            assert board.recv(100) == b"print(1)\x04"
            board.sendall(b"OK" + b"1" * 100_000 + b"\x04\x04>")
            assert len(port.read_until(b"\x04\x04>", soon())) == 100_005
            start = time.monotonic()
            for _ in range(5):
                board.sendall(b"OK\x04\x04>")
                port.read_until(b"\x04\x04>", soon())
            assert time.monotonic() - start < 0.2
            board.close()
            assert port.wait_gone(soon())


def test_long_output_is_shortened_in_messages() -> None:
    assert shortened(b"short") == "b'short'"
    assert len(shortened(bytes(10_000))) < 600
