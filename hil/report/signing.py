"""Who has signed a run off, and whether its evidence still is what was signed.

The evidence of a run is ``run.jsonl`` and all files in the folders of its targets. Its hash is the
SHA-256 of the list that ``sha256sum`` prints for these files, sorted by name, so that anybody can
check it without this program::

    cd artifacts/RUN
    find run.jsonl TARGET... -type f | LC_ALL=C sort | xargs sha256sum | sha256sum

It shows a later change to whoever has kept the hash elsewhere, e.g. on paper. It is no digital
signature: it does not prove who signed, and who may write the folder may sign it anew.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import ConfigError
from .runs import RUN_FILE, Run
from .words import visible

SIGNED_FOLDER = "signed"
SCHEMA = "hil-signed/1"


@dataclass(frozen=True)
class Fingerprint:
    """:ivar sha256: over all evidence of a run, in hex
    :ivar files: the SHA-256 of each file, by its path within the run's folder, sorted
    """

    sha256: str
    files: dict[str, str] = field(repr=False)


def fingerprint(folder: Path, targets: Collection[str]) -> Fingerprint:
    """:param folder: of the run
    :param targets: the folders in it that are evidence, too
    """
    paths = [folder / RUN_FILE]
    for target in targets:
        paths += [path for path in (folder / target).rglob("*") if path.is_file()]
    names = sorted(
        (path.relative_to(folder).as_posix() for path in paths if path.is_file()),
        key=lambda name: name.encode("utf-8", "surrogateescape"),
    )
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    listed = "".join(f"{digest}  {name}\n" for name, digest in files.items())
    return Fingerprint(hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest(), files)


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What somebody has signed off.

    :ivar at: Unix seconds, UTC, by the clock of the signing host
    :ivar decision: in their words, e.g. ``released``; empty: none was given
    :ivar hil: the version that made the copy
    :ivar headline: the result as the copy tells it
    :ivar copies: the SHA-256 of the signed copies, by file name, beside this record
    """

    run: str
    at: float
    name: str
    role: str = ""
    decision: str = ""
    comment: str = ""
    hil: str = __version__
    headline: str = ""
    evidence: Fingerprint
    copies: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2) + "\n"


def sign(
    run: Run, name: str, *, role: str = "", decision: str = "", comment: str = ""
) -> Signature:
    """A sign-off of a run as it is now; nothing is written.

    :raises ConfigError: the name is empty
    """
    if not name.strip():
        raise ConfigError("a sign-off without a name", hint="hil report RUN --sign 'Ada Lovelace'")
    return Signature(
        run=run.name,
        at=float(int(time.time())),
        name=visible(name).strip(),
        role=visible(role).strip(),
        decision=visible(decision).strip(),
        comment=visible(comment).strip(),
        evidence=fingerprint(run.folder, run.targets),
    )


def stem(signature: Signature) -> str:
    """Of the files of a sign-off: ``20261129T061500Z-ada-lovelace``."""
    when = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(signature.at))
    name = re.sub(r"[^a-z0-9]+", "-", signature.name.lower()).strip("-")
    return f"{when}-{name[:40] or 'signed'}"


def records(folder: Path) -> list[Path]:
    """The records of all sign-offs of a run, the oldest first."""
    return sorted((folder / SIGNED_FOLDER).glob("*.json"))


def read(path: Path) -> Signature:
    """A record; of a signed copy in HTML or Markdown, the record beside it.

    :raises ConfigError: it is none
    """
    path = path.with_suffix(".json")
    try:
        told = json.loads(path.read_text("utf-8"))
        if told.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        return _signature(told)
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such record of a sign-off", hint="'hil report RUN --sign NAME' makes one"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path}: no record of a sign-off ({SCHEMA})") from None


def _signature(told: dict[str, Any]) -> Signature:
    from pydantic import TypeAdapter

    return TypeAdapter(Signature).validate_python(told)


@dataclass(frozen=True)
class Difference:
    """How the evidence is not what was signed, and which copies are not."""

    changed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.new or self.copies)

    def lines(self) -> list[str]:
        """One for each file."""
        return [
            *(f"changed: {name}" for name in self.changed),
            *(f"missing: {name}" for name in self.missing),
            *(f"new: {name}" for name in self.new),
            *(f"changed or missing: the signed copy {name}" for name in self.copies),
        ]


def verify(signature: Signature, record: Path, folder: Path) -> Difference:
    """Compare a run's evidence with what was signed.

    :param record: the file that ``signature`` was read from: the copies are beside it
    :param folder: of the run
    :raises ConfigError: the record contradicts itself
    """
    signed = signature.evidence
    listed = "".join(f"{digest}  {name}\n" for name, digest in signed.files.items())
    if hashlib.sha256(listed.encode("utf-8", "surrogateescape")).hexdigest() != signed.sha256:
        raise ConfigError(
            f"{record}: the hash of the evidence is not that of its own list of files",
            hint="the record itself was changed: compare it with the hash on the signed paper",
        )
    try:
        targets: Collection[str] = Run.load(folder).targets
    except ConfigError:  # run.jsonl is gone or unreadable, which is what is to be told
        targets = {name.partition("/")[0] for name in signed.files if "/" in name}
    now = fingerprint(folder, targets).files
    return Difference(
        changed=tuple(n for n, digest in signed.files.items() if now.get(n, digest) != digest),
        missing=tuple(name for name in signed.files if name not in now),
        new=tuple(name for name in now if name not in signed.files),
        copies=tuple(
            name
            for name, digest in signature.copies.items()
            if not (copy := record.parent / name).is_file()
            or hashlib.sha256(copy.read_bytes()).hexdigest() != digest
        ),
    )
