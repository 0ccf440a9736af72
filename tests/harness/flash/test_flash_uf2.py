"""UF2 files, and flashing by a copy onto the loader's drive."""

from __future__ import annotations

import errno
import os
import random
import struct
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs import Seen, job

from hil.boards.table import model, models
from hil.deadline import Deadline
from hil.flash import uf2
from hil.flash.method import FlashError, Image, Reason, RefusedError, Step, method, quiet
from hil.flash.uf2_file import parse

RP2040, SAMD51 = 0xE48BFF56, 0x55114460
# No model of the table has such a loader so far.
PICO = replace(model("openmv-n6"), title="Pico", uf2_family=RP2040, uf2_boards=("RPI-RP2",))


def block(
    address: int, data: bytes, number: int, count: int, family: int = RP2040, flags: int = 0x2000
) -> bytes:
    head = struct.pack(
        "<8I", 0x0A324655, 0x9E5D5157, flags, address, len(data), number, count, family
    )
    return head + data.ljust(476, b"\xff") + struct.pack("<I", 0x0AB16F30)


def file_of(content: bytes, family: int = RP2040, at: int = 0x10000000, size: int = 256) -> bytes:
    parts = [content[i : i + size] for i in range(0, len(content), size)]
    return b"".join(
        block(at + i * size, part, i, len(parts), family) for i, part in enumerate(parts)
    )


CONTENT = random.Random(1).randbytes(256 * 300)
FIRMWARE = Image("FIRMWARE", file_of(CONTENT), "rp2.uf2")


class Bus:
    """Mounted drives, as the system lists them: a folder each."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows = folder, []

    def mount(self, name: str, board: str = "RPI-RP2", device: str = "sda1", kind="vfat") -> Path:
        drive = self.folder / name
        drive.mkdir()
        (drive / "INFO_UF2.TXT").write_text(f"UF2 Bootloader v3.0\r\nBoard-ID: {board}\r\n")
        self.rows.append((device, drive, kind))
        self.write()
        return drive

    def write(self) -> None:
        lines = [
            f"/dev/{device} {str(path).replace(' ', chr(92) + '040')} {kind} rw 0 0\n"
            for device, path, kind in self.rows
        ]
        (self.folder / "mounts").write_text("".join(lines))

    def vanish(self) -> None:
        self.rows.clear()
        self.write()


@pytest.fixture
def bus(tmp_path, monkeypatch):
    monkeypatch.setattr(uf2, "_MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr(uf2, "_BLOCK_DEVICES", tmp_path / "block")
    monkeypatch.setattr(uf2.sys, "platform", "linux")
    for device, place in (("sda1", "1-2.3"), ("sdb1", "1-2.4")):
        real = tmp_path / "devices" / place / f"{place}:1.0" / "host0" / device
        real.mkdir(parents=True)
        (tmp_path / "block").mkdir(exist_ok=True)
        (tmp_path / "block" / device).symlink_to(real)
    return Bus(tmp_path)


def work(*images: Image, **more):
    more = {"in_bootloader": True, "model": PICO, **more}
    return job("openmv-n6", "uf2", *(images or (FIRMWARE,)), **more)


def loader(bus: Bus, drive: Path, wants: int) -> tuple[threading.Thread, list[bytes]]:
    """Takes the file, and vanishes at its last block."""
    took: list[bytes] = []

    def run() -> None:
        deadline, never = Deadline.after(30), threading.Event()
        file = drive / "HIL.UF2"
        while not deadline.expired:
            if file.exists() and file.stat().st_size >= wants:
                took.append(file.read_bytes())
                bus.vanish()
                return
            never.wait(0.01)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, took


# --- the file ---


def test_a_file_is_read_by_family():
    other = file_of(b"x" * 600, SAMD51, at=0x4000, size=200)
    note = block(0, b"note", 2, 3, flags=0x2001)
    ours = block(0x100, b"b" * 256, 1, 3) + block(0, b"a" * 256, 0, 3)
    found = parse(ours + other + note)
    assert found[RP2040].pieces == ((0, b"a" * 256), (0x100, b"b" * 256))
    assert found[RP2040].size == 512
    assert [address for address, _ in found[SAMD51].pieces] == [0x4000, 0x40C8, 0x4190]


def test_the_lone_first_block_of_an_rp2350_file_is_no_damage():
    lone = block(0x10FFFF00, bytes(256), 0, 2, 0xE48BFF57)
    assert set(parse(lone + FIRMWARE.content)) == {0xE48BFF57, RP2040}


GOOD = file_of(b"z" * 1024)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "0 bytes are no whole number"),
        (GOOD[:-1], "no whole number of blocks"),
        (GOOD[:-512], "1 blocks are missing"),
        (GOOD[:512], "3 blocks are missing"),
        (GOOD + GOOD[:512], "number 0 of 4, again"),
        (GOOD[:512] + bytes(512), "block 1 of the file is no UF2 block"),
        (GOOD[:508] + b"\0\0\0\0" + GOOD[512:], "block 0 of the file is no UF2 block"),
        (block(0, b"abcd", 0, 1, flags=0x3000), "a part of a file"),
        (block(0, b"abcd", 0, 1, flags=0), "names no family"),
        (block(0, b"abc", 0, 1), "3 bytes for 0x0"),
        (block(2, b"abcd", 0, 1), "4 bytes for 0x2"),
        (block(0, b"", 0, 1), "0 bytes for 0x0"),
        (block(0, b"abcd", 0, 2) + block(4, b"abcd", 1, 3), "others were not"),
        (block(0, b"abcd", 1, 1), "number 1 of 1"),
        (block(0, b"abcdefgh", 0, 2) + block(4, b"abcd", 1, 2), "two blocks are for 0x4"),
    ],
)
def test_what_a_loader_would_not_take_is_said(content, told):
    with pytest.raises(ValueError, match=told):
        parse(content)


@given(st.binary(min_size=1, max_size=3000), st.sampled_from([4, 256, 476]), st.randoms())
def test_what_goes_in_comes_out_in_whatever_order_the_blocks_stand(content, size, order):
    content += bytes(-len(content) % 4)
    whole = file_of(content, size=size)
    blocks = [whole[i : i + 512] for i in range(0, len(whole), 512)]
    order.shuffle(blocks)
    found = parse(b"".join(blocks))[RP2040]
    assert b"".join(data for _, data in found.pieces) == content
    assert [at for at, _ in found.pieces] == list(
        range(0x10000000, 0x10000000 + len(content), size)
    )


@given(st.binary(max_size=1100) | st.tuples(st.integers(0, 2047), st.integers(0, 255)))
def test_any_bytes_are_read_or_refused(change):
    if isinstance(change, tuple):
        at, byte = change
        content = GOOD[:at] + bytes([byte]) + GOOD[at + 1 :]
    else:
        content = change
    try:
        found = parse(content)
    except ValueError:
        return
    assert sum(family.size for family in found.values()) <= len(content)


# --- the drive ---


def test_it_is_in_the_registry():
    assert method("uf2") is uf2


@pytest.mark.parametrize("name", ["RPI-RP2", "my drive"])
def test_the_file_is_copied_and_the_drive_awaited_to_vanish(bus, name):
    drive, seen = bus.mount(name), Seen()
    thread, took = loader(bus, drive, len(FIRMWARE.content))
    assert uf2.supports(work()) is None
    uf2.flash(work(), seen, Deadline.after(30))
    thread.join()
    assert took == [FIRMWARE.content]
    seen.assert_complete("FIRMWARE", len(FIRMWARE.content))


def test_a_drive_that_stays_has_not_taken_it(bus):
    drive = bus.mount("RPI-RP2")
    with pytest.raises(FlashError) as failed:
        uf2.flash(work(), quiet, Deadline.after(1))
    assert failed.value.step is Step.RETURN
    assert f"the drive {drive} is still there" in str(failed.value)


def test_another_board_s_drive_is_not_written_to(bus):
    drive = bus.mount("ARDUINO", board="SAMD51-Other-v0")
    with pytest.raises(FlashError) as failed:
        uf2.flash(work(), quiet, Deadline.after(0.3))
    assert failed.value.step is Step.ENTER
    assert [file.name for file in drive.iterdir()] == ["INFO_UF2.TXT"]


def test_of_two_alike_the_place_decides(bus):
    one, other = bus.mount("one", device="sda1"), bus.mount("other", device="sdb1")
    with pytest.raises(RefusedError) as refused:
        uf2.flash(work(), quiet, Deadline.after(1))
    assert refused.value.reason is Reason.AMBIGUOUS
    assert "eject all but one" in refused.value.hint
    thread, took = loader(bus, other, len(FIRMWARE.content))
    uf2.flash(work(location="1-2.4"), quiet, Deadline.after(30))
    thread.join()
    assert took == [FIRMWARE.content]
    assert [file.name for file in one.iterdir()] == ["INFO_UF2.TXT"]


def test_only_fat_is_looked_at(bus):
    """A network's drive may hang whoever asks it."""
    bus.mount("far", kind="nfs4")
    assert uf2.drives() == []


def test_a_loader_that_waits_is_known_by_its_place(bus):
    bus.mount("one", device="sda1")
    known = work(unique_id=bytes(12))
    assert uf2.waiting(replace(known, location="1-2.3"), Deadline.after(1)) == bytes(12)
    assert uf2.waiting(replace(known, location="1-2.4"), Deadline.after(1)) is None
    assert uf2.waiting(known, Deadline.after(1)) is None


def test_a_drive_that_is_pulled_out_in_the_middle_is_told(bus, monkeypatch):
    bus.mount("RPI-RP2")
    real, times = os.fsync, iter(range(99))

    def fsync(file: int) -> None:
        if next(times) == 1:
            bus.vanish()
            raise OSError(errno.EIO, "Input/output error")
        real(file)

    monkeypatch.setattr(uf2.os, "fsync", fsync)
    with pytest.raises(FlashError) as failed:
        uf2.flash(work(), quiet, Deadline.after(30))
    assert failed.value.step is Step.DOWNLOAD
    assert f"65536 of {len(FIRMWARE.content)} bytes" in str(failed.value)
    assert "Input/output error" in str(failed.value)


def test_a_board_that_starts_at_the_last_block_is_no_failure(bus, monkeypatch):
    drive, seen = bus.mount("RPI-RP2"), Seen()
    real = os.fsync

    def fsync(file: int) -> None:
        real(file)
        if (drive / "HIL.UF2").stat().st_size == len(FIRMWARE.content):
            bus.vanish()
            raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(uf2.os, "fsync", fsync)
    uf2.flash(work(), seen, Deadline.after(30))
    seen.assert_complete("FIRMWARE", len(FIRMWARE.content))


def test_a_drive_that_hangs_is_given_up_at_the_deadline(bus, monkeypatch):
    bus.mount("RPI-RP2")
    release = threading.Event()
    monkeypatch.setattr(uf2.os, "fsync", lambda file: release.wait(30))
    try:
        with pytest.raises(FlashError, match="the drive takes no more"):
            uf2.flash(work(), quiet, Deadline.after(0.5))
    finally:
        release.set()


@pytest.mark.parametrize(
    ("images", "reason", "told"),
    [
        ([Image("FIRMWARE", b"\xe9 an image for esptool")], Reason.NOT_AN_IMAGE, "is no UF2 file"),
        ([Image("FIRMWARE", GOOD[:-512])], Reason.NOT_AN_IMAGE, "is a damaged UF2 file"),
        ([Image("FIRMWARE", file_of(b"z" * 8, SAMD51))], Reason.OTHER_MODEL, "0x55114460, not 0x"),
        ([FIRMWARE, FIRMWARE], Reason.INCOMPLETE, "2 images are given"),
    ],
)
def test_what_cannot_be_done_is_said_before_the_board_is_touched(images, reason, told):
    answer = uf2.supports(work(*images))
    assert answer.reason is reason
    assert told in answer.why


def test_no_model_of_the_table_has_such_a_loader_so_far():
    for row in models():
        answer = uf2.supports(work(model=row))
        assert answer.reason is Reason.NO_METHOD
