"""After a check, its fixtures have put back what it changed: the next check finds it so."""

from __future__ import annotations

from pathlib import Path

import pytest
from check_run import run_checks, short_folder
from mutants import MUTANTS

EMBEDDED = """
targets:
  tidy:
    kind: virtual
    model: openmv-n6
    provision: true
"""

CHECKS = """
    import pytest
    from hil.check import check, must, should

    found = {}

    @check("ROT-02", must, "one")
    def test_changes_everything(api, secret, clock, password_control, reboot):
        found.update(key=secret.held(), password=api.credentials.password, token=api.token())
        secret.delete()
        reboot()
        password_control.change("another")
        clock.skew(86_400)

    @check("ROT-05", must, "two")
    def test_finds_everything_as_it_was(api, secret, clock):
        assert secret.read() == found["key"] == secret.held()
        assert api.credentials.password == found["password"]
        assert api.login().status_code == 200
        assert abs(clock.now().offset) < 2

    @check("ROT-06", must, "three")
    def test_what_is_missing_skips_with_its_reason(reboot):
        reboot("soft")
        assert False, "never reached"

    @check("LOG-05", should, "four")
    def test_a_broken_should_is_an_advisory(api):
        assert 1 == 2, "it could be better"

    @check("LOG-06", must, "five")
    def test_a_broken_must_is_a_finding(api):
        assert 1 == 2, "it is wrong"
"""


@pytest.fixture
def run(pytester: pytest.Pytester, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)
    pytester.makepyfile(CHECKS)
    pytester.makefile(".yaml", devices=EMBEDDED)
    return lambda *options: pytester.runpytest_subprocess("-m", "hil", *options, timeout=60)


def test_the_fixtures_put_back_what_a_check_changed(run) -> None:  # type: ignore[no-untyped-def]
    result = run()
    result.assert_outcomes(passed=2, skipped=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "tidy: 2 checks passed, 1 finding, 1 advisory, 1 skipped",
            "*LOG-05 tidy: *it could be better*",
            "*ROT-06: a soft reset does not start main.py*",
        ]
    )


def test_strict_makes_an_advisory_a_finding(run) -> None:  # type: ignore[no-untyped-def]
    run("--strict").assert_outcomes(passed=2, skipped=1, failed=2)


def test_an_owner_who_is_locked_out_is_one_finding_and_not_all_that_follow() -> None:
    (mutant,) = (one for one in MUTANTS if one.name.startswith("locks its owner out"))
    with short_folder() as folder:
        mutant.write(folder / "firmware")
        ran = run_checks(
            folder,
            f"kind: virtual\nmodel: openmv-n6\nprovision: true\nfirmware: {folder / 'firmware'}",
            *("--strict", "-k", "guessing or opens_the_route or good_credentials"),
        )
    assert ran.having("failure") == {"LOG-36", "BAS-16"}, ran.output
    assert "BRR-01" in ran.having("passed"), ran.output
