"""The port that a target is told to fetch keys from: it notes who comes, and lets nobody wait."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

import pytest

from hil.auth import listener


def connect(url: str) -> bytes:
    """What a client gets that connects and waits."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), 5) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        try:
            return connection.recv(100)
        except ConnectionResetError:
            return b""


def test_nobody_has_called() -> None:
    with listener.Listener("127.0.0.1") as bench:
        started = time.monotonic()
        assert not bench.called(0.05)
        assert time.monotonic() - started >= 0.04
    assert bench.callers == []


def test_who_connects_is_noted_and_sent_away() -> None:
    with listener.Listener("127.0.0.1") as bench:
        assert connect(bench.url) == b""
        assert bench.called(5)
        assert connect(bench.url) == b""
    assert bench.callers == ["127.0.0.1", "127.0.0.1"]


def test_a_connection_that_nobody_has_accepted_yet_counts() -> None:
    """The kernel completes it: it was made, whatever the bench does."""
    bench = listener.Listener("127.0.0.1")
    parts = urlsplit(bench.url)
    with socket.create_connection((parts.hostname, parts.port), 5), bench:
        pass
    assert bench.callers == ["127.0.0.1"]


def test_a_port_of_its_own_until_it_is_left() -> None:
    with listener.Listener("127.0.0.1") as one, listener.Listener("127.0.0.1") as other:
        assert one.url != other.url
    with pytest.raises(ConnectionRefusedError):
        connect(one.url)


def test_the_address_that_faces_a_target() -> None:
    assert listener.facing("127.0.0.1") == "127.0.0.1"
    with listener.Listener(listener.facing("127.0.0.1")) as bench:
        assert bench.url.startswith("http://127.0.0.1:")
