"""Which worker of pytest-xdist runs which checks: each all those of its own boards, in their order.

A scheduler of pytest-xdist, as its hook ``pytest_xdist_make_scheduler`` makes one. xdist's own give
any check to any worker, and ask that all workers have collected the same ones. Here each worker has
collected the checks of its own *share* of the targets, begins as soon as it has, and ends as soon
as it is done. A worker that has died is replaced: the new one gets what the old one has not begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

# A worker knows this many checks ahead, the one that it runs included. It needs to know the next
# one; and one more, so that it never waits for the process that hands them out. More would run on
# after -x.
_AHEAD = 3


def shares_of(names: Sequence[str], workers: int) -> list[list[str]]:
    """Deal the targets out.

    :returns: for each worker its targets, in the inventory's order; no more shares than targets

    >>> shares_of(["porch", "garden", "gate"], 2)
    [['porch', 'gate'], ['garden']]
    """
    return [list(names[i::workers]) for i in range(min(workers, len(names)))]


@dataclass
class _Work:
    """:ivar waiting: indices that the worker has not been told yet
    :ivar running: those that it has been told, in their order: the first one it runs now
    """

    share: int
    collection: list[str] = field(default_factory=list)
    waiting: deque[int] = field(default_factory=deque)
    running: list[int] = field(default_factory=list)


class ShareScheduling:
    """:ivar begun: for each share the node ids of the checks that have been begun and will not be
    run again: done, or the worker has died in it
    """

    def __init__(
        self,
        shares: int,
        share_of: Callable[[WorkerController], int],
        on_collected: Callable[[int], object],
    ) -> None:
        """:param share_of: the number of a worker's share
        :param on_collected: told how many checks there are, each time that more are known
        """
        self.begun: list[set[str]] = [set() for _ in range(shares)]
        self._share_of = share_of
        self._on_collected = on_collected
        self._sizes: dict[int, int] = {}
        self._open = set(range(shares))
        self._work: dict[WorkerController, _Work] = {}

    # What xdist asks for (its scheduler/protocol.py)

    @property
    def nodes(self) -> list[WorkerController]:
        return list(self._work)

    @property
    def collection_is_completed(self) -> bool:
        return len(self._sizes) == len(self.begun)

    @property
    def tests_finished(self) -> bool:
        return not self._open

    @property
    def has_pending(self) -> bool:
        return any(work.running for work in self._work.values())

    def add_node(self, node: WorkerController) -> None:
        self._work[node] = _Work(self._share_of(node))

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        work = self._work[node]
        begun = self.begun[work.share]
        work.collection = list(collection)
        work.waiting.extend(i for i, check in enumerate(collection) if check not in begun)
        self._sizes[work.share] = len(begun) + len(work.waiting)
        self._on_collected(sum(self._sizes.values()))
        self._go_on(node)

    def schedule(self) -> None:
        """Each worker has been told when its collection came."""

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        work = self._work[node]
        work.running.remove(item_index)
        self.begun[work.share].add(work.collection[item_index])
        self._go_on(node)

    def mark_test_pending(self, item: str) -> None:
        raise NotImplementedError("a check that a worker has died in is not run again")

    def remove_pending_tests_from_node(
        self, node: WorkerController, indices: Sequence[int]
    ) -> None:
        raise NotImplementedError("no worker's checks are given to another one")

    def remove_node(self, node: WorkerController) -> str | None:
        """:returns: the check that it has died in"""
        work = self._work.pop(node)
        if not work.running:
            return None
        died_in = work.collection[work.running[0]]
        self.begun[work.share].add(died_in)
        if not work.waiting and len(work.running) == 1:
            self._open.discard(work.share)
        return died_in

    def _go_on(self, node: WorkerController) -> None:
        work = self._work[node]
        if node.shutting_down:
            if not work.running and not work.waiting:
                self._open.discard(work.share)
            return
        more: list[int] = []
        while work.waiting and len(work.running) + len(more) < _AHEAD:
            more.append(work.waiting.popleft())
        work.running += more
        if more:
            node.send_runtest_some(more)
        if not work.waiting:
            node.shutdown()  # after these
        if not work.running:
            self._open.discard(work.share)
