"""The end of a run on the terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hil.summary import ranges


def test_checks_in_a_row_are_told_as_one() -> None:
    """A target that is out of the run has skipped two hundred."""
    assert ranges(["LOG-03", "LOG-01", "LOG-02", "ROT-20", "ROT-19"]) == (
        "LOG-01 to LOG-03, ROT-19, ROT-20"
    )
    assert ranges(["LOG-09", "LOG-10", "LOG-11"]) == "LOG-09 to LOG-11"
    assert ranges(["PORCH-A", "PORCH-B"]) == "PORCH-A, PORCH-B"


@given(st.sets(st.integers(1, 40)), st.sets(st.integers(1, 40)))
def test_none_is_lost_and_none_added(log: set[int], rot: set[int]) -> None:
    given_ids = {f"LOG-{n:02}" for n in log} | {f"ROT-{n:02}" for n in rot}
    told = set()
    for part in filter(None, ranges(given_ids).split(", ")):
        first, _, last = part.partition(" to ")
        group = first[:4]
        told |= {f"{group}{n:02}" for n in range(int(first[4:]), int((last or first)[4:]) + 1)}
    assert told == given_ids
