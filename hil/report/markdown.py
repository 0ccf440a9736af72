"""The checklist as Markdown (CommonMark, with the tables of GitHub's): for a merge request, a wiki,
a mail. It has what the HTML has but for the plots, which are tables here, and for what passing
checks have sent and got.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from . import plots
from .checklist import Checklist, Gap, Issue, Sheet
from .matrix import CELL_WORDS
from .requirements import CAVEAT
from .runs import Run
from .signing import Fingerprint, Signature, fingerprint
from .standards import StandardSheet, not_examined, standard_sheets, told
from .steps import Course
from .words import count, counted, duration, offset, utc, visible

_SPECIAL = re.compile(r"[\\`*_{}\[\]<>#|~$&!]")


def document(run: Run, seen: Checklist, signature: Signature | None = None) -> str:
    """The whole file.

    :param seen: what is shown of the run
    :param signature: of the one who signs this copy off; None: a block to be filled in
    """
    evidence = signature.evidence if signature else fingerprint(run.folder, run.targets)
    parts = [
        *_top(seen, signature),
        *_issues(seen, "Findings", seen.findings, "No check has found a broken *must*."),
        *_errors(seen.errors),
        *_issues(seen, "Advisories", seen.advisories),
        *_issues(seen, "Known deviations", seen.known),
        *_sheets(seen.sheets),
        *_gaps(seen),
        *_requirements(seen),
        *_times(run),
        *_checks(seen),
        *_sign_off(run, seen, evidence, signature),
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def text(told: str) -> str:
    """On one line, with nothing in it that Markdown or HTML would take for its own."""
    one_line = " ".join(visible(told).split())
    escaped = _SPECIAL.sub(lambda match: f"\\{match[0]}", one_line)
    # A paragraph must not begin as a list or a rule does.
    return re.sub(r"^([-+](?=[-\s]|$)|[0-9]+(?=[.)](?:\s|$)))", _defused, escaped)


def _defused(start: re.Match[str]) -> str:
    return f"\\{start[0]}" if start[0] in "-+" else f"{start[0]}\\"


def code(told: str) -> str:
    """One line as it stands."""
    one_line = " ".join(visible(told).split())
    fence = _fence(one_line, 1)
    return f"{fence} {one_line} {fence}" if "`" in one_line else f"{fence}{one_line}{fence}"


def block(told: str) -> str:
    """Lines as they stand."""
    lines = visible(told).strip("\n")
    fence = _fence(lines, 3)
    return f"{fence}text\n{lines}\n{fence}"


def _fence(told: str, least: int) -> str:
    longest = max((len(run) for run in re.findall("`+", told)), default=0)
    return "`" * max(least, longest + 1)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """:param rows: cells of Markdown on one line each"""
    lines = [head, ["---"] * len(head), *rows]
    # Code in a table still ends at an unescaped pipe.
    return "\n".join(
        "| " + " | ".join(re.sub(r"(?<!\\)\|", r"\\|", cell) for cell in line) + " |"
        for line in lines
    )


def _top(seen: Checklist, signature: Signature | None) -> Iterator[str]:
    yield f"# {text(seen.headline.sentence)}"
    yield f"Release checklist, run {code(seen.name)}."
    if seen.headline.details:
        yield "\n".join(f"- {text(one)}" for one in seen.headline.details)
    if signature:
        said = f": **{text(signature.decision)}**" if signature.decision else ""
        yield f"Signed off by {text(signature.name)} on {utc(signature.at)}{said}."
    yield table(["", ""], [[text(name), text(value)] for name, value in seen.facts.items()])


def _sheets(sheets: Sequence[Sheet]) -> Iterator[str]:
    yield "## Targets"
    rows = [
        [
            text(sheet.name),
            text(sheet.state),
            ", ".join(counted(number, CELL_WORDS[word]) for word, number in sheet.counts.items()),
        ]
        for sheet in sheets
    ]
    yield table(["target", "state", "checks"], rows)
    for sheet in sheets:
        facts = [f"- {text(name)}: {text(value)}" for name, value in sheet.identity.items()]
        facts += [f"- SHA-256, {text(k)}: {code(v)}" for k, v in sheet.hashes.items()]
        facts += [f"- no {text(name)}: {text(why)}" for name, why in sheet.absent.items()]
        facts += [f"- note: {text(note)}" for note in sheet.notes]
        yield f"### {text(sheet.name)}"
        if facts:
            yield "\n".join(facts)
        if sheet.tracebacks:
            yield block(sheet.tracebacks[:6000])


def _issues(
    seen: Checklist, heading: str, issues: Sequence[Issue], none: str = ""
) -> Iterator[str]:
    if issues or none:
        yield f"## {heading}"
    if not issues and none:
        yield none
    for issue in issues:
        yield f"### {text(issue.check)}: {text(issue.title)}"
        source = f", source: {text(issue.source)}" if issue.source else ""
        yield f"A *{text(issue.severity)}*, on {_names(seen, issue.targets)}{source}."
        if issue.promise:
            yield f"**Promise:** {text(issue.promise)}"
        for one in issue.occurrences:
            yield f"**Found** on {_names(seen, one.targets)}:"
            yield block(one.message)
            if one.clocks:
                clocks = (f"of {text(name)}: {text(told)}" for name, told in one.clocks.items())
                yield f"Clock {'; '.join(clocks)}."
            if heading == "Findings" and one.course.steps:
                yield f"What was sent and got on {text(one.shown)}:"
                yield block(_course(one.course, f"{one.shown}/evidence.jsonl"))
        if issue.cause:
            yield f"**Usual cause:** {text(issue.cause)}"


def _course(course: Course, evidence: str) -> str:
    lines = []
    for step in course.steps:
        lines.append(f"{step.after_s:+.3f} s  {step.text}")
        if step.got:
            lines.append(f"            {step.got}")
        lines += [
            f"            {told}" for told in (step.board and f"board: {step.board}",) if told
        ]
        if step.more:
            lines.append(f"            and {step.more} more like this one")
    if course.left_out:
        lines.append(f"{course.left_out} more steps are in {evidence}")
    return "\n".join(lines)


def _errors(errors: Sequence[Gap]) -> Iterator[str]:
    if errors:
        yield "## Errors of boards and bench"
        yield (
            "Not the firmware's fault as far as is known, and no evidence for it either: "
            "these checks have no verdict."
        )
    for one in errors:
        checks = ", ".join(map(text, one.checks)) or "did not come up: none of its checks ran"
        yield f"**{', '.join(map(text, one.targets))}, the {one.fault}'s fault** ({checks}):"
        yield block(one.reason)


def _gaps(seen: Checklist) -> Iterator[str]:
    yield "## Not checked, and why"
    if not seen.gaps:
        yield "Every check of the catalogue has a verdict on every target."
    for heading, beyond in (
        ("Evidence is missing", False),
        ("Out of scope: the profile does not promise it", True),
    ):
        rows = [
            [text(gap.reason[:600]), _names(seen, gap.targets), ", ".join(map(text, gap.checks))]
            for gap in seen.gaps
            if gap.out_of_scope is beyond
        ]
        if rows:
            yield f"### {heading}"
            yield table(["why", "targets", "checks"], rows)


def _requirements(seen: Checklist) -> Iterator[str]:
    yield "## Requirements"
    yield CAVEAT
    seen_on = [
        text(f"{sheet.name} ({sheet.identity['Firmware']})")
        if "Firmware" in sheet.identity
        else text(sheet.name)
        for sheet in seen.sheets
    ]
    yield f"Seen on {', '.join(seen_on)}; bench {text(seen.facts['Bench'])}, {seen.facts['Began']}."
    for sheet in standard_sheets(seen.requirements):
        yield from _standard(sheet)


def _standard(sheet: StandardSheet) -> Iterator[str]:
    yield f"### {text(sheet.title)}"
    counts = ", ".join(counted(number, word) for word, number in sheet.counts.items())
    yield f"{counts}. Version {text(sheet.version)}. {text(sheet.caveat)}"
    rows = []
    for one in sheet.assessed:
        if one.standing == "not examined":
            continue
        requirement = one.requirement
        verdicts = [f"{', '.join(checks)}: {text(said)}" for said, checks in told(one)]
        reasons = [text(reason[:400]) for reason in one.reasons]
        rows.append(
            [
                f"{text(requirement.cited)} {text(requirement.title)}",
                f"{one.standing} ({requirement.strength}, confidence {requirement.confidence})",
                "; ".join(verdicts + reasons),
            ]
        )
    if rows:
        yield table(["requirement", "standing", "checks and verdicts"], rows)
    for reason, assessed in not_examined(sheet.assessed).items():
        names = "; ".join(text(f"{o.requirement.id} {o.requirement.title}") for o in assessed)
        yield f"Not examined, {text(reason)}: {names}."


def _times(run: Run) -> Iterator[str]:
    lives, responses, boots = plots.lives(run), plots.response_times(run), plots.boot_times(run)
    for life in lives:
        yield f"## A token's life: {plots.STORIES[life.story]}"
        yield f"{text(life.check)} on {text(life.target)}: {text(life.title)} ({life.verdict})"
        rows = [
            [
                text(mark.what),
                text(mark.outcome) or "-",
                "not known" if mark.board is None else text(offset(mark.board - life.issued)),
            ]
            for mark in life.marks
        ]
        yield table(["what", "outcome", "board's clock since issued"], rows)
        yield f"The token is valid for {duration(life.expires - life.issued)}."
    if responses:
        yield "## Response times"
        head = ["target", "answers", "5 %", "25 %", "median", "75 %", "95 %", "longest"]
        rows = [
            [text(one.target), str(one.count)]
            + [
                duration(took)
                for took in (
                    *(one.low, one.quarter, one.median),
                    *(one.three_quarters, one.high, one.longest),
                )
            ]
            for one in responses
        ]
        yield table(head, rows)
    if boots:
        yield "## Boot times"
        rows = [
            [
                text(one.target),
                text(kind),
                str(len(took)),
                *(duration(found) for found in (min(took), plots.median(took), max(took))),
            ]
            for one in boots
            for kind, took in one.took.items()
        ]
        yield table(["target", "reset", "how many", "shortest", "median", "longest"], rows)


def _checks(seen: Checklist) -> Iterator[str]:
    yield "## All checks"
    rows = [
        [
            f"{text(row.check)} {text(row.title)}{' (should)' if row.severity == 'should' else ''}",
            *(CELL_WORDS[cell] for cell in row.cells),
        ]
        for row in seen.rows
    ]
    yield table(["check", *map(text, seen.all_targets)], rows)


def _sign_off(
    run: Run, seen: Checklist, evidence: Fingerprint, signature: Signature | None
) -> Iterator[str]:
    yield "## Sign-off"
    yield (
        f"Evidence: SHA-256 {code(evidence.sha256)} over {count(len(evidence.files), 'file')}. "
        "It shows a later change to whoever has kept it elsewhere; it does not prove who signed."
    )
    told = {"Name": "", "Role": "", "Date": "", "Decision": "", "Comment": "", "Signature": ""}
    if signature:
        told = {
            "Name": signature.name,
            "Role": signature.role,
            "Date": utc(signature.at),
            "Decision": signature.decision or "none was recorded",
            "Comment": signature.comment,
            "Result": seen.headline.sentence,
        }
    yield table(["", ""], [[name, text(value)] for name, value in told.items()])
    if signature:
        command = code(f"hil report {run.name} --verify")
        yield f"{command} tells whether the evidence still is what was signed."


def _names(seen: Checklist, targets: Sequence[str]) -> str:
    if len(targets) == len(seen.all_targets) > 1:
        return f"all {len(targets)} targets"
    return ", ".join(map(text, targets))
