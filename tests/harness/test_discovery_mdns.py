"""Names to addresses, against responders that share no code with the resolver."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from avahi_rig import beside_avahi
from hypothesis import given
from hypothesis import strategies as st

from hil.deadline import Deadline
from hil.discovery import mdns
from hil.discovery.mdns import NameCollisionError, Resolved, WrongAddressError, verify_address
from hil.errors import BenchError

GROUP, PORT = "224.0.0.251", 5353
LOOPBACK = ["127.0.0.1"]
IP_MULTICAST_ALL = 49  # <linux/in.h>; the socket module does not have it


class Responder:
    """As little of RFC 6762 as a camera has: A records for its own name, on loopback.

    ``addresses`` are sent in a message each, as two boards would.
    """

    def __init__(self, hostname, *addresses, deaf_for=0):
        self.name = hostname.encode().lower()
        self.addresses = addresses
        self.deaf_for = deaf_for  # questions that get lost
        self.questions = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("", PORT))
        on_loopback = socket.inet_aton("127.0.0.1")
        self._socket.setsockopt(
            socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + on_loopback
        )
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, on_loopback)
        if sys.platform == "linux":  # nor hear what other sockets' interfaces get
            self._socket.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        self._stop, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        os.write(self._wake, b"x")
        self._thread.join(5)
        for end in (self._stop, self._wake):
            os.close(end)
        self._socket.close()

    def _serve(self):
        import select

        while self._stop not in select.select([self._socket, self._stop], [], [])[0]:
            message = self._socket.recv(9000)
            flags, questions = struct.unpack_from("!xxHH", message)
            wanted = b"".join(bytes([len(p)]) + p for p in (self.name, b"local")) + b"\0"
            if flags & 0x8000 or not questions or wanted not in message.lower():
                continue
            self.questions += 1
            if self.questions <= self.deaf_for:
                continue
            for address in self.addresses:
                header = struct.pack("!6H", 0, 0x8400, 0, 1, 0, 0)
                record = struct.pack("!HHIH", 1, 0x8001, 120, 4) + socket.inet_aton(address)
                self._socket.sendto(header + wanted + record, (GROUP, PORT))


@pytest.fixture
def hostname():
    """A name that no other test, and no other run on this computer, asks for."""
    return f"omv-{uuid.uuid4().hex[:12]}"


def test_a_board_is_found_under_its_name(hostname):
    with Responder(hostname, "127.3.2.1"):
        begun = time.monotonic()
        found = mdns.resolve([hostname], Deadline.after(5), LOOPBACK)
    assert found == {hostname: "127.3.2.1"}
    assert time.monotonic() - begun < 2


def test_the_name_may_be_written_with_local_and_in_any_case(hostname):
    names = [hostname, f"{hostname}.local", f"{hostname.upper()}.local."]
    with Responder(hostname, "127.3.2.1"):
        found = mdns.resolve(names, Deadline.after(5), LOOPBACK)
    assert found == dict.fromkeys(names, "127.3.2.1")


def test_by_default_all_interfaces_are_asked_loopback_too(hostname):
    with Responder(hostname, "127.3.2.1"):
        assert mdns.resolve([hostname], Deadline.after(5)) == {hostname: "127.3.2.1"}


def test_nobody_answers(hostname):
    begun = time.monotonic()
    assert mdns.resolve([hostname], Deadline.after(0.4), LOOPBACK) == {hostname: None}
    assert 0.35 < time.monotonic() - begun < 1.5


def test_all_names_are_asked_at_once(hostname):
    names = [f"{hostname}-{n}" for n in range(8)]
    silent = f"{hostname}-silent"
    responders = [Responder(name, f"127.3.2.{n}") for n, name in enumerate(names)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Responder.__enter__, responders))
        try:
            begun = time.monotonic()
            found = mdns.resolve([*names, silent], Deadline.after(1.5), LOOPBACK)
            took = time.monotonic() - begun
        finally:
            list(pool.map(Responder.__exit__, responders))
    assert found == {**{name: f"127.3.2.{n}" for n, name in enumerate(names)}, silent: None}
    assert took < 3


def test_a_lost_question_is_asked_again(hostname):
    with Responder(hostname, "127.3.2.1", deaf_for=1) as board:
        assert mdns.resolve([hostname], Deadline.after(8), LOOPBACK) == {hostname: "127.3.2.1"}
    assert board.questions > 1


def test_two_boards_with_one_name_are_kept_apart(hostname):
    with Responder(hostname, "127.3.2.9", "127.3.2.10"):
        (found,) = mdns.lookup([hostname], Deadline.after(5), LOOPBACK).values()
    assert found == Resolved(hostname, ("127.3.2.9", "127.3.2.10"))
    assert found.collision


def test_several_threads_resolve_at_once(hostname):
    names = [f"{hostname}-{n}" for n in range(4)]
    with Responder(names[0], "127.3.2.1"), ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(mdns.resolve, names[:1], Deadline.after(8), LOOPBACK) for _ in names]
        assert [one.result() for one in asked] == [{names[0]: "127.3.2.1"}] * 4


def test_nothing_asked_nothing_answered():
    assert mdns.lookup([], Deadline.after(0)) == {}


def test_no_multicast_is_the_bench_s_fault(monkeypatch, hostname):
    import zeroconf.asyncio

    def refuse(**_):
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(zeroconf.asyncio, "AsyncZeroconf", refuse)
    with pytest.raises(BenchError, match="Address already in use"):
        mdns.resolve([hostname], Deadline.after(1), LOOPBACK)


# --- the cross-check ---------------------------------------------------------------------------


def test_the_board_agrees():
    assert verify_address(Resolved("porch", ("10.0.0.5",)), "10.0.0.5") is None
    assert verify_address("10.0.0.5", "10.0.0.5") is None


@pytest.mark.parametrize(
    ("resolved", "name"),
    [(Resolved("porch", ("10.0.0.5",)), "porch.local"), ("10.0.0.5", "its host name")],
)
def test_another_board_s_address_is_told(resolved, name):
    problem = verify_address(resolved, "10.0.0.9", target="front")
    assert isinstance(problem, WrongAddressError)
    assert str(problem).startswith(f"front: {name} resolves to 10.0.0.5, but the board says")
    assert "10.0.0.9" in str(problem)


def test_a_second_claimant_is_told():
    both = Resolved("porch.local", ("10.0.0.5", "10.0.0.9"))
    problem = verify_address(both, "10.0.0.9", target="front")
    assert isinstance(problem, NameCollisionError)
    assert "porch.local is claimed by 10.0.0.5 as well" in str(problem)


def test_silence_is_no_contradiction():
    assert verify_address(Resolved("porch", ()), "10.0.0.9") is None
    assert verify_address(Resolved("porch", ("10.0.0.5",)), None) is None


# --- anything at all ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", ".local", "a..b", "a b", "x" * 64, "ü", "x." * 130])
def test_what_is_no_host_name(name):
    with pytest.raises(BenchError, match="is not a host name"):
        mdns.lookup([name], Deadline.after(0))


@given(st.text(max_size=300))
def test_any_text_is_a_name_that_can_be_asked_for_or_no_host_name(text):
    from zeroconf import DNSOutgoing, DNSQuestion

    try:
        name = mdns._query_name(text)
    except BenchError:
        return
    message = DNSOutgoing(0)
    message.add_question(DNSQuestion(name, 1, 1))
    assert message.packets()


# --- avahi -------------------------------------------------------------------------------------


def test_avahi_answers(require_program, tmp_path, hostname):
    told = beside_avahi(
        require_program,
        tmp_path,
        server=f"host-name={hostname}\nallow-interfaces=hil0\n",
        links="""
            ip link add name hil0 type veth peer name hil1
            ip addr add 10.99.0.7/24 dev hil0
            ip link set hil1 up
            ip link set hil0 up
            ip route add 224.0.0.0/4 dev hil0
        """,
        program=(
            "from hil.deadline import Deadline\nfrom hil.discovery import mdns\n"
            "start_avahi()\n"
            f"print(mdns.lookup(['{hostname}'], Deadline.after(20), ['10.99.0.7']))\n"
        ),
    )
    assert "addresses=('10.99.0.7',)" in told
