"""The camera's HTTP front, with raw sockets: answers by the book, never a 5xx."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from firmware_process import PASSWORD, Camera, receive

GOOD = json.dumps({"user": "owner", "pass": PASSWORD}).encode()


@pytest.fixture(scope="module")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camera]:
    camera = Camera(tmp_path_factory.mktemp("camera"))
    camera.start()
    yield camera
    camera.stop()


@pytest.fixture(autouse=True)
def alive(camera: Camera) -> Iterator[None]:
    """The camera still answers after each test, and never printed a traceback or a secret."""
    yield
    assert camera.login().status == 200
    assert "Traceback" not in camera.console()
    assert PASSWORD not in camera.console()


def basic(user_pass: str | bytes) -> str:
    data = user_pass if isinstance(user_pass, bytes) else user_pass.encode()
    return "Basic " + base64.b64encode(data).decode()


def head(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_the_documents_way_through(camera: Camera) -> None:
    answer = camera.login()
    assert answer.status == 200
    assert answer.fields["content-type"].startswith("application/json")
    answer = camera.ack(json.loads(answer.body)["token"])
    assert json.loads(answer.body) == {"ok": True, "user": "owner"}
    answer = camera.ask("GET", "/admin", authorization=basic(f"owner:{PASSWORD}"))
    assert (answer.status, answer.body) == (200, b"hi owner")


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (GOOD, "Application/JSON", 200),
        (GOOD, "application/json ; charset=utf-8", 200),
        (GOOD, "text/plain", 415),
        (GOOD, "", 415),
        (b"user=owner&pass=x", "application/x-www-form-urlencoded", 415),
        (b"", "application/json", 400),
        (GOOD + b"x", "application/json", 400),
        (GOOD.replace(b",", b" "), "application/json", 400),
        (b"\xef\xbb\xbf" + GOOD, "application/json", 400),
        (GOOD.decode().encode("utf-16"), "application/json", 400),
        (b'{"user":"owner","pass":"\xff"}', "application/json", 400),
        (b'{"user":"owner","pass":"\\ud800"}', "application/json", 400),
        (GOOD.replace(b'"pass"', b'"pass": "no", "pass"'), "application/json", 400),
        (b"[]", "application/json", 400),
        (b"null", "application/json", 400),
        (b"{}", "application/json", 400),
        (b'{"user":"owner","pass":null}', "application/json", 400),
        (b'{"user":"owner","pass":[]}', "application/json", 400),
        (b'{"user":"owner","pass":true}', "application/json", 400),
        (b'{"user":"owner","pass":""}', "application/json", 401),
        (b'{"user":"Owner","pass":"x"}', "application/json", 401),
        (b'{"user":"owner","pass":"%s"}' % (b"x" * 4096), "application/json", 401),
        (b'{"user":"owner","pass":' + b"[" * 7000 + b"]" * 7000 + b"}", "application/json", 400),
        (b'{"user":"owner","pass":"%s"}' % (b"x" * 17 * 1024), "application/json", 413),
    ],
    ids=lambda value: value.decode("latin-1")[:40] if isinstance(value, bytes) else str(value),
)  # fmt: skip
def test_login_bodies(camera: Camera, body: bytes, content_type: str, status: int) -> None:
    assert camera.ask("POST", "/api/login", body, content_type=content_type).status == status


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD.upper(), PASSWORD[:-1], PASSWORD + " ", PASSWORD + "\n", PASSWORD + "\0",
        "pa\u0308sswo\u0308rd:with a colon",
    ],
)  # fmt: skip
def test_the_password_is_exact(camera: Camera, password: str) -> None:
    assert camera.login(password).status == 401
    assert camera.ask("GET", "/admin", authorization=basic(f"owner:{password}")).status == 401


@pytest.mark.parametrize("user", ["mallory", "Owner", "owner ", "", "owner\0"])
def test_the_right_password_of_somebody_else(camera: Camera, user: str) -> None:
    assert camera.login().status == 200  # so that the right pair is the one remembered
    assert camera.login(user=user).status == 401
    assert camera.ask("GET", "/admin", authorization=basic(f"{user}:{PASSWORD}")).status == 401


def test_an_unknown_user_and_a_wrong_password_look_alike(camera: Camera) -> None:
    one, other = camera.login("wrong"), camera.login("wrong", user="mallory")
    assert one.status == other.status == 401
    assert one.body == other.body == b"401 error"
    assert "date" in one.fields
    del one.fields["date"], other.fields["date"]
    assert one.fields == other.fields


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (["GET /admin HTTP/1.1"], 400),  # no Host
        (["GET /admin HTTP/1.0"], 401),
        (["GET /admin HTTP/1.1", "Host: a", "Host: b"], 400),
        (["GET http://porch.local/admin?x=%zz HTTP/1.1", "Host: a"], 401),
        (["GET /admin", "Host: a"], 400),  # HTTP/0.9
        (["GET  /admin HTTP/1.1", "Host: a"], 400),
        (["GET /admin HTTP/2.0", "Host: a"], 400),
        (["GET /admin http/1.1", "Host: a"], 400),
        (["GET /admin HTTP/1.1", "Host: a", "no colon"], 400),
        (["GET /admin HTTP/1.1", "Host: a", "Authorization : Basic x"], 400),
        (["GET /admin HTTP/1.1", "Host: a", "Authorization: Basic", " x"], 400),  # obs-fold
        (["GET /admin HTTP/1.1", "Host: a", "X: a\0b"], 400),
        (["GET /admin HTTP/1.1", "Host: a", "X: a\rb"], 400),
        (["GET /admin HTTP/1.1", "Host: a", "X: " + "a" * 2048], 431),
        (["GET /" + "a" * 2048 + " HTTP/1.1", "Host: a"], 414),
        (["GET /admin HTTP/1.1", "Host: a", *["X: a"] * 500], 431),
        (["GET /admin HTTP/1.1", "Host: a", "Expect: miracles"], 417),
        (["PUT /admin HTTP/1.1", "Host: a"], 405),
        (["post /api/login HTTP/1.1", "Host: a"], 405),
        (["TRACE /api/login HTTP/1.1", "Host: a"], 405),
        (["HEAD /api/ack HTTP/1.1", "Host: a"], 405),
        (["CONNECT porch:80 HTTP/1.1", "Host: a"], 404),
        (["OPTIONS * HTTP/1.1", "Host: a"], 200),
        (["OPTIONS /admin HTTP/1.1", "Host: a"], 200),
        (["POST /api/ack/ HTTP/1.1", "Host: a"], 404),
        (["POST //api/ack HTTP/1.1", "Host: a"], 404),
        (["GET /secret.bin HTTP/1.1", "Host: a"], 404),
        (["GET /../secret.bin HTTP/1.1", "Host: a"], 404),
        (["POST /api/login HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"], 411),
        (["POST /api/login HTTP/1.1", "Host: a", "Transfer-Encoding: x", "Content-Length: 1"], 400),
        *(
            (["POST /api/login HTTP/1.1", "Host: a", f"Content-Length: {length}"], 400)
            for length in ("abc", "-5", "-1", "+5", "0x10", "1e3", "", "5, 5", "\u0665")
        ),
        (["POST /api/login HTTP/1.1", "Host: a", "Content-Length: 9999999999"], 413),
        (["POST /api/login HTTP/1.1", "Host: a", "Content-Length: 16385"], 413),  # before the body
        (["POST /api/login HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 6"], 400),
    ],
    ids=lambda value: "|".join(value)[:60] if isinstance(value, list) else str(value),
)
def test_heads(camera: Camera, request_head: list[str], status: int) -> None:
    answer = camera.talk(head(*request_head))
    assert answer.status == status, answer
    if request_head[0].startswith("OPTIONS"):
        assert answer.body == b""
    if status == 405:
        assert "OPTIONS" in answer.fields["allow"]
    if status == 401:
        assert "www-authenticate" in answer.fields


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200 + b"\r\n\r\n",
        b"GET /admin HTTP/1.1\r\nHost: a\r\nX: \xff\xfe\r\n\r\n",
        b"GET /admin HTTP/1.1\nHost: a\n\n\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b" \r\n\r\n",
    ],
)
def test_junk(camera: Camera, junk: bytes) -> None:
    assert camera.talk(junk).status == 400


def test_a_head_without_end_is_refused_early(camera: Camera) -> None:
    with camera.connect() as connection:
        connection.sendall(b"GET /admin HTTP/1.1\r\nX: " + b"a" * 4096)
        assert receive(connection).status == 431
    answer = camera.talk(b"GET /admin HTTP/1.1\r\nX: " + b"a" * 8_000_000)
    assert answer.status in (431, None)  # a reset, when the rest comes too thick


@pytest.mark.parametrize("field", ["bearer", "BEARER", "Bearer"])
def test_bearer_in_any_case_and_with_more_spaces(camera: Camera, field: str) -> None:
    token = camera.token()
    for spaces in " ", "   ":
        answer = camera.ask(
            "POST", "/api/ack", b'{"count":0}', content_type="application/json",
            authorization=field + spaces + token,
        )  # fmt: skip
        assert answer.status == 200, answer


@pytest.mark.parametrize(
    "field",
    ["", "Bearer", "Bearer ", "{t}", "Bearer\t{t}", "Token {t}", "Basic {t}", "Bearer: {t}",
     "Bearer={t}", 'Bearer "{t}"', "Bearer Bearer {t}", "Bearer {t}, Basic x", "Bearer {t}="],
)  # fmt: skip
def test_bearer_spelled_wrongly(camera: Camera, field: str) -> None:
    field = field.format(t=camera.token())
    answer = camera.ask("POST", "/api/ack", b"not json", authorization=field)
    assert answer.status == 401, answer
    challenge = answer.fields["www-authenticate"]
    shown = field.lower().startswith("bearer ") and len(field) > 7
    assert challenge.startswith('Bearer realm="')
    assert ('error="invalid_token"' in challenge) == shown


def test_authorization_twice_is_refused(camera: Camera) -> None:
    token = camera.token()
    for pair in [("Bearer x", "Bearer " + token), ("Bearer " + token, "Basic x")]:
        fields = [f"Authorization: {value}" for value in pair]
        assert camera.talk(head("POST /api/ack HTTP/1.1", "Host: a", *fields)).status == 400


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b'{"count":1}', 200, b""), (b"{}", 400, b"missing count"), (b"[]", 400, b"missing count"),
        (b'{"x":1}', 400, b"missing count"), (b"", 400, b"missing count"), (b"5", 400, b""),
        (b'"xcountx"', 400, b"missing count"), (b'["count"]', 400, b"missing count"),
        (b'{"count":null}', 400, b""), (b'{"count":"x"}', 400, b""), (b'{"count":-1}', 400, b""),
        (b'{"count":1', 400, b""), (b'{"count":true}', 400, b""), (b'{"count":1.5}', 400, b""),
    ],
)  # fmt: skip
def test_ack_bodies(camera: Camera, body: bytes, status: int, text: bytes) -> None:
    answer = camera.ack(camera.token(), body)
    assert answer.status == status
    assert text in answer.body


def test_ack_as_text_has_no_count(camera: Camera) -> None:
    token = camera.token()
    answer = camera.ask("POST", "/api/ack", b'{"count":1}', authorization="Bearer " + token)
    assert (answer.status, answer.body) == (400, b"missing count")


@pytest.mark.parametrize(
    ("field", "status"),
    [
        (basic(f"owner:{PASSWORD}"), 200),
        (basic(f"owner:{PASSWORD}").replace("Basic", "bAsIc  "), 200),
        ("Basic", 401), ("Basic ", 401), ("Basic !!!", 401), (basic("no colon"), 401),
        (basic(f"owner:{PASSWORD}").replace(" ", "\t"), 401),
        (basic(f"owner:{PASSWORD}".encode("latin-1")), 401),
        (basic(b"owner:\xff\xfe"), 401),
        (basic(f"owner:{PASSWORD}") + "=", 401),
        (basic(f"owner:{PASSWORD}") + "=junk", 401),
        (basic(f"owner:{PASSWORD}")[:12] + "!" + basic(f"owner:{PASSWORD}")[12:], 401),
        (basic(":"), 401), (basic("owner:"), 401), (basic(f":{PASSWORD}"), 401),
        (basic(f"owner\0:{PASSWORD}"), 401),
    ],
)  # fmt: skip
def test_basic(camera: Camera, field: str, status: int) -> None:
    answer = camera.ask("GET", "/admin", authorization=field)
    assert answer.status == status, answer
    if status == 401:
        assert answer.body == b""
        challenge = answer.fields["www-authenticate"]
        assert challenge == 'Basic realm="Backyard cam admin", charset="UTF-8"'


def test_schemes_do_not_cross(camera: Camera) -> None:
    assert camera.ask("GET", "/admin", authorization="Bearer " + camera.token()).status == 401
    answer = camera.ask("POST", "/api/ack", b"{}", authorization=basic(f"owner:{PASSWORD}"))
    assert answer.status == 401


def test_framing_and_headers_of_every_answer(camera: Camera) -> None:
    for answer in (camera.login(), camera.ask("GET", "/"), camera.talk(b"junk\r\n\r\n")):
        assert answer.data.startswith(f"HTTP/1.1 {answer.status} ".encode())
        assert int(answer.fields["content-length"]) == len(answer.body)
        assert answer.fields["connection"] == "close"
        assert answer.fields["cache-control"] == "no-store"
        assert not {"server", "x-powered-by", "access-control-allow-origin"} & answer.fields.keys()
    answer = camera.ask("HEAD", "/admin", authorization=basic(f"owner:{PASSWORD}"))
    assert (answer.status, answer.body, answer.fields["content-length"]) == (200, b"", "8")


def test_a_refusal_is_not_lost_in_a_reset(camera: Camera) -> None:
    """A client that sends its body after the refusal can do so, and then reads the refusal."""
    with camera.connect() as connection:
        connection.sendall(head("POST /api/login HTTP/1.1", "Host: a", "Content-Length: 20000"))
        assert connection.recv(8192, socket.MSG_PEEK)
        for _ in range(20):
            connection.sendall(b"x" * 1000)
        connection.shutdown(socket.SHUT_WR)
        data = b""
        while more := connection.recv(65536):  # a reset would raise
            data += more
        assert data.startswith(b"HTTP/1.1 413 ")


def test_one_byte_at_a_time(camera: Camera) -> None:
    with camera.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in head("GET /admin HTTP/1.1", "Host: a"):
            connection.sendall(bytes([byte]))
        assert receive(connection).status == 401


def test_a_pipelined_request_is_not_run(camera: Camera) -> None:
    answer = camera.talk(head("GET /admin HTTP/1.1", "Host: a") * 2)
    assert answer.data.count(b"HTTP/1.1") == 1


def test_expect_continue(camera: Camera) -> None:
    with camera.connect() as connection:
        connection.sendall(
            head("POST /api/login HTTP/1.1", "Host: a", "Content-Type: application/json",
                 f"Content-Length: {len(GOOD)}", "Expect: 100-continue")
        )  # fmt: skip
        assert connection.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(GOOD)
        assert receive(connection).status == 200


def test_fifty_at_once_are_all_answered(camera: Camera) -> None:
    token = camera.token()
    with ThreadPoolExecutor(50) as pool:
        logins = [pool.submit(camera.login) for _ in range(50)]
        assert [login.result().status for login in logins] == [200] * 50
        acks = [pool.submit(camera.ack, token) for _ in range(50)]
        assert [ack.result().status for ack in acks] == [200] * 50


def test_half_open_connections_do_not_keep_others_out(camera: Camera) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(camera.connect()).sendall(b"POST /api/login HTTP/1.1\r\n")
        began = time.monotonic()
        assert camera.login().status == 200
        assert time.monotonic() - began < 4


def test_a_silent_connection_is_closed(camera: Camera) -> None:
    with camera.connect() as silent, camera.connect() as half:
        half.sendall(head("POST /api/login HTTP/1.1", "Host: a", "Content-Length: 10"))
        began = time.monotonic()
        assert receive(half).status == 408
        assert receive(silent).status in (408, None)
        assert 4 < time.monotonic() - began < 12


def test_a_client_that_resets_in_the_middle(camera: Camera) -> None:
    for data in (
        b"",
        b"POST /api/lo",
        head("POST /api/login HTTP/1.1", "Host: a", "Content-Length: 9"),
    ):
        connection = camera.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.sendall(data)
        connection.close()


def test_a_thousand_bad_requests(camera: Camera) -> None:
    token = camera.token()
    bad = [
        b"\0\r\n\r\n",
        head("GET /admin HTTP/1.1"),
        head("POST /api/ack HTTP/1.1", "Host: a", "Authorization: Bearer a.b.c"),
        head("POST /api/login HTTP/1.1", "Host: a", "Content-Length: 1", body=b"{"),
    ]
    with ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(lambda i: camera.talk(bad[i % 4]).status, range(1000)))
    assert statuses == {400, 401, 415}
    assert camera.ack(token).status == 200


def test_guessing_slows_down_and_the_owner_still_gets_in(camera: Camera) -> None:
    def attempt() -> float:
        began = time.monotonic()
        assert camera.login("wrong").status == 401
        return time.monotonic() - began

    assert camera.login().status == 200  # a right password begins the count anew
    durations = [attempt() for _ in range(40)]
    assert min(durations[:20]) < 0.05 < 0.09 < min(durations[35:])
    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(lambda _: camera.login("wrong").status, range(12)))
    assert 429 in statuses  # parallel guesses queue up behind each other, and the queue is short
    assert camera.login().status == 200
    assert min(attempt() for _ in range(3)) < 0.05
    assert camera.login().status == 200
