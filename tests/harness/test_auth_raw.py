"""The raw client: what came back, told apart, whatever came back."""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.auth import redaction
from hil.auth.raw import Answer, Outcome, RawClient, Request, parse, request
from hil.auth.redaction import _all_forms, _any_of, _low, hidden, known

OK = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"


@contextmanager
def served(behaviour: Callable[[socket.socket], None]) -> Iterator[RawClient]:
    """A server that does ``behaviour`` with each connection, in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                behaviour(connection)

    threads = [threading.Thread(target=serve) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield RawClient("127.0.0.1", listener.getsockname()[1], timeout=2.0)
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join()


def reset(connection: socket.socket) -> None:
    """Close with RST in place of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def answer_with(data: bytes) -> Callable[[socket.socket], None]:
    def behaviour(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(data)

    return behaviour


GET = request("GET", "/")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.ACCEPTED),
        (204, Outcome.ACCEPTED),
        (302, Outcome.REDIRECTED),
        (401, Outcome.REFUSED),
        (413, Outcome.REFUSED),
        (500, Outcome.SERVER_ERROR),
        (999, Outcome.REDIRECTED),
    ],
)
def test_a_status_gives_the_outcome(status: int, outcome: Outcome) -> None:
    answer = parse(b"HTTP/1.0 %d N/A\r\n\r\n" % status)
    assert answer is not None
    assert (answer.outcome, answer.status, answer.reason) == (outcome, status, "N/A")


def test_an_answer_is_told_as_it_came() -> None:
    with served(answer_with(OK)) as client:
        answer = client.send(GET)
    assert answer == Answer(Outcome.ACCEPTED, 200, "OK", (("Content-Length", "2"),), b"hi")
    assert answer.request == GET


def test_a_refused_connection_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    answer = RawClient("127.0.0.1", port, timeout=1.0).send(GET)
    assert answer.outcome is Outcome.NO_ANSWER
    assert "not connected" in answer.detail


def test_a_close_without_a_byte_is_no_answer() -> None:
    with served(answer_with(b"")) as client:
        assert client.send(GET).outcome is Outcome.NO_ANSWER


def test_silence_is_no_answer_and_ends_at_the_deadline() -> None:
    let_go = threading.Event()

    def silent(connection: socket.socket) -> None:
        let_go.wait(5)

    with served(silent) as client:
        client.timeout = 0.2
        began = time.monotonic()
        answer = client.send(GET)
        took = time.monotonic() - began
        let_go.set()
    assert answer.outcome is Outcome.NO_ANSWER
    assert "deadline" in answer.detail
    assert 0.15 < took < 1.5


def test_a_trickling_answer_ends_at_the_deadline_with_its_status() -> None:
    let_go = threading.Event()

    def half(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        let_go.wait(5)

    with served(half) as client:
        client.timeout = 0.2
        answer = client.send(GET)
        let_go.set()
    assert (answer.outcome, answer.body, answer.complete) == (Outcome.ACCEPTED, b"half", False)


def test_a_reset_without_an_answer_is_a_reset() -> None:
    def behaviour(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        reset(connection)

    with served(behaviour) as client:
        answer = client.send(GET)
    assert answer.outcome is Outcome.RESET
    assert answer.status is None


def test_an_early_refusal_followed_by_a_reset_is_an_answer() -> None:
    def behaviour(connection: socket.socket) -> None:
        connection.recv(100)  # the rest is never read: closing resets
        connection.sendall(b"HTTP/1.0 413 N/A\r\nContent-Length: 9\r\n\r\nToo large")

    big = request("POST", "/", body=b"x" * 10_000_000)
    with served(behaviour) as client:
        answer = client.send(big)
    assert (answer.outcome, answer.status, answer.body) == (Outcome.REFUSED, 413, b"Too large")


def test_a_refusal_that_is_cut_by_a_reset_keeps_its_status() -> None:
    def behaviour(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"HTTP/1.0 413 N/A\r\nContent-Length: 9\r\n\r\nToo")

    big = request("POST", "/", body=b"x" * 10_000_000)
    with served(behaviour) as client:
        for _ in range(5):
            answer = client.send(big)
            assert (answer.outcome, answer.status) == (Outcome.REFUSED, 413)
            assert (answer.body, answer.complete) == (b"Too", False)
            assert "3 of 9 bytes" in answer.detail


def test_a_cut_answer_keeps_its_status_also_when_all_was_sent() -> None:
    def behaviour(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(b"HTTP/1.0 401 N/A\r\nContent-Length: 9\r\n\r\n401")
        reset(connection)

    with served(behaviour) as client:
        answer = client.send(GET)
    assert (answer.outcome, answer.status, answer.complete) == (Outcome.REFUSED, 401, False)


def test_bytes_that_are_no_http_are_told_apart() -> None:
    with served(answer_with(b"Traceback (most recent call last):\r\n\r\n")) as client:
        assert client.send(GET).outcome is Outcome.NOT_HTTP


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.0 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nname : value\r\n\r\n",
        b"HTTP/1.0 200 OK\nContent-Length: 0\n\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.0 20 OK\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n",
    ],
)
def test_a_malformed_header_section_is_no_answer_that_counts(data: bytes) -> None:
    answer = parse(data)
    assert answer is not None
    assert answer.status is None
    assert answer.outcome is Outcome.NOT_HTTP


def test_a_body_ends_with_its_length_and_not_with_the_connection() -> None:
    kept_open = threading.Event()

    def behaviour(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        connection.sendall(OK)
        kept_open.wait(5)

    with served(behaviour) as client:
        began = time.monotonic()
        answer = client.send(GET)
        took = time.monotonic() - began
        kept_open.set()
    assert answer.body == b"hi"
    assert took < 1.0


def test_a_head_answer_has_no_body() -> None:
    with served(answer_with(b"HTTP/1.0 401 N/A\r\nContent-Length: 9\r\n\r\n")) as client:
        answer = client.send(request("HEAD", "/"))
    assert (answer.status, answer.complete, answer.body) == (401, True, b"")


def test_a_chunked_body_is_decoded() -> None:
    answer = parse(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    assert answer is not None
    assert (answer.body, answer.complete) == (b"abcde", True)


def test_an_interim_answer_is_skipped() -> None:
    answer = parse(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
    assert answer is not None
    assert answer.status == 200


def test_requests_are_sent_several_at_once_and_answered_in_order() -> None:
    together = threading.Barrier(4, timeout=5)

    def echo(connection: socket.socket) -> None:
        target = connection.recv(1 << 16).split(b" ")[1]
        together.wait()
        connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + target)

    with served(echo) as client:
        answers = client.send_all([request("GET", f"/{i}") for i in range(8)])
    assert [answer.body for answer in answers] == [b"/%d" % i for i in range(8)]


def test_a_held_connection_stays_open_until_it_is_let_go() -> None:
    seen, ended = threading.Event(), threading.Event()

    def behaviour(connection: socket.socket) -> None:
        if connection.recv(4) == b"half":
            seen.set()
            if connection.recv(4) == b"":
                ended.set()

    with served(behaviour) as client:
        with client.hold(b"half"):
            assert seen.wait(2)
            assert not ended.is_set()
        assert ended.wait(2)


@given(st.binary(max_size=200), st.booleans())
def test_no_garbage_makes_the_parser_raise(data: bytes, head: bool) -> None:
    answer = parse(data, head=head)
    assert answer is not None
    assert (answer.status is None) == (
        answer.outcome in (Outcome.NO_ANSWER, Outcome.NOT_HTTP, Outcome.RESET)
    )
    repr(answer)


_LINES = st.sampled_from(
    [b"HTTP/1.0 200 OK", b"HTTP/1.1 100 Continue", b"Content-Length: 3", b"Content-Length: -1",
     b"Content-Length: 99999999999", b"Transfer-Encoding: chunked", b"3", b"abc", b"0", b"", b"x"]
)  # fmt: skip


@given(st.lists(_LINES, max_size=12).map(b"\r\n".join), st.booleans())
def test_no_mixture_of_http_makes_the_parser_raise(data: bytes, head: bool) -> None:
    assert parse(data, head=head) is not None


@given(st.integers(200, 599).filter(lambda s: s not in (204, 304)), st.binary(max_size=50))
def test_what_is_sent_is_what_is_parsed_at_every_cut(status: int, body: bytes) -> None:
    data = b"HTTP/1.0 %d N/A\r\nContent-Length: %d\r\nX: a b \r\n\r\n%b" % (status, len(body), body)
    for cut in range(len(data)):
        assert parse(data[:cut], ended=False) is None
    whole = parse(data, ended=False)
    assert whole is not None
    assert (whole.status, whole.body, whole.header("x")) == (status, body, "a b")


def test_a_request_gets_what_it_lacks_and_nothing_else() -> None:
    assert bytes(request("POST", "/x", [("A", "b"), b"C:d"], b"{}", host="cam")) == (
        b"POST /x HTTP/1.1\r\nHost: cam\r\nA: b\r\nC:d\r\n"
        b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
    )
    given_length = bytes(request("POST", "/x", [("content-length", "7")], b"{}", host=None))
    assert given_length == (b"POST /x HTTP/1.1\r\ncontent-length: 7\r\nConnection: close\r\n\r\n{}")


SECRETS = ("hunter2-hunter2", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJvd25lciJ9.c2lnbmF0dXJl")


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    ("headers", "body", "target"),
    [
        ([("Authorization", "Bearer {}")], "", "/"),
        ([("authorization", "{}")], "", "/"),
        ([("Authorization", "Bearer\r\n {}")], "", "/"),
        ([("Cookie", "token={}")], "", "/"),
        ([("X-Access-Token", "{}")], "", "/"),
        ([], '{{"user": "owner", "pass": "{}"}}', "/"),
        ([], '{{"user": "owner", "PASS" : "{}', "/"),
        ([], "user=owner&pass={}", "/"),
        ([], "", "/api/login?user=owner&pass={}"),
        ([], "", "/api/ack?access_token={}"),
    ],
)
def test_a_request_is_shown_without_its_secrets(
    headers: list[tuple[str, str]], body: str, target: str, secret: str
) -> None:
    sent = request(
        "POST",
        target.format(secret),
        [(name, value.format(secret)) for name, value in headers],
        body.format(secret).encode(),
    )
    assert secret.encode() in sent
    assert secret not in repr(sent)
    assert secret[-8:] not in repr(sent)


def test_a_request_shows_what_a_reader_needs() -> None:
    sent = request("POST", "/api/login", [("Authorization", "bearer abc")], b'{"pass": null}')
    assert repr(sent) == (
        "POST /api/login HTTP/1.1 | Authorization: 'bearer ' + <3 chars> | Content-Length: 14"
        ' | body: {"pass": null}'
    )


def test_a_field_that_the_profile_names_is_hidden() -> None:
    sent = request("POST", "/", body=b'{"pin": "4711"}', hidden=("pin",))
    assert "4711" not in repr(sent)


def test_an_answer_is_shown_short_and_without_its_token() -> None:
    body = b'{"jwt": "%b", "x": "%b"}' % (SECRETS[1].encode(), b"y" * 1000)
    shown = repr(Answer(Outcome.ACCEPTED, 200, "OK", (), body))
    assert SECRETS[1][:12] not in shown
    assert shown.startswith("accepted 200 OK {")
    assert len(shown) < 400


@given(st.binary(max_size=300))
def test_any_request_can_be_shown_in_one_line(data: bytes) -> None:
    assert "\n" not in repr(Request(data))


@pytest.mark.parametrize("body", ["{{'pass': '{}'}}", '{{"x": "{}"}}', "in clear {} here", "{}"])
@pytest.mark.parametrize("secret", ["hunter2-hunter2", 'qu"ote\\back', "Grün-😀-鍵"])
@pytest.mark.parametrize("write", [str, str.swapcase, lambda s: json.dumps(s)[1:-1]])
def test_a_known_secret_is_hidden_wherever_it_stands(
    body: str, secret: str, write: Callable[[str], str]
) -> None:
    written = write(secret)
    sent = request(
        "POST", "/", [("X-Any", written)], body.format(written).encode(), secrets=(secret,)
    )
    assert written not in repr(sent)
    assert "<secret: " in repr(sent)


def test_a_short_secret_does_not_blot_out_what_is_shown() -> None:
    """One character, as a key that was cut short has it, is in every word."""
    body = b'{"x": "e", "y": "pin 1x9", "z": "abc1x9"}'
    shown = repr(request("POST", "/e", [("X-Any", "1")], body, secrets=("e", "1", "1x9", "")))
    assert shown.startswith("POST /e HTTP/1.1 | X-Any: 1 | ")
    assert '"pin <secret: 3 chars>"' in shown
    assert '"abc1x9"' in shown


@given(st.text(min_size=4, max_size=20), st.text(max_size=30), st.text(max_size=30))
def test_a_secret_of_four_characters_is_never_shown(secret: str, before: str, behind: str) -> None:
    shown = known(f"{before}{secret}{behind}", (secret,))
    assert secret not in shown.replace(f"<secret: {len(secret)} chars>", "")


_LETTERS = ["sS", "s\u017f", "\u017fs", "kK", "K\u212a", "aA", "i\u0130", "\u0131I", "\u00e9\u00c9"]


@given(
    st.lists(st.sampled_from([*_LETTERS, '""', "11", "\ufffd\ufffd"])),
    st.sampled_from(["", "x", " ", "\u2026"]),
    st.sampled_from(["other", "k", "\u212a", "\u00e9t\u00e9"]),
)
def test_the_quick_look_misses_no_secret_that_the_pattern_finds(
    letters: list[str], around: str, other: str
) -> None:
    """The long s and the sign of Kelvin are an s and a K for a pattern that ignores case."""
    secrets = ("".join(letter[0] for letter in letters), other)
    text = around + "".join(letter[1] for letter in letters) + around
    forms = tuple((form, length) for _, form, length in _all_forms(secrets))
    found = _any_of(forms).search(text) if forms else None
    assert (known(text, secrets) != text) == bool(found)


def test_every_character_that_is_an_ascii_letter_for_a_pattern_is_known() -> None:
    for code in range(128, 0x110000):
        if re.fullmatch("[a-z]", chr(code), re.IGNORECASE):
            assert _low(chr(code)).isascii(), hex(code)


@pytest.mark.parametrize(
    "long",
    [
        "X-Long: " + "a" * 99_999,
        "Authorization: Bearer " + "x" * 99_999,
        "X-Long: password=" + "x" * 99_999,
        "X-Long: token=" + "x" * 16_300 + "&" + "a" * 99_999,
        "Cookie: a\r\n " + "b" * 99_999,
        "Authorization: Bearer " + "x" * 99_999 + "\r\nX: " + "a" * 9_999 + "\ue000",
    ],
)
def test_a_line_of_megabytes_is_shown_as_a_short_one(
    monkeypatch: pytest.MonkeyPatch, long: str
) -> None:
    data = f"GET / HTTP/1.1\r\n{long}\r\nX-Token: 1\r\nX: password=1234".encode()
    quick = redaction.head(data)
    monkeypatch.setattr(redaction, "_shortly", lambda text, names: None)
    assert quick == redaction.head(data)


def test_the_end_of_a_long_line_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = redaction._redacted
    monkeypatch.setattr(
        redaction, "_redacted", lambda text, names: seen.append(len(text)) or real(text, names)
    )
    assert redaction.head(b"X-Long: " + b"a" * 8_000_000)[0].startswith("X-Long: aaa")
    assert seen == [16385]


def test_a_secret_may_be_a_word_of_what_stands_for_another() -> None:
    assert known("a hunter2, a secret", ("hunter2", "secret")) == (
        "a <secret: 7 chars>, a <secret: 6 chars>"
    )
    assert known("pass, passphrase", ("pass", "passphrase")) == (
        "<secret: 4 chars>, <secret: 10 chars>"
    )


def test_an_answer_that_echoes_its_requests_secret_does_not_show_it() -> None:
    sent = request("POST", "/", hidden=("pin",), secrets=("hunter2-hunter2",))
    echoed = Answer(Outcome.REFUSED, 400, "No hunter2-hunter2", (), b"hi hunter2-HUNTER2, pin=77")
    shown = repr(replace(echoed, request=sent))
    assert "hunter2" not in shown.lower()
    assert "pin=<2 chars>" in shown


def test_variants_of_a_secret_are_not_shown_as_locals() -> None:
    assert "hunter2" not in repr(hidden({"a prefix": "hunter2"}))


def test_a_request_can_be_changed_and_keeps_what_it_hides() -> None:
    sent = request("GET", "/", [("X-A", "hunter2-hunter2")], secrets=("hunter2-hunter2",))
    changed = sent.changed(b"Host: board\r\n", b"")
    assert b"Host" not in changed
    assert "hunter2" not in repr(changed)
    with pytest.raises(ValueError, match="not in the request"):
        changed.changed(b"Host", b"")


def test_a_flood_of_header_lines_is_shown_in_one_screen() -> None:
    shown = repr(request("GET", "/", [(f"X-{i}", "1") for i in range(20_000)]))
    assert "more lines" in shown
    assert len(shown) < 1000


@pytest.mark.parametrize(
    ("data", "surplus"),
    [
        (OK + b"HTTP/1.1 401", b"HTTP/1.1 401"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nmore", b"more"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\nmore", b"more"),
        (b"HTTP/1.1 204 No\r\n\r\nmore", b"more"),
        (OK, b""),
    ],
)
def test_what_comes_behind_an_answer_is_its_surplus(data: bytes, surplus: bytes) -> None:
    answer = parse(data)
    assert answer is not None
    assert answer.surplus == surplus


def test_a_body_in_answer_to_head_is_surplus() -> None:
    answer = parse(OK, head=True)
    assert answer is not None
    assert (answer.body, answer.surplus) == (b"", b"hi")


def test_a_closed_connection_is_told_from_a_silent_one() -> None:
    with served(answer_with(b"")) as client:
        assert client.send(GET).closed
        assert client.send(b"", half_close=True).closed
    with served(reset) as client:
        assert client.send(GET).closed


@pytest.fixture
def tls(tmp_path: Path, require_program: Callable[[str, str], Path]) -> ssl.SSLContext:
    """A server's context, with a certificate that it signed itself, as a board does."""
    openssl = str(require_program("openssl", "openssl"))
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=board"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_https_is_spoken_with_a_board_that_signed_its_own_certificate(tls: ssl.SSLContext) -> None:
    body = b"x" * 100_000

    def behaviour(connection: socket.socket) -> None:
        with tls.wrap_socket(connection, server_side=True) as secure:
            read = b""
            while not read.endswith(body):
                read += secure.recv(65536)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + body)

    with served(behaviour) as plain:
        client = RawClient.to(f"https://127.0.0.1:{plain.port}", timeout=5.0)
        answer = client.send(request("POST", "/", body=body), half_close=True)
        with client.hold(request("POST", "/", body=body)) as held:
            assert held.answer(GET).body == body
    assert (answer.status, answer.body, answer.complete) == (200, body, True)


def test_a_server_that_speaks_no_tls_is_no_answer() -> None:
    with served(answer_with(OK)) as plain:
        answer = RawClient.to(f"https://127.0.0.1:{plain.port}", timeout=2.0).send(GET)
    assert answer.outcome is Outcome.NO_ANSWER
    assert "not connected" in answer.detail


@pytest.mark.parametrize(
    ("url", "port", "tls"),
    [("http://a", 80, False), ("https://a", 443, True), ("http://a:8080", 8080, False)],
)
def test_the_client_of_an_url(url: str, port: int, tls: bool) -> None:
    client = RawClient.to(url)
    assert (client.address, client.port, client.tls) == ("a", port, tls)
