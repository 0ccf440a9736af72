"""A virtual board on the network: its address, its name on mDNS, its server on port 80."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from avahi_rig import SOCKET, beside_avahi
from check_run import short_folder
from mpremote.transport_serial import SerialTransport
from zeroconf import AddressResolverIPv4, Zeroconf

from hil.deadline import Deadline
from hil.errors import BenchError
from hil.virtual.board import VirtualBoard

SERVE = """
from microdot import Microdot
app = Microdot()
@app.get('/')
async def index(request):
    return 'from the board'
print('serving')
app.run(host='0.0.0.0', port=80)
"""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("network")
    with VirtualBoard.start("network", state=folder / "state", bus=folder / "bus") as board:
        yield board


@pytest.fixture
def repl(board: VirtualBoard) -> Iterator[SerialTransport]:
    transport = SerialTransport(board.device)
    transport.enter_raw_repl(soft_reset=True)
    transport.exec("import network\nwlan = network.WLAN(network.WLAN.IF_STA)")
    yield transport
    transport.close()


def resolve(name: str, milliseconds: int) -> list[str]:
    zeroconf = Zeroconf(interfaces=["127.0.0.1"])
    try:
        resolver = AddressResolverIPv4(f"{name}.local.")
        resolver.request(zeroconf, milliseconds)
        return resolver.parsed_addresses()
    finally:
        zeroconf.close()


def test_the_interface_comes_up_with_the_boards_address(
    board: VirtualBoard, repl: SerialTransport
) -> None:
    assert repl.exec("print(wlan.isconnected(), wlan.ifconfig()[0])") == b"False 0.0.0.0\r\n"
    repl.exec("wlan.active(True); wlan.connect('ssid', 'key')")
    expected = f"True {board.address} ('{board.address}', '255.0.0.0')\r\n"
    said = repl.exec("print(wlan.isconnected(), wlan.ifconfig()[0], wlan.ipconfig('addr4'))")
    assert said.decode() == expected


def test_an_inactive_interface_does_not_connect(repl: SerialTransport) -> None:
    code = "try:\n wlan.connect('a', 'b')\nexcept OSError:\n print('refused')"
    assert repl.exec(code) == b"refused\r\n"


def test_without_wifi_it_never_connects(board: VirtualBoard, repl: SerialTransport) -> None:
    board.control("wifi", on=False)
    try:
        repl.exec("wlan.active(True); wlan.connect('ssid', 'key')")
        assert repl.exec("print(wlan.isconnected(), wlan.ifconfig()[0])") == b"False 0.0.0.0\r\n"
    finally:
        board.control("wifi", on=True)
    assert repl.exec("print(wlan.isconnected())") == b"True\r\n"


def test_a_host_name_has_at_most_32_characters(repl: SerialTransport) -> None:
    repl.exec("network.hostname('a' * 32)")
    assert repl.exec("print(network.hostname())") == b"a" * 32 + b"\r\n"
    code = "try:\n network.hostname('a' * 33)\nexcept ValueError:\n print('refused')"
    assert repl.exec(code) == b"refused\r\n"


def test_the_name_resolves_on_mdns_while_the_link_is_up(
    board: VirtualBoard, repl: SerialTransport
) -> None:
    name = f"cam-{board.address.replace('.', '-')}"  # no other test run has it
    assert resolve(name, 100) == []
    repl.exec(f"network.hostname('{name}'); wlan.active(True); wlan.connect('ssid', 'key')")
    assert resolve(name.upper(), 3000) == [board.address]
    assert board.control("status")["hostname"] == name
    repl.exec("wlan.active(False)")
    assert board.control("status")["hostname"] is None
    assert resolve(name, 100) == []


ASK_AVAHI = '''
import socket
from hil.deadline import Deadline
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

def ask(question):
    with socket.socket(socket.AF_UNIX) as avahi:
        avahi.connect({socket!r})
        avahi.sendall(question.encode() + b"\\n")
        return avahi.makefile().read().split()

join = """import network
network.hostname('kitchen-cam')
network.WLAN().active(True)
network.WLAN().connect('bench')"""
folder, soon = pathlib.Path({folder!r}), Deadline.after(30)
with VirtualBoard.start("board", state=folder / "state", bus=folder / "bus") as board:
    with BoardLink(board.name, board.device, consent=board.consent) as link:
        with link.repl(soon) as repl:
            repl.exec(join, soon)
    start_avahi()  # which has not heard the board's announcement: it has to ask
    print(board.address)
    print(*ask("RESOLVE-HOSTNAME-IPV4 Kitchen-Cam.local"))
    print(*ask("RESOLVE-ADDRESS " + board.address))
'''


def test_avahi_resolves_the_name_and_the_address(
    require_program: Callable[[str, str], Path],
) -> None:
    """A resolver that shares no code with ours asks a board."""
    with short_folder() as folder:
        address, forward, reverse = beside_avahi(
            require_program,
            folder,
            server="allow-interfaces=lo\n",
            links="ip link set lo multicast on; ip route add 224.0.0.0/4 dev lo",
            program=ASK_AVAHI.format(socket=SOCKET, folder=str(folder)),
        ).splitlines()
    assert forward.split()[0] == "+"
    assert [part.lower() for part in forward.split()[3:]] == ["kitchen-cam.local", address]
    assert reverse.split()[0] == "+"
    assert reverse.split()[3:] == ["kitchen-cam.local"]


def test_a_reset_takes_the_name_away(board: VirtualBoard, repl: SerialTransport) -> None:
    repl.exec("wlan.active(True); wlan.connect('ssid', 'key')")
    assert board.control("status")["hostname"] == "mpy-stm32"
    repl.enter_raw_repl(soft_reset=True)
    assert board.control("status")["hostname"] is None


def test_the_host_reaches_port_80(board: VirtualBoard, repl: SerialTransport) -> None:
    repl.exec_raw_no_follow(SERVE)
    repl.read_until(1, b"serving\r\n", timeout=10)
    deadline = Deadline.after(5)
    while True:
        try:
            answer = httpx.get(board.url, timeout=5)
            break
        except httpx.ConnectError:
            assert not deadline.expired
            time.sleep(0.01)
    assert (answer.status_code, answer.text) == (200, "from the board")
    # What the harness does to a serving board: interrupt, work, resume, ask.
    repl.serial.write(b"\x03")
    repl.follow(timeout=5)
    assert repl.exec("print(1 + 1)") == b"2\r\n"
    repl.exec_raw_no_follow("import asyncio; asyncio.get_event_loop().run_forever()")
    assert httpx.get(board.url, timeout=5).text == "from the board"
    repl.serial.write(b"\x03")
    repl.follow(timeout=5)


def test_nothing_listens_where_nothing_serves(board: VirtualBoard, repl: SerialTransport) -> None:
    with socket.socket() as connection, pytest.raises(ConnectionRefusedError):
        connection.connect((board.address, board.http_port))


def test_a_name_goes_where_the_route_says(board: VirtualBoard, repl: SerialTransport) -> None:
    board.control("route", destination="api.example:443", to=["127.0.0.1", 4443])
    repl.exec("import socket")
    said = repl.exec("print(bytes(socket.getaddrinfo('api.example', 443)[0][-1])[2:8])")
    assert said.decode().strip() == repr((4443).to_bytes(2, "big") + bytes([127, 0, 0, 1]))
    board.control("route", destination="api.example:443", to=None)
    code = "try:\n socket.getaddrinfo('api.example', 443)\nexcept OSError as e:\n print(e.errno)"
    assert repl.exec(code) == b"-2\r\n"


def test_a_route_that_makes_no_sense_is_refused(board: VirtualBoard) -> None:
    with pytest.raises(BenchError, match="route"):
        board.control("route", destination="a:1", to=["only a host"])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a packet filter of Linux")
def test_before_its_wifi_is_up_nobody_reaches_a_board(tmp_path: Path) -> None:
    """A camera's server listens before there is a network: as deaf as that, not refused."""
    latency = {"wifi_s": 0.6}
    with VirtualBoard.start(
        "slow", state=tmp_path / "s", bus=tmp_path / "bus", latency=latency
    ) as board:
        transport = SerialTransport(board.device)
        transport.enter_raw_repl(soft_reset=True)
        transport.exec(
            "import network, socket\n"
            "wlan = network.WLAN(network.WLAN.IF_STA)\n"
            "server = socket.socket()\n"
            "server.bind(socket.getaddrinfo('0.0.0.0', 80)[0][-1])\n"
            "server.listen(1)\n"
            "wlan.active(True); wlan.connect('ssid', 'key')"
        )
        began = time.monotonic()
        where = (board.address, board.http_port)
        with pytest.raises(TimeoutError):
            socket.create_connection(where, timeout=0.1)
        transport.exec("while not wlan.isconnected(): pass")
        assert time.monotonic() - began > 0.5
        socket.create_connection(where, timeout=5).close()
        # What is made from now on is heard at once.
        transport.exec("server.close(); server = socket.socket(); print(server)")
        transport.exec(
            "server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n"
            "server.bind(socket.getaddrinfo('0.0.0.0', 80)[0][-1]); server.listen(1)"
        )
        socket.create_connection(where, timeout=0.5).close()
        transport.close()
