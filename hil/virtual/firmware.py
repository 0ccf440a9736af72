"""What a virtual board is flashed with: its frozen packages and a version, in one image.

An image is, numbers little-endian:

====================  ==============================================================
8 bytes               ``b"HILFW\\r\\n\\x1a"``: no text tool leaves these as they are
1, 1, 1, 4 bytes      lengths of the following four parts; a zero byte ends each text
target                the model's build target: ``OPENMV_N6``
partition             where it belongs: ``FIRMWARE``; two images of an AE3 differ by it
version               what ``os.uname().version`` says, and the banner
ROM                   a ROM file system that is mounted at ``/rom``; may be empty
32 bytes              SHA-256 of everything before
====================  ==============================================================
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hil.boards.model import Model

MAGIC = b"HILFW\r\n\x1a"
LONGEST = 16 * 1024 * 1024
"""A file of more bytes is not looked at: no board has so much flash for its firmware."""

# The release whose ports the board table describes. Which MicroPython runs a virtual board does not
# change with its firmware: sys.implementation tells.
_RELEASE, _RELEASED = "v1.28.0", "2026-04-06"
_LENGTHS = struct.Struct("<BBBI")
_DIGEST = hashlib.sha256().digest_size


class DamagedImageError(ValueError):
    """These bytes are no image, or not all of one; the text completes "the image …"."""


@dataclass(frozen=True)
class Firmware:
    """One image. Texts are printable ASCII, 1 to 255 characters."""

    target: str
    partition: str
    version: str
    rom: bytes

    def pack(self) -> bytes:
        """:raises ValueError: a text cannot be written down"""
        texts = [text.encode() for text in (self.target, self.partition, self.version)]
        if not all(0 < len(text) < 256 and _printable(text) for text in texts):
            raise ValueError("target, partition and version are 1 to 255 printable characters")
        # The zeros: whoever looks for strings in an image finds where they end.
        body = MAGIC + _LENGTHS.pack(*map(len, texts), len(self.rom))
        body += b"".join(text + b"\0" for text in texts) + self.rom
        return body + hashlib.sha256(body).digest()


def parse(data: bytes) -> Firmware:
    """Read an image; every bit of it counts.

    :raises DamagedImageError: it is none, cut short, too long, or damaged
    """
    if not data.startswith(MAGIC):
        raise DamagedImageError("does not begin as an image does")
    at = len(MAGIC) + _LENGTHS.size
    if len(data) < at:
        raise DamagedImageError("is cut short")
    *lengths, rom_length = _LENGTHS.unpack_from(data, len(MAGIC))
    expected = at + sum(lengths) + len(lengths) + rom_length + _DIGEST
    if len(data) != expected:
        raise DamagedImageError(f"has {len(data)} bytes, not {expected}")
    if hashlib.sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
        raise DamagedImageError("does not match its own SHA-256")
    texts = []
    for length in lengths:
        texts.append(data[at : at + length + 1])
        at += length + 1
    if not all(text[1:] and text.endswith(b"\0") and _printable(text[:-1]) for text in texts):
        raise DamagedImageError("has no readable target, partition or version")
    target, partition, version = (text[:-1].decode("ascii") for text in texts)
    return Firmware(target, partition, version, data[at:-_DIGEST])


def _printable(text: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in text)


# --- a board's partitions ------------------------------------------------------------------------


def partitions_of(model: Model) -> tuple[str, ...]:
    """The partitions that hold the firmware; the first has the frozen packages."""
    return model.flashed_together or ("FIRMWARE",)


def build(
    model: Model, stamp: str, day: str = _RELEASED, *, frozen: bool = True
) -> dict[str, bytes]:
    """Images of one version for all partitions, from the packages that are installed here.

    :param stamp: of this build, letters and digits: it and the ROM's hash are in the version
    :param day: of this build, YYYY-MM-DD
    :param frozen: False: without the packages that the model has in its firmware
    """
    from .interpreter import rom_image  # the board itself does not need it

    rom = (rom_image(model.frozen) if frozen else None) or b""
    digest = hashlib.sha256(rom).hexdigest()[:8]
    version = f"{_RELEASE}-hil.{stamp}.{digest} on {day}"
    first, *others = partitions_of(model)
    roms = {first: rom} | dict.fromkeys(others, b"")
    return {
        name: Firmware(model.target, name, version, payload).pack()
        for name, payload in roms.items()
    }


class Partitions:
    """The files that stand for a board's firmware partitions, in ``STATE/partitions``.

    :param target: build target of the firmware that fits
    :param names: of the partitions, all of which it takes to boot
    """

    def __init__(self, state: Path, target: str, names: tuple[str, ...]) -> None:
        self._folder = state / "partitions"
        self._target = target
        self.names = names

    def path(self, name: str) -> Path:
        """:raises KeyError: no such partition"""
        if name not in self.names:
            raise KeyError(name)
        return self._folder / f"{name}.bin"

    @property
    def blank(self) -> bool:
        """Whether nothing was ever written: a board out of the factory has firmware."""
        return not any(self.path(name).exists() for name in self.names)

    def make(self, images: Mapping[str, bytes]) -> None:
        """As the factory does, without a bootloader."""
        self._folder.mkdir(exist_ok=True)
        for name, image in images.items():
            self.path(name).write_bytes(image)

    def write(self, name: str, at: int, data: bytes) -> None:
        """At offset 0 the partition is erased first."""
        self._folder.mkdir(exist_ok=True)
        with self.path(name).open("r+b" if at else "wb") as file:
            file.seek(at)
            file.write(data)

    def size(self, name: str) -> int:
        path = self.path(name)
        return path.stat().st_size if path.exists() else 0

    def image(self, name: str) -> Firmware:
        """What is in a partition.

        :raises DamagedImageError: nothing that this board runs from there
        """
        try:
            data = self.path(name).read_bytes()
        except OSError:
            raise DamagedImageError("is not there") from None
        found = parse(data)
        if found.target != self._target:
            raise DamagedImageError(f"is for {found.target}, and this is {self._target}")
        if found.partition != name:
            raise DamagedImageError(f"is for the partition {found.partition}, not for {name}")
        return found

    def firmware(self) -> Firmware:
        """What the board runs: sound images of one version in all partitions.

        :returns: the first one
        :raises DamagedImageError: the board stays in its bootloader
        """
        images = []
        for name in self.names:
            try:
                images.append(self.image(name))
            except DamagedImageError as error:
                raise DamagedImageError(f"in {name} {error}") from None
        versions = [image.version for image in images]
        if len(set(versions)) > 1:
            told = ", ".join(
                f"{name} {version}" for name, version in zip(self.names, versions, strict=True)
            )
            raise DamagedImageError(f"is of two versions: {told}")
        return images[0]
