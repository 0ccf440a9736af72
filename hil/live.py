"""The live lines in pytest's output: on a terminal, in place of its dots.

A thread of the process that the user has started shows what the run's folder tells. With ``-v``,
``-q``, ``-s``, ``--pdb``, ``--no-live``, on what is no terminal, or where nothing is written down,
pytest's output is as ever.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from .bench import Bench
    from .report.live import LiveRun
    from .screen import Screen

EVERY_S = 0.25
"""Between two looks at the run's folder, seconds."""
_MARGIN = 4
"""Columns that are left free: for the ``^C`` that a terminal shows."""

_live_key: pytest.StashKey[Live] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("hil").addoption(
        "--no-live",
        action="store_true",
        help="on a terminal too, show pytest's dots instead of one live line for each target",
    )


class Live:
    """:ivar screen: where pytest writes meanwhile"""

    def __init__(self, run: LiveRun, screen: Screen, terminal: TerminalReporter) -> None:
        self.screen = screen
        self._run = run
        self._colour = terminal.hasmarkup
        self._terminal: Any = terminal
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="hil-live", daemon=True)

    def start(self) -> None:
        """From now on pytest writes above the live lines, and no dots."""
        terminal = self._terminal
        self._file, terminal._tw._file = terminal._tw._file, self.screen
        self._progress = getattr(terminal, "_show_progress_info", False)
        terminal._show_progress_info = terminal.showfspath = False
        self._thread.start()

    def end(self) -> None:
        """The terminal is pytest's again, as if nothing had been."""
        if self._ending.is_set():
            return
        self._ending.set()
        self._thread.join()
        self._tell()
        self.screen.close()
        self._terminal._tw._file = self._file
        self._terminal._show_progress_info = self._progress

    def _work(self) -> None:
        while True:
            self._tell()
            columns, rows = self.screen.size
            self.screen.show(self._run.lines(columns - _MARGIN, rows - 2, colour=self._colour))
            if self._ending.wait(EVERY_S):
                return

    def _tell(self) -> None:
        columns = self.screen.size[0]
        for line in self._run.look():
            coloured = self._colour and f"\x1b[31m{line[:columns]}\x1b[0m"
            self.screen.write(f"{coloured or line[:columns]}\n")


def active(config: pytest.Config) -> bool:
    """Whether the live lines are shown."""
    return _live_key in config.stash


def _wanted(config: pytest.Config, terminal: TerminalReporter | None) -> bool:
    option = config.option
    return (
        terminal is not None
        and bool(terminal.isatty)
        and os.environ.get("TERM", "dumb") != "dumb"
        and not hasattr(config, "workerinput")
        and option.verbose == 0
        and option.capture != "no"
        and not any(
            getattr(option, name, False)
            for name in ("no_live", "usepdb", "trace", "collectonly", "setupshow", "setupplan")
        )
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    from .plugin import bench_key

    config = session.config
    bench = config.stash.get(bench_key, None)
    terminal: TerminalReporter | None = config.pluginmanager.get_plugin("terminalreporter")
    if bench and bench.recorder and terminal and _wanted(config, terminal):
        _start(session, bench, terminal)
    return (yield)


def _start(session: pytest.Session, bench: Bench, terminal: TerminalReporter) -> None:
    from .report.live import LiveRun
    from .screen import Screen

    assert bench.recorder
    # Under xdist this process collects nothing.
    totals = Counter(
        item.callspec.params.get("target_name", "")
        for item in session.items
        if hasattr(item, "callspec")
    )

    def held() -> Mapping[str, str]:
        return {wait.target: f"by {wait.holder}" for wait in bench.waits()}

    writer: Any = terminal._tw
    file = writer._file
    live = Live(
        LiveRun(bench.recorder.folder, bench.names, totals, held),
        Screen(
            file.fileno(),
            getattr(file, "encoding", None) or "utf-8",
            line_is_open=writer.width_of_current_line > 0,
        ),
        terminal,
    )
    session.config.stash[_live_key] = live
    live.start()


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus(
    config: pytest.Config,
) -> Generator[None, tuple[str, Any, Any], tuple[str, Any, Any]]:
    """Counted, and not shown: the live lines tell it."""
    category, letter, word = yield
    return (category, "", "") if active(config) else (category, letter, word)


def pytest_enter_pdb(config: pytest.Config) -> None:
    if active(config):
        config.stash[_live_key].screen.halt()


def pytest_leave_pdb(config: pytest.Config) -> None:
    if active(config):
        config.stash[_live_key].screen.go_on()


def _end(config: pytest.Config) -> None:
    if active(config):
        live = config.stash[_live_key]
        del config.stash[_live_key]
        live.end()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(config: pytest.Config) -> Generator[None]:
    """Before anything of it is written."""
    _end(config)
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Where there is no summary: after an internal error."""
    _end(config)
