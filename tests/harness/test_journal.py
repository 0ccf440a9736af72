"""The journal on the board, with the power cut after every single block write of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hil import journal
from hil.clock import rtc
from hil.deadline import Deadline
from hil.errors import BoardError
from hil.link import files
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

KEPT = ["secret.bin", "settings.json", "absent.json"]
FOUND = {"secret.bin": b"s" * 32, "settings.json": b"{}" * 700}
CHANGED = {"secret.bin": b"c" * 32, "settings.json": b"[]", "absent.json": b"new"}


FORGET = """
import os
if '.hil' in os.listdir():
    for name in os.listdir('.hil'):
        os.remove('.hil/' + name)
    os.rmdir('.hil')
"""


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    with VirtualBoard.start(
        "journal", model="openmv-ae3", state=tmp_path / "state", bus=tmp_path / "bus"
    ) as board:
        yield board


@pytest.fixture
def link(board: VirtualBoard) -> Iterator[BoardLink]:
    with BoardLink("journal", board.device, consent=board.consent) as link:
        yield link


def write(link: BoardLink, tree: dict[str, bytes]) -> None:
    deadline = Deadline.after(10)
    with link.repl(deadline) as repl:
        for path, data in tree.items():
            files.write_file(repl, path, data, deadline)


def read(link: BoardLink) -> dict[str, bytes]:
    deadline = Deadline.after(10)
    with link.repl(deadline) as repl:
        return {
            path: files.read_file(repl, path, deadline)
            for path in KEPT
            if files.exists(repl, path, deadline)
        }


def begin(link: BoardLink) -> bool:
    deadline = Deadline.after(5)
    with link.repl(deadline) as repl:
        return journal.begin(repl, KEPT, 12.5, deadline)


def restore(link: BoardLink) -> journal.Restored | None:
    deadline = Deadline.after(5)
    with link.repl(deadline) as repl:
        return journal.restore(repl, deadline)


def cut(board: VirtualBoard, link: BoardLink, after: int, work) -> bool:  # type: ignore[no-untyped-def]
    """Do ``work`` and cut the power after so many block writes; True if it came to that."""
    board.control("cut_after_writes", n=after)
    try:
        work(link)
    except BoardError:
        board.power_on()
        link.open(Deadline.after(5))
        return True
    board.control("cut_after_writes", n=None)
    return False


def test_what_was_changed_comes_back(link: BoardLink) -> None:
    write(link, FOUND)
    assert begin(link)
    write(link, CHANGED)
    assert not begin(link), "an unfinished journal is not overwritten"
    restored = restore(link)
    assert restored == journal.Restored(tuple(sorted(KEPT)), 12.5)
    assert read(link) == FOUND
    assert restore(link) is None


def test_the_clock_comes_back_before_the_journal_ends(
    link: BoardLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else who is killed between the two leaves a wrong clock that nobody knows of."""
    write(link, FOUND)
    begin(link)

    def killed(*_: object) -> None:
        raise BoardError("killed before the clock was set")

    with monkeypatch.context() as patch:
        patch.setattr(rtc, "set_clock", killed)
        with pytest.raises(BoardError, match="killed"):
            restore(link)
    restored = restore(link)
    assert restored
    assert restored.clock_offset_s == 12.5
    with link.repl(Deadline.after(5)) as repl:
        assert abs(rtc.read(repl, Deadline.after(5)).offset - 12.5) < 2


def test_a_cut_while_it_is_begun_leaves_the_files_alone(
    board: VirtualBoard, link: BoardLink
) -> None:
    write(link, FOUND)
    writes = 0
    while cut(board, link, writes, begin):
        assert read(link) == FOUND
        restore(link)
        assert read(link) == FOUND
        writes += 1
    assert writes > 5


def test_a_cut_while_it_is_restored_is_made_good_by_the_next(
    board: VirtualBoard, link: BoardLink
) -> None:
    write(link, FOUND)
    writes = 0
    while True:
        begin(link)
        write(link, CHANGED)
        was_cut = cut(board, link, writes, restore)
        restore(link)
        assert read(link) == FOUND
        assert restore(link) is None
        if not was_cut:
            break
        writes += 1
    assert writes > 5


def test_no_bit_that_flips_while_it_is_begun_is_believed(
    board: VirtualBoard, link: BoardLink
) -> None:
    """In a copy, or in the index: a journal with another name in it would put nothing back."""
    write(link, FOUND)
    refused, sound = 0, 0
    while True:
        board.control("fault", name="flip", sound=sound)
        try:
            begun = begin(link)
        except BoardError:
            begun, refused = False, refused + 1
        flipped = "flip" in board.control("status")["faults"]
        board.control("heal")
        if not flipped:
            break
        if begun:
            write(link, CHANGED)
            restore(link)
        assert read(link) == FOUND
        with link.repl(Deadline.after(10)) as repl:
            repl.exec(FORGET, Deadline.after(10))
        sound += 1
    assert refused > 3


def test_the_clock_of_a_board_with_short_floats_is_kept_to_the_second(link: BoardLink) -> None:
    """Years off, as an RTC that was never set. It is not a float that is kept."""
    deadline = Deadline.after(10)
    with link.repl(deadline) as repl:
        journal.begin(repl, [], -341_592_651.7, deadline)
        kept = files.read_file(repl, ".hil/index.json", deadline)
    assert b'"-341592651.7"' in kept


def test_a_file_outside_of_the_working_directory_is_put_back(link: BoardLink) -> None:
    """The key on the flash, of a board that runs from its card."""
    deadline = Deadline.after(20)
    with link.repl(deadline) as repl:
        repl.exec("import os\nos.mkdir('/flash/card')\nos.chdir('/flash/card')", deadline)
        files.write_file(repl, "/flash/secret.bin", FOUND["secret.bin"], deadline)
        assert journal.begin(repl, ["secret.bin", "/flash/secret.bin"], 0.0, deadline)
        files.write_file(repl, "secret.bin", CHANGED["secret.bin"], deadline)
        files.remove_file(repl, "/flash/secret.bin", deadline)
        assert journal.restore(repl, deadline)
        assert files.read_file(repl, "/flash/secret.bin", deadline) == FOUND["secret.bin"]
        assert not files.exists(repl, "secret.bin", deadline)
