"""Several runs on one bench: they share the boards, and never interleave on one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hil import lock
from hil.bench import Bench, Wait
from hil.deadline import Deadline
from hil.loop import WaitingLine

TWO = "targets:\n" + "".join(
    f"  {name}:\n    kind: virtual\n    model: openmv-{model}\n    provision: true\n"
    for name, model in (("porch", "n6"), ("garden", "ae3"))
)

# Notes down when each board is held, and by which run.
NOTES_LOCKS = """
    import contextlib, json, os, time
    from hil import lock

    real = lock.hold

    @contextlib.contextmanager
    def hold(key, purpose, *args, **kwargs):
        with real(key, purpose, *args, **kwargs):
            began = time.monotonic()
            try:
                yield
            finally:
                told = {"run": os.getpid(), "board": purpose.split()[-1],
                        "from": began, "to": time.monotonic()}
                with open(os.environ["NOTES"], "a") as notes:
                    notes.write(json.dumps(told) + "\\n")

    lock.hold = hold
"""

CHECKS = """
    import threading
    import pytest
    from hil.check import check, must

    @check("LOG-01", must, "OpenMV docs 10.9.2")
    @pytest.mark.parametrize("part", range(3))
    def test_logs_in(api, secret, part):
        assert api.login().status_code == 200
        secret.write(b"x" * 32)
        threading.Event().wait(0.5)
        assert secret.read() == b"x" * 32, "another run is at work on this board"
"""


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """A folder with a devices.yaml: the root of a run."""
    (tmp_path / "devices.yaml").write_text(TWO)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def write(file: Path, text: str) -> None:
    file.write_text(textwrap.dedent(text))


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-m", "hil"),
            *("-p", "hil.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider"),
            *options,
        ],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # half a second for each run
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def held(inventory: Path) -> Iterator[lock.Holder]:
    """The porch is held by somebody else: this process."""
    key = f"porch@{(inventory / '.hil' / 'boards' / 'porch').resolve()}"
    with lock.hold(key, "a talk with the porch", Deadline.after(5)):
        who = lock.holder(key)
        assert who
        yield who


def test_two_runs_share_two_boards(inventory: Path, tmp_path: Path) -> None:
    write(inventory / "conftest.py", NOTES_LOCKS)
    write(inventory / "test_checks.py", CHECKS)
    runs = [start(inventory), start(inventory)]
    for one in runs:
        output, _ = one.communicate(timeout=100)
        assert one.returncode == 0, output
        assert "6 passed" in output
    spans = [json.loads(line) for line in (tmp_path / "notes").read_text().splitlines()]
    assert sorted((s["run"], s["board"]) for s in spans) == sorted(
        (one.pid, board) for one in runs for board in ("porch", "garden")
    )
    for board in ("porch", "garden"):
        first, second = sorted((s["from"], s["to"]) for s in spans if s["board"] == board)
        assert first[1] <= second[0], f"both have held {board}"
    mine, theirs = ([s for s in spans if s["run"] == one.pid] for one in runs)
    together = [
        (a["board"], b["board"])
        for a in mine
        for b in theirs
        if a["from"] < b["to"] and b["from"] < a["to"]
    ]
    assert together, "one after the other is no sharing"


def test_a_board_that_is_held_comes_last_and_the_reader_sees_for_whom_it_waits(
    inventory: Path, held: lock.Holder
) -> None:
    write(inventory / "test_checks.py", CHECKS)
    run = start(inventory, "-v", "--wait", "2")
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "3 passed" in output
    assert "1 error" in output
    assert output.index("test_logs_in[garden") < output.index("test_logs_in[porch")
    assert f"BenchError: porch: porch@{inventory}" in output
    assert f"(pid {os.getpid()}) since 20" in output
    assert "for a talk with the porch" in output
    assert "--wait SECONDS waits longer" in output


def test_a_run_that_can_only_wait_says_for_whom_until_ctrl_c(
    inventory: Path, held: lock.Holder
) -> None:
    write(inventory / "test_checks.py", CHECKS)
    run = start(inventory, "--target", "porch")
    assert run.stdout
    seen = ""
    while "waiting for" not in seen:
        line = run.stdout.readline()
        assert line, seen
        seen += line
    assert line == f"hil: waiting for porch: held by {held}\n"
    run.send_signal(signal.SIGINT)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, output


class Screen:
    """What pytest's terminal reporter is to a line that waits."""

    def __init__(self, *, isatty: bool) -> None:
        self.isatty = isatty
        self.shown = ""

    def ensure_newline(self) -> None:
        if self.shown and not self.shown.endswith("\n"):
            self.shown += "\n"

    def write(self, text: str, *, flush: bool) -> None:
        self.shown += text

    def rewrite(self, line: str, *, erase: bool, yellow: bool) -> None:
        self.shown += "\r" + line


PORCH = Wait("porch", lock.Holder(4711, "alice", socket.gethostname(), "2026-11-22", "lunch"), 0.2)


def test_on_a_terminal_one_line_counts_the_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    screen = Screen(isatty=True)
    screen.shown = "test_login.py ..."
    line = WaitingLine(screen)  # type: ignore[arg-type]
    line([PORCH])
    line([replace(PORCH, seconds=61.2)])
    line.end()
    first, second = screen.shown.splitlines()[1:3], screen.shown.split("\r")[2]
    assert screen.shown.startswith("test_login.py ...\n\rhil: 0 s waiting for porch: held by alice")
    assert second.startswith("hil: 61 s waiting for porch: held by alice (pid 4711)")
    assert screen.shown.endswith("\n")
    assert all(len(part) < 60 for part in first), "a longer line cannot be written over"


def test_elsewhere_each_holder_is_told_once() -> None:
    screen = Screen(isatty=False)
    line = WaitingLine(screen)  # type: ignore[arg-type]
    line([PORCH])
    line([replace(PORCH, seconds=61.2)])
    line([replace(PORCH, holder=replace(PORCH.holder, user="bob"))])
    line.end()
    assert [told.split()[6] for told in screen.shown.splitlines()] == ["alice", "bob"]


def test_a_board_is_free_as_soon_as_its_last_check_is_done(inventory: Path) -> None:
    """The second target's check finds the first one's lock free, and its key put back."""
    write(
        inventory / "test_checks.py",
        """
        import time
        from pathlib import Path
        from hil import lock
        from hil.check import check, must

        @check("LOG-01", must, "OpenMV docs 10.9.2")
        def test_others(api, target_name, request):
            key = f"porch@{(request.config.rootpath / '.hil/boards/porch').resolve()}"
            if target_name == "porch":
                assert lock.holder(key)
                return
            end = time.monotonic() + 20
            while lock.holder(key):
                assert time.monotonic() < end
                time.sleep(0.05)
        """,
    )
    run = start(inventory, "--target", "porch", "--target", "garden")
    output, _ = run.communicate(timeout=60)
    assert "2 passed" in output, output
    assert "porch: 1 check passed" in output


def test_a_bench_goes_on_with_what_is_free(inventory: Path, held: lock.Holder) -> None:
    """Without pytest: the lock is asked for at once, and nobody waits for what is held."""
    bench = Bench.plan(inventory / "devices.yaml", inventory, ["porch", "garden"], wait_s=60)
    try:
        bench.start(["porch", "garden"])
        assert bench.next_of(["porch", "garden"]) == "garden"
        assert [(w.target, w.holder.pid) for w in bench.waits()] == [("porch", os.getpid())]
        assert bench.free_of(["porch"]) is None
    finally:
        began = time.monotonic()
        assert bench.close() == []
        assert time.monotonic() - began < 30, "closing waits for nobody's lock"


def test_a_board_that_is_only_read_is_waited_for_too(inventory: Path) -> None:
    """Whoever holds it may reset it in the middle of a check."""
    (inventory / "devices.yaml").write_text(
        "targets:\n"
        "  porch: {kind: board, model: openmv-n6, usb_serial: '346534563033', hostname: no-porch}\n"
    )
    bench = Bench.plan(inventory / "devices.yaml", inventory, None, wait_s=0.3)
    with lock.hold("346534563033", "a talk with the porch", Deadline.after(5)):
        bench.start(["porch"])
        with pytest.raises(lock.HeldError, match="for a talk with the porch"):
            bench.target("porch")
    assert bench.close() == []


def test_a_released_board_is_brought_up_anew(inventory: Path) -> None:
    bench = Bench.plan(inventory / "devices.yaml", inventory, ["porch"])
    try:
        first = bench.target("porch")
        bench.release("porch")
        second = bench.target("porch")
        assert second is not first
        assert second.api.login().status_code == 200
    finally:
        assert bench.close() == []
