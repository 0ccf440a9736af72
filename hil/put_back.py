"""A board as it was found: the journal undone, and its application started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import journal
from .deadline import Deadline

if TYPE_CHECKING:
    from .link.board import BoardLink
    from .recovery import Recovery

BUDGET_S = 45.0
# What was declared broken is asked once more, and not waited for.
BROKEN_S = 5.0


def put_back(link: BoardLink, recovery: Recovery, *, powered_off: bool) -> journal.Restored | None:
    """The journal; then the application is started as it was found.

    :param powered_off: the board is about to lose its power: nothing is started
    :returns: None: there was no journal
    :raises BoardError: a file could not be put back, or the board does not answer
    """
    if not recovery.broken:
        recovery.reach()  # in a time of its own
    deadline = Deadline.after(BROKEN_S if recovery.broken else BUDGET_S)
    try:
        with link.repl(deadline) as repl:
            return journal.restore(repl, deadline)
    finally:
        if not powered_off:
            link.hard_reset(deadline)
