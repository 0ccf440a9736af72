"""The wheel: what a camera team installs holds the checks, the firmware and the default bench."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content, as it lies in site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=PROJECT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
        (folder / "names").write_text("\n".join(archive.namelist()))
    return folder / "site"


def python(site: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed package, from somewhere else."""
    environment = {key: value for key, value in os.environ.items() if key != "HIL_DEVICES"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_installed_checks_are_the_projects(site: Path, tmp_path: Path) -> None:
    installed = {path.name: path.read_bytes() for path in (site / "hil/checks").glob("test_*.py")}
    assert installed == {path.name: path.read_bytes() for path in PROJECT.glob("tests/test_*.py")}
    told = python(site, tmp_path, "-c", "import hil.checks; print(hil.checks.__file__)")
    assert str(site) in told.stdout
    listed = python(site, tmp_path, "-m", "hil", "checks", "--format", "json")
    assert len(json.loads(listed.stdout)) >= 80


def test_the_checks_run_from_another_repository(site: Path, tmp_path: Path) -> None:
    run = python(site, tmp_path, "-m", "hil", "run", "--collect-only", "-q")
    assert run.returncode == 0, run.stdout + run.stderr
    by_name = python(
        site, tmp_path, "-m", "pytest", "--pyargs", "hil.checks", "-m", "hil", "-k",
        "a_wrong_password_is_refused", "-q",
    )  # fmt: skip
    assert "2 passed" in by_name.stdout, by_name.stdout + by_name.stderr


def test_the_firmware_and_the_bench_are_in_it(site: Path) -> None:
    names = set((site.parent / "names").read_text().splitlines())
    assert {
        "hil/devices.yaml",
        "hil/checks.csv",
        "hil/profiles/camera.yaml",
        "hil/profiles/camera-full.yaml",
        "hil/auth/weak_keys.txt",
        "hil/report/requirements.csv",
        "hil/firmware/camera/main.py",
        "hil/virtual/bsp/_boot.py",
        "hil/py.typed",
    } <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests/")]
