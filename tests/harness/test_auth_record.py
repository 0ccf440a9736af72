"""What a target has answered in a run: counted, and the server errors kept, without secrets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hil.auth.answer import Answer, Outcome, parse
from hil.auth.client import Api, Credentials
from hil.auth.profile import load_profile
from hil.auth.raw import RawClient, request
from hil.auth.record import Record
from hil.secrets import SecretStr

PASSWORD = SecretStr("hunter2-hunter2")


def answer(status: int, fields: bytes = b"", body: bytes = b"") -> Answer:
    parsed = parse(b"HTTP/1.1 %d X\r\n%b\r\n%b" % (status, fields, body))
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("status", "fields", "failed"),
    [
        (500, b"", True),
        (502, b"", True),
        (504, b"", True),
        (503, b"", True),
        (503, b"Retry-After: 5\r\n", False),
        (501, b"", False),
        (505, b"", False),
        (404, b"", False),
        (200, b"", False),
    ],
)
def test_a_refusal_in_the_words_of_the_rfc_is_no_failure(
    status: int, fields: bytes, failed: bool
) -> None:
    assert answer(status, fields).server_failed is failed


def test_server_errors_are_kept_with_their_check() -> None:
    record = Record()
    record.observe(answer(500, body=b"early"))
    record.begin("LOG-16")
    record.observe(answer(200))
    record.observe(answer(503, b"Retry-After: 5\r\n", b"late"))
    assert [(e.check, e.status, e.failed) for e in record.server_errors] == [
        ("", 500, True),
        ("LOG-16", 503, False),
    ]
    assert [body for _, body in record.bodies] == [b"early", b"late"]
    assert record.counts == {Outcome.SERVER_ERROR: 2, Outcome.ACCEPTED: 1}


def test_what_is_promised_for_a_while_is_no_failure_meanwhile() -> None:
    record = Record()
    with record.promised(503):
        record.observe(answer(503))
        with record.promised(502):
            record.observe(answer(502))
        record.observe(answer(502))
        record.observe(answer(500))
    record.observe(answer(503))
    assert [(e.status, e.failed) for e in record.server_errors] == [
        (503, False),
        (502, False),
        (502, True),
        (500, True),
        (503, True),
    ]


def test_its_memory_has_an_end_and_failures_have_a_share_of_their_own() -> None:
    record = Record()
    for _ in range(1000):
        record.observe(answer(503, b"Retry-After: 5\r\n", b"x" * 10_000))
    record.observe(answer(500))
    assert len(record.server_errors) < 500
    assert record.server_errors[-1].failed
    assert max(len(body) for _, body in record.bodies) <= 4096
    assert record.counts[Outcome.SERVER_ERROR] == 1001


def test_many_threads_may_tell_it() -> None:
    record = Record()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(record.observe, [answer(200)] * 2000))
    assert record.counts == {Outcome.ACCEPTED: 2000}


class Failing(BaseHTTPRequestHandler):
    """Answers everything with a 500 that repeats the request's body."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_both_clients_tell_it_what_they_got_without_the_password() -> None:
    record = Record()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        profile = load_profile("camera")
        api = Api(url, profile, Credentials("owner", PASSWORD), observe=record.observe)
        raw = RawClient.to(url, observe=record.observe)
        api.login()
        raw.send(api.compose_login())
        with raw.hold(api.compose_login()) as held:
            held.answer(request("POST", "/"))
        api.close()
    finally:
        server.shutdown()
        server.server_close()
    assert record.counts == {Outcome.SERVER_ERROR: 3}
    told = repr(record.server_errors)
    assert profile.login.path in told
    assert PASSWORD not in told
