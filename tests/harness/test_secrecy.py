"""Nothing that a run leaves tells a secret: neither its evidence nor any report of it.

A camera with every feature on, that accepts forged tokens, serves its files, raises what it is sent
and prints all it gets, its key too, is checked by all checks, as verbosely as pytest can. The run
itself says what it used (``secret_spy``); all that it has left is searched for that.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import html
import re
import secrets
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
import secret_search
from check_run import CheckRun, run_checks, short_folder
from click.testing import CliRunner
from mutants import MUTANTS
from mutants.mutant import Mutant
from secret_search import Hit, Needles

from hil.cli import main
from hil.virtual.board import VirtualBoard

INDISCREET = Mutant(
    "is indiscreet",
    red="JWT-01 LEAK-02 LEAK-03 LEAK-04 REF-15",
    changes=(
        *(
            change
            for mutant in MUTANTS
            if mutant.name in ("does not look at the signature", "serves its files")
            for change in mutant.changes
        ),
        (
            "app.py",
            '    response.headers["Cache-Control"] = "no-store"',
            '    print("camera:", request.method, request.url, request.headers, request.body,'
            " response.body)\n"
            '    response.headers["Cache-Control"] = "no-store"',
        ),
        (
            "auth/guards.py",
            '        user = tokens.verify(token) if scheme == "bearer" and token else None\n',
            '        if scheme == "bearer" and token and token.count(".") > 2:\n'
            '            raise ValueError("not three parts: " + token)\n'
            '        user = tokens.verify(token) if scheme == "bearer" and token else None\n',
        ),
        (
            "auth/secret.py",
            "    return secret\n\n\ndef _sound",
            '    print("camera: key", secret, secret.hex())\n    return secret\n\n\ndef _sound',
        ),
    ),
    why="prints from the days of debugging",
)

ENTRY = """\
kind: board
model: openmv-n6
port: {port}
provision: true
profile: camera-full
firmware: {firmware}
password: "${{SPY_PASSWORD}}"
api_key: "${{SPY_API_KEY}}"
wifi: {{ssid: bench, key: "${{SPY_WIFI_KEY}}"}}"""

# The bench's own: no two runs share them, and each form of them is another.
GIVEN = {
    "SPY_PASSWORD": f'Tr0ub4dor&3 "Ünï" <b>%20{secrets.token_urlsafe(6)}',
    "SPY_API_KEY": secrets.token_urlsafe(24),
    "SPY_WIFI_KEY": f"w1f1/key+=&%{secrets.token_urlsafe(12)}",
}


def left_by_a_run(folder: Path) -> CheckRun:
    """All checks, with all that may write something down. The spy's account is ``spy.jsonl``."""
    INDISCREET.write(folder / "firmware")
    left = folder / "left"
    left.mkdir()
    with VirtualBoard.start("loft", state=folder / "b", bus=folder / "bus") as board:
        ran = run_checks(
            folder,
            ENTRY.format(port=board.device, firmware=folder / "firmware"),
            *("-vv", "--showlocals", "-rA", "-p", "secret_spy", "--artifacts", str(left)),
            environment={
                **GIVEN,
                "PYTHONPATH": str(Path(__file__).parent),
                "HIL_SPY": str(folder / "spy.jsonl"),
                "HIL_VIRTUAL_BUS": str(folder / "bus"),
                "GITHUB_ACTIONS": "true",
                "GITHUB_STEP_SUMMARY": str(left / "summary.md"),
            },
            timeout=500,
        )
    (left / "output.txt").write_text(ran.output)
    (folder / "junit.xml").rename(left / "junit.xml")
    return ran


def reports(left: Path) -> None:
    """Everything that is made of a run later."""
    for name, *arguments in (
        ("checklist.html", "report", "--format", "html", "-o", "{}"),
        ("checklist.md", "report", "--format", "markdown", "-o", "{}"),
        ("run.sarif", "report", "--format", "sarif", "-o", "{}"),
        ("", "report", "--sign", "Ada", "--decision", "not released"),
        ("requirements.csv", "requirements", "latest", "--format", "csv"),
        ("requirements.md", "requirements", "latest", "--format", "md"),
        ("history.json", "history", "--json"),
        ("history.txt", "history"),
    ):
        told = [argument.format(left / name) for argument in arguments]
        result = CliRunner().invoke(main, [*told, "--artifacts", str(left)])
        assert result.exit_code == 0, (told, result.output)
        with (left / (name or "signed.txt")).open("a") as file:
            file.write(result.output)


def searched(needles: Needles, left: Path) -> list[Hit]:
    return [
        hit
        for path in sorted(left.rglob("*"))
        if path.is_file()
        for hit in needles.search(path.name, path.read_bytes())
    ]


def plant(left: Path, leaks: list[bytes]) -> set[str]:
    """One of the leaks in each file, as such a file would have it; the names of the files."""
    files = [path for path in sorted(left.rglob("*")) if path.name in LEFT]
    for number, path in enumerate(files):
        leak = leaks[number % len(leaks)]
        if path.suffix == ".sqlite":
            with contextlib.closing(sqlite3.connect(path)) as database, database:
                database.execute("CREATE TABLE planted (told)")
                database.execute("INSERT INTO planted VALUES (?)", (leak.decode(),))
        elif path.suffix == ".html":
            # In what the page shows on a click, which it has packed.
            blob = max(re.findall(rb"H4sI[A-Za-z0-9+/]{64,}={0,2}", path.read_bytes()), key=len)
            inside = gzip.decompress(base64.b64decode(blob)) + leak
            packed = base64.b64encode(gzip.compress(inside, mtime=0))
            path.write_bytes(path.read_bytes().replace(blob, packed))
        else:
            with path.open("ab") as file:
                file.write(b"and " + leak + b" at its end")
    return {path.name for path in files}


@pytest.mark.timeout(600)
def test_nothing_that_a_run_leaves_has_a_secret_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the same search finds one that is planted in each of the files."""
    with short_folder() as folder:
        monkeypatch.setenv("HIL_VIRTUAL_BUS", str(folder / "bus"))
        ran = left_by_a_run(folder)
        left = folder / "left"
        reports(left)
        used = secret_search.load(folder / "spy.jsonl")
        used |= {value.encode(): name for name, value in GIVEN.items()}
        sizes = {path.name: path.stat().st_size for path in left.rglob("*") if path.is_file()}
        needles = Needles(used)
        hits = searched(needles, left)
        keys = [value for value, kinds in used.items() if "signing key" in kinds]
        planted = plant(
            left,
            [
                GIVEN["SPY_PASSWORD"].encode(),
                keys[-1].hex().encode(),
                repr(keys[-2]).encode(),
                base64.b64encode(f"owner:{GIVEN['SPY_PASSWORD']}".encode()),
                next(value for value in used if b"." in value).rpartition(b".")[2],
                next(value for value, kind in used.items() if kind == "device_code")[5:29],
                html.escape(GIVEN["SPY_WIFI_KEY"]).encode(),
            ],
        )
        found = {hit.where.partition(",")[0] for hit in searched(needles, left)}

    assert ran.having("failure") >= INDISCREET.expected, ran.output
    assert len(ran.having("passed")) > 200, ran.output
    seen = Counter(kind for kinds in used.values() for kind in kinds.split(", "))
    assert {kind: seen[kind] for kind, least in LEAST.items() if seen[kind] < least} == {}
    assert {
        name: sizes.get(name) for name, least in LEFT.items() if sizes.get(name, 0) < least
    } == {}
    told = Counter((hit.where, hit.kind, hit.form) for hit in hits)
    assert not hits, told
    assert found == planted == LEFT.keys()
    # ROT-10 gives keys of a byte or none: whoever wants them tries all there are.
    assert {used[value] for value in needles.skipped} <= {"signing key", "signing key, printed key"}


LEAST = {
    "password": 3,
    "signing key": 20,
    "printed key": 20,
    "token": 500,
    "refresh_token": 100,
    "device_code": 10,
    "user_code": 10,
    "SPY_API_KEY": 1,
    "SPY_WIFI_KEY": 1,
}
"""What the spy must have seen, else the search says nothing."""

LEFT = {
    "run.jsonl": 100,
    "evidence.jsonl": 1_000_000,
    "console.log": 100_000,
    "tracebacks.txt": 100,
    "output.txt": 20_000,
    "junit.xml": 20_000,
    "summary.md": 100,
    "history.sqlite": 1000,
    "checklist.html": 50_000,
    "checklist.md": 1000,
    "run.sarif": 10_000,
    "signed.txt": 10,
    "requirements.csv": 10_000,
    "requirements.md": 10_000,
    "history.json": 100,
    "history.txt": 100,
}
"""What there must be to search, in bytes."""
