"""``hil history``: what seven nights tell, and that nothing of them is lost."""

from __future__ import annotations

import hashlib
import json
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from nights import Board, check_ids, weight, write, write_run

from hil.boards.table import model
from hil.cli import main
from hil.errors import ConfigError
from hil.flash.virtual import fresh_images
from hil.report import digest, events, runs
from hil.report.history import History
from hil.report.trends import slower_since, trends
from hil.virtual.firmware import parse

SOME = ["LOG-01", "LOG-02", "LOG-06", "BRR-01"]
Hil = Callable[..., Result]


@pytest.fixture
def hil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hil:
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(main, words)


def nights(artifacts: Path, boards: list[Board], *, checks: list[str] = SOME) -> None:
    for night, board in enumerate(boards):
        write_run(artifacts, night, {"porch": board}, checks=checks)


# -- a week ----------------------------------------------------------------------------------------


def a_week(artifacts: Path) -> None:
    """Two boards, all checks. On porch, LOG-06 turns red with the application of the fourth night;
    on yard, BRR-05 flickers, and from the fifth night on it answers slower and slower."""
    noise = random.Random(6)
    ids = check_ids()
    for night in range(7):
        red = night >= 3
        porch = Board(
            application="b" if red else "a",
            verdicts={"LOG-06": "finding", "TRN-01": "skipped"} if red else {"TRN-01": "skipped"},
            messages={"LOG-06": "a wrong password: 200, promised 401"},
            respond_s=0.030 * noise.uniform(0.93, 1.07),
            boot_s=3.0 * noise.uniform(0.97, 1.03),
        )
        yard = Board(
            unique_id="20368041",
            verdicts={"BRR-05": "finding"} if night in (1, 4, 5) else {},
            respond_s=0.020 * noise.uniform(0.93, 1.07) * (1, 1, 1, 1, 1.5, 1.6, 1.7)[night],
            boot_s=2.0 * noise.uniform(0.97, 1.03),
        )
        write_run(
            artifacts, night, {"porch": porch, "yard": yard}, checks=ids, revision=f"c0ffee{night}"
        )


def test_a_week_is_told_exactly(tmp_path: Path, hil: Hil) -> None:
    a_week(tmp_path / "artifacts")
    told = json.loads(hil("history", "--json").stdout)
    ids = [run["run"] for run in told["runs"]]
    assert len(ids) == 7
    (red,) = told["red"]
    assert (red["target"], red["check"], red["runs"], red["gaps"]) == ("porch", "LOG-06", 4, 0)
    assert (red["before"]["run"], red["first"]["run"]) == (ids[2], ids[3])
    (flickering,) = told["flickering"]
    assert (flickering["target"], flickering["check"]) == ("yard", "BRR-05")
    assert (flickering["changes"], flickering["of_one_build"], flickering["runs"]) == (4, 4, 7)
    (slower,) = told["slower"]
    assert (slower["target"], slower["measure"]) == ("yard", "response")
    assert slower["first"]["run"] == ids[4]
    assert 1.4 < slower["now_s"] / slower["usual_s"] < 1.8
    assert told["unexamined"] == told["advisories"] == told["swapped"] == []


def test_and_in_words(tmp_path: Path, hil: Hil) -> None:
    a_week(tmp_path / "artifacts")
    shown = hil("history")
    assert shown.exit_code == 0, shown.output
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines[0] == "7 runs, 2026-11-29 00:00 to 2026-12-05 00:00 UTC"
    red = lines.index("red")
    assert lines[red + 1 : red + 3] == [
        "LOG-06 porch: since 2026-12-02 00:00, 4 runs",
        "a wrong password: 200, promised 401",
    ]
    assert lines[red + 3].startswith("between 20261201T000000Z-0002 and 20261202T000000Z-0003: ")
    assert "application ca978112ca1b -> 3e23e8160039, revision c0ffee2 -> c0ffee3" in lines[red + 3]
    assert "BRR-05 yard: .F..FF., 4 changes in 7 runs, 4 of them with the same build" in lines
    (slow,) = (line for line in lines if line.startswith("yard: response"))
    assert slow.endswith("since 2026-12-03 00:00, 3 runs")
    ids = len(check_ids())
    assert f"porch e4627202: 7 runs; last: {ids - 2} passed, 1 finding, 1 skipped" in lines
    at = lines.index(f"yard 20368041: 7 runs; last: {ids} passed")
    assert re.fullmatch(r"response 1\d\d ms [▁▂▃]{4}[▅▆▇█]{3}", lines[at + 1])
    assert re.fullmatch(r"boot (1\.9|2\.0|2\.1) s [▁▂]{7}", lines[at + 2])
    assert re.fullmatch(r"bring-up [\d.]+ s \.[▁▂]{6}", lines[at + 3])
    one = hil("history", "--check", "log-06", "--target", "porch").stdout
    assert "LOG-06 porch: ...FFFF" in one
    assert "yard" not in one


# -- red, flickering, not examined -----------------------------------------------------------------


def told_of(path: Path, **options: list[str]) -> dict[str, list[dict[str, object]]]:
    with History(path / "history.sqlite") as kept:
        kept.update(path)
        return trends(kept.last(100), **options).as_dict()


FINDING = Board(verdicts={"LOG-06": "finding"})


def test_a_board_that_was_away_is_neither_green_nor_red(tmp_path: Path) -> None:
    away = Board(down="no serial port")
    nights(tmp_path, [Board(), FINDING, away, away, away])
    told = told_of(tmp_path)
    (red,) = told["red"]
    assert (red["check"], red["runs"], red["gaps"]) == ("LOG-06", 1, 3)
    (unexamined,) = told["unexamined"]
    assert unexamined["checks"] == tuple(sorted(SOME))
    assert (unexamined["reason"], unexamined["runs"]) == ("error: no serial port", 3)


def test_a_skipped_check_is_no_longer_examined(tmp_path: Path) -> None:
    skipped = Board(verdicts={"LOG-06": "skipped"}, messages={"LOG-06": "no clock control"})
    nights(tmp_path, [FINDING, Board(), skipped, skipped])
    told = told_of(tmp_path)
    assert told["red"] == []
    (unexamined,) = told["unexamined"]
    assert (unexamined["checks"], unexamined["runs"]) == (("LOG-06",), 2)
    assert unexamined["reason"] == "skipped: no clock control"


def test_a_run_that_was_killed_has_examined_what_it_had(tmp_path: Path) -> None:
    nights(tmp_path, [Board(), Board()])
    write_run(tmp_path, 2, {"porch": Board()}, checks=SOME, killed=True)
    (unexamined,) = told_of(tmp_path)["unexamined"]
    assert unexamined["checks"] == ("BRR-01", "LOG-02", "LOG-06")
    assert unexamined["reason"] == "the last run has no end"


def test_red_from_the_oldest_run_on_has_nothing_before(tmp_path: Path, hil: Hil) -> None:
    nights(tmp_path / "artifacts", [FINDING, FINDING])
    assert "LOG-06 porch: since 2026-11-29 00:00 at least, 2 runs" in hil("history").stdout


def test_red_and_mended_and_red_by_new_builds_is_no_flicker(tmp_path: Path) -> None:
    boards = [replace(FINDING if n % 2 else Board(), application=str(n)) for n in range(4)]
    nights(tmp_path, boards)
    told = told_of(tmp_path)
    assert told["flickering"] == []
    assert [one["check"] for one in told["red"]] == ["LOG-06"]


def test_up_and_down_with_every_build_flickers_in_the_end(tmp_path: Path) -> None:
    boards = [replace(FINDING if n % 2 else Board(), application=str(n)) for n in range(5)]
    nights(tmp_path, boards)
    (flickering,) = told_of(tmp_path)["flickering"]
    assert (flickering["changes"], flickering["of_one_build"]) == (4, 0)


def test_what_has_settled_is_red_again(tmp_path: Path) -> None:
    nights(tmp_path, [FINDING, Board(), FINDING, FINDING, FINDING, FINDING])
    assert [one["check"] for one in told_of(tmp_path)["flickering"]] == ["LOG-06"]
    write_run(tmp_path, 6, {"porch": FINDING}, checks=SOME)
    told = told_of(tmp_path)
    assert (told["flickering"], [one["runs"] for one in told["red"]]) == ([], [5])


def test_another_board_by_the_same_name_begins_anew(tmp_path: Path, hil: Hil) -> None:
    other = replace(FINDING, unique_id="0b0b0b0b")
    away = Board(down="no serial port")
    nights(tmp_path / "artifacts", [FINDING, Board(), FINDING, away, other, other])
    told = told_of(tmp_path / "artifacts")
    (swapped,) = told["swapped"]
    assert (swapped["before"], swapped["now"]) == ("e4627202", "0b0b0b0b")
    assert told["flickering"] == []
    assert [(one["runs"], one["before"]) for one in told["red"]] == [(2, None)]
    assert "porch: another board since 2026-12-03 00:00 (0b0b0b0b, before" in hil("history").stdout


@given(st.lists(st.sampled_from(["passed", "finding", "advisory", "skipped", "error", None])))
def test_a_check_is_told_of_once_and_rightly(words: list[events.VerdictWord | None]) -> None:
    row = [
        digest.RunDigest(
            name=str(night),
            at=night,
            targets={
                "porch": digest.TargetDigest(
                    name="porch",
                    checks={"LOG-06": digest.CheckDigest(verdict=word)} if word else {},
                )
            },
        )
        for night, word in enumerate(words)
    ]
    told = trends(row)
    examined = [word for word in words if word in ("passed", "finding", "advisory")]
    broken = [*told.red, *told.advisories]
    if not told.flickering:
        assert bool(broken) == bool(examined and examined[-1] != "passed")
    assert len(broken) + len(told.flickering) <= 1
    for one in broken:
        assert examined[-one.runs :] == [one.verdict] * one.runs
        assert one.before is None or examined[-one.runs - 1] != one.verdict
    late = bool(examined) and words[-1] not in ("passed", "finding", "advisory")
    assert bool(told.unexamined) == late


# -- times -----------------------------------------------------------------------------------------


def test_noise_is_no_slowing_down() -> None:
    noise = random.Random(2026)
    alarms = 0
    for _ in range(400):
        nights = [0.030 * noise.lognormvariate(0, 0.10) for _ in range(noise.randint(2, 40))]
        if noise.random() < 0.5:  # one night with a busy host, also the last
            nights[noise.randrange(len(nights)) if noise.random() < 0.5 else -1] *= 4
        alarms += slower_since(nights, 0.002) is not None
    assert alarms == 0


@pytest.mark.parametrize("ratio", [1.6, 2.0, 10.0])
def test_a_step_is_seen_and_where_it_was(ratio: float) -> None:
    noise = random.Random(7)
    for _ in range(100):
        before, after = noise.randint(4, 30), noise.randint(2, 30)
        nights = [0.030 * noise.lognormvariate(0, 0.05) for _ in range(before + after)]
        slower = nights[:before] + [ratio * value for value in nights[before:]]
        assert slower_since(slower, 0.002) == before


def test_a_creeping_slowness_is_seen() -> None:
    assert slower_since([1.05**night for night in range(20)], 0.002) is not None


def test_a_millisecond_is_not_worth_telling() -> None:
    assert slower_since([0.001] * 9 + [0.0025] * 3, 0.002) is None


def test_a_run_of_a_few_checks_is_compared_with_the_same_checks(tmp_path: Path) -> None:
    ids = check_ids()
    slow = [check for check in ids if weight(check) == 7]
    for night in range(8):
        checks = ids if night < 6 else slow
        write_run(tmp_path, night, {"porch": Board()}, checks=checks)
    told = told_of(tmp_path)
    assert told["slower"] == []
    paces = [round(one, 4) for one in told["targets"][0]["seconds"]["response"]]  # type: ignore[index]
    assert max(paces) < 1.05 * min(paces)


def test_a_silence_is_no_slow_answer(tmp_path: Path) -> None:
    folder = write_run(tmp_path, 0, {"porch": Board()}, checks=["LOG-06"])
    silence = events.Exchange(
        at=1.0, check="LOG-06", sent="GET /", got="", outcome="no answer", took_s=10.0
    )
    with (folder / "porch" / runs.EVIDENCE_FILE).open("ab") as file:
        file.write(runs.to_line(silence) * 9)
    found = digest.digest(runs.Run.load(folder)).targets["porch"]
    assert found.seconds["response", "LOG-06"] < 1


def test_a_bring_up_with_something_new_is_not_slower(tmp_path: Path) -> None:
    boards = [Board(boot_s=2.0)] * 5 + [
        Board(boot_s=9.0, application=str(night)) for night in range(3)
    ]
    nights(tmp_path, boards)
    assert [one["measure"] for one in told_of(tmp_path)["slower"]] == ["boot"]


# -- the file --------------------------------------------------------------------------------------


def names(path: Path) -> list[str]:
    with History(path) as kept:
        return [run.name for run in kept.last(100)]


def test_what_is_kept_is_what_the_run_told(tmp_path: Path) -> None:
    board = replace(FINDING, messages={"LOG-06": "a\nb"})
    folder = write_run(tmp_path, 0, {"porch": board}, checks=SOME, revision="c0ffee")
    with History(tmp_path / "h") as kept:
        assert kept.update(tmp_path).added == (folder.name,)
        assert kept.update(tmp_path).added == ()
        (found,) = kept.last(5)
    assert found == digest.digest(runs.Run.load(folder))
    assert found.targets["porch"].checks["LOG-06"].message == "a"
    assert found.targets["porch"].seconds["boot", "hard"] == 3.0


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
maybe = st.none() | texts
seconds = st.floats(0, 1e6)
targets = st.builds(
    digest.TargetDigest,
    name=texts,
    unique_id=maybe,
    kind=texts,
    model=maybe,
    profile=texts,
    build=st.builds(digest.Build, firmware=maybe, firmware_sha256=maybe, profile_sha256=maybe),
    fault=st.sampled_from([None, "board"]),
    message=texts,
    checks=st.dictionaries(
        texts,
        st.builds(
            digest.CheckDigest, verdict=st.sampled_from(events.WORDS), fault=maybe, message=texts
        ),
        max_size=3,
    ),
    seconds=st.dictionaries(st.tuples(texts, texts), seconds, max_size=3),
)


@settings(max_examples=40)
@given(st.lists(targets, max_size=3, unique_by=lambda one: one.name), texts, maybe)
def test_whatever_a_run_tells_is_told_again(
    told: list[digest.TargetDigest], name: str, revision: str | None
) -> None:
    run = digest.RunDigest(
        name=name, at=1.5, revision=revision, took_s=2.5, targets={one.name: one for one in told}
    )
    with History(Path(":memory:")) as kept:
        kept.add(run, 1)
        assert kept.last(2) == [run]
        assert list(kept.last(2)[0].targets) == list(run.targets)
        assert kept.named(name[:2]) == [run]
        assert kept.named(name + "x") == []


def test_a_virtual_boards_new_stamp_is_no_new_firmware(tmp_path: Path) -> None:
    found = []
    for night in range(2):
        image = fresh_images(model("openmv-n6"))[0].content
        board = Board(
            firmware=f"3.4.0; MicroPython {parse(image).version}",
            firmware_sha256={"FIRMWARE": hashlib.sha256(image).hexdigest()},
        )
        folder = write_run(tmp_path, night, {"porch": board}, checks=SOME)
        found.append(digest.digest(runs.Run.load(folder)).targets["porch"].build)
    assert found[0] == found[1]
    assert re.fullmatch(r"3\.4\.0; MicroPython v[\d.]+-hil\.[0-9a-f]{8}", found[0].firmware or "")


def test_a_killed_run_is_taken_in_and_one_that_goes_on_to_its_end(tmp_path: Path) -> None:
    folder = write_run(tmp_path, 0, {"porch": Board()}, checks=SOME, killed=True)
    with History(tmp_path / "h") as kept:
        kept.update(tmp_path)
        (killed,) = kept.last(5)
        assert (killed.exit_status, len(killed.targets["porch"].checks)) == (None, 1)
        write_run(tmp_path, 0, {"porch": Board()}, checks=SOME)
        assert kept.update(tmp_path).added == (folder.name,)
        (ended,) = kept.last(5)
        assert (ended.exit_status, len(ended.targets["porch"].checks)) == (0, 4)
        kept.add(killed, 1)  # another run has looked at it before, and is late
        assert kept.last(5) == [ended]


def test_history_outlives_the_folders(tmp_path: Path) -> None:
    first = write_run(tmp_path / "a", 0, {"porch": Board()}, checks=SOME)
    with History(tmp_path / "h") as kept:
        kept.update(tmp_path / "a")
    shutil.rmtree(tmp_path / "a")
    shutil.copy(tmp_path / "h", tmp_path / "cached")
    second = write_run(tmp_path / "b", 1, {"porch": Board()}, checks=SOME)
    with History(tmp_path / "cached") as kept:
        kept.update(tmp_path / "b")
    assert names(tmp_path / "cached") == [first.name, second.name]


def test_runs_that_end_at_once_all_get_in(tmp_path: Path) -> None:
    for night in range(24):
        write_run(tmp_path / str(night % 4), night, {"porch": Board()}, checks=SOME)

    def update(bench: int) -> int:
        with History(tmp_path / "h") as kept:
            return len(kept.update(tmp_path / str(bench % 4)).added)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(update, range(8))) >= 24
    assert len(names(tmp_path / "h")) == 24


def test_one_unreadable_run_does_not_cost_the_others(tmp_path: Path, hil: Hil) -> None:
    nights(tmp_path / "artifacts", [Board(), Board()])
    later = write_run(tmp_path / "artifacts", 2, {"porch": Board()}, checks=SOME) / runs.RUN_FILE
    later.write_bytes(later.read_bytes().replace(b"hil-evidence/1", b"hil-evidence/9"))
    shown = hil("history")
    assert shown.stdout.startswith("2 runs")
    assert "left out: artifacts/" in shown.stderr
    assert "hil-evidence/9" in shown.stderr


def test_a_damaged_file_is_told_and_left_as_it_is(tmp_path: Path, hil: Hil) -> None:
    nights(tmp_path / "artifacts", [Board()])
    hil("history")
    path = tmp_path / "artifacts" / "history.sqlite"
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 4000 + path.read_bytes()[4100:])
    damaged = path.read_bytes()
    shown = hil("history")
    assert shown.exit_code == 2
    assert "history.sqlite: " in shown.stderr
    assert "move it away" in shown.stderr
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("PRAGMA user_version = 2", "a later version of hil (its format is 2, this one knows 1)"),
        ("PRAGMA application_id = 7", "an SQLite file of another program"),
    ],
)
def test_a_file_that_is_not_ours_is_not_touched(tmp_path: Path, statement: str, told: str) -> None:
    with History(tmp_path / "h"):
        pass
    with sqlite3.connect(tmp_path / "h") as database:
        database.execute(statement)
    database.close()
    before = (tmp_path / "h").read_bytes()
    with pytest.raises(ConfigError) as error:
        History(tmp_path / "h")
    assert told in str(error.value)
    assert (tmp_path / "h").read_bytes() == before


@given(st.binary(min_size=1, max_size=300))
def test_any_other_file_is_refused(data: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "h"
        path.write_bytes(data)
        with pytest.raises(ConfigError):
            History(path)
        assert path.read_bytes() == data


def test_without_any_run(hil: Hil) -> None:
    shown = hil("history")
    assert shown.exit_code == 2
    assert "artifacts/history.sqlite: no history, and no runs in artifacts" in shown.stderr
    assert not Path("artifacts").exists()


def test_what_a_board_says_does_not_command_the_terminal(tmp_path: Path, hil: Hil) -> None:
    said = "[bold]\x1b]0;owned\x07\x1b[2J\u202e"
    nights(tmp_path / "artifacts", [replace(FINDING, messages={"LOG-06": said})])
    shown = hil("history").stdout
    assert r"[bold]\x1b]0;owned\x07\x1b[2J\u202e" in shown
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_a_check_that_is_in_no_run(tmp_path: Path, hil: Hil) -> None:
    nights(tmp_path / "artifacts", [Board()])
    shown = hil("history", "--check", "LOG-7")
    assert shown.exit_code == 2
    assert "'LOG-7' is in none of these runs; did you mean LOG-0" in shown.stderr
    assert "'yard' is in none" in hil("history", "--target", "yard").stderr


# -- compare ---------------------------------------------------------------------------------------


def test_compare_tells_what_got_worse_first(tmp_path: Path, hil: Hil) -> None:
    before = Board(verdicts={"LOG-02": "finding", "BRR-01": "skipped"})
    after = replace(FINDING, firmware="v4.8", respond_s=0.045, verdicts={
        "LOG-06": "finding", "LOG-01": "skipped",
    })  # fmt: skip
    nights(tmp_path / "artifacts", [before, after])
    shown = hil("compare")
    assert shown.exit_code == 1
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines == [
        "20261129T000000Z-0000 -> 20261130T000000Z-0001",
        "newly red",
        "LOG-06 porch: passed -> finding; finding it is",
        "no longer checked",
        "LOG-01 porch: passed -> skipped; skipped it is",
        "good again",
        "LOG-02 porch: finding -> passed",
        "checked now",
        "BRR-01 porch: skipped -> passed",
        "porch: 0 verdicts as before; firmware v4.7 -> v4.8; "
        "response 76 ms -> 114 ms, boot 3.0 s -> 3.0 s, bring-up 4.0 s -> 4.0 s",
    ]


def test_compare_when_nothing_got_worse(tmp_path: Path, hil: Hil) -> None:
    nights(tmp_path / "artifacts", [FINDING, FINDING, Board()])
    same = hil("compare", "20261129", "20261130")
    assert (same.exit_code, "no verdict has changed" in same.stdout) == (0, True)
    assert hil("compare").exit_code == 0
    assert hil("compare", "latest", "previous").exit_code == 1


def test_compare_with_a_board_that_is_gone(tmp_path: Path, hil: Hil) -> None:
    away = Board(down="no serial port")
    write_run(tmp_path / "artifacts", 0, {"porch": Board(), "old": Board()}, checks=SOME)
    write_run(tmp_path / "artifacts", 1, {"porch": away, "new": Board()}, checks=SOME)
    told = hil("compare", "--json")
    assert told.exit_code == 1
    found = json.loads(told.stdout)
    assert (found["gone"], found["new"], found["worse"]) == (["old"], ["new"], True)
    assert found["targets"][0]["down"] == "no serial port"
    assert found["targets"][0]["changed"] == {}
    shown = hil("compare").stdout
    assert "  BRR-01, LOG-01, LOG-02, LOG-06 porch: passed -> error; no serial port" in shown


def test_compare_of_a_run_whose_folder_is_gone_and_of_one_elsewhere(
    tmp_path: Path, hil: Hil
) -> None:
    nights(tmp_path / "artifacts", [Board(), FINDING])
    hil("history")
    first, second = sorted((tmp_path / "artifacts").glob("2026*"))
    shutil.rmtree(first)
    shutil.move(second, tmp_path / "elsewhere")
    assert hil("compare", first.name, str(tmp_path / "elsewhere")).exit_code == 1


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("2026", "several runs begin with '2026'"),
        ("%", "no run begins with '%'"),
        ("129T", "no run begins with '129T'"),
        ("previous", "no previous run yet"),
    ],
)
def test_compare_with_a_run_that_is_not_clear(
    tmp_path: Path, hil: Hil, name: str, told: str
) -> None:
    nights(tmp_path / "artifacts", [Board()] if name == "previous" else [Board(), Board()])
    shown = hil("compare", name, "latest")
    assert (shown.exit_code, told in shown.stderr) == (2, True)


def test_a_run_that_was_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = write_run(tmp_path, 0, {"porch": Board()}, checks=SOME, killed=True)
    with History(tmp_path / "h") as kept:
        kept.update(tmp_path)
        write(folder / "yard" / runs.EVIDENCE_FILE, [])
        write_run(tmp_path, 0, {"porch": Board()}, checks=SOME)
        kept.update(tmp_path)
    database = sqlite3.connect(tmp_path / "h")
    counts = [
        database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
        for table in ("run", "target", "verdict")
    ]
    database.close()
    assert counts == [1, 1, 4]
