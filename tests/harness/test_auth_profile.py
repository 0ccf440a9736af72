"""Profiles: read with types, refused with FILE:LINE:COLUMN."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from hil.auth.contract import NotPromised
from hil.auth.profile import PACKAGED, load_profile
from hil.errors import ConfigError

CAMERA = (PACKAGED / "camera.yaml").read_text()


def test_the_camera_profile_says_what_the_document_promises() -> None:
    camera = load_profile("camera")
    assert (camera.name, camera.user) == ("camera", "owner")
    assert (camera.login.method, camera.login.path) == ("POST", "/api/login")
    assert (camera.login.user_field, camera.login.password_field) == ("user", "pass")
    assert (camera.resource.path, camera.resource.answer) == (
        "/api/ack",
        {"ok": True, "user": "owner"},
    )
    assert (camera.resource.body.missing_status, camera.resource.body.missing_text) == (
        400,
        "missing count",
    )
    assert (camera.basic.realm, camera.basic.answer) == ("Backyard cam admin", "hi owner")
    assert (camera.token.lifetime_s, camera.token.claims) == (3600, {"sub": "owner"})
    assert (camera.files.secret, camera.secret_bytes) == ("secret.bin", 32)
    assert camera.wrong_password == {401, 429}
    assert camera.no_credentials == camera.bad_token == camera.bad_password == {401}


def test_a_profile_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_profile("camera").user = "other"  # type: ignore[misc]


def test_a_profile_beside_ones_own_tests(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(CAMERA.replace("hi owner", "welcome").replace("user: owner", "user: 007", 1))
    mine = load_profile(path)
    assert (mine.name, mine.basic.answer, mine.user) == ("mine", "welcome", "007")


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("lifetime_s: 3600", "lifetime_s: an hour", "  lifetime_s: an hour", "'lifetime_s': "),
        ("lifetime_s: 3600", "lifetime: 3600", "  lifetime: 3600", "did you mean 'lifetime_s'?"),
        ("  realm: Backyard cam admin\n", "", "basic:", "'realm' is missing"),
        ('\'{"count": 1}\'', "'{count: 1}'", "    sound: '{count: 1}'", "'sound': is not JSON"),
        ("path: /admin", "path: admin", "  path: admin", "'path': "),
        ("secret_bytes: 32", "secret_bytes: 0", "secret_bytes: 0", "'secret_bytes': "),
        ("known: []", "konwn: []", "konwn: []", "did you mean 'known'?"),
        ("known: []", "known: [{check: X, why: y}]", "known:", "unknown key 'why'"),
        ("known: []", "known:\n- {check: lgo-6, reason: y}", "- {check: lgo", "no check 'lgo-6'"),
        ("known: []", "known:\n- {check: log-06, reason: y}", "- {check: log", "mean 'LOG-06'?"),
        ("known: []", "known:\n- {check: LOG-06, reason: ' '}", "- {check: LOG", "'reason': "),
        ("known: []", "known:\n- {check: LOG-06}", "- {check: LOG", "'reason' is missing"),
        ("known: []", "known: LOG-06", "known:", "'known': "),
        ("  settings: settings.json\n", "", "  secret:", "go together"),
        ("settings_format: camera", "settings_format: camra", "  settings_f", "nor JSON"),
        ("_format: camera", """_format: '{"a": "{word}"}'""", "  settings_f", "holder {word};"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(
    tmp_path: Path, old: str, new: str, line: str, told: str
) -> None:
    assert old in CAMERA
    text = CAMERA.replace(old, new, 1)
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    at = next(i for i, one in enumerate(text.splitlines(), 1) if one.startswith(line))
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    assert told in str(caught.value)
    assert f"{path.resolve()}:{at}:" in str(caught.value)


def test_a_deviation_is_declared_once(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    entries = "".join(f"- {{check: {check}, reason: y}}\n" for check in ("LOG-06", "LOG-07") * 2)
    text = CAMERA.replace("known: []", f"known:\n{entries}")
    path.write_text(text)
    first = text.splitlines().index("- {check: LOG-06, reason: y}") + 1
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    assert caught.value.message.splitlines() == [
        f"{path.resolve()}:{first + 2}:11: LOG-06 is declared twice",
        f"{path.resolve()}:{first + 3}:11: LOG-07 is declared twice",
    ]


def test_what_the_application_writes_is_no_part_of_it() -> None:
    expected = {"secret.bin", "settings.json", "clock.json"}
    assert load_profile("camera").files.written_by_the_application == expected


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(
        CAMERA.replace("path: /admin", "path: admin").replace("user: owner", "usr: owner")
    )
    with pytest.raises(ConfigError) as caught:
        load_profile(path)
    assert str(caught.value).count(f"{path.resolve()}:") >= 3


@pytest.mark.parametrize("content", ["", "- a\n", "just text\n"])
def test_what_is_no_profile_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match="a profile is a mapping"):
        load_profile(path)


def test_an_unknown_name_is_told_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'camera'"):
        load_profile("camra")


def test_the_raw_client_and_the_tokens_load_neither_pydantic_nor_httpx_nor_yaml() -> None:
    code = (
        "import sys, hil.auth.client, hil.auth.raw, hil.auth.tokens, hil.auth.verdict;"
        "print([m for m in ('pydantic', 'httpx', 'ruamel.yaml', 'jwt') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_published_key_is_that_of_a_kind_of_token(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(
        "title: t\nsource: s\nuser: u\n"
        "token: {lifetime_s: 9, algorithms: [HS256], claims: {}}\n"
        "published: {secrets: {acess: s3cret}}\n"
    )
    with pytest.raises(ConfigError) as error:
        load_profile(path)
    assert "p.yaml:5:23: there are no tokens of the kind 'acess'" in error.value.message
    assert "(did you mean 'access'?)" in error.value.message
    assert "s3cret" not in error.value.message


def test_a_limit_for_bodies_need_not_be_promised(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(CAMERA.replace("body_limit: 16384", "body_limit: null"))
    with pytest.raises(NotPromised, match="limit for a request's body"):
        _ = load_profile(path).body_limit
    assert load_profile("camera").body_limit == 16384


def test_the_general_refusals_always_serve(tmp_path: Path) -> None:
    camera = load_profile("camera")
    assert (camera.malformed, camera.wrong_method) == ({400}, {405})
    path = tmp_path / "mine.yaml"
    text = CAMERA.replace("refusals:\n", "refusals:\n  malformed: 422\n  method: 401\n")
    path.write_text(text)
    mine = load_profile(path)
    assert (mine.malformed, mine.wrong_method) == ({400, 422}, {401, 405})
