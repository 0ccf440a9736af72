"""``hil init``: the devices.yaml that a bench's owner would have begun with."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mocked_usb import Plugged, python
from ruamel.yaml import YAML

from hil import config, draft
from hil.boards.table import identify, models
from hil.discovery.usb import UsbPort
from hil.errors import BenchError, ConfigError

# Eight different boards on two hubs, as a bench has them.
BENCH = (
    Plugged(0x37C5, 0x1206, "1-2.1", (("ttyACM0", 0),), "346534563033", "OpenMV Camera"),
    Plugged(0x37C5, 0x16E3, "1-2.2", (("ttyACM1", 0),), "0011223344556677", "OpenMV Camera"),
    Plugged(0x37C5, 0x1060, "1-2.3", (("ttyACM2", 0),), "8899aabbccddeeff", "OpenMV Camera"),
    Plugged(0x37C5, 0x124A, "1-2.4", (("ttyACM3", 0),), "306A37563136", "OpenMV Camera"),
    Plugged(0x2341, 0x045B, "1-3.1", (("ttyACM4", 0),), "306A37563137", "Portenta"),
    Plugged(0x2341, 0x055F, "1-3.2", (("ttyACM5", 0),), "306A37563138", "Nicla Vision"),
    Plugged(0x2341, 0x0466, "1-3.3", (("ttyACM6", 0),), "306A37563139", "Giga"),
    Plugged(0x303A, 0x4001, "1-3.10", (("ttyACM7", 0),), "aabbccddeeff3f21", "Espressif Device"),
)
BRIDGE = Plugged(0x1A86, 0x7523, "1-4", (("ttyUSB0", 0),), None, "USB Serial", interfaces=1)
LOADER = Plugged(0x2341, 0x035B, "1-5", serial="0033001F3033510634323437", product="DFU")
OLD = Plugged(0x1209, 0xABD1, "1-6", (("ttyACM8", 0),), "306A37563141", "OpenMV Virtual Comm Port")


@pytest.fixture
def hil(require_program, tmp_path):
    """The command as a user types it, in a folder of its own, at a bench of these devices."""
    umockdev_run = require_program("umockdev-run", "umockdev")
    return lambda plugged, *words: python(umockdev_run, tmp_path, plugged, "-m", "hil", *words)


@pytest.fixture(scope="module")
def written(require_program, tmp_path_factory):
    """A folder with the file that ``hil init`` writes at that bench."""
    folder = tmp_path_factory.mktemp("bench")
    umockdev_run = require_program("umockdev-run", "umockdev")
    done = python(umockdev_run, folder, BENCH, "-m", "hil", "init")
    assert (done.returncode, done.stderr) == (0, "")
    assert "n6, ae3, rt1062, h7-plus, portenta-h7" in done.stdout
    return folder


def entries(text):
    """What the file says, as plain YAML."""
    return YAML(typ="safe").load(text)["targets"]


def suggestions_taken(text):
    """The file, with every "# " before a key of an entry taken away."""
    return re.sub(r"(?m)^    # ((?:  )?[a-z_]+:(?: \S+)?)$", r"    \1", text)


def test_a_bench_of_eight_boards(written):
    inventory = config.load(None, written, {})
    told = [
        (name, spec.kind, spec.model, spec.usb_serial) for name, spec in inventory.targets.items()
    ]
    assert told == [
        ("n6", "board", "openmv-n6", "346534563033"),
        ("ae3", "board", "openmv-ae3", "0011223344556677"),
        ("rt1062", "board", "openmv-rt1062", "8899aabbccddeeff"),
        ("h7-plus", "board", "openmv-h7-plus", "306A37563136"),
        ("portenta-h7", "board", "arduino-portenta-h7", "306A37563137"),
        ("nicla-vision", "board", "arduino-nicla-vision", "306A37563138"),
        ("giga", "board", "arduino-giga", "306A37563139"),
        ("esp32-s3", "board", "esp32-s3", "aabbccddeeff3f21"),
    ]
    for spec in inventory.targets.values():
        assert not spec.provision, "consent is the owner's to give"
        assert spec.port is spec.hostname is spec.password is spec.wifi is None


def test_the_list_knows_every_board_that_was_written(hil, written):
    done = hil((*BENCH, BRIDGE), "list", "--json", "--devices", str(written / "devices.yaml"))
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["target"], row["state"], row["location"]) for row in rows] == [
        (name, "attached", plugged.place)
        for name, plugged in zip(
            ["n6", "ae3", "rt1062", "h7-plus", "portenta-h7", "nicla-vision", "giga", "esp32-s3"],
            BENCH,
            strict=True,
        )
    ]


def test_the_list_of_a_bench_where_not_all_is_well(hil, written):
    n6, ae3, rt1062, _, portenta, nicla, giga, _ = BENCH
    done = hil(
        (
            replace(n6, pid=0x9206, ttys=(), serial="34323437303351060033001F"),
            replace(ae3, ttys=(("ttyACM9", 0),)),  # has reset, and is numbered anew
            replace(rt1062, vid=0x15A2, pid=0x0073, ttys=(), serial=None),
            replace(portenta, pid=0x035B, ttys=(), serial="0000000000000000000000000"),
            replace(nicla, place="1-7"),
            replace(giga, pid=0x0066),
            OLD,
        ),
        "list",
        "--json",
        "--devices",
        str(written / "devices.yaml"),
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["target"], row["state"], row["port"], row["location"]) for row in rows] == [
        ("n6", "in its bootloader (USB 1-2.1, 37c5:9206)", "", "1-2.1"),
        ("ae3", "attached", "/dev/ttyACM9", "1-2.2"),
        ("rt1062", "absent; may be in its bootloader (USB 1-2.3, 15a2:0073)", "", ""),
        ("h7-plus", "absent", "", ""),
        ("portenta-h7", "absent; may be in its bootloader (USB 1-3.1, 2341:035b)", "", ""),
        ("nicla-vision", "attached", "/dev/ttyACM5", "1-7"),
        (
            "giga",
            "attached, but it runs other firmware than MicroPython (2341:0066)",
            "/dev/ttyACM6",
            "1-3.3",
        ),
        ("esp32-s3", "absent", "", ""),
        (
            None,
            "unlisted; an OpenMV camera with old firmware, which does not tell its model",
            "/dev/ttyACM8",
            "1-6",
        ),
        (None, "unlisted; in its bootloader", "", "1-2.3"),
        (None, "unlisted; in its bootloader", "", "1-3.1"),
    ]


def test_a_board_whose_driver_is_missing_is_there_and_has_no_port(hil, written):
    n6, ae3, *_ = BENCH
    done = hil(
        (replace(n6, ttys=()), replace(ae3, ttys=(), serial="00")),
        *("list", "--json", "--devices", str(written / "devices.yaml")),
    )
    assert done.returncode == 0, done.stderr
    rows = {row["location"]: row for row in json.loads(done.stdout)}
    assert rows["1-2.1"]["target"] == "n6"
    assert rows["1-2.1"]["state"].startswith("attached, but it shows no serial port: ")
    assert rows["1-2.2"]["state"] == "unlisted; shows no serial port"


def test_every_suggestion_can_be_taken(hil, tmp_path):
    hil((*BENCH, replace(BENCH[0], place="1-8", ttys=(("ttyACM9", 0),), serial="3465")), "init")
    file = tmp_path / "devices.yaml"
    file.write_text(suggestions_taken(file.read_text()))
    targets = config.load(None, tmp_path, {}).targets
    assert all(spec.provision and spec.wifi.key.name == "WIFI_KEY" for spec in targets.values())
    assert targets["portenta-h7"].password.name == "HIL_PORTENTA_H7_PASSWORD"
    names = [spec.hostname for spec in targets.values()]
    assert [name for name, spec in targets.items() if spec.hostname is None] == ["h7-plus"]
    assert len(set(names)) == len(names)
    assert re.fullmatch(r"n6-2-[0-9a-f]{6}", targets["n6-2"].hostname)


def test_other_programs_read_the_same_numbers(hil, tmp_path):
    """YAML 1.1 takes 0011 for an octal number, and 1.2 takes 306E37 for one in powers of ten."""
    hil((BENCH[0], BENCH[1], replace(BENCH[3], serial="306E37563136")), "init")
    found = entries((tmp_path / "devices.yaml").read_text())
    assert [entry["usb_serial"] for entry in found.values()] == [
        "346534563033",
        "0011223344556677",
        "306E37563136",
    ]


def test_what_consent_means_is_said(written):
    text = (written / "devices.yaml").read_text()
    assert "provision         true is your consent that hil writes on this board" in text
    assert text.count("    # provision: true\n") == len(BENCH)


def test_boards_that_cannot_be_listed_are_told_in_comments(hil, tmp_path):
    """And the bridge's entry loads once its comment is taken away."""
    resetting = replace(BENCH[1], pid=0x96E3, ttys=(), serial=None)
    hil((BENCH[0], BRIDGE, LOADER, OLD, replace(BENCH[6], pid=0x0066), resetting), "init")
    text = (tmp_path / "devices.yaml").read_text()
    assert list(entries(text)) == ["n6"]
    told = " ".join(text.split("\n\n", 2)[2].replace("\n  #", "").split())
    assert "If it is an ESP32-CAM: cam: kind: board model: esp32-cam port: " in told
    assert f"port: {BRIDGE.by_path}" in told
    assert (
        "Arduino Portenta H7, at USB 1-5, is in its bootloader (USB 2341:035b, serial number there"
        " 0033001F3033510634323437). Press its reset, or flash it; then `hil init` again. While it"
        " runs, its serial number is 346534563033."
    ) in told
    assert (
        "OpenMV AE3, at USB 1-2.2, is in its bootloader (USB 37c5:96e3, serial number there none)."
        " Every reset takes it through there. If it stays: press its reset, or flash it;"
    ) in told
    assert "An OpenMV camera with old firmware, at /dev/ttyACM8, USB 1-6" in told
    assert 'model: … usb_serial: "306A37563141"' in told
    assert "Arduino GIGA R1 WiFi, at /dev/ttyACM6, USB 1-3.3: it runs other firmware" in told

    before, cam, after = text.partition("  # cam:\n")
    entry, blank, rest = (cam + after).partition("\n\n")
    (tmp_path / "devices.yaml").write_text(
        before + re.sub(r"(?m)^  # ", "  ", entry) + blank + rest
    )
    assert config.load(None, tmp_path, {}).targets["cam"].port == BRIDGE.by_path


@pytest.mark.parametrize("serial", [None, "3465 Kaméra"])
def test_a_board_without_a_usable_number_is_listed_by_its_place(hil, tmp_path, serial):
    board = replace(BENCH[0], serial=serial)
    hil((board,), "init")
    spec = config.load(None, tmp_path, {}).targets["n6"]
    assert (spec.port, spec.usb_serial) == (board.by_path, None)
    (row,) = json.loads(hil((board,), "list", "--json").stdout)
    assert (row["state"], row["port"]) == ("attached", "/dev/ttyACM0")


def test_two_boards_with_one_number_are_listed_by_their_places(hil, tmp_path):
    twins = BENCH[0], replace(BENCH[0], place="1-2.4", ttys=(("ttyACM1", 0),))
    hil(twins, "init")
    targets = config.load(None, tmp_path, {}).targets
    assert [spec.port for spec in targets.values()] == [twin.by_path for twin in twins]
    assert len(set(re.findall(r"# hostname: (\S+)", (tmp_path / "devices.yaml").read_text()))) == 2
    rows = json.loads(hil(twins, "list", "--json").stdout)
    assert [row["location"] for row in rows] == ["1-2.1", "1-2.4"]


def test_a_board_with_two_serial_ports_is_one_entry(hil, tmp_path):
    hil((replace(BENCH[0], ttys=(("ttyACM0", 2), ("ttyACM1", 0)), interfaces=4),), "init")
    assert list(config.load(None, tmp_path, {}).targets) == ["n6"]


def test_a_file_that_is_there_is_replaced_by_force_only(hil, tmp_path):
    file = tmp_path / "devices.yaml"
    file.write_text("mine")
    refused = hil(BENCH, "init")
    assert (refused.returncode, file.read_text()) == (2, "mine")
    assert "devices.yaml is there already: nothing was written\n  -> --force" in refused.stderr
    assert hil(BENCH, "init", "--force").returncode == 0
    assert len(config.load(None, tmp_path, {}).targets) == 8
    assert [path.name for path in tmp_path.iterdir() if ".new" in path.name] == []


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    file = tmp_path / "devices.yaml"
    file.write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        draft.write(file, "ours", force=False)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(file.name, "mine")]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        draft.write(tmp_path / "absent" / "devices.yaml", "ours", force=False)


@pytest.mark.parametrize(("plugged", "told"), [((), "be listed\n"), ((LOADER,), "only USB 1-5 (")])
def test_no_board_to_list_is_an_error_and_no_file(hil, tmp_path, plugged, told):
    """An inventory of the embedded bench needs no file: it is the default."""
    done = hil(plugged, "init")
    assert done.returncode == 3
    assert told in done.stderr
    assert "embedded bench" in done.stderr
    assert not (tmp_path / "devices.yaml").exists()


_text = st.one_of(
    st.none(), st.text(max_size=16), st.text("#:{}&*!|>'\"%@`,[]?-~ nul0x", max_size=8)
)
_ids = [
    usb_id
    for row in models()
    for usb_id in (*row.run_ids, *row.bootloader_ids, *row.recovery_ids, *row.foreign_ids)
]


# What YAML would take for something else than text.
@example([((0x37C5, 0x1206), text, text) for text in ("Null", "~", "1:", "0o7", "- a")])
@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from([*_ids, (0x1209, 0xABD1), (1, 2)]), _text, _text), max_size=6
    )
)
def test_whatever_the_devices_say_the_file_loads(tmp_path_factory, devices):
    ports = []
    for at, ((vid, pid), serial, product) in enumerate(devices):
        row, mode = identify(vid, pid)
        clean = [
            "".join(c for c in text or "" if c.isprintable()).strip() or None
            for text in (serial, product)
        ]
        ports.append(
            UsbPort(
                device=f"/dev/ttyACM{at}",
                vid=vid,
                pid=pid,
                serial_number=clean[0],
                product=clean[1],
                location=f"1-{at}",
                model_key=row.key if row else None,
                mode=mode,
            )
        )
    links = {
        port.device: f"/dev/serial/by-path/pci-usb-0:{at}:1.0" for at, port in enumerate(ports)
    }
    listable = [port for port in ports if port.mode == "run" and port.model_key]
    if not listable:
        with pytest.raises(BenchError):
            draft.draft(ports, links)
        return
    file = tmp_path_factory.mktemp("drafts", numbered=True) / "devices.yaml"
    text = draft.draft(ports, links)
    for content in (text, suggestions_taken(text)):
        draft.write(file, content, force=True)
        targets = config.load(None, file.parent, {}).targets
        assert len(targets) == len(listable)
        for spec, port in zip(targets.values(), listable, strict=True):
            assert spec.usb_serial == port.serial_number or spec.port == links[port.device]
