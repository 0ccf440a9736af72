"""The bench's SNTP server: its packets, its clients, its faults, and what cannot kill it."""

from __future__ import annotations

import os
import pwd
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import ntplib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.clock.ntp import (
    ERA,
    NTPTIME_EARLIEST,
    NTPTIME_END,
    UNIX_IN_NTP,
    Fault,
    NtpServer,
    answer,
    ntp_to_unix,
    require_ntptime_reach,
    unix_to_ntp,
)
from hil.deadline import Deadline
from hil.errors import BenchError, BoardError

YEAR = 365.25 * 86_400


@pytest.fixture
def server() -> Iterator[NtpServer]:
    with NtpServer() as running:
        yield running


class Client:
    """A socket that talks to the server; answers are awaited for at most 2 s."""

    def __init__(self, server: NtpServer) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(2)
        self.socket.connect(("127.0.0.1", server.port))

    def ask(self, packet: bytes) -> bytes:
        self.socket.send(packet)
        return self.socket.recv(512)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.fixture
def client(server: NtpServer) -> Iterator[Client]:
    with Client(server) as connected:
        yield connected


def request(version: int = 4, mode: int = 3, poll: int = 6, transmit: bytes = b"\xa5" * 8) -> bytes:
    return bytes([version << 3 | mode, 0, poll & 0xFF]) + bytes(37) + transmit


def ntptime(client: Client, epoch_year: int = 1970) -> int:
    """What MicroPython's ntptime 0.2.0 makes of the answer, by its own steps, as Unix seconds."""
    value = struct.unpack("!I", client.ask(b"\x23" + bytes(47))[:48][40:44])[0]
    if value < 3_913_056_000:
        value += 0x1_0000_0000
    delta = {1970: 2_208_988_800, 2000: 3_155_673_600}[epoch_year]
    return int(value - delta) + (946_684_800 if epoch_year == 2000 else 0)


# -- timestamps --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unix", "stamp"),
    [
        (-UNIX_IN_NTP + 1, "00000001 00000000"),
        (0, "83aa7e80 00000000"),
        (0.5, "83aa7e80 80000000"),
        (-0.25, "83aa7e7f c0000000"),
        (2_085_978_495, "ffffffff 00000000"),  # 2036-02-07 06:28:15, the last second of era 0
        (2_085_978_496, "00000000 00000001"),  # era 1; all zeros would mean "unknown"
        (2_085_978_497, "00000001 00000000"),
        (2_085_978_495.9999999999, "00000000 00000001"),
    ],
)
def test_a_moment_becomes_the_timestamp_of_its_era(unix: float, stamp: str) -> None:
    assert unix_to_ntp(unix).hex(" ", 4) == stamp


@settings(deadline=None)
@given(
    ticks=st.integers(0, 2**32 * 400 * 365 * 86_400),
    era=st.integers(-3, 3),
    into=st.floats(0, 1, exclude_max=True),
)
def test_a_timestamp_comes_back_as_the_same_moment_in_the_pivots_era(
    ticks: int, era: int, into: float
) -> None:
    unix = ticks / 2**32 - UNIX_IN_NTP
    earliest = unix - 1 - into * (ERA - 2)  # not on the edge, where floats round
    assert ntp_to_unix(unix_to_ntp(unix), earliest) == pytest.approx(unix, abs=1e-5)
    moved = ntp_to_unix(unix_to_ntp(unix), earliest + era * ERA)
    assert moved == pytest.approx(unix + era * ERA, abs=1e-5)


@settings(deadline=None)
@given(stamp=st.binary(min_size=8, max_size=8), earliest=st.floats(-1e10, 1e11))
def test_any_timestamp_is_a_moment_within_an_era_of_the_pivot(
    stamp: bytes, earliest: float
) -> None:
    unix = ntp_to_unix(stamp, earliest)
    assert earliest - 1e-4 <= unix <= earliest + ERA + 1e-4


def test_the_default_pivot_is_that_of_rfc_4330() -> None:
    assert ntp_to_unix(bytes.fromhex("80000000 00000000")) == -61_505_152  # 1968-01-20
    assert ntp_to_unix(bytes.fromhex("7fffffff 00000000")) == 4_233_462_143  # 2104-02-26


@pytest.mark.parametrize("size", [0, 7, 9])
def test_a_timestamp_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"8 bytes, not {size}"):
        ntp_to_unix(bytes(size))


# -- the packet --------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_the_answer_follows_rfc_4330(client: Client, version: int) -> None:
    transmit = os.urandom(8)
    before = time.time()
    reply = client.ask(request(version, poll=-3, transmit=transmit))
    after = time.time()

    assert len(reply) == 48
    assert reply[0] >> 6 == 0, "LI: no warning"
    assert reply[0] >> 3 & 7 == version
    assert reply[0] & 7 == 4, "mode: server"
    assert reply[1] == 1, "stratum"
    assert reply[2] == 0xFD, "poll, as asked"
    assert struct.unpack("b", reply[3:4])[0] == -20, "precision"
    root_delay, root_dispersion = struct.unpack("!II", reply[4:12])
    assert root_delay == 0
    assert 0 < root_dispersion / 65536 < 0.01
    assert reply[12:16] == b"XHIL"
    assert reply[24:32] == transmit, "originate: the client's transmit, bit by bit"
    reference, received, sent = (ntp_to_unix(reply[at : at + 8]) for at in (16, 32, 40))
    assert before - 1 <= reference <= received
    assert before - 1e-5 <= received <= sent <= after + 1e-5


def test_what_follows_the_header_is_ignored(client: Client) -> None:
    assert len(client.ask(request() + os.urandom(20))) == 48


@pytest.mark.parametrize(
    "packet",
    [b"", request()[:47], *(request(mode=m) for m in (0, 1, 2, 4, 5, 6, 7)), request(version=0)]
    + [request(version=v) for v in (5, 6, 7)],
)
def test_what_no_client_sends_gets_no_answer(
    server: NtpServer, client: Client, packet: bytes
) -> None:
    client.socket.send(packet)
    # The next answer on this socket belongs to the next request: the first one got none.
    assert client.ask(request(transmit=b"the next"))[24:32] == b"the next"
    assert len(server.wait_for_request(Deadline.after(2)).peer) == 2
    assert len(server.requests) == 1


@settings(deadline=None)
@given(packet=st.binary(max_size=120))
def test_any_packet_gets_a_whole_answer_or_none(packet: bytes) -> None:
    reply = answer(packet, 1.8e9, 0.0, lambda: 1.8e9)
    valid = len(packet) >= 48 and packet[0] & 7 == 3 and 1 <= packet[0] >> 3 & 7 <= 4
    assert len(reply) == (48 if valid else 0)


@settings(deadline=None)
@given(
    packets=st.lists(
        st.one_of(
            st.binary(max_size=100), st.binary(min_size=47, max_size=60).map(lambda b: b"#" + b)
        ),
        max_size=20,
    ),
    fault=st.sampled_from(Fault),
)
def test_no_packets_kill_the_server(
    hardened: NtpServer, packets: list[bytes], fault: Fault
) -> None:
    hardened.fault = fault
    with Client(hardened) as client:
        for packet in packets:
            client.socket.send(packet)
        hardened.fault = Fault.NONE
    with Client(hardened) as client:
        assert client.ask(request(transmit=b"survived"))[24:32] == b"survived"


@pytest.fixture(scope="module")
def hardened() -> Iterator[NtpServer]:
    with NtpServer() as running:
        yield running


# -- independent clients -----------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 0.25, 3600.0, -86_400.5, 20 * YEAR, -20 * YEAR])
@pytest.mark.parametrize("version", [2, 3, 4])
def test_ntplib_measures_the_offset(server: NtpServer, offset: float, version: int) -> None:
    server.offset = offset
    answered = ntplib.NTPClient().request("127.0.0.1", version, server.port, timeout=2)
    # ntplib knows no eras: over the edge of 2036 it is off by one of them, exactly.
    measured = (answered.offset - offset + ERA / 2) % ERA - ERA / 2
    assert abs(measured) <= answered.delay / 2 + 1e-4
    assert (answered.mode, answered.stratum, answered.leap) == (4, 1, 0)
    assert answered.version == version


@pytest.mark.parametrize("offset", [0.0, 3600.25, -200 * 86_400.0])
def test_chrony_measures_the_offset(
    server: NtpServer,
    offset: float,
    tmp_path: Path,
    require_program: Callable[[str, str], Path],
) -> None:
    server.offset = offset
    source = f"server 127.0.0.1 port {server.port} iburst maxsamples 1"
    # -U: need not be root; -Q: measure once, set nothing; no command port: runs side by side.
    command = [str(require_program("chronyd", "chrony")), "-U", "-u", pwd.getpwuid(os.getuid())[0]]
    command += ["-Q", "-t", "8", source, f"pidfile {tmp_path}/pid", "cmdport 0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    found = re.search(r"System clock wrong by (-?[\d.]+) seconds", done.stderr + done.stdout)
    assert found, done.stderr + done.stdout
    assert float(found[1]) == pytest.approx(offset, abs=0.05)


@pytest.mark.parametrize("epoch_year", [1970, 2000])
def test_a_boards_ntptime_follows(server: NtpServer, client: Client, epoch_year: int) -> None:
    for served in (NTPTIME_EARLIEST + 1, 1_800_000_000, 2_085_978_500, 4_102_444_799):
        require_ntptime_reach(served)
        server.offset = served - time.time()
        assert ntptime(client, epoch_year) - served in (-1, 0, 1)


@pytest.mark.parametrize("served", [NTPTIME_EARLIEST - 10, 1_700_000_000, 0])
def test_a_boards_ntptime_reads_before_2024_as_the_next_era(
    server: NtpServer, client: Client, served: int
) -> None:
    server.offset = served - time.time()
    assert ntptime(client) - (served + ERA) in (-1, 0, 1)


@pytest.mark.parametrize(
    "unix", [0, 1_700_000_000, NTPTIME_EARLIEST - 1, NTPTIME_END, NTPTIME_END + 1e9]
)
def test_what_ntptime_cannot_follow_is_refused_as_the_benchs_mistake(unix: float) -> None:
    with pytest.raises(BenchError, match=r"2024-01-01 \.\. 2160-02-07"):
        require_ntptime_reach(unix)


@pytest.mark.parametrize("unix", [NTPTIME_EARLIEST, 1_800_000_000, NTPTIME_END - 1])
def test_what_ntptime_can_follow_is_accepted(unix: float) -> None:
    require_ntptime_reach(unix)


# -- faults ------------------------------------------------------------------------------------


def test_a_silent_server_hears_and_does_not_answer(server: NtpServer, client: Client) -> None:
    server.fault = Fault.SILENT
    client.socket.send(request())
    assert server.wait_for_request(Deadline.after(2)).fault is Fault.SILENT
    server.fault = Fault.NONE
    assert client.ask(request(transmit=b"the next"))[24:32] == b"the next"


def test_a_late_answer_is_correct_and_late(
    server: NtpServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hil.clock.ntp.LATE_S", 0.3)
    server.fault = Fault.LATE
    started = time.monotonic()
    assert client.ask(request(transmit=b"the late"))[24:32] == b"the late"
    assert 0.29 <= time.monotonic() - started < 1.5


def test_a_held_answer_does_not_hold_the_server(server: NtpServer, client: Client) -> None:
    server.fault = Fault.LATE
    client.socket.send(request())
    server.wait_for_request(Deadline.after(2))
    server.fault = Fault.NONE
    assert client.ask(request(transmit=b"the next"))[24:32] == b"the next"


def test_a_short_answer_lacks_the_time(server: NtpServer, client: Client) -> None:
    server.fault = Fault.SHORT
    assert len(client.ask(request())) == 40


@pytest.mark.parametrize(
    ("fault", "leap", "mode", "stratum"),
    [
        (Fault.WRONG_MODE, 0, 3, 1),
        (Fault.KISS_OF_DEATH, 3, 4, 0),
        (Fault.UNSYNCHRONISED, 3, 4, 0),
        (Fault.FOREIGN_ORIGINATE, 0, 4, 1),
    ],
)
def test_a_fault_is_on_the_wire(
    server: NtpServer, client: Client, fault: Fault, leap: int, mode: int, stratum: int
) -> None:
    server.fault = fault
    reply = client.ask(request(transmit=b"a client"))
    assert len(reply) == 48
    assert (reply[0] >> 6, reply[0] & 7, reply[1]) == (leap, mode, stratum)
    assert (reply[24:32] == b"a client") is (fault is not Fault.FOREIGN_ORIGINATE)
    assert (reply[12:16] == b"DENY") is (fault is Fault.KISS_OF_DEATH)
    assert (reply[40:48] == bytes(8)) is (fault is Fault.KISS_OF_DEATH)


# -- running it --------------------------------------------------------------------------------


def test_requests_are_recorded_with_peer_and_offset(server: NtpServer, client: Client) -> None:
    before = time.time()
    client.ask(request())
    server.wait_for_request(Deadline.after(2))
    server.offset = -90.5
    client.ask(request(version=3))
    second = server.wait_for_request(Deadline.after(2), after=1)

    assert [r.offset for r in server.requests] == [0.0, -90.5]
    assert second.version == 3
    assert second.peer == client.socket.getsockname()
    assert before <= second.at <= time.time()


def test_waiting_for_a_request_ends_when_it_comes(server: NtpServer, client: Client) -> None:
    threading.Timer(0.05, client.socket.send, [request()]).start()
    started = time.monotonic()
    server.wait_for_request(Deadline.after(10))
    assert time.monotonic() - started < 5


def test_a_board_that_does_not_ask_is_a_board_error(server: NtpServer) -> None:
    with pytest.raises(BoardError, match="no NTP request"):
        server.wait_for_request(Deadline.after(0.02))


def test_a_port_that_is_taken_is_a_bench_error(server: NtpServer) -> None:
    with pytest.raises(BenchError, match=f"UDP port {server.port}"), NtpServer(port=server.port):
        pass


def test_stopping_is_at_once_and_frees_the_port() -> None:
    with NtpServer() as server:
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 1
        with NtpServer(port=server.port):
            pass


def test_servers_run_side_by_side_with_their_own_offsets() -> None:
    with NtpServer(offset=1000) as one, NtpServer(offset=-1000) as other:
        for server in (one, other):
            answered = ntplib.NTPClient().request("127.0.0.1", 4, server.port, timeout=2)
            assert answered.offset == pytest.approx(server.offset, abs=0.5)
