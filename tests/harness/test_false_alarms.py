"""No false alarm: the reference firmware passes every check, run after run.

Once in a usual run, with every feature on: as it is deployed, `pytest -m hil` checks it. The proof
is

    HIL_FALSE_ALARM_RUNS=50 pytest tests/harness/test_false_alarms.py -n auto

How many checks ran, and how many of them cried wolf, stands at the end of the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from check_run import run_checks, short_folder

RUNS = int(os.environ.get("HIL_FALSE_ALARM_RUNS", "1"))
PROFILES = {"camera-full": 240, "camera": 190}
"""And how many checks pass at least."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("profile", list(PROFILES)[: 1 if RUNS == 1 else None])
@pytest.mark.parametrize("run", range(1, RUNS + 1))
def test_the_sound_firmware_turns_no_check_red(
    run: int, profile: str, record_property: Callable[[str, object], None]
) -> None:
    with short_folder() as folder:
        board = f"kind: virtual\nmodel: openmv-n6\nprovision: true\nprofile: {profile}"
        ran = run_checks(folder, board, "--strict", timeout=200)
    alarms = sorted(ran.having("failure") | ran.having("error"))
    record_property("passed", len(ran.having("passed")))
    record_property("alarms", " ".join(alarms))
    assert alarms == [], ran.output
    assert len(ran.having("passed")) > PROFILES[profile], ran.output
