"""The checks, installed with the package: ``hil run`` or ``pytest --pyargs hil.checks -m hil``.

Their source is ``tests/test_*.py`` of the project; the wheel carries a copy here, so that a camera
team runs them from its own repository against its own firmware.
"""

from __future__ import annotations

from pathlib import Path

GROUPS = {
    "login": "login",
    "bearer": "bearer (header handling)",
    "token": "bearer (token integrity)",
    "expiry": "expiry and clock",
    "rotation": "rotation and reboot",
    "basic": "basic",
    "refresh": "refresh",
    "revocation": "revocation",
    "api_key": "api-key",
    "roles": "roles",
    "device_code": "device-code / OIDC",
    "transport": "transport-robustness",
    "leaks": "info-leak",
}
"""The groups in the order in which they run, each a file ``test_GROUP.py``, and their titles."""


def paths() -> list[Path]:
    """The files with the checks: beside this one when installed, ``tests/`` in a source tree."""
    here = Path(__file__).parent
    if not (here / "test_login.py").exists():
        here = here.parents[1] / "tests"
    return [here / f"test_{group}.py" for group in GROUPS]
