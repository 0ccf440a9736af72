"""devices.yaml: what it may say, and how its mistakes are told."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil import config, power_entry
from hil.boards.table import models
from hil.document import Document
from hil.errors import ConfigError
from hil.secrets import SecretStr
from hil.target_entry import FIELDS


@pytest.fixture
def devices(tmp_path):
    def write(text):
        path = tmp_path / "devices.yaml"
        path.write_bytes(text if isinstance(text, bytes) else dedent(text).encode())
        return path

    return write


@pytest.fixture
def mistakes(devices):
    """The mistakes of a text, each as ``LINE:COLUMN: what is wrong``."""

    def of(text):
        path = devices(text)
        with pytest.raises(ConfigError) as caught:
            config.read(path)
        lines = str(caught.value).splitlines()
        assert all(line.startswith(f"{path}:") for line in lines)
        return [line.removeprefix(f"{path}:") for line in lines]

    return of


def board(**fields):
    """A sound board, with these fields instead."""
    whole = {"kind": "board", "model": "openmv-n6", "usb_serial": "346534563033", **fields}
    lines = [f"    {key}: {value}" for key, value in whole.items() if value is not None]
    return "targets:\n  porch:\n" + "\n".join(lines) + "\n"


def virtual(latency):
    """A sound virtual board in one line, which takes its time."""
    more = "" if latency is None else f", latency: {latency}"
    return f"targets: {{porch: {{kind: virtual, model: openmv-n6{more}}}}}\n"


# --- which file ------------------------------------------------------------------------------


def test_without_a_file_the_embedded_bench_is_the_inventory(tmp_path):
    inventory = config.load(None, tmp_path, {})
    assert inventory.packaged
    assert [(t.name, t.kind, t.model, t.provision) for t in inventory.targets.values()] == [
        ("virtual-n6", "virtual", "openmv-n6", True),
        ("virtual-ae3", "virtual", "openmv-ae3", True),
    ]


def test_option_before_environment_before_rootdir(tmp_path):
    for name in ("option", "environment", "devices"):
        (tmp_path / f"{name}.yaml").write_text(
            f"targets: {{{name}: {{kind: url, url: http://a}}}}\n"
        )
    env = {"HIL_DEVICES": str(tmp_path / "environment.yaml")}
    option = tmp_path / "option.yaml"
    assert list(config.load(option, tmp_path, env).targets) == ["option"]
    assert list(config.load(None, tmp_path, env).targets) == ["environment"]
    assert list(config.load(None, tmp_path, {}).targets) == ["devices"]


def test_a_file_that_is_not_there_names_who_asked_for_it(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml:1:1: there is no such file.*--devices"):
        config.load(tmp_path / "nowhere.yaml", tmp_path, {})
    with pytest.raises(ConfigError, match="HIL_DEVICES"):
        config.load(None, tmp_path, {"HIL_DEVICES": str(tmp_path / "nowhere.yaml")})
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path, tmp_path, {})


def test_every_commented_example_is_sound_and_every_model_has_one():
    text = config.PACKAGED.read_text(encoding="utf-8")
    head, body = text.split("targets:\n")
    turned_on = re.sub(r"(?m)^  # ?(?=( *)[\w-]+:|  )", "  ", body)
    path = config.PACKAGED.with_name("devices-examples.yaml")
    document = Document(path, head + "targets:\n" + turned_on)
    targets = config._targets(document)
    assert not document.mistakes, str(document.error())
    assert {spec.model for spec in targets.values()} - {None} == {row.key for row in models()}
    assert targets["porch"].wifi == config.Wifi("bench", targets["garden"].wifi.key)
    for field in FIELDS:
        assert re.search(rf"(?m)^#   {field} ", head), f"{field} is not explained"


# --- what it may say ----------------------------------------------------------------------------


def test_a_full_board(devices, tmp_path):
    (tmp_path / "app").mkdir()
    path = devices("""\
        targets:
          porch:
            kind: board
            model: openmv-n6
            usb_serial: 0012
            hostname: no
            firmware: app
            provision: true
            user: owner
            password: ${PORCH_PASSWORD}
            wifi: {ssid: 12345, key: "${WIFI_KEY}"}
            boot_timeout_s: 20
            trusted_network: true
        """)
    porch = config.read(path).targets["porch"]
    assert porch == config.TargetSpec(
        name="porch",
        where=f"{path}:2:3",
        kind="board",
        model="openmv-n6",
        usb_serial="0012",  # the zeros stay
        hostname="no",  # is not a boolean
        firmware=str(tmp_path / "app"),
        provision=True,
        user="owner",
        password=config.EnvReference("PORCH_PASSWORD", f"{path}:10:15"),
        wifi=config.Wifi("12345", config.EnvReference("WIFI_KEY", f"{path}:11:30")),
        boot_timeout_s=20.0,
        trusted_network=True,
    )


def test_a_virtual_board_takes_its_time(devices):
    slow = config.read(devices(virtual("{reset_s: 3, wifi_s: 4.5}"))).targets["porch"]
    assert slow.latency == config.Latency(reset_s=3.0, wifi_s=4.5)
    fast = config.read(devices(virtual(None))).targets["porch"]
    assert fast.latency == config.Latency()


def test_settings_are_shared_by_merging(devices):
    path = devices("""\
        targets:
          a: &base
            kind: board
            model: openmv-n6
            usb_serial: aa
            provision: true
          b:
            <<: *base
            usb_serial: bb
        """)
    b = config.read(path).targets["b"]
    assert (b.kind, b.usb_serial, b.provision) == ("board", "bb", True)


def test_nothing_is_written_on_a_board_without_consent(devices):
    assert config.read(devices(board())).targets["porch"].provision is False


def test_a_spec_cannot_be_changed(devices):
    inventory = config.read(devices(board()))
    with pytest.raises(AttributeError):
        inventory.targets["porch"].provision = True
    with pytest.raises(TypeError):
        inventory.targets["other"] = inventory.targets["porch"]


# --- secrets ------------------------------------------------------------------------------------

SECRET = "hunter2-is-not-to-be-seen"


def test_secrets_are_looked_up_when_the_target_is_used(devices):
    path = devices(board(password="${PORCH_PASSWORD}", wifi="{ssid: s, key: '${WIFI_KEY}'}"))
    porch = config.read(path).targets["porch"]
    found = porch.secrets({"PORCH_PASSWORD": SECRET, "WIFI_KEY": "k"})
    assert found == config.Secrets(SecretStr(SECRET), SecretStr("k"))
    assert SECRET not in repr(found)


def test_unset_variables_are_told_together_with_line_and_target(devices):
    path = devices(board(password="${PORCH_PASSWORD}", wifi="{ssid: s, key: '${WIFI_KEY}'}"))
    porch = config.read(path).targets["porch"]
    with pytest.raises(ConfigError) as caught:
        porch.secrets({"WIFI_KEY": ""})
    first, second, hint = str(caught.value).splitlines()
    assert first == (
        f"{path}:6:15: target 'porch' needs the environment variable PORCH_PASSWORD,"
        " which is not set"
    )
    assert second.startswith(f"{path}:7:26: target 'porch' needs the environment variable WIFI_KEY")
    assert "export" in hint


@pytest.mark.parametrize(
    "value",
    [
        SECRET,
        f"{SECRET}${{X}}",
        f"${{X:-{SECRET}}}",
        f"$({SECRET})",
        f"[{SECRET}]",
        f"{{a: {SECRET}}}",
        "$X",
    ],
)
def test_a_password_in_clear_is_refused_and_not_echoed(mistakes, value):
    (line,) = mistakes(board(password=value))
    assert line == (
        "6:15: 'password' must not stand in this file: put it into an environment variable and"
        " write ${HIL_PORCH_PASSWORD}"
    )


def test_a_wifi_key_in_clear_is_refused_and_not_echoed(mistakes):
    (line,) = mistakes(board(wifi=f"{{ssid: s, key: {SECRET}}}"))
    assert line.startswith("6:26: 'key' must not stand in this file")
    assert SECRET not in line


@pytest.mark.parametrize(
    "text",
    [
        board(pasword=SECRET),
        board(wifi=SECRET),
        board(password=f'"{SECRET}'),
        board(password=f"a: {SECRET}"),
        board(password=f"%{SECRET}\x07"),
        board(password=f"*{SECRET}"),
        board(kind="url", model=None, usb_serial=None, url=f"http://owner:{SECRET}@cam"),
        f"targets:\n  porch: {SECRET}\n",
    ],
)
def test_no_mistake_echoes_a_secret(mistakes, text):
    told = "\n".join(mistakes(text))
    # An alias is a name in YAML's eyes; what it names is all that its message may tell.
    assert SECRET not in told or "alias" in told


# --- mistakes -----------------------------------------------------------------------------------


def test_all_mistakes_are_told_at_once_in_the_file_s_order(mistakes):
    assert mistakes("""\
        targets:
          porch:
            kind: bord
            modell: openmv-n6
            provision: maybe
          gate:
            kind: board
            model: openmv-n7
            boot_timeout_s: soon
        """) == [
        "3:11: 'kind' must be 'virtual', 'board', 'process' or 'url' (did you mean 'board'?)",
        "4:5: unknown key 'modell' (did you mean 'model'?)",
        "5:16: 'provision' must be true or false",
        "6:3: 'usb_serial' is missing: the board's USB serial number ('hil list' shows it),"
        " or 'port' where it has none, or 'labgrid'",
        "8:12: unknown model 'openmv-n7' (did you mean 'openmv-n6'?)",
        "9:21: 'boot_timeout_s' must be a number of seconds",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1:1: the file is empty"),
        ("# nothing\n", "1:1: the file is empty"),
        ("targets:\n", "1:1: no targets: list at least one"),
        ("targets: {}\n", "1:10: no targets: list at least one"),
        ("targets: porch\n", "1:10: no targets"),
        ("targets:\n- porch\n", "2:1: 'targets' must be a mapping"),
        ("- porch\n", "1:1: the file must begin with 'targets:'"),
        ("target: {}\n", "1:1: unknown key 'target' (did you mean 'targets'?)"),
        ("targets:\n\tporch: {}\n", "2:1: a tab: YAML indents with spaces"),
        ("targets: {a: 1\n", "not YAML: expected ',' or '}'"),
        ("targets: a: b\n", "1:11: not YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 1\n", "2:1: a second document begins here"),
        ("a: \x07\n", "1:4: character U+0007 is not allowed"),
        (b"ok: 1\na: \xff\n", "2:4: not UTF-8"),
        ("[" * 5000, "1:1: nested too deeply"),
        ('a: "\\U0FFFFFFF"', "1:1: not YAML"),
        ("targets: &a {porch: *a}\n", "an alias that contains itself"),
        ("targets: {porch: 1}\n", "1:11: target 'porch' must be a mapping"),
        ("targets: {pörch: {}}\n", "1:11: target name 'p\\xf6rch': letters"),
        ("targets: {../x: {}}\n", "1:11: target name '../x'"),
        ("targets: {? [a] : 1}\n", "1:13: a key must be text"),
        (board(kind=None), "2:3: 'kind' is missing: virtual, board, process, url"),
        (board(model=None), "2:3: 'model' is missing"),
        (board(usb_serial=None), "2:3: 'usb_serial' is missing"),
        (board(usb_serial=""), "5:5: 'usb_serial' has no value"),
        (board(usb_serial="a b"), "5:17: 'usb_serial' holds a blank"),
        (board(usb_serial=None, port="/dev/ttyACM0"), "5:11: '/dev/ttyACM0' may be another board"),
        (board(port="/dev/ttyACM0"), "6:5: 'port' may lead to another board than 'usb_serial'"),
        (board(name="x"), "6:5: unknown key 'name'"),
        (board(hostname="porch.local"), "6:15: 'hostname' goes without '.local'"),
        (board(hostname="x" * 33), "6:15: 'hostname' is 1 to 32"),
        (board(hostname="${X}"), "6:15: 'hostname' takes no ${NAME}"),
        (board(url="http://a"), "6:5: 'url' has no meaning for kind board, only for url"),
        (board(profile="camra"), "6:14: unknown profile 'camra' (did you mean 'camera'?)"),
        (board(profile="./mine.yaml"), "6:14: 'profile': there is no file './mine.yaml'"),
        (board(firmware="app"), "6:15: 'firmware': there is no folder 'app'"),
        (board(boot_timeout_s="0"), "6:21: 'boot_timeout_s' must be more than 0"),
        (board(boot_timeout_s=".nan"), "6:21: 'boot_timeout_s' must be a number of seconds"),
        (board(boot_timeout_s="nan"), "6:21: 'boot_timeout_s' must be more than 0"),
        (board(wifi="bench"), "6:11: 'wifi' must be a mapping with 'ssid' and 'key'"),
        (board(wifi="{ssid: s, key: ${K}}"), "inside { } write '${NAME}' with its quotes"),
        (board(wifi="{sid: x}"), "unknown key 'sid' (did you mean 'ssid'?)"),
        (board(wifi="{key: '${K}'}"), "6:5: 'ssid' is missing"),
        (board(user="[a]"), "6:11: 'user' must be text"),
        (board(user="a\n    user: b"), "7:5: 'user' is here twice (first in line 6)"),
        (board(latency="{}"), "6:5: 'latency' has no meaning for kind board, only for virtual"),
        (virtual("3"), "1:61: 'latency' must be a mapping with 'reset_s', 'wifi_s' and"),
        (virtual("{reset: 3}"), "1:62: unknown key 'reset' (did you mean 'reset_s'?)"),
        (virtual("{wifi_s: -1}"), "1:70: 'wifi_s' must be from 0 to 60 seconds"),
        (virtual("{wifi_s: long}"), "1:70: 'wifi_s' must be a number of seconds"),
        ("targets: {a: {kind: url}}\n", "1:11: 'url' is missing"),
        ("targets: {a: {kind: url, url: 'ftp://x'}}\n", "1:31: 'url' must be like http://"),
        ("targets: {a: {kind: url, url: 'http://[x'}}\n", "1:31: 'url' must be like http://"),
        ("targets: {a: {kind: url, url: 'http://x:0'}}\n", "1:31: 'url' must be like http://"),
        ("targets: {a: {<<: 3, kind: url, url: 'http://x'}}\n", "1:19: '<<' needs a mapping"),
    ],
)
def test_a_mistake_and_where_it_stands(mistakes, text, told):
    assert told in "\n".join(mistakes(text))


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("usb_serial", "aabb", "AABB"),
        ("port", "/dev/serial/by-id/x", "/dev/serial/by-id/x"),
        ("unique_id", "00112233445566778899aabb", "00112233445566778899AABB"),
        ("hostname", "omv-porch", "OMV-porch"),
    ],
)
def test_two_targets_are_not_one_board(mistakes, key, one, other):
    text = "targets:\n"
    for name, value in (("porch", one), ("gate", other)):
        text += f"  {name}:\n    kind: board\n    model: openmv-n6\n    {key}: {value}\n"
        text += f"    usb_serial: {name}\n" if key in ("unique_id", "hostname") else ""
    (line,) = mistakes(text)
    assert f"target 'porch' has the same '{key}'" in line


def test_aliases_that_multiply_are_stopped(mistakes):
    text = "a0: &a0 [x]\n"
    text += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20))
    assert any("too many aliases" in line for line in mistakes(text))


def test_names_select_targets_and_an_unknown_one_is_told(devices):
    inventory = config.embedded_inventory()
    assert [t.name for t in config.select(inventory, None)] == ["virtual-n6", "virtual-ae3"]
    assert [t.name for t in config.select(inventory, ["virtual-ae3"])] == ["virtual-ae3"]
    with pytest.raises(ConfigError) as caught:
        config.select(inventory, ["virtual-n7"])
    assert "no target 'virtual-n7' (did you mean 'virtual-n6'?)" in str(caught.value)
    assert "virtual-n6, virtual-ae3" in str(caught.value)


def test_importing_it_is_cheap():
    code = (
        "import sys, hil.config;"
        "print({'pydantic', 'ruamel.yaml', 'zeroconf', 'filelock'} & sys.modules.keys())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


# --- power -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "power"),
    [
        ("none", None),
        ("{uhubctl: {hub: 1-1.4, port: 2}}", power_entry.HubPortSpec("1-1.4", 2)),
        ("{uhubctl: {hub: 2, port: 14}}", power_entry.HubPortSpec("2", 14)),
        (
            "{command: {off: [relay, '1', a b], on: [relay, 2]}}",
            power_entry.CommandSpec(("relay", "1", "a b"), ("relay", "2")),
        ),
    ],
)
def test_power_is_none_a_hubs_port_or_two_commands(devices, written, power):
    assert config.read(devices(board(power=written))).targets["porch"].power == power


@pytest.mark.parametrize(
    ("written", "mistake"),
    [
        ("relay", "'power' must be none, or a mapping with 'uhubctl' or 'command'"),
        ("{}", "'power' must be none, or a mapping with 'uhubctl' or 'command'"),
        ("{uhubctl: {hub: 1, port: 1}, command: {off: [a], on: [b]}}", "'power' must be none, or"),
        ("{uhubctrl: {hub: 1, port: 1}}", "unknown key 'uhubctrl' (did you mean 'uhubctl'?)"),
        ("{uhubctl: 1-1}", "'uhubctl' must be a mapping with 'hub' and 'port'"),
        ("{uhubctl: {hub: 1-1}}", "'port' is missing"),
        ("{uhubctl: {hub: , port: 1}}", "'hub' has no value"),
        ("{uhubctl: {hub: 1-1, port: 2, pord: 3}}", "unknown key 'pord' (did you mean 'port'?)"),
        ("{uhubctl: {hub: -p, port: 1}}", "'hub' must be where the hub is plugged in, like 1-1.4"),
        ("{uhubctl: {hub: 1-1, port: 0}}", "'port' must be a port of the hub, from 1 to 14"),
        ("{uhubctl: {hub: 1-1, port: 1-4}}", "'port' must be a port of the hub, from 1 to 14"),
        ("{command: {off: relay off, on: [relay]}}", "'off' must be a list, [program, argument,"),
        ("{command: {off: [], on: [relay]}}", "'off' has no value"),
        ("{command: {off: [relay], on: [[relay]]}}", "'on' must be a list, [program, argument,"),
        ("{command: {off: [relay], on: ['${KEY}']}}", "'on' takes no ${NAME}: the program itself"),
        ("{command: {off: ['', a], on: [relay]}}", "'off' must begin with a program"),
    ],
)
def test_a_mistake_in_power_is_told_in_its_place(mistakes, written, mistake):
    (told,) = mistakes(board(power=written))
    place, _, what = told.partition(": ")
    assert place.startswith("6:")
    assert what.startswith(mistake)


def test_only_a_real_board_has_a_switch_for_its_power(mistakes):
    text = board(kind="virtual", usb_serial=None, power="none")
    assert mistakes(text) == ["5:5: 'power' has no meaning for kind virtual, only for board"]


def test_two_boards_on_one_switch_would_go_off_together(mistakes):
    porch = board(power="{uhubctl: {hub: 1-1, port: 2}}")
    shed = porch.replace("targets:\n", "").replace("porch", "shed").replace("33", "44")
    assert mistakes(porch + shed) == [
        "11:5: target 'porch' has the same 'power': it would go off with this one"
    ]


# --- anything at all -----------------------------------------------------------------------------

_word = st.one_of(
    st.sampled_from(sorted(FIELDS)),
    st.sampled_from(
        ["targets", "porch", "<<", "${X}", "~", "1", "true", ".nan", "/", "ssid", "name"]
    ),
    st.sampled_from(["uhubctl", "hub", "port", "command", "off", "on"]),
    st.sampled_from(
        ["board", "url", "virtual", "openmv-n6", "where", "http://[", "http://x:99999"]
    ),
    st.sampled_from(["\ud800", "\0"]),
)
_text = st.one_of(_word, st.text(max_size=20))
_tree = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), _text),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_text, inner, max_size=6)),
    max_leaves=25,
)


def _only_config_error(text: str) -> None:
    path = Path("devices.yaml")
    try:
        document = Document(path, text)
        config._targets(document)
        error = document.error()
    except ConfigError as refused:
        error = refused
    told = str(error)
    assert all(re.match(r"devices\.yaml:\d+:\d+: ", line) for line in told.splitlines())
    told.encode()  # it can be printed


@given(st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_or_refused(text):
    _only_config_error(text)


@given(st.lists(st.sampled_from([*"&*!|>%@`{}[],:?-#'\"\\ \n\tab0", "<<", "targets:"])))
@settings(max_examples=150, deadline=None)
def test_any_heap_of_yaml_s_own_characters_is_read_or_refused(pieces):
    _only_config_error("".join(pieces))


@given(st.one_of(_tree, st.fixed_dictionaries({"targets": st.dictionaries(_text, _tree)})))
@settings(max_examples=200, deadline=None)
def test_any_tree_is_read_or_refused(tree):
    import json  # JSON is YAML

    _only_config_error(json.dumps(tree))


_ENTRY = {
    "kind": "board",
    "model": "openmv-n6",
    "usb_serial": "33",
    "port": "rfc2217://loft-pi:4000",
    "unique_id": "00112233445566778899aabb",
    "hostname": "omv-porch",
    "url": "http://10.0.0.7",
    "provision": "true",
    "flash": {"image": "app.bin"},
    "password": "${PORCH}",
    "wifi": {"ssid": "bench", "key": "${WIFI}"},
    "boot_timeout_s": 3,
    "latency": {"reset_s": 3, "wifi_s": 4},
    "power": {"uhubctl": {"hub": "1-1", "port": 2}},
}


@given(
    st.fixed_dictionaries(
        {}, optional={key: st.just(value) | _tree for key, value in _ENTRY.items()}
    )
)
@settings(max_examples=300, deadline=None)
def test_any_value_among_sound_ones_is_read_or_refused(entry):
    """So that each field is looked at beside each other one, and either may be anything."""
    import json

    _only_config_error(json.dumps({"targets": {"porch": entry}}))


# --- ports behind a serial server ---------------------------------------------------------------


@pytest.mark.parametrize("port", ["rfc2217://loft-pi:4000", "socket://10.0.0.7:4001"])
def test_a_port_may_be_at_a_serial_server(devices, port):
    path = devices(board(usb_serial=None, port=port, unique_id="00112233445566778899AAbb"))
    porch = config.read(path).targets["porch"]
    assert (porch.port, porch.unique_id) == (port, "00112233445566778899AAbb")


@pytest.mark.parametrize(
    "port",
    [
        *("telnet://loft-pi:4000", "rfc2217://loft-pi", "rfc2217://:4000", "socket://loft-pi:0"),
        *("socket://loft-pi:70000", "rfc2217://me:secret@loft-pi:4000", "rfc2217://loft-pi:1/x"),
        *("rfc2217://loft-pi:4000?timeout=100", "rfc2217://[loft:4000", '"socket://loft pi:4000"'),
    ],
)
def test_a_port_at_a_serial_server_has_a_host_and_a_port_and_nothing_else(mistakes, port):
    (told,) = mistakes(board(usb_serial=None, port=port))
    assert "rfc2217://HOST:PORT or socket://HOST:PORT" in told
    assert "secret" not in told


def test_a_usb_serial_number_does_not_show_through_a_serial_server(mistakes):
    (told,) = mistakes(board(port="rfc2217://loft-pi:4000"))
    assert told.startswith("5:5: 'usb_serial' does not show through")
    assert "unique_id" in told


@pytest.mark.parametrize("unique_id", ["0011", "00:11", "0x001122", "001"])
def test_a_unique_id_is_as_long_as_the_models(mistakes, unique_id):
    (told,) = mistakes(board(unique_id=f'"{unique_id}"'))
    assert "'unique_id'" in told
    assert "digits" in told


def test_a_board_at_a_serial_server_is_not_flashed_from_here(mistakes, devices, tmp_path):
    entry = {"usb_serial": None, "port": "rfc2217://loft-pi:4000", "provision": "true"}
    (told,) = mistakes(board(**entry, flash="{image: app.bin}"))
    assert "does not reach the bootloader of a board at a serial server" in told
