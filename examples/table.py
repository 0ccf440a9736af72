"""The table of systems in the README: what the checks say of each server here, by group.

    python examples/table.py [FOLDER ...] [--fast]

runs `hil run` in each folder, one after another, and prints Markdown: checks passed / findings /
advisories / skipped. `--fast` leaves out the checks that measure times.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
GROUPS = (
    "LOG",
    "BRR",
    "JWT",
    "EXP",
    "ROT",
    "BAS",
    "REF",
    "REV",
    "KEY",
    "ROL",
    "DEV",
    "TRN",
    "LEAK",
)
TIMED = "not takes_as_long"

Counts = dict[str, dict[str, Counter[str]]]
"""By target and group."""


def run(folder: Path, *, fast: bool) -> Counts:
    """What became of each check on each target of the folder's devices.yaml."""
    with tempfile.TemporaryDirectory() as scratch:
        junit = Path(scratch) / "junit.xml"
        command = [sys.executable, "-m", "hil", "run", "-q", f"--junitxml={junit}"]
        ran = subprocess.run([*command, *(["-k", TIMED] if fast else [])], cwd=folder, check=False)
        if not junit.exists():
            sys.exit(f"{folder}: hil run ended with {ran.returncode} and no result")
        return counted(ElementTree.parse(junit))


def counted(results: ElementTree.ElementTree) -> Counts:
    """A JUnit file's verdicts."""
    counts: Counts = defaultdict(lambda: defaultdict(Counter))
    for case in results.iter("testcase"):
        check = next(
            (p.get("value", "") for p in case.iter("property") if p.get("name") == "check"), ""
        )
        target = re.search(r"\[(.+)\]$", case.get("name", ""))
        if check and target:
            counts[target[1]][check.partition("-")[0]][verdict(case)] += 1
    return counts


def verdict(case: ElementTree.Element) -> str:
    """passed, finding, advisory, skipped or error."""
    if case.find("error") is not None:
        return "error"
    if case.find("failure") is not None:
        return "finding"
    skipped = case.find("skipped")
    if skipped is None:
        return "passed"
    return "advisory" if (skipped.get("message") or "").startswith("advisory") else "skipped"


def cell(counts: Counter[str]) -> str:
    """`36 / 2 / 0 / 2`; a group of which all is skipped says so."""
    if set(counts) <= {"skipped"}:
        return "-"
    told = " / ".join(str(counts[one]) for one in ("passed", "finding", "advisory", "skipped"))
    return f"{told} / {counts['error']} errors" if counts["error"] else told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--fast", action="store_true")
    given = parser.parse_args()
    folders = given.folders or sorted(path.parent for path in HERE.glob("*/devices.yaml"))
    print(f"| system | {' | '.join(GROUPS)} |")
    print(f"|---{'|---' * len(GROUPS)}|")
    for folder in folders:
        for target, groups in run(folder, fast=given.fast).items():
            print(
                f"| {target} | {' | '.join(cell(groups[group]) for group in GROUPS)} |", flush=True
            )


if __name__ == "__main__":
    main()
