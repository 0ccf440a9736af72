"""Writing a run's evidence, line by line, as it happens.

The process that runs a target's checks writes that target's files; the one that controls the run
writes ``run.jsonl``. Each event is one ``write()`` to a file opened for appending, so what a killed
run has told is there. What cannot be written costs the evidence and not the run: it is a problem of
the bench, told once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeGuard

from ..auth import profile, redaction
from ..auth.raw import Request
from ..auth.tokens import decode_segment
from ..config import PACKAGED
from ..errors import fault_of
from ..target import Absent
from . import runs, watching
from .board_time import BoardTimeline
from .events import (
    Boot,
    CheckBegin,
    ClockSeen,
    Down,
    Exchange,
    Fault,
    KeyChange,
    Note,
    Phase,
    PutBack,
    Remark,
    RunBegin,
    RunEnd,
    Stuck,
    TargetBegin,
    TargetEvent,
    TokenSeen,
    Up,
    Verdict,
)
from .secrecy import ConsoleFile, Secrets

if TYPE_CHECKING:
    from ..auth.answer import Answer
    from ..clock.rtc import BoardTime
    from ..link.console import Console
    from ..target import Target
    from ..target_spec import TargetSpec

FAULTS: dict[str, Fault] = {"BoardError": "board", "Finding": "firmware"}
"""By :func:`hil.errors.fault_of`; all else is the bench's, also what nobody has foreseen."""


# RFC 7519 section 3: three segments; a JSON object in base64url begins with "eyJ" or "ew".
_TOKEN = re.compile(rb"\be[yw][A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")


def new_name() -> str:
    """A run's: its time (UTC), so that names sort, and six random digits for those that begin in
    the same second: ``20261129T052112Z-3f2a91``."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + "-" + secrets.token_hex(3)


class Recorder:
    """One run's evidence, as far as this process has to do with it.

    :param artifacts: the folder of all runs
    :param run: its name
    :ivar problems: by target, why its evidence is not whole
    """

    def __init__(self, artifacts: Path, run: str) -> None:
        self.run = run
        self.folder = artifacts / run
        self.problems: dict[str, str] = {}
        self._artifacts = artifacts
        self._began = time.monotonic()
        # Tokens are told apart by a keyed hash, whose key nobody has after the run.
        self._token_key = secrets.token_bytes(16)

    def begin(self, event: RunBegin) -> None:
        """:raises OSError: the folder cannot be made: better now than after the run"""
        self.folder.mkdir(parents=True)
        ignore = self._artifacts / ".gitignore"
        if not ignore.exists():
            ignore.write_text("# What hil's runs leave is nothing to commit.\n*\n")
        with (self.folder / runs.RUN_FILE).open("ab") as file:
            file.write(runs.to_line(event))

    def end(self, exit_status: int, problems: Iterable[str]) -> None:
        """:raises OSError: it cannot be written"""
        took = round(time.monotonic() - self._began, 3)
        told = RunEnd(
            at=time.time(), took_s=took, exit_status=exit_status, problems=tuple(problems)
        )
        with (self.folder / runs.RUN_FILE).open("ab") as file:
            file.write(runs.to_line(told))

    def target(self, spec: TargetSpec) -> TargetRecorder:
        """Its bring-up begins."""
        return TargetRecorder(self, spec)

    def token(self, data: bytes) -> TokenSeen | None:
        """The first JSON Web Token in there, by what may be told of it."""
        found = _TOKEN.search(data)
        if not found:
            return None
        # Told apart by a keyed hash: without the key, which nobody has after the run, it says
        # nothing of the token.
        mark = hmac.digest(self._token_key, found[0], hashlib.sha256)[:4].hex()
        try:
            claims = json.loads(decode_segment(found[0].split(b".")[1].decode("ascii")))
            dates = {name: claims.get(name) for name in ("iat", "nbf", "exp")}
        except (ValueError, AttributeError, RecursionError):
            return TokenSeen(id=mark)
        return TokenSeen(id=mark, **{name: float(at) for name, at in dates.items() if _date(at)})

    def not_written(self, target: str, error: OSError) -> None:
        """Some of this target's evidence could not be."""
        self.problems.setdefault(
            target, f"its evidence in {self.folder / target} is not whole: {error.strerror}"
        )


def _date(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


class TargetRecorder:
    """One target's evidence. Any thread may tell it something.

    :ivar name: the target's
    """

    def __init__(self, recorder: Recorder, spec: TargetSpec) -> None:
        self.name = spec.name
        self._recorder = recorder
        self._folder = recorder.folder / spec.name
        self._lock = threading.Lock()
        self._files: dict[str, int] = {}
        self._check = ""
        self._began: float | None = None
        self._timeline = BoardTimeline()
        self._secrets = Secrets(spec)
        self._console = ConsoleFile(self._append, self._secrets)
        self._profile = profile.path_of(spec.profile)
        self.write(
            TargetBegin(
                at=time.time(),
                run=recorder.run,
                target=spec.name,
                kind=spec.kind,
                model=spec.model,
                profile=self._profile.stem,
                listed=listed(spec.where),
            )
        )

    # -- what the bench tells ----------------------------------------------------------------------

    def phase(self, name: str) -> None:
        """A step of its bring-up begins."""
        self.write(Phase(at=time.time(), phase=name))
        if name != "lock" and self._began is None:  # that may be held: no time of this board's
            self._began = time.monotonic()

    def listen(self, console: Console) -> None:
        """What its application prints, from now on, goes into ``console.log``."""
        console.tell = self._console.add

    def up(self, target: Target) -> Target:
        """It is up: from here on, what is done with it is told.

        :returns: the target to be used
        """
        software, controls = target.software, vars(target.controls)
        self._secrets.of(target)
        self.write(
            Up(
                at=time.time(),
                about=target.about,
                base_url=target.base_url,
                unique_id=target.unique_id.hex() if target.unique_id else None,
                firmware=software.firmware,
                firmware_sha256=dict(software.firmware_sha256),
                application_sha256=software.application_sha256,
                profile_sha256=hashlib.sha256(self._profile.read_bytes()).hexdigest(),
                epoch=software.epoch,
                absent={n: c.reason for n, c in controls.items() if isinstance(c, Absent)},
                notes=target.notes,
                took_s=round(time.monotonic() - (self._began or time.monotonic()), 3),
            )
        )
        target.record.tell = self._exchange
        return watching.watched(target, self)

    def down(self, error: BaseException) -> None:
        """It could not be brought up."""
        self._console.end()
        self.write(Down(at=time.time(), fault=fault(error), message=self._secrets.hide(str(error))))

    def note(self, text: str) -> None:
        """What happened to it between two checks."""
        self.write(Note(at=time.time(), text=self._secrets.hide(text)))

    def put_back(self, took_s: float, problem: str | None = None) -> None:
        """The last that is told of it."""
        self._console.end()
        self.write(PutBack(at=time.time(), took_s=round(took_s, 3), problem=problem))
        with self._lock:
            for file in self._files.values():
                os.close(file)
            self._files.clear()

    # -- what a check does -------------------------------------------------------------------------

    def begin(self, check: str) -> None:
        """What comes now belongs to this check."""
        self._check = check
        self.write(CheckBegin(at=time.time(), check=check))

    def remark(self, name: str, value: object) -> None:
        """What it has to say besides its verdict."""
        told = self._secrets.hide(str(value))
        self.write(Remark(at=time.time(), check=self._check, name=name, value=told))

    def verdict(self, verdict: Verdict) -> None:
        """The check has ended."""
        self.write(replace(verdict, message=self._secrets.hide(verdict.message)))
        self._check = ""

    def stuck(self, event: Stuck) -> None:
        """The check took too long. The board's traceback is in no console: the bench caused it."""
        hide = self._secrets.hide
        board = tuple(map(hide, event.board))
        told = replace(event, board=board, console=tuple(map(hide, event.console)))
        self.write(told)
        if board:
            text = "\n".join(board)
            self._append(runs.TRACEBACKS_FILE, f"{text}\n\n".encode("utf-8", "replace"))

    def clock(self, action: str, reading: BoardTime) -> None:
        """The board's clock was read, or moved and read back."""
        self.write(
            ClockSeen(
                at=reading.host,
                check=self._check,
                action=action,
                offset_s=round(reading.offset, 3),
                board=self._timeline.seen(reading),
            )
        )

    def boot(self, kind: str, took_s: float) -> None:
        """It was reset, and its application answers again."""
        if kind == "power":
            self._timeline.forget()
        self.write(Boot(at=time.time(), check=self._check, kind=kind, took_s=round(took_s, 3)))

    def key_changed(self, action: Literal["written", "deleted"]) -> None:
        """The signing key that counts from the next boot."""
        self.write(KeyChange(at=time.time(), check=self._check, action=action))

    def key_seen(self, key: bytes) -> None:
        """A signing key that nothing may show."""
        self._secrets.key(key)

    def _exchange(self, answer: Answer) -> None:
        now = time.time() if answer.sent_at is None else answer.sent_at
        hide = self._secrets.hide
        sent = answer.request
        fields = "\r\n".join(f"{name}: {value}" for name, value in answer.headers)
        names = getattr(sent, "hidden", redaction.HIDDEN_FIELDS)
        headers = redaction.head(fields.encode("utf-8", "replace"), names) if fields else []
        self.write(
            Exchange(
                at=round(now, 4),
                check=self._check,
                sent=hide(repr(sent if isinstance(sent, Request) else Request(sent))),
                got=hide(repr(answer)),
                headers=tuple(hide("\n".join(headers)).split("\n")) if headers else (),
                outcome=answer.outcome.value,
                status=answer.status,
                took_s=None if answer.took_s is None else round(answer.took_s, 5),
                board=self._timeline.at(now),
                token=self._recorder.token(sent) or self._recorder.token(answer.body),
            )
        )

    # -- files -------------------------------------------------------------------------------------

    def write(self, event: TargetEvent) -> None:
        """Any event; what it says must be redacted already."""
        self._append(runs.EVIDENCE_FILE, runs.to_line(event))

    def _append(self, name: str, data: bytes) -> None:
        with self._lock:
            try:
                if name not in self._files:
                    self._folder.mkdir(parents=True, exist_ok=True)
                    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
                    self._files[name] = os.open(self._folder / name, flags, 0o644)
                os.write(self._files[name], data)
            except OSError as error:
                self._recorder.not_written(self.name, error)


def listed(where: str) -> str:
    """Where a target's entry is, as another checkout of the same repository has it.

    :param where: ``FILE:LINE:COLUMN``
    :returns: ``FILE:LINE``; the file without a folder where it is in no repository
    """
    name, line, _ = where.rsplit(":", 2)
    path = Path(name).absolute()
    if path == PACKAGED:
        return f"hil/{path.name}:{line}"
    root = next((folder for folder in path.parents if (folder / ".git").exists()), path.parent)
    return f"{path.relative_to(root).as_posix()}:{line}"


def fault(error: BaseException) -> Fault:
    """Whose it is; what nobody has foreseen is the bench's."""
    return FAULTS.get(fault_of(error), "bench")
