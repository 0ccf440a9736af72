"""What a target's own entry decides about its bring-up."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil import address, bringup
from hil.config import load, select
from hil.errors import BenchError
from hil.http_target import profile_of


@pytest.mark.parametrize(
    ("line", "seconds"), [("boot_timeout_s: 7", 7.0), ("hostname: porch", 30.0)]
)
def test_the_entry_knows_better_than_the_profile_how_long_a_boot_takes(
    tmp_path: Path, line: str, seconds: float
) -> None:
    devices = tmp_path / "devices.yaml"
    devices.write_text(
        "targets:\n  porch:\n    kind: virtual\n    model: openmv-n6\n    provision: true\n"
        f"    {line}\n"
    )
    (spec,) = select(load(devices, tmp_path, {}), None)
    assert profile_of(spec).boot_timeout_s == seconds


def test_what_nobody_has_foreseen_is_the_benchs_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One error that names the target, after which its other checks are skipped."""

    def fails(_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(bringup, "of_url", fails)
    devices = tmp_path / "devices.yaml"
    devices.write_text("targets:\n  gate:\n    kind: url\n    url: http://127.0.0.1:1\n")
    (spec,) = select(load(devices, tmp_path, {}), None)
    with pytest.raises(BenchError, match="Too many open files") as caught:
        bringup.bring_up(spec, tmp_path)
    assert caught.value.target == "gate"


def test_wifi_may_take_longer_than_a_question_on_mdns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.setattr(address, "MDNS_BUDGET_S", 0.3)
    devices = tmp_path / "devices.yaml"
    devices.write_text(
        "targets:\n  slow:\n    kind: virtual\n    model: openmv-n6\n    provision: true\n"
        "    latency: {wifi_s: 2}\n"
    )
    (spec,) = select(load(devices, tmp_path, {}), None)
    target = bringup.bring_up(spec, tmp_path)
    try:
        assert target.api.login().status_code == 200
    finally:
        target.close()
