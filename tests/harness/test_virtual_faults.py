"""When a planted fault strikes: at its moment, however the bytes come, and once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.deadline import Deadline
from hil.errors import BenchError
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard
from hil.virtual.faults import Faults

TEXT = "# write"


class Watched(Faults):
    """Faults of no board: one that strikes is noted."""

    def __init__(self) -> None:
        super().__init__(None)  # type: ignore[arg-type]  # what is planted here asks nothing of it

    def _do_nothing(self) -> None:
        pass


@given(
    before=st.lists(st.sampled_from([b"# wri", b"te", b"x", b"#", TEXT.encode()])).map(b"".join),
    skip=st.integers(0, 20),
    nth=st.integers(1, 3),
    cuts=st.lists(st.integers(1, 7), min_size=1),
)
def test_it_does_not_matter_in_which_pieces_a_text_comes(
    before: bytes, skip: int, nth: int, cuts: list[int]
) -> None:
    faults = Watched()
    faults.plant("nothing", seen=TEXT, nth=nth, skip=skip)
    sent = before + b"x" * 30
    ends = [at for at in range(len(sent) + 1) if sent[:at].endswith(TEXT.encode())]
    due = ends[nth - 1] + skip if len(ends) >= nth else None
    at = 0
    while at < len(sent):
        piece = sent[at : at + cuts[at % len(cuts)]]
        assert faults.from_host(piece) == piece
        at += len(piece)
        assert faults.met == (["nothing"] if due is not None and at >= due else [])


def test_a_fault_of_a_reset_waits_for_its_reset() -> None:
    faults = Watched()
    faults.plant("late", on_reset=True, nth=2, seconds=7)
    assert [faults.on_reset(1), faults.on_reset(1), faults.on_reset(1)] == [1, 8, 1]


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    with VirtualBoard.start("faulty", state=tmp_path / "faulty", bus=tmp_path / "bus") as board:
        yield board


def test_a_fault_that_there_is_not_is_refused(board: VirtualBoard) -> None:
    with pytest.raises(BenchError, match="no such fault; there are bootloader, busy"):
        board.control("fault", name="rust")


def test_an_option_that_it_has_not_is_refused_at_once(board: VirtualBoard) -> None:
    with pytest.raises(BenchError, match="unexpected keyword argument 'until'"):
        board.control("fault", name="vanish", seen="never sent", until=3)


def test_only_what_was_met_is_told(board: VirtualBoard) -> None:
    """Of faults that change how the board behaves from then on."""
    for name in ("noise", "renumber", "rtc_deaf", "no_raw_paste", "read_only", "trickle"):
        board.control("fault", name=name)
    assert board.control("status")["faults"] == []
    board.control("hard_reset")
    assert {"noise", "renumber", "rtc_deaf"} <= set(board.control("status")["faults"])


def test_a_board_in_its_bootloader_comes_back_when_it_is_healed(board: VirtualBoard) -> None:
    board.control("fault", name="bootloader", leaving="gone")
    status = board.control("status")
    assert (status["phase"], status["device"]) == ("bootloader", None)
    board.control("heal")
    deadline = Deadline.after(10)
    with BoardLink("faulty", board.device, consent=board.consent) as link:
        link.await_port(deadline)
        with link.repl(deadline) as repl:
            assert repl.eval("6*7", deadline) == 42


def test_a_healed_board_has_none_of_them_any_more(board: VirtualBoard) -> None:
    for name in ("silent", "read_only", "rtc_deaf", "no_raw_paste", "noise", "wifi_lost"):
        board.control("fault", name=name)
    board.control("fault", name="vanish")
    board.control("fault", name="power_cut", seen="never sent")
    board.control("heal")
    deadline = Deadline.after(10)
    with (
        BoardLink("faulty", board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        repl.exec("with open('a', 'w') as f: f.write('a')\n# never sent", deadline)
        assert repl.eval("open('a').read()", deadline) == "a"
    status = board.control("status")
    assert status["wifi"]
    assert status["power"] == "on"
