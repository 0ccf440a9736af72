"""UF2 files: blocks of 512 bytes, each telling where it belongs. Source: microsoft/uf2, README."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

BLOCK = 512
MOST_PAYLOAD = 476

_HEADER = struct.Struct("<8I")
_MAGIC = (0x0A324655, 0x9E5D5157)
_MAGIC_END = (0x0AB16F30).to_bytes(4, "little")
# The Pico SDK puts one block of this family, "the first of 2", before the files for an RP2350.
_RP2_ABSOLUTE = 0xE48BFF57
_NOT_MAIN_FLASH, _CONTAINER, _HAS_FAMILY = 0x0001, 0x1000, 0x2000


@dataclass(frozen=True)
class Family:
    """What a file holds for one family of chips.

    :ivar pieces: (address, content) of each block, in order of their addresses
    """

    pieces: tuple[tuple[int, bytes], ...]

    @property
    def size(self) -> int:
        """Bytes that go into the flash."""
        return sum(len(content) for _, content in self.pieces)


def is_uf2(content: bytes) -> bool:
    """Whether it begins as a UF2 file does."""
    return content[:8] == struct.pack("<2I", *_MAGIC)


def parse(content: bytes) -> dict[int, Family]:
    """What the file holds, by family id.

    Numbers and count of blocks are each family's own, as loaders take them: files for several
    families may stand one behind another. Comments ("not main flash") are left out.

    :raises ValueError: why a loader might not take it, or not all of it
    """
    if not content or len(content) % BLOCK:
        raise ValueError(f"{len(content)} bytes are no whole number of blocks of {BLOCK} bytes")
    numbers: dict[int, set[int]] = {}
    counts: dict[int, int] = {}
    pieces: dict[int, list[tuple[int, bytes]]] = {}
    for index in range(len(content) // BLOCK):
        block = content[index * BLOCK : (index + 1) * BLOCK]
        first, second, flags, address, size, number, count, family = _HEADER.unpack_from(block)
        if (first, second) != _MAGIC or block[-4:] != _MAGIC_END:
            raise ValueError(f"block {index} of the file is no UF2 block")
        if flags & _CONTAINER:
            raise ValueError(f"block {index} of the file holds a part of a file, not of the flash")
        if not flags & _HAS_FAMILY:
            raise ValueError(f"block {index} of the file names no family of chips")
        if not 0 < size <= MOST_PAYLOAD or size % 4 or address % 4:
            raise ValueError(f"block {index} of the file: {size} bytes for {address:#x}")
        if count != counts.setdefault(family, count):
            raise ValueError(f"block {index} of the file is one of {count}, others were not")
        if number >= count or number in numbers.setdefault(family, set()):
            raise ValueError(f"block {index} of the file has number {number} of {count}, again")
        numbers[family].add(number)
        if not flags & _NOT_MAIN_FLASH:
            data = block[_HEADER.size : _HEADER.size + size]
            pieces.setdefault(family, []).append((address, data))
    found = {}
    for family, parts in pieces.items():
        if len(numbers[family]) != counts[family] and family != _RP2_ABSOLUTE:
            raise ValueError(f"{counts[family] - len(numbers[family])} blocks are missing")
        found[family] = Family(_in_order(parts))
    return found


def _in_order(parts: list[tuple[int, bytes]]) -> tuple[tuple[int, bytes], ...]:
    parts.sort()
    for (one, content), (other, _) in pairwise(parts):
        if one + len(content) > other:
            raise ValueError(f"two blocks are for {other:#x}")
    return tuple(parts)
