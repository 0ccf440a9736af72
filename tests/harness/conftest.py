"""What the harness's own tests share."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

# A shell starts what it runs in the background with Ctrl-C ignored, and so would be all that these
# tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A run in a test is none of the CI's.
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
    os.environ.pop(name, None)

# In tox's environment, each pytest that a test starts would keep its cache in one folder for all,
# and --lf of one test would run what has failed in another.
os.environ.pop("TOX_ENV_DIR", None)

# The same examples in every run, and no time limit on one: these machines are slow at times.
settings.register_profile("hil", derandomize=True, deadline=None, database=None)
settings.load_profile("hil")


_TYPELIB = "girepository-1.0/UMockdev-1.0.typelib"

# Plugins that nothing here uses: each pytest that a test starts would load them, too, in 0.6 s for
# labgrid's alone. pytester forgets what stands in the environment.
UNUSED = "-p no:labgrid -p no:anyio -p no:platformdirs"
os.environ["PYTEST_ADDOPTS"] = UNUSED


@pytest.fixture(autouse=True)
def _without_unused_plugins(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")
        monkeypatch.setenv("PYTEST_ADDOPTS", UNUSED)


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


@pytest.fixture(scope="session")
def umockdev(
    require_program: Callable[[str, str], Path], require_file: Callable[[str, str], Path]
) -> None:
    """Debian's own Python can show devices that are not there."""
    require_program("umockdev-run", "umockdev")
    found = list(Path("/usr/lib").glob(f"*/{_TYPELIB}"))
    require_file(str(found[0]) if found else f"/usr/lib/{_TYPELIB}", "gir1.2-umockdev-1.0")
    require_file("/usr/lib/python3/dist-packages/gi/__init__.py", "python3-gi")


def missing(what: str, debian_package: str) -> Path:
    message = f"needs {what} (Debian: apt-get install {debian_package})"
    if os.environ.get("HIL_REQUIRE_SYSTEM") == "1":
        pytest.fail(message)
    pytest.skip(message)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """The score of test_mutants.py, the count of test_false_alarms.py, the table of faults/."""
    reports = [
        report
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
    ]
    told = [(dict(report.user_properties), report) for report in reports]
    mutants = [(told, report) for told, report in told if "mutant" in told]
    if mutants:
        survivors = [one["mutant"] for one, _ in mutants if one["survived"]]
        unexplained = sum(len(one["unexplained"].split()) for one, _ in mutants)
        terminalreporter.write_line(
            f"mutants: {len(mutants) - len(survivors)} of {len(mutants)} killed, "
            f"{unexplained} unexplained checks, {_took(r for _, r in mutants):.0f} s"
        )
        for name in survivors:
            terminalreporter.write_line(f"  survived: a camera that {name}")
    runs = [(told, report) for told, report in told if "alarms" in told]
    if runs:
        alarms = sum(len(one["alarms"].split()) for one, _ in runs)
        terminalreporter.write_line(
            f"false alarms: {alarms} in {len(runs)} runs, "
            f"{sum(one['passed'] for one, _ in runs)} checks passed, "
            f"{_took(r for _, r in runs):.0f} s"
        )
    faults = [one for one, _ in told if "fault" in one]
    if faults:
        terminalreporter.section("faults")
        terminalreporter.write_line("| fault | what the run says | took | budget | the next run |")
        terminalreporter.write_line("|---|---|---|---|---|")
        for one in sorted(faults, key=lambda one: str(one["fault"])):
            said = str(one["told"]).replace("|", "\\|").replace("\n", " ")
            terminalreporter.write_line(
                f"| {one['fault']} | {said} | {one['took_s']:.1f} s | {one['budget_s']:.0f} s"
                f" | {one['next_run']} |"
            )


def _took(reports: Iterable[pytest.TestReport]) -> float:
    """Seconds from the start of the first to the end of the last."""
    starts, stops = zip(*((report.start, report.stop) for report in reports), strict=True)
    return float(max(stops) - min(starts))
