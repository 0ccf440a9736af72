"""pytest's hooks, and nothing else: options, markers, one parameter per target, order, summary.

Without ``-m hil`` nothing here touches hardware or imports anything heavy: the checks are
deselected, and starting pytest costs a few milliseconds (benchmarks/startup.py).
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from .bench import Bench
    from .check import Check

pytest_plugins = (
    "hil.fixtures.target",
    "hil.fixtures.http",
    "hil.fixtures.board",
)

# A check that hangs is ended by pytest-timeout; none of them needs a fraction of this.
CHECK_TIMEOUT_S = 60

bench_key: pytest.StashKey[Bench] = pytest.StashKey()
_check_key: pytest.StashKey[Check] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hil", "hardware in the loop")
    group.addoption(
        "--devices",
        metavar="FILE",
        help="the bench's inventory (default: $HIL_DEVICES, devices.yaml in the rootdir, "
        "else the embedded bench)",
    )
    group.addoption(
        "--target",
        action="append",
        metavar="NAME",
        help="check this target of the inventory only; may be repeated",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "hil: a check that runs against every target of the bench; select with -m hil"
    )
    if selects_checks(config):
        _plan(config)


def selects_checks(config: pytest.Config) -> bool:
    """True when the user asked for the checks: the ``-m`` expression names the mark ``hil``."""
    words = str(config.getoption("markexpr") or "").replace("(", " ").replace(")", " ").split()
    return any(word == "hil" and (i == 0 or words[i - 1] != "not") for i, word in enumerate(words))


def _plan(config: pytest.Config) -> None:
    """Read the inventory and decide on the targets. Opens no port."""
    from .bench import Bench
    from .errors import BenchError

    explicit = config.getoption("--devices")
    try:
        config.stash[bench_key] = Bench.plan(
            Path(explicit) if explicit else None, config.rootpath, config.getoption("--target")
        )
    except BenchError as error:
        raise pytest.UsageError(str(error)) from None


def pytest_report_header(config: pytest.Config) -> list[str]:
    bench = config.stash.get(bench_key, None)
    return [f"hil: {line}" for line in bench.describe()] if bench else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    bench = metafunc.config.stash.get(bench_key, None)
    if bench and "target_name" in metafunc.fixturenames:
        metafunc.parametrize("target_name", bench.names, indirect=True)


def pytest_itemcollected(item: pytest.Item) -> None:
    check = getattr(getattr(item, "function", None), "__hil_check__", None)
    if check is not None:
        item.stash[_check_key] = check
        item.user_properties += [("check", check.id), ("severity", check.severity.value)]
        if item.config.pluginmanager.hasplugin("timeout") and not item.get_closest_marker(
            "timeout"
        ):
            item.add_marker(pytest.mark.timeout(CHECK_TIMEOUT_S))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """All checks of one target in a row; and none of them without ``-m hil``."""
    if not selects_checks(config):
        hil = [item for item in items if item.get_closest_marker("hil")]
        if hil:
            config.hook.pytest_deselected(items=hil)
            items[:] = [item for item in items if not item.get_closest_marker("hil")]
    elif bench := config.stash.get(bench_key, None):
        order = {name: i for i, name in enumerate(bench.names)}
        items.sort(key=lambda item: order.get(_target_of(item), -1))


def _target_of(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("target_name", "")) if callspec else ""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Bring the boards up, all at once, as soon as it is known that a check will run."""
    bench = session.config.stash.get(bench_key, None)
    if bench and not session.config.option.collectonly:
        bench.start({name for item in session.items if (name := _target_of(item))})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    check = item.stash.get(_check_key, None)
    if check is None:
        return report
    report.hil_check = check.id  # type: ignore[attr-defined]
    report.hil_target = _target_of(item)  # type: ignore[attr-defined]
    failed_promise = call.excinfo is not None and call.excinfo.errisinstance(AssertionError)
    if (
        report.when == "call"
        and report.failed
        and failed_promise
        and check.severity.value == "should"
        and not item.config.getoption("strict", default=False)
    ):
        report.outcome = "skipped"
        report.hil_advisory = str(call.excinfo.value) if call.excinfo else ""  # type: ignore[attr-defined]
        report.longrepr = (str(item.path), item.location[1] or 0, "advisory")
    elif report.failed and call.excinfo is not None:
        from .errors import Finding, HilError, fault_of

        finding = call.excinfo.errisinstance(Finding)
        if finding or call.excinfo.errisinstance(HilError):
            # The message says it all: our own stack frames would only hide it.
            report.longrepr = f"{fault_of(call.excinfo.value)}: {call.excinfo.value}"
        if finding and report.when == "setup":
            report.hil_finding = True  # type: ignore[attr-defined]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """pytest explains a failed ``==`` of two strings by their diff, not by their reprs."""
    from .secrets import redact

    shown = redact(left, right)
    return [f"{shown[0]} {op} {shown[1]}"] if shown else None


def pytest_report_teststatus(report: Any) -> tuple[str, str, str] | None:
    if hasattr(report, "hil_advisory"):
        return "advisory", "a", "ADVISORY"
    if hasattr(report, "hil_finding"):  # in bring-up; pytest would call it an error
        return "failed", "F", "FAILED"
    return None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Every board is left as it was found, also after Ctrl-C. One that is not fails the run."""
    bench = session.config.stash.get(bench_key, None)
    if bench and bench.close() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    if config.stash.get(bench_key, None):
        from .summary import write_summary

        write_summary(terminalreporter, config.stash[bench_key])


def pytest_unconfigure(config: pytest.Config) -> None:
    """After an internal error, too, which ends a session before its finish."""
    bench = config.stash.get(bench_key, None)
    if bench:
        bench.close()
