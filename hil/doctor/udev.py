"""udev rules for the boards of the table: printed, and looked for among those of the host."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from ..boards.model import Model, UsbId, UsbMode
from ..boards.table import models

#: Where udev looks; of two files with one name it takes the first one's (udev(7)).
FOLDERS = ("etc/udev/rules.d", "run/udev/rules.d", "usr/lib/udev/rules.d", "lib/udev/rules.d")

#: Before 73-seat-late.rules, which acts upon "uaccess", 77-mm-*.rules and 80-udisks2.rules.
FILE = "70-hil.rules"

INSTALL = (
    f"hil doctor --udev | sudo tee /etc/udev/rules.d/{FILE}, then: sudo udevadm control --reload"
    " && sudo udevadm trigger"
)

_HEAD = f"""\
# {FILE}: the boards that hil knows. Made by 'hil doctor --udev'. To install:
#
#   hil doctor --udev | sudo tee /etc/udev/rules.d/{FILE}
#   sudo udevadm control --reload && sudo udevadm trigger
#
# What it does, for each USB id below:
#   access          the group dialout, and whoever sits at the computer, may open the serial port,
#                   the bootloader (dfu-util) and the HID loader (blhost). Where your distribution's
#                   group is another one ('uucp'), change it here.
#   ModemManager    leaves the port alone. It would open each new one and talk to it: for about a
#                   second the port is busy, and what it sends ends the camera's application.
#   no automount    of the camera's drive. Two that write to one FAT spoil it.
#
# Shared ids. 1209:ABD1 is older OpenMV firmware of every model. 0483:DF11 is the ROM loader of
# every STM32, 15A2:0073 and 1FC9:0135 those of NXP's i.MX, 303A:1001 and 303A:4001 any ESP32 with
# native USB: a rule for them holds for other makers' boards too. They get access, which harms
# none, and none of them is a modem.
# Left out, because it may be anything, also a modem: a UART bridge (CH340, CP210x, FTDI), as an
# ESP32-CAM and an AE3's recovery port have one. If ModemManager troubles yours, name this one
# bridge by its serial number ('udevadm info -q property -n /dev/ttyUSB0' tells):
#   SUBSYSTEM=="tty", ENV{{ID_SERIAL_SHORT}}=="...", ENV{{ID_MM_PORT_IGNORE}}="1"

ACTION=="remove", GOTO="hil_end"
SUBSYSTEM!="usb|tty|hidraw|block", GOTO="hil_end"
"""

# The device itself, whose properties ModemManager reads; and what hangs on it.
_RULES = """
# {what}
SUBSYSTEM=="usb", ENV{{DEVTYPE}}=="usb_device", ATTR{{idVendor}}=="{vid}", \
ATTR{{idProduct}}=="{pid}", ENV{{ID_MM_DEVICE_IGNORE}}="1", {access}
SUBSYSTEM=="tty|hidraw", ATTRS{{idVendor}}=="{vid}", ATTRS{{idProduct}}=="{pid}", \
ENV{{ID_MM_DEVICE_IGNORE}}="1", ENV{{ID_MM_PORT_IGNORE}}="1", {access}
"""
_ACCESS = 'MODE="0660", GROUP="dialout", TAG+="uaccess"'

_DRIVE = """\
SUBSYSTEM=="block", ATTRS{{idVendor}}=="{vid}", ATTRS{{idProduct}}=="{pid}", \
ENV{{UDISKS_IGNORE}}="1", ENV{{UDISKS_AUTO}}="0"
"""


def rules() -> str:
    """The rules file for every model of the board table."""
    drives = {usb_id for row in models() for usb_id in (*row.run_ids, *row.legacy_ids)}
    text = _HEAD
    for (vid, pid), whose in ids(models()).items():
        number = {"vid": f"{vid:04x}", "pid": f"{pid:04x}"}
        text += _RULES.format(what="; ".join(whose), access=_ACCESS, **number)
        if (vid, pid) in drives:
            text += _DRIVE.format(**number)
    return text + '\nLABEL="hil_end"\n'


def ids(rows: Iterable[Model]) -> dict[UsbId, list[str]]:
    """The ids of these models while they run, in their bootloader and in recovery, and whose each
    is: ``OpenMV N6``, ``OpenMV N6, bootloader``."""
    found: dict[UsbId, list[str]] = {}
    for row in rows:
        of_mode: dict[UsbMode, tuple[UsbId, ...]] = {
            "run": row.run_ids + row.legacy_ids,
            "bootloader": row.bootloader_ids,
            "recovery": row.recovery_ids,
        }
        for mode, usb_ids in of_mode.items():
            for usb_id in usb_ids:
                found.setdefault(usb_id, []).append(
                    row.title if mode == "run" else f"{row.title}, {mode}"
                )
    return found


@dataclass(frozen=True)
class Rule:
    """One line of a rules file.

    :ivar terms: (key, operator, value): ``("ATTRS{idVendor}", "==", "37c5")``
    """

    file: str
    terms: tuple[tuple[str, str, str], ...]

    def matches(self, usb_id: UsbId) -> bool:
        """Whether it names this USB id, be it by a pattern. Other conditions do not count."""
        vendor, product = (f"{number:04x}" for number in usb_id)
        of = {"idVendor": vendor, "ID_VENDOR_ID": vendor}
        of |= {"idProduct": product, "ID_MODEL_ID": product}
        named = False
        for key, operator, pattern in self.terms:
            name = key.partition("{")[2].rstrip("}")
            if name not in of or operator not in ("==", "!="):
                continue
            fits = any(fnmatchcase(of[name], one.lower()) for one in pattern.split("|"))
            if fits != (operator == "=="):
                return False
            named = named or operator == "=="
        return named

    def assigns(self, key: str) -> str | None:
        """The value that it gives ``key``; None: none."""
        for name, operator, value in self.terms:
            if name == key and operator in ("=", "+=", ":="):
                return value
        return None


_TERM = re.compile(r"([A-Z_]+(?:\{[^}]*\})?)\s*(==|!=|\+=|-=|:=|=)\s*[ei]?\"((?:[^\"\\]|\\.)*)\"")


def parse(text: str, file: str = "") -> Iterator[Rule]:
    """The rules of a file; what is none is left out, as udev does."""
    for line in text.replace("\\\n", "").splitlines():
        if not line.lstrip().startswith("#") and (terms := _TERM.findall(line)):
            yield Rule(file, tuple(terms))


def installed(root: Path) -> list[Rule]:
    """All rules of a host.

    :param root: its root folder
    """
    files: dict[str, Path] = {}
    for folder in FOLDERS:
        for path in sorted((root / folder).glob("*.rules")):
            files.setdefault(path.name, path)
    found: list[Rule] = []
    for name in sorted(files):
        try:
            found += parse(files[name].read_text(errors="replace"), name)
        except OSError:  # a dangling link, or not ours to read
            continue
    return found


def lacking(rules: Iterable[Rule], usb_ids: Iterable[UsbId], key: str, value: str) -> list[UsbId]:
    """Those ids for which no rule sets ``key`` to ``value``."""
    setting = [rule for rule in rules if rule.assigns(key) == value]
    return [usb_id for usb_id in usb_ids if not any(rule.matches(usb_id) for rule in setting)]
