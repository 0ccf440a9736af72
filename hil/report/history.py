"""The runs of a bench over months, in one SQLite file.

The runs' folders are the source: :meth:`History.update` takes in those that are not in it yet, also
a killed one, and those that have grown. What is in it stays when a folder is deleted, and a file
that is restored from a CI's cache is as good as one that has stayed.

Runs may end at the same time: each writes in one transaction and waits for the other. It is the
rollback journal, not WAL, so that between two runs the file is whole by itself, for a cache.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import ConfigError
from .digest import Build, CheckDigest, RunDigest, TargetDigest, digest
from .runs import EVIDENCE_FILE, RUN_FILE, Run, folders

FILE = "history.sqlite"
"""Its name, in the folder of the runs."""

VERSION = 1
_APPLICATION = 0x68696C68  # "hilh"
_BUSY_S = 30.0

_TABLES = """
CREATE TABLE run (
    id INTEGER PRIMARY KEY,
    bytes INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    at REAL NOT NULL,
    host TEXT NOT NULL,
    hil TEXT NOT NULL,
    revision TEXT,
    url TEXT,
    took_s REAL,
    exit_status INTEGER
);
CREATE TABLE target (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    name TEXT NOT NULL,
    unique_id TEXT,
    kind TEXT NOT NULL,
    model TEXT,
    profile TEXT NOT NULL,
    firmware TEXT,
    firmware_sha256 TEXT,
    application_sha256 TEXT,
    profile_sha256 TEXT,
    fault TEXT,
    message TEXT NOT NULL,
    UNIQUE (run, name)
);
CREATE TABLE verdict (
    target INTEGER NOT NULL REFERENCES target ON DELETE CASCADE,
    "check" TEXT NOT NULL,
    verdict TEXT NOT NULL,
    fault TEXT,
    message TEXT NOT NULL,
    PRIMARY KEY (target, "check")
) WITHOUT ROWID;
CREATE TABLE median (
    target INTEGER NOT NULL REFERENCES target ON DELETE CASCADE,
    measure TEXT NOT NULL,
    "case" TEXT NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (target, measure, "case")
) WITHOUT ROWID;
"""
_RUN = tuple(one.name for one in fields(RunDigest) if one.name != "targets")
_BUILD = tuple(one.name for one in fields(Build))
_TARGET = ("name", "unique_id", "kind", "model", "profile", *_BUILD, "fault", "message")


@dataclass(frozen=True)
class Updated:
    """What an update has found.

    :ivar added: the names of the runs that it has taken in, or that had grown
    :ivar problems: why a folder was left out
    """

    added: tuple[str, ...]
    problems: tuple[str, ...]


class History:
    """The file, open. A context manager.

    :param path: made where it is not there yet
    :raises ConfigError: it is damaged, no history, or of a later version of hil; it stays as it is
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            # SQLite itself takes a short file for an empty one, and writes to it.
            if path.exists() and _beginning(path) not in (b"", b"SQLite format 3\0"):
                raise sqlite3.DatabaseError("file is not a database")
            self._database = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._database.close()
                raise

    def __enter__(self) -> History:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._database.close()

    def update(self, artifacts: Path) -> Updated:
        """Take in the runs of this folder that are not here yet, or not to their end."""
        with self._explained():
            known = dict(self._database.execute("SELECT name, bytes FROM run"))
        added: list[str] = []
        problems: list[str] = []
        for folder in folders(artifacts):
            size = _size(folder)
            if known.get(folder.name) == size:
                continue
            try:
                run = Run.load(folder)
            except ConfigError as error:
                problems.append(error.message)
                continue
            if known.get(run.name, -1) < size:
                self.add(digest(run), size)
                added.append(run.name)
        return Updated(tuple(added), tuple(problems))

    def add(self, run: RunDigest, size: int) -> None:
        """Add this run, or replace what an earlier look at it has told.

        :param size: bytes of evidence that it was made from; with fewer it changes nothing
        """
        with self._writing() as database:
            there = database.execute(
                "SELECT id, bytes FROM run WHERE name = ?", (run.name,)
            ).fetchone()
            if there and there[1] >= size:
                return
            if there:
                database.execute("DELETE FROM run WHERE id = ?", there[:1])
            row = _insert(
                database, "run", bytes=size, **{name: getattr(run, name) for name in _RUN}
            )
            for target in run.targets.values():
                self._add_target(database, row, target)

    @staticmethod
    def _add_target(database: sqlite3.Connection, run: int, target: TargetDigest) -> None:
        values = {name: getattr(target, name) for name in _TARGET if name not in _BUILD}
        built = dict(zip(_BUILD, astuple(target.build), strict=True))
        row = _insert(database, "target", run=run, **values, **built)
        database.executemany(
            "INSERT INTO verdict VALUES (?, ?, ?, ?, ?)",
            [
                (row, check, one.verdict, one.fault, one.message)
                for check, one in target.checks.items()
            ],
        )
        database.executemany(
            "INSERT INTO median VALUES (?, ?, ?, ?)",
            [(row, *measure, seconds) for measure, seconds in target.seconds.items()],
        )

    def last(self, count: int) -> list[RunDigest]:
        """The latest runs, the oldest of them first."""
        return self._load("ORDER BY at DESC, name DESC LIMIT ?", count)

    def named(self, beginning: str) -> list[RunDigest]:
        """The runs whose names begin so."""
        return self._load("WHERE instr(name, ?) = 1 ORDER BY at DESC, name DESC", beginning)

    def _load(self, which: str, value: object) -> list[RunDigest]:
        with self._explained():
            database = self._database
            rows = database.execute(
                f"SELECT id, {', '.join(_RUN)} FROM run {which}",  # noqa: S608 - our own words
                (value,),
            ).fetchall()
            return [
                RunDigest(
                    **dict(zip(_RUN, row[1:], strict=True)), targets=self._targets(database, row[0])
                )
                for row in reversed(rows)
            ]

    @staticmethod
    def _targets(database: sqlite3.Connection, run: int) -> dict[str, TargetDigest]:
        found = {}
        chosen = ", ".join(_TARGET)
        for row in database.execute(
            f"SELECT id, {chosen} FROM target WHERE run = ? ORDER BY id",  # noqa: S608 - likewise
            (run,),
        ):
            told: dict[str, Any] = dict(zip(_TARGET, row[1:], strict=True))
            build = Build(**{name: told.pop(name) for name in _BUILD})
            checks = {
                check: CheckDigest(verdict=verdict, fault=fault, message=message)
                for check, verdict, fault, message in database.execute(
                    'SELECT "check", verdict, fault, message FROM verdict WHERE target = ?', row[:1]
                )
            }
            seconds = {
                (measure, case): value
                for measure, case, value in database.execute(
                    'SELECT measure, "case", seconds FROM median WHERE target = ?', row[:1]
                )
            }
            found[told["name"]] = TargetDigest(**told, build=build, checks=checks, seconds=seconds)
        return found

    def _prepare(self) -> None:
        database = self._database
        database.execute("PRAGMA foreign_keys = ON")
        version = self._version()
        if version is None:
            with self._writing():
                if self._version() is None:  # another run has been faster
                    for statement in _TABLES.strip().split(";\n"):
                        database.execute(statement)
                    database.execute(f"PRAGMA application_id = {_APPLICATION}")
                    database.execute(f"PRAGMA user_version = {VERSION}")
        elif version > VERSION:
            raise ConfigError(
                f"{self.path}: written by a later version of hil (its format is {version}, "
                f"this one knows {VERSION})",
                hint="use that version, or another file: --history FILE",
            )

    def _version(self) -> int | None:
        """Of the file's format; None: it is new and empty."""
        # At one moment: another run may write the tables between two looks.
        application, version, tables = self._database.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
            " FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        if application == _APPLICATION:
            return int(version)
        if tables or application or version:
            raise ConfigError(
                f"{self.path}: an SQLite file of another program",
                hint="name another one: --history FILE",
            )
        return None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with self._explained():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if isinstance(error, sqlite3.OperationalError | OSError):
                hint = (
                    "is its folder writable, is there room, does a program hold it? --history FILE"
                )
            else:
                hint = (
                    "it is left as it is; move it away, and the next run begins a new one "
                    "from the runs' folders that are still there"
                )
            raise ConfigError(f"{self.path}: {error}", hint=hint) from None


def _insert(database: sqlite3.Connection, table: str, **values: object) -> int:
    """:returns: the row's id"""
    places = ", ".join("?" * len(values))
    cursor = database.execute(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})",  # noqa: S608 - our own words
        tuple(values.values()),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def _size(folder: Path) -> int:
    """Bytes of a run's evidence: it grows, and never changes otherwise."""
    return sum(
        path.stat().st_size for path in [folder / RUN_FILE, *folder.glob(f"*/{EVIDENCE_FILE}")]
    )
