"""A running application: paused and resumed, its output in the console, and resets."""

from __future__ import annotations

import socket
import time

import pytest
from contract_board import ContractBoard

from hil.deadline import Deadline
from hil.errors import BoardError

SERVER = """\
import asyncio
served = 0
async def serve(reader, writer):
    global served
    served += 1
    await reader.readline()
    await writer.awrite(b"HTTP/1.0 200 OK\\r\\n\\r\\n%d" % served)
    await writer.wait_closed()
async def main():
    server = await asyncio.start_server(serve, "0.0.0.0", 80)
    print("app: listening")
    while True:
        await asyncio.sleep(3600)
asyncio.run(main())
"""


def answer(board: ContractBoard, deadline: Deadline) -> int | None:
    """The application's count of requests, once it answers."""
    assert board.http is not None
    while not deadline.expired:
        try:
            with socket.create_connection(board.http, deadline.remaining() + 0.001) as client:
                client.sendall(b"GET / HTTP/1.0\r\n")
                told = b""
                while piece := client.recv(4096):
                    told += piece
            if told.startswith(b"HTTP/1.0 200"):
                return int(told.rpartition(b"\n")[2])
        except OSError:
            time.sleep(0.01)  # refused: nothing to wait on until it listens
    return None


@pytest.fixture
def application(board: ContractBoard) -> ContractBoard:
    """The board, with the server running."""
    for capability in ("asyncio", "network"):
        board.need(capability)
    with board.link.repl(board.deadline()) as repl:
        repl.soft_reset(board.deadline(20))
    mark = board.link.console.mark()
    with board.link.paused(board.deadline(), lambda deadline: True) as repl:
        repl.start(SERVER, board.deadline())
    board.link.console.wait_for("app: listening", board.deadline(), since=mark)
    assert answer(board, board.deadline()) is not None
    return board


def test_a_paused_application_goes_on_where_it_was(application: ContractBoard) -> None:
    before = answer(application, application.deadline())
    resets = application.link.pause_failures
    with application.link.paused(
        application.deadline(), lambda deadline: answer(application, deadline) is not None
    ) as repl:
        assert repl.eval("served", application.deadline()) == before
        assert answer(application, Deadline.after(0.1)) is None
    after = answer(application, application.deadline())
    assert before is not None
    assert after is not None
    assert after > before
    assert application.link.pause_failures == resets


def test_many_pauses_in_a_row_need_no_reset(application: ContractBoard) -> None:
    resets = application.link.pause_failures
    for _ in range(10):
        with application.link.paused(
            application.deadline(), lambda deadline: answer(application, deadline) is not None
        ) as repl:
            repl.exec("served += 0", application.deadline())
    assert application.link.pause_failures == resets


def test_a_pause_leaves_nothing_in_the_console(application: ContractBoard) -> None:
    mark = application.link.console.mark()
    with application.link.paused(
        application.deadline(), lambda deadline: answer(application, deadline) is not None
    ) as repl:
        repl.exec("print('ours')", application.deadline())
    assert application.link.console.since(mark) == ""


def test_work_that_fails_in_a_pause_leaves_the_application_running(
    application: ContractBoard,
) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        application.link.paused(
            application.deadline(), lambda deadline: answer(application, deadline) is not None
        ),
    ):
        raise ZeroDivisionError
    assert answer(application, application.deadline()) is not None


def test_work_that_uses_up_its_time_in_a_pause_leaves_the_application_running(
    application: ContractBoard,
) -> None:
    with (
        pytest.raises(BoardError, match="did not end in time"),
        application.link.paused(
            application.deadline(), lambda deadline: answer(application, deadline) is not None
        ) as repl,
    ):
        repl.exec("while True: pass", application.deadline(0.2))
    assert answer(application, application.deadline()) is not None


def test_a_board_at_its_prompt_is_not_started_by_a_pause(board: ContractBoard) -> None:
    asked = []
    with board.link.paused(board.deadline(), lambda deadline: bool(asked.append(deadline))) as repl:
        assert repl.eval("1", board.deadline()) == 1
    assert asked == []


def test_what_a_program_prints_while_nobody_talks_is_in_the_console(board: ContractBoard) -> None:
    console = board.link.console
    mark = console.mark()
    with board.link.repl(board.deadline()) as repl:
        repl.start(
            "for i in range(3): print('tick', i)\nraise ValueError('tock')", board.deadline()
        )
        console.wait_for("ValueError: tock\n", board.deadline(), since=mark)
    assert console.since(mark).startswith("tick 0\ntick 1\ntick 2\nTraceback")
    assert console.tracebacks[-1].exception_type == "ValueError"
    assert "\x04" not in console.text


def test_a_program_that_prints_much_does_not_block(board: ContractBoard) -> None:
    console = board.link.console
    with board.link.repl(board.deadline(30)) as repl:
        mark = console.mark()
        repl.start("for i in range(3000): print('%040d' % i)\nprint('done')", board.deadline())
        console.wait_for("^done$", board.deadline(30), since=mark)
    assert console.since(mark).rstrip("\n").count("\n") == 3000


def test_a_hard_reset_drops_the_port_and_starts_anew(board: ContractBoard) -> None:
    board.need("hard_reset")
    with board.link.repl(board.deadline()) as repl:
        repl.exec("kept = 1", board.deadline())
    port = board.link.open(board.deadline())
    board.link.hard_reset(board.deadline(30))
    assert not port.alive
    with board.link.repl(board.deadline(30)) as repl:
        assert repl.eval("'kept' in globals()", board.deadline()) is False


def test_a_board_is_taken_while_it_boots(board: ContractBoard) -> None:
    board.need("hard_reset")
    for _ in range(3):
        board.link.hard_reset(board.deadline(30))
        with board.link.repl(board.deadline(30)) as repl:
            assert repl.eval("6*7", board.deadline()) == 42


def test_the_board_tells_who_it_is(board: ContractBoard) -> None:
    board.need("identity")
    identity = board.link.identify(board.deadline())
    assert len(identity.unique_id) >= 6
    assert identity.epoch_year in (1970, 2000)
    assert identity.release[0].isdigit()
    assert identity.machine
    assert board.link.identify(board.deadline()) == identity
