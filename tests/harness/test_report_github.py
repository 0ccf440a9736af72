"""A run on GitHub: annotations by its rules, and a summary that shows text as text."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from nights import Board, write, write_run

from hil.report import events, github, runs
from hil.report.history import History
from hil.report.runs import Run
from hil.report.trends import trends

SOME = ["LOG-01", "LOG-02", "LOG-03", "LOG-06", "BRR-01"]


def run_of(tmp_path: Path, board: Board, checks: Sequence[str] = SOME) -> Run:
    return Run.load(write_run(tmp_path, 0, {"porch": board}, checks=checks))


def test_findings_first_then_errors_then_warnings(tmp_path: Path) -> None:
    board = Board(
        verdicts={"LOG-02": "advisory", "LOG-03": "error", "LOG-06": "finding", "BRR-01": "known"},
        messages={"LOG-06": "a wrong password: 200,\npromised: 401"},
    )
    assert github.workflow_commands(run_of(tmp_path, board)) == [
        "::error title=LOG-06 porch finding::a wrong password: 200,",
        "::error title=LOG-03 porch board error::error it is",
        "::warning title=LOG-02 porch advisory::advisory it is",
    ]


def test_a_board_that_is_gone_is_one_annotation(tmp_path: Path) -> None:
    ids = [f"LOG-{n:02}" for n in range(1, 34)]
    run = run_of(tmp_path, Board(down="no serial port"), ids)
    assert github.workflow_commands(run) == [
        "::error title=LOG-01 to LOG-33 porch board error::no serial port"
    ]
    silent = run_of(tmp_path, Board(down="no serial port"), [])
    assert github.workflow_commands(silent) == ["::error title=porch board error::no serial port"]


def test_a_problem_of_the_bench_is_an_annotation(tmp_path: Path) -> None:
    run = run_of(tmp_path, Board())
    assert run.end is not None
    run = replace(run, end=replace(run.end, problems=("porch: not put back",)))
    assert github.workflow_commands(run) == ["::error title=bench error::porch: not put back"]


@pytest.mark.parametrize("count", [10, 11, 200])
def test_github_keeps_ten_of_a_kind(tmp_path: Path, count: int) -> None:
    ids = [f"LOG-{n:02}" for n in range(1, count + 1)]
    both = [*ids, "TRN-01"]
    board = Board(verdicts=dict.fromkeys(ids, "finding") | {"TRN-01": "advisory"})
    lines = github.workflow_commands(run_of(tmp_path, board, both))
    assert len([line for line in lines if line.startswith("::error ")]) == 10
    assert len([line for line in lines if line.startswith("::warning ")]) == 1
    more = [line for line in lines if f"title={count - 9} more::LOG-10 porch finding" in line]
    assert len(more) == (count > 10)


def parsed(line: str) -> tuple[str, str, str]:
    """A workflow command as GitHub's runner reads one."""
    found = re.fullmatch(r"::(\w+) (.*?)::(.*)", line)
    assert found, line
    kind, properties, message = found.groups()
    values = dict(part.split("=", 1) for part in properties.split(","))

    def plain(text: str, more: tuple[tuple[str, str], ...] = ()) -> str:
        for code, character in (("%0D", "\r"), ("%0A", "\n"), *more, ("%25", "%")):
            text = text.replace(code, character)
        return text

    return kind, plain(values["title"], (("%3A", ":"), ("%2C", ","))), plain(message)


@given(st.text(), st.text())
def test_a_command_is_read_as_it_was_meant(title: str, message: str) -> None:
    line = github.command("error", title, message)
    assert not {"\r", "\n"} & set(line)
    assert parsed(line) == ("error", title, message)


# -- the summary -----------------------------------------------------------------------------------


def text_of(markdown: str) -> list[list[str]]:
    """The cells of all tables, as a reader sees them."""
    rows: list[list[str]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows and token.level > 2:
            assert all(child.type in ("text", "text_special") for child in token.children or [])
            rows[-1].append("".join(child.content for child in token.children or []))
    return rows


def test_the_morning_after(tmp_path: Path) -> None:
    found = Board(verdicts={"LOG-06": "finding"}, messages={"LOG-06": "200, promised 401"})
    boards = [Board(), found, Board(down="no serial port"), found]
    for night, board in enumerate(boards):
        folder = write_run(tmp_path, night, {"porch": board}, checks=SOME)
    with History(tmp_path / "h") as history:
        history.update(tmp_path)
        told = trends(history.last(9))
    text = github.summary(Run.load(folder), told)
    assert text.startswith("## hil: findings\n\n1 finding, 4 passed. Run 20261202T000000Z-0003,")
    rows = text_of(text)
    assert ["LOG-06", "porch", "200, promised 401", "", "2026-11-30, 2 runs"] in rows
    assert ["porch", "1 finding, 4 passed", "a camera"] in rows


@pytest.mark.parametrize(
    ("board", "killed", "title"),
    [
        (Board(), False, "no finding"),
        (Board(verdicts={"LOG-01": "finding"}), False, "findings"),
        (Board(down="gone"), False, "not all of it is known: errors"),
        (Board(), True, "the run did not reach its end; no finding"),
    ],
)
def test_what_is_not_known_is_never_a_pass(
    tmp_path: Path, board: Board, killed: bool, title: str
) -> None:
    folder = write_run(tmp_path, 0, {"porch": board}, checks=SOME, killed=killed)
    assert github.summary(Run.load(folder)).startswith(f"## hil: {title}\n")


@given(st.text(st.characters(codec="utf-8") | st.sampled_from("|\\`*_[]()<>&#~!\r\n"), min_size=1))
@example("a|b")
@example("<b>a</b> **b** _c_ `d` [e](f) ![g](h) &amp; \\# ~~i~~")
def test_whatever_a_board_says_is_text_in_its_cell(said: str) -> None:
    shown = " ".join(said.split())
    rows = text_of(github._table("t", ("a", "b"), [(said, "next")]))
    plain = [cell.replace("\ufffd", "\0") for cell in rows[1]]
    assert plain == [shown.replace("\ufffd", "\0"), "next"]


def test_a_long_summary_is_cut_and_says_so(tmp_path: Path) -> None:
    ids = [f"LOG-{n:03}" for n in range(1, 400)]
    board = Board(verdicts=dict.fromkeys(ids, "finding"))
    run = run_of(tmp_path, board, ids)
    assert "and 199 more: see the run's artifacts" in github.summary(run)
    short = github.summary(run, room=4000)
    assert len(short.encode()) <= 4000
    assert short.startswith("## hil: findings")
    assert short.endswith("More does not fit here: see the run's artifacts.\n")


@pytest.fixture
def server() -> Iterator[str]:
    """One whose every answer is a 404."""

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Nothing) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


def test_a_run_on_github_writes_both(
    pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    page = tmp_path / "summary.md"
    page.write_text("of the step before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(page))
    monkeypatch.delenv("HIL_DEVICES", raising=False)
    pytester.makefile(".yaml", devices=f"targets: {{porch: {{kind: url, url: '{server}'}}}}")
    pytester.makepyfile("""
        from hil.check import check, must

        @check("LOG-01", must, "one")
        def test_login(api):
            assert api.base_url == "other", "it is not so"
    """)
    ran = pytester.runpytest_subprocess("-m", "hil", timeout=60)
    lines = [line for line in ran.outlines if line.startswith("::")]
    assert len(lines) == 1, ran.stdout.str()
    assert parsed(lines[0])[:2] == ("error", "LOG-01 porch finding")
    text = page.read_text()
    assert text.startswith("of the step before\n## hil: findings\n")
    assert server in text
    monkeypatch.delenv("GITHUB_ACTIONS")
    ran = pytester.runpytest_subprocess("-m", "hil", timeout=60)
    assert "::error" not in ran.stdout.str()
    assert page.read_text() == text


def test_a_killed_runs_evidence_is_enough(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    begin = events.RunBegin(
        at=1.0, run="r", hil="0", python="3", host="h", inventory="i", targets=("porch",)
    )
    write(folder / runs.RUN_FILE, [begin])
    run = Run.load(folder)
    assert github.workflow_commands(run) == []
    assert "no check has ended" in github.summary(run)
