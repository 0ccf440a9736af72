"""The console: what the board prints outside our commands, in whatever pieces it comes."""

from __future__ import annotations

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.deadline import Deadline
from hil.errors import BoardError
from hil.link.console import Console, find_tracebacks, without_noise

TRACEBACK = (
    b"Traceback (most recent call last):\r\n"
    b'  File "main.py", line 12, in <module>\r\n'
    b'  File "asyncio/core.py", line 1, in run\r\n'
    b"OSError: [Errno 28] ENOSPC\r\n"
)
texts = st.text(st.characters(exclude_characters="\r\x04", exclude_categories=["Cs"]))


def console(*pieces: bytes) -> Console:
    made = Console()
    for piece in pieces:
        made.append(piece)
    return made


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(texts, st.lists(st.integers(min_value=0)))
def test_text_is_the_same_in_whatever_pieces_it_comes(text: str, places: list[int]) -> None:
    wire = text.replace("\n", "\r\n").encode()
    assert console(*cut(wire, places)).text == text


@given(st.binary() | st.text("\x04>\r\nx").map(str.encode), st.lists(st.integers(min_value=0)))
def test_no_bytes_break_it(noise: bytes, places: list[int]) -> None:
    whole, pieces = console(noise), console(*cut(noise, places))
    assert whole.text == pieces.text
    assert whole.tracebacks == pieces.tracebacks


@given(texts, texts, st.lists(st.integers(min_value=0)))
def test_a_traceback_is_found_among_other_output(
    before: str, after: str, places: list[int]
) -> None:
    if "Traceback" in before + after:
        return
    wire = before.encode() + b"\r\n" + TRACEBACK + after.encode()
    (found,) = console(*cut(wire, places)).tracebacks
    assert (found.exception_type, found.message) == ("OSError", "[Errno 28] ENOSPC")
    assert str(found) == TRACEBACK.decode().replace("\r\n", "\n").rstrip("\n")


def test_a_traceback_counts_only_when_its_last_line_has_ended() -> None:
    made = console(TRACEBACK[:-4])
    assert made.tracebacks == []
    made.append(TRACEBACK[-4:])
    assert len(made.tracebacks) == 1


@pytest.mark.parametrize(
    ("last_line", "kind", "message"),
    [
        ("KeyboardInterrupt: ", "KeyboardInterrupt", ""),
        ("MemoryError", "MemoryError", ""),
        ("ValueError: a: b", "ValueError", "a: b"),
        ("jwt.ExpiredSignatureError: late", "jwt.ExpiredSignatureError", "late"),
    ],
)
def test_the_exception_is_told_apart_from_its_message(
    last_line: str, kind: str, message: str
) -> None:
    text = f'Traceback (most recent call last):\n  File "<stdin>", line 1, in f\n{last_line}\n'
    (found,) = find_tracebacks(text)
    assert (found.exception_type, found.message) == (kind, message)


def test_what_only_looks_like_a_traceback_is_none() -> None:
    assert find_tracebacks("Traceback (most recent call last):\n* no exception\n") == []
    assert find_tracebacks("he said 'Traceback (most recent call last): x'\nValueError: 1\n") == []


def test_a_program_started_from_the_raw_repl_leaves_no_marks() -> None:
    assert console(b"served\r\n\x04", b"\x04", b">").text == "served\n"
    assert console(b"a > b\r\n").text == "a > b\n"


def test_soft_reboots_are_counted() -> None:
    assert console(b"x\r\nMPY: soft re", b"boot\r\ny\r\n").soft_reboots == 1


def test_the_oldest_output_goes_first() -> None:
    made = Console(limit=100)
    for number in range(100):
        made.append(b"%03d\r\n" % number)
    assert made.text == "".join(f"{number:03d}\n" for number in range(75, 100))


def test_a_mark_holds_though_older_output_has_gone() -> None:
    made = Console(limit=100)
    made.append(b"x" * 120)
    mark = made.mark()
    made.append(b"y" * 90)
    assert made.since(mark) == "y" * 90
    assert made.since(0)[-90:] == "y" * 90


def test_waiting_ends_with_the_line_and_not_before() -> None:
    made = console(b"camera: listening on old\r\n")
    mark = made.mark()
    timer = threading.Timer(0.05, made.append, [b"camera: listening on 127.1.2.3:80\r\n"])
    timer.start()
    match = made.wait_for(r"^camera: listening on (\S+)$", Deadline.after(5), since=mark)
    timer.join()
    assert match[1] == "127.1.2.3:80"


def test_waiting_in_vain_tells_what_was_printed_instead() -> None:
    with pytest.raises(BoardError, match=r"did not print 'ready' in time; last: 'booting"):
        console(b"booting\r\n").wait_for("ready", Deadline.after(0.01))


def test_the_interrupt_that_we_caused_is_no_output_of_the_board() -> None:
    interrupted = TRACEBACK.replace(b"OSError: [Errno 28] ENOSPC", b"KeyboardInterrupt: ")
    greeting = b'MicroPython v1.29.0 on 2026-07-05; Camera\r\nType "help()" for more.\r\n>>> \r\n'
    banner = b"raw REPL; CTRL-B to exit\r\n>"
    assert without_noise(interrupted + greeting + banner) == b""
    assert without_noise(b"half a line" + interrupted + greeting + banner) == b"half a line\r\n"
    assert TRACEBACK in without_noise(TRACEBACK + interrupted + banner)
