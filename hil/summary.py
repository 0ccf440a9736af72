"""The end of a run on the terminal: per target what passed, and what was not checked and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from .report.junit import MARKS

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from .bench import Bench

OF_THE_CHECK = ("check", "severity", *MARKS)
"""Properties that every check has in a JUnit file; all others are remarks on this run of it."""


def write_summary(terminal: TerminalReporter, bench: Bench) -> None:
    """Counts per target, advisories, remarks, skips grouped by their reason, notes on the bench."""
    for problem in bench.problems:
        terminal.write_line(f"hil: {problem}", red=True, bold=True)
    verdicts: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    reasons: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    advisories: list[tuple[str, str, str]] = []
    known: list[tuple[str, str, str]] = []
    remarks: list[tuple[str, str, str]] = []
    for category, reports in terminal.stats.items():
        for report in reports:
            check, target = getattr(report, "hil_check", None), getattr(report, "hil_target", "")
            if check is None or (category == "passed" and report.when != "call"):
                continue
            verdicts[target][category].add(check)
            remarks += [
                (check, target, f"{name}: {value}")
                for name, value in report.user_properties
                if name not in OF_THE_CHECK
            ]
            if category == "skipped":
                reasons[_reason(report)][check].add(target)
            elif category == "advisory":
                advisories.append((check, target, report.hil_message))
            elif category == "known":
                known.append((check, target, report.hil_message))
    if not verdicts:
        return
    terminal.section("hardware in the loop", sep="=")
    for target in sorted(verdicts, key=bench.names.index):
        counts = verdicts[target]
        told = ", ".join(
            f"{len(counts[category])} {one if len(counts[category]) == 1 else many}"
            for category, one, many in (
                ("passed", "check passed", "checks passed"),
                ("failed", "finding", "findings"),
                ("error", "error", "errors"),
                ("advisory", "advisory", "advisories"),
                ("known", "known deviation", "known deviations"),
                ("skipped", "skipped", "skipped"),
            )
            if counts[category]
        )
        terminal.write_line(f"{target}: {told}", bold=True)
        for i, remark in enumerate(bench.remarks(target)):
            terminal.write_line(f"  note: {remark}" if i else f"  {remark}", yellow=i > 0)
    if advisories:
        terminal.write_line("advisories (a 'should'; with --strict they fail):", bold=True)
        for check, target, message in sorted(advisories):
            first_line = message.strip().partition("\n")[0]
            terminal.write_line(f"  {check} {target}: {first_line}", yellow=True)
    if known:
        terminal.write_line("known deviations, declared by the profile:", bold=True)
        for check, target, reason in sorted(known):
            terminal.write_line(f"  {check} {target}: {reason}")
    if remarks:
        terminal.write_line("remarks:", bold=True)
        for check, target, remark in sorted(set(remarks)):
            terminal.write_line(f"  {check} {target}: {remark}")
    if reasons:
        terminal.write_line("not checked, and why:", bold=True)
        for reason, checks in sorted(reasons.items()):
            terminal.write_line(f"  {ranges(checks)}: {reason}")


def ranges(checks: Iterable[str]) -> str:
    """Check ids in order, three and more in a row as one: ``BAS-01 to BAS-19, LOG-02``.

    >>> ranges(["LOG-03", "LOG-02", "LOG-01", "ROT-19", "ROT-20"])
    'LOG-01 to LOG-03, ROT-19, ROT-20'
    """
    rows: list[list[str]] = []
    for check in sorted(checks):
        group, _, number = check.rpartition("-")
        last_group, _, last = rows[-1][-1].rpartition("-") if rows else ("", "", "")
        numbers = number.isdigit() and last.isdigit()
        if group == last_group and numbers and int(number) == int(last) + 1:
            rows[-1].append(check)
        else:
            rows.append([check])
    return ", ".join(
        f"{row[0]} to {row[-1]}" if len(row) > 2 else ", ".join(row)  # two are as short
        for row in rows
    )


def _reason(report: Any) -> str:
    longrepr = report.longrepr
    text = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)
    return text.removeprefix("Skipped: ")
