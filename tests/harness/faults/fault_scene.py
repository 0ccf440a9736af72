"""Two boards at a bench, and runs of a few checks on them: what a fault is planted into."""

from __future__ import annotations

import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from hil import lock
from hil.clock import rtc
from hil.deadline import Deadline
from hil.discovery import usb
from hil.link import files
from hil.link.board import BoardLink
from hil.link.repl import Repl
from hil.virtual.board import VirtualBoard
from hil.virtual.mdns import Host, Responder

CHECKS = Path(__file__).with_name("checks_of_a_run.py")
FAULTY, SOUND = "porch", "yard"
BOOT_TIMEOUT_S = 8
"""What the inventory grants a board of the suite; a virtual one answers after 0.3 s."""

AS_FOUND = {"secret.bin": b"a key of thirty-two bytes, found", "settings.json": b'{"found": true}'}
AHEAD_S = 1000.0
"""The board's clock is wrong when it is found, and so it must be left: a run sets it right."""

CLOCK_OFF_S = 3.0
"""A clock of whole seconds, read over a link."""


@dataclass(frozen=True)
class Ran:
    """One run of pytest.

    :ivar errors: of the faulty board: kind and message, in order
    :ivar passed: the names of the checks that passed, per target
    """

    output: str
    code: int
    took_s: float
    errors: list[tuple[str, str]]
    passed: dict[str, set[str]]

    @property
    def not_put_back(self) -> list[str]:
        """The boards that the run has declared broken."""
        return re.findall(r"hil: not put back: (\w+)", self.output)


@dataclass(frozen=True)
class FullDisk:
    """A folder, with what is in it, on a disk of its own that is full.

    :ivar bytes_left: rounded up to pages
    :ivar files_left: None: as many as there is room for
    :ivar holes: files have none any more, or as many as they can
    """

    folder: Path
    bytes_left: int = 0
    files_left: int | None = None
    holes: bool = False

    @property
    def command(self) -> list[str]:
        """What a command is put after, to see that disk. It goes when the command has ended, which
        does not begin on a disk that takes more."""
        page = os.sysconf("SC_PAGESIZE")
        there = list(self.folder.rglob("*"))
        sizes = [path.lstat().st_size for path in there if not path.is_dir()]
        size = sum(-(-size // page) * page for size in (*sizes, self.bytes_left, page))
        options = f"size={size}"
        if self.files_left is not None:
            # Besides them: the disk's own folder, and the ballast.
            options += f",nr_inodes={len(there) + self.files_left + 2}"
        copy = f"cp -a --sparse={'always' if self.holes else 'never'}"
        program = (
            f'set -e; {copy} "$0" "$0.was"; mount -t tmpfs -o {options} tmpfs "$0"; '
            f'{copy} "$0.was/." "$0"; ! head -c {size + page} /dev/zero >"$0/ballast"; '
            'if printf x >"$0/more"; then exit 1; fi; rm -f "$0/more"; '
            f'truncate -s -{self.bytes_left} "$0/ballast"; exec "$@"'
        )
        return [*NAMESPACE, "sh", "-c", program, str(self.folder)]


def no_disk_of_its_own(folder: Path) -> str:
    """Why a process cannot have one here; empty: it can.

    :param folder: any
    """
    ran = subprocess.run(
        [*NAMESPACE, "mount", "-t", "tmpfs", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"needs a mount namespace: {ran.stderr.strip()}" if ran.returncode else ""


NAMESPACE = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "-r")
"""Root has a mount namespace of its own anywhere, others where the system lets users be root."""


@dataclass
class Scene:
    """:ivar fields: of the faulty board's entry in devices.yaml, in addition
    :ivar embedded: the faulty board is one of the embedded bench: the runs power it
    :ivar real_time: with the budgets of a real bench
    :ivar plugins: pytest's, of the first run, in addition
    :ivar before_run: in the first run's process, before it becomes one
    :ivar full: the first run has this folder on a disk of its own, which is full
    :ivar during: while the first run goes on
    """

    folder: Path
    board: VirtualBoard
    sound: VirtualBoard
    environment: dict[str, str]
    fields: dict[str, str] = field(default_factory=dict)
    embedded: bool = False
    real_time: bool = False
    plugins: tuple[str, ...] = ()
    before_run: Callable[[], None] | None = None
    full: FullDisk | None = None
    during: Callable[[subprocess.Popen[str]], None] = lambda running: None
    cure: Callable[[], None] = lambda: None
    closing: ExitStack = field(default_factory=ExitStack)

    def plant(self, name: str, **options: object) -> None:
        self.board.control("fault", name=name, **options)

    def embed(self) -> None:
        """Its flash is where a run looks for its own board's."""
        self.board.stop()
        self.embedded = True

    # -- runs ------------------------------------------------------------------------------------

    def command(self, *targets: str, junit: Path, disturbed: bool = False) -> list[str]:
        """Pytest's, in the scene's folder: the checks on these targets."""
        self._write_inventory()
        command = [
            *(sys.executable, "-m", "pytest", "-c", "pytest.ini", "--rootdir", str(self.folder)),
            *("-m", "hil", "--devices", "devices.yaml", "--junitxml", str(junit)),
            *("-p", "hil.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider"),
            *(() if self.real_time else ("-p", "short_budgets")),
            *(option for name in self.plugins if disturbed for option in ("-p", name)),
            *(option for target in targets for option in ("--target", target)),
            str(CHECKS),
        ]
        return [*self.full.command, *command] if disturbed and self.full else command

    def run(
        self, *targets: str, within: float, disturbed: bool = False, junit: Path | None = None
    ) -> Ran:
        """Run the checks on these targets.

        :param junit: another file for the results; nothing is read from there
        """
        results = self.folder / "junit.xml"
        results.unlink(missing_ok=True)
        command = self.command(*targets, junit=junit or results, disturbed=disturbed)
        started = time.monotonic()
        running = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=self.before_run if disturbed else None,
        )
        try:
            if disturbed:
                self.during(running)
            output, _ = running.communicate(timeout=within)
        except BaseException:
            running.kill()
            output, _ = running.communicate()
            print(output)  # noqa: T201  pytest shows it with the failure
            raise
        took = time.monotonic() - started
        assert junit or results.exists(), output
        errors, passed = ([], {}) if junit else _results(results)
        return Ran(output, running.returncode, took, errors, passed)

    def _write_inventory(self) -> None:
        faulty = EMBEDDED if self.embedded else _entry(self.board)
        entries = {FAULTY: faulty | self.fields, SOUND: _entry(self.sound)}
        text = "targets:\n"
        for name, fields in entries.items():
            text += f"  {name}:\n" + "".join(f"    {k}: {v}\n" for k, v in fields.items())
        (self.folder / "devices.yaml").write_text(text)
        (self.folder / "pytest.ini").write_text("[pytest]\n")

    # -- beside the boards -----------------------------------------------------------------------

    @property
    def tag(self) -> str:
        """Tells this bench from those that run beside it."""
        return self.board.unique_id.hex()[-6:]

    def answer_mdns(self, hostname: str, address: str) -> None:
        """Somebody answers to this name until the next run."""
        responder = Responder(Host(hostname, address))
        ear, mouth = socket.socketpair()

        def serve() -> None:
            while ear not in select.select([responder, ear], [], [])[0]:
                responder.handle()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()

        def stop() -> None:
            mouth.send(b"x")
            thread.join()
            for end in (ear, mouth, responder):
                end.close()

        self.closing.callback(stop)

    def serve_http(self, port: int) -> str:
        """Somebody else's server at this port until the next run: its address."""
        address = f"127.9.{os.getpid() % 256}.{threading.get_native_id() % 254 + 1}"
        server = HTTPServer((address, port), _Refuses)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.closing.callback(server.server_close)
        self.closing.callback(server.shutdown)
        return address

    def wait_until_done_with(self, board: VirtualBoard, deadline: Deadline) -> None:
        """Until a run has locked this board, and let go of it again."""
        key, folder = board.record.serial_number, Path(self.environment["HIL_LOCKS"])
        for held in (True, False):
            while (lock.holder(key, folder=folder) is not None) is not held:
                assert not deadline.expired, "no run has had it" if held else "the run keeps it"
                time.sleep(0.05)  # the kernel tells nobody of a lock that is taken

    def set_right(self) -> None:
        """End the fault."""
        self.closing.close()
        self.cure()
        if not self.embedded:
            self.board.control("heal")
            self.board.power_on()
            assert self.device  # it may come out of a reset

    # -- the boards beside the runs --------------------------------------------------------------

    def on_board(self, work: Callable[[Repl, Deadline], object]) -> object:
        """Something done to the faulty board in its raw REPL, which ends its application."""
        deadline = Deadline.after(15)
        with (
            BoardLink(FAULTY, self.device, consent=self.board.consent) as link,
            link.repl(deadline) as repl,
        ):
            return work(repl, deadline)

    @property
    def device(self) -> str:
        """Its port; in a reset it is away for a moment."""
        deadline = Deadline.after(5)
        while True:
            found = usb.usb_ports(bus=Path(self.environment["HIL_VIRTUAL_BUS"]))
            try:
                return usb.find(found, usb_serial=self.board.record.serial_number).device
            except usb.NotAttachedError:
                if deadline.expired:
                    raise
            time.sleep(0.01)

    def make_as_found(self) -> None:
        def write(repl: Repl, deadline: Deadline) -> None:
            for path, data in AS_FOUND.items():
                files.write_file(repl, path, data, deadline)

        self.on_board(write)
        self.set_clock()

    def set_clock(self) -> None:
        """As it is found."""
        self.on_board(
            lambda repl, deadline: rtc.set_clock(repl, round(time.time() + AHEAD_S), deadline)
        )

    def is_as_found(self) -> bool:
        """Key and settings byte by byte, the clock, and no journal left. The embedded bench's
        boards lose their time with their power."""
        if self.embedded:
            self.board = VirtualBoard.start(FAULTY, state=self.board.state, bus=self.folder / "bus")

        def look(repl: Repl, deadline: Deadline) -> bool:
            return (
                all(
                    files.read_file(repl, path, deadline) == data for path, data in AS_FOUND.items()
                )
                and not files.exists(repl, ".hil", deadline)
                and (self.embedded or abs(rtc.read(repl, deadline).offset - AHEAD_S) < CLOCK_OFF_S)
            )

        return bool(self.on_board(look))


EMBEDDED = {"kind": "virtual", "model": "openmv-n6", "provision": "true"}


def _entry(board: VirtualBoard) -> dict[str, str]:
    return {
        "kind": "board",
        "model": "openmv-n6",
        "usb_serial": f'"{board.record.serial_number}"',
        "provision": "true",
        "wifi": "{ssid: bench}",
        "boot_timeout_s": str(BOOT_TIMEOUT_S),
    }


def environment(folder: Path) -> dict[str, str]:
    """Of the runs: a bus and locks of their own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "HIL_DEVICES"))}
    return env | {
        "HIL_VIRTUAL_BUS": str(folder / "bus"),
        "HIL_LOCKS": str(folder / "locks"),
        "PYTHONPATH": str(Path(__file__).parent),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # half a second for each run
    }


def _results(junit: Path) -> tuple[list[tuple[str, str]], dict[str, set[str]]]:
    errors = []
    passed: dict[str, set[str]] = {FAULTY: set(), SOUND: set()}
    for case in ElementTree.parse(junit).iter("testcase"):  # noqa: S314 - our own
        if case.get("classname") == "hil.bench":
            continue  # boards that are not put back: the output tells which
        name, _, target = case.get("name", "").rstrip("]").partition("[")
        broken = [child for child in case if child.tag in ("failure", "error")]
        if not broken and not any(child.tag == "skipped" for child in case):
            passed[target].add(name)
        for child in broken:
            text = (child.text or "").strip()
            kind, _, message = text.partition(": ")
            if target == SOUND:
                message = f"{SOUND}, which is sound: {text}"
            errors.append((kind if message else "Finding", message or text))
    return errors, passed


class _Refuses(BaseHTTPRequestHandler):
    """A server that is alive, and is not the board's."""

    def do_GET(self) -> None:
        self.send_error(401)

    def log_message(self, *_: object) -> None:
        pass
