"""The catalogue of checks: what the code promises to check, joined with what the checks ask for.

The code (``tests/test_*.py``) says which checks there are, how severe, and from which source.
``checks.csv`` says what each one sends and expects. Neither is complete alone.
"""

from __future__ import annotations

import csv
import importlib.util
import inspect
import io
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from . import checks
from .check import Check
from .explain import told

# What a check needs is the fixtures that it asks for. The letters are those of checks.csv.
_CONTROLS = {
    "mint": ("M", "the signing key"),
    "files": ("F", "files on the board"),
    "secret": ("F", "the signing key's file"),
    "password_control": ("F", "the password store"),
    "reboot": ("R", "a reset"),
    "clock": ("C", "the board's clock"),
    "power": ("P", "its power"),
    "card": ("F", "an SD card"),
    "console": ("U", "the serial line"),
    "provider": ("M", "the bench's OpenID provider"),
    "patience": ("S", "time to wait"),
}
_NETWORK = "N"
COLUMNS = ("id", "group", "needs", "severity", "request", "expected", "source")
"""The columns of checks.csv."""


@dataclass(frozen=True)
class Entry:
    """:ivar title: the test's name as a sentence
    :ivar letters: what the bench must be able to do, as in checks.csv: N the network only, M sign
        tokens, F files, R reset, C clock, P power, U serial line, S time to wait
    :ivar needs: the same in words; empty: the network is enough
    :ivar promise: what is promised, in words; empty where the title says it all
    :ivar cause: what usually causes a finding
    :ivar request: what is sent, in short
    :ivar expected: what must come back, in short
    """

    check: Check
    file: str
    group: str
    title: str
    letters: tuple[str, ...]
    needs: tuple[str, ...]
    promise: str
    cause: str
    request: str
    expected: str


def load() -> list[Entry]:
    """Every check of the installed check files, in the order of the files.

    Reads the files as modules; runs none of the checks.
    """
    with (Path(__file__).parent / "checks.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    entries, groups = [], list(checks.GROUPS.values())
    for path in checks.paths():
        module = _module(path)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            check = getattr(function, "__hil_check__", None)
            if not isinstance(check, Check):
                continue
            row = rows.get(check.id, {})
            promise, cause = told(function)
            asked = _asked_for(function, module)
            controls = [control for fixture, control in _CONTROLS.items() if fixture in asked]
            entries.append(
                Entry(
                    check=check,
                    file=path.name,
                    group=checks.GROUPS[_group(path)],
                    title=name.removeprefix("test_").replace("_", " "),
                    letters=tuple(dict.fromkeys(letter for letter, _ in controls)) or (_NETWORK,),
                    needs=tuple(what for _, what in controls),
                    promise=promise,
                    cause=cause,
                    request=row.get("request", ""),
                    expected=row.get("expected", ""),
                )
            )
    return sorted(entries, key=lambda entry: (groups.index(entry.group), entry.check.id))


def row(entry: Entry) -> dict[str, str]:
    """The check as a row of checks.csv: what the code says, where the code says it."""
    return {
        "id": entry.check.id,
        "group": entry.group,
        "needs": " ".join(entry.letters),
        "severity": entry.check.severity.value,
        "request": entry.request,
        "expected": entry.expected,
        "source": entry.check.source,
    }


def as_csv(entries: Iterable[Entry]) -> str:
    """The catalogue with the columns of checks.csv (RFC 4180, but for bare LF)."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(row(entry) for entry in entries)
    return text.getvalue()


def as_markdown(entries: Iterable[Entry]) -> str:
    """The same as one table."""
    rows = [
        list(COLUMNS),
        ["---"] * len(COLUMNS),
        *(list(row(entry).values()) for entry in entries),
    ]
    lines = [" | ".join(cell.replace("|", "\\|") for cell in cells) for cells in rows]
    return "".join(f"| {line} |\n" for line in lines)


def _asked_for(function: Callable[..., object], module: ModuleType) -> set[str]:
    """The fixtures of a check, and those that the file's own fixtures ask for."""
    asked: set[str] = set()
    waiting = [function]
    while waiting:
        for name in inspect.signature(waiting.pop()).parameters:
            if name not in asked:
                asked.add(name)
                own = getattr(module, name, None)
                if own is not None:
                    waiting.append(inspect.unwrap(own))
    return asked


def _group(path: Path) -> str:
    return path.name.removeprefix("test_").removesuffix(".py")


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"hil._catalogue.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks its own module up there
    spec.loader.exec_module(module)
    return module
