"""Results that cannot be written, because the disk is full: the boards are as they were found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fault_scene import FAULTY, Scene

FULL = Path("/dev/full")
BUDGET_S = 30.0


def test_a_junit_file_costs_neither_the_boards_nor_the_summary(
    scene: Scene, record_property: Callable[[str, object], None]
) -> None:
    ran = scene.run(within=BUDGET_S, junit=FULL)
    lines = map(str.strip, ran.output.splitlines())
    (told,) = [line for line in lines if line.startswith("hil: the results")]
    assert told == "hil: the results cannot be written: [Errno 28] No space left on device"
    assert ran.code == 1, ran.output
    assert f"{FAULTY}: 3 checks passed" in ran.output
    assert scene.is_as_found(), ran.output

    record_property("fault", "disk full: results")
    record_property("told", told)
    record_property("took_s", ran.took_s)
    record_property("budget_s", BUDGET_S)
    record_property("next_run", "not needed: all was put back")
