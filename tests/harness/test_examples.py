"""The example is run as its README says: an application that the checks were not written for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from check_run import short_folder

from hil.auth.profile import load_profile
from hil.report.events import WORDS

DOORBELL = Path(__file__).parents[2] / "examples" / "doorbell"

TIMEOUT_S = 240
"""Half a minute where nothing else runs: one check sends 8 MB to an application that reads them."""


@dataclass(frozen=True)
class Run:
    """:ivar ids: the checks by their verdict: passed, known, skipped, failure, error"""

    code: int
    ids: dict[str, set[str]]
    output: str


@pytest.fixture
def doorbell() -> Iterator[Path]:
    """A copy of the example's folder."""
    with short_folder() as folder:
        own = shutil.ignore_patterns(".hil", "__pycache__", ".*")
        shutil.copytree(DOORBELL, folder, ignore=own, dirs_exist_ok=True)
        yield folder


def hil_run(folder: Path, *options: str) -> Run:
    """``hil run`` in this folder."""
    own = ("PYTEST_", "HIL_DEVICES")
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "hil", "run", "-p", "no:cacheprovider"),
            *("--junitxml", "junit.xml", *options),
        ],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith(own)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S - 10,
        check=False,
    )
    output = ran.stdout + ran.stderr
    assert (folder / "junit.xml").exists(), output
    ids: dict[str, set[str]] = {verdict: set() for verdict in WORDS}
    for case in ElementTree.parse(folder / "junit.xml").iter("testcase"):  # noqa: S314 - our own
        properties = {p.get("name"): p.get("value") or "" for p in case.iter("property")}
        ids[properties["verdict"]].add(properties["check"])
    return Run(ran.returncode, ids, output)


@pytest.mark.timeout(TIMEOUT_S)
def test_another_teams_application_is_checked_by_its_profile(doorbell: Path) -> None:
    run = hil_run(doorbell)
    assert run.ids["finding"] | run.ids["error"] == set(), run.output
    assert run.code == 0, run.output
    declared = {known.check for known in load_profile(doorbell / "doorbell.yaml").known}
    assert run.ids["known"] == declared
    assert len(run.ids["passed"]) > 120
    assert "advisories" not in run.output
    # What the README shows is what there is to see.
    summary = re.search(r"doorbell: \d+ checks passed, (\d+) known deviations", run.output)
    assert summary, run.output
    assert int(summary[1]) == len(declared)


@pytest.mark.timeout(TIMEOUT_S)
def test_its_mistakes_are_found(doorbell: Path) -> None:
    session, profile = doorbell / "app" / "session.py", doorbell / "doorbell.yaml"
    sound = 'return now() < int(claims["exp"]) <= now() + LIFETIME'
    assert session.read_text().count(sound) == 1
    session.write_text(session.read_text().replace(sound, sound.replace("now() < ", "")))
    # A deviation that has gone, and is still declared.
    assert "- check: BRR-14\n" in profile.read_text()
    profile.write_text(profile.read_text().replace("- check: BRR-14\n", "- check: BRR-10\n"))
    run = hil_run(doorbell, "-k", "test_login or test_bearer or test_expiry")
    assert run.code == 1, run.output
    red = run.ids["finding"] | run.ids["error"]
    assert red >= {"EXP-02", "EXP-03", "EXP-05", "EXP-08", "EXP-17", "BRR-10"}, run.output
    assert not any(check.startswith("LOG") for check in red), run.output
    assert {"LOG-01", "BRR-01", "EXP-01"} <= run.ids["passed"]
    assert "BRR-10 passes, but the profile declares it a known deviation" in run.output
