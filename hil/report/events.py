"""The evidence of a run: what its files say, line by line.

A run is one folder, ``artifacts/RUN/``. ``run.jsonl`` tells of the run, ``TARGET/evidence.jsonl``
of one target; ``TARGET/console.log`` has what its application printed, ``TARGET/tracebacks.txt``
the MicroPython tracebacks in it. Each line of a ``.jsonl`` file is one event, a JSON object
(RFC 8259) whose ``event`` says which; it is written when it happens, so a killed run leaves all it
had. A field that has its default is left out. The last line of a killed run may be torn.

``at`` is the host's time, ``board`` the board's: Unix seconds, UTC. Durations are seconds and end
in ``_s``. No field holds a secret: what was sent and got is the redacted form
(:mod:`hil.auth.redaction`), and a token is known by a fingerprint that no other run shares.

:data:`SCHEMA` changes its number when a field goes away or changes its meaning. A reader skips
events and fields that it does not know: those may be added within one number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SCHEMA = "hil-evidence/1"

Fault = Literal["firmware", "board", "bench"]
"""Whose fault: a broken promise is the firmware's; see :mod:`hil.errors`."""

VerdictWord = Literal["passed", "finding", "advisory", "known", "skipped", "error"]
"""``finding``: a *must* is broken. ``advisory``: a *should*. ``known``: broken, and the profile
declares it. ``skipped``: not checked, which is no evidence of anything. ``error``: the board's or
the bench's fault, so nothing is known of the firmware."""

WORDS: tuple[VerdictWord, ...] = ("finding", "error", "advisory", "known", "skipped", "passed")
"""From what a reader must see first to what may be passed over."""


@dataclass(frozen=True, kw_only=True)
class BoardMoment:
    """The board's clock at the moment of an event.

    :ivar unix: Unix seconds, UTC: the middle of what is possible
    :ivar uncertainty_s: the truth is within plus or minus this: the reading's own, and what a
        crystal drifts since then
    """

    unix: float
    uncertainty_s: float


@dataclass(frozen=True, kw_only=True)
class TokenSeen:
    """A JSON Web Token in a request or an answer, without what makes it valid.

    :ivar id: the same for the same token of one target within one run
    :ivar iat: its claims, where they are numbers; likewise ``nbf`` and ``exp``
    """

    id: str
    iat: float | None = None
    nbf: float | None = None
    exp: float | None = None


@dataclass(frozen=True, kw_only=True)
class _Event:
    """:ivar at: host time, Unix seconds, UTC"""

    at: float


# -- run.jsonl -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class RunBegin(_Event):
    """The first line of ``run.jsonl``.

    :ivar hil: this program's version
    :ivar host: the bench's host name
    :ivar inventory: the file of the targets
    :ivar targets: what the run is to check, in order
    :ivar arguments: those of pytest
    :ivar revision: the commit under check, where the CI tells it
    :ivar url: the CI's page of this run
    """

    event: Literal["run"] = "run"
    schema: str = SCHEMA
    run: str
    hil: str
    python: str
    host: str
    inventory: str
    targets: tuple[str, ...]
    arguments: tuple[str, ...] = ()
    revision: str | None = None
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class RunEnd(_Event):
    """The last line of ``run.jsonl``; not there: the run was killed.

    :ivar exit_status: pytest's
    :ivar problems: e.g. a board that could not be put back
    """

    event: Literal["run-end"] = "run-end"
    took_s: float
    exit_status: int
    problems: tuple[str, ...] = ()


# -- TARGET/evidence.jsonl -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class TargetBegin(_Event):
    """The first line of a target's file: its bring-up begins.

    :ivar kind: ``board``, ``virtual``, ``process`` or ``url``
    :ivar model: a key of the board table
    :ivar listed: where its entry is, ``FILE:LINE``, from the root of the repository that it is in
    """

    event: Literal["target"] = "target"
    schema: str = SCHEMA
    run: str
    target: str
    kind: str
    model: str | None = None
    profile: str
    listed: str = ""


@dataclass(frozen=True, kw_only=True)
class Phase(_Event):
    """A step of bringing it up begins: ``lock``, ``power``, ``flash``, ``deploy``, ``reset`` …"""

    event: Literal["phase"] = "phase"
    phase: str


@dataclass(frozen=True, kw_only=True)
class Up(_Event):
    """It is up: its first check may begin.

    :ivar about: one line for people
    :ivar unique_id: ``machine.unique_id()`` in hex
    :ivar firmware: version, as the board says it
    :ivar firmware_sha256: of the images that it was flashed with, by partition, where proven
    :ivar application_sha256: over all files that it was given but the settings: they hold secrets
    :ivar profile_sha256: of what it is held to
    :ivar epoch: the year that its ``time.time()`` counts from
    :ivar absent: the controls that the bench has not over it, and why
    :ivar took_s: since its bring-up began, without the time that somebody else held it
    """

    event: Literal["up"] = "up"
    about: str
    base_url: str
    unique_id: str | None = None
    firmware: str | None = None
    firmware_sha256: dict[str, str] = field(default_factory=dict)
    application_sha256: str | None = None
    profile_sha256: str | None = None
    epoch: int | None = None
    absent: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    took_s: float


@dataclass(frozen=True, kw_only=True)
class Down(_Event):
    """It could not be brought up: none of its checks ran."""

    event: Literal["down"] = "down"
    fault: Fault
    message: str


@dataclass(frozen=True, kw_only=True)
class CheckBegin(_Event):
    """A check begins; what follows belongs to it, up to its verdict."""

    event: Literal["check"] = "check"
    check: str


@dataclass(frozen=True, kw_only=True)
class Exchange(_Event):
    """One request and its answer.

    :ivar at: when it was sent
    :ivar check: empty: between two checks
    :ivar sent: the request, redacted: request line, header lines, body, with `` | `` between
    :ivar got: outcome, status, body, and what was wrong
    :ivar headers: of the answer, redacted
    :ivar outcome: :class:`hil.auth.answer.Outcome`
    :ivar took_s: from connecting to the end of the answer
    :ivar token: the one that was shown, or, where none was, the one that was given
    """

    event: Literal["exchange"] = "exchange"
    check: str = ""
    sent: str
    got: str
    headers: tuple[str, ...] = ()
    outcome: str
    status: int | None = None
    took_s: float | None = None
    board: BoardMoment | None = None
    token: TokenSeen | None = None


@dataclass(frozen=True, kw_only=True)
class ClockSeen(_Event):
    """The board's clock was read or moved.

    :ivar action: ``read``, ``set``, ``skew``, ``ntp``, ``restore``
    :ivar offset_s: board minus host
    """

    event: Literal["clock"] = "clock"
    check: str = ""
    action: str
    offset_s: float
    board: BoardMoment


@dataclass(frozen=True, kw_only=True)
class Boot(_Event):
    """It was reset, and its application answers again.

    :ivar kind: ``hard``, ``soft``, ``power``, ``wdt``; of a process: ``restart``
    :ivar took_s: from the reset to the answer
    """

    event: Literal["boot"] = "boot"
    check: str = ""
    kind: str
    took_s: float


@dataclass(frozen=True, kw_only=True)
class KeyChange(_Event):
    """The signing key on its flash was ``written`` or ``deleted``; it counts from the next boot."""

    event: Literal["key"] = "key"
    check: str = ""
    action: Literal["written", "deleted"]


@dataclass(frozen=True, kw_only=True)
class Remark(_Event):
    """What a check has to say besides its verdict."""

    event: Literal["remark"] = "remark"
    check: str
    name: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Note(_Event):
    """What happened to it between checks, e.g. that it was brought back."""

    event: Literal["note"] = "note"
    text: str


@dataclass(frozen=True, kw_only=True)
class Stuck(_Event):
    """A check took too long: where host and board were.

    :ivar host: the innermost lines of the host's stack, ``FILE:LINE in FUNCTION: CODE``
    :ivar board: the traceback that interrupting the board made it print; empty: it did not
    :ivar console: its last lines
    :ivar fault: the board's where it did not react, where its application was busy or had ended,
        and where the host waited for its answer; else the bench's
    """

    event: Literal["stuck"] = "stuck"
    check: str
    after_s: float
    host: tuple[str, ...]
    board: tuple[str, ...] = ()
    console: tuple[str, ...] = ()
    fault: Fault


@dataclass(frozen=True, kw_only=True)
class Verdict(_Event):
    """A check has ended.

    :ivar title: the check as a sentence
    :ivar fault: none for ``passed`` and ``skipped``
    :ivar message: what was found; why it was skipped; the reason that the profile gives
    :ivar not_promised: skipped because its profile promises no such thing: nothing is missing
    :ivar promise: what is promised, in words
    :ivar cause: what usually causes a finding
    :ivar clock: the board's clock at a finding, in words
    :ivar took_s: with what its fixtures did before and after
    """

    event: Literal["verdict"] = "verdict"
    check: str
    severity: Literal["must", "should"]
    title: str
    source: str
    verdict: VerdictWord
    fault: Fault | None = None
    message: str = ""
    not_promised: bool = False
    promise: str = ""
    cause: str = ""
    clock: str = ""
    took_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class PutBack(_Event):
    """The last line of a target's file: it is as it was found.

    :ivar problem: why not
    """

    event: Literal["put-back"] = "put-back"
    took_s: float
    problem: str | None = None


RunEvent = RunBegin | RunEnd
TargetEvent = (
    TargetBegin
    | Phase
    | Up
    | Down
    | CheckBegin
    | Exchange
    | ClockSeen
    | Boot
    | KeyChange
    | Remark
    | Note
    | Stuck
    | Verdict
    | PutBack
)
Event = RunEvent | TargetEvent
