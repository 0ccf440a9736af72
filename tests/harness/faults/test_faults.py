"""Every fault: one clear error of the right kind, the other board finishes, nothing is lost, and
the next run finds the board in order."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from fault_cases import CASES, Case
from fault_scene import FAULTY, SOUND, Scene, no_disk_of_its_own

ALL_CHECKS = {"test_basic", "test_expiry", "test_rotation"}
NEXT_RUN_S = 60.0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_fault(scene: Scene, case: Case, record_property: Callable[[str, object], None]) -> None:
    case.plant(scene)
    if scene.full and (why := no_disk_of_its_own(scene.folder)):
        pytest.skip(why)
    ran = scene.run(within=case.budget_s, disturbed=True)

    assert ran.passed[SOUND] == ALL_CHECKS, ran.output
    if case.kind is None:
        assert ran.errors == [], ran.output
        assert ran.passed[FAULTY] == ALL_CHECKS, ran.output
        assert ran.code == 0, ran.output
    else:
        assert [kind for kind, _ in ran.errors] == [case.kind], ran.output
        ((_, message),) = ran.errors
        assert message.startswith(f"{FAULTY}: "), ran.output
        assert case.says in message, ran.output
        assert ran.code == 1, ran.output
        assert ran.passed[FAULTY] == case.passes, ran.output
    if case.left_broken is not None:
        assert ran.not_put_back == ([FAULTY] if case.left_broken else []), ran.output
    for struck in case.strikes:
        assert struck in scene.board.control("status")["faults"], f"{struck} was never met"

    scene.set_right()
    following = scene.run(FAULTY, within=NEXT_RUN_S)
    assert following.errors == [], following.output
    assert following.passed[FAULTY] == ALL_CHECKS, following.output
    assert scene.is_as_found(), following.output

    record_property("fault", case.name)
    record_property("told", "; ".join(f"{k}: {_short(m)}" for k, m in ran.errors) or "passes")
    record_property("took_s", ran.took_s)
    record_property("budget_s", case.budget_s)
    record_property("next_run", _next(following.output))


def _short(message: str) -> str:
    """Without the hint, and without this machine's folders."""
    return re.sub(r"/tmp/hil-[^/]+/", "…/", message.partition("\n  -> ")[0])


def _next(output: str) -> str:
    restored = "restored what a killed run had left" in output
    return "restores the board, passes" if restored else "finds it in order, passes"
