"""What a board keeps without power: its flash, its SD card, and on some models its clock."""

from __future__ import annotations

import errno
import json
import os
import struct
import time
from pathlib import Path

_NS = 1_000_000_000


class Storage:
    """The files ``flash.img``, ``card.img``, ``writes.bin`` and ``rtc.json`` of a board, which its
    MicroPython has open while it runs: see ``bsp/_flash.py`` and ``bsp/_clock.py``. And what is
    broken about it, in ``faults.json`` and at the end of ``writes.bin``."""

    def __init__(self, state: Path) -> None:
        self._image = state / "flash.img"
        self._card = state / "card.img"
        self._counters = state / "writes.bin"
        self._clock = state / "rtc.json"
        self._faults = state / "faults.json"
        self.break_clock("")

    def make_flash(self, size: int) -> None:
        """An empty flash of ``size`` bytes unless there is one; the board makes its file system."""
        if not self._image.exists():
            with self._image.open("wb") as file:
                file.truncate(size)
        _take_room(self._image, size)
        if not self._counters.exists():
            self._counters.write_bytes(struct.pack("<qq", -1, 0))
        self.spoil_writes()

    def make_card(self, size: int) -> None:
        """An empty card of ``size`` bytes, in place of the one there was."""
        with self._card.open("wb") as file:
            file.truncate(size)
        _take_room(self._card, size)

    @property
    def has_card(self) -> bool:
        """Whether there is a card, in the board or beside it."""
        return self._card.exists()

    def cut_after_writes(self, count: int | None) -> None:
        """Let the power go right after the ``count``-th block write from now; None: do not."""
        if self._counters.exists():
            with self._counters.open("r+b") as file:
                file.write(struct.pack("<q", -1 if count is None else count))

    def count_write(self) -> bool:
        """Count a block that the bootloader has written; whether the power goes now."""
        left: int
        with self._counters.open("r+b") as file:
            left, done = struct.unpack("<qq", file.read(16))
            file.seek(0)
            file.write(struct.pack("<qq", max(left - 1, -1), done + 1))
        return 0 <= left <= 1

    def block_writes(self) -> int:
        """Block writes since the flash was made."""
        done: int = struct.unpack_from("<qq", self._counters.read_bytes())[1]
        return done

    def spoil_writes(self, *, refuse: bool = False, flip_after: int | None = None) -> None:
        """Block writes fail, or one of text is kept wrong; without either they are sound."""
        mode = 2 if refuse else 0 if flip_after is None else 4
        with self._counters.open("r+b") as file:
            file.seek(16)
            file.write(bytes([mode, flip_after or 0]))

    @property
    def spoilt(self) -> bool:
        """Whether a write has met the last :meth:`spoil_writes`: it was refused, or kept wrong."""
        return self._counters.read_bytes()[16:18] in (b"\2\1", b"\0\0")

    def break_clock(self, how: str) -> None:
        """From the next reset on: ``stopped``, ``deaf``, or sound again."""
        self._faults.write_text(json.dumps({"rtc": how}))

    @property
    def has_clock(self) -> bool:
        return self._clock.exists()

    def set_clock(self, unix: float) -> None:
        """Unix seconds. A running MicroPython takes it at its next reset."""
        day = int(unix // 86400)
        record = {
            "offset_ns": int(unix * _NS) - time.time_ns(),
            "weekday": (day + 3) % 7 + 1,  # 1970-01-01 was a Thursday; Monday is 1
            "weekday_day": day,
        }
        self._clock.write_text(json.dumps(record))


def _take_room(image: Path, size: int) -> None:
    """All of it, and now: were the host's disk to fill up later, the board would look as if its own
    flash were full."""
    if not hasattr(os, "posix_fallocate"):  # macOS
        return
    with image.open("r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # not every file system can
                raise
