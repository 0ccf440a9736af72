"""Whether a board has reset without being asked: a crash that nobody saw, or a starved watchdog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .deadline import Deadline
from .errors import HilError

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

    def pausable(self, deadline: Deadline) -> bool:
        """Whether the board can be paused, and its application resumed."""
        try:
            with self._paused(deadline):
                return True
        except HilError:
            return False

    def unasked(self) -> bool:
        """Pause once, and tell whether the board has reset by itself since the last call.

        :raises BoardError: the board cannot be paused
        """
        with self._paused(Deadline.after(_LOOK_BUDGET_S)):
            found = self._link.unasked_resets > self._told
        self._told = self._link.unasked_resets
        return found
