"""NXP's MCU bootloader behind a UART, as far as blhost asks.

NXP, "MCU Bootloader Reference Manual" (MCUBOOTRM), chapters "MCU bootloader protocol" and "Command
API". An OpenMV RT1062 speaks the same commands over USB HID, which no pseudo-terminal can carry:
what a UART adds is the frames with their CRC, and the acknowledgements.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterable

from serial_peer import SerialPeer

_START = 0x5A
ACK, COMMAND, DATA, PING, PING_ANSWER = 0xA1, 0xA4, 0xA5, 0xA6, 0xA7
ERASE_REGION, READ_MEMORY, WRITE_MEMORY, GET_PROPERTY, RESET = 0x02, 0x03, 0x04, 0x07, 0x0B
_GENERIC, _PROPERTY, _READING = 0xA0, 0xA7, 0xA3
_CURRENT_VERSION, _MAX_PACKET = 0x01, 0x0B
_PACKET = 512

OK, FAIL, UNKNOWN_COMMAND, UNKNOWN_PROPERTY = 0, 1, 10000, 10300
ALIGNMENT, ADDRESS = 10101, 10102  # kStatus_FlashAlignmentError, ...AddressError
WRITE_FAILED = 10201  # kStatusMemoryWriteFailed

FLASH, FLASH_BYTES, SECTOR = 0x60000000, 16 << 20, 0x1000


def crc16(data: bytes) -> int:
    """CRC-16/XMODEM."""
    return binascii.crc_hqx(data, 0)


def frame(kind: int, payload: bytes) -> bytes:
    head = struct.pack("<BBH", _START, kind, len(payload))
    return head + struct.pack("<H", crc16(head + payload)) + payload


class Unframe:
    """Frames out of a stream that is cut anywhere: (kind, payload); wrong CRCs are left out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterable[tuple[int, bytes]]:
        self._rest += data
        while True:
            start = self._rest.find(_START)
            if start < 0:
                self._rest = b""
                return
            self._rest = self._rest[start:]
            if len(self._rest) < 2:
                return
            kind = self._rest[1]
            if kind in (ACK, PING):
                self._rest = self._rest[2:]
                yield kind, b""
                continue
            if kind not in (COMMAND, DATA):
                self._rest = self._rest[1:]
                continue
            if len(self._rest) < 6:
                return
            size, crc = struct.unpack_from("<HH", self._rest, 2)
            if len(self._rest) < 6 + size:
                return
            payload = self._rest[6 : 6 + size]
            if crc != crc16(self._rest[:4] + payload):
                self._rest = self._rest[1:]
                continue
            self._rest = self._rest[6 + size :]
            yield kind, payload


class McuLoader(SerialPeer):
    """The loader of a chip with 16 MiB of flash at 0x60000000, erased in sectors of 4 KiB.

    :param version: what it tells of itself
    :param silent: it does not answer (yet: may be changed at any time)
    :param refuses: a command that fails, with the status ``refuses_with``
    :param spoils: the flash stores a wrong bit, which only reading back can tell
    :param dies_after: it is pulled out once this many bytes are written
    :ivar flash: the whole of it, all zero at first, so that what was not erased shows
    :ivar commands: (tag, parameters) of each command, in order
    """

    def __init__(
        self,
        *,
        version: int = 0x4B020800,
        silent: bool = False,
        refuses: int | None = None,
        refuses_with: int = FAIL,
        spoils: bool = False,
        dies_after: int | None = None,
    ) -> None:
        self.flash = bytearray(FLASH_BYTES)
        self.commands: list[tuple[int, tuple[int, ...]]] = []
        self.was_reset = False
        self._version, self.silent = version, silent
        self._refuses_with = refuses_with
        self._refuses, self._spoils, self._dies_after = refuses, spoils, dies_after
        self._unframe = Unframe()
        self._writing: tuple[int, int] | None = None
        self._written = 0
        self._to_send: list[bytes] = []
        super().__init__()

    def feed(self, data: bytes) -> None:
        if self.silent:
            return
        for kind, payload in self._unframe.feed(data):
            if kind == PING:
                answer = struct.pack("<BBIH", _START, PING_ANSWER, 0x50010300, 0)
                self.send(answer + struct.pack("<H", crc16(answer)))
            elif kind == ACK:
                if self._to_send:
                    self.send(self._to_send.pop(0))
            else:
                self.send(bytes([_START, ACK]))
                if kind == COMMAND:
                    tag, _, _, count = payload[:4]
                    self._obey(tag, struct.unpack_from(f"<{count}I", payload, 4))
                else:
                    self._store(payload)

    def _obey(self, tag: int, values: tuple[int, ...]) -> None:
        self.commands.append((tag, values))
        if tag == self._refuses:
            self._generic(self._refuses_with, tag)
        elif tag == GET_PROPERTY:
            known = {_CURRENT_VERSION: self._version, _MAX_PACKET: _PACKET}
            value = known.get(values[0])
            status = UNKNOWN_PROPERTY if value is None else OK
            self._respond(_PROPERTY, (status, value or 0))
        elif tag == ERASE_REGION:
            self._erase(*values[:2])
        elif tag == WRITE_MEMORY:
            address, size = values[:2]
            if self._inside(address, size):
                self._writing = (address, size)
                self._generic(OK, tag)
            else:
                self._generic(ADDRESS, tag)
        elif tag == READ_MEMORY:
            address, size = values[:2]
            held = self.flash[address - FLASH : address - FLASH + size]
            self._to_send = [
                frame(DATA, bytes(held[at : at + _PACKET])) for at in range(0, size, _PACKET)
            ]
            self._to_send.append(frame(COMMAND, _packet(_GENERIC, (OK, tag))))
            self._respond(_READING, (OK, size))
        elif tag == RESET:
            self.was_reset = True
            self._generic(OK, tag)
        else:
            self._generic(UNKNOWN_COMMAND, tag)

    def _erase(self, address: int, size: int) -> None:
        if address % SECTOR or size % SECTOR:
            self._generic(ALIGNMENT, ERASE_REGION)
        elif not self._inside(address, size):
            self._generic(ADDRESS, ERASE_REGION)
        else:
            start = address - FLASH
            self.flash[start : start + size] = b"\xff" * size
            self._generic(OK, ERASE_REGION)

    def _store(self, data: bytes) -> None:
        if self._writing is None:
            return
        address, left = self._writing
        at = address - FLASH
        here = self.flash[at : at + len(data)]
        if self._spoils:
            data = bytes([data[0] ^ 0x80]) + data[1:]
        self.flash[at : at + len(data)] = bytes(a & b for a, b in zip(here, data, strict=True))
        self._written += len(data)
        if self._dies_after is not None and self._written >= self._dies_after:
            self.die()
            return
        self._writing = (address + len(data), left - len(data)) if left > len(data) else None
        if self._writing is None:
            self._generic(OK, WRITE_MEMORY)

    def _inside(self, address: int, size: int) -> bool:
        return address >= FLASH and address + size <= FLASH + FLASH_BYTES

    def _generic(self, status: int, tag: int) -> None:
        self._respond(_GENERIC, (status, tag))

    def _respond(self, tag: int, values: tuple[int, ...]) -> None:
        self.send(frame(COMMAND, _packet(tag, values)))


def _packet(tag: int, values: tuple[int, ...]) -> bytes:
    return struct.pack(f"<BBBB{len(values)}I", tag, 0, 0, len(values), *values)
