"""A sign-off keeps the hash of a run's evidence, and shows a later change of it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from made_up_run import make

from hil.cli import main
from hil.errors import ConfigError
from hil.report import signing
from hil.report.runs import Run


def hil(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make(tmp_path / "artifacts", only=["LOG"])


@pytest.fixture
def signed(folder: Path) -> Path:
    """The record of a sign-off."""
    said = hil(folder, "--sign", "Ada Lovelace", "--role", "QA", "--decision", "not released")
    assert said.exit_code == 0, said.output
    (record,) = signing.records(folder)
    return record


def test_a_signed_copy_says_who_when_and_what(folder: Path, signed: Path) -> None:
    told = json.loads(signed.read_text())
    assert (told["name"], told["role"], told["decision"]) == ("Ada Lovelace", "QA", "not released")
    assert told["headline"] == "2 findings: 1 check broken on 2 targets"
    copy = signed.with_suffix(".html")
    assert told["copies"] == {copy.name: hashlib.sha256(copy.read_bytes()).hexdigest()}
    text = copy.read_text()
    assert "Signed off by Ada Lovelace" in text
    assert told["evidence"]["sha256"] in text
    assert hil(folder, "--verify").exit_code == 0


def test_the_hash_is_that_of_sha256sum(folder: Path) -> None:
    run = Run.load(folder)
    ours = signing.fingerprint(folder, run.targets)
    command = "find run.jsonl porch yard -type f | LC_ALL=C sort | xargs sha256sum | sha256sum"
    theirs = subprocess.run(
        ["sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True
    )
    assert theirs.stdout.split()[0] == ours.sha256
    assert next(iter(ours.files)) == "porch/console.log"


def _change(folder: Path) -> None:
    path = folder / "porch" / "evidence.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"finding"', b'"passed"'))


def _remove(folder: Path) -> None:
    (folder / "yard" / "console.log").unlink()


def _add(folder: Path) -> None:
    (folder / "yard" / "tracebacks.txt").write_text("Traceback")


def _lose(folder: Path) -> None:
    (folder / "run.jsonl").unlink()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_change, "changed: porch/evidence.jsonl"),
        (_remove, "missing: yard/console.log"),
        (_add, "new: yard/tracebacks.txt"),
        (_lose, "missing: run.jsonl"),
    ],
)
def test_a_change_of_the_evidence_shows(
    folder: Path, signed: Path, change: Callable[[Path], None], told: str
) -> None:
    change(folder)
    said = hil("--verify", signed)
    assert said.exit_code == 1
    assert "is no longer what was signed by Ada Lovelace" in said.output
    assert f"  {told}\n" in said.output
    assert said.output.count("\n  ") == 1, "nothing else is told"


def test_a_change_of_the_signed_copy_shows(folder: Path, signed: Path) -> None:
    copy = signed.with_suffix(".html")
    copy.write_text(copy.read_text().replace("not released", "released"))
    said = hil("--verify", copy)
    assert said.exit_code == 1
    assert f"changed or missing: the signed copy {copy.name}" in said.output


def test_a_record_that_was_made_to_fit_contradicts_itself(folder: Path, signed: Path) -> None:
    _change(folder)
    told = json.loads(signed.read_text())
    now = signing.fingerprint(folder, ["porch", "yard"]).files
    told["evidence"]["files"] = now
    signed.write_text(json.dumps(told))
    said = hil("--verify", signed)
    assert said.exit_code == 2
    assert "is not that of its own list of files" in said.output


def test_reports_and_sign_offs_are_no_evidence(folder: Path, signed: Path) -> None:
    assert hil(folder, "--format", "both").exit_code == 0
    assert hil(folder, "--sign", "Grace Hopper", "--format", "both").exit_code == 0
    said = hil(folder, "--verify")
    assert said.exit_code == 0
    assert said.output.count("is what was signed by") == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--verify"], "nobody has signed it"),
        (["--sign", " "], "a sign-off without a name"),
        (["--role", "QA"], "are of a sign-off"),
        (["--sign", "Ada", "-o", "x.html"], "no --output"),
        (["--format", "both", "-o", "x.html"], "give one --format"),
        (["--standard", "iso"], "no standard 'iso'"),
    ],
)
def test_wrong_usage_is_told(folder: Path, arguments: list[str], told: str) -> None:
    said = hil(folder, *arguments)
    assert said.exit_code == 2
    assert told in said.output


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"schema": "hil-signed/2"}', "x" * 99])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="no record of a sign-off"):
        signing.read(path)
    with pytest.raises(ConfigError, match="no such record"):
        signing.read(tmp_path / "y.html")


def test_a_second_sign_off_in_the_same_second_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1795929999.5)
    assert hil(folder, "--sign", "Ada").exit_code == 0
    said = hil(folder, "--sign", "Ada")
    assert said.exit_code == 2
    assert "is there already" in said.output


def test_the_name_of_the_files_is_made_of_letters(folder: Path) -> None:
    signature = signing.sign(Run.load(folder), "../../Ada <b>")
    assert signing.stem(signature).endswith("Z-ada-b")
    assert signing.stem(signing.sign(Run.load(folder), "Ω")).endswith("Z-signed")


def test_names_that_are_no_text_are_signed_too(folder: Path) -> None:
    (folder / "porch" / os.fsdecode(b"\xff.log")).write_text("x")
    said = hil(folder, "--sign", "Ada\x1b\udcff", "--format", "both")
    assert said.exit_code == 0, said.output
    (record,) = signing.records(folder)
    assert signing.read(record).name == "Ada\\x1b\\udcff"
    assert "porch/\\udcff.log" in record.with_suffix(".html").read_text()
    assert hil(folder, "--verify").exit_code == 0


def test_runs_are_listed(folder: Path, signed: Path) -> None:
    said = hil("--list", "--artifacts", folder.parent)
    assert said.output.startswith("20261129T052112Z-3f2a  2026-11-29 05:21:12 UTC  porch, yard: ")
    assert "2 findings, 2 advisories, " in said.output
    assert said.output.endswith("; signed off\n")
