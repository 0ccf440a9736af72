"""The catalogue of checks: what the code promises to check, joined with what the checks ask for.

The code (``tests/test_*.py``) says which checks there are, how severe, and from which source.
``checks.csv`` says what each one sends and expects. Neither is complete alone.
"""

from __future__ import annotations

import csv
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from . import checks
from .check import Check

_CONTROLS = {
    "files": "files on the board",
    "secret": "the signing key's file",
    "mint": "the signing key",
    "clock": "the board's clock",
    "reboot": "a reset",
    "password_control": "the password store",
    "console": "the serial line",
}


@dataclass(frozen=True)
class Entry:
    """:ivar title: the test's name as a sentence
    :ivar needs: what the bench must be able to do; empty: the network is enough
    :ivar told: the docstring: the promise, and what usually causes a finding
    :ivar request: what is sent, in short
    :ivar expected: what must come back, in short
    """

    check: Check
    file: str
    title: str
    needs: tuple[str, ...]
    told: str
    request: str
    expected: str


def load() -> list[Entry]:
    """Every check of the installed check files, in the order of the files.

    Reads the files as modules; runs none of the checks.
    """
    with (Path(__file__).parent / "checks.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    entries = []
    for path in checks.paths():
        for name, function in inspect.getmembers(_module(path), inspect.isfunction):
            check = getattr(function, "__hil_check__", None)
            if not isinstance(check, Check):
                continue
            row = rows.get(check.id, {})
            entries.append(
                Entry(
                    check=check,
                    file=path.name,
                    title=name.removeprefix("test_").replace("_", " "),
                    needs=tuple(
                        what
                        for fixture, what in _CONTROLS.items()
                        if fixture in inspect.signature(function).parameters
                    ),
                    told=inspect.getdoc(function) or "",
                    request=row.get("request", ""),
                    expected=row.get("expected", ""),
                )
            )
    return sorted(entries, key=lambda entry: (checks.GROUPS.index(_group(entry)), entry.check.id))


def _group(entry: Entry) -> str:
    return entry.file.removeprefix("test_").removesuffix(".py")


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"hil._catalogue.{path.stem}", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks its own module up there
    spec.loader.exec_module(module)
    return module
