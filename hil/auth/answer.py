"""What a server sent back, parsed strictly. Nothing here raises: :class:`Outcome` tells what came,
and keeps apart *accepted*, *refused*, *5xx*, *no answer* and *reset*.
"""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

from . import redaction

_MAX_ANSWER = 1 << 20


class Outcome(enum.Enum):
    """What became of a probe."""

    ACCEPTED = "accepted"
    """2xx"""
    REDIRECTED = "redirected"
    """1xx as the final answer, or 3xx"""
    REFUSED = "refused"
    """4xx"""
    SERVER_ERROR = "5xx"
    NO_ANSWER = "no answer"
    """Not connected, closed without a byte, or silent until the deadline."""
    RESET = "reset"
    """The connection was reset before a status came."""
    NOT_HTTP = "not HTTP"
    """Bytes came, and they are no HTTP answer."""


@dataclass(frozen=True, repr=False)
class Answer:
    """What came back.

    :ivar status: None unless a whole, sound header section came
    :ivar headers: in the answer's order, names as they were sent
    :ivar body: decoded from the transfer coding; what came of it, where it was cut
    :ivar complete: the body is as long as the answer said
    :ivar detail: what was wrong, in words; empty when nothing was
    :ivar surplus: what came behind it: the next answer of the connection, or bytes too many
    :ivar closed: the connection was closed or reset, and so there is no status
    :ivar request: what was sent
    :ivar sent_at: host time when it was sent, Unix seconds; None: nobody took it
    :ivar took_s: seconds from connecting to the end of the answer
    """

    outcome: Outcome
    status: int | None = None
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    complete: bool = True
    detail: str = ""
    surplus: bytes = field(default=b"", compare=False)
    closed: bool = field(default=False, compare=False)
    request: bytes = field(default=b"", compare=False)
    sent_at: float | None = field(default=None, compare=False)
    took_s: float | None = field(default=None, compare=False)

    def all(self, name: str) -> list[str]:
        """The values of a header field, one for each line."""
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """The value of a header field, its lines joined (RFC 9110 section 5.2); None: not there."""
        values = self.all(name)
        return ", ".join(values) if values else None

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """:raises ValueError: the body is not JSON"""
        return json.loads(self.body)

    @property
    def server_failed(self) -> bool:
        """A 5xx that is no deliberate refusal in the words of RFC 9110.

        Deliberate are 501 for an unknown method or transfer coding (section 15.6.2), 505 for an
        unknown version (15.6.6), and 503 that says when to come again (15.6.4).
        """
        if self.outcome is not Outcome.SERVER_ERROR or self.status in (501, 505):
            return False
        return self.status != 503 or self.header("Retry-After") is None

    def __repr__(self) -> str:
        told = [self.outcome.value]
        if self.status is not None:
            told.append(f"{self.status} {self.reason}".rstrip())
        # What the request must not show, its answer may echo: a hil.auth.raw.Request knows it.
        if self.body:
            hidden = getattr(self.request, "hidden", redaction.HIDDEN_FIELDS)
            told.append(redaction.body(self.body, hidden))
        if self.detail:
            told.append(f"({self.detail})")
        return redaction.known(" ".join(told), getattr(self.request, "secrets", ()))


# RFC 9112 section 4; the reason may be empty, and microdot's is "N/A".
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: ([^\r\n]*))?")
_FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")


def parse(data: bytes, *, head: bool = False, ended: bool = True) -> Answer | None:
    """Parse what a server sent. Never raises.

    :param head: the answer is to a HEAD request and has no body, whatever its fields say
    :param ended: nothing more will come; else None tells that the answer is not whole yet
    """
    while True:
        section, found, body = data.partition(b"\r\n\r\n")
        if not found:
            if not ended and len(data) < _MAX_ANSWER:
                return None
            if not data:
                return Answer(Outcome.NO_ANSWER, detail="closed without an answer", closed=True)
            return _not_http(data, "no end of the header section")
        answer = _section(section)
        status = answer.status
        if status is None or not 100 <= status < 200 or status == 101 or (not body and ended):
            break
        data = body  # an interim answer: the final one follows (RFC 9110 section 15.2)
    if status is None:
        return answer
    if head or status < 200 or status in (204, 304):
        return replace(answer, surplus=body)
    return _with_body(answer, body, ended)


def _section(section: bytes) -> Answer:
    """The status line and the header fields."""
    start, *lines = section.split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(start)
    if not status_line:
        return _not_http(section, "no HTTP/1.x status line")
    headers: list[tuple[str, str]] = []
    for line in lines:
        matched = _FIELD_LINE.fullmatch(line)
        if not matched:
            return _not_http(section, "a malformed header line")
        headers.append((matched[1].decode("ascii"), matched[2].decode("latin-1")))
    status, reason = int(status_line[1]), (status_line[2] or b"").decode("latin-1").strip()
    return Answer(outcome(status), status, reason, tuple(headers))


def _not_http(data: bytes, detail: str) -> Answer:
    return Answer(Outcome.NOT_HTTP, body=data, complete=False, detail=detail)


def outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome.ACCEPTED
    if 400 <= status < 500:
        return Outcome.REFUSED
    return Outcome.SERVER_ERROR if 500 <= status < 600 else Outcome.REDIRECTED


def _with_body(answer: Answer, body: bytes, ended: bool) -> Answer | None:
    codings = (answer.header("Transfer-Encoding") or "").lower()
    if codings == "chunked":
        decoded, end = _dechunk(body)
        if end is None and not ended and len(body) < _MAX_ANSWER:
            return None
        if end is None:
            return replace(answer, body=decoded, complete=False, detail="cut within its chunks")
        return replace(answer, body=decoded, surplus=body[end:])
    lengths = {value.strip() for value in answer.all("Content-Length")}
    if not lengths:
        # RFC 9112 section 6.3: the body ends with the connection.
        return replace(answer, body=body) if ended or len(body) >= _MAX_ANSWER else None
    if len(lengths) > 1 or not re.fullmatch(r"[0-9]{1,9}", next(iter(lengths))):
        return replace(answer, body=body, complete=False, detail="an unsound Content-Length")
    length = int(lengths.pop())
    if len(body) < length and not ended and len(body) < _MAX_ANSWER:
        return None
    detail = "" if len(body) >= length else f"cut: {len(body)} of {length} bytes of the body"
    whole = len(body) >= length
    return replace(answer, body=body[:length], complete=whole, detail=detail, surplus=body[length:])


def _dechunk(data: bytes) -> tuple[bytes, int | None]:
    """The chunks that are there, and where they end (RFC 9112 section 7.1); None: not all came."""
    out, at = b"", 0
    while True:
        end = data.find(b"\r\n", at)
        size = (
            re.fullmatch(rb"([0-9A-Fa-f]{1,8})(?:[ \t]*;.*)?", data[at:end]) if end >= 0 else None
        )
        if size is None:
            return out, None
        length, at = int(size[1], 16), end + 2
        if length == 0:
            trailer_end = data.find(b"\r\n\r\n", at - 2)
            return out, None if trailer_end < 0 else trailer_end + 4
        out += data[at : at + length]
        if data[at + length : at + length + 2] != b"\r\n":
            return out, None
        at += length + 2
