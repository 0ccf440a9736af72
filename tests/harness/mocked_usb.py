"""A bench on USB that is not there, for programs that run under ``umockdev-run``: pyserial and the
harness read it in a ``/sys`` and a ``/dev`` of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# udev's links are relative. umockdev makes absolute ones to files of its own folder, which lead a
# program out of the mocked /dev.
_RUN = """
import os, pathlib, sys
for link in pathlib.Path(os.environ["UMOCKDEV_DIR"]).glob("dev/serial/by-path/*"):
    target = link.readlink().name
    link.unlink()
    link.symlink_to(f"../../{target}")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
CONTROLLER = "/devices/pci0000:00/0000:00:14.0"


@dataclass(frozen=True)
class Plugged:
    """A device that is plugged in.

    :ivar place: ``1-2.3``
    :ivar ttys: ``ttyACM0`` of each serial port that it shows, and at which interface
    :ivar serial: None: the device has no serial number; the same for the product
    """

    vid: int
    pid: int
    place: str
    ttys: tuple[tuple[str, int], ...] = ()
    serial: str | None = None
    product: str | None = None
    interfaces: int = 3  # two of a CDC port, one of the drive

    @property
    def by_path(self) -> str:
        """udev's link to its first port."""
        return f"/dev/{self._link(self.ttys[0][1])}"

    def _link(self, interface: int) -> str:
        return f"serial/by-path/pci-0000:00:14.0-usb-0:{self.place[2:]}:1.{interface}"

    def described(self) -> str:
        """As ``umockdev-record`` would describe it."""
        sysfs = f"{CONTROLLER}/usb1/{self.place}"
        lines = [
            f"P: {sysfs}",
            "E: SUBSYSTEM=usb",
            "E: DEVTYPE=usb_device",
            f"A: idVendor={self.vid:04x}\\n",
            f"A: idProduct={self.pid:04x}\\n",
            f"A: bNumInterfaces= {self.interfaces}\\n",
        ]
        for name, text in (("serial", self.serial), ("product", self.product)):
            if text is not None:  # in hex: a device may send anything
                lines.append(f"H: {name}={text.encode().hex()}0a")
        for tty, interface in self.ttys:
            lines += self._port(f"{sysfs}/{self.place}:1.{interface}", tty, interface)
        return "\n".join([*lines, "", ""])

    def _port(self, sysfs: str, tty: str, interface: int) -> list[str]:
        lines = ["", f"P: {sysfs}", "E: SUBSYSTEM=usb", "E: DEVTYPE=usb_interface"]
        if tty.startswith("ttyUSB"):  # usb-serial puts a device of its own in between
            lines += ["", f"P: {sysfs}/{tty}", "E: SUBSYSTEM=usb-serial"]
            sysfs, device = f"{sysfs}/{tty}/tty/{tty}", f"../../../{tty}"
        else:
            sysfs, device = f"{sysfs}/tty/{tty}", f"../../../{self.place}:1.{interface}"
        link = self._link(interface)
        return [
            *lines,
            "",
            f"P: {sysfs}",
            f"N: {tty}",
            f"S: {link}",
            "E: SUBSYSTEM=tty",
            f"E: DEVNAME=/dev/{tty}",
            f"E: DEVLINKS=/dev/{link}",
            f"L: device={device}",
        ]


def python(
    umockdev_run: Path, folder: Path, plugged: Sequence[Plugged], *words: str
) -> subprocess.CompletedProcess[str]:
    """Run this Python on ``words``, in ``folder``, at a bench where these are plugged in."""
    hub = f"P: {CONTROLLER}/usb1\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\n"
    hub += "A: idVendor=1d6b\\n\nA: idProduct=0002\\n\n\n"
    devices = folder / "bench.umockdev"
    devices.write_text(hub + "\n".join(one.described() for one in plugged), encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if key != "HIL_DEVICES"}
    environment |= {"HIL_VIRTUAL_BUS": str(folder / "bus"), "HIL_LOCKS": str(folder / "locks")}
    return subprocess.run(
        [str(umockdev_run), "-d", str(devices), "--", sys.executable, "-c", _RUN, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
