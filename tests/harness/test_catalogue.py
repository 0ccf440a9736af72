"""The catalogue in the code and checks.csv say the same: neither drifts."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import hil.checks
from hil import catalogue
from hil.cli import main

SEVERITY = {
    "DEV-08": ("must/should", "must"),  # a wrong code is refused; one in lower case is remarked
}
"""Where a check has another severity than it was designed with, and why."""

# Where a check needs something else than the catalogue was designed with, and why.
NEEDS = {
    "LOG-25": ("N", "F"),  # a password of many bytes is set first
    "BAS-09": ("N", "F"),  # likewise, with colons and umlauts
    "EXP-14": ("R", "C R"),  # the clock forgets the time by the bench's hand as well
    "EXP-15": ("R", "C"),  # an unset clock without a reset
    "EXP-16": ("R", "C M"),  # likewise; a board that issues nothing then is shown a minted token
    "EXP-17": ("C", "C M"),
    "EXP-18": ("R", "C R"),  # the board's own ntptime, and a reset
    "EXP-20": ("N", "M"),  # an expired token without waiting an hour
    "ROT-03": ("F", "F R"),  # one rotation serves several checks
    "ROT-11": ("P R", "F P R"),  # removes and reads the key's file
    "ROT-18": ("R", "F R"),  # the same storm of resets as ROT-07
    "ROT-19": ("N", "F R"),  # a list of keys is written, and a shorter one
    "ROT-20": ("N", "F M R"),  # one key is changed, and a token of another kind minted
    "REF-07": ("N", "M"),  # an expired token without waiting for weeks
    "REF-09": ("S", "C"),  # months, by the clock
    "REF-12": ("N", "S"),  # by the clock where there is one, else by waiting
    "REF-15": ("N", "M"),  # a token under another kind's key
    "REV-09": ("R", "N"),  # asks for key and reset only where there is no logout
    "ROL-05": ("N", "M"),  # no login gives an email or a password token
}


def rows(text: str) -> dict[str, dict[str, str]]:
    found = list(csv.DictReader(io.StringIO(text)))
    assert len({row["id"] for row in found}) == len(found), "an id is used twice"
    return {row["id"]: row for row in found}


@pytest.fixture(scope="module")
def designed() -> dict[str, dict[str, str]]:
    """checks.csv."""
    path = Path(hil.checks.__file__).parents[1] / "checks.csv"
    return rows(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def coded() -> dict[str, dict[str, str]]:
    result = CliRunner().invoke(main, ["checks", "--format", "csv"])
    assert result.exit_code == 0
    return rows(result.output)


def test_every_check_that_was_designed_is_there_and_no_other(designed, coded) -> None:  # type: ignore[no-untyped-def]
    assert set(coded) == designed.keys()
    assert len(designed) == 260


@pytest.mark.parametrize("column", [c for c in catalogue.COLUMNS if c not in ("needs", "severity")])
def test_the_code_agrees_with_checks_csv(column: str, designed, coded) -> None:  # type: ignore[no-untyped-def]
    differ = {
        id_: (row[column], designed[id_][column])
        for id_, row in coded.items()
        if row[column] != designed[id_][column]
    }
    assert differ == {}


def test_a_severity_differs_only_where_a_reason_is_given(designed, coded) -> None:  # type: ignore[no-untyped-def]
    differ = {
        id_: (designed[id_]["severity"], row["severity"])
        for id_, row in coded.items()
        if row["severity"] != designed[id_]["severity"]
    }
    assert differ == SEVERITY


def test_what_a_check_needs_differs_only_where_a_reason_is_given(designed, coded) -> None:  # type: ignore[no-untyped-def]
    def letters(row: dict[str, str]) -> str:
        return " ".join(sorted(row["needs"].split()))

    differ = {
        id_: (letters(designed[id_]), letters(row))
        for id_, row in coded.items()
        if letters(row) != letters(designed[id_])
    }
    assert differ == NEEDS


def test_the_other_formats_list_the_same(coded) -> None:  # type: ignore[no-untyped-def]
    def run(form: str) -> str:
        return CliRunner().invoke(main, ["checks", "--format", form]).output

    assert [entry["id"] for entry in json.loads(run("json"))] == list(coded)
    table = [line for line in run("md").splitlines() if line.startswith("|")]
    assert [line.split(" | ")[0].lstrip("| ") for line in table[2:]] == list(coded)
    assert {line.count(" | ") for line in table} == {len(catalogue.COLUMNS) - 1}


def test_every_check_says_what_usually_causes_a_finding(coded) -> None:  # type: ignore[no-untyped-def]
    """All but those that no camera of this profile can run."""
    without = {entry.check.id for entry in catalogue.load() if not entry.cause}
    assert without <= {"ROT-14"}
