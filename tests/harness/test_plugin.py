"""The pytest plugin, as a camera team's own repository sees it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

CHECK = """
    from hil.check import check, must, should

    @check("LOG-06", must, "OpenMV docs")
    def test_a_promise(target):
        assert False, "must never run without -m hil"

    def test_of_the_teams_own():
        pass
"""


@pytest.fixture(autouse=True)
def _no_inventory_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HIL_DEVICES", raising=False)


def test_without_m_hil_the_checks_are_deselected(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CHECK)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(passed=1, deselected=1)


@pytest.mark.parametrize("expression", ["not hil", "slow"])
def test_other_mark_expressions_do_not_select_the_checks(
    pytester: pytest.Pytester, expression: str
) -> None:
    pytester.makeini("[pytest]\nmarkers = slow: none\n")
    pytester.makepyfile(CHECK)
    result = pytester.runpytest_inprocess("-m", expression)
    assert result.parseoutcomes().get("failed", 0) == 0


def test_a_wrong_inventory_is_one_sentence_and_no_traceback(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CHECK)
    pytester.makefile(".yaml", devices="targets:\n  porch:\n    kynd: board\n")
    result = pytester.runpytest_subprocess("-m", "hil")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*devices.yaml:3:*kynd*kind*"])
    assert "Traceback" not in result.stderr.str()


def test_an_unknown_target_is_refused_with_the_nearest_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(CHECK)
    result = pytester.runpytest_subprocess("-m", "hil", "--target", "virtual-n7")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*virtual-n7*virtual-n6*"])


def test_each_check_is_collected_once_per_target_in_the_targets_order(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(CHECK)
    result = pytester.runpytest_subprocess("-m", "hil", "--collect-only", "-q")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*[[]virtual-n6]", "*[[]virtual-ae3]"])


@pytest.mark.parametrize(
    ("options", "whose"),
    [(["-m", "hil"], "*hil/fixtures/target.py*"), ([], "*labgrid/pytestplugin/*")],
)
def test_labgrid_s_plugin_has_a_fixture_of_the_same_name(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, options: list[str], whose: str
) -> None:
    """``target``: ours in a run of the checks, theirs otherwise."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:anyio -p no:platformdirs")
    pytester.makepyfile(f"{CHECK}\n    def test_with_labgrid(target):\n        pass\n")
    result = pytester.runpytest_subprocess("--fixtures-per-test", "-v", *options)
    result.stdout.fnmatch_lines(["plugins: *labgrid*", f"target -- {whose}"])
    theirs, ours = "*labgrid/pytestplugin/*", "*fixtures/target.py*"
    result.stdout.no_fnmatch_line(f"target -- {theirs if options else ours}")


def test_starting_pytest_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    """The plugin is loaded at every start of pytest, also by people who run other tests."""
    pytester.makepyfile("def test_nothing(): pass")
    script = (
        "import sys, pytest\n"
        "pytest.main(['-q', '-p', 'no:anyio', '-p', 'no:hypothesispytest'])\n"
        "heavy = ['httpx', 'zeroconf', 'serial', 'mpremote', 'pydantic', 'ruamel', 'rich', 'jwt',"
        " 'click', 'hil.bench', 'hil.link', 'hil.virtual', 'hil.auth', 'hil.config']\n"
        "print('IMPORTED', [name for name in heavy if name in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=pytester.path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "IMPORTED []" in result.stdout
    assert "1 passed" in result.stdout


def test_the_main_job_needs_nothing_of_the_test_extra(tmp_path: Path) -> None:
    """``tox -e hil`` installs the package without it."""
    script = textwrap.dedent(
        """
        import sys, pytest
        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] in ("hypothesis", "ntplib", "hatchling", "labgrid"):
                    raise ModuleNotFoundError(name)
        sys.meta_path.insert(0, Missing())
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
        sys.exit(pytest.main(["-m", "hil", "--collect-only", *options]))
        """
    )
    project = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=project, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
