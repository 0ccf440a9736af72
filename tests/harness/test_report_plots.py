"""Plots: the numbers that are drawn, and which token's life is worth a look."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_run import BEGAN, make

from hil.report import events, plots, runs, svg
from hil.report.runs import Run

TOKEN = events.TokenSeen(id="t1", exp=BEGAN + 3600)
Write = Callable[..., Run]


def use(at: float, status: int = 200, ahead: float = 0.0) -> events.Exchange:
    return events.Exchange(
        at=BEGAN + at,
        check="EXP-01",
        sent="GET /api/me HTTP/1.1 | Host: x",
        got="",
        outcome="accepted" if status == 200 else "refused",
        status=status,
        took_s=0.01,
        board=events.BoardMoment(unix=BEGAN + at + ahead, uncertainty_s=0.5),
        token=TOKEN,
    )


def clock(at: float, ahead: float, action: str = "set") -> events.ClockSeen:
    board = events.BoardMoment(unix=BEGAN + at + ahead, uncertainty_s=0.5)
    return events.ClockSeen(
        at=BEGAN + at, check="EXP-01", action=action, offset_s=ahead, board=board
    )


BOOT = events.Boot(at=BEGAN + 5, check="EXP-01", kind="hard", took_s=3)
KEY = events.KeyChange(at=BEGAN + 4, check="EXP-01", action="written")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A run of one check per target, with these events in it."""

    def _write(
        *lines: events.TargetEvent, verdict: events.VerdictWord = "passed", targets: int = 1
    ) -> Run:
        names = tuple(f"cam-{n}" for n in range(targets))
        folder = make(tmp_path, names, only=[])
        end = events.Verdict(
            at=BEGAN + 9, check="EXP-01", severity="must", title="t", source="s", verdict=verdict
        )
        told = [events.CheckBegin(at=BEGAN, check="EXP-01"), *lines, end]
        for name in names:
            with (folder / name / runs.EVIDENCE_FILE).open("ab") as file:
                file.write(b"".join(map(runs.to_line, told)))
        return Run.load(folder)

    return _write


def test_a_token_that_ends_by_the_board_s_clock(write: Write) -> None:
    (life,) = plots.lives(write(use(1), clock(2, 3605), use(3, 401, 3605), clock(4, 0, "restore")))
    assert (life.story, life.check, life.target) == ("skew", "EXP-01", "cam-0")
    assert [(mark.kind, mark.outcome) for mark in life.marks] == [
        ("accepted", "accepted 200"),
        ("clock", ""),
        ("refused", "refused 401"),
    ]
    assert life.marks[0].what == "GET /api/me"
    assert life.marks[2].board == BEGAN + 3608
    # A camera's token has no iat: it was issued when it was first seen.
    assert (life.issued, life.expires) == (BEGAN + 1, BEGAN + 3600)


@pytest.mark.parametrize(("event", "story"), [(BOOT, "reboot"), (KEY, "rotation")])
def test_a_reset_and_a_key_are_other_stories(
    write: Write, event: events.TargetEvent, story: str
) -> None:
    (life,) = plots.lives(write(use(1), event, use(6)))
    assert life.story == story
    assert life.marks[1].board == event.at


@pytest.mark.parametrize(
    "lines",
    [
        (use(1), use(2)),
        (use(1), clock(2, 0, "read"), use(3)),
        (use(1), BOOT),
        (BOOT, use(6)),
        (replace(use(1), token=None), BOOT, replace(use(6), token=None)),
        (),
    ],
    ids=["nothing", "reading", "before", "after", "no token", "no events"],
)
def test_a_token_without_a_story_is_not_drawn(
    write: Write, lines: tuple[events.TargetEvent, ...]
) -> None:
    assert plots.lives(write(*lines)) == []


def test_a_token_that_ended_before_it_was_issued_is_drawn(write: Write) -> None:
    token = replace(TOKEN, exp=BEGAN - 946684800)
    before, after = (replace(use(at), token=token) for at in (1, 6))
    (life,) = plots.lives(write(before, BOOT, after))
    assert life.expires < life.issued
    assert "issued, 10957 d after its end" in svg.life(life, 1)


def test_targets_with_the_same_verdict_share_a_plot(write: Write) -> None:
    assert len(plots.lives(write(use(1), BOOT, use(6), targets=3))) == 1


def test_a_long_life_is_cut_short_and_says_so(write: Write) -> None:
    alike = [use(1 + n / 99) for n in range(40)]
    (life,) = plots.lives(write(*alike, BOOT, use(6)))
    assert [mark.kind for mark in life.marks] == ["accepted", "accepted", "boot", "accepted"]
    assert life.left_out == 38


def test_a_life_of_many_turns_is_cut_short(write: Write) -> None:
    turns = [one for n in range(20) for one in (clock(n, 60.0 * n), use(n, ahead=60.0 * n))]
    (life,) = plots.lives(write(use(0), *turns))
    assert (len(life.marks), life.left_out) == (plots.MARKS_SHOWN, 41 - plots.MARKS_SHOWN)


def test_times_are_those_of_the_answers(write: Write) -> None:
    took = [replace(use(n), took_s=n / 100) for n in range(1, 101)]
    run = write(*took, replace(use(3), status=None, took_s=30.0), BOOT, replace(BOOT, took_s=5))
    (spread,) = plots.response_times(run)
    assert (spread.count, spread.median, spread.longest) == (100, 0.505, 1.0)
    assert (spread.low, spread.high) == (0.06, 0.95)
    (boots,) = plots.boot_times(run)
    assert (boots.took, boots.median) == ({"hard": (3, 5)}, 4)


times = st.lists(st.floats(0, 1e5), min_size=1, max_size=9)


@given(st.lists(times, min_size=1, max_size=9))
def test_any_times_can_be_drawn(all_times: list[list[float]]) -> None:
    boots = [plots.Boots(f"<{n}>", {"hard": tuple(took)}) for n, took in enumerate(all_times)]
    spreads = [plots._spread(f"<{n}>", sorted(took)) for n, took in enumerate(all_times)]
    for drawn in (svg.boot_times(boots), svg.response_times(spreads)):
        within_the_box(drawn)


@given(st.lists(st.floats(-1e10, 1e10) | st.none(), min_size=1, max_size=9), st.floats(-1e8, 1e8))
def test_any_life_can_be_drawn(boards: list[float | None], span: float) -> None:
    marks = tuple(
        plots.Mark("clock" if n % 3 else "refused", board, "<x>", "" if n % 3 else "refused 401")
        for n, board in enumerate(boards)
    )
    life = plots.Life("skew", "cam", "EXP-01", "t", "passed", BEGAN, BEGAN + span, marks)
    within_the_box(svg.life(life, 1))


def within_the_box(drawn: str) -> None:
    root = ElementTree.fromstring(drawn)  # noqa: S314 - our own
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for one in root.iter():
        for name, limit in (("x", width), ("cx", width), ("y", height), ("cy", height)):
            if name in one.attrib:
                assert -0.1 <= float(one.attrib[name]) <= limit + 0.1
        assert not re.search(r"nan|inf|e\+", one.attrib.get("d", ""))
