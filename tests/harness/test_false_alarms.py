"""No false alarm: the reference firmware passes every check, run after run.

Once in a usual run; the proof is

    HIL_FALSE_ALARM_RUNS=50 pytest tests/harness/test_false_alarms.py -n auto

How many checks ran, and how many of them cried wolf, stands at the end of the run.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from check_run import run_checks, short_folder

RUNS = int(os.environ.get("HIL_FALSE_ALARM_RUNS", "1"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("run", range(1, RUNS + 1))
def test_the_sound_firmware_turns_no_check_red(
    run: int, record_property: Callable[[str, object], None]
) -> None:
    with short_folder() as folder:
        ran = run_checks(
            folder, "kind: virtual\nmodel: openmv-n6\nprovision: true", "--strict", timeout=200
        )
    alarms = sorted(ran.having("failure") | ran.having("error"))
    record_property("passed", len(ran.having("passed")))
    record_property("alarms", " ".join(alarms))
    assert alarms == [], ran.output
    assert len(ran.having("passed")) > 190, ran.output
