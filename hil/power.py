"""Power: off, on, and cut at a chosen point of what the board is doing.

A virtual board's power goes right after a block write, so that every point that matters is met
exactly once; a real one's goes after a time, so that points are sampled. A check reads the same::

    for cut in power.cuts():
        happened = cut.during(is_done)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .deadline import Deadline
from .errors import BenchError, BoardError

if TYPE_CHECKING:
    from .link.board import BoardLink
    from .virtual.board import VirtualBoard

WORK_S = 30.0
"""How long what is to be cut may take, seconds."""

# A boot writes a few blocks. An application that writes for ever is never through.
_MOST_WRITES = 200
_LOOK_S = 0.004
_PORT_GONE_S = 2.0


class Cut(Protocol):
    """One point at which the power goes.

    :ivar point: e.g. ``after block write 3``
    """

    @property
    def point(self) -> str: ...

    def during(self, done: Callable[[], bool], *, within: float = WORK_S) -> bool:
        """Give the board power, unless it has it, and let the power go at this point.

        Returns with the board off, if the power went, else with it running.

        :param done: does or asks for the work, and is called until it tells that it is through;
            it must not take long, also when the board has just lost its power
        :param within: seconds
        :returns: whether the power went before the work was through
        :raises BoardError: neither came to pass in time
        """


class PowerControl(Protocol):
    """What the bench can do to a board's power."""

    def off(self) -> None:
        """At once, whatever happens on the board. Nothing, where it is off."""

    def on(self) -> None:
        """A cold boot; returns when the port is there. Nothing, where it is on.

        The clock may have lost the time, and stays so: ``reboot("power")`` sets it.
        """

    def cuts(self) -> Iterator[Cut]:
        """The points, one after another, until the work is through before its point has come."""


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

    def is_on(self) -> bool:
        return bool(self._board.control("status")["power"] == "on")

    def off(self) -> None:
        if not self.is_on():
            return
        port = self._link.open(Deadline.after(_PORT_GONE_S))
        self._link.expect_reset()
        self._board.power_off()
        port.wait_gone(Deadline.after(_PORT_GONE_S))
        self._rebooted()

    def on(self) -> None:
        self._board.power_on()
        self._link.open(Deadline.after(_PORT_GONE_S))

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
