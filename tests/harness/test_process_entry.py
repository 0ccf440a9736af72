"""``kind: process`` in devices.yaml: what it says, and each mistake at its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil import config
from hil.errors import ConfigError
from hil.process_entry import Placeholder, filled, placeholders

SOUND = """\
targets:
  gate:
    kind: process
    command: python3 server.py --port {port}
    folder: app
    env: {KEY: "{secret}", EMPTY: ""}
    ready: /health
    services:
      redis: {command: [redis-server, --port, "{port:redis}"]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app").mkdir()
    return tmp_path


def read(folder: Path, text: str) -> config.TargetSpec:
    (folder / "devices.yaml").write_text(text)
    return config.read(folder / "devices.yaml").targets["gate"]


def test_an_entry_is_read(folder: Path) -> None:
    process = read(folder, SOUND).process
    assert process is not None
    assert process.command == ("python3", "server.py", "--port", "{port}")
    assert process.env == {"KEY": "{secret}", "EMPTY": ""}
    assert process.folder == str(folder / "app")
    assert process.ready == "/health"
    assert process.services["redis"].command == ("redis-server", "--port", "{port:redis}")
    assert process.placeholders == {
        Placeholder("port"),
        Placeholder("secret"),
        Placeholder("port", "redis"),
    }


def test_its_folder_is_that_of_the_file(folder: Path) -> None:
    process = read(folder, SOUND.replace("    folder: app\n", "")).process
    assert process is not None
    assert process.folder == str(folder)


@pytest.mark.parametrize(
    ("written", "instead", "told"),
    [
        ("command: python3 server.py --port {port}", "", "2:3: 'command' is missing"),
        ("--port {port}", "", "4:14: nothing tells the server its port: write {port}"),
        ("--port {port}", "--port {prt}", "4:14: unknown placeholder {prt} (did you mean 'port'?)"),
        ("--port {port}", "{port} 'x", "4:14: 'command' is no command line: No closing quotation"),
        ("--port {port}", "{port} ${HOME}", "4:14: 'command' takes no ${NAME}"),
        ("python3 server.py --port {port}", "{a: 1}", "4:14: 'command' must be a command line or"),
        ("folder: app", "folder: ap", "5:13: 'folder': there is no folder 'ap' beside this file"),
        ("folder: app", "foldr: app", "5:5: unknown key 'foldr' (did you mean 'folder'?)"),
        ("folder: app", "model: openmv-n6", "5:5: 'model' has no meaning for kind process"),
        ("folder: app", "process: app", "5:5: unknown key 'process'"),
        ('KEY: "{secret}"', 'KEY: "{secrt}"', "6:16: unknown placeholder {secrt} (did you mean"),
        ('KEY: "{secret}"', 'KEY: "{api_key:x}"', "6:16: {api_key:x}: {api_key} goes without a"),
        (
            'KEY: "{secret}"',
            'KEY: "{provider}{provider:leia}"',
            "6:10: the bench has one OpenID provider",
        ),
        ('KEY: "{secret}"', 'KEY: "${KEY}"', "6:16: 'env' takes no ${NAME}: the bench makes up"),
        ('KEY: "{secret}"', "KEY: [a]", "6:16: 'KEY' must be text"),
        ('KEY: "{secret}"', "1KEY: a", "6:11: '1KEY' is no name of a variable"),
        ('{KEY: "{secret}", EMPTY: ""}', "[a]", "6:10: 'env' must be a mapping"),
        ("ready: /health", "ready: health", "7:12: 'ready' must be a path"),
        ("{port:redis}", "6379", "9:24: nothing tells the service its port: write {port:redis}"),
        ("{command: [", "{comand: [", "9:15: unknown key 'comand' (did you mean 'command'?)"),
        ("redis: {", "'re dis': {", "9:7: service name 're dis'"),
        ("kind: process", "kind: url\n    url: http://a", "5:5: 'command' has no meaning for kind"),
    ],
)
def test_a_mistake_is_told_at_its_place(
    folder: Path, written: str, instead: str, told: str
) -> None:
    assert written in SOUND
    with pytest.raises(ConfigError) as error:
        read(folder, SOUND.replace(written, instead, 1))
    assert f"devices.yaml:{told}" in error.value.message


def test_a_secret_in_clear_is_refused_and_not_echoed(folder: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read(folder, SOUND + "    api_key: hunter2\n")
    assert "'api_key' must not stand in this file" in error.value.message
    assert "${HIL_GATE_API_KEY}" in error.value.message
    assert "hunter2" not in error.value.message


def test_values_are_filled_in_in_one_pass() -> None:
    values = {Placeholder("password"): "{secret}", Placeholder("secret"): "s"}
    assert filled('{"a": "{password}"}', values) == '{"a": "{secret}"}'


@given(st.text())
def test_a_text_without_placeholders_stays_as_it_is(text: str) -> None:
    if not list(placeholders(text)):
        assert filled(text, {}) == text
