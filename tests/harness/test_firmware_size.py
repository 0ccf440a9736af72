"""The camera application stays small enough for a board, and its README tells how small."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def measured() -> dict[str, int]:
    ran = subprocess.run(
        [sys.executable, PROJECT / "benchmarks" / "firmware_size.py", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    sizes: dict[str, int] = json.loads(ran.stdout)
    return sizes


def test_the_import_of_the_application_stays_under_100_kb_of_heap(measured: dict[str, int]) -> None:
    """With pointers of 64 bits: a board needs about half."""
    assert measured["heap_of_microdot_bytes"] < measured["heap_bytes"] < 100_000


def test_all_features_together_take_less_than_40_kb_more(measured: dict[str, int]) -> None:
    assert 5_000 < measured["heap_of_features_bytes"] < 40_000


def test_the_readme_tells_the_sizes_that_are_measured(measured: dict[str, int]) -> None:
    """To a tenth: another minor version of MicroPython differs by a little."""
    readme = (PROJECT / "firmware" / "camera" / "README.md").read_text()
    told = re.search(r"heap after import, microdot [0-9.]+ included \| ([0-9]+) KB", readme)
    smallest = re.search(r"smallest heap that imports it from source \| ([0-9]+) KB", readme)
    features = re.search(r"^\| all features on \| ([0-9]+) KB", readme, re.MULTILINE)
    source = re.search(r"^\| source \| ([0-9]+) KB", readme, re.MULTILINE)
    assert told
    assert smallest
    assert features
    assert source
    assert int(told[1]) == pytest.approx(measured["heap_bytes"] / 1000, rel=0.1)
    assert int(smallest[1]) == pytest.approx(measured["smallest_heap_kb"], rel=0.1)
    assert int(features[1]) == pytest.approx(measured["heap_of_features_bytes"] / 1000, rel=0.1)
    assert int(source[1]) == pytest.approx(measured["source_bytes"] / 1000, rel=0.1)
