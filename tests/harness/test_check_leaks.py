"""What leaks: also where there are no tokens, of a profile with an API key only, or Basic only."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_run import CheckRun, run_checks
from test_check_default_credentials import BASIC
from test_process_target import SMALL

KEY = """
title: a small server
source: none
user: nobody
api_key: {path: /key, answer: '{"ok": true}'}
"""
profiles = pytest.mark.parametrize("profile", [KEY, BASIC], ids=["API key", "Basic"])


def run(folder: Path, profile: str, **env: str) -> CheckRun:
    (folder / "small.yaml").write_text(profile)
    given = {"PORT": "port", "SECRET": "secret", "PASSWORD": "password", "API_KEY": "api_key"}
    told = ", ".join(
        [
            *(f"{name}: '{{{what}}}'" for name, what in given.items() if name not in env),
            *(f"{name}: '{value}'" for name, value in env.items()),
        ]
    )
    return run_checks(
        folder,
        f"kind: process\ncommand: ['{{python}}', '{SMALL}']\nenv: {{{told}}}\nprofile: small.yaml\n"
        "ready: /key",
        groups=("leaks",),
    )


@profiles
def test_all_but_what_is_about_tokens_is_checked(tmp_path: Path, profile: str) -> None:
    ran = run(tmp_path, profile)
    assert ran.having("passed") == {"LEAK-01", "LEAK-02", "LEAK-03", "LEAK-04", "LEAK-09"}, (
        ran.output
    )
    assert ran.having("advisory") == {"LEAK-05", "LEAK-06"}, "http.server's own"
    assert ran.having("skipped") == {"LEAK-07", "LEAK-08", "LEAK-10"}, ran.output


@profiles
def test_what_leaks_is_found(tmp_path: Path, profile: str) -> None:
    ran = run(tmp_path, profile, PRINTS="yes", ORIGIN="*")
    assert ran.having("failure") == {"LEAK-04", "LEAK-09"}, ran.output


def test_a_published_password_is_a_word_like_any_other(tmp_path: Path) -> None:
    """LEAK-03 asks for /settings.json, and the server's log says so."""
    word = "settings.json"
    published = f"published: {{passwords: {{alice: {word}}}}}\n"
    ran = run(tmp_path, BASIC + published, PASSWORD=word)
    assert "LEAK-04" in ran.having("passed"), ran.output
    ran = run(tmp_path, BASIC + published, PASSWORD=word, PRINTS="yes")
    assert ran.having("failure") == {"LEAK-04"}, "base64 of it is no such word"


LOGIN = """
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


def run_with_login(folder: Path, password: str, more: str = "") -> CheckRun:
    """A server that prints its user's name and password at its start."""
    (folder / "small.yaml").write_text(LOGIN + more)
    entry = ENTRY % (SMALL, password)
    return run_checks(folder, entry, "-k", "console_tells or nothing_personal", groups=["leaks"])


def test_a_password_that_is_the_users_name_is_not_searched_for(tmp_path: Path) -> None:
    ran = run_with_login(tmp_path, "alice", "published: {passwords: {alice: alice}}\n")
    assert ran.having("passed") == {"LEAK-04", "LEAK-07"}, ran.output


def test_any_other_password_is_found(tmp_path: Path) -> None:
    ran = run_with_login(tmp_path, "{password}")
    assert (ran.having("failure"), ran.having("passed")) == ({"LEAK-04"}, {"LEAK-07"}), ran.output
