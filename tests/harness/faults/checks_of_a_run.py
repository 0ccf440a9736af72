"""What each run of the fault suite checks: Basic, expiry and a rotation. One board, two seconds."""

from __future__ import annotations

import pytest

from hil.auth.client import Api
from hil.check import check, must
from hil.clock.skew import ClockControl
from hil.control import MintControl, SecretControl
from hil.target import RebootControl

pytestmark = pytest.mark.hil


@check("BAS-03", must, "OpenMV docs 10.9")
def test_basic(api: Api) -> None:
    assert api.basic().status_code == 200


@check("EXP-03", must, "RFC 7519 §4.1.4")
def test_expiry(api: Api, clock: ClockControl, mint: MintControl) -> None:
    token = mint()
    assert api.resource(token).status_code == 200
    clock.skew(3700)
    assert api.resource(token).status_code == 401


@check("ROT-02", must, "OpenMV docs 10.9.1")
def test_rotation(api: Api, secret: SecretControl, reboot: RebootControl) -> None:
    token = api.token()
    secret.delete()
    reboot()
    assert api.resource(token).status_code == 401
    assert api.resource().status_code == 200
