"""USB devices that speak DFU 1.1, emulated underneath the real dfu-util. Not a test: a process.

Debian's own Python has ``gi``, the environment's has not, so the rig is run by /usr/bin/python3 and
knows nothing of this project. It reads commands as JSON lines on standard input and answers with
one JSON line each; the first line that it prints is its folder (``UMOCKDEV_DIR``). A client is
started with that variable and ``LD_PRELOAD=libumockdev-preload.so.0``: it then sees these devices
and no others.

    {"do": "plug", "path": "1-2", "vid": .., "pid": .., "serial": "..", "alts": ["BOOTLOADER", ..]}
        "dfu": bcdDFU (0x0101), "fault": {"kind": .., ..}
    {"do": "unplug", "path": "1-2"}   without a path: all
    {"do": "tell", "path": "1-2"}     what has arrived there: written by alternate setting, left …

Faults: ``manifest`` (dfuERROR after the last block), ``write`` (dfuERROR at block n), ``stall`` (at
block n), ``unplug`` (at block n), ``hang`` (at block n: no answer any more), ``strings`` (the
first n requests for a string are refused, as right after a 1200-baud touch), ``error`` (it is in
dfuERROR to begin with).
"""

from __future__ import annotations

import base64
import ctypes
import errno
import json
import os
import select
import struct
import sys
from collections.abc import Callable

import gi

gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev  # noqa: E402 - gi wants its version first

# linux/usbdevice_fs.h
SETINTERFACE, GETDRIVER, SUBMITURB, DISCARDURB, REAPURB, REAPURBNDELAY = 4, 8, 10, 11, 12, 13
CLAIM, RELEASE, RESET, CAPABILITIES, DISCONNECT_CLAIM = 15, 16, 20, 26, 27
CAPABILITIES_OF_ALL = 0x15
URB = "@BBiIPiiiiiIP"
URB_STATUS, URB_BUFFER, URB_LENGTH, URB_ACTUAL = 4, 16, 24, 28

# DFU 1.1, tables 3.2 and A.1
DETACH, DNLOAD, UPLOAD, GETSTATUS, CLRSTATUS, GETSTATE, ABORT = range(7)
IDLE, DNLOAD_SYNC, DNBUSY, DNLOAD_IDLE, MANIFEST_SYNC, MANIFEST, ERROR = 2, 3, 4, 5, 6, 7, 10
ERR_WRITE, ERR_VERIFY, ERR_STALLED = 0x03, 0x07, 0x0F
TRANSFER_SIZE = 2048
DFUSE = 0x011A


class Device:
    """One bootloader on the bus: its descriptors, its state, what was written on it."""

    def __init__(self, wanted: dict, vanished: Callable[[str], object]) -> None:
        self.path = wanted["path"]
        self._vanished = vanished
        self.strings = ["", "Emulated", "Bootloader (DFU Mode)", wanted["serial"], *wanted["alts"]]
        self.fault = wanted.get("fault") or {"kind": None}
        self.dfu = wanted.get("dfu", 0x0101)
        self.written: dict[int, bytearray] = {}
        self.commands: list[str] = []
        self.state, self.status, self.alt = IDLE, 0, 0
        if self.fault["kind"] == "error":
            self.state, self.status = ERROR, ERR_WRITE
        self.address = 0
        self.gone = self.hanging = False
        self.left: str | None = None
        alts = len(wanted["alts"])
        device = struct.pack(
            "<BBHBBBBHHHBBBB",
            *(18, 1, 0x0200, 0, 0, 0, 64, wanted["vid"], wanted["pid"], 0x0200, 1, 2, 3, 1),
        )
        settings = b"".join(
            struct.pack("<BBBBBBBBB", 9, 4, 0, alt, 0, 0xFE, 1, 2, 4 + alt) for alt in range(alts)
        )
        # Can download, can upload, and stays on the bus after the manifestation.
        functional = struct.pack("<BBBHHH", 9, 0x21, 0x07, 1000, TRANSFER_SIZE, self.dfu)
        total = 9 + len(settings) + len(functional)
        config = struct.pack("<BBHBBBBB", 9, 2, total, 1, 1, 0, 0x80, 50)
        self.descriptors = device + config + settings + functional

    def control(self, setup: bytes, data: bytes) -> bytes | int:
        """The answer to a control transfer, or a negative errno."""
        kind, request, value, _, length = struct.unpack("<BBHHH", setup)
        if kind == 0x80 and request == 6 and value >> 8 == 3:
            if self.fault["kind"] == "strings" and self.fault["n"] > 0:
                self.fault["n"] -= 1
                return -errno.EPIPE
            return self._string(value & 0xFF)[:length]
        if kind in (0x21, 0xA1):
            return self._dfu(request, value, length, data)
        return b"" if kind & 0x80 == 0 else -errno.EPIPE

    def _string(self, index: int) -> bytes:
        text = struct.pack("<H", 0x0409) if index == 0 else self.strings[index].encode("utf-16-le")
        return bytes([2 + len(text), 3]) + text

    def _dfu(self, request: int, value: int, length: int, data: bytes) -> bytes | int:
        if request == DETACH:
            # OpenMV's jumps to its firmware. ST's unplugs itself and is back (usbd_dfu.c,
            # DFU_Detach).
            if self.dfu != DFUSE:
                self.leave("detach")
            return b""
        if request == DNLOAD:
            return self._download(value, data)
        if request == GETSTATUS:
            state = self._polled()
            return struct.pack("<B3sBB", self.status, b"\0\0\0", state, 0)[:length]
        if request == GETSTATE:
            return bytes([self.state])
        if request in (CLRSTATUS, ABORT):
            self.state, self.status = IDLE, 0
            return b""
        return self._stall()

    def _polled(self) -> int:
        """The state after GETSTATUS, which is what moves it on."""
        if self.state == DNLOAD_SYNC:
            self.state = DNBUSY if self.dfu == DFUSE else DNLOAD_IDLE
        elif self.state == DNBUSY:
            self.state = DNLOAD_IDLE
        elif self.state == MANIFEST_SYNC and self.fault["kind"] == "manifest":
            self.state, self.status = ERROR, ERR_VERIFY
        elif self.state == MANIFEST_SYNC and self.dfu == DFUSE:
            self.state = MANIFEST
            self.leave("manifest")
        elif self.state == MANIFEST_SYNC:
            self.state = IDLE
        return self.state

    def _download(self, block: int, data: bytes) -> bytes | int:
        if self.state not in (IDLE, DNLOAD_IDLE):
            return self._stall()
        if not data:
            self.state = MANIFEST_SYNC
            return b""
        if self.fault["kind"] in ("write", "stall", "unplug", "hang") and block == self.fault["n"]:
            if self.fault["kind"] == "stall":
                return self._stall()
            if self.fault["kind"] == "unplug":
                self.leave("pulled")
                return -errno.ENODEV
            if self.fault["kind"] == "hang":
                self.hanging = True
                return -errno.EAGAIN
            self.state, self.status = ERROR, ERR_WRITE
            return b""
        self.state = DNLOAD_SYNC
        if self.dfu == DFUSE:  # ST AN3156: block 0 is a command, data begins with block 2
            if block == 0:
                (self.address,) = struct.unpack("<I", data[1:5])
                self.commands.append(f"{data[0]:02x} {self.address:08x}")
            else:
                at = self.address + (block - 2) * TRANSFER_SIZE
                self.commands.append(f"write {at:08x} {len(data)}")
                self.written.setdefault(self.alt, bytearray()).extend(data)
            return b""
        if block == 0:
            self.written[self.alt] = bytearray()
        self.written[self.alt].extend(data)
        return b""

    def _stall(self) -> int:
        self.state, self.status = ERROR, ERR_STALLED
        return -errno.EPIPE

    def leave(self, how: str) -> None:
        """The bootloader starts the firmware, or is pulled out: it is gone from the bus."""
        self.left = how
        self.gone = True
        self._vanished(self.path)


class Handler:
    """usbfs's ioctls for one device. Called on umockdev's thread."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.ioctl = UMockdev.IoctlBase()
        self.ioctl.connect("handle-ioctl", self._called)

    def _called(self, _: object, client: object) -> bool:
        try:
            result, number = self._answer(client)
        except Exception as error:  # noqa: BLE001 - an exception here would hang the client
            sys.stderr.write(f"rig: {error!r}\n")
            result, number = -1, errno.EIO
        client.complete(result, number)
        return True

    def _answer(self, client: object) -> tuple[int, int]:
        code = ctypes.c_uint32(client.get_request()).value
        if code >> 8 & 0xFF != ord("U"):
            return -1, errno.ENOTTY
        number, device = code & 0xFF, self.device
        if not hasattr(client, "done"):
            client.done, client.urbs = [], {}
        if number in (REAPURB, REAPURBNDELAY):
            return self._reap(client)
        if device.gone:
            return -1, errno.ENODEV
        if number == SUBMITURB:
            return self._submit(client)
        if number == DISCARDURB:
            return self._discard(client)
        if number == SETINTERFACE:
            _, device.alt = struct.unpack("II", bytes(client.get_arg().resolve(0, 8).retrieve()))
            return 0, 0
        if number == GETDRIVER:
            return -1, errno.ENODATA
        if number == CAPABILITIES:
            client.get_arg().resolve(0, 4).update(0, list(struct.pack("I", CAPABILITIES_OF_ALL)))
            return 0, 0
        if number == RESET:
            device.leave("reset")
            return 0, 0
        return 0, 0

    def _submit(self, client: object) -> tuple[int, int]:
        argument = client.get_arg()
        address = bytes(argument.retrieve())
        urb = argument.resolve(0, struct.calcsize(URB))
        raw = bytes(urb.retrieve())
        (length,) = struct.unpack_from("@i", raw, URB_LENGTH)
        buffer = urb.resolve(URB_BUFFER, length)
        sent = bytes(buffer.retrieve())
        setup, data = sent[:8], sent[8:]
        answer = self.device.control(setup, b"" if setup[0] & 0x80 else data)
        client.urbs[address] = urb
        if self.device.hanging:
            return 0, 0  # never reaped: the client's own time limit ends it
        status, actual = 0, len(data)
        if isinstance(answer, int):
            status, actual = answer, 0
        elif setup[0] & 0x80:
            buffer.update(8, list(answer))
            actual = len(answer)
        self._finish(urb, status, actual)
        client.done.append(address)
        return 0, 0

    @staticmethod
    def _finish(urb: object, status: int, actual: int) -> None:
        urb.update(URB_STATUS, list(struct.pack("@i", status)))
        urb.update(URB_ACTUAL, list(struct.pack("@i", actual)))

    def _discard(self, client: object) -> tuple[int, int]:
        address = bytes(client.get_arg().retrieve())
        urb = client.urbs.get(address)
        if urb is None or address in client.done:
            return -1, errno.EINVAL
        self._finish(urb, -errno.ENOENT, 0)
        client.done.append(address)
        return 0, 0

    def _reap(self, client: object) -> tuple[int, int]:
        if not client.done:
            return -1, errno.ENODEV if self.device.gone else errno.EAGAIN
        urb = client.urbs.pop(client.done.pop(0))
        client.get_arg().resolve(0, 8).set_ptr(0, urb)
        return 0, 0


class Bus:
    """The testbed: bus 1 with its root hub, and whatever is plugged in."""

    def __init__(self) -> None:
        self.testbed = UMockdev.Testbed.new()
        self.devices: dict[str, Device] = {}
        self._handlers: list[Handler] = []
        self._numbers = 1
        # umockdev's thread tells the main one, which alone changes the testbed.
        self.wake, self._woken_by = os.pipe()
        hub = struct.pack(
            "<BBHBBBBHHHBBBB",
            *(18, 1, 0x0200, 9, 0, 1, 64, 0x1D6B, 0x0002, 0x0515, 0, 0, 0, 1),
        ) + struct.pack("<BBHBBBBB", 9, 2, 9, 0, 1, 0, 0xE0, 0)
        self._add("/devices/usb1", 1, hub)

    def _add(self, place: str, number: int, descriptors: bytes) -> None:
        lines = [
            f"P: {place}",
            f"N: bus/usb/001/{number:03}",
            "E: SUBSYSTEM=usb",
            "E: DEVTYPE=usb_device",
            "E: BUSNUM=001",
            f"E: DEVNUM={number:03}",
            f"E: DEVNAME=/dev/bus/usb/001/{number:03}",
            "A: busnum=1\\n",
            f"A: devnum={number}\\n",
            "A: speed=480\\n",
            "A: bConfigurationValue=1\\n",
            f"H: descriptors={descriptors.hex().upper()}",
        ]
        self.testbed.add_from_string("\n".join(lines) + "\n\n")

    def plug(self, wanted: dict) -> None:
        device = Device(wanted, self._tell_vanished)
        self._numbers += 1
        handler = Handler(device)
        self._handlers.append(handler)
        node = f"/dev/bus/usb/001/{self._numbers:03}"
        self.testbed.attach_ioctl(node, handler.ioctl)
        self._add(f"/devices/usb1/{device.path}", self._numbers, device.descriptors)
        self.devices[device.path] = device

    def unplug(self, path: str | None) -> None:
        for one in [path] if path else list(self.devices):
            device = self.devices[one] if path else self.devices.pop(one)
            if not device.gone:
                device.gone = True
                self._remove(one)

    def _remove(self, path: str) -> None:
        self.testbed.remove_device(f"/sys/devices/usb1/{path}")

    def _tell_vanished(self, path: str) -> None:
        os.write(self._woken_by, path.encode() + b"\n")

    def remove_vanished(self) -> None:
        for path in os.read(self.wake, 4096).decode().split():
            self._remove(path)

    def tell(self, path: str) -> dict:
        device = self.devices[path]
        return {
            "left": device.left,
            "gone": device.gone,
            "commands": device.commands,
            "written": {
                alt: base64.b64encode(content).decode() for alt, content in device.written.items()
            },
        }


def _say(answer: dict) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    bus = Bus()
    _say({"folder": bus.testbed.get_root_dir()})
    while True:
        ready, _, _ = select.select([sys.stdin, bus.wake], [], [])
        if bus.wake in ready:
            bus.remove_vanished()
        if sys.stdin not in ready:
            continue
        line = sys.stdin.readline()
        if not line:
            return
        command = json.loads(line)
        answer: dict = {}
        if command["do"] == "plug":
            bus.plug(command)
        elif command["do"] == "unplug":
            bus.unplug(command.get("path"))
        else:
            answer = bus.tell(command["path"])
        _say(answer)


if __name__ == "__main__":
    main()
