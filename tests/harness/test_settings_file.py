"""The file with the password: rendered, changed and read back in each format."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from hil import config
from hil.auth.profile import PACKAGED
from hil.bringup import bring_up
from hil.errors import ConfigError
from hil.provision import camera_settings, password_entry
from hil.secrets import SecretStr
from hil.settings_file import FEATURES, Values, settings_format

VALUES = Values("Ada", SecretStr('a "{user}" \\ ü'), "porch", "Ünet", SecretStr("k{ey}"))
TEMPLATE = """
{"who": "{user}", "auth": {"basic": "{user}:{password}"}, "host": "{hostname}.local",
 "wlan": ["{wifi_ssid}", "{wifi_key}"], "port": 80, "ntp": null, "{user}": true}
"""


def test_a_template_is_filled_text_by_text() -> None:
    form = settings_format(TEMPLATE)
    assert form.sets_hostname
    assert json.loads(form.render(VALUES)) == {
        "who": "Ada",
        "auth": {"basic": f"Ada:{VALUES.password!s}"},
        "host": "porch.local",
        "wlan": ["Ünet", "k{ey}"],
        "port": 80,
        "ntp": None,
        "{user}": True,  # a key is no text to fill
    }


def test_a_changed_password_leaves_the_rest_of_a_template() -> None:
    form = settings_format(TEMPLATE)
    before = json.loads(form.render(VALUES)) | {"added": "by the application"}
    changed = form.with_password(json.dumps(before).encode(), Values("Bob", SecretStr("new")))
    assert json.loads(changed) == before | {"auth": {"basic": "Bob:new"}}


@pytest.mark.parametrize("settings", [b"", b"{", b"[]", b'{"auth": 5}', b"{}"])
def test_a_password_is_not_written_into_another_files_form(settings: bytes) -> None:
    with pytest.raises(ValueError, match=r"as the template has it|JSON|Expecting"):
        settings_format(TEMPLATE).with_password(settings, VALUES)


def test_the_wifi_that_a_board_has_is_read_back() -> None:
    form = settings_format(TEMPLATE)
    assert form.wifi(form.render(VALUES)) == ("Ünet", "k{ey}")
    for settings in None, b"", b"{", b"[]", b"\xff", b'{"wlan": 5}', b'{"wlan": [null, 5]}':
        assert form.wifi(settings) == ("", "")
    assert settings_format('{"p": "{password}"}').wifi(form.render(VALUES)) == ("", "")


def test_a_plain_file_is_the_password() -> None:
    form = settings_format("plain")
    assert form.render(VALUES) == VALUES.password.encode()
    assert form.with_password(b"old", VALUES) == VALUES.password.encode()
    assert form.wifi(b"old") == ("", "")
    assert not form.sets_hostname


def test_the_cameras_file_is_the_cameras() -> None:
    form = settings_format("camera")
    written = json.loads(form.render(VALUES))
    assert (written["user"], written["hostname"], written["ntp_host"]) == ("Ada", "porch", "")
    assert form.wifi(camera_settings(hostname="a", password="x", wifi_ssid="n", wifi_key="k")) == (
        "n",
        "k",
    )
    changed = json.loads(form.with_password(json.dumps(written).encode(), VALUES))
    assert changed["password"] != written["password"]
    assert {**changed, "password": 0} == {**written, "password": 0}


def test_the_cameras_features_are_switched_on_by_name() -> None:
    others, api_key = {"guest": SecretStr("a guest's")}, SecretStr("k" * 32)
    values = replace(VALUES, others=others, api_key=api_key)
    plain = json.loads(settings_format("camera").render(values))
    assert not FEATURES & plain.keys()

    form = settings_format("camera+logout+users")
    assert (form.sets_others, form.sets_api_key) == (True, False)
    written = json.loads(form.render(values))
    assert FEATURES & written.keys() == {"logout", "users"}
    assert written["logout"] is True
    (guest,) = written["users"]
    assert (guest["name"], guest["role"]) == ("guest", "basic")
    stored = guest["password"]
    assert stored == password_entry("a guest's", bytes.fromhex(stored["salt"]))
    assert stored["salt"] != written["password"]["salt"]

    form = settings_format("camera+all")
    assert (form.sets_others, form.sets_api_key) == (True, True)
    written = json.loads(form.render(values))
    assert written.keys() >= FEATURES
    hashed = hashlib.sha256(api_key.encode()).hexdigest()
    assert written["api_keys"] == [{"name": "bench", "hash": hashed}]
    assert json.loads(form.render(VALUES))["api_keys"] == []

    changed = json.loads(form.with_password(json.dumps(written).encode(), VALUES))
    assert {**changed, "password": 0} == {**written, "password": 0}


def test_other_formats_know_of_no_other_users_and_no_keys() -> None:
    for form in map(settings_format, ("camera", "plain", TEMPLATE)):
        assert not form.sets_others
        assert not form.sets_api_key


def test_what_is_written_is_not_shown() -> None:
    values = Values(
        "Ada", SecretStr("a-secret-word"), "porch", "", SecretStr("a-secret-key"),
        {"guest": SecretStr("a-secret-guest")}, SecretStr("a-secret-api-key"),
    )  # fmt: skip
    for form in map(settings_format, ("camera", "camera+all", "plain", TEMPLATE)):
        shown = repr((values, form.render(values), form.with_password(form.render(values), values)))
        assert "a-secret" not in shown
        assert "a-secret" not in repr(form.wifi(form.render(values)))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("camra", "neither camera, plain nor JSON"),
        ("camera+", "the camera has no feature ''"),
        ("camera+logot", "the camera has no feature 'logot'; known are all, api_keys, device"),
        ("plain+logout", "neither camera, plain nor JSON"),
        ('{"a": "{password}"', "nor JSON"),
        ('["{password}"]', "a template is a JSON object"),
        ('{"a": "{pasword}"}', "unknown placeholder {pasword}"),
        ('{"a": "{user}"}', "no text has {password} in it"),
        ('{"a": "{password} at {hostname}"}', "beside {password}"),
    ],
)
def test_a_format_that_is_none(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        settings_format(text)


def test_where_the_bench_cannot_set_a_password_it_asks_for_the_one_that_is(tmp_path: Path) -> None:
    """Before it touches the board."""
    camera = (PACKAGED / "camera.yaml").read_text()
    kept = [line for line in camera.splitlines() if not line.startswith("  settings")]
    (tmp_path / "own.yaml").write_text("\n".join(kept))
    devices = tmp_path / "devices.yaml"
    entry = "kind: virtual, model: openmv-n6, provision: true, profile: own.yaml"
    devices.write_text(f"targets:\n  door: {{{entry}}}\n")
    with pytest.raises(ConfigError, match=r"devices\.yaml:2:3: .* needs a 'password'"):
        bring_up(config.read(devices).targets["door"], tmp_path / "state")
    assert not (tmp_path / "state").exists()
