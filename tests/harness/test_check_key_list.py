"""ROT-19: a list of keys, of which the first signs and all verify."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_run import CheckRun, run_checks
from test_process_target import PROFILE, SMALL


def run(folder: Path, separator: str, **env: str) -> CheckRun:
    token = "algorithms: [HS256]"
    assert token in PROFILE
    listed = PROFILE.replace(token, f"{token}, key_separator: '{separator}'")
    (folder / "small.yaml").write_text(listed)
    given = {"PORT": "{port}", "SECRET": "{secret}", "PASSWORD": "{password}", **env}
    told = ", ".join(f"{name}: '{value}'" for name, value in given.items())
    return run_checks(
        folder,
        f"kind: process\ncommand: ['{{python}}', '{SMALL}']\nenv: {{{told}}}\nprofile: small.yaml",
        *("-k", "keeps_the_old_key"),
        groups=("rotation",),
    )


def test_a_graceful_rotation_passes(tmp_path: Path) -> None:
    assert run(tmp_path, ";").having("passed") == {"ROT-19"}


@pytest.mark.parametrize(
    ("separator", "env", "told"),
    [
        (";", {"VERIFY": "1"}, "a token of the old key, the second of two"),
        (";", {"SIGNS": "-1"}, "another key signs"),
        (",", {}, "a token of the old key, the second of two"),
    ],
    ids=["the first alone verifies", "the last signs", "it is no list"],
)
def test_a_list_that_is_none_is_found(
    tmp_path: Path, separator: str, env: dict[str, str], told: str
) -> None:
    ran = run(tmp_path, separator, **env)
    assert ran.having("failure") == {"ROT-19"}, ran.output
    assert told in ran.output
