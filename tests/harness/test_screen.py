"""Live lines below everything else: whatever is written meanwhile, it is all there afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from terminal import Terminal

from hil import screen as screens
from hil.screen import Screen


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    terminal = Terminal(40, 10)
    yield terminal
    terminal.close()


@pytest.fixture
def screen(terminal: Terminal) -> Screen:
    return Screen(terminal.fd)


def shown(terminal: Terminal) -> list[str]:
    terminal.read()
    return terminal.text.split("\n")


def test_what_is_written_goes_above(terminal: Terminal, screen: Screen) -> None:
    screen.write("first\n")
    screen.show(["porch LOG-01", "yard  LOG-02"])
    screen.write("second\nthird\n")
    screen.show(["porch LOG-03", "yard  LOG-02"])
    assert shown(terminal) == ["first", "second", "third", "porch LOG-03", "yard  LOG-02"]


def test_they_become_fewer_and_more(terminal: Terminal, screen: Screen) -> None:
    screen.write("first\n")
    for lines in (["a", "b", "c"], ["d"], [], ["e", "f"]):
        screen.show(lines)
        assert shown(terminal) == ["first", *lines]


_words = st.text("abc xyz", min_size=1, max_size=30).map(str.rstrip).filter(bool)
_lines = st.lists(_words, max_size=8)


@settings(max_examples=25)
@given(st.lists(st.tuples(_lines, _lines), max_size=6))
def test_nothing_is_left_of_them_and_nothing_lost(steps: list[tuple[list[str], list[str]]]) -> None:
    """Also where the screen is full, and scrolls."""
    terminal = Terminal(40, 10)
    screen = Screen(terminal.fd)
    written = []
    for live, above in steps:
        screen.show(live)
        for line in above:
            screen.write(f"{line}\n")
            written.append(line)
        assert shown(terminal) == ([*written, *live] or [""])
    screen.close()
    screen.write("the end")
    assert shown(terminal) == [*written, "the end"]
    terminal.close()


def test_what_has_not_changed_is_not_written(terminal: Terminal, screen: Screen) -> None:
    screen.show(["a", "b"])
    terminal.read()
    before = terminal.raw
    screen.show(["a", "b"])
    terminal.read()
    assert terminal.raw == before


def test_a_line_that_is_being_written_is_left_alone(
    terminal: Terminal, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As xdist does, which counts its workers in one."""
    for text in ("\r1 of 2 workers", "\r2 of 2 workers"):
        screen.write(text)
        screen.show(["porch"])
    assert shown(terminal) == ["2 of 2 workers"]
    monkeypatch.setattr(screens, "_OPEN_S", 0)
    screen.show(["porch"])
    assert shown(terminal) == ["2 of 2 workers", "porch"]
    screen.write("3 of 3 ")
    screen.write("workers")
    assert shown(terminal)[1:] == ["3 of 3 workers"]


def test_what_is_no_text_moves_nothing(terminal: Terminal, screen: Screen) -> None:
    """pytest tells some terminals how far it is, by an operating system command."""
    screen.show(["porch"])
    screen.write("\x1b]9;4;1;50\x1b\\")
    screen.show(["yard"])
    assert shown(terminal)[0] == "yard"


def test_somebody_else_has_the_terminal_for_a_while(
    terminal: Terminal, screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screens, "_OPEN_S", 0)
    screen.write("first\n")
    screen.show(["porch"])
    screen.halt()
    screen.write("(Pdb) ")
    screen.show(["yard"])
    assert shown(terminal) == ["first", "(Pdb)"]
    screen.go_on()
    screen.show(["yard"])
    assert shown(terminal) == ["first", "(Pdb)", "yard"]


@pytest.mark.parametrize("columns", [20, 70])
def test_another_width_costs_nothing_that_is_written(
    terminal: Terminal, screen: Screen, columns: int
) -> None:
    screen.write("first\n")
    screen.show(["porch " * 6, "yard"])
    terminal.read()
    terminal.resize(columns, 10)
    screen.show(["attic"])
    assert shown(terminal) == ["first", "attic"]


def test_a_terminal_that_has_gone_ends_nothing(terminal: Terminal) -> None:
    gone = Terminal()
    screen = Screen(gone.fd)
    gone.close()
    screen.write("first\n")
    screen.show(["porch"])
    screen.close()
