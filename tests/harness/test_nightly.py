"""The nightly of GitHub and of GitLab: lawful, careful, and its commands do what it says."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from check_run import short_folder
from mutants import MUTANTS
from ruamel.yaml import YAML

from hil.cli import main
from hil.report.history import History

PROJECT = Path(__file__).parents[2]
GITHUB = PROJECT / ".github" / "workflows" / "nightly.yml"
GITLAB = PROJECT / ".gitlab-ci.yml"

DEVICES = """
targets:
  porch:
    kind: virtual
    model: openmv-n6
    provision: true
    firmware: firmware
  yard:
    kind: virtual
    model: openmv-ae3
    provision: true
"""


def load(path: Path) -> Any:
    # YAML 1.2, as both say: 'on' is a key and no boolean.
    return YAML(typ="safe", pure=True).load(path)


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        (GITHUB, ["vendor.github-workflows"]),
        (GITLAB, ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"]),
    ],
    ids=["github", "gitlab"],
)
def test_it_is_valid(path: Path, schema: list[str]) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *schema, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr


# -- GitHub ----------------------------------------------------------------------------------------


def jobs() -> dict[str, Any]:
    found: dict[str, Any] = load(GITHUB)["jobs"]
    return found


def test_no_stranger_starts_it() -> None:
    assert set(load(GITHUB)["on"]) == {"schedule", "workflow_dispatch"}
    (rule,) = load(GITLAB)["workflow"]["rules"]
    assert re.findall(r'"(\w+)"', rule["if"]) == ["schedule", "web"]


def test_it_may_do_no_more_than_it_must() -> None:
    workflow = load(GITHUB)
    assert workflow["permissions"] == {}
    allowed = {name: job["permissions"] for name, job in workflow["jobs"].items()}
    assert allowed == {
        "bench": {"contents": "read"},
        "code-scanning": {"actions": "read", "contents": "read", "security-events": "write"},
    }
    assert [name for name, job in jobs().items() if "self-hosted" in job["runs-on"]] == ["bench"]


def test_one_run_at_a_time_and_none_is_cut_short() -> None:
    workflow = load(GITHUB)
    assert workflow["concurrency"]["cancel-in-progress"] is False
    bench = re.sub(r"^bench-", "", workflow["concurrency"]["group"])
    assert bench in workflow["jobs"]["bench"]["runs-on"], "a group for each bench"
    nightly = load(GITLAB)["nightly"]
    assert (nightly["interruptible"], nightly["resource_group"]) == (False, *nightly["tags"])


def test_actions_are_pinned_and_told() -> None:
    used = re.findall(r"uses: (.*)", GITHUB.read_text())
    assert len(used) == 5
    for one in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one


def test_nothing_from_outside_becomes_part_of_a_command() -> None:
    for job in jobs().values():
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")


def test_what_the_run_left_is_kept_whatever_it_found() -> None:
    steps = jobs()["bench"]["steps"]
    after = steps[next(i for i, step in enumerate(steps) if step.get("id") == "checks") + 1 :]
    assert len(after) == 4
    assert all(step["if"].startswith("always() && ") for step in after)
    artifacts = load(GITLAB)["nightly"]["artifacts"]
    assert artifacts["when"] == "always"


def commands(lines: list[str]) -> list[list[str]]:
    """The words of each ``hil`` command."""
    text = "\n".join(lines).replace("\\\n", " ")
    return [
        shlex.split(line.split("||")[0], comments=True)[1:]
        for line in text.splitlines()
        if line.strip().startswith(".venv/bin/hil ")
    ]


def of_github() -> list[list[str]]:
    return commands([step["run"] for step in jobs()["bench"]["steps"] if "run" in step])


def test_gitlabs_is_the_same() -> None:
    nightly = load(GITLAB)["nightly"]
    told = [[word.lower() for word in words] for words in of_github()]
    assert [
        [word.lower() for word in words]
        for words in commands([*nightly["script"], *nightly["after_script"]])
    ] == told


def test_each_command_is_there() -> None:
    given = of_github()
    assert [words[0] for words in given] == [
        "doctor", "run", "report", "report", "history", "compare",
    ]  # fmt: skip
    for name, *words in given:
        if name == "run":
            continue  # pytest's options; the next test runs it
        command = main.get_command(click.Context(main), name)
        assert command is not None, name
        command.make_context(name, words)


# -- a night ---------------------------------------------------------------------------------------


@pytest.fixture
def workspace() -> Iterator[Path]:
    """A repository with a broken firmware, on a runner where everything is installed already."""
    with short_folder() as folder:
        scripts = folder / ".venv" / "bin"
        scripts.mkdir(parents=True)
        for path in Path(sys.executable).parent.iterdir():
            (scripts / path.name).symlink_to(path)
        (folder / "devices.yaml").write_text(DEVICES)
        mutant = next(one for one in MUTANTS if "LOG-06" in one.expected)
        mutant.write(folder / "firmware")
        yield folder


class Runner:
    """Runs the steps of a job, as far as these need GitHub's."""

    def __init__(self, workspace: Path, env: dict[str, str]) -> None:
        self._folder = workspace
        self._files = {
            name: workspace / name
            for name in ("GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
        }
        for path in self._files.values():
            path.touch()
        keep = ("PYTEST_", "HIL_", "XDG_")
        own = {k: v for k, v in os.environ.items() if not k.startswith(keep)}
        paths = {name: str(path) for name, path in self._files.items()}
        self._env = own | env | paths | {"GITHUB_ACTIONS": "true", "GITHUB_SHA": "c0ffee"}

    def step(self, step: dict[str, Any], **expressions: str) -> subprocess.CompletedProcess[str]:
        """:param expressions: what those in its ``env`` come to"""
        told = dict(re.findall(r"(?m)^(\w+)=(.*)$", self.read("GITHUB_ENV")))
        return subprocess.run(
            # What GitHub makes of 'shell: bash'.
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self._folder,
            env=self._env | told | {name: expressions[name] for name in step.get("env", ())},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def read(self, name: str) -> str:
        return self._files[name].read_text()


@pytest.mark.timeout(240)
def test_a_night_of_it(workspace: Path) -> None:
    steps = {step["name"]: step for step in jobs()["bench"]["steps"] if "run" in step}
    install = steps.pop("Install")
    assert "venv .venv\n.venv/bin/python -m pip install" in install["run"]
    runner = Runner(
        workspace,
        {
            "XDG_STATE_HOME": str(workspace / "state"),
            "HIL_VIRTUAL_BUS": str(workspace / "bus"),
            "HIL_LOCKS": str(workspace / "locks"),
            "PYTEST_ADDOPTS": "-k 'the_right_password or a_wrong_password_is_refused'",
        },
    )
    told = {name: runner.step(step, TARGET="porch") for name, step in steps.items()}
    checks = told.pop("Checks")
    output = checks.stdout + checks.stderr
    assert checks.returncode == 1, output
    assert "::error title=LOG-06 porch finding::" in checks.stdout, output
    assert "1 passed" in output
    assert "yard" not in output.partition("hardware in the loop")[2], "only the chosen target"
    for name, ran in told.items():
        if not steps[name].get("continue-on-error"):
            assert ran.returncode == 0, (name, ran.stdout + ran.stderr)
    assert "## hil: findings" in runner.read("GITHUB_STEP_SUMMARY")
    assert (workspace / "artifacts" / "junit.xml").exists()
    with History(workspace / "state" / "hil" / "history.sqlite") as history:
        (run,) = history.last(9)
    assert (run.revision, run.targets["porch"].checks["LOG-06"].verdict) == ("c0ffee", "finding")
    assert "LOG-06 porch: since " in told["History"].stdout
    assert "no previous run yet" in told["History"].stderr
    assert "sarif=true" in runner.read("GITHUB_OUTPUT")
    sarif = json.loads((workspace / "artifacts" / "hil.sarif").read_text())
    assert [found["ruleId"] for found in sarif["runs"][0]["results"]] == ["LOG-06"]
