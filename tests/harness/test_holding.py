"""``hil lock``: what a person does with the boards that runs share."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from hil import holding, lock
from hil.cli import main
from hil.deadline import Deadline

SERIAL = "346534563033"
DEVICES = f"""
targets:
  porch: {{kind: board, model: openmv-n6, usb_serial: "{SERIAL}"}}
  garden: {{kind: virtual, model: openmv-ae3, provision: true}}
  site: {{kind: url, url: "http://192.0.2.1"}}
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)
    (tmp_path / "devices.yaml").write_text(DEVICES)


def hil(*words: str) -> Result:
    return CliRunner().invoke(main, words)


@pytest.fixture
def start() -> Iterator[Start]:
    """``hil …`` in a process of its own, up to its first line."""
    started = []

    def start(*words: str, session: bool = False) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "hil", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=session,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def test_a_hold_lasts_until_ctrl_c_and_tells_who_and_for_what(start: Start) -> None:
    process = start("lock", "hold", "porch", "--for", "a look at its lens")
    assert "holding porch for a look at its lens" in said(process)
    (porch, garden) = json.loads(hil("lock", "status", "--json").output)
    assert (porch["target"], porch["holder"]["pid"]) == ("porch", process.pid)
    assert porch["holder"]["purpose"] == "a look at its lens"
    assert garden == {"target": "garden", "holder": None}
    assert f"(pid {process.pid}) since 20" in hil("lock", "status", "porch").output
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert hil("lock", "status").output == "porch: free\ngarden: free\n"


def test_a_hold_ends_by_itself(start: Start) -> None:
    process = start("lock", "hold", "garden", "--until", "0.2s")
    assert "holding garden" in said(process)
    assert process.wait(10) == 0


def test_a_command_runs_under_the_lock_and_gives_its_status(start: Start, tmp_path: Path) -> None:
    code = "import sys; from hil import lock; print(lock.holder(sys.argv[1]).purpose); sys.exit(7)"
    process = start("lock", "hold", "porch", "--for", "x", "--", sys.executable, "-c", code, SERIAL)
    assert said(process) == "x\n"
    assert process.wait(10) == 7
    assert lock.holder(SERIAL) is None


def test_a_command_that_is_not_there_is_one_line(start: Start) -> None:
    result = hil("lock", "hold", "porch", "--", "/no/such/program")
    assert result.exit_code == 3
    assert "cannot run '/no/such/program'" in result.stderr
    assert lock.holder(SERIAL) is None


def test_a_hold_in_the_background_is_released(start: Start) -> None:
    begun = start("lock", "hold", "porch", "--for", "lunch", "--background")
    output, error = begun.communicate(timeout=20)  # ends where nobody has its streams any more
    assert (begun.returncode, error) == (0, "")
    holder = lock.holder(SERIAL)
    assert holder
    assert holder.purpose == "lunch"
    assert f"process {holder.pid} holds porch" in output
    released = hil("lock", "release", "porch")
    assert released.exit_code == 0, released.output
    assert "for lunch" in released.output
    assert lock.holder(SERIAL) is None
    assert hil("lock", "release", "porch").output == "porch is free\n"


def test_release_ends_the_command_too(start: Start) -> None:
    code = "import time; print('runs', flush=True); time.sleep(60)"
    process = start("lock", "hold", "porch", "--", sys.executable, "-c", code)
    assert said(process) == "runs\n"
    assert hil("lock", "release", "porch").exit_code == 0
    assert process.wait(10) == 128 + signal.SIGTERM


def test_ctrl_c_is_the_command_s(start: Start) -> None:
    """As at a terminal, whose Ctrl-C goes to all: a REPL goes on after it."""
    code = (
        "try:\n print('runs', flush=True); input()\n"
        "except KeyboardInterrupt: print('goes on', flush=True)\n"
        "import sys, time; time.sleep(0.5); sys.exit(7)"
    )
    process = start("lock", "hold", "porch", "--", sys.executable, "-c", code, session=True)
    assert said(process) == "runs\n"
    os.killpg(process.pid, signal.SIGINT)
    assert said(process) == "goes on\n"
    assert process.wait(10) == 7


def test_a_run_is_never_ended_by_release() -> None:
    """This process holds the board, and is no ``hil lock hold``."""
    with lock.hold(SERIAL, "checks on porch", Deadline.after(5)):
        refused = hil("lock", "release", "porch")
        assert refused.exit_code == 3
        assert f"pid {os.getpid()}" in refused.stderr
        assert "that is no 'hil lock hold'" in refused.stderr
        assert lock.holder(SERIAL)


def test_whoever_waits_for_a_hold_is_told_whose(start: Start) -> None:
    with lock.hold(SERIAL, "checks on porch", Deadline.after(5)):
        process = start("lock", "hold", "porch", "--wait", "0.3s")
        _, error = process.communicate(timeout=20)
        assert process.returncode == 3
        assert f"waiting for porch: held by {lock.holder(SERIAL)}" in error
        assert "Traceback" not in error


def test_a_hold_in_the_background_that_cannot_be_says_why(start: Start) -> None:
    with lock.hold(SERIAL, "checks on porch", Deadline.after(5)):
        begun = start("lock", "hold", "porch", "--wait", "0.3s", "--background")
        output, error = begun.communicate(timeout=20)
        assert (begun.returncode, output) == (3, "")
        waiting, told, hint = error.splitlines()
        assert waiting == f"waiting for porch: held by {lock.holder(SERIAL)}"
        assert told == f"hil: porch: {SERIAL} is held by {lock.holder(SERIAL)}"
        assert "wait for it to end" in hint


def test_a_killed_hold_has_let_go(start: Start) -> None:
    process = start("lock", "hold", "porch")
    said(process)
    process.kill()
    process.wait()
    assert hil("lock", "status", "porch").output == "porch: free\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["hold", "site"], "only boards are held"),
        (["hold", "prch"], "did you mean"),
        (["hold", "porch", "--until", "soon"], "write 90s, 10m or 2h"),
        (["release", "site"], "only boards are held"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(words: list[str], told: str) -> None:
    result = hil("lock", *words)
    assert result.exit_code in (2, 3)
    assert told in result.stderr


@given(st.text(max_size=8))
def test_a_duration_is_one_or_is_refused(text: str) -> None:
    try:
        assert holding.seconds(text) >= 0
    except ValueError:
        assert text not in ("90", "90s", "10m", "2h")


def test_durations() -> None:
    told = [holding.seconds(text) for text in ("90", "90s", "1.5m", "2h", "10 m")]
    assert told == [90, 90, 90, 7200, 600]
