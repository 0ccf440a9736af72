"""The end of a run on the terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.report.words import ranges
from hil.summary import write_summary


@dataclass
class Terminal:
    """As much of pytest's as the summary needs."""

    reports: list[Any]
    arguments: tuple[str, ...] = ()
    addopts: tuple[str, ...] = ()
    reportchars: str = "fE"
    lines: list[str] = field(default_factory=list)

    @property
    def stats(self) -> dict[str, list[Any]]:
        return {"any": self.reports}

    @property
    def config(self) -> Any:
        return SimpleNamespace(
            invocation_params=SimpleNamespace(args=self.arguments), getini=lambda _: self.addopts
        )

    def section(self, title: str, sep: str) -> None:
        self.lines.append(f"= {title} =")

    def write_line(self, line: str, **markup: bool) -> None:
        self.lines += line.splitlines()


@dataclass
class Bench:
    names: list[str]
    recovered: dict[str, str] = field(default_factory=dict)
    waited: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    recorder: Any = None

    def remarks(self, name: str) -> list[str]:
        return [] if name == "gone" else [f"the board {name}"]


def report(
    check: str,
    target: str,
    verdict: str,
    message: str = "",
    *,
    fault: str | None = None,
    when: str = "call",
    **properties: str,
) -> Any:
    title = check.lower().replace("-", "_")
    return SimpleNamespace(
        hil_check=check,
        hil_target=target,
        hil_verdict=verdict,
        hil_fault=fault or {"finding": "firmware", "advisory": "firmware"}.get(verdict),
        hil_message=message,
        nodeid=f"test_some.py::test_{title}_holds[{target}]",
        when=when,
        failed=verdict in ("finding", "error"),
        user_properties=[("check", check), ("severity", "must"), *properties.items()],
    )


def told(bench: Bench, *reports: Any) -> list[str]:
    terminal: Any = Terminal(list(reports))
    write_summary(terminal, bench)  # type: ignore[arg-type]
    return list(terminal.lines)


def test_what_is_whose_fault() -> None:
    bench = Bench(["porch", "yard"])
    bench.recovered["yard"] = "it is silent; power has brought it back: Ctrl-C 1.0 s: the same"
    bench.waited["porch"] = "held for 12 s by alice"
    bench.problems.append("not put back: yard: it is silent")
    bench.recorder = SimpleNamespace(folder=Path("/bench/artifacts/r1"), run="r1")
    assert told(
        bench,
        report("LOG-06", "yard", "finding", "promised: 401\n  got: 200"),
        report("LOG-06", "porch", "finding", "promised: 401\n  got: 200"),
        report("LOG-07", "yard", "error", "yard: it is silent\n  -> look", fault="board"),
        report("LOG-08", "yard", "error", "no such file", fault="bench"),
        report("LOG-09", "yard", "advisory", "slow\n  very"),
        report("LOG-10", "yard", "known", "the framework's", fault="firmware"),
        report("LOG-11", "porch", "passed", timing="0.3 ms"),
        report("LOG-12", "porch", "skipped", "needs a clock"),
        report("LOG-13", "porch", "skipped", "needs a clock"),
    ) == [
        "= hardware in the loop =",
        "porch: 1 check passed, 1 finding, 2 skipped",
        "  the board porch",
        "yard: 1 finding, 2 errors, 1 advisory, 1 known deviation",
        "  the board yard",
        "firmware: findings",
        "  LOG-06 porch, yard: log 06 holds",
        "firmware: advisories (a 'should'; with --strict they fail)",
        "  LOG-09 yard: slow",
        "firmware: known deviations, declared by the profile",
        "  LOG-10 yard: the framework's",
        "board: errors, and what has brought it back",
        "  LOG-07 yard: it is silent",
        "  yard: power has brought it back: Ctrl-C 1.0 s: the same",
        "bench: errors, waits and problems",
        "  LOG-08 yard: no such file",
        "  porch: held for 12 s by alice",
        "  hil: not put back: yard: it is silent",
        "remarks",
        "  LOG-11 porch: timing: 0.3 ms",
        "not checked, and why",
        "  LOG-12, LOG-13: needs a clock",
        "evidence: /bench/artifacts/r1; 'hil report /bench/artifacts/r1' makes a checklist of it",
    ]


def test_one_cause_is_told_once() -> None:
    """A board that is gone at the start has one error, and two hundred skips."""
    cause = "no board with the USB serial number 1"
    out = [
        report(f"LOG-{n}", "gone", "skipped", f"gone is out of the run: {cause}", when="setup")
        for n in range(10, 99)
    ]
    lines = told(
        Bench(["gone"]),
        report("LOG-01", "gone", "error", f"gone: {cause}", fault="bench", when="setup"),
        *out,
    )
    assert lines[1:] == [
        "gone: 1 error, 89 skipped",
        "bench: errors, waits and problems",
        f"  LOG-01 gone: {cause}",
        "  gone is out of the run, 89 checks not examined",
        "not checked, and why",
        "  LOG-10 to LOG-98: gone is out of the run",
    ]


@pytest.mark.parametrize("number", [1, 5, 40])
def test_each_finding_is_a_line_on_however_many_boards(number: int) -> None:
    names = [f"board{n}" for n in range(8)]
    findings = [
        report(f"LOG-{n:02}", name, "finding", "x" * 900) for n in range(number) for name in names
    ]
    lines = told(Bench(names), *findings)
    assert len(lines) == 1 + 2 * 8 + 1 + number
    assert lines[18] == "  LOG-00 board0, board1, board2 and 5 more: log 00 holds"


def test_the_gravest_of_its_phases_is_what_a_check_has_come_to() -> None:
    lines = told(
        Bench(["porch"]),
        report("LOG-01", "porch", "passed", when="setup"),
        report("LOG-01", "porch", "passed"),
        report("LOG-01", "porch", "error", "not restored", fault="board", when="teardown"),
        report("LOG-02", "porch", "passed", when="setup"),  # and then came Ctrl-C
    )
    assert lines[1] == "porch: 1 error"


@pytest.mark.parametrize(
    ("arguments", "addopts", "chars"),
    [((), (), ""), (("-rf",), (), "fE"), ((), ("-ra",), "fE"), (("-x", "-k", "r"), (), "")],
)
def test_pytests_short_summary_is_for_those_who_ask(
    arguments: tuple[str, ...], addopts: tuple[str, ...], chars: str
) -> None:
    terminal: Any = Terminal([report("LOG-01", "porch", "finding")], arguments, addopts)
    write_summary(terminal, Bench(["porch"]))  # type: ignore[arg-type]
    assert terminal.reportchars == chars


def test_and_for_what_is_no_check() -> None:
    terminal: Any = Terminal([report("LOG-01", "porch", "finding"), SimpleNamespace(failed=True)])
    write_summary(terminal, Bench(["porch"]))  # type: ignore[arg-type]
    assert terminal.reportchars == "fE"


def test_checks_in_a_row_are_told_as_one() -> None:
    """A target that is out of the run has skipped two hundred."""
    assert ranges(["LOG-03", "LOG-01", "LOG-02", "ROT-20", "ROT-19"]) == (
        "LOG-01 to LOG-03, ROT-19, ROT-20"
    )
    assert ranges(["LOG-09", "LOG-10", "LOG-11"]) == "LOG-09 to LOG-11"
    assert ranges(["PORCH-A", "PORCH-B"]) == "PORCH-A, PORCH-B"


@given(st.sets(st.integers(1, 40)), st.sets(st.integers(1, 40)))
def test_none_is_lost_and_none_added(log: set[int], rot: set[int]) -> None:
    given_ids = {f"LOG-{n:02}" for n in log} | {f"ROT-{n:02}" for n in rot}
    told = set()
    for part in filter(None, ranges(given_ids).split(", ")):
        first, _, last = part.partition(" to ")
        group = first[:4]
        told |= {f"{group}{n:02}" for n in range(int(first[4:]), int((last or first)[4:]) + 1)}
    assert told == given_ids
