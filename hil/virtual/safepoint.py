"""Where a stopped MicroPython stands: between two bytecodes, or inside something.

A camera raises KeyboardInterrupt between bytecodes. The unix port's signal handler raises it on the
spot: in the allocator, in a collection (the heap then stays locked), in a file operation. Linux
shows a stopped process's program counter, so the supervisor can wait until it is in the
interpreter's loop. Needs the symbol of that loop; a stripped build has none.
"""

from __future__ import annotations

import functools
import struct
from pathlib import Path

_LOOP = b"mp_execute_bytecode"
_ELF64_LITTLE = b"\x7fELF\x02\x01"
_SYMBOL_TABLES = (2, 11)  # SHT_SYMTAB, SHT_DYNSYM
_SHARED_OBJECT = 3  # ET_DYN


@functools.lru_cache
def loop_in_file(program: Path) -> tuple[int, int, bool] | None:
    """Address and size of the interpreter's loop, and whether the address counts from where the
    file is loaded. None: the file does not tell."""
    try:
        image = program.read_bytes()
        return _find_loop(image)
    except (OSError, struct.error, IndexError):
        return None


def _find_loop(image: bytes) -> tuple[int, int, bool] | None:
    if not image.startswith(_ELF64_LITTLE):
        return None
    (kind,) = struct.unpack_from("<H", image, 16)
    (sections_at,) = struct.unpack_from("<Q", image, 40)
    section_size, section_count = struct.unpack_from("<HH", image, 58)
    sections = [
        struct.unpack_from("<IIQQQQIIQQ", image, sections_at + n * section_size)
        for n in range(section_count)
    ]
    for section in sections:
        if section[1] not in _SYMBOL_TABLES:
            continue
        names_at = sections[section[6]][4]
        # The name's place in the string table first: comparing 2000 names is slow.
        names = image[names_at : names_at + sections[section[6]][5]]
        name_at = names.find(b"\0" + _LOOP + b"\0") + 1
        if name_at == 0:
            continue
        for at in range(section[4], section[4] + section[5], 24):
            name, _, _, _, value, size = struct.unpack_from("<IBBHQQ", image, at)
            if name == name_at and value and size:
                return value, size, kind == _SHARED_OBJECT
    return None


def find_loop(pid: int) -> range | None:
    """The addresses of the interpreter's loop in a process."""
    try:
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return None
    for line in maps:
        fields = line.split(maxsplit=5)
        if len(fields) < 6 or int(fields[2], 16) != 0 or "micropython" not in fields[5]:
            continue
        if found := loop_in_file(Path(fields[5])):
            value, size, relative = found
            start = value + (int(fields[0].partition("-")[0], 16) if relative else 0)
            return range(start, start + size)
    return None


def stands_in(pid: int) -> tuple[bool, int] | None:
    """Of a stopped process: whether it is in a system call, and its program counter."""
    try:
        fields = Path(f"/proc/{pid}/syscall").read_text().split()
        return fields[0] != "-1", int(fields[-1], 16)
    except (OSError, ValueError, IndexError):
        return None
