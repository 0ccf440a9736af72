"""The checks, installed with the package: ``hil run`` or ``pytest --pyargs hil.checks -m hil``.

Their source is ``tests/test_*.py`` of the project; the wheel carries a copy here, so that a camera
team runs them from its own repository against its own firmware.
"""

from __future__ import annotations

from pathlib import Path

GROUPS = ("login", "bearer", "token", "expiry", "rotation", "basic", "transport", "leaks")


def paths() -> list[Path]:
    """The files with the checks: beside this one when installed, ``tests/`` in a source tree."""
    here = Path(__file__).parent
    if not (here / "test_login.py").exists():
        here = here.parents[1] / "tests"
    return [here / f"test_{group}.py" for group in GROUPS]
