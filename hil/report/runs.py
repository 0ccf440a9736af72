"""Reading runs: what their files say, as far as they were written.

A run that was killed, or that goes on this moment, is read like any other: its last line may be
torn, and its end is not there.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args

from ..errors import ConfigError
from .events import (
    SCHEMA,
    WORDS,
    Down,
    Event,
    Exchange,
    Note,
    PutBack,
    RunBegin,
    RunEnd,
    TargetBegin,
    Up,
    Verdict,
)

RUN_FILE = "run.jsonl"
EVIDENCE_FILE = "evidence.jsonl"
CONSOLE_FILE = "console.log"
TRACEBACKS_FILE = "tracebacks.txt"

# By event and field; of those that every reader needs, none.
_DEFAULTS: dict[str, dict[str, object]] = {
    kind.event: {
        one.name: one.default if one.default_factory is MISSING else one.default_factory()
        for one in fields(kind)
        if one.name not in ("event", "schema")
        and (one.default is not MISSING or one.default_factory is not MISSING)
    }
    for kind in get_args(Event)
}


@functools.cache
def _reader() -> Callable[[bytes], Event]:
    from typing import Annotated

    from pydantic import Field, TypeAdapter

    return TypeAdapter[Event](Annotated[Event, Field(discriminator="event")]).validate_json


def parse(line: bytes) -> Event | None:
    """One line of a file; None: it is torn, or of an event that this version does not know."""
    try:
        return _reader()(line)
    except ValueError:
        return None


def to_line(event: Event) -> bytes:
    """The event as one line, without the fields that have their defaults."""
    left_out = _DEFAULTS[event.event]
    told = {
        name: {k: v for k, v in value.items() if v is not None} if name == "token" else value
        for name, value in asdict(event).items()
        if name not in left_out or value != left_out[name]
    }
    text = json.dumps({"event": event.event} | told, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace") + b"\n"


def read(path: Path) -> list[Event]:
    """The events of one file, in order; none where there is no such file.

    :raises ConfigError: it was written by another version, whose events mean something else
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    events = [event for line in lines if (event := parse(line))]
    for event in events:
        schema = getattr(event, "schema", SCHEMA)
        if schema != SCHEMA:
            raise ConfigError(
                f"{path}: written as {schema}, and this version reads {SCHEMA}",
                hint="report it with the version of hil that has made it: see its run.jsonl",
            )
    return events


@dataclass(frozen=True)
class TargetRun:
    """What a run has found on one target.

    :ivar folder: with its files
    :ivar begin: None: the file is empty
    :ivar up: None: it has not come up
    :ivar down: why it has not
    :ivar verdicts: by check id, in the order in which they came
    :ivar put_back: None: the run was killed before
    """

    name: str
    folder: Path
    events: tuple[Event, ...] = field(repr=False)
    begin: TargetBegin | None
    up: Up | None
    down: Down | None
    verdicts: dict[str, Verdict] = field(repr=False)
    notes: tuple[str, ...]
    put_back: PutBack | None

    @classmethod
    def load(cls, folder: Path) -> TargetRun:
        """:param folder: ``artifacts/RUN/TARGET``"""
        events = tuple(read(folder / EVIDENCE_FILE))
        verdicts: dict[str, Verdict] = {}
        for event in events:
            if isinstance(event, Verdict):
                verdicts[event.check] = event
        begin = _last(events, TargetBegin)
        up = _last(events, Up)
        return cls(
            name=begin.target if begin else folder.name,
            folder=folder,
            events=events,
            begin=begin,
            up=up,
            down=_last(events, Down),
            verdicts=verdicts,
            notes=(
                *(up.notes if up else ()),
                *(event.text for event in events if isinstance(event, Note)),
            ),
            put_back=_last(events, PutBack),
        )

    def counts(self) -> dict[str, int]:
        """How many checks have which verdict, those of none left out, the gravest first."""
        found = [verdict.verdict for verdict in self.verdicts.values()]
        return {word: found.count(word) for word in WORDS if word in found}

    def exchanges(self, check: str) -> list[Exchange]:
        """What this check has sent and got, in order."""
        return [
            event for event in self.events if isinstance(event, Exchange) and event.check == check
        ]

    @property
    def console(self) -> str:
        """What its application has printed; empty where nothing was, or nobody could hear it."""
        return _text(self.folder / CONSOLE_FILE)

    @property
    def tracebacks(self) -> str:
        return _text(self.folder / TRACEBACKS_FILE)


@dataclass(frozen=True)
class Run:
    """One run.

    :ivar folder: ``artifacts/RUN``
    :ivar end: None: it was killed, or goes on
    :ivar targets: by name, in the run's order; also those of which nothing has been written
    """

    folder: Path
    begin: RunBegin
    end: RunEnd | None
    targets: dict[str, TargetRun]

    @property
    def name(self) -> str:
        return self.begin.run

    @classmethod
    def load(cls, folder: Path) -> Run:
        """:raises ConfigError: there is no run in this folder, or it is of another version"""
        events = read(folder / RUN_FILE)
        begin = _last(events, RunBegin)
        if begin is None:
            raise ConfigError(
                f"{folder}: no run: its {RUN_FILE} is missing or empty",
                hint="'hil report --list' shows which runs there are",
            )
        return cls(
            folder=folder,
            begin=begin,
            end=_last(events, RunEnd),
            targets={name: TargetRun.load(folder / name) for name in begin.targets},
        )


def find(artifacts: Path, name: str = "latest") -> Path:
    """The folder of a run.

    :param artifacts: the folder of all runs
    :param name: a run's folder, its name, the beginning of its name, or ``latest``
    :raises ConfigError: there is none, or there are several
    """
    if "/" in name or (Path(name) / RUN_FILE).is_file():
        return Path(name)
    there = folders(artifacts)
    if not there:
        raise ConfigError(
            f"{artifacts}: no run yet", hint="'pytest -m hil' makes one; or name its folder"
        )
    if name == "latest":
        return there[-1]
    matching = [folder for folder in there if folder.name.startswith(name)]
    exact = [folder for folder in matching if folder.name == name]
    if len(exact or matching) == 1:
        return (exact or matching)[0]
    told = ", ".join(folder.name for folder in (matching or there)[-5:])
    what = "several runs begin" if matching else "no run begins"
    raise ConfigError(f"{artifacts}: {what} with {name!r}", hint=f"there are {told}")


def folders(artifacts: Path) -> list[Path]:
    """The runs there are, the oldest first: a run's name begins with its time."""
    if not artifacts.is_dir():
        return []
    return sorted(path.parent for path in artifacts.glob(f"*/{RUN_FILE}"))


def follow(path: Path, offset: int) -> tuple[Iterator[Event], int]:
    """The events written since, of a file that is being written.

    :param offset: bytes read so far
    :returns: the whole lines behind it, and the new offset
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return iter(()), offset
    whole = data[: data.rfind(b"\n") + 1]
    return (event for line in whole.splitlines() if (event := parse(line))), offset + len(whole)


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of one line."""
    from typing import Annotated

    from pydantic import Field, TypeAdapter

    adapter = TypeAdapter[Event](Annotated[Event, Field(discriminator="event")])
    return {"$id": SCHEMA, **adapter.json_schema()}


def _last(events: Sequence[Event], kind: type[Any]) -> Any:
    return next((event for event in reversed(events) if isinstance(event, kind)), None)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return ""
