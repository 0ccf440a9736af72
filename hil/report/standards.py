"""The requirements as a checklist shows them: by standard, with verdicts in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .matrix import CELL_WORDS, cell_of
from .requirements import STANDARDS, STANDINGS, Assessed, Standing
from .words import visible

SHORT = {"asvs": "OWASP ASVS", "wstg": "OWASP WSTG", "rfc": "RFCs", "etsi": "ETSI EN 303 645"}
SHORT |= {"en18031": "EN 18031", "cra": "Cyber Resilience Act"}


@dataclass(frozen=True)
class StandardSheet:
    """:ivar counts: how many requirements have which standing
    :ivar open: unfolded at first
    """

    key: str
    short: str
    title: str
    version: str
    caveat: str
    counts: dict[Standing, int]
    open: bool
    assessed: tuple[Assessed, ...]


def standard_sheets(assessed: Iterable[Assessed]) -> list[StandardSheet]:
    """By standard, in the order of :data:`hil.report.requirements.STANDARDS`."""
    found: dict[str, list[Assessed]] = {}
    for one in assessed:
        found.setdefault(one.requirement.family, []).append(one)
    sheets = []
    for key, standard in STANDARDS.items():
        if key not in found:
            continue
        standings = [one.standing for one in found[key]]
        counts = {word: standings.count(word) for word in STANDINGS if word in standings}
        sheets.append(
            StandardSheet(
                key=key,
                short=SHORT.get(key, standard.title),
                title=standard.title,
                version=standard.version,
                caveat=standard.caveat,
                counts=counts,
                open=len(found) == 1,
                assessed=tuple(found[key]),
            )
        )
    return sheets


def not_examined(assessed: Iterable[Assessed]) -> dict[str, list[Assessed]]:
    """Those that were not examined, by the reason."""
    found: dict[str, list[Assessed]] = {}
    for one in assessed:
        if one.standing == "not examined":
            reason = "; ".join(one.reasons or one.out_of_scope)
            if one.requirement.checks and not one.reasons:
                reason = "the profile does not promise what its checks are about"
            found.setdefault(visible(reason), []).append(one)
    return found


def told(one: Assessed) -> list[tuple[str, list[str]]]:
    """The verdicts in words, and the checks that have them: ``passed``, or ``finding on porch;
    passed on 7 targets``."""
    found: dict[str, list[str]] = {}
    for check in one.requirement.checks:
        by_word: dict[str, list[str]] = {}
        for target, verdicts in one.verdicts.items():
            word = CELL_WORDS[cell_of(verdicts.get(check))]
            by_word.setdefault(word, []).append(visible(target))
        text = next(iter(by_word))
        if len(by_word) > 1:
            text = "; ".join(f"{word} on {_some(names)}" for word, names in by_word.items())
        found.setdefault(text, []).append(check)
    return list(found.items())


def _some(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{len(names)} targets"
