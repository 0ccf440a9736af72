"""The udev rules: for every id of the board table, and read by the real udev."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.boards.table import model, models
from hil.doctor.udev import ids, lacking, parse, rules

BOARD = "/devices/pci0000:00/0000:00:14.0/usb1/1-2"
NODES = {
    "usb": (BOARD, "bus/usb/001/005", 189, 4),
    "tty": (f"{BOARD}/1-2:1.0/tty/ttyACM0", "ttyACM0", 166, 0),
    "hidraw": (f"{BOARD}/1-2:1.0/0003:15A2:0073.0001/hidraw/hidraw0", "hidraw0", 240, 0),
    "block": (f"{BOARD}/1-2:1.2/host1/target1:0:0/1:0:0:0/block/sda", "sda", 8, 0),
}


def test_every_id_of_the_table_is_kept_from_modem_manager_and_opened_to_the_user() -> None:
    printed = list(parse(rules()))
    every = ids(models())
    assert lacking(printed, every, "ENV{ID_MM_DEVICE_IGNORE}", "1") == []
    assert lacking(printed, every, "TAG", "uaccess") == []
    assert (0x37C5, 0x9206) in every, "bootloaders too"
    assert (0x1FC9, 0x0135) in every, "and recovery"


def test_every_drive_of_the_table_is_kept_from_being_mounted() -> None:
    running = [usb_id for row in models() for usb_id in (*row.run_ids, *row.legacy_ids)]
    assert lacking(parse(rules()), running, "ENV{UDISKS_IGNORE}", "1") == []


def test_no_other_id_is_named() -> None:
    """A UART bridge may be a modem's, an Arduino under a sketch somebody else's."""
    others = [(0x1A86, 0x7523), (0x10C4, 0xEA60), (0x0403, 0x6015)]
    others += model("arduino-giga").foreign_ids
    assert lacking(parse(rules()), others, "ENV{ID_MM_DEVICE_IGNORE}", "1") == others
    assert "UART bridge" in rules(), "and it says so"


@given(st.text())
def test_any_text_is_read_as_rules_or_as_none(text: str) -> None:
    for rule in parse(text):
        rule.matches((0x37C5, 0x1206))
        rule.assigns("MODE")


@given(st.sampled_from(["37c5", "37C5", "37*|1209", "1209|37c5"]), st.booleans())
def test_a_rule_names_ids_by_patterns(pattern: str, negated: bool) -> None:
    operator = "!=" if negated else "=="
    text = f'ATTRS{{idVendor}}{operator}"{pattern}", ATTRS{{idProduct}}=="1206", MODE="0666"'
    (rule,) = parse(text)
    assert rule.matches((0x37C5, 0x1206)) is not negated
    assert not rule.matches((0x37C5, 0x1207))


# In a mount namespace of its own: udev reads its rules from fixed places and keeps what it found.
NAMESPACE = """\
set -e
mount -t tmpfs none /run/udev
mkdir -p /run/udev/rules.d
mount -t tmpfs none /dev/char
mount -t tmpfs none /dev/block
cp "$1" /run/udev/rules.d/70-hil.rules
exec umockdev-run -d "$2" -- "$3" test --action=add "/sys$4"
"""


@pytest.fixture
def udev_says(
    tmp_path: Path, require_program: Callable[[str, str], Path]
) -> Callable[[str, tuple[int, int], str], tuple[set[str], str]]:
    """``udev_says(rules, (0x37C5, 0x1206), "tty")``: the properties that udev gives the device, and
    all that it prints."""
    udevadm = require_program("udevadm", "udev")
    require_program("umockdev-run", "umockdev")
    require_program("unshare", "util-linux")
    if os.getuid() != 0:
        pytest.skip("needs root, for a mount namespace")

    def ask(text: str, usb_id: tuple[int, int], subsystem: str) -> tuple[set[str], str]:
        (tmp_path / "hil.rules").write_text(text)
        (tmp_path / "board.umockdev").write_text(_described(usb_id, subsystem))
        for folder in ("/run/udev", "/dev/char", "/dev/block"):
            Path(folder).mkdir(exist_ok=True)
        ran = subprocess.run(
            [
                *("unshare", "-m", "bash", "-c", NAMESPACE, "bash", tmp_path / "hil.rules"),
                *(tmp_path / "board.umockdev", udevadm, NODES[subsystem][0]),
            ],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if "unshare failed" in ran.stderr or "mount:" in ran.stderr:
            pytest.skip("needs a root that may mount")
        assert ran.returncode == 0, ran.stderr[-2000:]
        return set(ran.stdout.splitlines()), ran.stdout + ran.stderr

    return ask


def _described(usb_id: tuple[int, int], subsystem: str) -> str:
    """The board, and what hangs on it, as umockdev takes it."""
    vid, pid = (f"{number:04x}" for number in usb_id)
    told = ""
    for kind in dict.fromkeys(("usb", subsystem)):
        path, node, major, minor = NODES[kind]
        told += f"P: {path}\nN: {node}\nE: SUBSYSTEM={kind}\nE: DEVNAME=/dev/{node}\n"
        told += f"E: MAJOR={major}\nE: MINOR={minor}\n"
        if kind == "usb":
            told += "E: DEVTYPE=usb_device\nE: BUSNUM=001\nE: DEVNUM=005\n"
            told += f"A: idVendor={vid}\\n\nA: idProduct={pid}\\n\n"
        told += "\n"
    return told


UdevSays = Callable[[str, tuple[int, int], str], tuple[set[str], str]]


def test_udev_takes_the_rules_without_a_complaint_and_obeys_them(udev_says: UdevSays) -> None:
    n6, sbl = model("openmv-n6").run_ids[0], model("openmv-rt1062").bootloader_ids[0]
    device, said = udev_says(rules(), n6, "usb")
    complaints = [
        line for line in said.splitlines() if "70-hil.rules:" in line and "RUN" not in line
    ]
    complaints = [line for line in complaints if "Invalid" in line or "Unknown" in line]
    assert complaints == []
    assert "ID_MM_DEVICE_IGNORE=1" in device
    assert any(line.startswith("TAGS=") and "uaccess" in line for line in device)
    port, _ = udev_says(rules(), n6, "tty")
    assert {"ID_MM_DEVICE_IGNORE=1", "ID_MM_PORT_IGNORE=1"} <= port
    drive, _ = udev_says(rules(), n6, "block")
    assert {"UDISKS_IGNORE=1", "UDISKS_AUTO=0"} <= drive
    loader, _ = udev_says(rules(), sbl, "hidraw")
    assert any(line.startswith("TAGS=") and "uaccess" in line for line in loader)


def test_udev_leaves_a_device_alone_that_is_no_board(udev_says: UdevSays) -> None:
    modem, _ = udev_says(rules(), (0x1A86, 0x7523), "tty")
    assert not any(line.startswith(("ID_MM", "UDISKS")) for line in modem)


def test_udev_complains_of_a_rule_that_is_wrong(udev_says: UdevSays) -> None:
    """What the first test of udev would see."""
    _, said = udev_says(rules().replace("GROUP=", "GRUP="), (0x37C5, 0x1206), "usb")
    assert "Invalid key 'GRUP'" in said


def test_the_rules_are_printed_by_the_command(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "hil", "doctor", "--udev"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert ran.stdout == rules()
    assert "/etc/udev/rules.d/" in ran.stdout
