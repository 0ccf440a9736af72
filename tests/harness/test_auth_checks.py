"""A rejecting check proves itself: no server that is dead in one way or another passes a check."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from check_run import run_checks

CHALLENGES = 'Bearer realm="Backyard cam", Basic realm="Backyard cam admin", charset="UTF-8"'


@contextmanager
def serving(status: int, body: bytes) -> Iterator[str]:
    """A server with one answer to everything. Gives its base URL."""

    class OneAnswer(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Silent."""

        def handle_one_request(self) -> None:
            if not self.rfile.readline(65536):
                self.close_connection = True
                return
            self.close_connection = True
            self.requestline, self.request_version, self.command = "", "HTTP/1.0", ""
            self.send_response(status)
            self.send_header("WWW-Authenticate", CHALLENGES)
            self.send_header("Content-Type", "application/json")
            self.send_header("Allow", "POST")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), OneAnswer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, b"401 error"), (400, b"missing count"), (200, b"{}")],
)
def test_a_server_with_one_answer_passes_no_check(tmp_path: Path, status: int, body: bytes) -> None:
    """A refusal of everything would pass most checks, if none of them had its positive control."""
    with serving(status, body) as url:
        ran = run_checks(
            tmp_path,
            f"kind: url\nurl: {url}\npassword: ${{TOY_PASSWORD}}",
            environment={"TOY_PASSWORD": "a-password"},
        )
    assert len(ran.verdicts) > 100, ran.output
    assert ran.having("passed") == set()
