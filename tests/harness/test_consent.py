"""A board whose owner has not consented is only read: nothing that would change it is reached."""

from __future__ import annotations

import hashlib
import inspect
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hil import journal, provision
from hil.cli import main
from hil.clock import rtc
from hil.config import TargetSpec
from hil.consent import Consent, NoConsentError
from hil.deadline import Deadline
from hil.link import board as link_board
from hil.link import files, reading
from hil.link.board import BoardLink, identify
from hil.link.repl import Repl
from hil.virtual.board import VirtualBoard

MAIN = b"""
import asyncio
async def main():
    while True:
        await asyncio.sleep(0.1)
asyncio.run(main())
"""


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualBoard]:
    """One with an application that runs."""
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)
    with VirtualBoard.start("porch", state=tmp_path / "porch", bus=tmp_path / "bus") as board:
        deadline = Deadline.after(10)
        with BoardLink("porch", board.device, consent=board.consent) as link:
            with link.repl(deadline) as repl:
                files.write_file(repl, "main.py", MAIN, deadline)
            link.hard_reset(deadline)
        yield board


def as_it_is(board: VirtualBoard) -> tuple[str, int, int]:
    """Its flash, and how often it has started."""
    status = board.control("status")
    flash = hashlib.sha256((board.state / "flash.img").read_bytes()).hexdigest()
    return flash, status["boots"], status["soft_resets"]


# --- who can make it ----------------------------------------------------------------------------


def test_only_an_entry_with_provision_gives_consent() -> None:
    assert TargetSpec("porch", "", "board", provision=True).consent().target == "porch"
    with pytest.raises(NoConsentError, match=r"^porch: .*only read\n  -> 'provision: true'"):
        TargetSpec("porch", "", "board").consent()
    with pytest.raises(NoConsentError, match=r"^web: .*a URL") as told:
        TargetSpec("web", "", "url").consent()
    assert "provision" not in str(told.value), "which a URL has no use for"
    with pytest.raises(TypeError, match=r"devices\.yaml"):
        Consent("porch", object())


@pytest.mark.parametrize("forged", [None, True, "porch", object()])
def test_a_link_that_can_change_a_board_wants_consent(forged: Any) -> None:
    with pytest.raises(NoConsentError, match=r"^porch: "):
        BoardLink("porch", "/dev/none", consent=forged)


def test_a_link_without_consent_is_a_mistake_that_mypy_finds(tmp_path: Path) -> None:
    careless = tmp_path / "careless.py"
    careless.write_text(
        "from hil.link.board import BoardLink\n"
        "BoardLink('porch', '/dev/ttyACM0')\n"
        "BoardLink('porch', '/dev/ttyACM0', consent=None)\n"
    )
    project = Path(__file__).parents[2]
    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports=silent", str(careless)],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert 'careless.py:2: error: Missing named argument "consent"' in told
    assert 'careless.py:3: error: Argument "consent"' in told


# --- what is refused without it -----------------------------------------------------------------

# By the name of a parameter: what to give for it. The REPL is the one that nobody consented to.
GIVEN: dict[str, Any] = {
    "tree": {"main.py": b"x"},
    "root": "/flash",
    "path": "main.py",
    "data": b"x",
    "paths": ["secret.bin"],
    "to": "/sdcard",
    "without": [],
    "names": ["microdot"],
    "clock_offset_s": 0.0,
    "unix": 1_800_000_000,
}
# set_if_lost() reads, and sets with set_clock().
READS = {link_board.identify, rtc.read, rtc.set_if_lost}


def on_a_repl() -> list[Callable[..., Any]]:
    """Every public function of the harness that works on a REPL."""
    modules = (files, journal, provision, rtc, link_board, reading)
    return [
        function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and not name.startswith("_")
        and "repl" in inspect.signature(function).parameters
    ]


class Wire:
    """A port on which nothing may be said."""

    target, device = "porch", "/dev/none"

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the board was touched: {name}")


@pytest.mark.parametrize(
    "function",
    [f for f in on_a_repl() if f not in READS],
    ids=lambda f: f"{f.__module__}.{f.__name__}",
)
def test_what_works_on_a_repl_is_refused_before_the_first_byte(
    function: Callable[..., Any],
) -> None:
    repl, deadline = Repl(Wire()), Deadline.after(5)  # type: ignore[arg-type]
    given = {
        name: {"repl": repl, "deadline": deadline, **GIVEN}[name]
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty
    }
    with pytest.raises(NoConsentError):
        function(**given)


def test_the_functions_that_change_a_board_are_among_those() -> None:
    names = {function.__name__ for function in on_a_repl()}
    assert names >= {"sync", "write_file", "remove_file", "make_folder", "fill", "copy_tree"}
    assert names >= {"begin", "restore", "set_clock", "identify"}


@pytest.mark.parametrize(
    "work",
    [
        lambda repl, deadline: repl.exec("x = 1", deadline),
        lambda repl, deadline: repl.eval("1", deadline),
        lambda repl, deadline: repl.start(link_board.RESET, deadline),
        lambda repl, deadline: repl.start(link_board.STARVE_WATCHDOG, deadline),
        lambda repl, deadline: repl.exec(link_board.IDENTIFY + "import os", deadline),
        lambda repl, deadline: repl.soft_reset(deadline),
    ],
    ids=["exec", "eval", "reset", "watchdog", "a longer program", "soft reset"],
)
def test_a_repl_without_consent_runs_listed_programs_only(
    work: Callable[[Repl, Deadline], object],
) -> None:
    with pytest.raises(NoConsentError):
        work(Repl(Wire()), Deadline.after(5))  # type: ignore[arg-type]


def test_the_listed_programs_name_nothing_that_writes() -> None:
    listed = "\n".join(reading.programs())
    for word in ("open(", "remove", "rename", "mkdir", "reset", "bootloader", "datetime", "write"):
        assert word not in listed
    assert len(reading.programs()) == 6


# --- and what is left ---------------------------------------------------------------------------


def test_a_board_without_consent_tells_who_it_is_and_its_time(board: VirtualBoard) -> None:
    found, deadline = as_it_is(board), Deadline.after(10)
    with reading.reading("porch", board.device, deadline) as repl:
        assert identify(repl, deadline).unique_id == board.unique_id
        assert abs(rtc.read(repl, deadline, precise=True).offset) < 365 * 86_400 * 20
        with pytest.raises(NoConsentError):
            files.write_file(repl, "main.py", b"", deadline)
    assert as_it_is(board) == found
    with BoardLink("porch", board.device, consent=board.consent) as link:
        link.identify(Deadline.after(10))
        assert link.open(deadline).alive


def test_the_application_runs_on(board: VirtualBoard) -> None:
    for _ in range(2):
        deadline = Deadline.after(10)
        with reading.reading("porch", board.device, deadline) as repl:
            assert repl.interrupted, "it was running"
            identify(repl, deadline)


DEVICES = {
    "unlisted": "targets:\n  site: {kind: url, url: 'http://127.0.0.1:%d'}\n",
    "listed, to be read only": """
targets:
  porch:
    kind: board
    model: openmv-n6
    usb_serial: "%s"
""",
}

CHECKS = """
    from hil.check import check, must

    @check("ROT-02", must, "one")
    def test_rotates(secret, clock, reboot, password_control):
        assert False, "reached"
"""


@pytest.fixture
def site() -> Iterator[int]:
    """The port of something else that answers HTTP, so that there is a run at all."""
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("listed", DEVICES)
def test_after_all_that_a_user_can_call_it_is_as_it_was(
    board: VirtualBoard, pytester: pytest.Pytester, site: int, listed: str
) -> None:
    inventory = DEVICES[listed] % (site if listed == "unlisted" else board.record.serial_number)
    pytester.path.joinpath("devices.yaml").write_text(inventory)
    pytester.makepyfile(CHECKS)
    found = as_it_is(board)

    rows = json.loads(CliRunner().invoke(main, ["list", "--ask", "--json"]).stdout)
    assert board.device in [row["port"] for row in rows]
    assert CliRunner().invoke(main, ["doctor", "--repl"]).output
    ran = pytester.runpytest_subprocess("-m", "hil", timeout=60)
    assert "reached" not in ran.stdout.str()
    assert as_it_is(board) == found
