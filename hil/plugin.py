"""pytest's hooks, and nothing else: options, markers, one parameter per target, order, summary.

Without ``-m hil`` nothing here touches hardware or imports anything heavy: the checks are
deselected, and starting pytest costs a few milliseconds (benchmarks/startup.py).
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from .bench import Bench
    from .check import Check
    from .judge import Judged
    from .target import Target

FIXTURES = (
    "hil.fixtures.target",
    "hil.fixtures.http",
    "hil.fixtures.board",
    "hil.fixtures.timing",
)
pytest_plugins = ("hil.out_of_time", "hil.live")

# A check that hangs is ended (out_of_time.py); none of them needs a fraction of this.
CHECK_TIMEOUT_S = 60

bench_key: pytest.StashKey[Bench] = pytest.StashKey()
check_key: pytest.StashKey[Check] = pytest.StashKey()
group_ends_key: pytest.StashKey[tuple[bool, bool]] = pytest.StashKey()
"""Whether an item is the first of its group on its target, and whether it is the last."""
shaken_key: pytest.StashKey[set[str]] = pytest.StashKey()
"""Targets whose last check has ended in a finding."""
phases_key: pytest.StashKey[list[tuple[Judged, float]]] = pytest.StashKey()
"""What the phases of an item's check have come to, and how long each took."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("hil", "hardware in the loop")
    group.addoption(
        "--devices",
        metavar="FILE",
        help="the bench's inventory (default: $HIL_DEVICES, devices.yaml in the rootdir, "
        "else the embedded bench)",
    )
    group.addoption(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=30.0,
        help="the longest that one check may wait in real time (default: 30; EXP-04 waits for a "
        "token's whole lifetime)",
    )
    group.addoption(
        "--target",
        action="append",
        metavar="NAME",
        help="check this target of the inventory only; may be repeated",
    )

    group.addoption(
        "--artifacts",
        metavar="DIR",
        help="where each run leaves its evidence, in a folder of its own (default: artifacts in "
        "the rootdir)",
    )
    group.addoption(
        "--history",
        metavar="FILE",
        help="the SQLite file that 'hil history' reads, to which the run is added (default: "
        "history.sqlite in the folder of the artifacts)",
    )
    group.addoption("--no-artifacts", action="store_true", help="leave no evidence")
    group.addoption(
        "--wait",
        metavar="SECONDS",
        type=float,
        default=600.0,
        help="how long to wait for a board that another run or person holds (default: 600)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "hil: a check that runs against every target of the bench; select with -m hil"
    )
    if selects_checks(config) or not config.pluginmanager.hasplugin("labgrid"):
        # labgrid's plugin has a fixture 'target', too. Of two plugins' the one that comes later
        # counts: ours with -m hil, theirs without.
        for name in FIXTURES:
            config.pluginmanager.import_plugin(name)
    if not selects_checks(config):
        return
    distributed = _is_worker(config) or getattr(config.option, "dist", "no") != "no"
    if not distributed:
        _plan(config)
        return
    from . import fleet

    bench = fleet.bench_of_worker(config)
    if bench:
        config.stash[bench_key] = bench
    else:
        _plan(config)
    fleet.join(config, config.stash[bench_key], _target_of)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """``-n auto``: a worker for each board. Is asked before pytest is configured."""
    if not selects_checks(config) or os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    _plan(config)
    return len(config.stash[bench_key].names)


def _is_worker(config: pytest.Config) -> bool:
    """Whether this process is one of xdist's."""
    return hasattr(config, "workerinput")


def selects_checks(config: pytest.Config) -> bool:
    """True when the user asked for the checks: the ``-m`` expression names the mark ``hil``."""
    words = str(config.getoption("markexpr") or "").replace("(", " ").replace(")", " ").split()
    return any(word == "hil" and (i == 0 or words[i - 1] != "not") for i, word in enumerate(words))


def _plan(config: pytest.Config) -> None:
    """Read the inventory and decide on the targets, once. Opens no port."""
    if bench_key in config.stash:
        return
    from .bench import Bench
    from .errors import BenchError

    explicit = config.getoption("--devices")
    try:
        config.stash[bench_key] = Bench.plan(
            Path(explicit) if explicit else None,
            config.rootpath,
            config.getoption("--target"),
            wait_s=config.getoption("--wait"),
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
        item.stash[check_key] = check
        item.user_properties += [("check", check.id), ("severity", check.severity.value)]
        if _takes_our_timeout(item):
            item.add_marker(pytest.mark.timeout(CHECK_TIMEOUT_S))


def _takes_our_timeout(item: pytest.Item) -> bool:
    """Whether nobody has given this check another one: a mark beats ``--timeout``."""
    return (
        item.config.pluginmanager.hasplugin("timeout")
        and not item.get_closest_marker("timeout")
        and item.config.getoption("timeout", None) is None
        and "PYTEST_TIMEOUT" not in os.environ
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """All checks of one target in a row; and none of them without ``-m hil``."""
    if not selects_checks(config):
        hil = [item for item in items if item.get_closest_marker("hil")]
        if hil:
            config.hook.pytest_deselected(items=hil)
            items[:] = [item for item in items if not item.get_closest_marker("hil")]
    elif bench := config.stash.get(bench_key, None):
        from .checks import GROUPS

        targets = {name: i for i, name in enumerate(bench.names)}
        # LEAK-02 and others judge what the checks before them have made the board say.
        groups = {f"test_{group}.py": i for i, group in enumerate(GROUPS)}

        def group_of(item: pytest.Item) -> tuple[int, int]:
            return targets.get(_target_of(item), -1), groups.get(item.path.name, -1)

        items.sort(key=group_of)
        for i, item in enumerate(items):
            item.stash[group_ends_key] = (
                i == 0 or group_of(items[i - 1]) != group_of(item),
                i + 1 == len(items) or group_of(items[i + 1]) != group_of(item),
            )


def _target_of(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("target_name", "")) if callspec else ""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Bring the boards up, all at once, as soon as it is known that a check will run. In a worker
    of several, its own come up with their first check."""
    bench = session.config.stash.get(bench_key, None)
    names = {name for item in session.items if (name := _target_of(item))}
    if bench and names and not session.config.option.collectonly and not _is_worker(session.config):
        from . import recording

        recording.begin(session.config, bench)
        bench.start(names)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """The boards that are free first; in all other cases, pytest's own loop."""
    options = session.config.option
    bench = session.config.stash.get(bench_key, None)
    errors = session.testsfailed and not options.continue_on_collection_errors
    distributed = _is_worker(session.config) or getattr(options, "dist", "no") != "no"
    if not bench or options.collectonly or errors or distributed:
        return None
    from . import loop

    loop.run(session, bench, _target_of)
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Between two checks, and in the time limit of neither, a board that failed to answer is
    brought back, or is out of the run."""
    done = yield
    if bench := item.config.stash.get(bench_key, None):
        from .fixtures.target import settle

        settle(item.config, bench)
    return done


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    check = item.stash.get(check_key, None)
    # What tells all by itself is shown in its own words. pytest would look up the source lines of
    # each of its stack frames first, 17 ms for each of 60 skips.
    in_words = call.excinfo if check and _in_words(call.excinfo) else None
    if in_words:
        call.excinfo = None
    report = yield
    if in_words:
        call.excinfo, report.outcome = in_words, "failed"
    if check is not None:
        from .judge import Judged, judge, parts

        target = _brought_up(item)
        judged = judge(item, call, report, check, target)
        if call.excinfo and target:
            from .errors import BoardError
            from .fixtures.target import is_lost, suspect

            errors = parts(call.excinfo.value)
            lost = [error for error in errors if isinstance(error, BoardError)]
            told = report.when == "teardown" and is_lost(item.config, target.name)
            if told and len(lost) == len(errors):
                report.outcome, report.longrepr = "passed", None
                judged = Judged("passed")  # one error for one cause
            for error in lost:
                suspect(item.config, target.name, error)
        _tell(item, call, report, check, judged)
    return report


def _in_words(excinfo: pytest.ExceptionInfo[BaseException] | None) -> bool:
    """Whether :func:`hil.judge.judge` says what is shown of it."""
    from .errors import Finding, HilError, Unavailable

    return excinfo is not None and isinstance(excinfo.value, Finding | HilError | Unavailable)


def _tell(
    item: pytest.Item,
    call: pytest.CallInfo[None],
    report: pytest.TestReport,
    check: Check,
    judged: Judged,
) -> None:
    """The verdict, to whoever shows reports, and to the evidence when the check has ended."""
    if isinstance(call.excinfo and call.excinfo.value, AssertionError):
        item.config.stash.setdefault(shaken_key, set()).add(_target_of(item))
    told: Any = report
    told.hil_check, told.hil_target = check.id, _target_of(item)
    told.hil_verdict, told.hil_fault, told.hil_message = (
        judged.verdict,
        judged.fault,
        judged.message,
    )
    if judged.shown is not None:
        place = (str(item.path), item.location[1] or 0, judged.shown)
        skipped = judged.verdict in ("skipped", "advisory", "known")
        report.outcome = "skipped" if skipped else "failed"
        report.longrepr = place if skipped else judged.shown
    phases = item.stash.setdefault(phases_key, [])
    phases.append((judged, report.duration))
    if getattr(item.config.option, "xmlpath", None):
        from .report.junit import marks

        told_so_far = [(one.verdict, one.fault) for one, _ in phases]
        report.user_properties += marks(_target_of(item), told_so_far)
    bench = item.config.stash.get(bench_key, None)
    evidence = bench.evidence(_target_of(item)) if bench else None
    if report.when == "teardown" and evidence:
        from .judge import verdict

        evidence.verdict(verdict(check, getattr(item, "function", None), phases))
    if report.when == "teardown":
        del item.stash[phases_key]


def _brought_up(item: pytest.Item) -> Target | None:
    """The item's target, where its bring-up has succeeded."""
    return getattr(item, "funcargs", {}).get("target")


@pytest.hookimpl(tryfirst=True)
def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """pytest explains a failed ``==`` of two strings by their diff, not by their reprs."""
    from .secrets import redact

    shown = redact(left, right)
    return [f"{shown[0]} {op} {shown[1]}"] if shown else None


_SHOWN = {
    "finding": ("failed", "F", "FAILED"),
    "error": ("error", "E", "ERROR"),
    "advisory": ("advisory", "a", "ADVISORY"),
    "known": ("known", "k", "KNOWN"),
}


def pytest_report_teststatus(report: Any) -> tuple[str, str, str] | None:
    return _SHOWN.get(getattr(report, "hil_verdict", ""))


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Every board is left as it was found, also after Ctrl-C. One that is not fails the run, and so
    do results that cannot be written: that costs their file, and not the summary too."""
    bench = session.config.stash.get(bench_key, None)
    written = False
    try:
        yield
        written = bool(getattr(session.config.option, "xmlpath", None))
    except OSError as error:
        if not bench:
            raise
        bench.problems.append(f"the results cannot be written: {error}")
    if bench:
        bench.close()
        _fail(session, bench)
        if not _is_worker(session.config):
            from . import recording

            recording.end(bench, session.exitstatus)
            recording.remember(session.config, bench)
            if written:
                recording.mend_junit(session.config, bench)
            _fail(session, bench)


def _fail(session: pytest.Session, bench: Bench) -> None:
    """A problem of the bench must not pass for a run without one."""
    if bench.problems and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    if config.stash.get(bench_key, None):
        from .summary import write_summary

        write_summary(terminalreporter, config.stash[bench_key])
        if os.environ.get("GITHUB_ACTIONS") == "true":
            from .recording import tell_github

            tell_github(config, config.stash[bench_key], terminalreporter.write_line)


def pytest_unconfigure(config: pytest.Config) -> None:
    """After an internal error, too, which ends a session before its finish."""
    bench = config.stash.get(bench_key, None)
    if bench:
        bench.close()
