"""LOG-37 and BAS-12: the password in use is one that everybody knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_run import CheckRun, run_checks
from test_process_target import PROFILE, SMALL

BASIC = """
title: a small server
source: none
user: alice
basic: {path: /basic, realm: small, answer: hi alice}
"""
UNLISTED = "unlisted-but-printed"


def run(folder: Path, password: str, profile: str = PROFILE) -> CheckRun:
    (folder / "small.yaml").write_text(profile)
    env = f"{{PORT: '{{port}}', SECRET: '{{secret}}', PASSWORD: {password}}}"
    return run_checks(
        folder,
        f"kind: process\ncommand: ['{{python}}', '{SMALL}']\nenv: {env}\nprofile: small.yaml\n"
        "trusted_network: true\npassword: ${SMALL_PASSWORD}",
        *("-k", "default_credentials"),
        groups=("login", "basic"),
        environment={"SMALL_PASSWORD": password},
    )


@pytest.mark.parametrize(
    ("profile", "check"), [(PROFILE, "LOG-37"), (BASIC, "BAS-12")], ids=["login", "Basic"]
)
def test_a_default_password_is_found_where_it_is_the_right_one(
    tmp_path: Path, profile: str, check: str
) -> None:
    ran = run(tmp_path, "changeme", profile)
    assert ran.having("failure") == {check}, ran.output
    assert "alice/changeme: sent" in ran.output
    assert "alice/secret: sent" not in ran.output, "it is refused"


@pytest.mark.parametrize(
    ("profile", "check"), [(PROFILE, "LOG-37"), (BASIC, "BAS-12")], ids=["login", "Basic"]
)
def test_so_is_one_that_the_document_publishes(tmp_path: Path, profile: str, check: str) -> None:
    published = f"published: {{passwords: {{alice: {UNLISTED}}}}}\n"
    ran = run(tmp_path, UNLISTED, profile + published)
    assert ran.having("failure") == {check}, ran.output
    assert "alice, as its document publishes it: sent" in ran.output


@pytest.mark.parametrize(
    ("profile", "check"), [(PROFILE, "LOG-37"), (BASIC, "BAS-12")], ids=["login", "Basic"]
)
def test_one_that_nobody_knows_is_none(tmp_path: Path, profile: str, check: str) -> None:
    ran = run(tmp_path, UNLISTED, profile)
    assert ran.having("passed") == {check}, ran.output
    assert UNLISTED not in ran.output
