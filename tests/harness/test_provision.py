"""What the harness gives a camera: the application's files, microdot, settings.json."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from hil.errors import BenchError
from hil.provision import (
    application,
    camera_settings,
    microdot_tree,
    password_entry,
    reference,
    wifi_of,
    with_password,
)

FIRMWARE = Path(__file__).parents[2] / "firmware" / "camera"


def test_the_reference_application() -> None:
    assert reference() == FIRMWARE
    tree = application(reference())
    assert {"boot.py", "main.py", "auth/tokens.py", "auth/__init__.py"} <= tree.keys()
    assert not {"settings.json", "secret.bin", "clock.json"} & tree.keys()
    assert not {f"{name}.{slot}" for name in ("revoked", "refresh") for slot in "ab"} & tree.keys()
    assert tree["main.py"] == (FIRMWARE / "main.py").read_bytes()


def test_the_boards_own_files_are_never_part_of_it(tmp_path: Path) -> None:
    for name in (
        "main.py", "secret.bin", "settings.json", "clock.json", "revoked.a", "refresh.b",
        "README.md", ".hidden", "lib/a.mpy",
        "__pycache__/main.cpython-311.pyc", ".git/config", "static/index.html", "sub/secret.bin",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    expected = {"main.py", "lib/a.mpy", "static/index.html", "sub/secret.bin"}
    assert application(tmp_path).keys() == expected


def test_what_is_the_boards_own_is_up_to_the_application(tmp_path: Path) -> None:
    for name in ("main.py", "settings.json", "signing.key"):
        (tmp_path / name).write_bytes(b"x")
    assert application(tmp_path, {"signing.key"}).keys() == {"main.py", "settings.json"}


def test_a_folder_without_an_application(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"no main\.py"):
        application(tmp_path)


def test_microdot_is_the_installed_package() -> None:
    tree = microdot_tree()
    assert {f"lib/microdot/{name}.py" for name in ("__init__", "microdot", "auth")} <= tree.keys()
    assert not any("asgi" in path or path.endswith(".pyi") for path in tree)
    assert b"class Microdot" in tree["lib/microdot/microdot.py"]


def test_settings_hold_a_hash_and_not_the_password() -> None:
    written = camera_settings(
        hostname="porch", password="pässword", wifi_ssid="Ünet", wifi_key="k", ntp_host="",
        iterations=10, salt=b"0123456789abcdef",
    )  # fmt: skip
    assert "pässword".encode() not in written
    settings = json.loads(written)
    assert settings["wifi"] == {"ssid": "Ünet", "key": "k"}
    assert (settings["hostname"], settings["port"], settings["ntp_host"]) == ("porch", 80, "")
    expected = hashlib.pbkdf2_hmac("sha256", "pässword".encode(), b"0123456789abcdef", 10)
    assert settings["password"] == {
        "salt": b"0123456789abcdef".hex(), "iterations": 10, "hash": expected.hex(),
    }  # fmt: skip
    assert settings["password"] == password_entry("pässword", b"0123456789abcdef", 10)


def test_every_camera_has_its_own_salt() -> None:
    one, other = (camera_settings(hostname="a", password="x", iterations=1) for _ in range(2))
    assert one != other


@pytest.mark.parametrize("hostname", ["", "x" * 33])
def test_a_host_name_that_no_board_takes(hostname: str) -> None:
    with pytest.raises(BenchError, match="host name"):
        camera_settings(hostname=hostname, password="x")


def test_a_changed_password_leaves_the_rest() -> None:
    before = camera_settings(hostname="porch", password="old", wifi_ssid="net", wifi_key="k")
    one, other = json.loads(before), json.loads(with_password(before, "new"))
    entry = other["password"]
    assert entry == password_entry("new", bytes.fromhex(entry["salt"]))
    assert {**one, "password": entry} == other


def test_the_wifi_that_a_board_has_is_read_from_its_settings() -> None:
    assert wifi_of(camera_settings(hostname="a", password="x", wifi_ssid="net", wifi_key="k")) == (
        "net",
        "k",
    )
    for settings in None, b"", b"{", b"[]", b"\xff", b'{"wifi": 5}', b'{"wifi": null}':
        assert wifi_of(settings) == ("", "")
