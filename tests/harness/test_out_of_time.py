"""A check that takes too long tells where board and host were, and the run goes on."""

from __future__ import annotations

import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_process_target import listed

from hil.auth.raw import RawClient
from hil.deadline import Deadline
from hil.provision import reference
from hil.report import runs
from hil.report.events import Fault, Stuck
from hil.stuck import look

# What a real board may take is too long for a test.
SHORT = """
    import hil.link.board, hil.out_of_time
    hil.out_of_time.LEAD_S = 3.0
    import hil.recovery
    hil.link.board._SILENT_S = 0.5
    hil.recovery.BUDGET_S = 4.0
"""

VIRTUAL = "targets:\n  porch: {kind: virtual, model: openmv-n6, provision: true}\n"

AFTERWARDS = """
    @check("LOG-09", must, "the next one")
    def test_afterwards(api):
        assert api.login().status_code == 200
"""

HEAD = """
    import socket, threading, time
    import pytest
    from hil.check import check, must
    from hil.deadline import Deadline
"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture(autouse=True)
def _own_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    def run(
        checks: str, *options: str, devices: str = VIRTUAL, stdin: bytes = b""
    ) -> pytest.RunResult:
        pytester.makeconftest(SHORT)
        pytester.makepyfile(test_slow=HEAD + checks + AFTERWARDS)
        (pytester.path / "devices.yaml").write_text(devices)
        command = (sys.executable, "-m", "pytest", "-m", "hil", *options)
        return pytester.run(*command, timeout=100, stdin=stdin)

    return run


STUCK_IN_A_LOCK = """
    @check("LOG-01", must, "one")
    @pytest.mark.timeout(6)
    def test_hangs(api):
        lock = threading.Lock()
        with lock:
            lock.acquire()
"""


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_a_host_that_is_stuck_in_its_own_code_is_the_benchs_fault(
    run: Run, pytester: pytest.Pytester, method: str
) -> None:
    result = run(STUCK_IN_A_LOCK, f"--timeout-method={method}")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "BenchError: porch: no end after *.* s (its time limit is 6 s): the board waited for "
            "requests (asyncio/*), and answers again since; the host was at test_slow.py:* in "
            "test_hangs",
            "    test_slow.py:* in test_hangs: lock.acquire()",
        ]
    )
    (stuck,) = told(pytester.path)
    assert (stuck.check, stuck.fault) == ("LOG-01", "bench")
    assert stuck.host[-1].endswith("in test_hangs: lock.acquire()")


def told(folder: Path) -> list[Stuck]:
    porch = runs.Run.load(runs.find(folder / "artifacts")).targets["porch"]
    return [event for event in porch.events if isinstance(event, Stuck)]


BUSY = """
    @check("LOG-01", must, "a handler without end")
    @pytest.mark.timeout(6)
    def test_hangs(api):
        api.request("GET", "/loop", headers={"X-Told": str(api.credentials.password)})
"""


@pytest.fixture
def busy(pytester: pytest.Pytester) -> str:
    """An application with a request that it never ends."""
    camera = shutil.copytree(reference(), pytester.path / "slow")
    app = camera / "app.py"
    app.write_text(
        app.read_text()
        + """

@app.get("/loop")
async def loop(request):
    print("camera: begins password=" + request.headers.get("X-Told", ""))
    for_ever()

def for_ever():
    while True:
        pass
"""
    )
    return VIRTUAL.replace("provision: true", "provision: true, firmware: slow")


def test_an_application_that_hangs_is_the_boards_fault(
    run: Run, pytester: pytest.Pytester, busy: str
) -> None:
    """It is started again for the next check."""
    result = run(BUSY, devices=busy)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(
        [
            "BoardError: porch: no end after *: the board was busy at app.py:* in for_ever; "
            "the host was at test_slow.py:* in test_hangs, in *",
            "  the board, when it was interrupted:",
            '*  File "app.py", line *, in for_ever',
            "*KeyboardInterrupt*",
            "  its last lines:",
            "*camera: begins*",
            "porch: 1 check passed, 1 error",
            "  LOG-01 porch: no end after *",
            "  porch: Ctrl-C has brought it back*",
        ]
    )
    (stuck,) = told(pytester.path)
    assert stuck.fault == "board"
    tracebacks = runs.Run.load(runs.find(pytester.path / "artifacts")).targets["porch"].tracebacks
    assert "in for_ever" in tracebacks


SILENT = """
    @check("LOG-01", must, "a serial line without a word")
    @pytest.mark.timeout(6)
    def test_hangs(target, files):
        target.controls.power._board.control("fault", name="silent")
        files.read("settings.json")
"""


def test_a_board_that_does_not_react_is_the_boards_fault(
    run: Run, pytester: pytest.Pytester
) -> None:
    """The link is in use by the check that is stuck in it."""
    result = run(SILENT)
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "BoardError: porch: no end after *: the board did not react to Ctrl-C (nothing came "
            "back after Ctrl-C); the host was at test_slow.py:* in test_hangs, in hil/link/*",
            "  porch is out of the run, 1 check not examined: nothing has brought it back: *",
        ]
    )
    (stuck,) = told(pytester.path)
    assert (stuck.fault, stuck.board) == ("board", ())


WAITS = """
    @check("LOG-01", must, "asleep")
    @pytest.mark.timeout(4)
    def test_sleeps(api):
        time.sleep(60)

    @check("LOG-02", must, "asleep with the board's REPL in its hand")
    @pytest.mark.timeout(4)
    def test_holds(target):
        with target.controls.files._paused(Deadline.after(30)):
            time.sleep(60)

    @check("LOG-03", must, "swallows what it can")
    @pytest.mark.timeout(4)
    def test_swallows(api):
        near, far = socket.socketpair()
        while True:
            try:
                near.recv(1)
            except Exception:
                pass

    @check("LOG-04", must, "a fixture")
    @pytest.mark.timeout(4)
    def test_waits_for_its_fixture(api, slow):
        pass

    @pytest.fixture
    def slow():
        yield
        time.sleep(60)
"""


def test_in_every_part_of_a_check_and_in_each_worker(run: Run, pytester: pytest.Pytester) -> None:
    result = run(WAITS, "-n", "1")
    result.assert_outcomes(passed=2, errors=4)  # that with the fixture has passed before
    result.stdout.fnmatch_lines_random(
        [
            "BenchError: porch: *; the host was at test_slow.py:* in test_sleeps",
            "BenchError: porch: *: the board answered, and its REPL waited for what the host has to"
            " say; the host was at test_slow.py:* in test_holds",
            "BenchError: porch: *; the host was at test_slow.py:* in test_swallows",
            "BenchError: porch: *; the host was at test_slow.py:* in slow",
            "porch: * 4 errors",
        ]
    )
    assert [stuck.fault for stuck in told(pytester.path)] == ["bench"] * 4
    assert "raw REPL" not in result.stdout.str(), "what the interruption brought is no console"


def test_the_command_line_has_the_last_word(run: Run, pytester: pytest.Pytester) -> None:
    unmarked = WAITS.partition("\n\n")[0].replace("    @pytest.mark.timeout(4)\n", "")
    result = run(unmarked, "--timeout=3")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["BenchError: porch: no end after 2.* s (its time limit is 3 s)*"])


def test_a_bring_up_has_no_part_in_it(run: Run) -> None:
    """With its resets of 3 s it takes longer than its first check may."""
    slow = VIRTUAL.replace("provision: true", "provision: true, latency: {reset_s: 3}")
    unmarked = WAITS.partition("\n\n")[0].replace("time.sleep(60)", "pass")
    run(unmarked, "-n", "1", devices=slow).assert_outcomes(passed=2)


def test_no_time_limit_is_no_time_limit(run: Run, pytester: pytest.Pytester) -> None:
    asleep = WAITS.partition("\n\n")[0].replace("sleep(60)", "sleep(5)")
    result = run(asleep.replace("timeout(4)", "timeout(0)"))
    result.assert_outcomes(passed=2)
    assert not told(pytester.path)


def test_whoever_debugs_is_not_disturbed(run: Run, pytester: pytest.Pytester) -> None:
    asleep = WAITS.partition("\n\n")[0]
    result = run(asleep.replace("time.sleep(60)", "breakpoint(); time.sleep(5)"), stdin=b"c\n")
    result.assert_outcomes(passed=2)
    assert not told(pytester.path)


def test_a_process_that_does_not_answer_and_a_host_that_waits_for_itself(tmp_path: Path) -> None:
    """There is no Ctrl-C: what tells is whom the host waits for."""
    bench = listed(tmp_path, PRINTS="1")
    target = bench.target("small")
    password = str(target.api.credentials.password)
    target.api.request("GET", "/data", headers={"Authorization": f"Basic {password}"})
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as mute, ThreadPoolExecutor() as pool:
        client = RawClient.to(f"http://127.0.0.1:{mute.getsockname()[1]}", 20)
        waits: dict[Fault, Callable[[], object]] = {
            "board": lambda: client.send(b"GET / HTTP/1.0\r\n\r\n"),
            "bench": lambda: over.wait(20),
        }
        for fault, wait in waits.items():
            asked = Asked(wait)
            pool.submit(asked)
            asked.waits()
            story = look(bench, "small", asked.thread, Path(__file__).parent, 1.0, 2.0, soon())
            assert story.fault == fault
            assert "nothing can tell where its application was" in str(story.error())
            assert "test_out_of_time.py:" in str(story.error())
        over.set()
        mute.accept()[0].close()
    assert f"Basic <secret: {len(password)} chars>" in story.console
    bench.close()


class Asked:
    """Work in a thread of its own, and whether it waits by now."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.thread = 0

    def __call__(self) -> None:
        self.thread = threading.get_ident()
        self._work()

    def waits(self) -> None:
        deadline = soon()
        while not deadline.expired:
            frame = sys._current_frames().get(self.thread)
            if frame and Path(frame.f_code.co_filename).name in ("threading.py", "raw.py"):
                return
            time.sleep(0.01)  # no event tells that somebody waits


def soon() -> Deadline:
    return Deadline.after(10)
