"""A virtual board on its serial line: the boot order, resets, Ctrl-C, what a camera does byte by
byte. Spoken to with plain reads and writes, so that nothing of the harness can cover for it."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.deadline import Deadline
from hil.errors import BenchError
from hil.virtual.board import VirtualBoard
from hil.virtual.bus import records

RAW = b"raw REPL; CTRL-B to exit\r\n>"


class HangUpError(Exception):
    """The port hung up."""


class Serial:
    def __init__(self, device: str) -> None:
        deadline = Deadline.after(10)
        while True:
            try:
                self.fd = os.open(device, os.O_RDWR | os.O_NOCTTY)
                break
            except OSError:
                assert not deadline.expired, f"{device} did not come back"
                time.sleep(0.001)
        self.text = b""

    def write(self, data: bytes) -> None:
        os.write(self.fd, data)

    def until(self, end: bytes, seconds: float = 5) -> bytes:
        deadline = Deadline.after(seconds)
        while end not in self.text:
            ready, _, _ = select.select([self.fd], [], [], deadline.remaining())
            assert ready, f"no {end!r} in {self.text!r}"
            try:
                more = os.read(self.fd, 65536)
            except OSError:
                more = b""
            if not more:
                raise HangUpError(self.text)
            self.text += more
        head, _, self.text = self.text.partition(end)
        return head

    def raw(self) -> None:
        self.write(b"\r\x03\x01")
        self.until(RAW)

    def start(self, code: str) -> None:
        self.write(code.encode() + b"\x04")
        self.until(b"OK")

    def finish(self) -> tuple[str, str]:
        out = self.until(b"\x04")
        error = self.until(b"\x04>")
        return out.decode(), error.decode()

    def run(self, code: str) -> str:
        self.start(code)
        out, error = self.finish()
        assert error == ""
        return out

    def soft_reset(self) -> str:
        """In raw mode; returns what the boot scripts printed."""
        self.write(b"\x04")
        self.until(b"MPY: soft reboot\r\n")
        return self.until(RAW).decode()

    def hard_reset(self) -> None:
        self.write(b"import machine; machine.reset()\x04")
        with pytest.raises(HangUpError):
            self.until(b"never")
        self.close()

    def close(self) -> None:
        os.close(self.fd)


@contextlib.contextmanager
def opened(board: VirtualBoard) -> Iterator[Serial]:
    serial = Serial(board.device)
    try:
        yield serial
    finally:
        with contextlib.suppress(OSError):
            serial.close()


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("board")
    with VirtualBoard.start("serial", state=folder / "state", bus=folder / "bus") as board:
        yield board


@pytest.fixture
def serial(board: VirtualBoard) -> Iterator[Serial]:
    """The board in raw mode with an empty flash, freshly reset."""
    with opened(board) as line:
        line.raw()
        line.run("import os\nfor n in os.listdir():\n os.remove(n)")
        line.soft_reset()
        yield line


def put(line: Serial, **files: str) -> None:
    for name, text in files.items():
        line.run(f"with open('{name}.py', 'w') as f: f.write({text!r})")


def test_boot_py_runs_on_every_reset_and_main_py_on_a_hard_one_only(
    board: VirtualBoard, serial: Serial
) -> None:
    put(serial, boot="print('this is boot')", main="print('this is main')")
    assert serial.soft_reset() == "this is boot\r\n"
    serial.hard_reset()
    with opened(board) as line:
        printed = line.until(b">>> ").decode()
    assert printed.startswith("this is boot\r\nthis is main\r\nMicroPython ")


def test_main_py_does_not_run_after_a_boot_py_that_raised(
    board: VirtualBoard, serial: Serial
) -> None:
    put(serial, boot="raise ValueError('no')", main="print('this is main')")
    serial.hard_reset()
    with opened(board) as line:
        printed = line.until(b">>> ").decode()
    assert "ValueError: no\r\n" in printed
    assert "this is main" not in printed


def test_the_traceback_of_main_py_is_a_cameras(board: VirtualBoard, serial: Serial) -> None:
    put(serial, main="def f():\n    1 / 0\n\nf()\n")
    serial.hard_reset()
    with opened(board) as line:
        printed = line.until(b"MicroPython ").decode()
    assert printed.splitlines() == [
        "Traceback (most recent call last):",
        '  File "main.py", line 4, in <module>',
        '  File "main.py", line 2, in f',
        "ZeroDivisionError: divide by zero",
    ]


def test_a_syntax_error_in_main_py_names_its_line(board: VirtualBoard, serial: Serial) -> None:
    put(serial, main="a = 1\nb = = 2\n")
    serial.hard_reset()
    with opened(board) as line:
        printed = line.until(b"MicroPython ").decode()
    assert printed.splitlines() == [
        "Traceback (most recent call last):",
        '  File "main.py", line 2',
        "SyntaxError: invalid syntax",
    ]


def test_what_main_py_defined_is_there_on_the_repl_and_nothing_else(
    board: VirtualBoard, serial: Serial
) -> None:
    put(serial, main="answer = 42")
    serial.hard_reset()
    with opened(board) as line:
        line.raw()
        assert line.run("print(sorted(dir()))") == ("['__file__', '__name__', 'answer']\r\n")
        assert line.run("import sys; print(sorted(n for n in sys.modules if n[0] == '_'))") == (
            "[]\r\n"
        )


def test_ctrl_c_in_main_py_prints_a_traceback_and_gives_the_repl(
    board: VirtualBoard, serial: Serial
) -> None:
    put(serial, main="import time\nprint('started')\nwhile True:\n    time.sleep(1)\n")
    serial.hard_reset()
    with opened(board) as line:
        line.until(b"started\r\n")
        line.write(b"\x03")
        printed = line.until(b"MicroPython ").decode()
        assert re.fullmatch(
            r'Traceback \(most recent call last\):\r\n  File "main\.py", line [34], in <module>\r\n'
            r"KeyboardInterrupt: \r\n",
            printed,
        )
        line.until(b">>> ")
        line.raw()


def test_entering_the_raw_repl_while_main_py_runs_loses_no_byte(
    board: VirtualBoard, serial: Serial
) -> None:
    put(serial, main="print('started')\nwhile True:\n    pass\n")
    serial.hard_reset()
    with opened(board) as line:
        line.until(b"started\r\n")
        line.write(b"\r\x03\x01print(1 + 1)\x04")
        line.until(RAW)
        assert line.until(b"\x04\x04>") == b"OK2\r\n"


def test_the_raw_repl_is_entered_at_any_moment_of_a_boot(
    board: VirtualBoard, serial: Serial
) -> None:
    put(serial, boot="x = 1", main="for _ in range(2000): pass")
    for moment_ms in range(0, 24, 2):
        serial.hard_reset()
        serial = Serial(board.device)
        time.sleep(moment_ms / 1000)
        serial.raw()
        assert serial.run("print(6 * 7)") == "42\r\n"
    serial.close()


def test_sys_exit_in_main_py_is_a_soft_reset(board: VirtualBoard, serial: Serial) -> None:
    put(serial, main="import sys\nprint('this is main')\nsys.exit()")
    serial.hard_reset()
    with opened(board) as line:
        printed = line.until(b">>> ")
    assert printed.startswith(b"this is main\r\nMPY: soft reboot\r\nMicroPython ")


@pytest.mark.parametrize("code", ["import machine; machine.soft_reset()", "raise SystemExit"])
def test_a_program_can_soft_reset_and_the_raw_mode_stays(serial: Serial, code: str) -> None:
    serial.run("kept = 1")
    serial.start(code)
    serial.until(b"MPY: soft reboot\r\n")
    serial.until(RAW)
    assert serial.run("print('kept' in globals())") == "False\r\n"


def test_ctrl_d_on_the_friendly_repl_is_a_soft_reset(serial: Serial) -> None:
    serial.write(b"\x02")
    serial.until(b">>> ")
    serial.write(b"\x04")
    assert serial.until(b">>> ").startswith(b"\r\nMPY: soft reboot\r\nMicroPython ")
    serial.raw()


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "while True: x = [0] * 100",
        "import time\ntime.sleep(100)",
        "import select, sys\nselect.poll().poll()",
        "import sys\nsys.stdin.read(1)",
        "while True: print('text' * 20)",
    ],
)
@pytest.mark.parametrize("paste", [False, True], ids=["raw", "raw-paste"])
def test_ctrl_c_interrupts(serial: Serial, code: str, paste: bool) -> None:
    if paste:
        serial.write(b"\x05A\x01")
        serial.until(b"R\x01\x80\x00\x01")
        serial.write(code.encode() + b"\x04")
        serial.until(b"\x04")
    else:
        serial.start(code)
    time.sleep(0.01)  # until it runs, there is nothing to see of it
    serial.write(b"\x03")
    _, error = serial.finish()
    assert error.startswith("Traceback")
    assert error.endswith("KeyboardInterrupt: \r\n")
    assert serial.run("print(list(range(3)))") == "[0, 1, 2]\r\n"


def test_ctrl_c_while_files_are_written_leaves_a_sound_file_system(tmp_path: Path) -> None:
    """Some of these get no answer: the unix port's signal handler jumps out of the middle of a file
    operation, and then only a reset helps. The file system is sound all the same."""
    with VirtualBoard.start("writer", state=tmp_path / "state", bus=tmp_path / "bus") as board:
        for pause_ms in range(4):
            with opened(board) as line:
                line.raw()
                line.run(
                    "import os\n"
                    "def work():\n"
                    " n = 0\n"
                    " while True:\n"
                    "  n += 1\n"
                    "  with open('a%d' % (n % 5), 'wb') as f: f.write(bytes([n % 256]) * 3000)\n"
                )
                line.start("work()")
                time.sleep(0.002 + pause_ms / 1000)
                line.write(b"\x03")
                with contextlib.suppress(AssertionError):
                    line.until(b"\x04>", 1.0)
            board.control("hard_reset")
        with opened(board) as line:
            line.raw()
            line.run("import os\nfor n in os.listdir(): os.remove(n)")
            line.run("with open('sound', 'wb') as f: f.write(bytes(range(256)) * 100)")
            code = "print(open('sound', 'rb').read() == bytes(range(256)) * 100, os.listdir())"
            assert line.run(code) == "True ['sound']\r\n"


def test_an_asyncio_application_goes_on_after_ctrl_c(serial: Serial) -> None:
    serial.start(
        "import asyncio\n"
        "async def count():\n"
        " n = 0\n"
        " while True:\n"
        "  n += 1\n"
        "  print('n =', n)\n"
        "  await asyncio.sleep_ms(5)\n"
        "asyncio.run(count())"
    )
    serial.until(b"n = 2\r\n")
    serial.write(b"\x03")
    serial.finish()
    serial.start("import asyncio; asyncio.get_event_loop().run_forever()")
    first = int(re.findall(rb"n = (\d+)\r\n", serial.until(b"\n", 5) + b"\n")[0])
    assert first >= 3
    serial.write(b"\x03")
    serial.finish()


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="only Linux's /proc tells whether a program has turned Ctrl-C off",
)
def test_ctrl_c_reaches_a_program_that_turned_it_off_as_a_byte(serial: Serial) -> None:
    serial.start(
        "import micropython, sys\n"
        "micropython.kbd_intr(-1)\n"
        "print('waits')\n"
        "print(repr(sys.stdin.read(1)))\n"
        "micropython.kbd_intr(3)"
    )
    serial.until(b"waits\r\n")
    serial.write(b"\x03")
    assert serial.finish() == (repr("\x03") + "\r\n", "")


@pytest.mark.parametrize("character", [b"\x1a", b"\x1c", b"\x13", b"\x11"])
def test_other_control_characters_do_nothing_to_a_program(serial: Serial, character: bytes) -> None:
    serial.start("import time\nfor _ in range(10): time.sleep_ms(2)\nprint('done')")
    serial.write(character)
    assert serial.finish() == ("done\r\n", "")
    serial.raw()


def test_lines_end_as_on_a_camera_and_binary_output_stays(serial: Serial) -> None:
    serial.start("import sys\nprint('a\\nb')\nsys.stdout.buffer.write(b'\\n\\x1b]hil;\\r\\n\\n')")
    assert serial.until(b"\x04\x04>") == b"a\r\nb\r\n\n\x1b]hil;\r\n\n"


def test_a_large_output_arrives_whole(serial: Serial) -> None:
    serial.start("for n in range(20000): print(n)")
    out, _ = serial.finish()
    assert out.split() == [str(n) for n in range(20000)]


def test_the_port_goes_away_on_a_hard_reset_and_comes_back(
    board: VirtualBoard, serial: Serial
) -> None:
    bus = Path(board.state.parent / "bus")
    boots = board.control("status")["boots"]
    serial.run("with open('kept', 'w') as f: f.write('x')")
    serial.hard_reset()
    with opened(board) as line:
        line.until(b">>> ")
        line.raw()
        assert line.run("import os; print(os.listdir())") == "['kept']\r\n"
        assert line.run("import machine; print(machine.reset_cause() == machine.HARD_RESET)") == (
            "True\r\n"
        )
    assert board.control("status")["boots"] == boots + 1
    assert [port.device for port in records(bus)] == [board.device]


def test_while_it_resets_the_port_and_the_bus_record_are_away(tmp_path: Path) -> None:
    with VirtualBoard.start(
        "slow", state=tmp_path / "s", bus=tmp_path / "bus", latency={"reset_s": 0.3}
    ) as board:
        assert [port.name for port in records(tmp_path / "bus")] == ["slow"]
        with opened(board) as line:
            line.raw()
            start = time.monotonic()
            line.hard_reset()
            assert not Path(board.device).exists()
            assert records(tmp_path / "bus") == []
            with opened(board) as again:
                again.until(b">>> ")
            assert time.monotonic() - start >= 0.3


def test_a_program_cannot_survive_machine_reset(board: VirtualBoard, serial: Serial) -> None:
    code = "import machine\ntry:\n machine.reset()\nexcept BaseException:\n pass\nprint('alive')"
    serial.write(code.encode() + b"\x04")
    with pytest.raises(HangUpError) as gone:
        serial.until(b"never")
    assert b"alive" not in gone.value.args[0]


def test_a_watchdog_that_is_not_fed_resets(board: VirtualBoard, serial: Serial) -> None:
    serial.run(
        "import machine, time\n"
        "w = machine.WDT(timeout=60)\n"
        "for _ in range(5):\n"
        " time.sleep_ms(20)\n"
        " w.feed()"
    )
    with pytest.raises(HangUpError):
        serial.until(b"never", 5)
    with opened(board) as line:
        line.raw()
        assert line.run("import machine; print(machine.reset_cause() == machine.WDT_RESET)") == (
            "True\r\n"
        )


def test_power_off_and_on(board: VirtualBoard, serial: Serial) -> None:
    serial.run("with open('kept', 'w') as f: f.write('x')")
    board.power_off()
    assert not Path(board.device).exists()
    assert board.control("status")["power"] == "off"
    board.power_on()
    with opened(board) as line:
        line.raw()
        assert line.run("import os; print(os.listdir())") == "['kept']\r\n"
        assert line.run("import machine; print(machine.reset_cause() == machine.PWRON_RESET)") == (
            "True\r\n"
        )


@pytest.mark.parametrize("writes", [0, 1, 2, 3, 7])
def test_a_power_cut_after_the_nth_block_write_is_exact(
    board: VirtualBoard, serial: Serial, writes: int
) -> None:
    serial.run("with open('data', 'wb') as f: f.write(b'\\1' * 5000)")
    before = board.control("status")["block_writes"]
    board.control("cut_after_writes", n=writes)
    serial.write(b"with open('data', 'wb') as f: f.write(b'\\2' * 5000)\x04")
    with pytest.raises(HangUpError):
        serial.until(b"never")
    status = board.control("status")
    assert (status["power"], status["block_writes"]) == ("off", before + writes)
    board.power_on()
    with opened(board) as line:
        line.raw()
        # One cut is one cut.
        assert line.run("with open('other', 'w') as f: print(f.write('x' * 5000))") == "5000\r\n"


def test_flash_content_outlives_the_supervisor(tmp_path: Path) -> None:
    for expected in ("[]", "['kept']"):
        with (
            VirtualBoard.start("flash", state=tmp_path / "s", bus=tmp_path / "bus") as board,
            opened(board) as line,
        ):
            line.raw()
            assert line.run("import os; print(os.listdir())") == expected + "\r\n"
            line.run("with open('kept', 'w') as f: f.write('x')")


def test_a_board_never_waits_for_a_console_that_nobody_reads(tmp_path: Path) -> None:
    with VirtualBoard.start("deaf", state=tmp_path / "s", bus=tmp_path / "bus") as board:
        with opened(board) as line:
            line.raw()
            line.write(
                b"for n in range(20000): print('line', n)\n"
                b"with open('done', 'w') as f: f.write('x')\n"
                b"print('the end')\x04"
            )
        deadline = Deadline.after(20)
        while board.control("status")["block_writes"] < 42:  # the file
            assert not deadline.expired
            time.sleep(0.05)
        with opened(board) as line:
            assert b"line 19999" in line.until(b"the end\r\n")


def test_the_host_sees_the_models_directories_and_modules(serial: Serial) -> None:
    assert serial.run("import os, sys; print(os.getcwd(), sys.path)") == (
        "/flash ['', '.frozen', '/flash', '/flash/lib', '/rom', '/rom/lib']\r\n"
    )
    assert serial.run("print(sorted(os.listdir('/')))") == "['flash', 'rom']\r\n"
    assert serial.run("import microdot.auth; print(microdot.__file__)") == (
        "/rom/lib/microdot/__init__.py\r\n"
    )
    assert serial.run("print(hasattr(os, 'system'), sys.argv)") == "False []\r\n"


def test_without_frozen_packages_there_is_no_rom(tmp_path: Path) -> None:
    with (
        VirtualBoard.start(
            "plain", state=tmp_path / "s", bus=tmp_path / "bus", frozen=False
        ) as board,
        opened(board) as line,
    ):
        line.raw()
        assert line.run("import os, sys; print(os.listdir('/'), sys.path[-1])") == (
            "['flash'] /flash/lib\r\n"
        )


def test_the_identity_follows_from_the_folder_of_its_flash(tmp_path: Path) -> None:
    seen = []
    for folder in ("a", "a", "b"):
        with VirtualBoard.start(
            "porch", "openmv-ae3", state=tmp_path / folder, bus=tmp_path / "bus"
        ) as board:
            seen.append(board.unique_id)
            assert board.record.serial_number == board.unique_id.hex()
            assert board.record == records(tmp_path / "bus")[0]
            assert len(board.unique_id) == 8
            with opened(board) as line:
                line.raw()
                code = "import machine; print(machine.unique_id().hex())"
                assert line.run(code).strip() == board.unique_id.hex()
    assert seen[0] == seen[1] != seen[2]


def processes_of(state: Path) -> list[str]:
    command = ["ps", "-axww", "-o", "pid,args"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line for line in answer.stdout.splitlines() if str(state) in line]


def assert_no_process_of(state: Path) -> None:
    deadline = Deadline.after(5)
    while processes_of(state):
        assert not deadline.expired, processes_of(state)
        time.sleep(0.01)


def test_nothing_is_left_of_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    board = VirtualBoard.start("killed", state=tmp_path / "s", bus=tmp_path / "bus")
    try:
        assert len(processes_of(tmp_path / "s")) == 2
        with opened(board) as line:  # a program that never looks at its terminal
            line.raw()
            line.start("while True: pass")
        os.kill(board.record.supervisor_pid, signal.SIGKILL)
        board.stop()
        assert_no_process_of(tmp_path / "s")
        assert records(tmp_path / "bus") == []
        assert list((tmp_path / "bus").iterdir()) == []
    finally:
        board.stop()


def test_nothing_is_left_of_a_board_whose_bench_is_killed(tmp_path: Path) -> None:
    bench = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from pathlib import Path; from hil.virtual.board import VirtualBoard\n"
            "here = Path(sys.argv[1])\n"
            "VirtualBoard.start('orphan', state=here / 's', bus=here / 'bus')\n"
            "print('up', flush=True); sys.stdin.read()",
            str(tmp_path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with bench:
        assert bench.stdout is not None
        assert bench.stdout.readline() == b"up\n"
        bench.kill()
    assert_no_process_of(tmp_path / "s")
    assert not (tmp_path / "s" / "control.sock").exists()
    assert not (tmp_path / "s" / "tty").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("#!/bin/sh\necho cannot load this; exit 3\n", "cannot load this"),
        ("#!/bin/sh\nkill -9 $$\n", "nothing"),
    ],
)
def test_a_micropython_that_does_not_start_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    program = tmp_path / "micropython"
    program.write_text(script)
    program.chmod(0o755)
    monkeypatch.setenv("HIL_MICROPYTHON", str(program))
    with pytest.raises(BenchError) as error:
        VirtualBoard.start("broken", state=tmp_path / "s", bus=tmp_path / "bus")
    assert "MicroPython does not start" in str(error.value)
    assert said in str(error.value)
    assert str(error.value).startswith("broken: ")
    assert_no_process_of(tmp_path / "s")


def test_an_unknown_model_is_named_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="openmv-n6"):
        VirtualBoard.start("x", "openmv-n7", state=tmp_path)


def test_many_start_at_once(tmp_path: Path) -> None:
    boards = [
        VirtualBoard.start(f"b{n}", state=tmp_path / str(n), bus=tmp_path / "bus", wait=False)
        for n in range(6)
    ]
    try:
        deadline = Deadline.after(20)
        for board in boards:
            board.wait_ready(deadline)
        assert len({board.address for board in boards}) == 6
        assert [port.name for port in records(tmp_path / "bus")] == [f"b{n}" for n in range(6)]
    finally:
        for board in boards:
            board.stop()


def test_the_state_directory_may_have_a_long_name(tmp_path: Path) -> None:
    state = tmp_path / ("long" * 30)
    with VirtualBoard.start("long", state=state, bus=tmp_path / "bus") as board:
        assert board.control("status")["power"] == "on"
    assert not (state / "control.sock").is_symlink()


def test_control_refuses_what_it_does_not_know(board: VirtualBoard) -> None:
    with pytest.raises(BenchError, match="power_cut"):
        board.control("fly")
    with pytest.raises(BenchError, match="cut_after_writes"):
        board.control("cut_after_writes", count=3)
