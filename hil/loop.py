"""The checks, target by target, in the order in which the boards are free.

pytest's own loop runs them in the order of collection. Here a target that somebody else holds comes
after those that can be worked on, and each is given back when its last check is done.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from . import live

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

    from .bench import Bench, Wait


def run(session: pytest.Session, bench: Bench, target_of: Callable[[pytest.Item], str]) -> None:
    """Run all items of the session.

    :param target_of: the name of an item's target; empty for a test that has none: those come first
    :raises pytest.Session.Failed: after ``-x``, ``--maxfail``
    :raises pytest.Session.Interrupted: somebody has stopped the session
    """
    blocks: dict[str, list[pytest.Item]] = {}
    for item in session.items:
        blocks.setdefault(target_of(item), []).append(item)
    terminal: TerminalReporter | None = session.config.pluginmanager.get_plugin("terminalreporter")
    line = WaitingLine(terminal, alone=not live.active(session.config)) if terminal else None
    upcoming = "" if "" in blocks else None
    while blocks:
        name = _await(bench, list(blocks), line) if upcoming is None else upcoming
        items = blocks.pop(name)
        for item, following in pairwise(items):
            _run(session, item, following)
        upcoming = bench.free_of(list(blocks))
        # Without a next item, nothing is left set up: there may be a long wait.
        _run(session, items[-1], blocks[upcoming][0] if upcoming is not None else None)
        bench.release(name)


def _run(session: pytest.Session, item: pytest.Item, following: pytest.Item | None) -> None:
    session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)


def _await(bench: Bench, names: Sequence[str], line: WaitingLine | None) -> str:
    try:
        return bench.next_of(names, line)
    finally:
        if line:
            line.end()


class WaitingLine:
    """Shows whom a run waits for: on a terminal as one line that counts the seconds, elsewhere as
    one line for each holder.

    :param alone: False: the live lines count already, and here each holder is told once, to be
        found afterwards
    """

    def __init__(self, terminal: TerminalReporter, *, alone: bool = True) -> None:
        self._terminal = terminal
        self._rewrites = terminal.isatty and alone
        self._told: set[str] = set()
        self._open = False

    def __call__(self, waits: Sequence[Wait]) -> None:
        if self._rewrites:
            if not self._open:
                self._terminal.ensure_newline()
                self._open = True
            longest = max(wait.seconds for wait in waits)
            told = f"hil: {longest:.0f} s " + "; ".join(map(str, waits))
            width = shutil.get_terminal_size().columns - 1
            self._terminal.rewrite(told[:width], erase=True, yellow=True)
            return
        for told in map(str, waits):
            if told not in self._told:
                self._told.add(told)
                self._terminal.ensure_newline()
                self._terminal.write(f"hil: {told}\n", flush=True)

    def end(self) -> None:
        """What has been waited for stays on the screen; pytest goes on in the next line."""
        if self._open:
            self._terminal.write("\n", flush=True)
            self._open = False
