"""Robustness of the transport: what HTTP leaves to the server, and clients that play unfair."""

from __future__ import annotations

import random
import re
import ssl
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from itertools import product
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from hil.auth import verdict
from hil.auth.answer import Answer, parse
from hil.auth.contract import NotPromised
from hil.auth.held import Watch, half_open
from hil.auth.malformed import bad_requests
from hil.auth.redaction import hidden
from hil.check import check, must, should
from hil.deadline import Deadline
from hil.errors import Finding
from hil.secrets import SecretBytes, SecretStr

if TYPE_CHECKING:
    from hil.auth.client import Api
    from hil.auth.profile import Profile
    from hil.auth.raw import RawClient, Request
    from hil.boots import BootWatch
    from hil.target import Target

HALF_OPEN = 20
MIXED = 1000
BATCH = 20
BAD_S = 2.0
"""For the answer to a bad request; none of them is judged by itself."""
LONG = 8_000_000
EXPECT_S = 3.0
"""A client sends the body unasked after a second or so; a lost packet on Wi-Fi takes one more."""
DEAD_S = 60.0
"""For what is large: 8 MB over Wi-Fi."""
SURPLUS_S = 0.5

pytestmark = pytest.mark.usefixtures("bearer_control", "silent_meanwhile")


class Silence:
    """Clients that connect and fall silent. They are watched while other checks go on."""

    def __init__(self, api: Api, raw: RawClient, profile: Profile) -> None:
        self._stack = ExitStack()
        plain = api.compose_plain(token := api.token())
        sent = {
            "half a request": SecretBytes(plain[: plain.index(b"\r\n\r\n")]),
            "no byte": b"",
        }
        with suppress(NotPromised):
            bodied = api.compose_bodied(token)
            length = re.search(rb"Content-Length: (\d+)", bodied)[0]  # type: ignore[index]
            more = b"Content-Length: %d" % (int(length.split()[1]) + 9)
            sent["body shorter than announced"] = bodied.changed(length, more)
        held = {name: self._stack.enter_context(raw.hold(data)) for name, data in sent.items()}
        self._watch = Watch(held, profile.idle_timeout_s)

    def end(self) -> dict[str, float | None]:
        with self._stack:
            return self._watch.result()

    def abandon(self) -> None:
        self._stack.close()


_silent: dict[str, Silence | None] = {}


@pytest.fixture
def silent_meanwhile(
    request: pytest.FixtureRequest, target: Target, api: Api, raw: RawClient, profile: Profile
) -> None:
    """TRN-07 waits for seconds: where it is going to run, its clients fall silent before the first
    check of this file, and those in between take that long anyway."""
    last = test_a_silent_connection_is_closed.__name__
    to_come = request.session.items[request.session.items.index(request.node) :]
    waits = any(
        item.originalname == last and item.callspec.params["target_name"] == target.name
        for item in to_come
        if hasattr(item, "callspec")
    )
    now = request.node.originalname == last
    if not waits or _silent.get(target.name) or (target.name in _silent and not now):
        return
    silence: Silence | None = Silence(api, raw, profile)
    if silence and not now and raw.send(api.compose_plain(), timeout=BAD_S).status is None:
        # It serves one at a time. The checks in between are not about that.
        silence.abandon()
        silence = None
    _silent[target.name] = silence


@pytest.fixture
def token(api: Api) -> SecretStr:
    """A fresh token."""
    return api.token()


def alive(api: Api, raw: RawClient, promise: str) -> None:
    """A sound request is answered as always."""
    verdict.accepted(raw.send(api.compose_resource(token=api.token())), promise)


def refused_or_closed(answers: Mapping[str, Answer], promise: str, *, status: set[int]) -> None:
    """A connection that is closed or reset without an answer is a refusal, too."""
    verdict.refused_all(
        {name: answer for name, answer in answers.items() if not answer.closed},
        promise,
        status=status,
    )


def with_length(api: Api, token: str, *lines: str, body: bytes | None = None) -> Request:
    """A request with these Content-Length lines."""
    headers = [f"Content-Length: {line}".rstrip(" ").encode() for line in lines]
    return api.compose_bodied(token, body or sound_body(api, token), headers)


def sound_body(api: Api, token: str) -> bytes:
    return SecretBytes(bytes(api.compose_bodied(token)).partition(b"\r\n\r\n")[2])


def body_missing(profile: Profile) -> set[int]:
    """Statuses for a request whose body has not come."""
    body = profile.resource.given_body
    own = {body.missing_status} if body else profile.wrong_password | profile.malformed
    return {400, 411, *own}


def in_chunks(data: bytes) -> bytes:
    """In two chunks (RFC 9112 section 7.1)."""
    parts = [data[: len(data) // 2], data[len(data) // 2 :]]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@check("TRN-01", must, "RFC 9112 §7.1")
def test_a_chunked_body_is_parsed_or_refused(api: Api, raw: RawClient, token: SecretStr) -> None:
    """A server that does not know the coding says so: 411, 501 or 400.

    Usual cause: microdot reads Content-Length only; the chunks stay in the socket and become the
    next request.
    """
    chunked = [("Transfer-Encoding", "chunked")]
    body = in_chunks(sound_body(api, token))
    answers = verdict.probe(
        raw,
        {
            "chunked": api.compose_bodied(token, body, chunked),
            "with an extension": api.compose_bodied(
                token, body.replace(b"\r\n", b";a=b\r\n", 1), chunked
            ),
            "no chunk but the last": api.compose_bodied(token, b"0\r\n\r\n", chunked),
            "beside a length": api.compose_bodied(
                token, body, [*chunked, ("Content-Length", str(len(body)))]
            ),
            "no chunks at all": api.compose_bodied(token, b"zzz\r\n\r\n", chunked),
        },
    )
    whole = {
        name: answers.pop(name) for name in ("chunked", "with an extension", "beside a length")
    }
    verdict.refused_all(whole, "chunks are parsed, or refused", status={200, 400, 411, 501})
    verdict.refused_all(answers, "no body, no ack", status=body_missing(api.profile) | {501})


@check("TRN-02", should, "RFC 9112 §6.3")
def test_a_body_without_a_length_is_refused(api: Api, raw: RawClient, token: SecretStr) -> None:
    """Usual cause: whatever has come so far is taken for the body."""
    sound = api.compose_bodied(token)
    line = re.search(rb"Content-Length: \d+\r\n", sound)[0]  # type: ignore[index]
    answer = raw.send(sound.changed(line, b""))
    verdict.refused(answer, "no Content-Length, no body", status=body_missing(api.profile))


@check("TRN-03", must, "RFC 9112 §6.3")
def test_a_length_that_is_no_number_is_a_bad_request(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """Usual cause: ``int()``, which takes more than digits, and raises on the rest."""
    body = sound_body(api, token)
    thousand = body.ljust(1000)
    values = ("abc", "-1000", "0x3e8", "1e3", "1000.0", "1000abc", "1 000", "1_000", "")
    answers = verdict.probe(
        raw,
        {f"{value!r}": with_length(api, token, value, body=thousand) for value in values},
    )
    verdict.refused_all(answers, "Content-Length is digits", status={400})
    twice = f"{len(body)}, {len(body)}"
    answer = raw.send(with_length(api, token, twice, body=body))
    verdict.refused(answer, "a list of one length is refused, or is that length", status={200, 400})


@check("TRN-04", must, "RFC 9112 §6.3")
def test_a_negative_length_is_a_bad_request(api: Api, raw: RawClient, token: SecretStr) -> None:
    """Usual cause: ``read(-1)``, which reads until the client goes away."""
    length = len(sound_body(api, token))
    answers = verdict.probe(
        raw, {value: with_length(api, token, value) for value in ("-1", f"-{length}")}
    )
    verdict.refused_all(answers, "Content-Length is digits", status={400})


@check("TRN-05", should, "RFC 9110 §8.6")
def test_a_length_with_a_plus_is_a_bad_request(api: Api, raw: RawClient, token: SecretStr) -> None:
    """Usual cause: ``int('+5')`` is 5."""
    length = len(sound_body(api, token))
    answer = raw.send(with_length(api, token, f"+{length}"))
    verdict.refused(answer, "Content-Length is digits", status={400})


@check("TRN-06", must, "RFC 9112 §6.3; ASVS 4.2.1")
def test_two_lengths_that_differ_are_a_bad_request(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """Two servers in a row that take different ones see different requests: request smuggling.

    Usual cause: a dict of header fields, in which the last one wins.
    """
    length = len(sound_body(api, token))
    answers = verdict.probe(
        raw,
        {
            "the second is right": with_length(api, token, f"{length - 3}", f"{length}"),
            "the first is right": with_length(api, token, f"{length}", f"{length - 3}"),
            "in one line": with_length(api, token, f"{length}, {length - 3}"),
        },
    )
    verdict.refused_all(answers, "one length", status={400})


@check("TRN-09", must, "RFC 9110 §5.4")
def test_a_long_header_line_is_refused(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """From the profile's ``line_limit`` up to 300 KiB.

    Usual cause: ``readline()`` without a limit; one whose error nobody catches.
    """
    sizes = [size for size in (16384, 65536, 300 * 1024) if size > profile.line_limit]
    answers = verdict.probe(
        raw,
        {
            f"{size} bytes": api.compose_plain(token, [("X-Long", "a" * size)])
            for size in (profile.line_limit + 1, *sizes)
        },
    )
    verdict.refused_all(answers, "a line longer than is read is refused", status={400, 431})


@check("TRN-10", must, "DoS")
@pytest.mark.timeout(4 * DEAD_S)
def test_a_flood_of_header_is_survived(api: Api, raw: RawClient) -> None:
    """One line of 8 MB, and 20 000 lines.

    Usual cause: a limit on each line and none on their sum; the heap is full.
    """
    floods = {
        "8 MB in one line": [b"X-Long: " + b"a" * LONG],
        "20 000 lines": [b"X-%05d: 1" % i for i in range(20_000)],
    }
    answers = {
        name: raw.send(api.compose_plain(headers=lines), timeout=DEAD_S)
        for name, lines in floods.items()
    }
    refused_or_closed(answers, "refused, or the connection is closed", status={*range(400, 500)})
    alive(api, raw, "it answers after that")


@check("TRN-11", should, "robustness")
def test_many_header_fields_are_taken_or_refused(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """500 of them, on a request that is sound otherwise.

    Usual cause: a fixed table; memory.
    """
    headers = [(f"X-{i}", "1") for i in range(500)]
    answer = raw.send(api.compose_plain(token, headers))
    verdict.refused(answer, "taken, or too many", status={200, 431})


@check("TRN-12", must, "robustness")
def test_what_is_no_http_is_refused_or_closed(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """A line without a colon, HTTP/0.9, TLS on the wrong port, a client that goes away: and it
    still answers.

    Usual cause: an exception while parsing ends the server's task, or its thread.
    """
    sound = api.compose_plain(token)
    line = bytes(sound).partition(b"\r\n")[0]
    bad = {
        "a line without a colon": api.compose_plain(headers=[b"nonsense"]),
        "a bad request line": sound.changed(line, b"GARBAGE"),
        "a request line of bytes": sound.changed(line, bytes(range(128, 160))),
        "no version": sound.changed(line, line.rpartition(b" ")[0]),
        "HTTP/0.9": line.rpartition(b" ")[0] + b"\r\n",
        "a TLS ClientHello": client_hello(),
        "no byte": b"",
        "an empty line": b"\r\n",
    }
    # What looks like a whole request is answered, or not, whether or not more could come.
    answers = {
        name: raw.send(data, half_close=not data.endswith(b"\r\n\r\n"))
        for name, data in bad.items()
    }
    refused_or_closed(answers, "no HTTP: refused, or closed", status={400})
    # RFC 9110 section 5.5: a recipient may take it as it is, too.
    odd = raw.send(api.compose_plain(token, [b"X-A: \xff\xfe"]))
    refused_or_closed({"": odd}, "a field that is not UTF-8", status={200, 400})
    ack = api.compose_resource(token=token)
    for cut in (0, len(ack) // 2, len(ack) - 3):
        with suppress(OSError), raw.hold(ack[:cut]) as held:
            held.reset()
    alive(api, raw, "it answers after that")


def client_hello() -> bytes:
    """What a browser sends first to an https port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    sent = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="board").do_handshake()
    return sent.read()


@check("TRN-13", should, "RFC 9110 §5.5")
def test_nul_in_a_field_is_a_bad_request(api: Api, raw: RawClient, token: SecretStr) -> None:
    """Usual cause: the token is cut at the NUL, by something written in C."""
    half = len(token) // 2
    values = hidden(
        {
            "in the token": f"{token[:half]}\0{token[half:]}",
            "behind the token": f"{token}\0",
            "behind the token, and more": f"{token}\0x",
            "before the token": f"\0{token}",
        }
    )
    answers = verdict.probe(
        raw, {name: api.compose_resource(token=value) for name, value in values.items()}
    )
    verdict.refused_all(answers, "no NUL in a field", status={400})


@check("TRN-14", should, "RFC 9112 §3.2 MUST")
def test_a_request_without_host_is_a_bad_request(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """Usual cause: a small server has one host, and never looks."""
    sound = api.compose_resource(token=token)
    line = re.search(rb"Host: [^\r]*\r\n", sound)[0]  # type: ignore[index]
    verdict.refused(raw.send(sound.changed(line, b"")), "HTTP/1.1 has a Host", status={400})


@check("TRN-15", should, "RFC 9112 §3.2.2 MUST")
def test_the_absolute_form_means_the_same(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """``GET http://HOST/PATH``, as to a proxy: the same route, and the same guard.

    Usual cause: the whole URL is taken for the path.
    """
    target = f"http://{urlsplit(api.base_url).netloc}{profile.resource.path}"
    verdict.accepted(raw.send(api.compose_resource(token=token, target=target)), "as by its path")
    answer = raw.send(api.compose_resource(target=target))
    verdict.refused(answer, "guarded as by its path", status=profile.no_credentials)


@check("TRN-16", must, "smuggling")
def test_a_pipelined_request_has_no_identity_of_the_first(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """The second request on the connection has no credentials: it is refused, or not answered.

    Usual cause: the user is kept with the connection; fields of the first request are left over.
    """
    alive_ = [("Connection", "keep-alive")]
    first = {"ack": api.compose_resource(token=token, headers=alive_)}
    second = {"ack": api.compose_resource()}
    if api.profile.given_basic:
        basic = SecretStr(f"Basic {api.credentials.basic}")
        first["admin"] = api.compose_basic(basic, headers=alive_)
        second["admin"] = api.compose_basic()
    answers = {}
    for (one, sent), (other, unguarded) in product(first.items(), second.items()):
        with raw.hold() as held:
            was, answers[f"{one}, {other}"] = held.answers([sent, unguarded], EXPECT_S)
        verdict.accepted(was, "the first is sound")
    wrong = {name: answer for name, answer in answers.items() if answer.status is not None}
    verdict.refused_all(wrong, "no credentials of its own, no entry", status={*range(400, 500)})


@check("TRN-17", should, "RFC 9110 §10.1.1")
def test_a_client_that_waits_to_continue_is_answered(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """``Expect: 100-continue`` with the body held back: 100, or a final status.

    Usual cause: the server waits for the body, and the client for the server.
    """
    sent = api.compose_bodied(token, headers=[("Expect", "100-continue")])
    ends = sent.index(b"\r\n\r\n") + 4
    head, body = SecretBytes(sent[:ends]), sent[ends:]
    with raw.hold(head) as held:
        answer = held.answer(sent, timeout=EXPECT_S)
        verdict.refused(answer, "100, or a final status", status={100, *range(200, 500)})
        if answer.status == 100:
            held.send(body)
            verdict.accepted(held.answer(sent, final=True), "after 100, the body is taken")


@check("TRN-18", must, "robustness")
def test_a_client_that_sends_byte_by_byte_is_answered(
    api: Api, raw: RawClient, token: SecretStr
) -> None:
    """Byte by byte, and in halves with another request in between.

    Usual cause: one ``recv()`` is taken for a whole request.
    """
    sent = {"login": api.compose_login(), "ack": api.compose_resource(token=token)}
    answers = {name: raw.send(data, piece=1) for name, data in sent.items()}
    for name, data in sent.items():
        half = len(data) // 2
        with raw.hold(SecretBytes(data[:half])) as held:
            # Bytes alone may all have come before a busy board reads the first. When it has
            # answered somebody who asked later, it has read this half.
            raw.send(api.compose_plain())
            held.send(SecretBytes(data[half:]))
            answers[f"{name}, in halves"] = held.answer(data, final=True)
    verdict.accepted_all(answers, "a request is what was sent, in however many pieces")


@check("TRN-19", must, "RFC 9112 §6")
def test_every_answer_is_framed_soundly(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """A status line, and a body as long as Content-Length says: no byte more, none less. An answer
    that says ``Connection: close`` may end with the connection instead.

    Usual cause: characters are counted in place of bytes; a body in answer to HEAD.
    """
    plain = {"plain": api.compose_plain(token), "plain, unguarded": api.compose_plain()}
    line = bytes(plain["plain"]).partition(b" HTTP/1.1")[0]
    path = line.partition(b" ")[2]
    sent = {
        "a token": api.compose_login(),
        "an ack": api.compose_resource(token=token),
        "an ack without a token": api.compose_resource(),
        **plain,
        "HEAD": plain["plain"].changed(line, b"HEAD " + path),
        "HEAD without credentials": plain["plain, unguarded"].changed(line, b"HEAD " + path),
        "HEAD of nothing": api.compose("HEAD", "/hil-no-such-path"),
        "not found": api.compose("GET", "/hil-no-such-path"),
        "not allowed": api.compose("DELETE", profile.login.path),
        "options": api.compose("OPTIONS", profile.resource.path),
        "HTTP/1.0": plain["plain"].changed(b"HTTP/1.1", b"HTTP/1.0"),
        "a bad request": api.compose_plain(headers=[b"nonsense"]),
    }
    if profile.login.encoding == "json":
        sent["no JSON"] = api.compose_login(body=b"{")
    if profile.resource.given_body:
        sent["an ack without its field"] = api.compose_resource(token=token, body={})
    for name, data in sent.items():
        with raw.hold(data) as held:
            answer = held.answer(data)
            held.read(timeout=SURPLUS_S)
            if wrong := unsound_framing(answer, held.received, head=data[:5] == b"HEAD "):
                verdict.broken("sound framing of every answer", answer, f"{name}: {wrong}")


def unsound_framing(answer: Answer, received: bytes, *, head: bool) -> str:
    """What is wrong with an answer, of which all bytes are given. Empty: nothing."""
    if answer.status is None or not answer.complete:
        return answer.detail or "no answer"
    start = received.partition(b"\r\n")[0]
    if not re.fullmatch(rb"HTTP/1\.[01] [1-5][0-9]{2} [\t\x20-\x7e\x80-\xff]*", start):
        return "the status line is not as RFC 9112 section 4 has it"
    whole = parse(received, head=head)
    if whole is not None and whole.surplus:
        return f"{len(whole.surplus)} bytes behind the answer's end"
    if head or answer.status in (204, 304):
        return ""
    lengths, codings = answer.all("Content-Length"), answer.all("Transfer-Encoding")
    # RFC 9112 section 6.3, item 8.
    if not lengths + codings and (answer.header("Connection") or "").lower() == "close":
        return ""
    if len(lengths) + len(codings) != 1:
        return f"{len(lengths)} Content-Length and {len(codings)} Transfer-Encoding"
    return ""


@check("TRN-20", must, "leak/heap")
@pytest.mark.timeout(600)  # on a real board, a few hundred milliseconds a request
def test_a_thousand_bad_requests_leave_no_trace(
    api: Api, raw: RawClient, token: SecretStr, boots_if_any: BootWatch | None
) -> None:
    """Malformed, cut short, broken off: then a sound request is answered, and no reset was needed.

    Usual cause: a socket or a buffer that an error's way out forgets; a watchdog that hides it.
    """
    resets = boots_if_any.count() if boots_if_any else 0
    bad = list(bad_requests(api, token).values())
    dice = random.Random(20)  # the same thousand every time
    mixed: list[bytes] = [dice.choice(bad) for _ in range(MIXED * 9 // 10)]
    while len(mixed) < MIXED - 20:
        whole = dice.choice(bad)
        mixed.append(SecretBytes(whole[: dice.randrange(len(whole))]))
    dice.shuffle(mixed)
    for start in range(0, len(mixed), BATCH):
        answers = raw.send_all(mixed[start : start + BATCH], half_close=True, timeout=BAD_S)
        if not any(answer.status for answer in answers):
            alive(api, raw, f"a sound request after {start + BATCH} bad ones")  # no use to go on
    for _ in range(MIXED - len(mixed)):
        whole = dice.choice(bad)
        with suppress(OSError), raw.hold(whole[: dice.randrange(len(whole))]) as held:
            held.reset()
    alive(api, raw, f"a sound request after {MIXED} bad ones")
    if boots_if_any and boots_if_any.count() > resets:
        raise Finding(f"the board has reset during {MIXED} bad requests; promised: it goes on")


@check("TRN-07", should, "slowloris")
def test_a_silent_connection_is_closed(target: Target, profile: Profile) -> None:
    """A body shorter than announced, half a request, no byte: the server does not wait for ever.

    Usual cause: no timeout around ``read()``; asyncio has none of its own.
    """
    silence = _silent.pop(target.name)
    assert silence, "silent_meanwhile has seen to it"
    ended = silence.end()
    still = [name for name, seconds in ended.items() if seconds is None]
    if still:
        raise Finding(
            f"{len(still)} of {len(ended)} silent connections are still open after "
            f"{profile.idle_timeout_s:.0f} s: {', '.join(still)}; promised: closed by then"
        )


@check("TRN-08", must, "slowloris")
def test_half_open_connections_keep_nobody_out(api: Api, raw: RawClient, profile: Profile) -> None:
    """More of them than the server has places; a login is answered all the same.

    Usual cause: connections are served one after the other, each until it ends.
    """
    count = max(HALF_OPEN, 2 * raw.limit)
    login = api.compose_login()
    deadline = Deadline.after(profile.idle_timeout_s)
    with half_open((raw.address, raw.port), count, SecretBytes(login[: len(login) // 2])):
        answer = raw.send(login, timeout=deadline.remaining())
        while answer.status is None and not deadline.expired:
            time.sleep(
                0.05
            )  # refused: a board has few sockets, and gets them back as they time out
            answer = raw.send(login, timeout=deadline.remaining())
    verdict.accepted(answer, f"a login beside {count} half-open connections")
