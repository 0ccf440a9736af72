"""An Espressif chip in its ROM loader, as far as esptool asks.

Espressif, "Serial Protocol" (docs.espressif.com/projects/esptool, Advanced Topics): SLIP frames;
a request is direction, command, size, checksum, data; a response adds status bytes, four from the
ROM and two from the *stub*, the loader that esptool puts into the RAM and that takes compressed
data. The chip runs no code here: once its RAM is loaded it behaves as the stub does.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable

from serial_peer import SerialPeer

_END, _ESC, _ESC_END, _ESC_ESC = b"\xc0", b"\xdb", b"\xdb\xdc", b"\xdb\xdd"

# Read in esptool's targets/: the ROM word that tells an ESP32, and the chip id of later ones.
_MAGIC_REGISTER = 0x40001000
_MAGIC = {"esp32": 0x00F01D83, "esp32s3": 0x9}
_CHIP_ID = {"esp32s3": 9}
# The flash chip's JEDEC id: 4 MiB.
_FLASH_ID = 0x1640EF
_FLASH_BYTES = 4 << 20
# The MAC in the e-fuses, as two words: its lower four bytes at the first address.
_MAC_AT = {"esp32": (0x3FF5A004, 0x3FF5A008), "esp32s3": (0x60007044, 0x60007048)}
MAC = bytes.fromhex("7cdfa1000001")
# The SPI controller that reads it: command, and first data word.
_SPI = {"esp32": (0x3FF42000, 0x3FF42080), "esp32s3": (0x60002000, 0x60002058)}
_ERROR, _INVALID = 0x01, 0x05

SYNC, MEM_BEGIN, MEM_END, MEM_DATA = 0x08, 0x05, 0x06, 0x07
FLASH_BEGIN, FLASH_DATA, FLASH_END = 0x02, 0x03, 0x04
WRITE_REG, READ_REG, SPI_SET_PARAMS, SPI_ATTACH, BAUD = 0x09, 0x0A, 0x0B, 0x0D, 0x0F
DEFL_BEGIN, DEFL_DATA, DEFL_END, MD5, SECURITY = 0x10, 0x11, 0x12, 0x13, 0x14


def slip(frame: bytes) -> bytes:
    """RFC 1055, with the delimiter on both sides, as Espressif has it."""
    return _END + frame.replace(_ESC, _ESC_ESC).replace(_END, _ESC_END) + _END


class Unslip:
    """SLIP frames out of a stream that is cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterable[bytes]:
        *frames, self._rest = (self._rest + data).split(_END)
        return [frame.replace(_ESC_END, _END).replace(_ESC_ESC, _ESC) for frame in frames if frame]


class EspRom(SerialPeer):
    """The chip, with 4 MiB of flash that was erased.

    :param chip: ``esp32`` or ``esp32s3``
    :param silent: it never answers: no chip there, or it is not in its loader
    :param spoils: the flash stores a wrong bit, which only reading back can tell
    :param mac: what its e-fuses hold
    :param dies_after: it is pulled out once this many bytes are written
    :ivar flash: the whole of it
    :ivar commands: every command that came, once each, in order of appearance
    :ivar received: bytes that came, of which the stub was ``stub_bytes``
    """

    def __init__(
        self,
        chip: str,
        *,
        silent: bool = False,
        spoils: bool = False,
        dies_after: int | None = None,
        mac: bytes = MAC,
    ) -> None:
        self.chip = chip
        self.flash = bytearray(b"\xff" * _FLASH_BYTES)
        self.commands: list[int] = []
        self.stub = False
        self.received = self.stub_bytes = 0
        self._silent, self._spoils, self._dies_after = silent, spoils, dies_after
        self._unslip = Unslip()
        low, high = _MAC_AT[chip]
        self._registers = {
            _MAGIC_REGISTER: _MAGIC[chip],
            low: int.from_bytes(mac[2:], "big"),
            high: int.from_bytes(mac[:2], "big"),
        }
        self._at = self._first = 0
        self._inflate = zlib.decompressobj()
        super().__init__()

    def feed(self, data: bytes) -> None:
        if self._silent:
            return
        self.received += len(data)
        for frame in self._unslip.feed(data):
            # A ROM that is spoken to before it listens sees parts of frames.
            if len(frame) >= 8 and frame[0] == 0:
                _, command, size, _ = struct.unpack_from("<BBHI", frame)
                self._answer(command, frame[8 : 8 + size])

    def _answer(self, command: int, data: bytes) -> None:
        if command not in self.commands:
            self.commands.append(command)
        value, more = 0, b""
        if command == SYNC:
            # Eight times: the ROM found the baud rate. The value tells it from a stub.
            for _ in range(8):
                self._respond(command, value=0 if self.stub else 0x20120707)
            return
        if command == READ_REG:
            value = self._register(*struct.unpack("<I", data))
        elif command == WRITE_REG:
            address, word, *_ = struct.unpack("<IIII", data[:16])
            self._registers[address] = word
        elif command == SECURITY and self.chip in _CHIP_ID:
            more = struct.pack("<IB7sII", 0, 0, bytes(7), _CHIP_ID[self.chip], 0)
        elif command in (FLASH_BEGIN, DEFL_BEGIN):
            self._begin(*struct.unpack_from("<IIII", data))
        elif command in (FLASH_DATA, DEFL_DATA):
            size, number, *_ = struct.unpack_from("<IIII", data)
            if command == DEFL_DATA:
                self._store(self._inflate.decompress(data[16 : 16 + size]))
            else:
                self._at = self._first + number * size
                self._store(data[16 : 16 + size])
            if self._dead:
                return
        elif command == MD5:
            start, size, *_ = struct.unpack_from("<IIII", data)
            digest = hashlib.md5(self.flash[start : start + size])  # noqa: S324 - the protocol's
            more = digest.digest() if self.stub else digest.hexdigest().encode()
        elif command not in {
            MEM_BEGIN, MEM_DATA, MEM_END, FLASH_END, DEFL_END, SPI_ATTACH, SPI_SET_PARAMS, BAUD,
        }:  # fmt: skip
            self._respond(command, status=(_ERROR, _INVALID))
            return
        self._respond(command, value=value, data=more)
        if command == MEM_END:
            self.stub, self.stub_bytes = True, self.received
            self.send(slip(b"OHAI"))

    def _respond(
        self, command: int, *, value: int = 0, data: bytes = b"", status: tuple[int, int] = (0, 0)
    ) -> None:
        body = data + bytes(status) + (b"" if self.stub else bytes(2))
        self.send(slip(struct.pack("<BBHI", 1, command, len(body), value) + body))

    def _register(self, address: int) -> int:
        command, first_word = _SPI[self.chip]
        if address == first_word:
            return _FLASH_ID
        if address == command:
            return 0  # done
        return self._registers.get(address, 0)

    def _begin(self, erase: int, _blocks: int, _block: int, offset: int) -> None:
        self._at = self._first = offset
        self._inflate = zlib.decompressobj()
        self.flash[offset : offset + erase] = b"\xff" * len(self.flash[offset : offset + erase])

    def _store(self, data: bytes) -> None:
        """Flash only clears bits: what was not erased before is spoilt, as on a chip."""
        here = self.flash[self._at : self._at + len(data)]
        stored = bytes(a & b for a, b in zip(here, data, strict=True))
        if self._spoils and stored:
            stored = bytes([stored[0] ^ 0x80]) + stored[1:]
        self.flash[self._at : self._at + len(data)] = stored
        self._at += len(data)
        if self._dies_after is not None and self._at - self._first >= self._dies_after:
            self.die()
