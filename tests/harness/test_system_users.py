"""The checks against the servers of examples/users: what each build shows, exactly.

Whose token it is, static tokens, and those checks that find what the article does; the others are
left out for the time they take: ``cd examples/users && hil run``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from check_run import CheckRun, every_system, run_checks, short_folder

DEVICES = Path(__file__).parents[2] / "examples" / "users" / "devices.yaml"
PACKAGES = ("a2wsgi", "flask", "flask_httpauth", "jwt", "uvicorn")
CHECKS = (
    "test_roles or test_api_key or a_wrong_password_is_refused or no_object or json_is_utf8"
    " or tab_after or header_that_is_not_json or token_for_nobody or of_another_kind"
    " or before_its_time or end_that_is_no_number or malformed_credentials or colon_and"
    " or control_characters"
)

pytestmark = pytest.mark.timeout(300)


def run(target: str) -> CheckRun:
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install 'hil[examples]'")
    with short_folder() as folder:
        # scrypt takes 60 ms, and each check logs in three times or more.
        cheap = {"PASSWORD_HASH": "pbkdf2:sha256:1"}
        options = ("-k", CHECKS)
        return run_checks(folder, target, *options, devices=DEVICES, given=cheap, timeout=250)


def test_the_sound_build_has_no_finding() -> None:
    ran = run("users-sound")
    assert ran.having("error") | ran.having("failure") == set(), ran.output
    assert ran.having("advisory") == set(), ran.output
    assert {"ROL-09", "KEY-01", "KEY-10", "BAS-09", "JWT-12"} <= ran.having("passed"), ran.output


@every_system
def test_the_documented_build_has_the_defects_of_its_document() -> None:
    ran = run("users-documented")
    assert ran.having("error") == set(), ran.output
    assert ran.having("failure") == {
        *("BAS-07", "BAS-10", "BRR-09", "EXP-07", "JWT-12", "JWT-31", "JWT-41"),
        *("LOG-06", "LOG-18", "LOG-20", "ROL-09", "ROL-10"),
    }, ran.output
    assert ran.having("advisory") == {"ROL-07"}, ran.output
    assert {"KEY-01", "KEY-10"} <= ran.having("passed"), ran.output
