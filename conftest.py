"""The fixtures and hooks of the checks come from the pytest plugin (hil/plugin.py), not from here.

This file makes the project's folder pytest's root, for the checks and for the harness's own tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.plugin import selects_checks

pytest_plugins = ["pytester"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """``pytest -m hil`` is the main job: it does not need what the harness's own tests need."""
    harness = config.rootpath / "tests" / "harness"
    return True if collection_path == harness and selects_checks(config) else None
