"""The checklist of a release: what a reader sees of a run, before it is a page.

Findings first, then what could not be checked for a fault of board or bench, what deviates, what
was not checked and why, the requirements, and every check on every target. All text in it is free
of control characters; nothing in it is markup.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from . import matrix
from .events import Fault, Verdict, VerdictWord
from .matrix import Cell, Row, group_place
from .requirements import Assessed, assess
from .runs import CONSOLE_FILE, Run, TargetRun
from .steps import Course, courses
from .words import check_order, count, duration, utc, visible

Result = Literal["unfinished", "findings", "incomplete", "nothing", "no finding"]


@dataclass(frozen=True)
class Headline:
    """What a reader must know before all else.

    :ivar result: ``unfinished``: the run did not come to its end. ``incomplete``: no finding, but
        something could not be checked for a fault of board or bench. ``nothing``: no verdict at all
    :ivar sentence: the result
    :ivar details: what else is to be known, one sentence each, the gravest first
    """

    result: Result
    sentence: str
    details: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """One target.

    :ivar identity: what it is and runs, by name
    :ivar hashes: SHA-256 by what it is of
    :ivar state: how far the run came with it
    :ivar sound: it was checked to its end and put back
    :ivar counts: of its checks, the gravest first
    :ivar console: the file with what it has printed, in the run's folder
    """

    name: str
    identity: dict[str, str]
    hashes: dict[str, str]
    state: str
    sound: bool
    counts: dict[Cell, int]
    notes: tuple[str, ...]
    absent: dict[str, str]
    tracebacks: str = field(repr=False)
    console: str


@dataclass(frozen=True)
class Occurrence:
    """One message of a check, and the targets that it is of.

    :ivar clocks: the board's clock by target, in words, where it was told
    :ivar shown: the target whose steps are told
    """

    message: str
    fault: Fault | None
    targets: tuple[str, ...]
    clocks: dict[str, str]
    shown: str
    course: Course


@dataclass(frozen=True)
class Issue:
    """A check with the same verdict on one target or several."""

    check: str
    title: str
    severity: str
    source: str
    promise: str
    cause: str
    occurrences: tuple[Occurrence, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(name for one in self.occurrences for name in one.targets)


@dataclass(frozen=True)
class Gap:
    """Checks without a verdict for one reason.

    :ivar fault: whose it is; None: nobody's
    :ivar out_of_scope: the profile does not promise it, so nothing is missing
    """

    reason: str
    checks: tuple[str, ...]
    targets: tuple[str, ...]
    fault: Fault | None = None
    out_of_scope: bool = False


@dataclass(frozen=True)
class Checklist:
    """:ivar facts: of the run, by name
    :ivar all_targets: their names, in order
    :ivar courses: by target, by check: what was done
    """

    name: str
    headline: Headline
    facts: dict[str, str]
    all_targets: tuple[str, ...]
    sheets: tuple[Sheet, ...]
    findings: tuple[Issue, ...]
    errors: tuple[Gap, ...]
    advisories: tuple[Issue, ...]
    known: tuple[Issue, ...]
    gaps: tuple[Gap, ...]
    rows: tuple[Row, ...]
    requirements: tuple[Assessed, ...]
    courses: dict[str, dict[str, Course]] = field(repr=False)

    def counts(self) -> dict[Cell, int]:
        """Over all targets, the gravest first."""
        return matrix.counts(cell for row in self.rows for cell in row.cells)


def checklist(run: Run, standards: Collection[str] | None = None) -> Checklist:
    """What is to be seen of a run.

    :param standards: which ones are shown; None or none: all
    :raises ConfigError: there is no such standard
    """
    targets = list(run.targets.values())
    done = {target.name: courses(target) for target in targets}
    rows = matrix.rows(targets)
    return Checklist(
        name=visible(run.name),
        headline=_headline(run, rows),
        facts=_facts(run),
        all_targets=tuple(run.targets),
        sheets=tuple(
            _sheet(run, target, matrix.counts(row.cells[place] for row in rows))
            for place, target in enumerate(targets)
        ),
        findings=_issues(targets, "finding", done),
        errors=_errors(targets),
        advisories=_issues(targets, "advisory", done),
        known=_issues(targets, "known", done),
        gaps=_gaps(run, rows),
        rows=rows,
        requirements=tuple(assess(run, standards)),
        courses=done,
    )


def _headline(run: Run, rows: Sequence[Row]) -> Headline:
    targets = run.targets.values()
    counts = matrix.counts(cell for row in rows for cell in row.cells)
    failing = [row.check for row in rows if "finding" in row.cells]
    on = [place for place in range(len(targets)) if any(r.cells[place] == "finding" for r in rows)]
    down = [target.name for target in targets if target.down]
    left = [one.name for one in targets if one.put_back and one.put_back.problem]
    everywhere = count(len(targets), "target")
    passed = f"{count(counts.get('passed', 0), 'check')} passed"
    findings = counts.get("finding", 0)
    found = f"{count(findings, 'finding')}: {count(len(failing), 'check')} broken on "
    found += everywhere if len(on) == len(targets) else f"{len(on)} of {everywhere}"
    details = []
    result: Result
    if run.end is None:
        result, sentence = "unfinished", "Not finished: the run was killed, or is still going on"
        details.append(f"Until then: {count(findings, 'finding')}, {passed}.")
    elif findings:
        result, sentence = "findings", found
    elif not any(target.verdicts for target in targets):
        result, sentence = "nothing", f"Nothing was checked on {everywhere}"
    elif counts.get("error") or down or left:
        result = "incomplete"
        sentence = f"Incomplete: no finding, but not all could be checked on {everywhere}"
    else:
        result, sentence = "no finding", f"No finding: {passed} on {everywhere}"
    if down:
        details.append(f"Did not come up, so nothing is known of it: {', '.join(down)}.")
    if counts.get("error"):
        told = count(counts["error"], "check")
        details.append(f"{told} ended in an error of board or bench: no evidence of anything.")
    if left:
        details.append(f"Could not be put back as it was found: {', '.join(left)}.")
    if run.end:
        details += run.end.problems
    if counts.get("skipped"):
        told = count(counts["skipped"], "check")
        details.append(f"{told} skipped for want of something: no evidence of anything.")
    return Headline(result, visible(sentence), tuple(map(visible, details)))


def _facts(run: Run) -> dict[str, str]:
    begin = run.begin
    facts = {
        "Run": begin.run,
        "Began": utc(begin.at),
        "Took": duration(run.end.took_s) if run.end else "not finished",
        "Bench": begin.host or "not known",
        "Inventory": begin.inventory,
        "Revision": begin.revision or "",
        "CI": begin.url or "",
        "hil": begin.hil,
        "Python": begin.python,
        "Arguments": " ".join(begin.arguments),
    }
    return {name: visible(value) for name, value in facts.items() if value}


def _sheet(run: Run, target: TargetRun, counts: dict[Cell, int]) -> Sheet:
    begin, up = target.begin, target.up
    board = begin is not None and begin.kind in ("board", "virtual")
    identity = {
        "Kind": begin.kind if begin else "",
        "Model": (begin.model if begin else None) or "",
        "Profile": begin.profile if begin else "",
        "Firmware": (up.firmware if up else None) or ("not known" if up and board else ""),
        "Unique id": (up.unique_id if up else None) or "",
        "Address": up.base_url if up else "",
        "Epoch": str(up.epoch) if up and up.epoch else "",
    }
    hashes = {}
    if up:
        hashes = {f"firmware: {name}": value for name, value in up.firmware_sha256.items()}
        if not hashes and board:
            hashes = {"firmware": "not known: this bench has not flashed it"}
        if not up.application_sha256 and board:
            hashes["application"] = "not known: this bench did not deploy it"
        elif up.application_sha256:
            hashes["application"] = up.application_sha256
        hashes["profile"] = up.profile_sha256 or "not known"
    state, sound = _state(run, target)
    return Sheet(
        name=visible(target.name),
        identity={name: visible(value) for name, value in identity.items() if value},
        hashes={visible(name): visible(value) for name, value in hashes.items()},
        state=visible(state),
        sound=sound,
        counts=counts,
        notes=tuple(visible(note) for note in target.notes),
        absent={visible(k): visible(v) for k, v in (up.absent if up else {}).items()},
        tracebacks=visible(target.tracebacks),
        console=visible(f"{target.name}/{CONSOLE_FILE}") if target.console else "",
    )


def _state(run: Run, target: TargetRun) -> tuple[str, bool]:
    if target.down:
        return f"did not come up ({target.down.fault}): {target.down.message}", False
    if target.begin is None:
        return "nothing was written of it", False
    if target.up is None:
        return "the run ended before it was up", False
    if target.put_back is None:
        told = "the run ended before its last check" if run.end is None else "was not put back"
        return told, False
    if target.put_back.problem:
        return f"could not be put back: {target.put_back.problem}", False
    return "checked and put back", True


def _issues(
    targets: Sequence[TargetRun], word: VerdictWord, done: dict[str, dict[str, Course]]
) -> tuple[Issue, ...]:
    """The checks with this verdict; of each the messages, and of each message the targets."""
    found: dict[str, dict[str, list[tuple[TargetRun, Verdict]]]] = {}
    for target in targets:
        for check, verdict in target.verdicts.items():
            if verdict.verdict == word:
                by_message = found.setdefault(check, {})
                by_message.setdefault(verdict.message, []).append((target, verdict))
    issues = []
    for check, by_message in found.items():
        first = next(iter(by_message.values()))[0][1]
        occurrences = tuple(
            Occurrence(
                message=visible(message).strip(),
                fault=told[0][1].fault,
                targets=tuple(target.name for target, _ in told),
                clocks={
                    target.name: visible(verdict.clock) for target, verdict in told if verdict.clock
                },
                shown=told[0][0].name,
                course=done[told[0][0].name].get(check, Course()),
            )
            for message, told in by_message.items()
        )
        issues.append(
            Issue(
                check=visible(check),
                title=visible(first.title),
                severity=first.severity,
                source=visible(first.source),
                promise=visible(first.promise),
                cause=visible(first.cause),
                occurrences=occurrences,
            )
        )
    musts_first = sorted(issues, key=lambda one: (one.severity != "must", check_order(one.check)))
    return tuple(sorted(musts_first, key=lambda one: group_place(one.check)))


def _errors(targets: Iterable[TargetRun]) -> tuple[Gap, ...]:
    """What is known to be the board's or the bench's fault, each cause once."""
    found: dict[tuple[str, Fault], dict[str, list[str]]] = {}
    for target in targets:
        if target.down:
            found.setdefault((target.down.message, target.down.fault), {})[target.name] = []
        for check, verdict in target.verdicts.items():
            if verdict.verdict == "error":
                by_target = found.setdefault((verdict.message, verdict.fault or "bench"), {})
                by_target.setdefault(target.name, []).append(check)
    return tuple(
        Gap(
            reason=visible(message).strip(),
            checks=tuple(dict.fromkeys(check for checks in told.values() for check in checks)),
            targets=tuple(told),
            fault=fault,
        )
        for (message, fault), told in found.items()
    )


def _gaps(run: Run, rows: Sequence[Row]) -> tuple[Gap, ...]:
    """What was not checked: by reason, then by the targets that it holds for."""
    reasons: dict[tuple[str, bool], dict[str, list[str]]] = {}
    for place, target in enumerate(run.targets.values()):
        for row in rows:
            verdict, cell = target.verdicts.get(row.check), row.cells[place]
            if verdict and cell in ("skipped", "beyond"):
                key = (visible(verdict.message).strip(), verdict.not_promised)
            elif cell == "unfinished":
                key = ("it began, and the run ended in it", False)
            elif cell == "none":
                key = (_why_none(run, target), False)
            else:
                continue
            reasons.setdefault(key, {}).setdefault(row.check, []).append(target.name)
    gaps = []
    for (reason, out_of_scope), by_check in reasons.items():
        alike: dict[tuple[str, ...], list[str]] = {}
        for check, names in by_check.items():
            alike.setdefault(tuple(names), []).append(check)
        gaps += [
            Gap(reason, tuple(checks), names, out_of_scope=out_of_scope)
            for names, checks in alike.items()
        ]
    return tuple(sorted(gaps, key=lambda gap: gap.out_of_scope))


def _why_none(run: Run, target: TargetRun) -> str:
    if target.down:
        return f"the target did not come up: {visible(target.down.message)}"
    if run.end is None and target.put_back is None:
        return "the run ended before it, or it was not to run"
    return "it was not part of this run: see the arguments of the run"
