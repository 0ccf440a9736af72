"""A USB serial port that comes and goes, for the real labgrid-exporter: umockdev and udev's part.

Run by a Python that has ``gi`` (Debian: python3-gi, gir1.2-umockdev-1.0), under
``umockdev-wrapper``, which hot-plug events need. Takes the link to a pseudo-terminal, which is the
board's port: where the link leads to another one, or nowhere, the USB device goes, and comes back
after as long as a host takes to enumerate a board. Prints the folder that a program needs as
``UMOCKDEV_DIR``. Ends when its standard input does.
"""

from __future__ import annotations

import select
import sys
from pathlib import Path

import gi

gi.require_version("UMockdev", "1.0")
# gi wants its version first, and brings no types.
from gi.repository import UMockdev  # type: ignore[import-untyped]  # noqa: E402

DEVICE = "/devices/usb1/1-2"
TTY = f"{DEVICE}/1-2:1.0/tty/ttyACM0"
DESCRIPTION = f"""\
P: /devices/usb1
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device

P: {DEVICE}
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device

P: {DEVICE}/1-2:1.0
E: SUBSYSTEM=usb
E: DEVTYPE=usb_interface

P: {TTY}
E: SUBSYSTEM=tty
E: DEVNAME=/dev/ttyACM0
E: ID_SERIAL_SHORT=346534563033
"""
# A camera's USB is away for about a second in a reset.
ENUMERATED_S = 1.0
LOOK_S = 0.02


def main() -> None:
    link = Path(sys.argv[1])
    testbed = UMockdev.Testbed.new()
    testbed.add_from_string(DESCRIPTION)
    folder = Path(testbed.get_root_dir())
    node = folder / "dev" / "ttyACM0"
    node.parent.mkdir(exist_ok=True)
    shown = link.resolve()
    node.symlink_to(shown)
    print(folder, flush=True)  # noqa: T201
    while not select.select([sys.stdin], [], [], LOOK_S)[0]:
        if not link.is_symlink() or link.resolve() != shown:
            node.unlink()
            testbed.uevent(f"/sys{TTY}", "remove")
            if select.select([sys.stdin], [], [], ENUMERATED_S)[0]:
                break
            while not link.exists():
                if select.select([sys.stdin], [], [], LOOK_S)[0]:
                    return
            shown = link.resolve()
            node.symlink_to(shown)
            testbed.uevent(f"/sys{TTY}", "add")


if __name__ == "__main__":
    main()
