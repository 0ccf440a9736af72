"""SARIF: valid by OASIS's schema and GitHub's limits, and the same alert in the next run."""

from __future__ import annotations

import functools
import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hil import config
from hil.report import events, recorder, runs, sarif

SCHEMA = Path(__file__).parent / "sarif" / "sarif-schema-2.1.0.json"
# GitHub, "SARIF support for code scanning", 2026-11: what an upload may have at most.
MOST_TAGS, MOST_RESULTS, MOST_RULES, MOST_GZIPPED = 20, 5000, 25000, 10 << 20


@functools.cache
def schema() -> Any:
    return jsonschema.Draft4Validator(json.loads(SCHEMA.read_bytes()))


def verdict(check: str, word: events.VerdictWord, **more: Any) -> events.Verdict:
    told: dict[str, Any] = {
        "severity": "must", "title": "a wrong password is refused", "source": "RFC 9110 §15.5.2",
        "message": f"{check} is why", "promise": "In words.",
    }  # fmt: skip
    return events.Verdict(at=3.0, check=check, verdict=word, **told | more)


def run_of(
    *verdicts: events.Verdict,
    name: str = "20261129T052112Z-3f2a",
    listed: str = "bench/devices.yaml:7",
    down: events.Down | None = None,
    ended: bool = True,
    problems: tuple[str, ...] = (),
    targets: tuple[str, ...] = ("porch",),
) -> runs.Run:
    begin = events.RunBegin(
        at=1795930000.0, run=name, hil="0.1.0", python="3", host="attic", targets=targets,
        inventory="bench/devices.yaml", revision="c0ffee",
    )  # fmt: skip
    up = events.Up(at=2, about="", base_url="", took_s=1, firmware="v1.29")
    found = {
        target: runs.TargetRun(
            name=target,
            folder=Path(target),
            events=(),
            begin=events.TargetBegin(
                at=2, run=name, target=target, kind="board", profile="camera", listed=listed
            ),
            up=None if down else up,
            down=down,
            verdicts={one.check: one for one in verdicts},
            notes=(),
            put_back=None,
        )
        for target in targets
    }
    end = events.RunEnd(at=1795930060.0, took_s=60, exit_status=1, problems=problems)
    return runs.Run(folder=Path("r"), begin=begin, end=end if ended else None, targets=found)


def one_run(run: runs.Run) -> Any:
    """The SARIF run, after the schema has had a look at it."""
    made = json.loads(json.dumps(sarif.document(run)))
    schema().validate(made)
    (found,) = made["runs"]
    return found


def test_what_is_broken_is_a_result_and_nothing_else_is() -> None:
    run = one_run(
        run_of(
            verdict("LOG-06", "finding", cause="Compared as text.", clock="2026 on the board"),
            verdict("LOG-07", "advisory", severity="should"),
            verdict("LOG-08", "known"),
            verdict("LOG-09", "passed"),
            verdict("LOG-10", "skipped"),
            verdict("LOG-12", "error", fault="board"),
        )
    )
    levels = {one["ruleId"]: one["level"] for one in run["results"]}
    assert levels == {"LOG-06": "error", "LOG-07": "warning", "LOG-08": "note"}
    finding, _, known = run["results"]
    assert finding["message"]["text"] == (
        "porch: LOG-06 is why\n\nUsually: Compared as text.\n\nIts clock: 2026 on the board"
    )
    assert finding["properties"] == {"target": "porch", "firmware": "v1.29"}
    (suppressed,) = known["suppressions"]
    assert suppressed["justification"] == "LOG-08 is why"
    assert "suppressions" not in finding


def test_a_rule_tells_the_check() -> None:
    source = "WSTG-ATHN-04; https://example.org/a#b, and more"
    run = one_run(run_of(verdict("LOG-06", "finding", source=source), verdict("BAS-16", "passed")))
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["BAS-16", "LOG-06"]
    assert [run["results"][0][key] for key in ("ruleId", "ruleIndex")] == ["LOG-06", 1]
    log06 = rules[1]
    assert log06["shortDescription"]["text"] == "A wrong password is refused."
    assert log06["fullDescription"]["text"] == "In words."
    assert log06["helpUri"] == "https://example.org/a#b"
    assert "helpUri" not in rules[0]
    assert source in log06["help"]["text"]
    assert {"security", "RFC 9110 §15.5.2"} <= set(log06["properties"]["tags"])


def test_an_alert_is_where_its_target_is_listed() -> None:
    (result,) = one_run(run_of(verdict("LOG-06", "finding"), listed="the bench/d.yaml:7"))[
        "results"
    ]
    (location,) = result["locations"]
    place = location["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "the%20bench/d.yaml", "uriBaseId": "%SRCROOT%"}
    assert place["region"] == {"startLine": 7}
    assert location["logicalLocations"][0]["name"] == "porch"


def test_without_a_recorded_place_it_is_the_inventory() -> None:
    (result,) = one_run(run_of(verdict("LOG-06", "finding"), listed=""))["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "devices.yaml"
    assert place["region"] == {"startLine": 1}


def test_the_next_run_has_the_same_alerts() -> None:
    """By rule, file and fingerprint; of each target its own; in the same category."""

    def marks(run: Any) -> list[str]:
        return [one["partialFingerprints"]["primaryLocationLineHash"] for one in run["results"]]

    both = [verdict("LOG-06", "finding"), verdict("LOG-07", "advisory")]
    first = one_run(run_of(*both, targets=("porch", "yard")))
    later = one_run(
        run_of(
            *[verdict(one.check, "finding", message="other words") for one in both],
            name="20261130T052112Z-77aa", targets=("porch", "yard"), listed="bench/devices.yaml:9",
        )
    )  # fmt: skip
    assert marks(first) == marks(later)
    assert len(set(marks(first))) == 4
    assert [one["automationDetails"]["id"] for one in (first, later)] == [
        "hil/bench/devices.yaml/20261129T052112Z-3f2a",
        "hil/bench/devices.yaml/20261130T052112Z-77aa",
    ]


def test_what_board_and_bench_failed_in_is_a_notification() -> None:
    run = one_run(
        run_of(
            verdict("LOG-06", "error", fault="board", message="no answer"),
            verdict("LOG-07", "error", fault="bench", message="no cable"),
            problems=("not put back: yard",),
        )
    )
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert invocation["exitCode"] == 1
    told = invocation["toolExecutionNotifications"]
    assert [(one["descriptor"]["id"], one["message"]["text"]) for one in told] == [
        ("board-error", "porch: no answer"),
        ("bench-error", "porch: no cable"),
        ("bench-error", "not put back: yard"),
    ]
    assert told[1]["associatedRule"] == {"id": "LOG-07", "index": 1}
    declared = run["tool"]["driver"]["notifications"]
    assert {one["descriptor"]["id"] for one in told} <= {one["id"] for one in declared}
    assert all({"fullDescription", "help"} <= one.keys() for one in declared)
    assert run["results"] == []


def test_a_run_that_has_findings_only_was_executed_well() -> None:
    (invocation,) = one_run(run_of(verdict("LOG-06", "finding")))["invocations"]
    assert invocation["executionSuccessful"]
    assert invocation["endTimeUtc"] == "2026-11-29T05:27:40Z"


def test_a_target_that_is_down_and_a_killed_run_are_told_once() -> None:
    down = events.Down(at=3, fault="board", message="porch: does not boot")
    error = verdict("LOG-01", "error", fault="board", message="porch: does not boot")
    (invocation,) = one_run(run_of(error, down=down, ended=False))["invocations"]
    told = [one["message"]["text"] for one in invocation["toolExecutionNotifications"]]
    assert told == ["porch: does not boot", "the run was killed, or goes on"]
    assert "endTimeUtc" not in invocation


def test_a_run_of_32_boards_with_every_check_red_is_within_githubs_limits() -> None:
    from hil import catalogue

    entries = catalogue.load()
    red = [
        verdict(one.check.id, "finding", title=one.title, source=one.check.source,
                promise=one.promise, cause=one.cause, message="x" * 500)
        for one in entries[:150]
    ]  # fmt: skip
    passed = [verdict(one.check.id, "passed") for one in entries[150:]]
    document = sarif.document(run_of(*red, *passed, targets=tuple(f"b{n}" for n in range(32))))
    (run,) = document["runs"]
    assert len(run["results"]) == 4800 <= MOST_RESULTS
    assert len(run["tool"]["driver"]["rules"]) == len(entries) <= MOST_RULES
    tags = [len(rule["properties"]["tags"]) for rule in run["tool"]["driver"]["rules"]]
    assert max(tags) == MOST_TAGS
    assert len(gzip.compress(json.dumps(document).encode())) < MOST_GZIPPED


texts = st.text(max_size=40)


@settings(max_examples=30)
@given(message=texts, source=texts, title=texts, listed=texts | texts.map(lambda text: f"{text}:3"))
@example(message="", source="", title="", listed="devices.yaml:0")
def test_whatever_a_board_answers_it_is_valid(
    message: str, source: str, title: str, listed: str
) -> None:
    one = verdict("LOG-06", "known", message=message, source=source, title=title)
    one_run(run_of(one, listed=listed))


def test_where_a_target_is_listed_is_told_from_the_root_of_its_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bench"
    folder.mkdir()
    devices = folder / "devices.yaml"
    devices.write_text("targets:\n\n  porch:\n    kind: url\n    url: http://10.0.0.1\n")
    (spec,) = config.read(devices).targets.values()
    assert recorder.listed(spec.where) == "devices.yaml:3"
    (tmp_path / ".git").mkdir()
    assert recorder.listed(spec.where) == "bench/devices.yaml:3"
    monkeypatch.setattr(recorder, "PACKAGED", devices)  # as it lies in site-packages
    assert recorder.listed(spec.where) == "hil/devices.yaml:3"
