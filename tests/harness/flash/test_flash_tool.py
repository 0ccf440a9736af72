"""A flashing tool as a process: heard while it works, and ended with all that it has started."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.deadline import Deadline
from hil.flash import tool
from hil.flash.tool import run_tool


def python(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


def alive(pid: int) -> bool:
    """Not so: a zombie that nobody has asked for."""
    told = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, check=False)
    return told.stdout.strip()[:1] not in (b"", b"Z")


def wait_dead(pid: int) -> None:
    deadline = Deadline.after(10)
    while alive(pid):
        assert not deadline.expired, f"{pid} lives on"
        time.sleep(0.01)


def test_the_exit_status_and_both_outputs_are_told():
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    ran = run_tool(python(code), Deadline.after(20))
    assert (ran.status, ran.said) == (3, "out\nerr\n")


def test_lines_are_heard_while_it_works():
    heard = []

    def hear(line: str) -> None:
        heard.append(line)
        if line == "go?":
            os.kill(pids[0], 10)  # it waits for that, so nothing was held back until its end

    pids = []
    code = (
        "import os, signal; signal.pthread_sigmask(signal.SIG_BLOCK, [10])\n"
        "print(os.getpid()); print('go?', end='\\r'); signal.sigwait([10]); print('end', end='')"
    )
    ran = run_tool(
        python(code),
        Deadline.after(20),
        on_line=lambda line: pids.append(int(line)) if line.isdigit() else hear(line),
    )
    assert (ran.status, heard) == (0, ["go?", "end"])


def test_the_deadline_ends_it_and_its_children_also_stubborn_ones(monkeypatch):
    monkeypatch.setattr(tool, "_ENDED_S", 0.2)
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "os.fork()\n"
        "os.write(1, b'%d\\n' % os.getpid()); time.sleep(600)"
    )
    pids = []
    ran = run_tool(python(code), Deadline.after(3), on_line=lambda line: pids.append(int(line)))
    assert ran.status is None
    assert ran.timed_out
    assert len(pids) == 2
    for pid in pids:
        wait_dead(pid)


def test_an_error_of_the_listener_ends_it_too():
    pids = []

    def hear(line: str) -> None:
        pids.append(int(line))
        raise ZeroDivisionError

    code = "import os, time; print(os.getpid()); time.sleep(600)"
    with pytest.raises(ZeroDivisionError):
        run_tool(python(code), Deadline.after(60), on_line=hear)
    wait_dead(pids[0])


def test_what_it_leaves_in_the_background_is_not_waited_for():
    code = "import os, time\nif os.fork() == 0:\n time.sleep(5)\n os._exit(0)\nprint('done')"
    begun = time.monotonic()
    ran = run_tool(python(code), Deadline.after(60))
    assert (ran.status, ran.said) == (0, "done\n")
    assert time.monotonic() - begun < 4.5


def test_it_has_no_input_to_wait_for():
    ran = run_tool(python("print(repr(input()))"), Deadline.after(20))
    assert ran.status == 1
    assert "EOFError" in ran.said


@given(st.lists(st.binary(max_size=12)))
def test_lines_are_the_same_however_the_output_is_cut(pieces):
    def told(cut: list[bytes]) -> list[str]:
        lines, rest = [], b""
        for piece in cut:
            rest = tool._tell(rest + piece, lines.append)
        return [*lines, rest.decode(errors="replace")]

    assert told(pieces) == told([b"".join(pieces)])
