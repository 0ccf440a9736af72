"""How a login refuses is the profile's to say: by 422; another method, as a further route does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from check_run import CheckRun, run_checks

from hil.auth import tokens

KEY = b"k" * 32
PASSWORD = "a-Pass-of-admins"
PROFILE = """
title: a framework's habits
source: none
user: admin
login: {path: /users/login, token_field: access_token}
token: {lifetime_s: 600, algorithms: [HS256], claims: {sub: admin}}
resource: {method: GET, path: /data, answer: "[]"}
"""
MALFORMED = {"LOG-16", "LOG-17", "LOG-18", "LOG-19"}
METHOD = {"LOG-32", "LOG-33"}
QUERY, DEFAULT, SOURCE = "BRR-19", "LOG-37", "LEAK-01"
NAMES = (
    "malformed_json or empty_body or no_object or something_behind or other_methods or a_405"
    " or default_credentials or anywhere_else or how_the_server_is_made"
)


class Server(BaseHTTPRequestHandler):
    """What it cannot read is a 422; ``/users/{id}``, which takes GET, PUT and DELETE, is a 401."""

    password: str
    query: bool
    told: str

    def log_message(self, *_: object) -> None:
        """Silent."""

    def answer(self, status: int, body: object, allow: str = "") -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        if allow:
            self.send_header("Allow", allow)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        try:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"] or 0)))
            texts = isinstance(told["username"], str) and isinstance(told["password"], str)
        except (ValueError, TypeError, KeyError):
            texts = False
        if not texts:
            self.answer(422, {"detail": self.told})
        elif (told["username"], told["password"]) == ("admin", self.password):
            token = tokens.mint({"sub": "admin", "exp": int(time.time()) + 600}, KEY)
            self.answer(200, {"access_token": str(token)})
        else:
            self.answer(401, {})

    def do_GET(self) -> None:
        place = urlsplit(self.path)
        scheme, _, token = (self.headers["Authorization"] or "").partition(" ")
        if self.query and not scheme:
            scheme, token = "Bearer", parse_qs(place.query).get("token", [""])[0]
        try:
            tokens.verify(token, KEY, ["HS256"])
        except ValueError:
            scheme = ""
        opens = place.path == "/data" and scheme == "Bearer"
        self.answer(200 if opens else 401, [])

    do_PUT = do_DELETE = do_GET  # noqa: N815 - as the base class has it

    def do_TRACE(self) -> None:
        self.answer(405, {}, allow="POST")


Run = Callable[..., CheckRun]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """The checks in question, with this added to the profile."""
    threads = []

    def run(
        profile: str = "",
        *,
        password: str = PASSWORD,
        query: bool = False,
        told: str = "ValueError: no JSON",
    ) -> CheckRun:
        kind = type("Serving", (Server,), {"password": password, "query": query, "told": told})
        server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        threads.append((server, thread))
        (tmp_path / "framework.yaml").write_text(PROFILE + profile)
        url = f"http://127.0.0.1:{server.server_address[1]}"
        entry = f"kind: url\nurl: {url}\nprofile: framework.yaml\npassword: ${{PASSWORD_OF_TEST}}"
        return run_checks(
            tmp_path,
            f"{entry}\ntrusted_network: true",
            *("-k", NAMES),
            groups=("login", "bearer", "leaks"),
            environment={"PASSWORD_OF_TEST": password},
        )

    yield run
    for server, thread in threads:
        server.shutdown()
        thread.join()
        server.server_close()


def test_refusals_are_as_the_profile_says(run: Run) -> None:
    ran = run("refusals: {malformed: 422, method: 401}\n")
    assert ran.having("passed") == {*MALFORMED, *METHOD, QUERY, DEFAULT, SOURCE}, ran.output


def test_by_default_they_are_400_and_405(run: Run) -> None:
    ran = run()
    # Of one 405, LOG-33 can tell whether it says what is allowed: the others are LOG-32's.
    assert ran.having("failure") == {*MALFORMED, "LOG-32"}, ran.output
    assert ran.having("advisory") == set()
    assert "promised: malformed JSON is refused (400)" in ran.output


def test_a_default_password_and_a_token_in_the_query_are_found(run: Run) -> None:
    ran = run("refusals: {malformed: 422, method: 401}\n", password="admin", query=True)
    assert ran.having("failure") == {QUERY, DEFAULT}, ran.output


def test_a_refusal_that_tells_its_line_of_source_is_found(run: Run) -> None:
    ran = run(told='no JSON\n  File "users.py", line 72, in login')
    assert ran.verdicts[SOURCE] == "failure", ran.output
    assert "a refusal tells nothing of the source" in ran.output
