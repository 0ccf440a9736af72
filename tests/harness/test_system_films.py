"""The checks against the servers of examples/films: what each build shows, exactly.

These are the groups that the document is about, and a few of the others, for the time that all of
them take: ``cd examples/films && hil run`` leaves nothing out.
"""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from check_run import CheckRun, every_system, run_checks, short_folder

DEVICES = Path(__file__).parents[2] / "examples" / "films" / "devices.yaml"
PACKAGES = ("connexion", "flask", "redis", "uvicorn")
OTHERS = (
    "bearer_challenge or tab_after or two_tokens or published_key or an_unknown_user_is_refused"
    " or without_an_end"
)

pytestmark = pytest.mark.timeout(300)


def run(target: str, which: str) -> CheckRun:
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install 'hil[examples]'")
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server (Debian: redis-server)")
    with short_folder() as folder:
        # scrypt takes 60 ms, and each check logs in three times or more.
        cheap = {"PASSWORD_HASH": "pbkdf2:sha256:1"}
        options = ("-k", which)
        return run_checks(folder, target, *options, devices=DEVICES, given=cheap, timeout=250)


@every_system
def test_the_sound_build_has_no_finding() -> None:
    ran = run("films-sound", f"test_refresh or test_revocation or test_roles or {OTHERS}")
    assert ran.having("error") | ran.having("failure") == set(), ran.output
    assert ran.having("advisory") == {"REF-09"}, ran.output
    assert ran.having("skipped") == {"REF-13", "REV-09", "ROL-09"}, ran.output


@every_system
def test_the_documented_build_has_the_defects_of_its_document() -> None:
    ran = run("films-documented", f"test_refresh or test_revocation or test_roles or {OTHERS}")
    assert ran.having("error") == set(), ran.output
    assert ran.having("failure") == {
        *("BRR-03", "BRR-09", "BRR-18", "JWT-19", "JWT-33", "REF-11", "REF-14"),
        *("REV-01", "REV-02", "REV-03", "REV-05", "REV-07", "ROL-04"),
    }, ran.output
    assert ran.having("advisory") == {
        *("EXP-06", "REF-05", "REF-06", "REF-09", "REF-10"),
        *("REV-04", "REV-06", "REV-08", "ROL-06", "ROL-07", "ROL-08"),
    }, ran.output


def test_behind_a_logout_that_works_are_the_next_defects() -> None:
    ran = run("films-with-logout", "test_revocation")
    assert ran.having("error") == set(), ran.output
    assert ran.having("failure") == {"REV-03"}, ran.output
    assert ran.having("advisory") == {"REV-06"}, ran.output
