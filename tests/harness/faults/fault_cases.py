"""The faults: how each is planted, what must be said, and how long it may take."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from fault_scene import Scene

from hil.deadline import Deadline
from hil.link.files import fill, remove_file, write_file
from hil.link.repl import Repl
from hil.provision import reference


@dataclass(frozen=True)
class Case:
    """One fault.

    :ivar plant: before the run; what is to happen during it waits for an event
    :ivar kind: of the one error; None: the run takes no notice
    :ivar says: part of its message
    :ivar budget_s: for the whole run, pytest's start and the other board included
    :ivar left_broken: the board is declared broken: it could not be put back; None: or it could
    :ivar strikes: faults of the board that must have been met
    """

    name: str
    plant: Callable[[Scene], None]
    kind: str | None = None
    says: str = ""
    budget_s: float = 40.0
    left_broken: bool | None = False
    strikes: tuple[str, ...] = ()


WRITES = "# write files"
LISTS = "# list files"
READS_KEY = "# read 'secret.bin'"
REMOVES_KEY = ".remove('secret.bin')"


def _planted(name: str, **options: object) -> Callable[[Scene], None]:
    return lambda scene: scene.plant(name, **options)


def _late_boot(scene: Scene) -> None:
    scene.real_time = True
    scene.plant("late", on_reset=True, seconds=10)


def _swallows_interrupts(scene: Scene) -> None:
    """Until the next reset, which finds no main.py."""
    program = """
import micropython, os
os.remove('main.py')
micropython.kbd_intr(-1)
while True:
    pass
"""

    def write(repl: Repl, deadline: Deadline) -> None:
        write_file(repl, "main.py", program.encode(), deadline)

    scene.on_board(write)
    scene.board.control("hard_reset")
    scene.cure = lambda: scene.board.control("hard_reset")


def _boot_py_raises(scene: Scene) -> None:
    """The firmware's own: one that was on the board is replaced."""
    firmware = scene.folder / "firmware"
    shutil.copytree(reference(), firmware)
    (firmware / "boot.py").write_text("import sensor_that_is_not_there\n")
    scene.fields["firmware"] = "firmware"
    scene.cure = lambda: scene.fields.pop("firmware") and None


def _flash_is_full(scene: Scene, left: int) -> None:
    """But for so many bytes."""

    def fill_it(repl: Repl, deadline: Deadline) -> None:
        write_file(repl, "room.bin", bytes(left), deadline)
        fill(repl, "ballast.bin", deadline)
        remove_file(repl, "room.bin", deadline)

    scene.on_board(fill_it)
    scene.cure = lambda: scene.on_board(
        lambda repl, deadline: remove_file(repl, "ballast.bin", deadline)
    )


def _rtc(how: str, ahead_s: float = 0.0) -> Callable[[Scene], None]:
    def plant(scene: Scene) -> None:
        scene.set_clock(ahead_s)
        scene.plant(how)
        scene.board.control("hard_reset")

        def cure() -> None:
            scene.board.control("heal")
            scene.board.control("hard_reset")
            scene.set_clock(ahead_s)

        scene.cure = cure

    return plant


def _two_of_one_name(scene: Scene) -> None:
    """A third board answers to the same name."""
    scene.fields["hostname"] = f"twin-{scene.tag}"
    scene.answer_mdns(f"twin-{scene.tag}", "127.9.8.7")


def _wrong_board(scene: Scene) -> None:
    """The name leads to a board that answers HTTP, and it is not this one."""
    scene.fields["hostname"] = f"twin-{scene.tag}"
    scene.plant("no_mdns")
    scene.answer_mdns(f"twin-{scene.tag}", scene.serve_http(scene.board.http_port))


def _lock_holder_is_killed(scene: Scene) -> None:
    """While the run waits for it."""
    program = (
        "import sys; from pathlib import Path; from hil.deadline import Deadline;"
        "from hil.lock import hold;"
        f"lock = hold({scene.board.record.serial_number!r}, 'a test', Deadline.after(9),"
        f" folder=Path({scene.environment['HIL_LOCKS']!r})); lock.__enter__();"
        "print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout
    assert holder.stdout.readline() == b"held\n"

    def kill_it(running: subprocess.Popen[str]) -> None:
        scene.wait_for_reset(scene.sound, Deadline.after(30))
        holder.kill()
        holder.communicate()

    scene.during = kill_it


def _disk_is_full(scene: Scene) -> None:
    """No file of the run's may be larger than 64 KiB: it gets EFBIG for ENOSPC, and no board of the
    embedded bench has room."""
    scene.entry = {"kind": "virtual", "model": "openmv-n6", "provision": "true"}
    scene.before_run = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))


CASES = [
    Case("none", lambda scene: None),
    Case(
        "port silent",
        _planted("silent"),
        "BoardError",
        "no raw REPL",
        60,
        strikes=("silent",),
    ),
    Case(
        "port falls silent in a check",
        _planted("silent", seen=READS_KEY),
        "BoardError",
        "no raw REPL",
        100,
        left_broken=True,
        strikes=("silent",),
    ),
    Case(
        "port vanishes in a file",
        _planted("vanish", seen=WRITES, skip=2000, seconds=0.5),
        "BoardError",
        "vanished",
        strikes=("vanish",),
    ),
    Case(
        "port vanishes in a command, for good",
        _planted("vanish", seen=LISTS),
        "BoardError",
        "vanished",
        60,
        left_broken=True,
        strikes=("vanish",),
    ),
    Case("port renumbered after each reset", _planted("renumber"), strikes=("renumber",)),
    Case(
        "late boot: 10 s",
        _late_boot,
        budget_s=45,
        strikes=("late",),
    ),
    Case("banner noise and partial UTF-8", _planted("noise")),
    Case("one byte per 50 ms", _planted("trickle"), "BoardError", "no raw REPL", 60),
    Case("raw paste refused", _planted("no_raw_paste")),
    Case(
        "REPL busy in a C call: 5 s",
        _planted("busy", seen="\x03", seconds=5),
        strikes=("busy",),
    ),
    Case("application that swallows Ctrl-C", _swallows_interrupts, "BoardError", "no raw REPL", 60),
    Case(
        "watchdog reset during a pause",
        _planted("watchdog", seen=READS_KEY),
        "BoardError",
        "vanished",
        45,
        strikes=("watchdog",),
    ),
    Case("boot.py raises", _boot_py_raises, "Finding", "sensor_that_is_not_there"),
    Case("flash full", lambda scene: _flash_is_full(scene, 0), "BoardError", "the journal"),
    Case(
        "flash nearly full",
        lambda scene: _flash_is_full(scene, 20_000),
        "BoardError",
        "the flash is full",
    ),
    Case(
        "read-only flash",
        _planted("read_only"),
        "BoardError",
        "the journal",
        left_broken=True,
        strikes=("read_only",),
    ),
    Case(
        "flash read-only in a check",
        _planted("read_only", seen=REMOVES_KEY),
        "BoardError",
        "",
        90,
        left_broken=True,
        strikes=("read_only",),
    ),
    Case(
        "file corrupted in transit", _planted("flip", sound=20), "BoardError", "not what was sent"
    ),
    Case("copy of the key corrupted", _planted("flip"), "BoardError", "journal"),
    Case("RTC does not tick", _rtc("rtc_stopped"), "BoardError", "stands still"),
    Case(
        "RTC loses what is set",
        _rtc("rtc_deaf", ahead_s=1000),
        "BoardError",
        "was set to",
        left_broken=None,
    ),
    Case(
        "Wi-Fi lost in a check",
        _planted("wifi_lost", seen=READS_KEY),
        "BoardError",
        "does not answer",
        90,
        strikes=("wifi_lost",),
    ),
    Case(
        "address changed by DHCP",
        _planted("new_address", on_reset=True, nth=2),
        "BoardError",
        "address",
        60,
        strikes=("new_address",),
    ),
    Case("two boards with one host name", _two_of_one_name, "BenchError", "twin-"),
    Case("HTTP up, but of the wrong board", _wrong_board, "BenchError", "twin-"),
    Case(
        "power cut while deploying",
        _planted("power_cut", seen=WRITES, skip=2000),
        "BoardError",
        "vanished",
        60,
        left_broken=True,
        strikes=("power_cut",),
    ),
    Case("holder of the lock killed", _lock_holder_is_killed, budget_s=45),
    Case("disk of the host full", _disk_is_full, "BenchError", "cannot be written"),
]
