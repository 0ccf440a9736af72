"""How long pytest takes to start: bare, with this plugin, with labgrid, with pytest-embedded.

Each is installed beside pytest in a throw-away environment (it needs a package index), and runs
one empty test file. The four are measured in turn, again and again, so that a machine whose speed
drifts slows all of them alike; the figure is the median.

Two of our dependencies bring pytest plugins, which pytest loads unasked: anyio (through
httpx) and platformdirs (through mpremote). ``plugin.overhead_ms`` is the whole that a user pays;
``plugin.own_ms`` is without those two (``-p no:anyio -p no:platformdirs``).

    python benchmarks/startup.py [--json] [--runs N]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
INSTALLED = {
    "bare": ["pytest"],
    "plugin": [str(PROJECT)],
    "labgrid": ["pytest", "labgrid"],
    "pytest_embedded": ["pytest", "pytest-embedded"],
}


def environment(root: Path, name: str) -> Path:
    """A new environment; returns its Python."""
    venv.create(root / name, with_pip=True)
    python = root / name / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run(
        [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            *INSTALLED[name],
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    return python


def start_s(python: Path, folder: Path, *options: str) -> float:
    """Wall seconds of one pytest process over one empty test."""
    began = time.perf_counter()
    subprocess.run(
        [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_nothing.py"],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hil-startup-") as name:
        root = Path(name)
        folder = root / "tests"
        folder.mkdir()
        (folder / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
        (folder / "pytest.ini").write_text("[pytest]\n")
        pythons = {}
        for kind in INSTALLED:
            print(f"installing: {', '.join(INSTALLED[kind])}", file=sys.stderr)
            pythons[kind] = environment(root, kind)
            start_s(pythons[kind], folder)  # byte-compiles what it imports
        times: dict[str, list[float]] = {kind: [] for kind in (*INSTALLED, "own")}
        for _ in range(options.runs):
            for kind, python in pythons.items():
                times[kind].append(start_s(python, folder))
            times["own"].append(
                start_s(pythons["plugin"], folder, "-p", "no:anyio", "-p", "no:platformdirs")
            )
    ms = {kind: statistics.median(values) * 1000 for kind, values in times.items()}
    result: dict[str, Any] = {"bare_ms": round(ms["bare"], 1), "runs": options.runs}
    for kind in ("plugin", "labgrid", "pytest_embedded"):
        result[kind] = {"overhead_ms": round(ms[kind] - ms["bare"], 1)}
    result["plugin"]["own_ms"] = round(ms["own"] - ms["bare"], 1)
    if options.json:
        print(json.dumps(result))
    else:
        print(f"bare pytest {ms['bare']:.0f} ms; on top of it:")
        for kind in ("plugin", "labgrid", "pytest_embedded"):
            print(f"  {kind.replace('_', '-'):<16} {result[kind]['overhead_ms']:+6.0f} ms")
        print(f"  {'(plugin, own)':<16} {result['plugin']['own_ms']:+6.0f} ms")


if __name__ == "__main__":
    main()
