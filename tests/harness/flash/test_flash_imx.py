"""Flashing an RT1062 with the real spsdk, against NXP's loader behind a pseudo-terminal.

The board's loader is a USB HID device; commands, answers and data are the same over a UART. So
what is not proven here is finding it on USB.
"""

from __future__ import annotations

import random
import sys
import time
from dataclasses import replace
from importlib.util import find_spec

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import Seen, job
from mcu_loader import (
    DATA,
    ERASE_REGION,
    FLASH,
    GET_PROPERTY,
    READ_MEMORY,
    RESET,
    UNKNOWN_COMMAND,
    WRITE_MEMORY,
    McuLoader,
    Unframe,
    frame,
)

from hil.boards.model import Partition
from hil.boards.table import model
from hil.deadline import Deadline
from hil.errors import BoardError
from hil.flash import imx, imx_loader
from hil.flash.method import FlashError, Image, Reason, RefusedError, Step, method, quiet
from hil.flash.tool import run_tool

# 240 MB with what it needs: not among the tests' own requirements, so that CI stays quick.
needs_spsdk = pytest.mark.skipif(not find_spec("spsdk"), reason="needs spsdk (pip install spsdk)")

FIRMWARE_AT = 0x60040000
FIRMWARE = Image("FIRMWARE", random.Random(1).randbytes(50_001), "firmware.bin")
ROMFS = Image("ROMFS0", random.Random(2).randbytes(4096), "romfs0.img")


class Link:
    """A board that MicroPython runs on: sent away, its loader begins to answer."""

    device = "/dev/null"

    def __init__(self, loader: McuLoader | None = None, error: BoardError | None = None) -> None:
        self.loader, self.error, self.sent, self.open = loader, error, [], True

    def send_away(self, by: str, deadline: Deadline) -> bool:
        self.sent.append(by)
        if self.error:
            raise self.error
        if self.loader:
            self.loader.silent = False
        return True

    def close(self) -> None:
        self.open = False


@pytest.fixture
def work(monkeypatch):
    """A job whose loader is behind this rig."""

    def make(loader: McuLoader, *images: Image, **more):
        monkeypatch.setattr(imx, "loader_device", lambda model: f"uart:{loader.path}")
        more = {"in_bootloader": True, **more}
        return job("openmv-rt1062", "imx", *(images or (FIRMWARE,)), **more)

    return make


def test_it_is_in_the_registry():
    assert method("imx") is imx


@needs_spsdk
def test_it_is_erased_written_read_back_and_reset(work):
    seen = Seen()
    with McuLoader() as loader:
        loader.flash[0x40000:0x60000] = b"\x00" * 0x20000
        assert imx.flash(work(loader, FIRMWARE), seen, Deadline.after(60)) == ()
    at = FIRMWARE_AT - FLASH
    assert bytes(loader.flash[at : at + 50_001]) == FIRMWARE.content
    # Whole sectors of 4 KiB, and not one more.
    assert set(loader.flash[at + 50_001 : at + 0xD000]) == {0xFF}
    assert set(loader.flash[at + 0xD000 :]) == {0}
    assert set(loader.flash[:at]) == {0}
    assert [(tag, values[:2]) for tag, values in loader.commands if tag != GET_PROPERTY] == [
        (ERASE_REGION, (FIRMWARE_AT, 0xD000)),
        (WRITE_MEMORY, (FIRMWARE_AT, 50_001)),
        (READ_MEMORY, (FIRMWARE_AT, 50_001)),
        (RESET, ()),
    ]
    assert loader.commands[0] == (GET_PROPERTY, (1, 0))
    assert loader.was_reset
    seen.assert_complete("FIRMWARE", 50_001)


@needs_spsdk
def test_the_board_is_sent_away_only_when_the_catcher_looks_already(work):
    """And is caught although its loader appears only then."""
    with McuLoader(silent=True) as loader:
        link = Link(loader)
        imx.flash(
            work(loader, FIRMWARE, ROMFS, in_bootloader=False, link=link),
            quiet,
            Deadline.after(60),
        )
    assert link.sent == ["import machine\nmachine.bootloader()"]
    assert not link.open
    assert bytes(loader.flash[0x800000:0x801000]) == ROMFS.content
    assert bytes(loader.flash[0x40000 : 0x40000 + 50_001]) == FIRMWARE.content
    assert loader.was_reset


@needs_spsdk
def test_a_board_that_cannot_be_sent_away_is_told_at_once(work):
    with McuLoader(silent=True) as loader:
        link = Link(error=BoardError("no raw REPL on /dev/ttyACM0", target="porch"))
        with pytest.raises(FlashError) as failed:
            imx.flash(work(loader, in_bootloader=False, link=link), quiet, Deadline.after(60))
    assert failed.value.step is Step.ENTER
    assert "no raw REPL" in str(failed.value)
    assert not loader.commands


@needs_spsdk
def test_another_loader_is_refused_before_anything_is_written(work):
    with McuLoader(version=0x4B020600) as loader, pytest.raises(RefusedError) as refused:
        imx.flash(work(loader), quiet, Deadline.after(60))
    assert refused.value.reason is Reason.OTHER_BOARD
    assert "version 0x4b020600, not 0x4b020800" in str(refused.value)
    assert "unplug other boards" in refused.value.hint
    assert {tag for tag, _ in loader.commands} == {GET_PROPERTY}


def test_while_another_loader_waits_the_board_is_not_sent_there():
    link = Link()
    heard = imx._Heard(job("openmv-rt1062", "imx", FIRMWARE, link=link), quiet, Deadline.after(5))
    with pytest.raises(RefusedError) as refused:
        heard.line('{"event": "ready", "waiting": 1}')
    assert refused.value.reason is Reason.AMBIGUOUS
    assert link.sent == []


def test_two_loaders_at_once_are_not_guessed_at():
    with pytest.raises(imx_loader._FailedError, match="2 loaders are waiting") as failed:
        imx_loader._claim(None, lambda: ["one", "other"], imx.LOADER_VERSION, time.monotonic() + 5)
    assert failed.value.refused is Reason.AMBIGUOUS


@needs_spsdk
def test_a_loader_that_does_not_come_is_told_at_the_deadline(work):
    with McuLoader(silent=True) as loader, pytest.raises(FlashError) as failed:
        imx.flash(work(loader), quiet, Deadline.after(5))
    assert failed.value.step is Step.FIND
    assert "nothing was written" in failed.value.hint
    assert "event" not in str(failed.value), "the lines that were meant for the parent"


@needs_spsdk
@pytest.mark.parametrize(
    ("fault", "step", "told"),
    [
        ({"refuses": ERASE_REGION}, Step.DOWNLOAD, "erasing FIRMWARE"),
        ({"refuses": WRITE_MEMORY}, Step.DOWNLOAD, "writing FIRMWARE"),
        ({"refuses": RESET}, Step.RETURN, "reset"),
        ({"spoils": True}, Step.VERIFY, "does not hold what was written"),
        ({"dies_after": 20_000}, Step.DOWNLOAD, "writing FIRMWARE"),
    ],
)
def test_a_failure_tells_the_step(work, fault, step, told):
    with McuLoader(**fault) as loader, pytest.raises(FlashError) as failed:
        imx.flash(work(loader), quiet, Deadline.after(60))
    assert failed.value.step is step
    assert told in str(failed.value)
    assert str(failed.value).startswith("porch: flashing failed at ")
    assert failed.value.hint
    assert "Traceback" not in str(failed.value)


@needs_spsdk
def test_a_loader_that_does_not_give_its_memory_back_is_no_failure_but_a_note(work):
    with McuLoader(refuses=READ_MEMORY, refuses_with=UNKNOWN_COMMAND) as loader:
        notes = imx.flash(work(loader), quiet, Deadline.after(60))
    assert loader.was_reset
    assert notes == ("FIRMWARE was not read back: its loader does not give its memory back",)


@pytest.mark.parametrize(
    ("images", "reason", "told"),
    [
        ([Image("FCB", b"x")], Reason.NEVER_WRITTEN, "the chip boots by it"),
        ([Image("SBL", b"x")], Reason.NEVER_WRITTEN, "the bootloader itself"),
        ([Image("FILESYSTEM", b"x")], Reason.NEVER_WRITTEN, "the board's files"),
        ([FIRMWARE, Image("EFUSE", b"x")], Reason.NEVER_WRITTEN, "no partition EFUSE"),
        ([Image("FIRMWARE", b"\x7fELF")], Reason.NOT_AN_IMAGE, "is an ELF file"),
        ([Image("FIRMWARE", bytes(0x3C0001))], Reason.NEVER_WRITTEN, "holds 3932160 bytes"),
    ],
)
def test_what_is_never_written_is_refused_here_too(images, reason, told, monkeypatch):
    monkeypatch.setattr(imx, "find_spec", lambda name: "installed")
    answer = imx.supports(job("openmv-rt1062", "imx", *images))
    assert answer.reason is reason
    assert told in answer.why


def test_another_model_and_a_missing_spsdk_are_said(monkeypatch):
    answer = imx.supports(job("openmv-n6", "imx", FIRMWARE))
    assert answer.reason is Reason.NO_METHOD
    assert answer.hint == "leave 'method' out: its own is openmv-dfu"
    monkeypatch.setattr(imx, "find_spec", lambda name: None)
    answer = imx.supports(job("openmv-rt1062", "imx", FIRMWARE))
    assert (answer.reason, answer.hint) == (Reason.NO_PROGRAM, "pip install 'hil[imx]'")


def test_a_loader_that_waits_is_known_by_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(imx, "_USB", tmp_path)
    known = {"unique_id": bytes(8), "location": "1-2.3"}
    there = job("openmv-rt1062", "imx", FIRMWARE, **known)
    assert imx.waiting(there, Deadline.after(1)) is None
    (tmp_path / "1-2.3").mkdir()
    for vid, pid, waits in (("37c5", "1060", False), ("15a2", "0073", True), ("15a2", "", False)):
        (tmp_path / "1-2.3" / "idVendor").write_text(f"{vid}\n")
        (tmp_path / "1-2.3" / "idProduct").write_text(f"{pid}\n")
        assert imx.waiting(there, Deadline.after(1)) == (bytes(8) if waits else None)
    (tmp_path / "1-2.3" / "idProduct").write_text("0073\n")
    assert imx.waiting(replace(there, location=None), Deadline.after(1)) is None


@given(st.sampled_from([row.name for row in model("openmv-rt1062").partitions]), st.integers(1))
def test_no_size_reaches_into_what_is_never_written(name, size):
    row = model("openmv-rt1062")
    image = Image(name, bytes(min(size, 20 << 20)))
    try:
        address, erased = imx.region(row, image)
    except ValueError:
        return
    assert erased % 4096 == 0
    assert erased >= len(image.content)
    for other in row.partitions:
        if other.never:
            assert address + erased <= other.address or other.address + other.size <= address


def test_a_wrong_table_cannot_reach_it_either():
    """A partition that is larger than it should be, in front of one that is never written."""
    row = model("openmv-rt1062")
    wrong = replace(
        row, partitions=(Partition("FIRMWARE", address=FIRMWARE_AT, size=8 << 20), *row.partitions)
    )
    with pytest.raises(ValueError, match="the board's files"):
        imx.region(wrong, Image("FIRMWARE", bytes(4 << 20)))


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=20), max_size=6), st.data())
def test_frames_come_out_as_they_went_in_however_they_are_cut(payloads, data):
    line = b"".join(frame(DATA, payload) for payload in payloads)
    reader, got = Unframe(), []
    while line:
        at = data.draw(st.integers(1, len(line)))
        got += reader.feed(line[:at])
        line = line[at:]
    assert got == [(DATA, payload) for payload in payloads]


@needs_spsdk
def test_blhost_itself_gets_the_same_from_the_rig():
    """And calls the version of OpenMV's loader what its sources call it."""
    words = ("--", "get-property", "1")
    with McuLoader() as loader:
        ran = run_tool(
            [sys.executable, "-m", "spsdk.apps.blhost", "-p", loader.path, *words],
            Deadline.after(60),
        )
    assert ran.status == 0
    assert "Current Version = K2.8.0" in ran.said
    assert loader.commands == [(GET_PROPERTY, (1, 0))]
