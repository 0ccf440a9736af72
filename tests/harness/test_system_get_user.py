"""The checks against the servers of examples/get-user: what each build shows, exactly.

Left out for the time they take: guessing, comparing times, twenty restarts, and what waits for half
a minute. ``cd examples/get-user && hil run`` leaves nothing out.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from check_run import CheckRun, every_system, run_checks, short_folder

DEVICES = Path(__file__).parents[2] / "examples" / "get-user" / "devices.yaml"
PACKAGES = ("aiohttp", "jwt")
QUICK = (
    "not takes_as_long and not passing_of_time and not silent_connection and not guessing_passwords"
    " and not ten_rotations and not comes_up_every_time"
)
# It has no Basic, no device code, no API keys and no refresh tokens.
WITHOUT = ("BAS-", "DEV-", "KEY-", "REF-")

pytestmark = pytest.mark.timeout(300)


def run(target: str, which: str) -> CheckRun:
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: pip install 'hil[examples]'")
    with short_folder() as folder:
        # scrypt takes 50 ms, and each check logs in three times or more.
        cheap = {"SCRYPT_COST": "2"}
        options = ("-k", which)
        return run_checks(folder, target, *options, devices=DEVICES, given=cheap, timeout=250)


def ids(group: str, *numbers: int) -> set[str]:
    return {f"{group}-{number:02}" for number in numbers}


# A form is no JSON; a token without a scheme has no Bearer challenge; nobody has a role.
NOT_JSON = ids("LOG", 10, *range(13, 26), 30, 31)
NO_SCHEME = ids("BRR", *range(4, 13), 15, 30)
NO_BODY = ids("BRR", *range(20, 26))
NO_LOGOUT_NO_ROLES = ids("REV", *range(1, 9)) | ids("ROL", *range(1, 7), 8, 9)
NO_CONTROL = {
    *("EXP-18", "JWT-14", "LEAK-10", "LOG-11", "LOG-12"),
    *ids("ROT", 5, 8, 11, 12, 13, 19, 20),
}
NOT_FOR_IT = NOT_JSON | NO_SCHEME | NO_BODY | NO_LOGOUT_NO_ROLES | NO_CONTROL


def skipped(ran: CheckRun) -> set[str]:
    """But for the groups of which nothing is there."""
    others = {check for check in ran.verdicts if check.startswith(WITHOUT)}
    assert others <= ran.having("skipped"), ran.output
    return ran.having("skipped") - others


@every_system
def test_the_sound_build_has_no_finding() -> None:
    ran = run("get-user-sound", QUICK)
    assert ran.having("error") | ran.having("failure") == set(), ran.output
    # The clock is believed, aiohttp tells its version and takes no more than 8 KiB of fields, and
    # a new password ends no token.
    assert ran.having("advisory") == {"EXP-13", "EXP-15", "LEAK-05", "ROT-15", "TRN-11"}, ran.output
    assert skipped(ran) == NOT_FOR_IT | {"LOG-34", "ROT-16"}, ran.output


@every_system
def test_the_documented_build_has_the_defects_of_its_document() -> None:
    ran = run("get-user-documented", QUICK)
    assert ran.having("error") == set(), ran.output
    assert ran.having("failure") == {
        *("BRR-03", "BRR-18", "EXP-07", "EXP-11", "EXP-14", "LEAK-02", "LEAK-04"),
        *ids("TRN", 1, 12),
        *ids("LOG", 9, 29, 37, 40),
        *ids("JWT", 6, 7, 8, 10, 12, 13, 15, 16, 17, 19, 20, 27, 28, 31, 32, 33, 34, 36, 38, 41),
    }, ran.output
    assert ran.having("advisory") == {
        *ids("EXP", 6, 9, 12, 13, 15),
        *("JWT-22", "JWT-30", "JWT-37", "LEAK-05", "LEAK-06"),
        *("LOG-35", "LOG-38", "ROL-07", "TRN-11"),
    }, ran.output
    # Nobody gives it a key or a password: it has the tutorial's.
    given = {"LOG-25", "REV-09"} | ids("ROT", 2, 3, 4, 6, 9, 10, *range(14, 18))
    assert skipped(ran) == NOT_FOR_IT | {"LOG-34"} | given, ran.output


def test_before_the_last_step_nobody_is_asked_for_a_token() -> None:
    ran = run("get-user-open", "no_token_no_entry")
    assert ran.having("failure") == {"BRR-02"}, ran.output
