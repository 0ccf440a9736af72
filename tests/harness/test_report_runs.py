"""Evidence files: what is written is read again, whatever state a run was left in."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.errors import ConfigError
from hil.report import events, runs

BEGIN = events.RunBegin(
    at=1.0, run="r1", hil="0", python="3", host="h", inventory="i", targets=("porch", "yard")
)
TARGET = events.TargetBegin(at=2.0, run="r1", target="porch", kind="board", profile="camera")


def verdict(check: str, word: events.VerdictWord) -> events.Verdict:
    return events.Verdict(
        at=3.0, check=check, severity="must", title="t", source="s", verdict=word, took_s=0.5
    )


def write(folder: Path, *lines: events.Event | bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = runs.RUN_FILE if isinstance(lines[0], events.RunBegin) else runs.EVIDENCE_FILE
    data = b"".join(line if isinstance(line, bytes) else runs.to_line(line) for line in lines)
    (folder / file).write_bytes(data)


texts = st.text(max_size=30)


@given(at=st.floats(0, 4e9), sent=texts, got=texts, headers=st.lists(texts).map(tuple))
def test_an_exchange_is_read_as_it_was_written(
    at: float, sent: str, got: str, headers: tuple[str, ...]
) -> None:
    told = events.Exchange(at=at, sent=sent, got=got, headers=headers, outcome="accepted")
    line = runs.to_line(told)
    assert line.count(b"\n") == 1
    assert runs.parse(line) == told


@given(st.binary(max_size=80))
def test_what_is_no_event_is_skipped(line: bytes) -> None:
    assert runs.parse(line) is None


def test_a_later_version_may_add_fields_and_events() -> None:
    told = json.loads(runs.to_line(verdict("LOG-01", "passed"))) | {"new": 1}
    assert runs.parse(json.dumps(told).encode()) == verdict("LOG-01", "passed")
    assert runs.parse(b'{"event": "not yet known", "at": 1.0}') is None


def test_another_schema_is_refused(tmp_path: Path) -> None:
    line = runs.to_line(BEGIN).replace(b"hil-evidence/1", b"hil-evidence/2")
    write(tmp_path, BEGIN, line)
    with pytest.raises(ConfigError, match="written as hil-evidence/2, and this version reads"):
        runs.Run.load(tmp_path)


def test_a_killed_run_tells_what_it_had(tmp_path: Path) -> None:
    write(tmp_path, BEGIN)
    torn = runs.to_line(verdict("LOG-03", "passed"))[:-9]
    whole = [verdict("LOG-01", "passed"), verdict("LOG-02", "finding")]
    write(tmp_path / "porch", TARGET, *whole, torn)
    run = runs.Run.load(tmp_path)
    assert run.end is None
    assert list(run.targets) == ["porch", "yard"]
    porch, yard = run.targets.values()
    assert porch.counts() == {"finding": 1, "passed": 1}
    assert porch.put_back is None
    assert (yard.begin, yard.counts()) == (None, {})


def test_a_run_is_found_by_the_beginning_of_its_name(tmp_path: Path) -> None:
    for name in ("20261129T0100Z-ab", "20261129T0200Z-cd"):
        write(tmp_path / name, BEGIN)
    assert runs.find(tmp_path).name == "20261129T0200Z-cd"
    assert runs.find(tmp_path, "20261129T01").name == "20261129T0100Z-ab"
    with pytest.raises(ConfigError, match=r"several runs begin with '2026'") as several:
        runs.find(tmp_path, "2026")
    assert "20261129T0100Z-ab" in str(several.value)
    with pytest.raises(ConfigError, match=r"no run begins with 'x'"):
        runs.find(tmp_path, "x")
    with pytest.raises(ConfigError, match="no run yet"):
        runs.find(tmp_path / "elsewhere")


def test_a_file_that_grows_is_followed_by_whole_lines(tmp_path: Path) -> None:
    path, line = tmp_path / "evidence.jsonl", runs.to_line(TARGET)
    assert runs.follow(path, 0)[1] == 0
    path.write_bytes(line + line[:5])
    found, offset = runs.follow(path, 0)
    assert (list(found), offset) == ([TARGET], len(line))
    path.write_bytes(line + line)
    assert list(runs.follow(path, offset)[0]) == [TARGET]


def test_each_event_says_which_it_is() -> None:
    told = [kind.__dataclass_fields__["event"].default for kind in get_args(events.Event)]
    assert len(set(told)) == len(told)
    assert all(any(one.name == "at" for one in fields(kind)) for kind in get_args(events.Event))
    assert set(runs.schema()["discriminator"]["mapping"]) == set(told)
