"""DEV-08 where the user's way is one of pages: who has not logged in lets no device in."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from check_run import CheckRun, run_checks

PROFILE = """
title: a television
source: none
user: ada
device:
  path: /codes
  token_path: /token
  approval: {user_field: user, password_field: password}
"""
PASSWORD = "a-password-of-ada"
LOGIN = '<form method="post" action="/session"><input name="user"><input name="password"></form>'
CODE = '<form method="post" action="/connect"><input name="user_code"></form>'


class Television(BaseHTTPRequestHandler):
    """The page for the code is behind a login, which a cookie tells. :cvar hole: what it forgets"""

    hole = ""
    waiting: dict[str, dict[str, object]]
    session: str

    def log_message(self, *_: object) -> None:
        """Silent."""

    def answer(self, status: int, body: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    @property
    def logged_in(self) -> bool:
        told = SimpleCookie(self.headers.get("Cookie", "")).get("session")
        return told is not None and told.value == self.session

    def do_GET(self) -> None:
        self.answer(200, CODE if self.logged_in else LOGIN)

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(text).items()}
        if self.path == "/codes":
            codes = {"device_code": secrets.token_hex(32), "user_code": secrets.token_hex(5)}
            self.waiting[codes["device_code"]] = {"user_code": codes["user_code"], "in": False}
            host = f"http://127.0.0.1:{self.server.server_port}/connect"  # type: ignore[attr-defined]
            self.answer(200, json.dumps({**codes, "verification_uri": host, "expires_in": 900}))
        elif self.path == "/session":
            right = form.get("password") == PASSWORD or self.hole == "password"
            cookie = {"Set_Cookie": f"session={self.session}"} if right else {}
            self.answer(303, "", Location="/connect", **cookie)
        elif self.path == "/connect":
            mine = [one for one in self.waiting.values() if one["user_code"] == form["user_code"]]
            if not self.logged_in and self.hole != "session":
                self.answer(303, "", Location="/connect")
            elif not mine:
                self.answer(404, "no such code")
            else:
                mine[0]["in"] = True
                self.answer(200, "connected")
        else:
            done = self.waiting[form["device_code"]]["in"]
            told = {"access_token": "t"} if done else {"error": "authorization_pending"}
            self.answer(200 if done else 400, json.dumps(told))


@contextmanager
def television(hole: str) -> Iterator[str]:
    members = {"hole": hole, "waiting": {}, "session": secrets.token_hex(8)}
    handler = type("ThisTelevision", (Television,), members)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def run(folder: Path, hole: str) -> CheckRun:
    (folder / "television.yaml").write_text(PROFILE)
    with television(hole) as url:
        return run_checks(
            folder,
            f"kind: url\nurl: {url}\nprofile: television.yaml\npassword: ${{TV_PASSWORD}}",
            *("-k", "right_user_code"),
            groups=("device_code",),
            environment={"TV_PASSWORD": PASSWORD},
        )


def test_a_page_behind_a_session_is_reached_with_its_cookie(tmp_path: Path) -> None:
    ran = run(tmp_path, "")
    assert ran.having("passed") == {"DEV-08"}, ran.output
    assert PASSWORD not in ran.output


@pytest.mark.parametrize(
    ("hole", "told"),
    [("session", "let in without a login"), ("password", "let in with a wrong password")],
)
def test_who_has_not_logged_in_is_found_to_let_a_device_in(
    tmp_path: Path, hole: str, told: str
) -> None:
    ran = run(tmp_path, hole)
    assert ran.having("failure") == {"DEV-08"}, ran.output
    assert "promised: only a user who has logged in lets it in" in ran.output
    assert f"{told}: sent POST /token" in ran.output
