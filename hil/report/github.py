"""A run on GitHub: annotations on its page, and what the team reads in the morning.

Annotations are workflow commands on standard output. GitHub keeps ten errors and ten warnings of a
step, and drops the rest without a word: so the tenth says how many more there are. The step summary
is Markdown, and one that is longer than a mebibyte is refused as a whole.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .digest import first_line
from .events import WORDS
from .runs import Run, TargetRun
from .words import counted, ranges

if TYPE_CHECKING:
    from .events import Fault, VerdictWord
    from .trends import Broken, Trends

PER_STEP = 10
"""Annotations of each kind that GitHub keeps."""

SUMMARY_BYTES = 1 << 20
_ROWS = 200
_Kind = Literal["error", "warning"]


@dataclass(frozen=True)
class Told:
    """Checks of one target that have come to the same.

    :ivar word: ``finding``, ``error`` or ``advisory``
    :ivar whose: ``firmware``, ``board`` or ``bench``
    :ivar cause: what usually causes a finding
    """

    target: str
    word: VerdictWord
    whose: Fault
    checks: tuple[str, ...]
    message: str
    cause: str = ""

    @property
    def title(self) -> str:
        what = f"{self.whose} error" if self.word == "error" else self.word
        return " ".join(filter(None, (ranges(self.checks), self.target, what)))


def told_of(run: Run) -> list[Told]:
    """Findings, errors and advisories, in this order. A board that is gone fails a hundred checks
    with one message, which is one here."""
    found: list[Told] = []
    for target in run.targets.values():
        errors: dict[tuple[Fault, str], list[str]] = {}
        for check, one in target.verdicts.items():
            if one.verdict in ("finding", "advisory"):
                found.append(
                    Told(target.name, one.verdict, "firmware", (check,), one.message, one.cause)
                )
            elif one.verdict == "error":
                errors.setdefault((one.fault or "bench", one.message), []).append(check)
        if target.down and not errors:
            errors[target.down.fault, target.down.message] = []
        found += [
            Told(target.name, "error", whose, tuple(checks), message)
            for (whose, message), checks in errors.items()
        ]
    problems = run.end.problems if run.end else ()
    found += [Told("", "error", "bench", (), problem) for problem in problems]
    return sorted(found, key=lambda one: WORDS.index(one.word))


def workflow_commands(run: Run) -> list[str]:
    """Lines for standard output: findings and errors, and advisories as warnings."""
    told = told_of(run)
    grave = [one for one in told if one.word != "advisory"]
    return [
        *_annotations("error", grave),
        *_annotations("warning", [one for one in told if one.word == "advisory"]),
    ]


def _annotations(kind: _Kind, told: Sequence[Told]) -> Iterable[str]:
    shown = told if len(told) <= PER_STEP else told[: PER_STEP - 1]
    for one in shown:
        yield command(kind, one.title, first_line(one.message))
    if more := told[len(shown) :]:
        others = "; ".join(one.title for one in more)
        yield command(kind, f"{len(more)} more", first_line(others))


def command(kind: _Kind, title: str, message: str) -> str:
    """A workflow command, escaped: values end at a line break, a property's at ``,`` or ``:``."""
    return f"::{kind} title={_escaped(title, ',:')}::{_escaped(message)}"


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text


# -- the step summary ------------------------------------------------------------------------------


def summary(run: Run, trends: Trends | None = None, room: int = SUMMARY_BYTES) -> str:
    """The run in Markdown, the gravest first.

    :param trends: this run with those before it, where there is a history
    :param room: bytes; what does not fit is left out, and that is said
    """
    since = {(one.target, one.check): one for one in (trends.red if trends else ())}
    told = told_of(run)
    parts = [
        _head(run, told),
        _table(
            "Findings",
            ("check", "target", "what was found", "usual cause", "red since"),
            [
                (*_first(one), first_line(one.message), one.cause, _since(since, one))
                for one in told
                if one.word == "finding"
            ],
        ),
        _table(
            "Errors: of these checks nothing is known",
            ("checks", "target", "whose fault", "what happened"),
            [
                (*_first(one), one.whose, first_line(one.message))
                for one in told
                if one.word == "error"
            ],
        ),
        _trends(trends) if trends else "",
        _table(
            "Advisories",
            ("check", "target", "what was found"),
            [(*_first(one), first_line(one.message)) for one in told if one.word == "advisory"],
        ),
        _table(
            "Targets",
            ("target", "verdicts", "what it is"),
            [(one.name, _counts(one), one.up.about if one.up else "") for one in _targets(run)],
        ),
        _skipped(run),
    ]
    return _fitting([part for part in parts if part], room)


def _fitting(parts: list[str], room: int) -> str:
    left_out = "\nMore does not fit here: see the run's artifacts.\n"
    text = ""
    for part in parts:
        if len((text + part + left_out).encode()) > room:
            return text + left_out
        text += f"{part}\n"
    return text


def _head(run: Run, told: Sequence[Told]) -> str:
    counts: dict[str, int] = {}
    for target in _targets(run):
        for word, count in target.counts().items():
            counts[word] = counts.get(word, 0) + count
    if any(one.word == "error" for one in told):
        title = "not all of it is known: errors"
    else:
        title = "findings" if counts.get("finding") else "no finding"
    if run.end is None:
        title = f"the run did not reach its end; {title}"
    begun = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run.begin.at))
    shown = ", ".join(counted(counts[word], word) for word in WORDS if word in counts)
    return f"## hil: {title}\n\n{shown or 'no check has ended'}. Run {run.name}, {begun}.\n"


def _targets(run: Run) -> list[TargetRun]:
    return list(run.targets.values())


def _counts(target: TargetRun) -> str:
    return ", ".join(counted(count, word) for word, count in target.counts().items())


def _first(one: Told) -> tuple[str, str]:
    return ranges(one.checks), one.target


def _since(since: dict[tuple[str, str], Broken], one: Told) -> str:
    found = since.get((one.target, *one.checks)) if len(one.checks) == 1 else None
    if found is None:
        return ""
    if found.runs == 1:
        return "this run"
    day = time.strftime("%Y-%m-%d", time.gmtime(found.first.at))
    return f"{day}, {found.runs} runs"


def _trends(trends: Trends) -> str:
    rows = [
        (f"{one.check} {one.target}", f"flickers: {one.changes} changes in {one.runs} runs")
        for one in trends.flickering
    ]
    rows += [
        (
            one.target,
            f"{one.measure} takes {one.now_s / one.usual_s:.1f} times as long as before "
            f"{time.strftime('%Y-%m-%d', time.gmtime(one.first.at))}",
        )
        for one in trends.slower
    ]
    rows += [
        (f"{ranges(one.checks)} {one.target}", f"not examined for {one.runs} runs: {one.reason}")
        for one in trends.unexamined
    ]
    rows += [
        (one.target, f"another board than before: {one.now}, it was {one.before}")
        for one in trends.swapped
    ]
    return _table("Over the last runs", ("what", "how"), rows)


def _skipped(run: Run) -> str:
    reasons: dict[str, dict[str, set[str]]] = {}
    for target in _targets(run):
        for check, one in target.verdicts.items():
            if one.verdict == "skipped":
                checks = reasons.setdefault(first_line(one.message), {})
                checks.setdefault(check, set()).add(target.name)
    rows = [(ranges(checks), reason) for reason, checks in sorted(reasons.items())]
    return _table("Not checked, and why", ("checks", "why"), rows)


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [f"### {title}", "", f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(_plain(cell) for cell in row)} |" for row in rows[:_ROWS]]
    if len(rows) > _ROWS:
        lines += ["", f"and {len(rows) - _ROWS} more: see the run's artifacts"]
    return "\n".join([*lines, ""])


_AS_ENTITY = {ord(one): f"&#{ord(one)};" for one in "&<>\\`*_[]|~#!"}


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, in one cell: what a board says may be anything."""
    return " ".join(text.translate(_AS_ENTITY).split())
