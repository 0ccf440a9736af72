"""``hil recover``: the ladder of one board, climbed by hand."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from .deadline import Deadline
from .errors import BoardError

if TYPE_CHECKING:
    from .config import TargetSpec
    from .recovery import Rung

LOCK_S = 2.0


def recover(spec: TargetSpec, state: Path, tell: Callable[[Rung], object]) -> None:
    """Climb the ladder of one board by hand; then its application is started by a reset.

    :param tell: told of each rung when it is over
    :raises NoConsentError: its entry has no ``provision: true``
    :raises BenchError: somebody holds the board
    :raises BrokenError: no rung has helped
    """
    from .attachment import attach, power_virtual
    from .link.board import identify
    from .lock import hold, key_of
    from .recovery import BUDGET_S, Ladder

    spec.consent()
    with ExitStack() as stack:
        purpose = f"the recovery of {spec.name}"
        stack.enter_context(hold(key_of(spec, state), purpose, Deadline.after(LOCK_S)))
        deadline = Deadline.after(BUDGET_S)
        board = attach(spec, power_virtual(spec, state, stack), stack)
        ladder = Ladder(board.link, identify, board.power, board.bootloader, tell)
        ladder.climb(deadline, BoardError("it does not answer"))
        board.link.hard_reset(Deadline.after(BUDGET_S))
