"""Connections that stay open: several answers on one, silence, and who ends it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hil.auth.answer import Outcome
from hil.auth.held import Watch, half_open
from hil.auth.raw import RawClient, request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
NO = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
GET = request("GET", "/")
POST = request("POST", "/", body=b"body")


@contextmanager
def served(behaviour: Callable[[socket.socket], None]) -> Iterator[RawClient]:
    """A server that does ``behaviour`` with each connection, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def one(connection: socket.socket) -> None:
        with connection:
            behaviour(connection)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield RawClient("127.0.0.1", listener.getsockname()[1], timeout=2.0)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def answering(data: bytes) -> Callable[[socket.socket], None]:
    def behaviour(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(data)

    return behaviour


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [(OK + NO, [200, 401]), (OK, [200, None]), (b"", [None, None]), (OK + NO[:9], [200, None])],
)
def test_each_pipelined_request_has_its_answer_or_none(
    sent: bytes, statuses: list[int | None]
) -> None:
    with served(answering(sent)) as client, client.hold() as held:
        answers = held.answers([GET, POST])
    assert [answer.status for answer in answers] == statuses
    assert [answer.request for answer in answers] == [GET, POST]


def test_pipelining_ends_when_all_is_there() -> None:
    let_go = threading.Event()

    def keeps_open(connection: socket.socket) -> None:
        connection.sendall(OK + NO)
        let_go.wait(5)

    with served(keeps_open) as client, client.hold() as held:
        began = time.monotonic()
        assert [answer.status for answer in held.answers([GET, GET])] == [200, 401]
        assert time.monotonic() - began < 1
        assert not held.closed
        let_go.set()


def test_an_interim_answer_is_told_then_the_final_one() -> None:
    def continues(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert connection.recv(100) == b"body"
        connection.sendall(OK)

    with served(continues) as client, client.hold() as held:
        assert held.answer(POST).status == 100
        held.send(b"body")
        answer = held.answer(POST, final=True)
    assert (answer.status, answer.body) == (200, b"hi")


def test_a_body_that_comes_later_is_waited_for() -> None:
    def in_pieces(connection: socket.socket) -> None:
        connection.sendall(OK[:-2])
        connection.sendall(OK[-2:])

    with served(in_pieces) as client, client.hold() as held:
        assert held.answer(GET).body == b"hi"


def test_silence_is_no_answer_after_the_time_given() -> None:
    let_go = threading.Event()

    def silent(_: socket.socket) -> None:
        let_go.wait(5)

    with served(silent) as client, client.hold() as held:
        began = time.monotonic()
        answer = held.answer(GET, timeout=0.2)
        let_go.set()
    assert (answer.outcome, answer.closed) == (Outcome.NO_ANSWER, False)
    assert 0.15 < time.monotonic() - began < 1.5


def test_a_reset_reaches_the_server_as_one() -> None:
    seen: list[str] = []
    done = threading.Event()

    def receives(connection: socket.socket) -> None:
        try:
            while connection.recv(100):
                pass
            seen.append("closed")
        except ConnectionResetError:
            seen.append("reset")
        done.set()

    with served(receives) as client:
        with client.hold(b"half") as held:
            held.reset()
        assert done.wait(2)
    assert seen == ["reset"]


def test_a_watch_tells_who_was_closed_and_when() -> None:
    let_go = threading.Event()

    def by_first_byte(connection: socket.socket) -> None:
        if connection.recv(1) == b"s":
            let_go.wait(5)

    with served(by_first_byte) as client, client.hold(b"c") as closed, client.hold(b"s") as silent:
        ended = Watch({"closed": closed, "silent": silent}, 0.3).result()
        let_go.set()
    assert ended["silent"] is None
    assert ended["closed"] is not None
    assert ended["closed"] < 0.3


def test_a_watched_connection_can_be_ended() -> None:
    ended = threading.Event()

    def until_the_end(connection: socket.socket) -> None:
        while connection.recv(100):
            pass
        ended.set()

    with served(until_the_end) as client:
        with client.hold(b"half") as held:
            Watch({"": held}, 30)
        assert ended.wait(2)


def test_held_connections_count_against_the_limit() -> None:
    most, now, lock = 0, 0, threading.Lock()

    def counts(connection: socket.socket) -> None:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        if connection.recv(100) == b"held":
            connection.recv(1)
        else:
            time.sleep(0.02)
        with lock:
            now -= 1
        connection.sendall(OK)

    with served(counts) as client:
        client.limit = 3
        with client.hold(b"held"), client.hold(b"held"):
            client.send_all([GET] * 8)
    assert most <= 3


def test_half_open_connections_are_held_as_far_as_they_are_taken() -> None:
    seen = []
    lock = threading.Lock()

    def receives(connection: socket.socket) -> None:
        data = connection.recv(100)
        with lock:
            seen.append(data)
        connection.recv(1)

    with served(receives) as client:
        with half_open((client.address, client.port), 12, b"half") as taken:
            assert taken == 12
            assert client.send(GET, timeout=0.05).status is None
        free = socket.create_server(("127.0.0.1", 0))
        nobody = free.getsockname()
        free.close()
        with half_open(nobody, 3, b"half", patience=0.2) as taken:
            assert taken == 0
    assert seen.count(b"half") == 12
