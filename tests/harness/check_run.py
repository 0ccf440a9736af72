"""The checks in a pytest of their own, and what became of each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from hil import checks

# From harmless to grave: a check may have two verdicts, of which the graver one counts.
every_system = pytest.mark.skipif(
    os.environ.get("HIL_SYSTEMS") != "all",
    reason="takes half a minute: HIL_SYSTEMS=all runs the builds of all example systems",
)

_GRAVITY = ("passed", "skipped", "advisory", "failure", "error")


@dataclass(frozen=True)
class CheckRun:
    """:ivar verdicts: by check id: ``passed``, ``skipped``, ``advisory``, ``failure`` (a finding),
        ``error``
    :ivar output: what pytest has printed
    """

    verdicts: dict[str, str]
    output: str

    def having(self, verdict: str) -> set[str]:
        """The ids with this verdict."""
        return {check for check, found in self.verdicts.items() if found == verdict}


@contextmanager
def short_folder() -> Iterator[Path]:
    """A short path: a virtual board has a socket in it, and a socket's path is at most 107 long."""
    path = Path(tempfile.mkdtemp(prefix="hil-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def run_checks(
    folder: Path,
    target: str,
    *options: str,
    devices: Path | None = None,
    groups: Iterable[str] = tuple(checks.GROUPS),
    environment: Mapping[str, str] | None = None,
    given: Mapping[str, str] | None = None,
    timeout: float = 100,
) -> CheckRun:
    """Run all checks, or some, against one target.

    :param folder: for the run's files; its name becomes the target's, and a virtual board's host
        name comes of it: other boards run beside this one
    :param target: the target's entry in devices.yaml, e.g. ``kind: virtual``, one field a line; of
        an inventory that there is, its name
    :param options: more of pytest's
    :param devices: the inventory that there is; None: one is written to ``folder``
    :param groups: of the checks, as in :data:`hil.checks.GROUPS`
    :param environment: of the bench, besides its own
    :param given: what a process target finds in its environment besides what its entry says
    """
    wanted = set(groups)
    if devices and given:
        devices = _copied(devices, target, given, folder)
    if devices:
        options = ("--target", target, *options)
    else:
        fields = "".join(f"    {line}\n" for line in target.splitlines())
        devices = folder / "devices.yaml"
        devices.write_text(f"targets:\n  {folder.name}:\n{fields}")
    (folder / "pytest.ini").write_text("[pytest]\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "HIL_DEVICES"))}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # half a second for each run
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-c", "pytest.ini", "--rootdir", str(folder)),
            *("-m", "hil", "--devices", str(devices), "--junitxml", "junit.xml"),
            *("-p", "hil.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider"),
            *options,
            *(str(path) for path in checks.paths() if path.stem.removeprefix("test_") in wanted),
        ],
        cwd=folder,
        env={**env, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    output = ran.stdout + ran.stderr
    assert (folder / "junit.xml").exists(), output
    return CheckRun(_verdicts(folder / "junit.xml"), output)


def _copied(devices: Path, target: str, given: Mapping[str, str], folder: Path) -> Path:
    """The entry of a process target in an inventory of its own, and more in its environment: of
    the bench's own, a process gets nothing else."""
    entry = YAML(typ="safe").load(devices)["targets"][target]
    entry["env"] = {**entry["env"], **given}
    entry["folder"] = str(devices.parent)
    entry["profile"] = str(devices.parent / entry["profile"])
    copy = folder / "devices.yaml"
    YAML().dump({"targets": {target: entry}}, copy)
    return copy


def _verdicts(junit: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for case in ElementTree.parse(junit).iter("testcase"):  # noqa: S314 - our own
        told = {p.get("name"): p.get("value") or "" for p in case.iter("property")}
        assert "check" in told, f"not a check: {''.join(case.itertext())}"
        check, word = told["check"], told["verdict"]
        verdict = {"finding": "failure", "known": "skipped"}.get(word, word)
        found[check] = max(found.get(check, "passed"), verdict, key=_GRAVITY.index)
    return found
