"""Whatever a board answers: an error of ours or a result, never another exception, never a hang."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil import journal
from hil.clock import rtc
from hil.deadline import Deadline
from hil.errors import HilError
from hil.link import files
from hil.link.board import identify
from hil.link.port import Port
from hil.link.repl import Repl

SOON = 0.02

LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=8,
)
HOSTILE = st.sampled_from(
    [
        "(" * 400,
        "[" * 9000,
        "-" * 9000 + "1",
        "{[]: 1}",
        "9" * 5000,
        "'\\d'",
        "1if 1else 2",
        "\0",
        '{"files": 5, "clock_offset_s": 1}',
        '{"files": {}, "clock_offset_s": 1' + "0" * 400 + "}",
        '{"files": {}, "clock_offset_s": NaN}',
        '{"files": [[]], "clock_offset_s": 0}',
        "hil-clock 2000 99999999999999 0 1",
        "hil-clock 1970 -1 9999999999 0",
    ]
)
ANSWERS = st.binary() | st.one_of(
    LITERALS.map(repr), LITERALS.map(lambda v: json.dumps(v, default=repr)), HOSTILE
).map(lambda text: text.encode(errors="replace"))

SAID = st.sampled_from(
    [
        *(b"raw REPL; CTRL-B to exit\r\n>", b">>> ", b"OK", b"R\x01\x80\x00\x01", b"R\x00>"),
        *(b"\x04", b"\x04\x04>", b"\x01" * 9, b"R\x01\x00\x00", b"\xe2\x82", b"\r\n"),
        b'Traceback (most recent call last):\r\n  File "x"\r\nOSError: 28\r\n\x04>',
    ]
) | st.binary(max_size=20)


class Answering(Repl):
    """A board that runs nothing, and answers ``answer`` to whatever it is told to run."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(Scripted(b""))
        self._answer = answer

    def exec(self, code: str, deadline: Deadline, on_output: Any = None) -> bytes:
        return self._answer


class Scripted(Port):
    """A port on which these bytes have come, and nothing more will, whatever is written."""

    def __init__(self, said: bytes) -> None:
        self.device, self.target = "/dev/scripted", "porch"
        self._changed = threading.Condition()
        self._buffer = bytearray(said)
        self._sink = None
        self._gone = None
        self._closing = False

    def write(self, data: bytes, deadline: Deadline) -> None:
        pass

    def to_buffer(self) -> None:
        """What has come stays, as if it came after the first write."""

    def drain(self) -> bytes:
        return b""

    def wait_gone(self, deadline: Deadline) -> bool:
        return False


def _later() -> Deadline:
    return Deadline.after(SOON)


ASKED: dict[str, Callable[[Repl], object]] = {
    "eval": lambda repl: repl.eval("1", _later()),
    "identify": lambda repl: identify(repl, _later()),
    "sync": lambda repl: files.sync(repl, {"a": b"a"}, "/flash", _later(), remove_unlisted=True),
    "write_file": lambda repl: files.write_file(repl, "a", b"a", _later()),
    "read_file": lambda repl: files.read_file(repl, "a", _later()),
    "fill": lambda repl: files.fill(repl, "a", _later()),
    "exists": lambda repl: files.exists(repl, "a", _later()),
    "hash_tree": lambda repl: files.hash_tree(repl, "/flash", _later()),
    "frozen": lambda repl: files.frozen(repl, ["a"], _later()),
    "removed": lambda repl: files._remove(repl, ["a"], "/flash/", _later()),
    "journal.begin": lambda repl: journal.begin(repl, ["a"], 0.0, _later()),
    "journal.restore": lambda repl: journal.restore(repl, _later()),
    "rtc.read": lambda repl: rtc.read(repl, _later()),
    "rtc.read precise": lambda repl: rtc.read(repl, _later(), precise=True),
    "rtc.set_clock": lambda repl: rtc.set_clock(repl, 1_800_000_000, _later()),
}


def refusal(work: Callable[[], object]) -> str | None:
    """What an error of ours says; None where the answer was taken. Others come through."""
    try:
        work()
    except HilError as error:
        return str(error)
    return None


@pytest.mark.parametrize("asked", ASKED)
@settings(max_examples=60)
@given(answer=ANSWERS)
def test_an_answer_that_makes_no_sense_is_the_boards_fault(asked: str, answer: bytes) -> None:
    told = refusal(lambda: ASKED[asked](Answering(answer)))
    assert told is None or 0 < len(told) < 2000


@settings(max_examples=60)
@given(said=st.lists(SAID, max_size=12).map(b"".join))
def test_no_bytes_on_the_line_break_the_repl(said: bytes) -> None:
    """In whatever order the REPL's own words come, and what comes between: what tells this answer
    from an older one (a number made anew each time) does not come."""
    repl = Repl(Scripted(said))
    told = refusal(lambda: repl.enter(_later()))
    assert told is not None
    assert told.startswith("porch: no raw REPL")
    repl.leave(_later())


@settings(max_examples=60)
@given(said=st.lists(SAID, max_size=12).map(b"".join), raw_paste=st.booleans())
def test_no_bytes_break_a_conversation_that_has_begun(said: bytes, raw_paste: bool) -> None:
    """Also in raw paste, whose window the board tells."""
    repl = Repl(Scripted(said))
    repl._ready, repl._raw_paste = True, raw_paste
    told = refusal(lambda: repl.exec("x" * 300, _later()))
    assert told is None or told.startswith("porch: ")
    repl._ready = True
    told = refusal(lambda: repl.soft_reset(_later()))
    assert told is None or told.startswith("porch: ")
    repl.leave(_later())
