"""The checks find what they claim to find, and nothing else: each mutant turns exactly its own red.

A mutant is the reference firmware with one realistic mistake (``mutants/``), on a virtual board of
its own, under all checks with ``--strict``; with a mistake in a feature, under those of the
features. Run is a sample; all of them, on as many processors as
there are, by

    HIL_MUTANTS=all pytest tests/harness/test_mutants.py -n auto

The score stands at the end of the run.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable

import pytest
from check_run import run_checks, short_folder
from mutants import MUTANTS, SUBJECTS, Mutant
from test_system_camera import SKIPPED

from hil import catalogue

UNKILLABLE = {
    "BAS-18": "judges the profile and the URL, not the firmware",
    "EXP-04": "waits for an hour",
    "JWT-14": "skipped: the camera shows no public key",
    "ROT-19": "skipped: there is one signing key; test_check_key_list.py",
    **SKIPPED,
}
"""Checks that no mutant turns red, each with the reason."""


def chosen() -> list[Mutant]:
    """All, or one of every second subject: the same in each run, half a minute each at most."""
    if os.environ.get("HIL_MUTANTS") == "all":
        return list(MUTANTS)
    return [some[len(some) // 2] for some in list(SUBJECTS.values())[::2]]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", chosen(), ids=lambda m: re.sub(r"\W+", "-", m.name))
def test_a_mutant_turns_exactly_its_own_checks_red(
    mutant: Mutant, record_property: Callable[[str, object], None]
) -> None:
    with short_folder() as folder:
        mutant.write(folder / "firmware")
        ran = run_checks(
            folder,
            "kind: virtual\nmodel: openmv-n6\nprovision: true\n"
            f"profile: {mutant.profile}\nfirmware: {folder / 'firmware'}",
            "--strict",
            groups=mutant.groups,
            timeout=500,
        )
    red = ran.having("failure")
    survived, unexplained = sorted(mutant.expected - red), sorted(red - mutant.expected)
    record_property("mutant", mutant.name)
    record_property("survived", " ".join(survived))
    record_property("unexplained", " ".join(unexplained))
    errors = sorted(ran.having("error"))
    told = (
        f"A camera that {mutant.name}\n"
        f"  not red:      {' '.join(survived) or 'none'}\n"
        f"  red, and why: {' '.join(unexplained) or 'none'}\n"
        f"  errors:       {' '.join(errors) or 'none'}\n{ran.output}"
    )
    assert [*survived, *unexplained, *errors] == [], told


def test_every_check_is_proven_by_a_mutant() -> None:
    killed = {check for mutant in MUTANTS for check in mutant.expected}
    assert {entry.check.id for entry in catalogue.load()} - killed == UNKILLABLE.keys()


def test_the_catalogue_of_mutants_is_sound() -> None:
    assert [name for name, n in Counter(m.name for m in MUTANTS).items() if n > 1] == []
    assert [mutant.name for mutant in MUTANTS if not (mutant.red and mutant.why)] == []
    ids = {entry.check.id for entry in catalogue.load()}
    assert [mutant.name for mutant in MUTANTS if not mutant.expected <= ids] == []
