"""The power of a virtual board, which goes right after a chosen block write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..deadline import Deadline
from ..errors import BenchError, BoardError, HilError
from .control import WORK_S, Cut

if TYPE_CHECKING:
    from ..link.board import BoardLink
    from ..virtual.board import VirtualBoard

# A boot writes a few blocks. An application that writes for ever is never through.
_MOST_WRITES = 200
_LOOK_S = 0.004
_SWITCH_S = 10.0
_PORT_S = 2.0


class VirtualPower:
    """:class:`PowerControl` of a virtual board: each cut is right after the n-th block write.

    :param rebooted: told that whatever the application held in memory is gone
    """

    def __init__(
        self, board: VirtualBoard, link: BoardLink, rebooted: Callable[[], None] = lambda: None
    ) -> None:
        self._board = board
        self._link = link
        self._rebooted = rebooted

    def is_on(self, deadline: Deadline | None = None) -> bool:
        return bool(self._board.control("status", deadline=deadline)["power"] == "on")

    def off(self, deadline: Deadline | None = None) -> None:
        deadline = deadline or Deadline.after(_SWITCH_S)
        if not self.is_on(deadline):
            return
        try:
            port = self._link.open(deadline.sooner(_PORT_S))
        except HilError:
            port = None  # in its bootloader it has none that could go
        self._link.expect_reset()
        self._board.control("power_off", deadline=deadline)
        if port:
            port.wait_gone(deadline.sooner(_PORT_S))
        self._rebooted()

    def on(self, deadline: Deadline | None = None) -> None:
        deadline = deadline or Deadline.after(_SWITCH_S)
        self._board.control("power_on", deadline=deadline)
        self._link.open(deadline.sooner(_PORT_S))

    def cuts(self) -> Iterator[Cut]:
        for writes in range(1, _MOST_WRITES + 1):
            cut = _AfterWrites(self, writes)
            yield cut
            if cut.happened is False:
                return
        raise BenchError(
            f"{_MOST_WRITES} cuts, and it writes on: where is the end of it?",
            target=self._link.name,
            hint="does the application write to its flash all the time?",
        )

    def cut_after_writes(self, writes: int, done: Callable[[], bool], within: float) -> bool:
        """See :meth:`Cut.during`."""
        deadline = Deadline.after(within)
        self._link.expect_reset()
        self._board.control("cut_after_writes", n=writes)
        self._board.power_on()
        never = threading.Event()
        try:
            while not done():
                if not self.is_on():
                    self._rebooted()
                    return True
                if deadline.expired:
                    raise BoardError(
                        f"after {within:.0f} s it is not through, and has not written {writes} "
                        "blocks, after which its power was to go",
                        target=self._link.name,
                    )
                never.wait(_LOOK_S)
        finally:
            self._board.control("cut_after_writes", n=None)
        if self.is_on():  # no: with the very last write
            return False
        self._rebooted()
        return True


@dataclass
class _AfterWrites:
    """:ivar happened: None: not tried"""

    power: VirtualPower
    writes: int
    happened: bool | None = None

    @property
    def point(self) -> str:
        return f"after block write {self.writes}"

    def during(self, done: Callable[[], bool], *, within: float = WORK_S) -> bool:
        self.happened = self.power.cut_after_writes(self.writes, done, within)
        return self.happened
