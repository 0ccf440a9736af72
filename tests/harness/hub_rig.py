"""USB hubs that are not there, for the real ``uhubctl``: umockdev, with the hubs' behaviour here.

Run by a Python that has ``gi`` (Debian: python3-gi, gir1.2-umockdev-1.0). Prints the folder that
a program needs as ``UMOCKDEV_DIR``, then one line for each port that is switched: ``1-1 2 off``.
Ends when its standard input does.
"""

from __future__ import annotations

import errno
import struct
import sys
from typing import Any

import gi

gi.require_version("UMockdev", "1.0")
# gi wants its version first, and brings no types.
from gi.repository import UMockdev  # type: ignore[import-untyped]  # noqa: E402

SUBMIT, DISCARD, REAP, REAP_NO_DELAY, CAPABILITIES, GET_DRIVER = 10, 11, 12, 13, 26, 8

# USB 2.0 section 11.23.2.1: wHubCharacteristics, bits 0 and 1, then the over-current bits.
EACH_PORT, ALL_AT_ONCE = 0x0009, 0x0000
POWER_FEATURE = 8
POWER, CONNECTION = 0x0100, 0x0001


class Hub:
    """:ivar obeys: False: it says that it can switch, and does not"""

    def __init__(
        self, path: str, ids: tuple[int, int], ports: int, switching: int, *, obeys: bool = True
    ) -> None:
        self.path, self.ids, self.ports, self.switching = path, ids, ports, switching
        self.obeys = obeys
        self.powered = dict.fromkeys(range(1, ports + 1), True)

    @property
    def descriptors(self) -> bytes:
        device = struct.pack(
            "<BBHBBBBHHHBBBB", 18, 1, 0x0200, 9, 0, 1, 64, *self.ids, 1, 0, 0, 0, 1
        )
        endpoint = struct.pack("<BBBBHB", 7, 5, 0x81, 3, 1, 12)
        interface = struct.pack("<BBBBBBBBB", 9, 4, 0, 0, 1, 9, 0, 0, 0)
        total = 9 + len(interface) + len(endpoint)
        configuration = struct.pack("<BBHBBBBB", 9, 2, total, 1, 1, 0, 0xE0, 50)
        return device + configuration + interface + endpoint

    def control(self, setup: bytes) -> bytes | None:
        """The answer to a control transfer; None is a stall."""
        kind, request, value, index, length = struct.unpack("<BBHHH", setup)
        if (kind, request) == (0xA0, 6):  # GET_DESCRIPTOR of the hub
            return struct.pack("<BBBHBBBB", 9, 0x29, self.ports, self.switching, 50, 100, 0, 0xFF)[
                :length
            ]
        if (kind, request) == (0xA3, 0) and index in self.powered:  # GET_STATUS of a port
            state = POWER | CONNECTION if self.powered[index] else 0
            return struct.pack("<HH", state, 0)
        if kind == 0x23 and request in (1, 3) and value == POWER_FEATURE and index in self.powered:
            on = request == 3
            print(self.path, index, "on" if on else "off", flush=True)  # noqa: T201
            if self.obeys:
                self.powered[index] = on
            return b""
        return None


HUBS = [
    Hub("", (0x1D6B, 0x0002), 4, ALL_AT_ONCE),
    Hub("1-1", (0x2109, 0x2813), 4, EACH_PORT),
    Hub("1-2", (0x05E3, 0x0608), 4, ALL_AT_ONCE),
    Hub("1-3", (0x0BDA, 0x5411), 2, EACH_PORT, obeys=False),
]


def answer(hub: Hub, client: Any) -> None:
    """One ioctl. ``usbdevfs_urb`` on LP64: type 0, status 4, buffer 16, length 24, actual 28."""
    request, arg = client.get_request() & 0xFF, client.get_arg()
    if request == SUBMIT:
        urb = arg.resolve(0, 56)
        length = struct.unpack("@i", bytes(urb.retrieve())[24:28])[0]
        buffer = urb.resolve(16, length)
        said = hub.control(bytes(buffer.retrieve())[:8])
        if said:
            buffer.update(8, list(said))
        urb.update(4, list(struct.pack("@i", -errno.EPIPE if said is None else 0)))
        urb.update(28, list(struct.pack("@i", len(said or b""))))
        client.done = [*getattr(client, "done", []), urb]
        client.complete(0, 0)
    elif request in (REAP, REAP_NO_DELAY):
        done = getattr(client, "done", [])
        if not done:
            client.complete(-1, errno.EAGAIN)
            return
        client.done = done[1:]
        arg.resolve(0, 8).set_ptr(0, done[0])
        client.complete(0, 0)
    elif request == CAPABILITIES:
        arg.resolve(0, 4).update(0, list(struct.pack("@I", 0x15)))
        client.complete(0, 0)
    elif request == GET_DRIVER:
        client.complete(-1, errno.ENODATA)
    else:
        client.complete(0, 0)


def handler(hub: Hub) -> Any:
    def handle(_: Any, client: Any) -> bool:
        if client.get_request() >> 8 & 0xFF != ord("U"):
            return False
        try:
            answer(hub, client)
        except Exception as error:  # noqa: BLE001 - an answer must come, or uhubctl waits for ever
            print(f"rig: {error!r}", file=sys.stderr)  # noqa: T201
            client.complete(-1, errno.EIO)
        return True

    base = UMockdev.IoctlBase()
    base.connect("handle-ioctl", handle)
    return base


def main() -> None:
    deaf = sys.argv[1:] == ["deaf"]  # no ioctl is answered, as where there is no permission
    testbed = UMockdev.Testbed.new()
    kept = []
    for number, hub in enumerate(HUBS, 1):
        node = f"bus/usb/001/{number:03}"
        place = f"/devices/usb1/{hub.path}".rstrip("/")
        if not deaf:
            kept.append(handler(hub))
            testbed.attach_ioctl(f"/dev/{node}", kept[-1])
        testbed.add_from_string(
            f"P: {place}\nN: {node}\nE: SUBSYSTEM=usb\nE: DEVTYPE=usb_device\n"
            f"E: BUSNUM=001\nE: DEVNUM={number:03}\nE: DEVNAME=/dev/{node}\n"
            f"A: busnum=1\\n\nA: devnum={number}\\n\nA: speed=480\\n\n"
            f"A: bConfigurationValue=1\\n\nH: descriptors={hub.descriptors.hex().upper()}\n\n"
        )
    print(testbed.get_root_dir(), flush=True)  # noqa: T201
    sys.stdin.read()


if __name__ == "__main__":
    main()
