"""What dfu-util's output says: which bootloaders it sees, and whether a download is proven.

Tried with dfu-util 0.11. It ends with status 0 although the board has ended in dfuERROR, and with
another one after a good download when the board is gone before the USB reset that it asked for. So
the output decides, never the status.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .tool import Ran

_FOUND = re.compile(
    r'^Found DFU: \[(?P<vid>[0-9a-f]{4}):(?P<pid>[0-9a-f]{4})\].*?path="(?P<path>[^"]*)",'
    r' alt=(?P<alt>\d+), name="(?P<name>.*)", serial="(?P<serial>.*)"\s*$',
    re.MULTILINE,
)
FORBIDDEN = re.compile(r"Cannot open DFU device .*LIBUSB_ERROR_ACCESS")
BEGUN = re.compile(
    r"^(Copying data from PC to DFU device|Downloading element to address)", re.MULTILINE
)
_BAR = re.compile(r"Download\s*\[[= ]*\]\s+\d+%\s+(\d+) bytes")
_STATE = re.compile(r"DFU state\((\d+)\) = (\S+), status\((\d+)\) = ([^\r\n]*)")
_DONE = re.compile(r"^Download done\.", re.MULTILINE)
_ENDED = re.compile(r"^(Done!|File downloaded successfully)", re.MULTILINE)
_LIBUSB = re.compile(r"LIBUSB_ERROR_([A-Z_]+)")
UNREADABLE = re.compile(r"Failed to retrieve (string descriptor|language identifiers)")
VANISHED = "the board vanished from USB"
# What dfu-util writes for a string that it could not read.
_UNREAD = "UNKNOWN"
_WHY = {
    "NO_DEVICE": VANISHED,
    "TIMEOUT": "the board answers no more",
    "PIPE": "the board refused a block",
    "IO": "the transfer broke off",
    "ACCESS": "no permission to use the USB device",
}


@dataclass(frozen=True)
class Bootloader:
    """A bootloader on USB as dfu-util lists it.

    :ivar path: where it is plugged in: ``1-2.3``
    :ivar serial_number: in the bootloader's own form; None: it could not be read
    :ivar alts: names of the alternate settings by number; None: it could not be read
    """

    vid: int
    pid: int
    path: str
    serial_number: str | None
    alts: dict[int, str | None]

    @property
    def readable(self) -> bool:
        return self.serial_number is not None and None not in self.alts.values()

    def __str__(self) -> str:
        return f"{self.vid:04x}:{self.pid:04x} at {self.path}, serial {self.serial_number}"


def parse_listing(said: str) -> list[Bootloader]:
    """The bootloaders in the output of ``dfu-util -l``, in its order."""
    found: dict[tuple[int, int, str], Bootloader] = {}
    for line in _FOUND.finditer(said):
        vid, pid, path = int(line["vid"], 16), int(line["pid"], 16), line["path"]
        serial = None if line["serial"] == _UNREAD else line["serial"]
        one = found.setdefault((vid, pid, path), Bootloader(vid, pid, path, serial, {}))
        one.alts[int(line["alt"])] = None if line["name"] == _UNREAD else line["name"]
    return list(found.values())


def downloaded(said: str) -> int:
    """Bytes that the last progress bar of a download shows; 0 before the first."""
    last = 0
    for bar in _BAR.finditer(said):
        last = int(bar[1])
    return last


def complaint(ran: Ran, size: int) -> str:
    """What is wrong with a download by its output; empty: nothing.

    :param size: bytes that had to go over
    """
    begun = BEGUN.search(ran.said)
    # A board that had been left in dfuERROR is cleared first: what counts comes after.
    tail = ran.said[begun.end() :] if begun else ran.said
    usb = _LIBUSB.findall(tail)
    why = _WHY.get(usb[-1], f"LIBUSB_ERROR_{usb[-1]}") if usb else ""
    if begun is None:
        return f"the download did not begin{why and f': {why}'}"
    at = f" after {downloaded(tail)} of {size} bytes"
    states = _STATE.findall(tail)
    for _, state, number, text in states:
        if state == "dfuERROR" or number != "0":
            return f"the board ended in {state}{at}: {text.strip()}"
    if ran.timed_out:
        return f"not through in time, ended{at}"
    if not _DONE.search(tail) or not _ENDED.search(tail):
        return f"it broke off{at}{why and f': {why}'}"
    if downloaded(tail) != size:
        return f"it says that it is done{at}"
    return ""
