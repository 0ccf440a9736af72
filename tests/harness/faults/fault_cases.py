"""The faults: how each is planted, what must be said, and how long it may take."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from fault_scene import FullDisk, Scene

from hil.boards.table import model
from hil.deadline import Deadline
from hil.link.files import fill, remove_file, write_file
from hil.link.repl import Repl
from hil.lock import hold
from hil.provision import reference
from hil.virtual.firmware import build


@dataclass(frozen=True)
class Case:
    """One fault.

    :ivar plant: before the run; what is to happen during it waits for an event
    :ivar kind: of the one error; None: the run takes no notice
    :ivar says: part of its message
    :ivar budget_s: for the whole run, pytest's start and the other board included
    :ivar left_broken: the board is declared broken: it could not be put back; None: or it could
    :ivar strikes: faults of the board that must have been met
    :ivar passes: the checks that the board passes all the same, where there is an error
    """

    name: str
    plant: Callable[[Scene], None]
    kind: str | None = None
    says: str = ""
    budget_s: float = 40.0
    left_broken: bool | None = False
    strikes: tuple[str, ...] = ()
    passes: frozenset[str] = frozenset()


WRITES = "# write files"
LISTS = "# list files"
READS_KEY = "# read 'secret.bin'"
REMOVES_KEY = ".remove('secret.bin')"

BEFORE_IT = frozenset({"test_basic"})
"""The checks before the one that reads the key; the one after it needs the board back."""
AROUND_IT = BEFORE_IT | {"test_rotation"}


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


def _rtc(how: str) -> Callable[[Scene], None]:
    def plant(scene: Scene) -> None:
        scene.plant(how)
        scene.board.control("hard_reset")

        def cure() -> None:
            scene.board.control("heal")
            scene.board.control("hard_reset")
            scene.set_clock()

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
        boots = scene.board.control("status")["boots"]
        scene.wait_until_done_with(scene.sound, Deadline.after(30))
        assert scene.board.control("status")["boots"] == boots, "the run does not wait for it"
        holder.kill()
        holder.communicate()

    scene.during = kill_it


def _bootloader_loses_it(how: str) -> Callable[[Scene], None]:
    """The board that the run has flashed."""

    def plant(scene: Scene) -> None:
        scene.embed()
        scene.plugins = ("broken_bootloader",)
        scene.environment["BROKEN_BOOTLOADER"] = how

    return plant


def _files_cannot_grow(scene: Scene) -> None:
    """No file of the run's may be larger than 64 KiB, as under a quota: no board of the embedded
    bench has room."""
    scene.embed()
    scene.before_run = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))


def _disk_is_full(
    under: str, *, embed: bool = False, bytes_left: int = 0, holes: bool = False
) -> Callable[[Scene], None]:
    """:param under: a folder, in the scene's"""

    def plant(scene: Scene) -> None:
        if embed:
            scene.embed()
        folder = scene.folder / under
        folder.mkdir(parents=True, exist_ok=True)
        scene.full = FullDisk(folder, bytes_left, holes=holes)

    return plant


def _no_room_for_an_image(scene: Scene) -> None:
    """A tool is given the image as a file in the temporary folder."""
    image = build(model("openmv-n6"), "today")["FIRMWARE"]
    (scene.folder / "fw.bin").write_bytes(image)
    scene.fields["flash"] = "{image: fw.bin, command: 'true {image}'}"
    _disk_is_full("tmp", bytes_left=len(image) // 2)(scene)
    scene.environment["TMPDIR"] = str(scene.folder / "tmp")
    scene.cure = lambda: scene.fields.pop("flash") and None


def _no_file_for_its_lock(scene: Scene) -> None:
    """The other board has been locked before."""
    folder = scene.folder / "locks"
    with hold(scene.sound.record.serial_number, "a test", Deadline.after(5), folder=folder):
        pass
    scene.full = FullDisk(folder, files_left=0)


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
        passes=BEFORE_IT,
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
    Case("banner noise and partial UTF-8", _planted("noise"), strikes=("noise",)),
    Case(
        "one byte per 50 ms",
        _planted("trickle"),
        "BoardError",
        "no raw REPL",
        60,
        strikes=("trickle",),
    ),
    Case("raw paste refused", _planted("no_raw_paste"), strikes=("no_raw_paste",)),
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
        passes=AROUND_IT,
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
        passes=BEFORE_IT | {"test_expiry"},
    ),
    Case(
        "file corrupted in transit",
        _planted("flip", sound=20),
        "BoardError",
        "not what was sent",
        strikes=("flip",),
    ),
    Case("copy of the key corrupted", _planted("flip"), "BoardError", "journal", strikes=("flip",)),
    Case(
        "RTC does not tick",
        _rtc("rtc_stopped"),
        "BoardError",
        "stands still",
        strikes=("rtc_stopped",),
    ),
    Case(
        "RTC loses what is set",
        _rtc("rtc_deaf"),
        "BoardError",
        "was set to",
        left_broken=None,
        strikes=("rtc_deaf",),
    ),
    Case(
        "Wi-Fi lost in a check",
        _planted("wifi_lost", seen=READS_KEY),
        "BoardError",
        "does not answer",
        90,
        strikes=("wifi_lost",),
        passes=BEFORE_IT,
    ),
    Case(
        "address changed by DHCP",
        _planted("new_address", on_reset=True, nth=2),
        "BoardError",
        "address",
        60,
        strikes=("new_address",),
        passes=BEFORE_IT | {"test_expiry"},
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
    Case(
        "holder of the lock killed",
        _lock_holder_is_killed,
        budget_s=45,
    ),
    Case(
        "port vanishes in a command and returns",
        _planted("vanish", seen=READS_KEY, seconds=0.5),
        "BoardError",
        "vanished",
        strikes=("vanish",),
        passes=AROUND_IT,
    ),
    Case(
        "port vanishes in a command and returns renumbered",
        _planted("vanish", seen=READS_KEY, seconds=0.5, renumbered=True),
        "BoardError",
        "vanished",
        strikes=("vanish",),
        passes=AROUND_IT,
    ),
    Case(
        "bootloader that stays after flashing",
        _bootloader_loses_it("stays"),
        "BoardError",
        "flashing failed at 'return to MicroPython'",
    ),
    Case(
        "bootloader that never comes back after flashing",
        _bootloader_loses_it("gone"),
        "BoardError",
        "flashing failed at 'return to MicroPython'",
    ),
    Case(
        "in its bootloader in a check, for good",
        _planted("bootloader", seen=READS_KEY, leaving="stays"),
        "BoardError",
        "",
        left_broken=True,
        strikes=("bootloader",),
        passes=BEFORE_IT,
    ),
    Case(
        "in its bootloader in a check",
        _planted("bootloader", seen=READS_KEY),
        "BoardError",
        "in its bootloader",
        60,
        strikes=("bootloader",),
        passes=AROUND_IT,
    ),
    Case("found in its bootloader", _planted("bootloader"), budget_s=60, strikes=("bootloader",)),
    Case(
        "found in its bootloader, for good",
        _planted("bootloader", leaving="stays"),
        "BoardError",
        "in its bootloader",
        60,
        strikes=("bootloader",),
    ),
    Case(
        "files cannot grow",
        _files_cannot_grow,
        "BenchError",
        "cannot be written",
    ),
    Case("disk full: locks", _no_file_for_its_lock, "BenchError", "locks"),
    Case("disk full: who holds a lock", _disk_is_full("locks")),
    Case("disk full: flash record", _disk_is_full(".hil/flash", embed=True), "BenchError", ""),
    Case(
        "disk full: image for the flashing tool",
        _no_room_for_an_image,
        "BenchError",
        "cannot be written",
    ),
    Case(
        "disk full: board",
        _disk_is_full(".hil/boards/porch", embed=True),
        "BenchError",
        "cannot be written",
    ),
    Case(
        "disk full: flash of the board",
        _disk_is_full(".hil/boards/porch", embed=True, bytes_left=1 << 18, holes=True),
        "BenchError",
        "cannot be written",
    ),
    Case(
        "disk nearly full: board",
        _disk_is_full(".hil/boards/porch", embed=True, bytes_left=1 << 16),
    ),
]
