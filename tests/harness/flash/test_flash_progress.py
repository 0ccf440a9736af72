"""Progress is shown on a terminal, and nowhere else."""

from __future__ import annotations

import io
import sys

import pytest

from hil.flash.method import quiet
from hil.flash.progress import bars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_for_each_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    with bars("porch") as progress:
        progress("HP", 0, 4000)
        progress("HP", 4000, 4000)
        progress("HE", 1000, 2000)
    assert "porch: HP" in shown.getvalue()
    assert "4.0/4.0 kB" in shown.getvalue()
    assert "1.0/2.0 kB" in shown.getvalue()


def test_a_log_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    with bars("porch") as progress:
        assert progress is quiet
        progress("HP", 4000, 4000)
    assert written.getvalue() == ""
