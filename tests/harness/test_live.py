"""The live lines of real runs, on a terminal."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from terminal import Terminal

from hil import live
from hil.deadline import Deadline

CHECKS = """
    import time
    from pathlib import Path
    from hil.check import check, must, should
    from hil.errors import Finding

    def wait_for(name):
        while not Path(name).exists():
            time.sleep(0.01)

    @check("LOG-01", must, "one")
    def test_one(target):
        pass

    @check("LOG-02", must, "two")
    def test_two(target):
        print("captured, and shown with the finding")
        raise Finding("promised: 401; got: 200")

    @check("LOG-03", must, "three")
    def test_three(target):
        wait_for("go")

    @check("LOG-04", should, "four")
    def test_four(target):
        raise Finding("slow")
"""


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *of: object) -> None: ...


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Of something that answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path, url: str) -> Iterator[Start]:
    """``start("-x")``: a run in a terminal of its own, which goes on past LOG-03 when the file
    ``go`` is there."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_some.py").write_text(_dedented(CHECKS))
    (tmp_path / "devices.yaml").write_text(
        f"targets:\n  porch: {{kind: url, url: '{url}'}}\n  yard: {{kind: url, url: '{url}'}}\n"
    )
    with ExitStack() as stack:

        def start(*options: str, size: tuple[int, int] = (80, 24), **env: str) -> Terminal:
            terminal = Terminal(*size)
            stack.callback(terminal.close)
            own = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "HIL_"))}
            own = {k: v for k, v in own.items() if k not in ("CI", "NO_COLOR", "FORCE_COLOR")}
            own |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "TERM": "xterm"}
            own["HIL_LOCKS"] = str(tmp_path / "locks")
            plugins = ("-p", "hil.plugin", "-p", "pytest_timeout", "-p", "xdist")
            command = (sys.executable, "-m", "pytest", "-m", "hil", *plugins, *options)
            terminal.run(command, cwd=tmp_path, env={**own, **env})
            return terminal

        yield start


def _dedented(text: str) -> str:
    return "\n".join(line[4:] for line in text.splitlines())


def go(folder: Path) -> None:
    (folder / "go").touch()


LIVE = re.compile(r"^(porch|yard)  ", re.MULTILINE)
DOTS = re.compile(r"^test_some\.py [.FEas]+", re.MULTILINE)


def test_a_line_for_each_target_in_place_of_the_dots(start: Start, tmp_path: Path) -> None:
    terminal = start()
    terminal.until("porch  LOG-03")
    *above, porch, yard = terminal.text.split("\n")
    assert "finding LOG-02 porch: promised: 401; got: 200" in above
    assert re.match(r"porch  LOG-03  .* 2/4  1 finding  1 passed", porch)
    assert re.match(r"yard   up      .* 0/4", yard)
    go(tmp_path)
    assert terminal.finish() == 1
    # Nothing of them is left, and nothing of pytest's is missing.
    assert not LIVE.search(terminal.text)
    assert not DOTS.search(terminal.text)
    assert "captured, and shown with the finding" in terminal.text
    assert "porch: 2 checks passed, 1 finding, 1 advisory" in terminal.text
    assert re.search(r"=+ 2 failed, 4 passed, 2 advisory in ", terminal.text)
    assert terminal.text.index("finding LOG-02 yard") < terminal.text.index("= FAILURES =")
    assert "\x1b[31m" in terminal.raw.decode()


@pytest.mark.parametrize(
    ("options", "env", "shown"),
    [
        (["-v"], {}, "test_some.py::test_one[porch] PASSED"),
        (["-q"], {}, ".F"),
        (["-s"], {}, "test_some.py .captured"),
        (["--no-live"], {}, "test_some.py .F"),
        ([], {"TERM": "dumb"}, "test_some.py .F"),
        (["--no-artifacts"], {}, "test_some.py .F"),
    ],
)
def test_with_these_pytest_is_as_ever(
    start: Start, tmp_path: Path, options: list[str], env: dict[str, str], shown: str
) -> None:
    go(tmp_path)
    terminal = start(*options, "--target", "porch", **env)
    terminal.finish()
    assert shown in terminal.text
    assert "\x1b[A" not in terminal.raw.decode()


def test_with_several_workers_and_without_colours(start: Start, tmp_path: Path) -> None:
    terminal = start("-n", "2", NO_COLOR="1")
    terminal.until("porch  LOG-03")
    terminal.until("yard   LOG-03")
    assert "finding LOG-02 yard: promised: 401; got: 200" in terminal.text
    go(tmp_path)
    terminal.finish()
    assert not LIVE.search(terminal.text)
    assert re.search(r"=+ 2 failed, 4 passed, 2 advisory in ", terminal.text)
    assert not re.search(r"\x1b\[[0-9;]*m", terminal.raw.decode())


def test_ctrl_c_ends_it_in_order(start: Start) -> None:
    terminal = start()
    terminal.until("porch  LOG-03")
    terminal.type("\x03")
    assert terminal.finish() == 2
    assert "KeyboardInterrupt" in terminal.text
    assert "porch: 1 check passed, 1 finding" in terminal.text
    assert not LIVE.search(terminal.text)


def test_a_breakpoint_has_the_terminal(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "test_some.py"
    path.write_text(path.read_text().replace('wait_for("', 'breakpoint(); wait_for("'))
    terminal = start("--target", "porch")
    terminal.until("(Pdb)")
    terminal.type("p 6 * 7\n")
    terminal.until("42")
    while terminal.read(Deadline.after(3 * live.EVERY_S)):
        pass
    assert not LIVE.search(terminal.text)
    terminal.type("c\n")
    terminal.until("porch  LOG-03")
    go(tmp_path)
    terminal.finish()
    assert "porch: 2 checks passed, 1 finding, 1 advisory" in terminal.text


def test_after_an_internal_error_the_terminal_is_left_in_order(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text(
        "def pytest_runtest_logfinish(nodeid):\n    assert 'three' not in nodeid, 'broken plugin'\n"
    )
    terminal = start("--target", "porch")
    terminal.until("porch  LOG-03")
    go(tmp_path)
    assert terminal.finish() == 3
    assert "INTERNALERROR> AssertionError: broken plugin" in terminal.text
    assert not LIVE.search(terminal.text)


def test_a_terminal_that_becomes_smaller(start: Start, tmp_path: Path) -> None:
    terminal = start(size=(120, 30))
    terminal.until("porch  LOG-03")
    head = terminal.text.split("\n")[0]
    terminal.resize(60, 30)
    terminal.until("yard   up")
    go(tmp_path)
    terminal.finish()
    assert terminal.text.split("\n")[0][:60] == head[:60]
    assert not LIVE.search(terminal.text)
    assert "4 passed" in terminal.text


def test_what_stops_early_is_friends_with_it(start: Start, tmp_path: Path) -> None:
    go(tmp_path)
    terminal = start("-x", "--target", "porch")
    assert terminal.finish() == 1
    assert "stopping after 1 failures" in terminal.text
    terminal = start("--lf", "-k", "two or three")
    assert terminal.finish() == 1
    assert re.search("rerun previous 1 failure|/ 1 selected", terminal.text), terminal.text


def test_the_embedded_bench(start: Start, tmp_path: Path) -> None:
    """A board comes up, says something, and has a clock."""
    (tmp_path / "devices.yaml").write_text(
        "targets:\n  porch:\n    kind: virtual\n    model: openmv-n6\n    provision: true\n"
        # Flashing resets it twice: long enough to be looked at, whatever the machine does.
        "    latency: {reset_s: 1}\n"
    )
    terminal = start(size=(120, 24), HIL_VIRTUAL_BUS=str(tmp_path / "bus"))
    terminal.until("porch  flash")
    terminal.until("porch  LOG-03")
    terminal.until("camera: listening")
    assert re.search(r"porch  LOG-03 .*  \d\d:\d\d:\d\dZ  camera: listening", terminal.text)
    go(tmp_path)
    terminal.finish()
    assert "OpenMV N6 (virtual)" in terminal.text
