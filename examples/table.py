"""The table of docs/reference/systems.md: what the checks say of each server here, by group.

    python examples/table.py [FOLDER | JUNIT.xml ...] [--fast]

runs `hil run` in each folder, one after another, and prints Markdown; of a JUnit file that there
is, it takes the verdicts. Without any: all folders but `foreign`, whose server has to be installed
first. `--fast` leaves out the checks that measure times.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent
GROUPS = (
    *("LOG", "BRR", "JWT", "EXP", "ROT", "BAS", "REF", "REV", "KEY", "ROL", "DEV", "TRN", "LEAK"),
)
TIMED = "not takes_as_long"
VERDICTS = ("skipped", "passed", "known", "advisory", "finding", "error")
"""From harmless to grave: of a check with several tests, the gravest counts."""

Verdicts = dict[str, dict[str, str]]
"""By target and check id."""


def run(folder: Path, *, fast: bool) -> Verdicts:
    """What became of each check on each target of the folder's devices.yaml."""
    with tempfile.TemporaryDirectory() as scratch:
        junit = Path(scratch) / "junit.xml"
        command = [sys.executable, "-m", "hil", "run", "-q", f"--junitxml={junit}"]
        ran = subprocess.run(
            [*command, *(["-k", TIMED] if fast else [])],
            cwd=folder,
            check=False,
            stdout=sys.stderr,
        )
        if not junit.exists():
            sys.exit(f"{folder}: hil run ended with {ran.returncode} and no result")
        return read(junit)


def read(junit: Path) -> Verdicts:
    """A JUnit file's verdicts."""
    found: Verdicts = {}
    for case in ElementTree.parse(junit).iter("testcase"):
        told = {p.get("name"): p.get("value", "") for p in case.iter("property")}
        if "check" in told:
            of, check = found.setdefault(told["target"], {}), told["check"]
            of[check] = max(of.get(check, "skipped"), told["verdict"], key=VERDICTS.index)
    return found


def cell(counts: Counter[str]) -> str:
    """`36/2+1/4`: passed, findings + advisories, skipped; `-` where all is skipped."""
    if set(counts) <= {"skipped"}:
        return "-"
    advisories = f"+{counts['advisory']}" if counts["advisory"] else ""
    findings = f"{counts['finding']}{advisories}"
    told = f"{counts['passed'] + counts['known']}/{findings}/{counts['skipped']}"
    return f"{told}, {counts['error']} errors" if counts["error"] else told


def row(target: str, verdicts: dict[str, str]) -> str:
    """A target's line, in Markdown."""
    groups = {group: Counter[str]() for group in GROUPS}
    for check, found in verdicts.items():
        groups[check.partition("-")[0]][found] += 1
    total = sum(groups.values(), Counter[str]())
    return f"| {' | '.join([target, cell(total), *map(cell, groups.values())])} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sources", nargs="*", type=Path, metavar="FOLDER or JUNIT.xml")
    parser.add_argument("--fast", action="store_true")
    given = parser.parse_args()
    listed = sorted(path.parent for path in HERE.glob("*/devices.yaml"))
    sources = given.sources or [folder for folder in listed if folder.name != "foreign"]
    print(f"| system | all | {' | '.join(GROUPS)} |")
    print(f"|---|---{'|---' * len(GROUPS)}|")
    for source in sources:
        found = run(source, fast=given.fast) if source.is_dir() else read(source)
        for target, verdicts in found.items():
            print(row(target, verdicts), flush=True)


if __name__ == "__main__":
    main()
