"""A rejecting check proves itself: no server that is dead in one way or another passes a check."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hil import checks

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


def verdicts(folder: Path, url: str) -> dict[str, str]:
    """Run all checks against this URL; for each check id what became of it."""
    (folder / "devices.yaml").write_text(
        f"targets:\n  toy:\n    kind: url\n    url: {url}\n    password: ${{TOY_PASSWORD}}\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\n")
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", "pytest.ini", "--rootdir", str(folder)),
            *("-m", "hil", "--devices", "devices.yaml", "--junitxml", "junit.xml", "--tb=no"),
            *(
                "-p",
                "hil.plugin",
                "-p",
                "pytest_timeout",
                "-p",
                "no:cacheprovider",
                *map(str, checks.paths()),
            ),
        ],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "HIL_DEVICES"))}
        | {"TOY_PASSWORD": "a-password", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (folder / "junit.xml").exists(), ran.stdout + ran.stderr
    found = {}
    for case in ElementTree.parse(folder / "junit.xml").iter("testcase"):  # noqa: S314 - our own
        properties = {p.get("name"): p.get("value") for p in case.iter("property")}
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[str(properties["check"])] = kinds[0] if kinds else "passed"
    assert len(found) > 100, ran.stdout + ran.stderr
    return found


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, b"401 error"), (400, b"missing count"), (200, b"{}")],
)
def test_a_server_with_one_answer_passes_no_check(tmp_path: Path, status: int, body: bytes) -> None:
    """A refusal of everything would pass most checks, if none of them had its positive control."""
    with serving(status, body) as url:
        found = verdicts(tmp_path, url)
    assert [check for check, verdict in found.items() if verdict == "passed"] == []
