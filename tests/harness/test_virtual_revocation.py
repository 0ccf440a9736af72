"""A logout on a virtual camera, power cut at every block write of its flash."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from hil import config
from hil.bringup import bring_up
from hil.target import Absent, Target


def logout(target: Target, token: str) -> int | None:
    """The status; None: no answer."""
    authorization = [("Authorization", f"Bearer {token}")]
    request = target.api.compose("POST", "/api/logout", authorization)
    return target.raw.send(request, timeout=2.0).status


def _answered(target: Target, token: str, statuses: list[int | None]) -> bool:
    statuses.append(logout(target, token))
    return statuses[-1] is not None


def is_alive(target: Target, token: str) -> bool:
    status = target.raw.send(target.api.compose_resource(token=token)).status
    assert status in (200, 401)
    return status == 200


def log_in(target: Target) -> tuple[str, str]:
    """Access token and refresh token."""
    answer = target.raw.send(target.api.compose_login()).json()
    return answer["token"], answer["refresh_token"]


def refreshed(target: Target, token: str) -> int | None:
    body = json.dumps({"refresh_token": token}).encode()
    request = target.api.compose(
        "POST", "/api/refresh", [("Content-Type", "application/json")], body
    )
    return target.raw.send(request).status


@pytest.mark.timeout(120)
def test_a_logout_that_was_answered_survives_the_loss_of_power_at_any_block_write(
    tmp_path: Path,
) -> None:
    """As does every logout of before; and whoever did not log out stays in."""
    devices = tmp_path / "devices.yaml"
    devices.write_text(
        "targets: {full: {kind: virtual, model: openmv-n6, provision: true, profile: camera-full}}"
    )
    with closing(bring_up(config.read(devices).targets["full"], tmp_path / "state")) as target:
        power, reboot = target.controls.power, target.controls.reboot
        assert not isinstance(power, Absent)
        assert not isinstance(reboot, Absent)
        dead: list[str] = []
        (stays, stays_refresh), cuts, answered = log_in(target), 0, 0
        for cut in power.cuts():
            token, refresh = log_in(target)
            statuses: list[int | None] = []

            if cut.during(lambda: _answered(target, token, statuses)):  # noqa: B023 - here and now
                cuts += 1
                reboot("power")
            assert set(statuses) <= {204, None}
            if 204 in statuses:
                answered += 1
                assert not is_alive(target, token), cut.point
                assert refreshed(target, refresh) == 400, cut.point
            assert not any(is_alive(target, one) for one in dead[-3:]), cut.point
            assert is_alive(target, stays), cut.point
            if is_alive(target, token):
                assert logout(target, token) == 204
            dead.append(token)
        assert not any(is_alive(target, one) for one in dead)
        assert refreshed(target, stays_refresh) == 200
    # Two lists, each in two files, of four blocks and a directory entry
    assert cuts >= 20
    assert answered >= 1


def test_a_camera_has_what_its_profile_says(tmp_path: Path) -> None:
    """The further user and the API key are made up, given to the board, and told to nobody."""
    devices = tmp_path / "devices.yaml"
    devices.write_text(
        "targets: {full: {kind: virtual, model: openmv-ae3, provision: true, profile: camera-full}}"
    )
    with closing(bring_up(config.read(devices).targets["full"], tmp_path / "state")) as target:
        api = target.api
        assert api.others.keys() == {"guest"}
        assert api.api_key
        answer = target.raw.send(api.of("guest").compose_login())
        assert answer.status == 200
        assert target.raw.send(api.compose_key(key=api.api_key)).json() == {
            "user": "bench",
            "role": "basic",
        }
        shown = repr(target)
        assert api.api_key not in shown
        assert api.others["guest"] not in shown
