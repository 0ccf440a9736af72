"""Flashing by the user's own command: words, no shell, its own words in the error."""

from __future__ import annotations

import json
import shlex
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs import Seen, job

from hil.boards.table import model
from hil.deadline import Deadline
from hil.discovery.usb import UsbPort
from hil.errors import BenchError
from hil.flash import command, flow
from hil.flash.method import FlashError, Image, Reason, Step, method, quiet
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

FIRMWARE = Image("FIRMWARE", bytes(range(256)), "build/fw of today.hex")


def work(line: str, *images: Image, **more):
    return job(
        "openmv-n6",
        "command",
        *(images or (FIRMWARE,)),
        device="/dev/ttyACM3",
        command=line,
        **more,
    )


def script(tmp_path, code: str) -> str:
    """A command line that runs this code."""
    file = tmp_path / "my flasher.py"
    file.write_text(code)
    return shlex.join([sys.executable, "-u", str(file)])


def test_it_is_in_the_registry():
    assert method("command") is command


def test_the_words_arrive_as_they_are(tmp_path):
    """Whatever a shell would make of them, and with the very bytes that were approved."""
    out = tmp_path / "out.json"
    line = script(
        tmp_path,
        "import json, pathlib, sys\n"
        f"old = json.loads(pathlib.Path({str(out)!r}).read_text()) if "
        f"pathlib.Path({str(out)!r}).exists() else []\n"
        "image = pathlib.Path(sys.argv[1])\n"
        "old.append([sys.argv[2:], image.read_bytes().hex(), image.suffix])\n"
        f"pathlib.Path({str(out)!r}).write_text(json.dumps(old))\n",
    )
    line += " {image} '--to={port}' \"a b\" '$HOME;ls' {{x}} {serial} {partition}"
    both = (FIRMWARE, Image("ROMFS0", b"rom"))
    seen, asked = Seen(), work(line, *both, usb_serial="0033 $(x)")
    assert command.supports(asked) is None
    notes = command.flash(asked, seen, Deadline.after(30))
    assert notes == ("ROMFS0 was not read back: only the command's exit status tells",)
    common = ["--to=/dev/ttyACM3", "a b", "$HOME;ls", "{x}", "0033 $(x)"]
    assert json.loads(out.read_text()) == [
        [[*common, "FIRMWARE"], FIRMWARE.content.hex(), ".hex"],
        [[*common, "ROMFS0"], b"rom".hex(), ".bin"],
    ]
    assert seen.told == [
        ("FIRMWARE", 0, 256), ("FIRMWARE", 256, 256), ("ROMFS0", 0, 3), ("ROMFS0", 3, 3),
    ]  # fmt: skip


def test_a_failure_tells_the_status_and_the_last_words(tmp_path):
    line = script(tmp_path, "print('first\\n' * 50 + 'no probe found'); exit(7)")
    with pytest.raises(FlashError) as failed:
        command.flash(work(line), quiet, Deadline.after(30))
    assert failed.value.step is Step.DOWNLOAD
    assert "failed with exit status 7, for FIRMWARE" in str(failed.value)
    assert failed.value.said.endswith("no probe found")
    assert failed.value.said.count("first") < 10
    assert "put right what the command says" in failed.value.hint


def test_a_signal_is_told(tmp_path):
    line = script(tmp_path, "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(FlashError, match="was ended by signal 9"):
        command.flash(work(line), quiet, Deadline.after(30))


def test_one_that_never_ends_is_ended_at_the_deadline(tmp_path):
    line = script(tmp_path, "import time; print('waiting for the board'); time.sleep(600)")
    with pytest.raises(FlashError, match="did not end in time and was killed") as failed:
        command.flash(work(line), quiet, Deadline.after(3))
    assert failed.value.said == "waiting for the board"


def test_what_cannot_be_started_is_the_bench_s_fault(tmp_path):
    broken = tmp_path / "tool"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    with pytest.raises(BenchError, match="cannot run"):
        command.flash(work(str(broken)), quiet, Deadline.after(30))


@pytest.mark.parametrize(
    ("line", "reason", "told"),
    [
        (None, Reason.NO_METHOD, "gives no command"),
        ("  ", Reason.NO_METHOD, "gives no command"),
        ("true 'half", Reason.NO_METHOD, "cannot be read"),
        ("true {image", Reason.NO_METHOD, "cannot be read"),
        ("true {}", Reason.NO_METHOD, "cannot be read"),
        ("true {file} {image.x}", Reason.NO_METHOD, "mean nothing here: file, image.x"),
        ("no-such-flasher {image}", Reason.NO_PROGRAM, "no program 'no-such-flasher'"),
        ("true {serial}", Reason.OTHER_BOARD, "devices.yaml lists none"),
    ],
)
def test_a_command_that_cannot_work_is_said_before_it_is_run(line, reason, told):
    answer = command.supports(work(line))
    assert answer.reason is reason
    assert told in answer.why
    assert answer.hint


def test_the_flow_runs_it_once_and_has_the_board_back(tmp_path):
    line = script(tmp_path, "import sys; open(sys.argv[1], 'ab').write(b'flashed ')")
    line += " " + shlex.quote(str(tmp_path / "log"))
    with (
        VirtualBoard.start("cmd", state=tmp_path / "state", bus=tmp_path / "bus") as board,
        BoardLink("porch", board.device, consent=board.consent) as link,
    ):
        asked = work(line, link=link)
        assert flow.flash(asked, tmp_path).written == ("FIRMWARE",)
        assert flow.flash(asked, tmp_path).written == ()
    assert (tmp_path / "log").read_bytes() == b"flashed "


@pytest.mark.parametrize(
    ("key", "attached", "known"),
    [
        ("openmv-n6", "0a0b", True),
        ("openmv-n6", "0c0d", False),
        ("esp32-cam", "0a0b", False),
    ],
)
def test_a_dead_repl_is_known_by_the_serial_number_of_the_boards_own_usb(
    key, attached, known, monkeypatch
):
    """That of a UART bridge says nothing of the board behind it."""
    port = UsbPort("/dev/ttyACM3", 0x37C5, 0x1206, attached, None, "1-2", None, "run")
    monkeypatch.setattr(command, "usb_ports", lambda: [port])
    more = {"model": model(key), "usb_serial": "0A0B", "unique_id": b"id"}
    assert command.waiting(work("true", **more), Deadline.after(1)) == (b"id" if known else None)
    more["usb_serial"] = None
    assert command.waiting(work("true", **more), Deadline.after(1)) is None


@given(st.text(st.sampled_from("{}'\"\\ :!.[]aimge"), max_size=30))
def test_any_line_is_refused_or_can_be_made_into_words(tmp_path_factory, line):
    asked = work(line)
    if command.supports(asked) is None:
        assert command.words(asked, FIRMWARE, tmp_path_factory.getbasetemp())
