"""Which worker runs which checks: the scheduler alone, with workers that do as they are told."""

from __future__ import annotations

from collections import deque
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.shares import ShareScheduling, shares_of


@given(st.lists(st.text(min_size=1), unique=True, min_size=1), st.integers(1, 40))
def test_every_target_is_in_one_share_and_no_share_is_empty(names: list[str], workers: int) -> None:
    shares = shares_of(names, workers)
    assert all(shares)
    assert len(shares) == min(workers, len(names))
    assert sorted(chain.from_iterable(shares)) == sorted(names)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


class Node:
    """A worker as xdist's controller sees it: it runs what it has when it knows what comes after,
    and that it ends is the last that it gets to know."""

    def __init__(self, share: int) -> None:
        self.share = share
        self.shutting_down = False
        self.told: deque[int] = deque()

    def send_runtest_some(self, indices: list[int]) -> None:
        assert not self.shutting_down, "what comes after the end is never run"
        self.told.extend(indices)

    def shutdown(self) -> None:
        self.shutting_down = True

    @property
    def can_run(self) -> bool:
        return len(self.told) > 1 or bool(self.told and self.shutting_down)


class Run:
    """xdist's session, as far as a scheduler has to do with it."""

    def __init__(self, checks: list[list[str]]) -> None:
        self.checks = checks
        self.total = 0
        self.ran: list[str] = []
        self.died_in: list[str] = []
        self.scheduling = ShareScheduling(len(checks), lambda node: node.share, self._total)

    def _total(self, checks: int) -> None:
        self.total = checks

    def start(self, share: int, *, begun_is_deselected: bool = True) -> Node:
        node = Node(share)
        self.scheduling.add_node(node)
        begun = self.scheduling.begun[share] if begun_is_deselected else set()
        self.collected = [check for check in self.checks[share] if check not in begun]
        node.collection = self.collected
        self.scheduling.add_node_collection(node, self.collected)
        self.scheduling.schedule()
        return node

    def run_one(self, node: Node) -> None:
        index = node.told.popleft()
        self.ran.append(node.collection[index])
        self.scheduling.mark_test_complete(node, index)

    def finish(self, node: Node) -> None:
        assert self.scheduling.remove_node(node) is None

    def die(self, node: Node) -> None:
        died_in = self.scheduling.remove_node(node)
        if died_in:
            self.died_in.append(died_in)


def test_a_worker_begins_before_others_have_collected() -> None:
    run = Run([["a1", "a2"], ["b1"]])
    first = run.start(0)
    assert first.can_run
    assert not run.scheduling.collection_is_completed
    run.run_one(first)
    run.run_one(first)
    run.finish(first)
    assert not run.scheduling.tests_finished
    second = run.start(1)
    assert run.scheduling.collection_is_completed
    assert run.total == 3
    run.run_one(second)
    assert run.scheduling.tests_finished


def test_after_x_a_worker_runs_no_more_than_it_knows() -> None:
    """xdist tells it to end; what it has been told is in its queue before that."""
    run = Run([[f"a{i}" for i in range(50)]])
    node = run.start(0)
    run.run_one(node)
    node.shutdown()
    while node.can_run:
        run.run_one(node)
    run.finish(node)
    assert len(run.ran) <= 4


def test_a_worker_without_checks_ends_at_once() -> None:
    run = Run([[], ["b1"]])
    assert run.start(0).shutting_down
    assert not run.scheduling.tests_finished


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["run", "run", "run", "die"]))),
    st.booleans(),
)
def test_whatever_dies_each_check_is_begun_once_and_all_are(
    sizes: list[int], events: list[tuple[int, str]], deselected: bool
) -> None:
    run = Run([[f"{share}/{i}" for i in range(size)] for share, size in enumerate(sizes)])
    nodes = {share: run.start(share) for share in range(len(sizes))}
    for which, event in events:
        node = nodes[which % len(sizes)]
        if event == "die":
            run.die(node)
            nodes[node.share] = run.start(node.share, begun_is_deselected=deselected)
        elif node.can_run:
            run.run_one(node)
    for node in nodes.values():
        while node.can_run:
            run.run_one(node)
        run.finish(node)
    assert run.scheduling.tests_finished
    assert not run.scheduling.has_pending
    assert sorted(run.ran + run.died_in) == sorted(chain.from_iterable(run.checks))
    # What is told for the progress is what there is.
    assert run.total == sum(sizes)


def test_a_check_that_kills_its_worker_is_not_tried_again() -> None:
    with pytest.raises(NotImplementedError):
        Run([["a"]]).scheduling.mark_test_pending("a")
