"""Putting a board back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil import journal, put_back, recovery
from hil.deadline import Deadline
from hil.link import files
from hil.link.board import BoardLink
from hil.power import VirtualPower
from hil.recovery import Recovery
from hil.target import Absent
from hil.virtual.board import VirtualBoard


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    with VirtualBoard.start("back", state=tmp_path / "s", bus=tmp_path / "bus") as board:
        yield board


@pytest.fixture
def link(board: VirtualBoard) -> Iterator[BoardLink]:
    with BoardLink("back", board.device, consent=board.consent) as link:
        yield link


def test_what_the_ladder_takes_is_not_the_journals_time(
    board: VirtualBoard, link: BoardLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "FIRST_ANSWER_S", 3.0)
    monkeypatch.setattr(recovery, "BUDGET_S", 6.0)
    monkeypatch.setattr(put_back, "BUDGET_S", 3.0)
    deadline = Deadline.after(10)
    with link.repl(deadline) as repl:
        files.write_file(repl, "secret.bin", b"found", deadline)
        journal.begin(repl, ["secret.bin"], 0.0, deadline)
        files.write_file(repl, "secret.bin", b"changed", deadline)
    os.kill(board.control("status")["micropython_pid"], signal.SIGSTOP)
    ladder = Recovery(link, VirtualPower(board, link), Absent("nobody knows a way out"))
    assert put_back.put_back(link, ladder, powered_off=False)
    deadline = Deadline.after(10)
    with link.repl(deadline) as repl:
        assert files.read_file(repl, "secret.bin", deadline) == b"found"
