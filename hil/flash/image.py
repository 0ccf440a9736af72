"""What a firmware image tells of itself: which model it was built for, and which version it is.

Both are strings that MicroPython compiles in. The build target is ``sys.implementation._build``
(since 1.25) and, on OpenMV's boards, the beginning of ``os.uname().machine``. The version is there
twice: the banner that ``sys.version`` ends in, ``OpenMV v5.0.0; MicroPython v1.28.0``
(openmv/openmv ``MICROPY_BANNER_NAME_AND_VERSION``), and ``os.uname().version``, ``v1.28.0 on
2026-04-06``. A compressed or encrypted image tells neither, and then nothing is concluded from it.
"""

from __future__ import annotations

import re

from ..boards.table import models
from .method import Image, Reason, Unsupported

# A release's tag, or the commit of a build in between.
_TAG = rb"(?:v\d+\.\d+\.\d+[\w.+-]*|[0-9a-f]{7,40}(?:-dirty)?)"
_BANNER = re.compile(rb"(?:OpenMV [\w.+-]+; )?MicroPython " + _TAG)
_BUILD = re.compile(_TAG + rb" on \d{4}-\d\d-\d\d")
# A shorter text stands in any image by chance.
_LEAST = 8


# What firmware is packed in, and no bootloader unpacks.
_PACKED = (
    (re.compile(rb"\x7fELF"), "an ELF file"),
    (re.compile(rb":[0-9A-Fa-f]{10,}\r?\n"), "an Intel HEX file"),
    (re.compile(rb"DfuSe"), "a DfuSe file"),
    (re.compile(rb"UF2\n"), "a UF2 file"),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive"),
    (re.compile(rb"\x1f\x8b\x08"), "a gzip archive"),
)
# mpremote/romfs.py: what a ROMFS begins with.
_ROMFS = re.compile(rb"\xd2\xcd1")


def not_raw(image: Image) -> Unsupported | None:
    """An image that would be written as it is, and is none that a chip can start."""
    kinds = (*_PACKED, (_ROMFS, "a ROMFS")) if is_firmware(image) else _PACKED
    for beginning, kind in kinds:
        if beginning.match(image.content):
            return Unsupported(
                Reason.NOT_AN_IMAGE,
                f"{image.path or image.partition} is {kind}, and {image.partition} is written as"
                " it is",
                "give the .bin of the same build",
            )
    return None


def is_firmware(image: Image) -> bool:
    """Whether the board runs it: a ROMFS holds files, and any text may stand in those."""
    return not image.partition.startswith("ROMFS")


def targets_in(content: bytes) -> frozenset[str]:
    """The build targets of the board table that stand in an image as whole words: ``OPENMV4`` is
    not in ``OPENMV4P``."""
    names = "|".join(sorted((row.target for row in models()), key=len, reverse=True))
    word = re.compile(rf"(?<![A-Za-z0-9_])(?:{names})(?![A-Za-z0-9_])".encode())
    return frozenset(found.decode() for found in word.findall(content))


def runs(content: bytes, sys_version: str, build: str) -> bool | None:
    """Whether a board that reports these runs this image; None: nothing tells.

    :param sys_version: ``sys.version``
    :param build: ``os.uname().version``
    """
    told = _BANNER.search(sys_version.encode())
    if told and _BANNER.search(content) and told[0] not in _BANNER.findall(content):
        return False
    built = _BUILD.search(build.encode())
    if built and _BUILD.search(content):
        return built[0] in content
    if len(build) >= _LEAST and build.encode() in content:
        return True
    return True if told and told[0] in content else None


def versions_in(content: bytes) -> frozenset[str]:
    """The versions that stand in an image, for messages."""
    found = {*_BANNER.findall(content), *_BUILD.findall(content)}
    return frozenset(one.decode() for one in found)
