"""The raw REPL: taken from every state, and what runs in it."""

from __future__ import annotations

import threading

import pytest
from contract_board import ContractBoard

from hil.errors import BoardError
from hil.link.repl import ReplError

# What a board may be at when the harness comes: what makes it so, from the friendly prompt, and
# whether a program runs then.
STATES = {
    "friendly prompt": (b"", False),
    "half-typed line": (b"prin", False),
    "open bracket": (b"x = (1,\r", False),
    "inside a compound statement": (b"if True:\r", False),
    "paste mode": (b"\x05", False),
    "half-typed paste": (b"\x05x = 1\rprint(", False),
    "raw REPL": (b"\x01", False),
    "half a raw command": (b"\x01x = 1\nprint(", False),
    "busy loop": (b"while True: pass\r\r", True),
    "printing loop": (b"while True: print('flood')\r\r", True),
    "waiting for input": (b"input()\r", True),
    "half a line of input": (b"input()\rhalf", True),
    "raw program": (b"\x01while True: pass\n\x04", True),
}
IGNORES_ONE_INTERRUPT = """\
def f():
 while True: pass
try:
 f()
except KeyboardInterrupt:
 pass
f()
"""


@pytest.mark.parametrize("state", STATES)
def test_the_raw_repl_is_taken_from_every_state(board: ContractBoard, state: str) -> None:
    keys, running = STATES[state]
    port = board.link.open(board.deadline())
    port.write(keys, board.deadline())
    if running:
        until_it_runs(board)
    with board.link.repl(board.deadline()) as repl:
        assert repl.exec("print(6*7)", board.deadline()).split() == [b"42"]


def until_it_runs(board: ContractBoard) -> None:
    """A loop says nothing when it starts: leave it a moment."""
    threading.Event().wait(0.05 * board.slow)


def test_it_is_taken_from_within_raw_paste(board: ContractBoard) -> None:
    board.need("raw_paste")
    port = board.link.open(board.deadline())
    port.write(b"\x01", board.deadline())
    until_it_runs(board)
    port.write(b"\x05A\x01", board.deadline())
    until_it_runs(board)
    port.write(b"print('unfinished", board.deadline())
    with board.link.repl(board.deadline()) as repl:
        assert repl.eval("6*7", board.deadline()) == 42


def test_it_is_taken_from_a_program_that_catches_the_interrupt(board: ContractBoard) -> None:
    with board.link.repl(board.deadline()) as repl:
        repl.start(IGNORES_ONE_INTERRUPT, board.deadline())
        until_it_runs(board)
        repl.enter(board.deadline())
        assert repl.eval("6*7", board.deadline()) == 42


def test_whether_a_program_was_interrupted_is_known(board: ContractBoard) -> None:
    with board.link.repl(board.deadline()) as repl:
        repl.start("while True: pass", board.deadline())
        until_it_runs(board)
        repl.enter(board.deadline())
        assert repl.interrupted
        repl.leave(board.deadline())
        repl.enter(board.deadline())
        assert not repl.interrupted


def test_exec_gives_what_was_printed(board: ContractBoard) -> None:
    with board.link.repl(board.deadline()) as repl:
        assert repl.exec("print('a')\nprint('b')", board.deadline()).split() == [b"a", b"b"]
        assert repl.exec("pass", board.deadline()) == b""


def test_names_stay_between_commands(board: ContractBoard) -> None:
    with board.link.repl(board.deadline()) as repl:
        repl.exec("kept = 41", board.deadline())
        assert repl.eval("kept + 1", board.deadline()) == 42


@pytest.mark.parametrize(
    "literal", ["None", "True", "-7", "'a\\'b\\n'", "b'\\x00\\xff'", "(1, [])"]
)
def test_eval_gives_python_literals(board: ContractBoard, literal: str) -> None:
    with board.link.repl(board.deadline()) as repl:
        assert repr(repl.eval(literal, board.deadline())) == repr(eval(literal))  # noqa: S307


def test_code_longer_than_the_input_buffer_arrives_whole(board: ContractBoard) -> None:
    code = "\n".join(f"v{number % 7} = {number}" for number in range(90)) + "\nprint(v5)"
    with board.link.repl(board.deadline()) as repl:
        assert repl.exec(code, board.deadline()).strip() == b"89"


def test_an_exception_comes_with_its_traceback(board: ContractBoard) -> None:
    with board.link.repl(board.deadline()) as repl:
        with pytest.raises(ReplError) as raised:
            repl.exec("print('before')\ndef f():\n  raise OSError(28)\nf()", board.deadline())
        assert raised.value.output.strip() == b"before"
        assert raised.value.os_error == "ENOSPC"
        assert raised.value.traceback is not None
        assert "in f" in raised.value.traceback.lines[2]
        with pytest.raises(ReplError, match="SyntaxError"):
            repl.exec("def", board.deadline())
        assert repl.eval("1", board.deadline()) == 1


def test_100_kb_of_output_arrive_whole(board: ContractBoard) -> None:
    with board.link.repl(board.deadline(30)) as repl:
        told = repl.exec("for i in range(2000): print('%048d' % i)", board.deadline(30)).split()
    assert [int(line) for line in told] == list(range(2000))


def test_output_comes_while_the_program_runs(board: ContractBoard) -> None:
    pieces: list[bytes] = []
    with board.link.repl(board.deadline()) as repl:
        told = repl.exec("for i in range(5): print(i)", board.deadline(), pieces.append)
    assert b"".join(pieces) == told


def test_a_program_that_does_not_end_is_interrupted(board: ContractBoard) -> None:
    with board.link.repl(board.deadline()) as repl:
        with pytest.raises(BoardError, match="did not end in time"):
            repl.exec("while True: pass", board.deadline(0.2))
        assert repl.eval("6*7", board.deadline()) == 42


def test_a_program_that_did_not_end_does_not_run_on(board: ContractBoard) -> None:
    mark = board.link.console.mark()
    with (
        pytest.raises(BoardError, match="did not end in time"),
        board.link.repl(board.deadline()) as repl,
    ):
        repl.exec("while True: pass", board.deadline(0.2))
    with board.link.repl(board.deadline()) as repl:
        assert not repl.interrupted
    assert board.link.console.since(mark).strip() == ""


def test_a_soft_reset_forgets_names_and_ends_in_the_raw_repl(board: ContractBoard) -> None:
    with board.link.repl(board.deadline()) as repl:
        repl.exec("kept = 1", board.deadline())
        repl.soft_reset(board.deadline())
        assert repl.eval("'kept' in globals()", board.deadline()) is False
    assert "soft reboot" in board.link.console.text
