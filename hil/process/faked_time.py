"""The clock of a process: libfaketime between it and the C library, and a file with the offset.

The library reads the file at each look at the clock, so that a process that runs is moved by
writing it. Timeouts are left alone: the monotonic clock and the times of files stay true.
"""

from __future__ import annotations

import glob
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ..clock.rtc import BoardTime
from ..deadline import Deadline
from ..errors import BenchError, Unavailable
from ..target import Absent

# Debian's, Fedora's, and what its own "make install" makes. MT: for programs with threads.
_PLACES = (
    "/usr/lib/*/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
    "/usr/local/lib/faketime/libfaketimeMT.so.1",
)
# A server may keep its Date field for a second (uvicorn does), and tells whole seconds.
_DATE_WITHIN_S = 2.5
_FOLLOWS_WITHIN_S = 3.0
_LOOK_S = 0.02


def library() -> Path | Absent:
    """libfaketime, for programs with threads."""
    if sys.platform != "linux":
        return Absent("the clock of a process is moved on Linux only (libfaketime)")
    found = [path for place in _PLACES for path in glob.glob(place)]  # noqa: PTH207  absolute
    return Path(found[0]) if found else Absent("libfaketime is not installed (Debian: faketime)")


class FakedTime:
    """:class:`hil.clock.rtc.Clock` of a process that runs under libfaketime.

    It is the host's clock and an offset, which is exact to a microsecond.

    :param file: holds the offset
    :param date: asks the process for the date of an answer, Unix seconds; None: it tells none
    """

    def __init__(self, library: Path, file: Path, date: Callable[[Deadline], int | None]) -> None:
        self._library = library
        self._file = file
        self._date = date
        self._offset = 0.0
        self._proven = False
        self._write(0.0)

    @property
    def env(self) -> dict[str, str]:
        """What a program needs in its environment."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Debian's 0.9.10 else takes waits on the monotonic clock for long over: CPython's
            # threads spin for the GIL, and a request took 38 ms instead of 0.5.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
            "NO_FAKE_STAT": "1",
        }

    def moves(self, pid: int) -> bool:
        """Whether the library is in this process."""
        try:
            maps = Path(f"/proc/{pid}/maps").read_text(errors="replace")
        except OSError:
            return False
        return self._library.name in maps

    def read(self, deadline: Deadline, *, samples: int = 3, precise: bool = False) -> BoardTime:
        """No sample is better than another."""
        host = time.time()
        unix = host + self._offset
        return BoardTime(unix, 1e-6, 1970, host, math.floor(unix))

    def set(self, unix: int, deadline: Deadline, *, at_tick: bool = False) -> BoardTime:
        """The second begins at this moment, ``at_tick`` or not.

        :raises Unavailable: the process shows in its answers that it does not follow
        """
        self._write(unix - time.time())
        if not self._proven:
            self._prove(deadline.sooner(_FOLLOWS_WITHIN_S))
        return self.read(deadline)

    def settime(self, host: str, deadline: Deadline) -> None:
        """:raises BenchError: a server does not ask the bench for the time"""
        raise BenchError("a process takes its time from its host, and asks no NTP server")

    def _write(self, offset: float) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset:+.6f}\n")
        os.replace(fresh, self._file)  # noqa: PTH105
        self._offset = offset

    def _prove(self, deadline: Deadline) -> None:
        """Once: by the Date field of an answer, where the process sends one."""
        while (told := self._date(deadline)) is not None:
            if abs(told - self.read(deadline).unix) <= _DATE_WITHIN_S:
                break
            if deadline.expired:
                self._write(0.0)
                raise Unavailable(
                    "needs the clock, but the process does not follow libfaketime: its answers are"
                    " dated by the true time (is it a static program, as those in Go are?)"
                )
            time.sleep(_LOOK_S)  # nothing tells when a server makes its date anew
        self._proven = True
