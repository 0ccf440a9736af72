"""A name may be shown, also where it is the password; a password may not."""

from __future__ import annotations

from pathlib import Path

from check_run import CheckRun, run_checks

SMALL = Path(__file__).with_name("small_server.py")
PROFILE = """
title: a small server
source: none
user: alice
login: {path: /login, token_field: token}
token: {lifetime_s: 600, algorithms: [HS256], claims: {sub: alice}}
resource: {method: GET, path: /data, answer: '{"ok": true}'}
"""
ENTRY = """\
kind: process
profile: small.yaml
command: [sh, -c, 'echo "alice, $PASSWORD, is let in"; exec "$0" "$1"', '{python}', %s]
env: {PORT: '{port}', SECRET: '{secret}', PASSWORD: '%s'}
"""


def run(folder: Path, password: str, more: str = "") -> CheckRun:
    """A server that prints its user's name and password at its start."""
    (folder / "small.yaml").write_text(PROFILE + more)
    entry = ENTRY % (SMALL, password)
    return run_checks(folder, entry, "-k", "console_tells or nothing_personal", groups=["leaks"])


def test_a_password_that_is_the_users_name_is_not_searched_for(tmp_path: Path) -> None:
    ran = run(tmp_path, "alice", "published: {passwords: {alice: alice}}\n")
    assert ran.having("passed") == {"LEAK-04", "LEAK-07"}, ran.output


def test_any_other_password_is_found(tmp_path: Path) -> None:
    ran = run(tmp_path, "{password}")
    assert (ran.having("failure"), ran.having("passed")) == ({"LEAK-04"}, {"LEAK-07"}), ran.output
