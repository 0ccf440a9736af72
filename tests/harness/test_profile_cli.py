"""``hil profile``: what it says of a profile, and what it learns from a server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner, Result

from hil.auth import tokens
from hil.auth.profile import load_profile
from hil.cli import main

PASSWORD = "a-Pass-of-ada's"
KEY = b"k" * 32


def mint() -> str:
    return str(tokens.mint({"exp": int(time.time()) + 20, "user_id": 1, "kind": "access"}, KEY))


def _forged(token: str) -> bool:
    try:
        tokens.verify(token, KEY, ["HS256"])
    except ValueError:
        return True
    return False


class Server(BaseHTTPRequestHandler):
    """A form login, a token without a scheme, 400 for a bad one: as document 004 has it. A form
    without a password is a 422, and a GET of the login a 401.

    :ivar posted: where to
    """

    posted: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        """Silent."""

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        if self.path == "/metrics" and status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="numbers"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        self.posted.append(self.path)
        right = form == {"email": ["ada"], "password": [PASSWORD]}
        if self.path != "/login":
            self.answer(404, {})
        elif "password" not in form:
            self.answer(422, {})
        else:
            self.answer(200 if right else 400, {"token": mint()} if right else {"message": "no"})

    def do_GET(self) -> None:
        shown = self.headers.get("Authorization")
        if self.path == "/openapi.json":
            posts = ("/shutdown", "/auth/register", "/authors", "/login", "/of/{name}/token")
            paths = {path: {"post": {}} for path in posts} | {"/get-user": {"get": {}}}
            self.answer(200, {"info": {"title": "Users: an example"}, "paths": paths})
        elif self.path == "/login":
            self.answer(401, {})
        elif self.path == "/metrics":
            self.answer(200 if (shown or "").startswith("Basic ") else 401, "numbers")
        elif self.path != "/get-user":
            self.answer(404, {})
        elif shown is None:
            self.answer(401, {"message": "Auth required"})
        else:
            good = not _forged(shown)
            self.answer(200 if good else 400, {"user": "ada"} if good else {})


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


def hil(*arguments: str, password: str = PASSWORD) -> Result:
    return CliRunner().invoke(main, ["profile", *arguments], env={"HIL_PASSWORD": password})


def test_a_server_is_learned(server: str, tmp_path: Path) -> None:
    path = tmp_path / "learned.yaml"
    ran = hil("learn", server, "--user", "ada", "--output", str(path))
    assert ran.exit_code == 0, ran.output
    assert PASSWORD not in path.read_text() + ran.output
    learned = load_profile(path)
    assert learned.title == "Users: an example"
    assert (learned.login.path, learned.login.encoding) == ("/login", "form")
    assert (learned.login.user_field, learned.login.token_field) == ("email", "token")
    assert (learned.token.lifetime_s, learned.token.algorithms) == (20, ("HS256",))
    assert learned.token.claims == {"kind": "access"}
    assert learned.token.required_claims == ("user_id",)
    assert (learned.resource.path, learned.resource.scheme) == ("/get-user", "")
    assert learned.resource.answer == {"user": "ada"}
    assert (learned.basic.path, learned.basic.realm) == ("/metrics", "numbers")
    assert learned.no_credentials == {401}
    assert learned.bad_token == learned.bad_password == {400}
    assert (learned.refusals.malformed, learned.refusals.method) == (422, 401)
    assert (learned.whose.path, learned.whose.field) == ("/get-user", "user")
    assert "TODO" in path.read_text()


def test_nothing_is_posted_to_what_is_no_login(server: str) -> None:
    Server.posted.clear()
    ran = hil("learn", server, "--user", "bob", password="another-Word")
    assert "'bob'" in ran.output
    assert "/login" in Server.posted
    assert not {"/shutdown", "/auth/register", "/authors", "/get-user"} & set(Server.posted)


def test_a_draft_never_replaces_a_file(server: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("title: mine\n")
    ran = hil("learn", server, "--user", "ada", "--output", str(path))
    assert ran.exit_code == 2
    assert "is there already" in ran.output
    assert path.read_text() == "title: mine\n"


def test_a_wrong_password_is_told_and_not_shown(server: str) -> None:
    ran = hil("learn", server, "--user", "bob", password="another-Word")
    assert "not found: a login: a token for 'bob'" in ran.output
    assert "another-Word" not in ran.output


def test_a_server_that_is_not_there_is_the_benchs_fault() -> None:
    ran = hil("learn", "http://127.0.0.1:1", "--user", "ada")
    assert ran.exit_code == 3
    assert "nothing answers at http://127.0.0.1:1" in ran.output


def test_a_profile_is_told_in_words(tmp_path: Path) -> None:
    ran = hil("check", "camera")
    assert ran.exit_code == 0
    assert "login: POST /api/login" in ran.output
    assert "no refresh, logout, api_key, roles, device, oidc: what checks" in ran.output


def test_a_mistake_is_told_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text("title: x\nsource: y\nuser: z\nlogn: {}\n")
    ran = hil("check", str(path))
    assert ran.exit_code == 2
    assert f"{path}:4:1: unknown key 'logn' (did you mean 'login'?)" in ran.output
