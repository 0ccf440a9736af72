"""The clock: an epoch that is one of two, whole seconds, and time that passes."""

from __future__ import annotations

import time

from contract_board import ContractBoard


def test_the_epoch_is_1970_or_2000(board: ContractBoard) -> None:
    board.need("clock")
    with board.link.repl(board.deadline()) as repl:
        assert repl.eval("__import__('time').gmtime(0)[0]", board.deadline()) in (1970, 2000)


def test_time_is_whole_seconds_and_passes(board: ContractBoard) -> None:
    board.need("clock")
    with board.link.repl(board.deadline()) as repl:
        start = repl.eval("__import__('time').time()", board.deadline())
        assert isinstance(start, int)
        before = time.monotonic()
        now = start
        while now < start + 2:
            now = repl.eval("__import__('time').time()", board.deadline())
            assert time.monotonic() < before + 4
        assert 0.9 < time.monotonic() - before < 2.5


def test_the_real_time_clock_and_the_time_agree(board: ContractBoard) -> None:
    board.need("clock")
    code = (
        "import time, machine\n"
        "t=time.time()\n"
        "d=machine.RTC().datetime()\n"
        "print(repr((t,time.mktime((d[0],d[1],d[2],d[4],d[5],d[6],0,0)),len(d))))"
    )
    with board.link.repl(board.deadline()) as repl:
        told = repl.exec(code, board.deadline()).decode().strip("()\r\n")
        seconds, rtc, length = (int(word) for word in told.split(","))
    assert length == 8
    assert abs(seconds - rtc) <= 1
