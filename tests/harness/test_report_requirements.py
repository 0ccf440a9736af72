"""Requirements: the table and the checks fit each other, and a run shows no more than it has."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hil import catalogue
from hil.cli import main
from hil.errors import ConfigError
from hil.report import events, requirements, runs
from hil.report.requirements import Assessed, Standing

GUESSING = "6.3.1"
"""ASVS: LOG-36 BAS-16 DEV-04 DEV-09 bear on it directly."""
PASSED: dict[str, events.VerdictWord] = {"LOG-36": "passed", "BAS-16": "passed"}
WITHOUT_DEVICE = dict.fromkeys(("DEV-04", "DEV-09"), "its profile has no device")


def verdict(
    check: str, word: events.VerdictWord, message: str = "", **more: bool
) -> events.Verdict:
    fault: dict[str, events.Fault] = {"error": "board"}
    return events.Verdict(
        at=3.0, check=check, severity="must", title="t", source="s", verdict=word, message=message,
        fault=fault.get(word), **more,
    )  # fmt: skip


def out_of_scope(given: dict[str, str]) -> list[events.Verdict]:
    return [verdict(check, "skipped", why, not_promised=True) for check, why in given.items()]


def run_of(ended: bool = True, **targets: list[events.Verdict] | events.Down) -> runs.Run:
    """A run as it is read from its files."""
    begin = events.RunBegin(
        at=1795930000.0, run="r", hil="0", python="3", host="attic", inventory="i",
        targets=tuple(targets),
    )  # fmt: skip
    found = {}
    for name, told in targets.items():
        down = told if isinstance(told, events.Down) else None
        found[name] = runs.TargetRun(
            name=name,
            folder=Path(name),
            events=(),
            begin=events.TargetBegin(at=2, run="r", target=name, kind="board", profile="camera"),
            up=None if down else events.Up(
                at=2, about="", base_url="", took_s=1, firmware="v1.29", application_sha256="ab" * 9
            ),
            down=down,
            verdicts={} if isinstance(told, events.Down) else {one.check: one for one in told},
            notes=(),
            put_back=events.PutBack(at=4, took_s=1) if ended else None,
        )  # fmt: skip
    end = events.RunEnd(at=5, took_s=4, exit_status=0) if ended else None
    return runs.Run(folder=Path("r"), begin=begin, end=end, targets=found)


def assessed(run: runs.Run, requirement: str = GUESSING) -> Assessed:
    (found,) = (
        one for one in requirements.assess(run, {"asvs"}) if one.requirement.id == requirement
    )
    return found


def on_porch(
    words: dict[str, events.VerdictWord], message: str = "why", ended: bool = True
) -> Assessed:
    found = [verdict(check, word, message) for check, word in words.items()]
    return assessed(run_of(porch=[*found, *out_of_scope(WITHOUT_DEVICE)], ended=ended))


# -- the table -------------------------------------------------------------------------------------


def test_every_check_bears_on_a_requirement_and_every_id_is_a_check() -> None:
    listed = {check for one in requirements.load() for check in one.checks}
    assert listed == {entry.check.id for entry in catalogue.load()}


def test_every_row_is_whole() -> None:
    found = requirements.load()
    assert len(found) == 462
    assert len({one.cited for one in found}) == len(found)
    assert {one.family for one in found} == set(requirements.STANDARDS)
    assert all(one.title and one.version and one.source for one in found)
    assert {one.confidence for one in found} == {"high", "medium", "low"}
    assert {(bool(one.checks), one.strength) for one in found} == {
        (True, "direct"), (True, "partial"), (False, "")
    }  # fmt: skip


def test_the_caveats_name_the_versions_that_the_rows_have() -> None:
    """And what was never read claims no high confidence."""
    for one in requirements.load():
        version = requirements.STANDARDS[one.family].version
        if one.family == "rfc":
            assert one.standard.removeprefix("RFC ") in version.split()
        else:
            told = one.version.replace("Regulation (EU) ", "")
            assert told.startswith(version.partition(" (2")[0].partition(";")[0]), one
    unread = [one for one in requirements.load() if one.family == "en18031"]
    assert "high" not in {one.confidence for one in unread}
    assert "not read" in requirements.STANDARDS["en18031"].caveat


def test_the_numbers_of_one_version_are_cited_with_it() -> None:
    cited = [one.cited for one in requirements.load()]
    for told in (
        "ASVS v5.0.0-6.3.1", "WSTG latest WSTG-ATHN-03", "RFC 9110 §11.3", "EN 18031-1:2024 AUM-6",
        "ETSI EN 303 645 V3.1.3 provision 5.1-5", "CRA Annex I Part I (2)(d)",
    ):  # fmt: skip
        assert told in cited


def test_a_standard_that_is_not_there_is_refused() -> None:
    assert {one.family for one in requirements.chosen({"cra", "etsi"})} == {"cra", "etsi"}
    with pytest.raises(ConfigError, match="no standard 'iso'") as refused:
        requirements.chosen({"cra", "iso"})
    assert "asvs, wstg, rfc, etsi, en18031, cra" in str(refused.value)


# -- a run -----------------------------------------------------------------------------------------


def test_what_the_profile_promises_and_has_passed_is_evidence() -> None:
    found = on_porch(PASSED)
    assert found.standing == "evidence shown"
    assert found.wording() == (
        "evidence towards ASVS v5.0.0-6.3.1: LOG-36, BAS-16 passed on "
        "porch (board: v1.29, application abababababab); bench attic, 2026-11-29"
    )
    assert found.reasons == ()
    assert found.out_of_scope == ("DEV-04, DEV-09: out of scope: its profile has no device",)


@pytest.mark.parametrize(
    ("word", "standing", "told"),
    [
        ("finding", "finding", "BAS-16: broken: why"),
        ("advisory", "finding", "BAS-16: broken, a should: why"),
        ("known", "finding", "BAS-16: deviates, as its profile declares: why"),
        ("error", "evidence incomplete", "BAS-16: board error: why"),
        ("skipped", "evidence incomplete", "BAS-16: skipped: why"),
    ],
)
def test_what_has_not_passed_is_no_evidence(
    word: events.VerdictWord, standing: Standing, told: str
) -> None:
    found = on_porch({"LOG-36": "passed", "BAS-16": word}, "why\nand where")
    assert (found.standing, found.reasons) == (standing, (told,))
    assert told in found.wording()
    assert not found.wording().startswith("evidence towards")


def test_all_skipped_by_the_bench_is_incomplete_and_says_that_nothing_passed() -> None:
    found = on_porch({"LOG-36": "skipped", "BAS-16": "skipped"}, "needs the clock")
    assert found.standing == "evidence incomplete"
    assert found.wording().startswith(
        "incomplete evidence towards ASVS v5.0.0-6.3.1: no check of it has passed: "
        "LOG-36, BAS-16: skipped: needs the clock"
    )


def test_a_part_of_the_checks_is_incomplete() -> None:
    found = on_porch({"LOG-36": "passed"})
    assert (found.standing, found.reasons) == ("evidence incomplete", ("BAS-16: not in this run",))
    killed = on_porch({"LOG-36": "passed"}, ended=False)
    assert killed.reasons == ("BAS-16: not run before the run ended",)


def test_what_no_check_looks_at_was_not_examined() -> None:
    found = assessed(run_of(porch=[]), "6.2.3")
    assert found.standing == "not examined"
    assert found.wording() == "ASVS v5.0.0-6.2.3 was not examined: no check bears on it"


def test_what_the_profile_has_not_was_not_examined() -> None:
    found = assessed(run_of(porch=out_of_scope({"DEV-09": "its profile has no device"})), "6.6.3")
    assert (found.standing, found.targets) == ("not examined", {})
    assert found.wording().endswith("not examined: DEV-09: out of scope: its profile has no device")


def test_what_was_not_in_the_run_was_not_examined() -> None:
    assert assessed(run_of(porch=[])).standing == "not examined"
    down = events.Down(at=3, fault="board", message="porch: no answer\n  -> hil doctor")
    found = assessed(run_of(porch=down))
    assert found.standing == "not examined"
    assert found.reasons == ("LOG-36, BAS-16, DEV-04, DEV-09: not run: porch: no answer",)


def test_a_part_of_the_matter_is_called_one() -> None:
    found = assessed(run_of(porch=[verdict("LOG-11", "passed")]), "6.2.1")
    assert found.requirement.strength == "partial"
    assert "evidence towards ASVS v5.0.0-6.2.1 (one side of it only): LOG-11" in found.wording()


def test_what_was_never_read_is_called_so() -> None:
    run = run_of(porch=[verdict("LOG-37", "passed")])
    (found,) = (
        one for one in requirements.assess(run, {"en18031"}) if one.requirement.id == "AUM-5-1"
    )
    assert (found.standing, found.requirement.strength) == ("evidence shown", "partial")
    assert found.wording().startswith(
        "evidence towards EN 18031-1:2024 AUM-5-1 (one side of it only, a mapping of medium "
        "confidence, its text was not read): LOG-37 passed on porch"
    )


def test_the_worst_target_counts_and_is_named() -> None:
    passed = [verdict(check, "passed") for check in (*PASSED, *WITHOUT_DEVICE)]
    without = [*passed[:2], *out_of_scope(WITHOUT_DEVICE)]
    broken = [verdict("LOG-36", "finding", "lets in"), *passed[1:]]
    both = assessed(run_of(porch=passed, yard=without))
    assert both.standing == "evidence shown"
    assert both.passed() == ("LOG-36", "BAS-16", "DEV-04", "DEV-09")
    worse = assessed(run_of(porch=passed, yard=broken))
    assert worse.targets == {"porch": "evidence shown", "yard": "finding"}
    assert (worse.standing, worse.reasons) == ("finding", ("LOG-36 on yard: broken: lets in",))
    assert worse.passed() == ("BAS-16", "DEV-04", "DEV-09")
    assert assessed(run_of(porch=passed, yard=[])).standing == "evidence incomplete"
    elsewhere = assessed(run_of(porch=passed, yard=out_of_scope(dict.fromkeys(
        (*PASSED, *WITHOUT_DEVICE), "no login"))))  # fmt: skip
    assert (elsewhere.standing, list(elsewhere.targets)) == ("evidence shown", ["porch"])
    assert "yard" not in elsewhere.shown_on


words = st.sampled_from([None, "not promised", *get_args(events.VerdictWord)])


@given(st.dictionaries(st.sampled_from(["porch", "yard"]), st.lists(words, min_size=4, max_size=4)))
def test_evidence_is_shown_only_where_every_promised_check_has_passed(
    told: dict[str, list[events.VerdictWord | None]],
) -> None:
    checks = (*PASSED, *WITHOUT_DEVICE)
    targets = {
        name: [
            verdict(check, "skipped", not_promised=True)
            if word == "not promised"  # type: ignore[comparison-overlap]
            else verdict(check, word)
            for check, word in zip(checks, listed, strict=True)
            if word
        ]
        for name, listed in told.items()
    }
    found = assessed(run_of(**targets))  # type: ignore[arg-type]
    scope = [word for listed in told.values() for word in listed if word != "not promised"]
    if set(scope) & {"finding", "advisory", "known"}:
        assert found.standing == "finding"
    elif scope and set(scope) == {"passed"}:
        assert found.standing == "evidence shown"
    elif not any(scope):
        assert found.standing == "not examined"
    else:
        assert found.standing == "evidence incomplete"
    for claim in ("complian", "conform", "certif", "meets", "covers"):
        assert claim not in found.wording()
    assert found.wording().startswith("evidence towards") == (found.standing == "evidence shown")


# -- the command -----------------------------------------------------------------------------------


def command(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["requirements", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    """With a run in it whose board has answered what would break a table."""
    folder = tmp_path / "20261129T0100Z-ab"
    run = run_of(porch=[verdict("DEV-09", "finding", "got <b>a | b</b>\nand more")])
    for path, told in (
        (folder / runs.RUN_FILE, [run.begin, run.end]),
        (folder / "porch" / runs.EVIDENCE_FILE, list(run.targets["porch"].verdicts.values())),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(runs.to_line(event) for event in told if event))
    return tmp_path


def test_without_a_run_the_mapping_is_listed() -> None:
    listed = list(csv.DictReader(io.StringIO(command("--format", "csv"))))
    assert len(listed) == 462
    assert "standing" not in listed[0]
    some = command("--standard", "cra", "--standard", "etsi", "--format", "md")
    assert sum(line.startswith("## ") for line in some.splitlines()) == 2
    assert requirements.CAVEAT in some
    assert requirements.STANDARDS["cra"].caveat in some
    assert "none: not examined" in some


def test_with_a_run_it_tells_what_was_shown(artifacts: Path) -> None:
    given = ("latest", "--artifacts", str(artifacts), "--standard", "asvs")
    listed = list(csv.DictReader(io.StringIO(command(*given, "--format", "csv"))))
    (row,) = (row for row in listed if row["id"] == "6.6.3")
    assert (row["standing"], "broken: got <b>a | b</b>" in row["wording"]) == ("finding", True)
    table = command(*given, "--format", "md")
    (line,) = (line for line in table.splitlines() if "v5.0.0-6.6.3 " in line)
    assert "got &lt;b&gt;a \\| b&lt;/b&gt;" in line
    assert line.replace("\\|", "").count("|") == 7
    assert command(*given).rstrip().endswith("3 finding, 170 not examined")


def test_a_run_that_is_not_there_is_told(artifacts: Path) -> None:
    result = CliRunner().invoke(main, ["requirements", "x", "--artifacts", str(artifacts)])
    assert result.exit_code == 2
    assert "no run begins with 'x'" in result.output
