"""pytest's JUnit file in the words of this field, and with what the evidence knows.

pytest calls *failure* what fails in a test, and *error* what fails around it. Here it is the fault
that decides: a finding is a ``failure`` and what the board or the bench fails in is an ``error``,
wherever it shows. Each check gets properties: target, board, firmware, the board's clock, verdict.

A check's report carries :func:`marks`, also from a worker of xdist; pytest writes them into its
file, and :func:`mend` goes through that file when it is there. Testcases of others stay as they
are.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .events import WORDS, BoardMoment, ClockSeen, Exchange, Verdict

if TYPE_CHECKING:
    from .events import Fault, VerdictWord
    from .runs import Run, TargetRun

MARKS = ("target", "hil.phases")
"""The properties of a report that :func:`mend` reads."""

_TYPES = {"firmware": "Finding", "board": "BoardError", "bench": "BenchError"}
_TAGS = ("skipped", "failure", "error")
_CLASSNAME = "hil.checks"


def marks(
    target: str, phases: Iterable[tuple[VerdictWord, Fault | None]]
) -> list[tuple[str, object]]:
    """User properties of a check's report.

    :param phases: what its phases have come to so far
    """
    told = " ".join(f"{word}/{fault or ''}" for word, fault in phases if word != "passed")
    return list(zip(MARKS, (target, told), strict=True))


def mend(path: Path, run: Run | None, problems: Sequence[str] = ()) -> None:
    """Rewrite a file that pytest has written.

    :param run: its evidence; None: there is none, and the properties that come of it are missing
    :param problems: of the bench, outside of all checks: a testcase of their own tells them
    :raises OSError: it cannot be written; then it is as pytest has written it
    """
    tree = ElementTree.parse(path)  # noqa: S314 - pytest's own
    clocks = {name: dict(_clocks(target)) for name, target in (run.targets if run else {}).items()}
    for suite in tree.iter("testsuite"):
        for case in suite.iter("testcase"):
            _mend_case(case, run, clocks)
        if run:
            _describe(suite, run)
        if problems:
            suite.append(_told(problems))
            suite.set("tests", str(int(suite.get("tests", "0")) + 1))
        for tag, counted in (("skipped", "skipped"), ("failure", "failures"), ("error", "errors")):
            suite.set(counted, str(sum(1 for _ in suite.iter(tag))))
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            tree.write(file, encoding="utf-8", xml_declaration=True)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _mend_case(
    case: ElementTree.Element, run: Run | None, clocks: dict[str, dict[str, str]]
) -> None:
    there = case.find("properties")
    if there is None:
        return
    told = {one.get("name", ""): one.get("value", "") for one in there}
    if "hil.phases" not in told:
        return
    check, target = told.get("check", ""), told["target"]
    phases = [phase.partition("/")[::2] for phase in told["hil.phases"].split()]
    children = [child for child in case if child.tag in _TAGS]
    # Of a check that fails and then cannot be put back, pytest makes two testcases: this one's
    # phases are the last.
    own = phases[len(phases) - len(children) :] if children else []
    evidence = run.targets.get(target) if run else None
    verdict = evidence.verdicts.get(check) if evidence else None
    for child, (word, fault) in zip(children, own, strict=False):
        _mend_child(child, word, fault, verdict)
    grave = sorted(own, key=lambda phase: _gravity(phase[0]))
    word, fault = grave[0] if grave else ("passed", "")
    described = {
        "verdict": word,
        "fault": fault,
        **(_target(evidence) if evidence else {}),
        "board_clock": clocks.get(target, {}).get(check, ""),
    }
    for one in list(there):
        if one.get("name") == "hil.phases":
            there.remove(one)
    for name, value in described.items():
        if value:
            ElementTree.SubElement(there, "property", name=name, value=value)
    if not case.get("classname"):  # of checks that lie outside of pytest's root
        case.set("classname", _CLASSNAME)


def _gravity(word: str) -> int:
    return next((i for i, one in enumerate(WORDS) if one == word), len(WORDS))


def _mend_child(child: ElementTree.Element, word: str, fault: str, verdict: Verdict | None) -> None:
    if word in ("finding", "error"):
        child.tag = "failure" if word == "finding" else "error"
        child.set("type", _TYPES.get(fault, _TYPES["bench"]))
    elif word == "advisory" and verdict and verdict.message:
        child.set("message", f"advisory: {verdict.message.strip().partition(chr(10))[0]}")
        child.text = verdict.message


def _target(target: TargetRun) -> dict[str, str]:
    """What is known of it; empty: it is not."""
    begin, up = target.begin, target.up
    return {
        "model": (begin and begin.model) or "",
        "profile": begin.profile if begin else "",
        "unique_id": (up and up.unique_id) or "",
        "firmware": (up and up.firmware) or "",
        "firmware_sha256": " ".join(
            f"{partition}:{one}" for partition, one in (up.firmware_sha256 if up else {}).items()
        ),
        "application_sha256": (up and up.application_sha256) or "",
        "profile_sha256": (up and up.profile_sha256) or "",
    }


def _clocks(target: TargetRun) -> Iterator[tuple[str, str]]:
    """By check: its board's clock against the host's when it was last looked at."""
    told = ""
    for event in target.events:
        if isinstance(event, ClockSeen | Exchange) and event.board:
            told = _offset(event.at, event.board)
        elif isinstance(event, Verdict) and told:
            yield event.check, told


def _offset(at: float, board: BoardMoment) -> str:
    return f"{board.unix - at:+.3f} s +/- {board.uncertainty_s:.3f} s from the host's"


def _describe(suite: ElementTree.Element, run: Run) -> None:
    """The run, as properties of its testsuite."""
    there = suite.find("properties")
    if there is None:
        there = ElementTree.Element("properties")
        suite.insert(0, there)
    begin = run.begin
    for name, value in (
        ("run", begin.run),
        ("hil", begin.hil),
        ("host", begin.host),
        ("inventory", begin.inventory),
        ("revision", begin.revision),
        ("url", begin.url),
    ):
        if value:
            ElementTree.SubElement(there, "property", name=name, value=value)


def _told(problems: Sequence[str]) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname="hil.bench", name="all is as it was found", time="0.000"
    )
    error = ElementTree.SubElement(case, "error", type="BenchError")
    error.set("message", problems[0].strip().partition("\n")[0])
    error.text = "\n".join(problems)
    return case
