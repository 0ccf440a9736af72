"""The JUnit file: the fault decides, and each check says on which board it ran."""

from __future__ import annotations

import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, Properties, Skipped
from nights import Board, write_run

from hil import provision
from hil.auth.profile import PACKAGED
from hil.report import junit
from hil.report.history import History
from hil.report.runs import Run

EMBEDDED = """
targets:
  porch: &virtual
    kind: virtual
    model: openmv-n6
    provision: true
    firmware: firmware
    profile: mine.yaml
  yard:
    <<: *virtual
    model: openmv-ae3
"""

CHECKS = """
    import pytest
    from hil.check import check, must, should
    from hil.errors import BenchError, BoardError, Finding

    @pytest.fixture
    def broken_promise(api):
        raise Finding("found around a check")

    @pytest.fixture
    def not_put_back(api):
        yield
        raise BenchError("cannot put back")

    def test_of_somebody_else():
        assert 1 == 2

    @check("LOG-01", must, "one")
    def test_passes(api, clock):
        assert api.login().status_code == 200

    @check("LOG-02", must, "one")
    def test_finding(api):
        raise Finding("found in a check")

    @check("LOG-03", must, "one")
    def test_finding_in_setup(broken_promise):
        pass

    @check("LOG-04", must, "one")
    def test_board_error_in_call(api):
        raise BoardError("it is silent", target="porch")

    @check("LOG-05", must, "one")
    def test_finding_and_not_put_back(not_put_back):
        raise Finding("found before it could not be put back")

    @check("LOG-06", must, "one")
    def test_not_put_back(not_put_back):
        pass

    @check("LOG-07", should, "one")
    def test_advisory(api):
        raise Finding("advised & told")

    @check("LOG-08", must, "one")
    def test_known(api):
        raise Finding("deviates")

    @check("LOG-09", must, "one")
    def test_skipped(api):
        pytest.skip("for a reason")
"""

EXPECTED = {
    ("test_passes", "passed", None, ""),
    ("test_finding", "finding", Failure, "firmware"),
    ("test_finding_in_setup", "finding", Failure, "firmware"),
    ("test_board_error_in_call", "error", Error, "board"),
    ("test_finding_and_not_put_back", "finding", Failure, "firmware"),
    ("test_finding_and_not_put_back", "error", Error, "bench"),
    ("test_not_put_back", "error", Error, "bench"),
    ("test_advisory", "advisory", Skipped, "firmware"),
    ("test_known", "known", Skipped, "firmware"),
    ("test_skipped", "skipped", Skipped, ""),
}


@pytest.mark.parametrize(
    "options",
    [("-o", "junit_family=xunit2"), ("-n2", "--history", "damaged")],
    ids=["one", "xdist"],
)
def test_the_fault_decides(
    pytester: pytest.Pytester,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
) -> None:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.setenv("NAME", "night")
    monkeypatch.delenv("HIL_DEVICES", raising=False)
    pytester.makepyfile(CHECKS)
    pytester.makefile(".yaml", devices=EMBEDDED)
    known = "  - {check: LOG-08, reason: why it is so, link: 'https://example.org'}"
    profile = (PACKAGED / "camera.yaml").read_text().replace("known: []", f"known:\n{known}")
    (pytester.path / "mine.yaml").write_text(profile)
    shutil.copytree(provision.reference(), pytester.path / "firmware")
    targets = ["porch", "yard"] if "-n2" in options else ["porch"]
    (pytester.path / "damaged").write_text("no database")
    ran = pytester.runpytest_subprocess(
        "-m", "hil or not hil", "--junitxml", "out/$NAME/j.xml", *options,
        *(word for name in targets for word in ("--target", name)), timeout=100,
    )  # fmt: skip
    path = pytester.path / "out" / "night" / "j.xml"
    (suite,) = JUnitXml.fromfile(str(path))
    output = ran.stdout.str()
    cases = {name: [case for case in suite if f"[{name}]" in case.name] for name in targets}
    for name, own in cases.items():
        found = set()
        for case in own:
            told = {one.name: one.value for one in case.child(Properties)}
            results = [type(one) for one in case.result]
            assert len(results) <= 1, output
            short = case.name.partition("[")[0]
            found.add((short, told["verdict"], *(results or [None]), told.get("fault", "")))
            assert (told["target"], told["profile"]) == (name, "mine")
            assert told["model"] == ("openmv-n6" if name == "porch" else "openmv-ae3")
            assert re.fullmatch("[0-9a-f]{16,24}", told["unique_id"])
            assert told["firmware"].startswith("3.4.0; MicroPython v1.")
            assert re.fullmatch("[0-9a-f]{64}", told["application_sha256"])
            assert re.fullmatch(
                r"[+-]\d+\.\d{3} s \+/- \d+\.\d{3} s from the host's", told["board_clock"]
            )
            assert told["severity"] in ("must", "should")
            assert "hil.phases" not in told
        assert found == EXPECTED, output
    # Findings, errors and skips of the checks, the failure of a test that is none of them, and what
    # is none of any test.
    each, damaged = len(targets), int("damaged" in options)
    counts = (suite.failures, suite.errors, suite.skipped)
    assert counts == (3 * each + 1, 3 * each + damaged, 3 * each)
    others = [case for case in suite if case.name == "test_of_somebody_else"]
    assert [type(one) for case in others for one in case.result] == [Failure]
    told = {case.name.partition("[")[0]: case.result for case in cases["porch"] if case.result}
    assert told["test_skipped"][0].message == "for a reason"
    assert told["test_known"][0].message == "known: why it is so"
    assert told["test_advisory"][0].message == "advisory: advised & told"
    assert told["test_finding"][0].type == "Finding"
    assert told["test_board_error_in_call"][0].type == "BoardError"
    assert "test_board_error_in_call" in output
    of_run = {one.name: one.value for one in suite.properties()}
    assert (pytester.path / "artifacts" / of_run["run"]).is_dir()
    if damaged:
        assert "the run is not in the history: " in output
        (problem,) = (case for case in suite if case.classname == "hil.bench")
        assert "damaged: file is not a database" in problem.result[0].text
        return
    with History(pytester.path / "artifacts" / "history.sqlite") as history:
        (kept,) = history.last(5)
    assert (kept.name, kept.exit_status, len(kept.targets["porch"].checks)) == (of_run["run"], 1, 9)


# -- without a run ---------------------------------------------------------------------------------


def case(name: str, phases: str, *children: str, target: str = "porch") -> str:
    return (
        f'<testcase classname="" name="{name}"><properties>'
        f'<property name="check" value="LOG-06"/><property name="target" value="{target}"/>'
        f'<property name="hil.phases" value="{phases}"/></properties>'
        f"{''.join(children)}</testcase>"
    )


def mended(
    tmp_path: Path, *cases: str, run: Run | None = None, problems: tuple[str, ...] = ()
) -> ElementTree.Element:
    path = tmp_path / "j.xml"
    path.write_text(
        f'<testsuites><testsuite errors="0" failures="0" skipped="0" tests="{len(cases)}">'
        f"{''.join(cases)}</testsuite></testsuites>"
    )
    junit.mend(path, run, problems)
    assert [found.name for found in tmp_path.iterdir() if found.suffix != ".xml"] == []
    return ElementTree.parse(path).getroot()  # noqa: S314 - our own


@pytest.mark.parametrize(
    ("phases", "children", "tags"),
    [
        ("finding/firmware", ["error"], ["failure"]),
        ("error/board", ["failure"], ["error"]),
        ("finding/firmware error/bench", ["error"], ["error"]),
        ("advisory/firmware error/bench", ["skipped", "error"], ["skipped", "error"]),
        ("error/bench finding/firmware", ["failure", "error"], ["error", "failure"]),
        ("", [], []),
    ],
)
def test_each_phase_has_its_tag(
    tmp_path: Path, phases: str, children: list[str], tags: list[str]
) -> None:
    root = mended(tmp_path, case("t", phases, *(f"<{tag}/>" for tag in children)))
    assert [child.tag for child in root.iter() if child.tag in junit._TAGS] == tags
    suite = root[0]
    assert suite[0].get("classname") == "hil.checks"
    counts = [int(suite.get(name, "")) for name in ("failures", "errors", "skipped")]
    assert counts == [tags.count("failure"), tags.count("error"), tags.count("skipped")]


def test_what_is_no_check_stays_as_it_is(tmp_path: Path) -> None:
    properties = '<properties><property name="target" value="of a compiler" /></properties>'
    error = '<error message="m">text</error>'
    mine = f'<testcase classname="" name="mine">{properties}{error}</testcase>'
    root = mended(tmp_path, mine)
    assert ElementTree.tostring(root[0][0], encoding="unicode") == mine


def test_the_board_and_its_clock_come_of_the_evidence(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    folder = write_run(tmp_path / "artifacts", 0, {"porch": Board()}, checks=["LOG-06"])
    shutil.move(folder, tmp_path.parent / "run")
    shutil.rmtree(tmp_path / "artifacts")
    run = Run.load(tmp_path.parent / "run")
    root = mended(tmp_path, case("t", ""), case("u", "", target="gone"), run=run)
    there, gone = (
        {one.get("name"): one.get("value") for one in found.iter("property")}
        for found in root.iter("testcase")
    )
    assert there == {
        "check": "LOG-06",
        "target": "porch",
        "verdict": "passed",
        "model": "openmv-n6",
        "profile": "camera",
        "unique_id": "e4627202",
        "firmware": "v4.7",
        "application_sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
    }
    assert gone == {"check": "LOG-06", "target": "gone", "verdict": "passed"}


def test_a_problem_outside_of_all_checks_is_an_error(tmp_path: Path) -> None:
    root = mended(tmp_path, case("t", ""), problems=("porch: not put back\n  -> reset it", "more"))
    suite = root[0]
    assert (suite.get("tests"), suite.get("errors")) == ("2", "1")
    (error,) = root.iter("error")
    assert error.get("message") == "porch: not put back"
    assert error.text == "porch: not put back\n  -> reset it\nmore"
