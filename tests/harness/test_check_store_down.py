"""LEAK-02 and the 503 that REV-05 demands: promised while the bench has stopped the store, and a
failure at any other time."""

from __future__ import annotations

from pathlib import Path

from check_run import CheckRun, run_checks
from test_process_target import PROFILE, SMALL, STORE

LOGOUT = "logout: {path: /logout, store: store}\n"


def run(folder: Path, **env: str) -> CheckRun:
    (folder / "small.yaml").write_text(PROFILE + LOGOUT)
    given = {"PORT": "{port}", "SECRET": "{secret}", "PASSWORD": "{password}", **env}
    told = ", ".join(f"{name}: '{value}'" for name, value in given.items())
    services = "\n".join(line[4:] for line in STORE.splitlines())
    return run_checks(
        folder,
        f"kind: process\ncommand: ['{{python}}', '{SMALL}']\nenv: {{{told}}}\nprofile: small.yaml\n"
        f"{services}",
        *("-k", "without_its_store or made_the_server_fail"),
        groups=("revocation", "leaks"),
    )


def test_the_503_that_a_check_demands_is_no_failure_of_the_server(tmp_path: Path) -> None:
    ran = run(tmp_path, STORE="{port:store}")
    assert ran.having("passed") == {"REV-05", "LEAK-02"}, ran.output


def test_a_503_at_any_other_time_is_one(tmp_path: Path) -> None:
    ran = run(tmp_path, STORE="{port:store}", REFUSES="503")
    assert "LEAK-02" in ran.having("failure"), ran.output
    assert "server errors, in" in ran.output
