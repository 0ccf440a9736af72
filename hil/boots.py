"""Whether a board has reset without being asked: a crash that nobody saw, or a starved watchdog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .deadline import Deadline

if TYPE_CHECKING:
    from .control import Pause
    from .link.board import BoardLink

_LOOK_BUDGET_S = 20.0


class BootWatch:
    """Unasked resets of one board, counted from one look to the next.

    A pause leaves a mark in the board's memory, and the next pause looks for it.
    """

    def __init__(self, link: BoardLink, paused: Pause) -> None:
        self._link = link
        self._paused = paused
        self._told = link.unasked_resets

    def count(self) -> int:
        """Pause once, and tell how often in all the board has reset by itself. What the next
        :meth:`unasked` tells stays as it is.

        :raises BoardError: the board cannot be paused
        """
        with self._paused(Deadline.after(_LOOK_BUDGET_S)):
            return self._link.unasked_resets

    def unasked(self) -> bool:
        """Pause once, and tell whether the board has reset by itself since the last call.

        :raises BoardError: the board cannot be paused
        """
        now = self.count()
        found = now > self._told
        self._told = now
        return found
