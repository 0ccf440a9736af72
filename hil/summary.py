"""The end of a run on the terminal: how each target fares, and then whose fault what is.

pytest's own sections above tell each finding and error in full; here each is one line.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .report.events import WORDS, Fault, VerdictWord
from .report.junit import MARKS
from .report.words import ranges

if TYPE_CHECKING:
    import pytest
    from _pytest.terminal import TerminalReporter

    from .bench import Bench

OF_THE_CHECK = ("check", "severity", *MARKS)
"""Properties that every check has in a JUnit file; all others are remarks on this run of it."""

_Line = tuple[str, dict[str, bool]]
_BREAKING: tuple[VerdictWord, ...] = ("error", "finding")
_OUT = "is out of the run: "
_LONGEST = 200
_COUNTED: dict[VerdictWord, tuple[str, str]] = {
    "passed": ("check passed", "checks passed"),
    "finding": ("finding", "findings"),
    "error": ("error", "errors"),
    "advisory": ("advisory", "advisories"),
    "known": ("known deviation", "known deviations"),
    "skipped": ("skipped", "skipped"),
}


@dataclass
class Told:
    """What has become of one check on one target: the gravest of its phases.

    :ivar title: the check as a sentence
    :ivar examined: False: Ctrl-C came after its fixtures were made, and before it was done
    """

    check: str
    target: str
    title: str
    verdict: VerdictWord = "passed"
    fault: Fault | None = None
    message: str = ""
    remarks: dict[str, None] = field(default_factory=dict)
    examined: bool = False

    def add(self, report: Any) -> None:
        """One phase more."""
        self.examined |= report.when != "setup" or report.hil_verdict != "passed"
        if WORDS.index(report.hil_verdict) < WORDS.index(self.verdict):
            self.verdict, self.fault = report.hil_verdict, report.hil_fault
            self.message = report.hil_message
        self.remarks |= {
            f"{name}: {value}": None
            for name, value in report.user_properties
            if name not in OF_THE_CHECK
        }

    @property
    def cause_of_loss(self) -> str:
        """Why its target was out of the run by then; empty: it was not."""
        name, out, cause = self.message.partition(_OUT)
        lost = self.verdict == "skipped" and out and name.strip() == self.target
        return cause if lost else ""

    @property
    def gist(self) -> str:
        """The first line of the message."""
        return self.message.strip().partition("\n")[0].removeprefix(f"{self.target}: ")

    @property
    def first_line(self) -> str:
        """The same, shortened."""
        text = self.gist
        return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def told(reports: Iterable[Any]) -> list[Told]:
    """Of the reports of a run, in order."""
    found: dict[tuple[str, str], Told] = {}
    for report in reports:
        if check := getattr(report, "hil_check", None):
            name = report.nodeid.rpartition("::")[2].partition("[")[0]
            title = name.removeprefix("test_").replace("_", " ")
            one = Told(check, report.hil_target, title)
            found.setdefault((check, report.hil_target), one).add(report)
    return [one for one in found.values() if one.examined]


class Summary:
    """:param width: of the terminal"""

    def __init__(self, terminal: TerminalReporter, bench: Bench, checks: Sequence[Told]) -> None:
        self._terminal = terminal
        self._bench = bench
        self._checks = checks

    def write(self) -> None:
        self._targets()
        self._firmware()
        self._board()
        self._bench_itself()
        self._remarks()
        self._not_checked()
        self._next()

    def _line(self, text: str, **markup: bool) -> None:
        self._terminal.write_line(text, **markup)

    def _group(self, title: str, lines: Sequence[_Line]) -> None:
        if lines:
            self._line(title, bold=True)
            for text, markup in lines:
                self._line(f"  {text}", **markup)

    def _targets(self) -> None:
        """Also one that came up, and was interrupted before any of its checks had ended."""
        by_target: dict[str, Counter[VerdictWord]] = defaultdict(Counter)
        for one in self._checks:
            by_target[one.target][one.verdict] += 1
        remarks = {name: self._bench.remarks(name) for name in self._bench.names}
        names = [name for name in remarks if name in by_target or remarks[name]]
        if names:
            self._terminal.section("hardware in the loop", sep="=")
        for name in names:
            counted = ", ".join(
                f"{by_target[name][word]} {one if by_target[name][word] == 1 else many}"
                for word, (one, many) in _COUNTED.items()
                if by_target[name][word]
            )
            self._line(f"{name}: {counted or 'no check has ended'}", bold=True)
            for i, remark in enumerate(remarks[name]):
                self._line(f"  note: {remark}" if i else f"  {remark}", yellow=i > 0)

    # -- whose fault -------------------------------------------------------------------------------

    def _firmware(self) -> None:
        """A check that fails on several boards is one line."""
        findings: dict[str, list[Told]] = defaultdict(list)
        for one in self._having("finding"):
            findings[one.check].append(one)
        self._group(
            "firmware: findings",
            [
                (f"{check} {_names(one.target for one in each)}: {each[0].title}", {"red": True})
                for check, each in sorted(findings.items())
            ],
        )
        self._group(
            "firmware: advisories (a 'should'; with --strict they fail)",
            [
                (f"{one.check} {one.target}: {one.first_line}", {"yellow": True})
                for one in self._having("advisory")
            ],
        )
        self._group(
            "firmware: known deviations, declared by the profile",
            [(f"{one.check} {one.target}: {one.first_line}", {}) for one in self._having("known")],
        )
        self._group("firmware: what it has stopped", self._out("firmware"))

    def _board(self) -> None:
        brought_back: list[_Line] = [
            (f"{name}: {self._news(name, how)}", {"yellow": True})
            for name, how in self._bench.recovered.items()
        ]
        self._group(
            "board: errors, and what has brought it back",
            [*self._errors("board"), *brought_back, *self._out("board")],
        )

    def _bench_itself(self) -> None:
        waits: list[_Line] = [(f"{name}: {who}", {}) for name, who in self._bench.waited.items()]
        problems: list[_Line] = [
            (f"hil: {problem}", {"red": True, "bold": True}) for problem in self._bench.problems
        ]
        self._group(
            "bench: errors, waits and problems",
            [*self._errors("bench"), *self._out("bench"), *waits, *problems],
        )

    def _errors(self, fault: Fault) -> list[_Line]:
        return [
            (f"{one.check} {one.target}: {one.first_line}", {"red": True})
            for one in self._having("error")
            if one.fault == fault
        ]

    def _out(self, fault: Fault) -> list[_Line]:
        """The targets that were lost, with the cause where no error tells it already."""
        lines: list[_Line] = []
        for name in self._bench.names:
            out = [one for one in self._checks if one.target == name and one.cause_of_loss]
            broken = [
                one for one in self._checks if one.target == name and one.verdict in _BREAKING
            ]
            if not out or (broken[-1].fault if broken else "bench") != fault:
                continue
            cause = self._news(name, out[0].cause_of_loss)
            checks = "1 check" if len(out) == 1 else f"{len(out)} checks"
            told = f"{name} is out of the run, {checks} not examined"
            lines.append((f"{told}: {cause}" if cause else told, {"red": True}))
        return lines

    def _news(self, target: str, story: str) -> str:
        """A story without its beginning, where that is an error which stands above."""
        for one in self._checks:
            if one.target == target and one.verdict in _BREAKING and one.gist:
                story = story.removeprefix(one.gist).removeprefix("; ")
        return story

    def _having(self, word: VerdictWord) -> list[Told]:
        names = self._bench.names
        return sorted(
            (one for one in self._checks if one.verdict == word),
            key=lambda one: (one.check, names.index(one.target)),
        )

    # -- nobody's ----------------------------------------------------------------------------------

    def _remarks(self) -> None:
        lines = {
            f"{one.check} {one.target}: {text}" for one in self._checks for text in one.remarks
        }
        self._group("remarks", [(line, {}) for line in sorted(lines)])

    def _not_checked(self) -> None:
        """By reason. What has taken a target out of the run is told above."""
        reasons: dict[str, set[str]] = defaultdict(set)
        for one in self._having("skipped"):
            out = f"{one.target} {_OUT}".removesuffix(": ") if one.cause_of_loss else ""
            reasons[out or one.message].add(one.check)
        self._group(
            "not checked, and why",
            [(f"{ranges(checks)}: {reason}", {}) for reason, checks in sorted(reasons.items())],
        )

    def _next(self) -> None:
        recorder = self._bench.recorder
        if not recorder:
            return
        folder = recorder.folder
        if folder.is_relative_to(Path.cwd()):
            folder = folder.relative_to(Path.cwd())
        # 'hil report' looks for a run's name in ./artifacts.
        here = recorder.folder.parent == Path.cwd() / "artifacts"
        named = recorder.run if here else folder
        self._line(f"evidence: {folder}; 'hil report {named}' makes a checklist of it")


def write_summary(terminal: TerminalReporter, bench: Bench) -> None:
    """Counts per target, then by fault, then what was not examined."""
    reports = [report for reports in terminal.stats.values() for report in reports]
    Summary(terminal, bench, told(reports)).write()
    if not _asks_for_lines(terminal.config) and all(map(_is_told, reports)):
        terminal.reportchars = ""


def _asks_for_lines(config: pytest.Config) -> bool:
    """Whether somebody wants pytest's short test summary: its own default would tell again, by the
    names of functions, what is told here."""
    given = [*config.invocation_params.args, *config.getini("addopts")]
    return any(str(one).startswith("-r") for one in given)


def _is_told(report: Any) -> bool:
    return hasattr(report, "hil_check") or not getattr(report, "failed", False)


def _names(targets: Iterable[str]) -> str:
    """``porch, yard and 3 more``."""
    first, rest = (all_ := list(targets))[:3], all_[3:]
    return ", ".join(first) + (f" and {len(rest)} more" if rest else "")
