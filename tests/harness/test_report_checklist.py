"""What a checklist says of a run: the gravest first, and nothing better than what is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_run import BEGAN, GONE, HOSTILE, make

from hil.report import events, runs
from hil.report.checklist import Checklist, checklist
from hil.report.matrix import CELL_WORDS, CELLS
from hil.report.runs import Run, TargetRun
from hil.report.steps import ALIKE_SHOWN, STEPS_SHOWN, courses
from hil.report.words import check_order, counted, duration, offset, utc, visible


def seen(folder: Path) -> Checklist:
    return checklist(Run.load(folder))


def test_findings_are_told_once_with_every_target_that_has_them(tmp_path: Path) -> None:
    told = seen(make(tmp_path, ["porch", "yard", "gate"], only=["LOG", "EXP"]))
    assert told.headline.result == "findings"
    assert told.headline.sentence == "6 findings: 2 checks broken on 3 targets"
    assert [issue.check for issue in told.findings] == ["LOG-06", "EXP-03"]
    (wrong_password, _) = told.findings
    (occurrence,) = wrong_password.occurrences
    assert occurrence.targets == ("porch", "yard", "gate")
    assert occurrence.course.steps
    assert "an 'or' for an 'and'" in wrong_password.cause
    assert [issue.check for issue in told.advisories] == ["LOG-36"]


def test_a_run_without_findings_says_how_much_it_has_seen(tmp_path: Path) -> None:
    told = seen(make(tmp_path, verdicts={}, only=["LOG"]))
    assert told.headline.result == "no finding"
    assert told.headline.sentence == "No finding: 80 checks passed on 2 targets"
    assert told.headline.details == ()


def test_a_killed_run_says_so_first(tmp_path: Path) -> None:
    told = seen(make(tmp_path, verdicts={}, killed=True))
    assert told.headline.result == "unfinished"
    assert told.headline.sentence.startswith("Not finished")
    unfinished = [row.check for row in told.rows if "unfinished" in row.cells]
    assert len(unfinished) == 1
    assert [sheet.sound for sheet in told.sheets] == [True, False]
    why = {gap.reason for gap in told.gaps if unfinished[0] in gap.checks}
    assert "it began, and the run ended in it" in why


@pytest.mark.parametrize("trouble", [{"gone": "yard"}, {"absent": "yard"}])
def test_a_run_with_errors_is_no_pass(tmp_path: Path, trouble: dict[str, str]) -> None:
    told = seen(make(tmp_path, verdicts={}, **trouble))  # type: ignore[arg-type]
    assert told.headline.result == "incomplete"
    assert told.headline.sentence.startswith("Incomplete: no finding, but")
    (error,) = told.errors
    assert error.targets == ("yard",)
    assert error.fault == ("board" if "gone" in trouble else "bench")


def test_a_board_that_was_not_put_back_is_no_pass(tmp_path: Path) -> None:
    folder = make(tmp_path, ["porch"], verdicts={}, only=["LOG"])
    with (folder / "porch" / runs.EVIDENCE_FILE).open("ab") as file:
        file.write(runs.to_line(events.PutBack(at=BEGAN, took_s=1, problem="its key is lost")))
    told = seen(folder)
    assert told.headline.result == "incomplete"
    assert told.sheets[0].state == "could not be put back: its key is lost"


def test_a_run_without_verdicts_has_checked_nothing(tmp_path: Path) -> None:
    assert seen(make(tmp_path, only=[])).headline.result == "nothing"


def test_what_was_not_checked_is_told_by_its_reason(tmp_path: Path) -> None:
    told = seen(make(tmp_path, gone="yard"))
    by_reason = {gap.reason: gap for gap in told.gaps}
    beyond = by_reason["the profile 'camera' promises no KEY"]
    assert beyond.out_of_scope
    assert beyond.checks == tuple(f"KEY-{n:02}" for n in range(1, 11))
    assert by_reason[GONE].targets == ("yard",)
    assert not by_reason[GONE].out_of_scope
    missing = [gap.out_of_scope for gap in told.gaps]
    assert missing == sorted(missing), "what is missing comes before what is out of scope"


def test_checks_of_the_catalogue_that_were_not_in_the_run_are_told(tmp_path: Path) -> None:
    told = seen(make(tmp_path, only=["LOG"]))
    assert len(told.rows) >= 260
    (gap,) = told.gaps
    assert gap.reason.startswith("it was not part of this run")
    assert "EXP-03" in gap.checks
    assert "LOG-01" not in gap.checks


def test_a_team_s_own_checks_have_their_place(tmp_path: Path) -> None:
    folder = make(tmp_path, ["porch"], only=["LOG"])
    own = events.Verdict(
        at=BEGAN, check="PORCH-1", severity="must", title="t", source="s", verdict="finding"
    )
    with (folder / "porch" / runs.EVIDENCE_FILE).open("ab") as file:
        file.write(runs.to_line(own))
    told = seen(folder)
    assert told.rows[-1].check == "PORCH-1"
    assert [issue.check for issue in told.findings] == ["LOG-06", "PORCH-1"]


def test_every_cell_has_a_word_and_a_place() -> None:
    assert set(CELLS) == set(CELL_WORDS)
    assert CELLS[0] == "finding"
    assert CELLS[-1] == "passed"


# -- steps -----------------------------------------------------------------------------------------


def target(tmp_path: Path, *lines: events.TargetEvent) -> TargetRun:
    begin = events.TargetBegin(at=0, run="r", target="porch", kind="board", profile="camera")
    data = b"".join(map(runs.to_line, (begin, *lines)))
    (tmp_path / runs.EVIDENCE_FILE).write_bytes(data)
    return TargetRun.load(tmp_path)


def exchange(at: float, sent: str = "GET /", status: int = 200) -> events.Exchange:
    return events.Exchange(
        at=at, check="A-1", sent=sent, got=f"{status}", outcome="accepted", status=status
    )


def test_steps_that_are_alike_are_counted(tmp_path: Path) -> None:
    pairs = [exchange(i, sent) for i in range(200) for sent in ("GET /a", "GET /b")]
    course = courses(target(tmp_path, events.CheckBegin(at=0, check="A-1"), *pairs))["A-1"]
    assert [step.text for step in course.steps] == ["GET /a", "GET /b"] * ALIKE_SHOWN
    assert [step.more for step in course.steps[-2:]] == [197, 197]
    assert sum(1 + step.more for step in course.steps) == 400


def test_the_same_request_after_something_happened_is_told_again(tmp_path: Path) -> None:
    boot = events.Boot(at=50, check="A-1", kind="hard", took_s=3)
    lines = [*map(exchange, range(5)), boot, exchange(60)]
    course = courses(target(tmp_path, *lines))["A-1"]
    kinds = [step.kind for step in course.steps]
    assert kinds == ["exchange"] * ALIKE_SHOWN + ["boot", "exchange"]


def test_other_steps_beyond_the_limit_are_counted(tmp_path: Path) -> None:
    lines = [exchange(i, f"GET /{i}") for i in range(STEPS_SHOWN + 40)]
    # Those that are not told have nothing that those alike could be counted on.
    course = courses(target(tmp_path, *lines, *lines[-2:] * 4))["A-1"]
    assert len(course.steps) == STEPS_SHOWN
    assert sum(1 + step.more for step in course.steps) + course.left_out == STEPS_SHOWN + 48


def test_a_check_that_did_nothing_has_no_course(tmp_path: Path) -> None:
    assert courses(target(tmp_path, events.CheckBegin(at=0, check="A-1"))) == {}


def test_where_it_was_stuck_is_a_step(tmp_path: Path) -> None:
    stuck = events.Stuck(
        at=9, check="A-1", after_s=9, host=("a.py:1 in f: x",), board=("main.py:3",), fault="board"
    )
    (step,) = courses(target(tmp_path, stuck))["A-1"].steps
    assert "a.py:1 in f: x" in step.text
    assert "main.py:3" in step.text


# -- words -----------------------------------------------------------------------------------------


@given(st.text(max_size=60))
def test_visible_text_has_lines_and_nothing_else_that_is_invisible(text: str) -> None:
    shown = visible(text)
    assert shown.replace("\n", "").isprintable()
    assert not {"\0", "\x1b", "\r", "\u202e", "\u2066", "\x85"} & set(shown)
    assert visible(shown) == shown


def test_hostile_text_is_visible() -> None:
    assert "\\x00\\x1b[31m\\u202egnp.exe" in visible(HOSTILE)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.00012, "0.1 ms"),
        (0.0042, "4.2 ms"),
        (0.0421, "42 ms"),
        (0.9996, "1.0 s"),
        (3.21, "3.2 s"),
        (42.4, "42 s"),
        (59.96, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3600, "1 h 0 min"),
        (-946684800, "-10957 d"),
    ],
)
def test_durations(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_other_words() -> None:
    assert utc(BEGAN) == "2026-11-29 05:21:12 UTC"
    assert utc(1e18) == "1000000000000000000 s since 1970"
    assert offset(-0.42) == "-0.4 s"
    assert [counted(1, "advisory"), counted(2, "advisory"), counted(2, "passed")] == [
        "1 advisory",
        "2 advisories",
        "2 passed",
    ]
    assert sorted(["LOG-10", "LOG-9", "LOG", "BAS-1"], key=check_order)[:2] == ["BAS-1", "LOG"]
