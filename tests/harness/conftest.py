"""What the harness's own tests share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, and no time limit on one: these machines are slow at times.
settings.register_profile("hil", derandomize=True, deadline=None, database=None)
settings.load_profile("hil")


@pytest.fixture(scope="session")
def require_program() -> Callable[[str, str], Path]:
    """``require_program("chronyd", "chrony")`` -> its path.

    Skips with the Debian package's name where the program is not installed, and fails instead
    under ``HIL_REQUIRE_SYSTEM=1``, so that CI cannot lose a test without noticing.
    """

    def require(program: str, debian_package: str) -> Path:
        path = shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if path:
            return Path(path)
        return missing(program, debian_package)

    return require


@pytest.fixture(scope="session")
def require_file() -> Callable[[str, str], Path]:
    """The same for a file that a Debian package brings."""

    def require(file: str, debian_package: str) -> Path:
        if Path(file).exists():
            return Path(file)
        return missing(file, debian_package)

    return require


def missing(what: str, debian_package: str) -> Path:
    message = f"needs {what} (Debian: apt-get install {debian_package})"
    if os.environ.get("HIL_REQUIRE_SYSTEM") == "1":
        pytest.fail(message)
    pytest.skip(message)
