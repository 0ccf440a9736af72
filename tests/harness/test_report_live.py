"""The live lines of a run, of what its folder tells so far."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from hil.report import events, runs
from hil.report.live import LiveRun

NOON = 1_795_953_600.0  # 2026-11-29 12:00 UTC


def tell(folder: Path, target: str, *told: events.Event) -> None:
    (folder / target).mkdir(exist_ok=True)
    with (folder / target / runs.EVIDENCE_FILE).open("ab") as file:
        file.write(b"".join(map(runs.to_line, told)))


def begin(target: str) -> events.TargetBegin:
    return events.TargetBegin(at=NOON, run="r1", target=target, kind="board", profile="camera")


def up() -> events.Up:
    return events.Up(at=NOON, about="a board", base_url="http://127.0.0.1", took_s=1.0)


def check(name: str, at: float = NOON) -> events.CheckBegin:
    return events.CheckBegin(at=at, check=name)


def verdict(name: str, word: events.VerdictWord, message: str = "") -> events.Verdict:
    fault: dict[str, events.Fault] = {"finding": "firmware", "error": "board"}
    return events.Verdict(
        at=NOON,
        check=name,
        severity="must",
        title="t",
        source="s",
        verdict=word,
        fault=fault.get(word),
        message=message,
    )


def exchange(offset: float) -> events.Exchange:
    moment = events.BoardMoment(unix=NOON + offset, uncertainty_s=0.5)
    return events.Exchange(at=NOON, sent="GET /", got="200", outcome="accepted", board=moment)


def line(folder: Path, columns: int = 120, now: float = NOON, **options: object) -> str:
    run = LiveRun(folder, ["porch"], **options)  # type: ignore[arg-type]
    run.look()
    (only,) = run.lines(columns, 20, now=now)
    return only


def test_nothing_is_shown_before_anything_begins(tmp_path: Path) -> None:
    run = LiveRun(tmp_path, ["porch", "yard"])
    assert (run.look(), run.lines(80, 20)) == ([], [])
    tell(tmp_path, "yard", begin("yard"))
    run.look()
    assert [one.split() for one in run.lines(80, 20)] == [["porch"], ["yard"]]


def test_phase_check_counts_clock_and_last_console_line(tmp_path: Path) -> None:
    tell(tmp_path, "porch", begin("porch"), events.Phase(at=NOON, phase="deploy"))
    assert line(tmp_path, now=NOON + 3).split() == ["porch", "deploy", "3", "s"]
    told = [verdict(f"LOG-0{n}", "passed") for n in range(1, 6)]
    told += [
        verdict("LOG-06", "finding"),
        verdict("LOG-07", "advisory"),
        verdict("LOG-08", "skipped"),
    ]
    tell(tmp_path, "porch", up(), *told, check("LOG-09"), exchange(0.4))
    (tmp_path / "porch" / runs.CONSOLE_FILE).write_text("camera: up\ncamera: a photo\n\n")
    shown = line(tmp_path, totals={"porch": 40})
    assert re.split("  +", shown) == [
        *("porch", "LOG-09", "8/40", "1 finding", "1 advisory", "1 skipped", "5 passed"),
        *("12:00:00Z", "camera: a photo"),
    ]
    tell(tmp_path, "porch", exchange(-18_000))
    assert "07:00:01Z -5 h" in line(tmp_path, now=NOON + 1)
    tell(tmp_path, "porch", verdict("LOG-09", "passed"), events.PutBack(at=NOON, took_s=1.0))
    assert "done" in line(tmp_path)


def test_a_board_that_somebody_holds(tmp_path: Path) -> None:
    tell(tmp_path, "porch", begin("porch"), events.Phase(at=NOON, phase="lock"))
    shown = line(tmp_path, now=NOON + 12, held=lambda: {"porch": "by alice (pid 4711)"})
    assert shown.split() == ["porch", "is", "held", "12", "s", "by", "alice", "(pid", "4711)"]


def test_findings_and_errors_are_told_as_they_come(tmp_path: Path) -> None:
    run = LiveRun(tmp_path, ["porch", "gone"])
    lost = events.Down(at=NOON, fault="bench", message="gone: no such port\n  -> look")
    tell(tmp_path, "gone", begin("gone"), lost, check("LOG-01"), verdict("LOG-01", "error", "it"))
    tell(tmp_path, "porch", begin("porch"), up(), verdict("LOG-02", "advisory", "slow"))
    tell(tmp_path, "porch", verdict("LOG-06", "finding", "promised: 401\n  got: 200"))
    tell(tmp_path, "porch", verdict("LOG-07", "error", "porch: it is silent"))
    assert run.look() == [
        "finding LOG-06 porch: promised: 401",
        "board error LOG-07 porch: it is silent",
        "bench error gone: no such port",
    ]
    assert run.look() == []
    assert [one.split()[:2] for one in run.lines(80, 9, now=NOON)] == [
        ["porch", "up"],
        ["gone", "out"],
    ]


def many(folder: Path) -> LiveRun:
    """32 boards: 2 in a check, 3 coming up, 20 that wait, 7 that are done."""
    names = [f"board{n:02}" for n in range(32)]
    for n, name in enumerate(names[:12]):
        tell(folder, name, begin(name))
        if n < 2 or n >= 5:
            tell(folder, name, up(), check("LOG-01"))
        if n >= 5:
            tell(folder, name, verdict("LOG-01", "passed"), events.PutBack(at=NOON, took_s=1.0))
    run = LiveRun(folder, names)
    run.look()
    return run


def test_32_boards_on_24_lines_those_that_wait_share_one(tmp_path: Path) -> None:
    run = many(tmp_path)
    lines = run.lines(100, 22, now=NOON)
    assert [one.split()[0] for one in lines[:5]] == [f"board{n:02}" for n in range(5)]
    assert lines[5].split()[:4] == ["20", "wait", "board12,", "board13,"]
    assert lines[6].split()[:4] == ["7", "done", "7", "passed"]
    assert len(lines) == 7
    assert len(run.lines(100, 32, now=NOON)) == 32


@pytest.mark.parametrize("rows", range(8))
def test_a_small_screen_is_not_overrun(tmp_path: Path, rows: int) -> None:
    lines = many(tmp_path).lines(40, rows, now=NOON)
    assert len(lines) <= rows
    if rows == 5:
        assert [one.split()[:2] for one in lines[2:]] == [
            ["3", "more"],
            ["20", "wait"],
            ["7", "done"],
        ]


@given(
    console=st.text(max_size=200),
    message=st.text(max_size=100),
    columns=st.integers(1, 200),
)
def test_no_line_is_too_wide_and_none_moves_the_cursor(
    tmp_path_factory: pytest.TempPathFactory, console: str, message: str, columns: int
) -> None:
    """Whatever a board prints, and however wide its letters are."""
    folder = tmp_path_factory.mktemp("run")
    target = folder / "porch"
    tell(folder, "porch", begin("porch"), up(), exchange(0), verdict("LOG-01", "finding", message))
    (target / runs.CONSOLE_FILE).write_bytes(console.encode("utf-8", "replace"))
    run = LiveRun(folder, ["porch"])
    (news,) = run.look()
    (shown,) = run.lines(columns, 5, now=NOON)
    assert (news + shown).isprintable()
    assert cell_len(shown) <= columns


def test_colours_are_asked_for(tmp_path: Path) -> None:
    tell(tmp_path, "porch", begin("porch"), up(), verdict("LOG-01", "finding"))
    run = LiveRun(tmp_path, ["porch"])
    run.look()
    assert "\x1b[31;1m1 finding\x1b[0m" in run.lines(80, 5, colour=True)[0]
    assert "\x1b" not in run.lines(80, 5)[0]


def test_a_torn_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    run = LiveRun(tmp_path, ["porch"])
    told = runs.to_line(verdict("LOG-06", "finding", "promised: 401"))
    tell(tmp_path, "porch", begin("porch"))
    path = tmp_path / "porch" / runs.EVIDENCE_FILE
    with path.open("ab") as file:
        file.write(told[:30])
    assert run.look() == []
    with path.open("ab") as file:
        file.write(told[30:])
    assert run.look() == ["finding LOG-06 porch: promised: 401"]
