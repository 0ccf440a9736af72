"""Which check bears on which requirement of which standard, and what a run has shown of it.

``requirements.csv`` has one row for each requirement: our own short title, the checks that bear on
it, how strongly, how sure the mapping is, and where it was read. A run gives evidence *towards* a
requirement and no more: :data:`CAVEAT` and :data:`STANDARDS` say what a reader must know besides.
"""

from __future__ import annotations

import csv
import functools
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from ..errors import ConfigError
from .events import Verdict
from .runs import Run, TargetRun

Standing = Literal["finding", "evidence incomplete", "evidence shown", "not examined"]
"""``finding``: a check that bears on it is broken. ``evidence incomplete``: one has not come to a
verdict. ``evidence shown``: every one that the profile promises has passed. ``not examined``: no
check bears on it, the profile promises none of what they check, or none was in the run."""

STANDINGS: tuple[Standing, ...] = get_args(Standing)
"""From what a reader must see first to what says nothing."""

CAVEAT = (
    "Evidence towards a requirement: a pass shows that the bench saw no contrary behaviour. "
    "It is no statement of conformity. "
    "Requirements on documents and processes are never shown by these checks. "
    "What a skipped check would have shown is not shown."
)

_BROKEN = ("finding", "advisory", "known")


@dataclass(frozen=True)
class Standard:
    """A text, or a family of texts, that a reader may want to see or not.

    :ivar key: what ``--standard`` takes
    :ivar version: which one the numbers are of
    :ivar caveat: what was not read, and what that means
    """

    key: str
    title: str
    version: str
    caveat: str


STANDARDS: dict[str, Standard] = {
    one.key: one
    for one in (
        Standard(
            "asvs",
            "OWASP Application Security Verification Standard",
            "5.0.0 (2025-05)",
            "Read in full; numbers and levels were checked by a script. Cited as v5.0.0-6.3.1: "
            "the numbers of 4.0 mean something else. Not mapped: chapters on documents, HTTP/2, "
            "GraphQL and internal services, and what no bench can observe.",
        ),
        Standard(
            "wstg",
            "OWASP Web Security Testing Guide",
            "latest @2fab1ad (2026-08-19)",
            "The checklist and its pages were read. Version 4.2 has no SESS-10, SESS-11, ATHN-11, "
            "ATHZ-05, INPV-20, CONF-12 to CONF-14, APIT-03 and APIT-04; ATHN-07, INPV-15, INPV-16 "
            "and APIT-01 mean something else there.",
        ),
        Standard(
            "rfc",
            "RFCs: JSON Web Token, HTTP, OAuth 2.0",
            "4648 6749 6750 7515 7518 7519 7617 7797 8259 8628 8725 9110 9112 9700",
            "Clause numbers were checked by a script, except those of RFC 9700, which were counted "
            "in a draft of 2024-06, and RFC 4648, which was not read again.",
        ),
        Standard(
            "etsi",
            "ETSI EN 303 645, consumer IoT: baseline requirements",
            "V3.1.3 (2024-09)",
            "The numbers are those of V3.1.3; each row tells what V2.1.1 (2020-06) has. The PDFs "
            "were not opened: the wording of V2.1.1 and transcripts of V3.1.3 were. The verdicts "
            "of TS 103 701 are against the maker's declaration, whose part our profile plays; its "
            "conceptual cases are outside of these checks.",
        ),
        Standard(
            "en18031",
            "EN 18031, radio equipment: security requirements",
            "2024 (OJ reference 2025-01, with restrictions)",
            "Paid, and not read: ids and headings are from public summaries. 'direct' means no "
            "more than that the check exercises that mechanism; its assessment criteria were not "
            "seen, and confidence is medium at best. Decision (EU) 2025/138 restricts what it is "
            "good for. Part 2 (personal data) may apply to a camera.",
        ),
        Standard(
            "cra",
            "Cyber Resilience Act, Regulation (EU) 2024/2847, Annex I Part I",
            "2024/2847; applies from 2027-12-11",
            "Public copies of the Annex were read, EUR-Lex was not opened. No delegated act and no "
            "harmonised standard under it was looked at.",
        ),
    )
}
"""By key, in the order in which they are shown."""

_FAMILIES = {
    "OWASP ASVS": "asvs",
    "OWASP WSTG": "wstg",
    "ETSI EN 303 645": "etsi",
    "EN 18031-1": "en18031",
    "EN 18031-2": "en18031",
    "CRA Annex I Part I": "cra",
}


@dataclass(frozen=True)
class Requirement:
    """One row of ``requirements.csv``.

    :ivar standard: e.g. ``OWASP ASVS``, ``RFC 9110``
    :ivar id: within it: ``6.3.1``, ``§15.5.2``
    :ivar title: ours, not the standard's
    :ivar version: of the text that the id is of
    :ivar applies_to: the subjects that it is about, e.g. ``login``
    :ivar checks: the ids of the checks that bear on it; none: no check does
    :ivar strength: ``direct``: they exercise the thing that it asks for; ``partial``: one side of
        it, or only an indication; empty where there is no check
    :ivar confidence: in the mapping and the number, not in the board: ``high``, ``medium``, ``low``
    :ivar source: where it was read
    """

    standard: str
    id: str
    title: str
    version: str
    applies_to: tuple[str, ...]
    checks: tuple[str, ...]
    strength: str
    confidence: str
    source: str = field(repr=False)

    @property
    def family(self) -> str:
        """A key of :data:`STANDARDS`."""
        return _FAMILIES.get(self.standard, "rfc")

    @property
    def cited(self) -> str:
        """As it is cited, with the version where numbers differ by it."""
        if self.standard == "OWASP ASVS":
            return f"ASVS v5.0.0-{self.id}"
        if self.standard == "OWASP WSTG":
            return f"WSTG latest {self.id}"
        if self.standard == "ETSI EN 303 645":
            return f"{self.standard} V3.1.3 provision {self.id}"
        if self.family == "en18031":
            return f"{self.standard}:2024 {self.id}"
        return f"{self.standard} {self.id}"

    def reservations(self) -> tuple[str, ...]:
        """What to say with each evidence towards it."""
        return (
            *(["one side of it only"] if self.strength == "partial" else []),
            *([f"a mapping of {self.confidence} confidence"] if self.confidence != "high" else []),
            *(["its text was not read"] if self.family == "en18031" else []),
        )


@functools.cache
def load() -> tuple[Requirement, ...]:
    """Every requirement, in the order of :data:`STANDARDS` and of the file."""
    with (Path(__file__).parent / "requirements.csv").open(encoding="utf-8", newline="") as file:
        found = [
            Requirement(
                standard=row["standard"],
                id=row["requirement_id"],
                title=row["title"],
                version=row["version"],
                applies_to=tuple(row["applies_to"].split("; ")),
                checks=tuple(row["check_ids"].split()),
                strength=row["strength"],
                confidence=row["confidence"],
                source=row["source"],
            )
            for row in csv.DictReader(file)
        ]
    order = list(STANDARDS)
    return tuple(sorted(found, key=lambda one: order.index(one.family)))


def chosen(standards: Collection[str] | None = None) -> tuple[Requirement, ...]:
    """The requirements of some standards.

    :param standards: keys of :data:`STANDARDS`; None or none: all
    :raises ConfigError: there is no such standard
    """
    unknown = sorted(set(standards or ()) - STANDARDS.keys())
    if unknown:
        raise ConfigError(f"no standard {unknown[0]!r}", hint=f"there are {', '.join(STANDARDS)}")
    return tuple(one for one in load() if not standards or one.family in standards)


def bearing_on(check: str) -> tuple[Requirement, ...]:
    """The requirements that a check bears on."""
    return tuple(one for one in load() if check in one.checks)


@dataclass(frozen=True)
class Assessed:
    """What a run has shown of one requirement.

    :ivar standing: over all targets
    :ivar targets: the standing on each target; not there: its profile promises none of it
    :ivar verdicts: by target, by check id of the requirement; None: the check has no verdict
    :ivar reasons: for what was found, and what was not shown
    :ivar out_of_scope: which checks the profile leaves out, and why
    :ivar shown_on: the targets and what they run, the bench, the day
    """

    requirement: Requirement
    standing: Standing
    targets: dict[str, Standing]
    verdicts: dict[str, dict[str, Verdict | None]] = field(repr=False)
    reasons: tuple[str, ...]
    out_of_scope: tuple[str, ...]
    shown_on: str

    def passed(self) -> tuple[str, ...]:
        """The checks that have passed wherever they are in scope, and on one target at least."""
        return tuple(check for check in self.requirement.checks if self._passed(check))

    def _passed(self, check: str) -> bool:
        found = [self.verdicts[target].get(check) for target in self.targets]
        scope = [one for one in found if not (one and one.not_promised)]
        return bool(scope) and all(one and one.verdict == "passed" for one in scope)

    def wording(self) -> str:
        """One sentence that a report may say of it, and no more than what is known."""
        cited, passed = self.requirement.cited, ", ".join(self.passed())
        but = f" ({', '.join(told)})" if (told := self.requirement.reservations()) else ""
        if self.standing == "evidence shown":
            return f"evidence towards {cited}{but}: {passed} passed on {self.shown_on}"
        if self.standing == "not examined":
            return f"{cited} was not examined: {'; '.join(self.reasons or self.out_of_scope)}"
        why = "; ".join(self.reasons)
        if self.standing == "finding":
            return f"a finding that bears on {cited}{but}: {why} ({self.shown_on})"
        so_far = f"{passed} passed, but " if passed else "no check of it has passed: "
        return f"incomplete evidence towards {cited}{but}: {so_far}{why} ({self.shown_on})"


def assess(run: Run, standards: Collection[str] | None = None) -> list[Assessed]:
    """Every requirement, held against a run.

    A broken *should* and a declared deviation are findings here: whatever they mean for the run,
    the behaviour that the requirement asks for was not seen. What the profile does not promise is
    out of scope. A check that was skipped for another reason, ended in an error, or has not run,
    leaves the evidence incomplete.

    :param standards: keys of :data:`STANDARDS`; None or none: all
    :raises ConfigError: there is no such standard
    """
    where = {name: _where(name, target) for name, target in run.targets.items()}
    day = time.strftime("%Y-%m-%d", time.gmtime(run.begin.at))
    return [_assess(one, run, where, f"bench {run.begin.host}, {day}") for one in chosen(standards)]


def _assess(one: Requirement, run: Run, where: dict[str, str], bench: str) -> Assessed:
    verdicts = {
        name: {check: target.verdicts.get(check) for check in one.checks}
        for name, target in run.targets.items()
    }
    targets = {
        name: standing
        for name, found in verdicts.items()
        if (standing := _standing(found.values())) is not None
    }
    reasons, out_of_scope = _Reasons(run.targets), _Reasons(run.targets)
    for name, found in verdicts.items():
        for check, verdict in found.items():
            if verdict and verdict.not_promised:
                out_of_scope.add(f"out of scope: {_first_line(verdict.message)}", check, name)
            elif not (verdict and verdict.verdict == "passed"):
                reasons.add(_reason(verdict, run, run.targets[name]), check, name)
    return Assessed(
        requirement=one,
        standing=_overall(targets.values()),
        targets=targets,
        verdicts=verdicts,
        reasons=reasons.told() if one.checks else ("no check bears on it",),
        out_of_scope=out_of_scope.told(),
        shown_on="; ".join([*(where[name] for name in targets), bench]),
    )


def _standing(verdicts: Collection[Verdict | None]) -> Standing | None:
    """On one target; None: it is out of scope there."""
    scope = [one for one in verdicts if not (one and one.not_promised)]
    if not scope:
        return None
    if any(one and one.verdict in _BROKEN for one in scope):
        return "finding"
    if not any(scope):
        return "not examined"
    passed = all(one and one.verdict == "passed" for one in scope)
    return "evidence shown" if passed else "evidence incomplete"


def _overall(standings: Collection[Standing]) -> Standing:
    """One target that was not examined beside others that were leaves the evidence incomplete."""
    if "not examined" in standings and len(set(standings)) > 1:
        standings = ["evidence incomplete", *standings]
    return min(standings, key=STANDINGS.index, default="not examined")


def _where(name: str, target: TargetRun) -> str:
    """``porch (board: OpenMV v4.8.1, application 3f2a1b5c)``"""
    up = target.up
    firmware = up.firmware if up else None
    application = up.application_sha256 if up else None
    runs = [firmware or "firmware not known"]
    if application:
        runs.append(f"application {application[:12]}")
    kind = f"{target.begin.kind}: " if target.begin else ""
    return f"{name} ({kind}{', '.join(runs)})"


def _reason(verdict: Verdict | None, run: Run, target: TargetRun) -> str:
    if verdict is None:
        if target.down:
            return f"not run: {_first_line(target.down.message)}"
        if target.put_back is None and run.end is None:
            return "not run before the run ended"
        return "not in this run"
    told = _first_line(verdict.message)
    if verdict.verdict == "known":
        return f"deviates, as its profile declares: {told}"
    if verdict.verdict == "error":
        return f"{verdict.fault or 'bench'} error: {told}"
    if verdict.verdict == "advisory":
        return f"broken, a should: {told}"
    if verdict.verdict == "finding":
        return f"broken: {told}"
    return f"skipped: {told}"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].rstrip()


class _Reasons:
    """Checks and targets with the same reason, told once."""

    def __init__(self, targets: Iterable[str]) -> None:
        self._all = tuple(targets)
        self._found: dict[tuple[str, str], list[str]] = {}

    def add(self, reason: str, check: str, target: str) -> None:
        self._found.setdefault((reason, check), []).append(target)

    def told(self) -> tuple[str, ...]:
        checks: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for (reason, check), targets in self._found.items():
            checks.setdefault((reason, tuple(targets)), []).append(check)
        return tuple(
            f"{', '.join(found)}{self._on(targets)}: {reason}"
            for (reason, targets), found in checks.items()
        )

    def _on(self, targets: tuple[str, ...]) -> str:
        return "" if len(targets) == len(self._all) else f" on {', '.join(targets)}"
