"""Many boards in one run of pytest-xdist: one worker a board."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hil import lock
from hil.deadline import Deadline
from hil.link import files
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

NOTES = """
    import json, os, pytest
    from hil.check import check, must

    def note(target, what):
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(json.dumps([os.getpid(), target, what]) + "\\n")
"""

FOUR_CHECKS = (
    NOTES
    + """
    @check("LOG-01", must, "a test")
    def test_first(target_name):
        note(target_name, "first")

    @check("LOG-02", must, "a test")
    @pytest.mark.parametrize("part", range(3))
    def test_more(target_name, part):
        note(target_name, part)

    @pytest.mark.hil
    def test_of_the_whole_run():
        note("", "whole")
"""
)


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    for name in os.environ:
        if name.startswith(("HIL_DEVICES", "PYTEST_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # half a second for each process


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True, scope="module")
def three() -> Iterator[None]:
    """Targets of which nothing is asked but whether they answer."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever).start()
        THREE.extend(
            f"  {name}: {{kind: url, url: 'http://127.0.0.1:{server.server_port}/{name}'}}\n"
            for name in ("porch", "garden", "gate")
        )
        yield
        THREE.clear()
        server.shutdown()


THREE: list[str] = []


def start(
    folder: Path, *options: str, checks: str, devices: str | None = None
) -> subprocess.Popen[str]:
    devices = "targets:\n" + "".join(THREE) if devices is None else devices
    (folder / "devices.yaml").write_text(devices)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "test_checks.py").write_text(textwrap.dedent(checks))
    plugins = ("hil.plugin", "pytest_timeout", "xdist.plugin")
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "pytest", "-m", "hil"),
            *(part for plugin in plugins for part in ("-p", plugin)),
            *options,
        ],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(folder: Path, *options: str, checks: str, devices: str | None = None) -> tuple[int, str]:
    """:returns: exit status and output"""
    running = start(folder, *options, checks=checks, devices=devices)
    output, _ = running.communicate(timeout=100)
    return running.returncode, output


def notes(tmp_path: Path) -> list[list[object]]:
    """What the checks have noted: process, target, what."""
    file = tmp_path / "notes"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def by_worker(tmp_path: Path) -> list[set[object]]:
    found = defaultdict(set)
    for pid, target, _ in notes(tmp_path):
        found[pid].add(target)
    return sorted(found.values(), key=str)


# --- who runs what ------------------------------------------------------------------------------


def test_auto_is_one_worker_a_board_and_each_keeps_its_own(tmp_path: Path) -> None:
    status, output = run(tmp_path, "-n", "auto", checks=FOUR_CHECKS)
    assert status == 0, output
    assert "13 passed" in output
    assert by_worker(tmp_path) == [{"", "porch"}, {"garden"}, {"gate"}]
    for name in ("porch", "garden", "gate"):
        ran = [what for _, target, what in notes(tmp_path) if target == name]
        assert ran == ["first", 0, 1, 2], "in their order"
        assert f"{name}: 2 checks passed" in output


def test_fewer_workers_than_boards_have_some_each(tmp_path: Path) -> None:
    status, output = run(tmp_path, "-n", "2", checks=FOUR_CHECKS)
    assert (status, "13 passed" in output) == (0, True), output
    assert by_worker(tmp_path) == [{"", "porch", "gate"}, {"garden"}]


def test_more_workers_than_boards_are_not_started(tmp_path: Path) -> None:
    options = ("--tx", "3*popen", "--tx", "popen", "--dist", "load", "--target", "gate")
    status, output = run(tmp_path, *options, checks=FOUR_CHECKS)
    assert (status, "5 passed" in output) == (0, True), output
    assert "1 worker" in output
    assert by_worker(tmp_path) == [{"", "gate"}]


def test_boards_without_a_check_do_not_make_it_a_run_without_checks(tmp_path: Path) -> None:
    status, output = run(tmp_path, "-n", "auto", "-k", "porch and first", checks=FOUR_CHECKS)
    assert (status, "1 passed" in output) == (0, True), output


def test_without_m_hil_xdist_is_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No inventory is read, and the number of workers is xdist's to find out."""
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "2")
    tests = "import pytest\n@pytest.mark.parametrize('i', range(4))\ndef test_one(i): pass\n"
    options = ("-m", "not hil", "-n", "auto", "-v")
    status, output = run(tmp_path, *options, checks=tests, devices="no inventory")
    assert (status, "4 passed" in output) == (0, True), output
    assert "2 workers [4 items]" in output
    assert "LoadScheduling" in output


def test_a_wrong_inventory_is_one_sentence_before_anything_starts(tmp_path: Path) -> None:
    devices = "targets:\n  porch:\n    kynd: board\n"
    status, output = run(tmp_path, "-n", "auto", checks=FOUR_CHECKS, devices=devices)
    assert status == pytest.ExitCode.USAGE_ERROR
    assert "devices.yaml:3:" in output
    assert "Traceback" not in output
    assert "worker" not in output


def test_lf_runs_the_last_failures_and_nothing_of_other_boards(tmp_path: Path) -> None:
    fails_once = """
        @check("LOG-01", must, "a test")
        @pytest.mark.parametrize("part", range(3))
        def test_it(target_name, part):
            note(target_name, part)
            assert target_name != "gate" or part != 1 or os.path.exists("mended")
    """
    checks = textwrap.dedent(NOTES) + textwrap.dedent(fails_once)
    two = ("-n", "auto", "--target", "garden", "--target", "gate")
    status, output = run(tmp_path, *two, checks=checks)
    assert (status, "1 failed, 5 passed" in output) == (1, True), output
    (tmp_path / "notes").unlink()
    (tmp_path / "mended").touch()
    status, output = run(tmp_path, *two, "--lf", checks=checks)
    assert (status, "1 passed" in output) == (0, True), output
    assert [told[1:] for told in notes(tmp_path)] == [["gate", 1]]


def test_x_ends_all_of_them(tmp_path: Path) -> None:
    checks = (
        NOTES
        + """
    import threading

    @check("LOG-01", must, "a test")
    @pytest.mark.parametrize("part", range(100))
    def test_it(target_name, part):
        note(target_name, part)
        threading.Event().wait(0.1)
        assert target_name != "gate"
    """
    )
    two = ("-n", "auto", "--target", "garden", "--target", "gate")
    status, output = run(tmp_path, *two, "-x", checks=checks)
    assert status == pytest.ExitCode.INTERRUPTED, output
    assert "stopping after 1 failures" in output
    assert len(notes(tmp_path)) < 60, "the others went on"


def test_a_board_that_does_not_come_up_stalls_no_other(tmp_path: Path) -> None:
    """It gives up only when the others are done."""
    (tmp_path / "conftest.py").write_text(
        textwrap.dedent("""
        import pathlib
        import time

        from hil import bringup
        from hil.errors import BoardError

        real = bringup.bring_up

        def bring_up(spec, *given):
            if spec.name != "porch":
                return real(spec, *given)
            end = time.monotonic() + 60
            while not all(pathlib.Path(name).exists() for name in ("garden", "gate")):
                if time.monotonic() > end:
                    raise BoardError("the others have waited for this one")
                time.sleep(0.05)
            raise BoardError("it is broken", target="porch")

        bringup.bring_up = bring_up
        """)
    )
    checks = (
        NOTES
        + """
    @check("LOG-01", must, "a test")
    def test_first(target_name):
        pass

    @check("LOG-02", must, "a test")
    def test_last(target_name):
        open(target_name, "w").close()
    """
    )
    status, output = run(tmp_path, "-n", "auto", checks=checks)
    assert status == 1, output
    assert "BoardError: porch: it is broken" in output
    assert "4 passed, 1 skipped, 1 error" in output
    assert "porch is out of the run, 1 check not examined\n" in output


# --- boards -------------------------------------------------------------------------------------

BOARD = "{{kind: virtual, model: openmv-{model}, provision: true}}"
TWO = f"targets:\n  porch: {BOARD.format(model='n6')}\n  garden: {BOARD.format(model='ae3')}\n"

MINE = b"x" * 32
ROTATES = (
    NOTES
    + """
    import threading

    @check("ROT-02", must, "a test")
    def test_rotates(secret, api, target_name):
        secret.write(b"x" * 32)
        note(target_name, "changed")
        threading.Event().wait(60)
"""
)


def test_the_end_tells_of_all_boards_what_a_run_of_one_process_tells(tmp_path: Path) -> None:
    checks = """
        from hil.check import check, must, should

        @check("LOG-01", must, "a test")
        def test_logs_in(api):
            assert api.login().status_code == 200

        @check("LOG-02", should, "a test")
        def test_advises(api, target_name, remark):
            remark("told", "a remark")
            assert target_name != "porch"

        @check("LOG-03", must, "a test")
        def test_fails(files, target_name):
            if target_name == "garden":
                files.write(".hil/index.json", b"not JSON")
    """
    status, output = run(tmp_path, "-n", "auto", checks=checks, devices=TWO)
    assert status == 1, output
    assert "hil: not put back: garden: " in output, "and that alone fails the run"
    assert "5 passed, 1 advisory" in output
    assert "porch: 2 checks passed, 1 advisory\n  OpenMV N6 (virtual), MicroPython" in output
    assert "garden: 3 checks passed\n  OpenMV AE3 (virtual), MicroPython" in output
    assert "LOG-02 garden: told: a remark" in output


def test_a_worker_that_dies_costs_the_check_that_it_died_in(tmp_path: Path) -> None:
    """The one in its place has the same board, puts it back as the dead one had found it, and goes
    on. It dies, too: nobody has told that the board was put back."""
    checks = (
        NOTES
        + """
    @check("LOG-01", must, "a test")
    @pytest.mark.parametrize("part", range(5))
    def test_it(request, target_name, part):
        note(target_name, part)
        if target_name == "gate" and part in (1, 4):
            request.getfixturevalue("secret").write(b"x" * 32)
            os._exit(1)
    """
    )
    devices = f"targets:\n{THREE[0]}{THREE[1]}  gate: {BOARD.format(model='n6')}\n"
    status, output = run(tmp_path, "-n", "auto", checks=checks, devices=devices)
    assert status == 1, output
    assert "13 passed, 2 errors" in output
    for worker, part in ((2, 1), (3, 4)):
        assert f"BenchError: worker 'gw{worker}' crashed while running" in output
        assert f"test_it[gate-{part}]" in output
    ran = sorted(told[1:] for told in notes(tmp_path))
    assert ran == [[name, part] for name in ("garden", "gate", "porch") for part in range(5)]
    assert "hil: perhaps not put back: gate: its worker gw3 has ended before it said so" in output
    assert "perhaps not put back: porch" not in output
    status, output = run(tmp_path, "-n", "auto", "-k", "gate-0", checks=checks, devices=devices)
    assert (status, "restored what a killed run had left" in output) == (0, True), output
    assert put_back(tmp_path, "gate", "openmv-n6")


def put_back(tmp_path: Path, name: str, model: str) -> bool:
    """Whether a board is as it was found: the journal is gone, and so is the key."""
    state = tmp_path / ".hil" / "boards" / name
    deadline = Deadline.after(20)
    with (
        VirtualBoard.start(name, model=model, state=state, bus=tmp_path / "look") as board,
        BoardLink(name, board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        if files.exists(repl, ".hil/index.json", deadline):
            return False
        key = "secret.bin"  # a new board had none
        return not files.exists(repl, key, deadline) or files.read_file(repl, key, deadline) != MINE


def wait_for(count: int, tmp_path: Path, running: subprocess.Popen[str]) -> set[int]:
    """Until so much is noted; the workers' process ids."""
    deadline = Deadline.after(60)
    while len(told := notes(tmp_path)) < count:
        assert running.poll() is None, running.communicate()[0]
        assert not deadline.expired
        time.sleep(0.05)
    return {int(str(pid)) for pid, *_ in told}


def expect_put_back(tmp_path: Path, status: int, output: str) -> None:
    assert status == pytest.ExitCode.INTERRUPTED, output
    assert "not put back" not in output
    assert "replacing crashed worker" not in output
    assert put_back(tmp_path, "porch", "openmv-n6")
    assert put_back(tmp_path, "garden", "openmv-ae3")


def test_an_interrupt_that_only_the_controller_gets_puts_all_boards_back(tmp_path: Path) -> None:
    running = start(tmp_path, "-n", "auto", checks=ROTATES, devices=TWO)
    wait_for(2, tmp_path, running)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=60)
    assert "2 workers put their boards back" in output
    expect_put_back(tmp_path, running.returncode, output)


def test_ctrl_c_in_a_terminal_puts_all_boards_back_however_often_a_worker_gets_it(
    tmp_path: Path,
) -> None:
    running = start(tmp_path, "-n", "auto", checks=ROTATES, devices=TWO)
    workers = wait_for(2, tmp_path, running)
    os.killpg(running.pid, signal.SIGINT)
    assert running.stdout
    output = ""
    while "put their boards back" not in output:
        line = running.stdout.readline()
        assert line, output
        output += line
    for _ in range(10):
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
        time.sleep(0.02)
    rest, _ = running.communicate(timeout=60)
    expect_put_back(tmp_path, running.returncode, output + rest)


def test_the_workers_of_a_killed_run_end(tmp_path: Path) -> None:
    running = start(tmp_path, "-n", "auto", checks=ROTATES, devices=TWO)
    workers = wait_for(2, tmp_path, running)
    running.kill()
    running.communicate()
    deadline = Deadline.after(40)
    while any(Path(f"/proc/{pid}").exists() for pid in workers):
        assert not deadline.expired, "they hold the boards for ever"
        time.sleep(0.1)
    assert put_back(tmp_path, "porch", "openmv-n6")


@pytest.mark.parametrize("workers", ["auto", "1"])
def test_a_board_that_is_not_to_be_had_keeps_no_other_waiting(tmp_path: Path, workers: str) -> None:
    checks = (
        NOTES
        + """
    @check("LOG-01", must, "a test")
    def test_logs_in(api, target_name):
        note(target_name, "")
        assert api.login().status_code == 200
    """
    )
    key = f"porch@{(tmp_path / '.hil' / 'boards' / 'porch').resolve()}"
    with lock.hold(key, "a talk with the porch", Deadline.after(5)):
        running = start(tmp_path, "-n", workers, checks=checks, devices=TWO)
        wait_for(1, tmp_path, running)
        assert [name for _, name, _ in notes(tmp_path)] == ["garden"]
    output, _ = running.communicate(timeout=60)
    assert (running.returncode, "2 passed" in output) == (0, True), output


def test_a_worker_of_several_boards_puts_each_back_and_prepares_the_next(tmp_path: Path) -> None:
    checks = (
        NOTES
        + """
    from hil import lock

    @check("LOG-01", must, "a test")
    @pytest.mark.parametrize("part", range(2))
    def test_it(api, bench, target_name, part):
        boards = sorted(name for name in bench.names if name in bench._coming)
        note(target_name, boards)
    """
    )
    names = ("porch", "garden", "gate")
    devices = "targets:\n" + "".join(f"  {name}: {BOARD.format(model='n6')}\n" for name in names)
    status, output = run(tmp_path, "-n", "1", checks=checks, devices=devices)
    assert (status, "6 passed" in output) == (0, True), output
    assert [told[1:] for told in notes(tmp_path)] == [
        *[["porch", ["garden", "porch"]]] * 2,
        *[["garden", ["garden", "gate"]]] * 2,
        *[["gate", ["gate"]]] * 2,
    ]
