"""The routes as a client uses them, against a small server of the standard library."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hil.auth import verdict
from hil.auth.client import Api, Credentials, basic
from hil.auth.profile import Profile, load_profile
from hil.auth.raw import RawClient, Request
from hil.deadline import Deadline
from hil.errors import BoardError, Finding
from hil.secrets import SecretStr

PASSWORD = "pä:ss"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln"


class Camera(BaseHTTPRequestHandler):
    """As much of a camera as a client needs."""

    protocol_version = "HTTP/1.1"  # would keep connections alive
    seen: list[tuple[str, str, dict[str, str], bytes]]

    def log_message(self, *_: object) -> None:
        """Silent."""

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.seen.append((self.command, self.path, dict(self.headers), body))
        return body

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self._body()
        if self.path == "/api/login":
            right = json.loads(body) == {"user": "owner", "pass": PASSWORD}
            told = {"token": TOKEN} if right else {}
            self._answer(200 if right else 401, json.dumps(told).encode())
        else:
            right = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            self._answer(200 if right else 401, b'{"user": "owner", "ok": true}')

    def do_GET(self) -> None:
        self._body()
        expected = "Basic " + base64.b64encode(f"owner:{PASSWORD}".encode()).decode()
        right = self.headers.get("Authorization") == expected
        self._answer(200 if right else 401, b"hi owner")


@pytest.fixture
def profile() -> Profile:
    return load_profile("camera")


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    handler = type("Handler", (Camera,), {"seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def api(server: ThreadingHTTPServer, profile: Profile) -> Iterator[Api]:
    url = f"http://127.0.0.1:{server.server_address[1]}"
    api = Api(url, profile, Credentials("owner", SecretStr(PASSWORD)), timeout=5)
    yield api
    api.close()


@pytest.fixture
def raw(server: ThreadingHTTPServer) -> RawClient:
    return RawClient("127.0.0.1", server.server_address[1], timeout=5)


def test_a_client_logs_in_and_uses_its_token(api: Api) -> None:
    assert api.login().status_code == 200
    assert api.token() == TOKEN
    assert repr(api.token()) == f"<secret: {len(TOKEN)} chars>"
    assert api.resource().json() == {"ok": True, "user": "owner"}
    assert api.basic().text == "hi owner"


def test_a_wrong_password_gives_no_token(api: Api) -> None:
    assert api.login(password="wrong").status_code == 401
    api.credentials = api.credentials.with_password(SecretStr("wrong"))
    with pytest.raises(Finding, match="the right password gets a token"):
        api.token()
    assert api.basic().status_code == 401
    assert api.resource("nonsense").status_code == 401


def test_the_composed_requests_are_what_the_client_sends(api: Api, raw: RawClient) -> None:
    verdict.accepted(raw.send(api.compose_login()), "login")
    verdict.accepted(raw.send(api.compose_resource(token=TOKEN)), "ack")
    verdict.accepted(raw.send(api.compose_basic(f"Basic {api.credentials.basic}")), "admin")


@pytest.mark.parametrize(
    ("options", "body"),
    [
        ({}, {"user": "owner", "pass": PASSWORD}),
        ({"password": None}, {"user": "owner", "pass": None}),
        ({"password": ...}, {"user": "owner"}),
        ({"user": 5}, {"user": 5, "pass": PASSWORD}),
        ({"body": []}, []),
    ],
)
def test_a_login_differs_only_in_what_is_given(
    api: Api, options: dict[str, Any], body: object
) -> None:
    sent = api.compose_login(**options)
    assert json.loads(sent.partition(b"\r\n\r\n")[2]) == body
    assert sent.startswith(b"POST /api/login HTTP/1.1\r\n")
    assert sent.count(b"Content-Type: application/json") == 1


def test_a_composed_request_hides_the_profiles_fields(api: Api) -> None:
    sent: Request = api.compose_login()
    assert PASSWORD.encode() in sent
    assert PASSWORD not in repr(sent)


def test_a_request_without_a_content_type_has_none(api: Api) -> None:
    assert b"ontent-Type" not in api.compose_login(content_type=None)
    assert b"uthorization" not in api.compose_resource()


def test_each_request_has_a_connection_of_its_own(
    api: Api, server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = []
    handle = server.process_request

    def count(request: Any, client_address: Any) -> None:
        peers.append(client_address)
        handle(request, client_address)

    monkeypatch.setattr(server, "process_request", count)
    for _ in range(3):
        api.basic()
    assert len(set(peers)) == 3


def test_a_proxy_of_the_environment_is_not_used(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert api.basic().status_code == 200


def test_an_application_that_answers_is_alive(api: Api) -> None:
    assert api.alive(Deadline.after(5))


def test_nobody_there_is_not_alive_and_costs_no_more_than_the_deadline(profile: Profile) -> None:
    gone = Api("http://127.0.0.1:9", profile, Credentials("owner", SecretStr("x")))
    began = time.monotonic()
    assert not gone.alive(Deadline.after(0.2))
    assert time.monotonic() - began < 1.5
    with pytest.raises(BoardError, match="no answer"):
        gone.wait_alive(Deadline.after(0.05))


def test_basic_credentials_are_utf8() -> None:
    assert base64.b64decode(basic("owner", "pä:ss")) == "owner:pä:ss".encode()
    assert base64.b64decode(basic(b"\xff", b"x")) == b"\xff:x"
    assert "pä" not in repr(Credentials("owner", SecretStr("pä:ss")))
