"""What a run makes of a broken promise: told in one screen, known, or noticed only afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hil import provision
from hil.auth.profile import PACKAGED
from hil.check import Check, must
from hil.explain import explanation, told

EMBEDDED = """
targets:
  shown:
    kind: virtual
    model: openmv-n6
    provision: true
    firmware: firmware
    profile: mine.yaml
"""

CHECKS = """
    from pathlib import Path
    import pytest
    from hil.auth import verdict
    from hil.check import check, must, should
    from hil.deadline import Deadline

    @check("BAS-03", must, "one")
    def test_a_known_deviation_that_still_deviates(api, profile):
        assert api.basic().text == profile.basic.answer

    @check("BAS-12", must, "two")
    def test_a_known_deviation_that_is_none_any_more(api):
        assert api.basic().status_code == 200

    @check("BAS-04", must, "RFC 9999 §3")
    def test_it_is_told_in_one_screen(api, raw, clock, remark):
        '''The promise in words.

        Usual cause: the cause in words.
        '''
        clock.skew(86_400)
        remark("seen", "by the way")
        verdict.refused(raw.send(api.compose_basic(f"Basic {api.credentials.basic}")), "x",
                        status={401})

    @check("BAS-05", must, "three")
    def test_the_board_resets_by_itself(api):
        from hil.virtual import control
        deadline = Deadline.after(20)
        control.ask(Path(".hil/boards/shown"), {"op": "hard_reset"}, deadline, board="shown")
        assert api.alive(deadline)
"""


@pytest.fixture
def output(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)
    pytester.makepyfile(CHECKS)
    pytester.makefile(".yaml", devices=EMBEDDED)
    known = "".join(
        f"  - {{check: {check}, reason: why it is so, link: 'https://example.org'}}\n"
        for check in ("BAS-03", "BAS-12")
    )
    profile = (PACKAGED / "camera.yaml").read_text().replace("known: []", f"known:\n{known}")
    (pytester.path / "mine.yaml").write_text(profile)
    shutil.copytree(provision.reference(), pytester.path / "firmware")
    app = pytester.path / "firmware" / "app.py"
    app.write_text(app.read_text().replace('"hi "', '"hello "'))
    result = pytester.runpytest_subprocess("-m", "hil", timeout=60)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    return result.stdout.str()


def test_a_run_with_every_kind_of_finding(output: str) -> None:
    """One run on a virtual board, looked at from all sides: a run takes seconds."""
    summary = output[output.index("hardware in the loop") :]
    # A known deviation is told with its reason, and fails nothing; one that has gone fails.
    assert "BAS-03 shown: why it is so" in summary
    assert "BAS-12 passes, but the profile declares it a known deviation (why it is so)" in output
    # One screen: promise, what was sent, what came back, the board's clock, the cause.
    start = output.index("BAS-04 (must): it is told in one screen")
    screen = output[start : output.index("hil checks explain BAS-04", start)].splitlines()
    assert len(screen) <= 24
    words = "\n".join(screen)
    for part in (
        "RFC 9999 §3",
        "The promise in words.",
        "sent GET /admin",
        "got accepted 200",
        "the cause in words",
    ):
        assert part in words
    (clock,) = [line for line in screen if line.strip().startswith("clock")]
    assert "on the board, +8" in clock, "a day ahead, as the check had set it"
    # A reset that nobody asked for is found after the group.
    assert "during the BAS checks the board has reset by itself" in output
    assert "1 known deviation" in summary
    assert summary.count("BAS-04 shown: seen: by the way") == 1
    assert "3 findings" in summary


def test_a_docstring_is_promise_and_cause() -> None:
    def check() -> None:
        """It is so,
        always.

        Usual cause: it was
        not so.
        """

    assert told(check) == ("It is so, always.", "it was not so.")
    assert told(test_a_docstring_is_promise_and_cause) == ("", "")


def test_a_finding_of_many_lines_keeps_them_in_order() -> None:
    text = explanation(Check("EXP-02", must, "RFC 1"), lambda: None, "a\n  b\n    c", "noon")
    assert [line.split()[-1] for line in text.splitlines()[2:5]] == ["a", "b", "c"]
    assert "promise" not in text, "there is no docstring"
