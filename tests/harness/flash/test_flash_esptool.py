"""Flashing with the real esptool, against a chip's ROM loader behind a pseudo-terminal."""

from __future__ import annotations

import random
import struct
from dataclasses import replace
from importlib import metadata

import pytest
import serial
from esp_rom import DEFL_BEGIN, FLASH_BEGIN, MAC, MD5, SECURITY, EspRom, Unslip, slip
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import Seen, job

from hil.boards.table import model
from hil.deadline import Deadline
from hil.discovery.usb import UsbPort
from hil.errors import BenchError
from hil.flash import esptool, flow, record
from hil.flash.method import FlashError, Image, Reason, RefusedError, Step, method, quiet
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

_CHIP_ID = {"esp32": 0, "esp32s3": 9}
_KEYS = {"esp32": "esp32-cam", "esp32s3": "esp32-s3"}


def image(chip: str, size: int = 70_001, *, like: int = 1) -> Image:
    """As Espressif's images begin; then bytes that no compression shortens."""
    head = struct.pack("<BBBBI", 0xE9, 1, 2, 0x20, 0x40080000) + bytes(4)
    head += struct.pack("<H", _CHIP_ID[chip]) + bytes(10)
    return Image("FIRMWARE", head + random.Random(like).randbytes(size - len(head)), "fw.bin")


def usb_port(device: str, location: str, serial: str = "7C:DF:A1:00:00:01") -> UsbPort:
    """A chip in its loader."""
    ids = (0x303A, 0x1001)
    return UsbPort(device, *ids, serial, None, location, "esp32-s3", "bootloader")


@pytest.fixture
def ports(monkeypatch):
    """What is on USB; a chip with USB of its own shows there in its loader."""
    listed: list[UsbPort] = []
    monkeypatch.setattr(esptool, "usb_ports", lambda: list(listed))
    return listed


@pytest.fixture
def one_attempt(monkeypatch, tmp_path):
    """esptool is soon sure that nobody answers: its own settings file."""
    settings = tmp_path / "esptool.cfg"
    settings.write_text("[esptool]\nconnect_attempts = 1\nwrite_block_attempts = 1\n")
    monkeypatch.setenv("ESPTOOL_CFGFILE", str(settings))


@pytest.fixture
def job_for(ports):
    """A job for the chip behind a rig, whatever kind of port it has."""

    def make(rom: EspRom, *images: Image, key: str | None = None, **more):
        key = key or _KEYS[rom.chip]
        ports.append(usb_port(rom.path, "1-2.3"))
        device = rom.path if key == "esp32-cam" else "/dev/null"
        return job(
            key,
            "esptool",
            *images,
            device=device,
            **{"in_bootloader": True, "location": "1-2.3", "unique_id": MAC, **more},
        )

    return make


def test_it_is_in_the_registry():
    assert method("esptool") is esptool


@pytest.mark.parametrize("chip", ["esp32", "esp32s3"])
def test_the_image_arrives_where_it_belongs_and_nowhere_else(chip, job_for):
    fw, seen = image(chip), Seen()
    with EspRom(chip) as rom:
        work = job_for(rom, fw)
        assert esptool.supports(work) is None
        rom.flash[0x2000:0x3000] = bytes(0x1000)  # what was there before is erased first
        esptool.flash(work, seen, Deadline.after(60))
    start = work.model.partition("FIRMWARE").address
    end = start + len(fw.content)
    assert bytes(rom.flash[start:end]) == fw.content
    assert set(rom.flash[:start]) <= {0xFF}
    assert set(rom.flash[end + 16 :]) <= {0xFF}
    assert {MD5, SECURITY} <= set(rom.commands)
    seen.assert_complete("FIRMWARE", len(fw.content))


def test_a_chip_with_native_usb_is_sent_to_its_loader_by_micropython(tmp_path, monkeypatch):
    fw, went = image("esp32s3"), []
    with (
        EspRom("esp32s3") as rom,
        VirtualBoard.start(
            "s3", model="esp32-s3", state=tmp_path / "state", bus=tmp_path / "bus"
        ) as board,
        BoardLink("porch", board.device, consent=board.consent) as link,
    ):
        deadline = Deadline.after(60)
        with link.repl(deadline) as repl:  # as a virtual board leaves the bus
            repl.exec("import machine\nmachine.bootloader = machine.reset\nmark = 1", deadline)
        send_away = link.send_away
        monkeypatch.setattr(link, "send_away", lambda *a: went.append(a) or send_away(*a))
        loaders = [usb_port(rom.path, "1-2.3")]
        monkeypatch.setattr(esptool, "usb_ports", lambda: loaders if went else [])
        asked = job("esp32-s3", "esptool", fw, link=link, location="1-2.3", unique_id=MAC)
        esptool.flash(asked, quiet, deadline)
        link.come_back(deadline)
        with link.repl(deadline) as repl:
            assert repl.eval("'mark' in globals()", deadline) is False
    assert len(went) == 1
    assert bytes(rom.flash[: len(fw.content)]) == fw.content


def test_what_is_mostly_empty_arrives_compressed(job_for):
    head = image("esp32").content[:24]
    fw, seen = Image("FIRMWARE", head + bytes(200_000) + b"end"), Seen()
    with EspRom("esp32") as rom:
        esptool.flash(job_for(rom, fw), seen, Deadline.after(60))
    assert bytes(rom.flash[0x1000 : 0x1000 + len(fw.content)]) == fw.content
    assert rom.received < 20_000 + rom.stub_bytes
    assert seen.told[-1] == ("FIRMWARE", len(fw.content), len(fw.content))


def test_another_chip_is_refused_before_anything_is_written(job_for):
    with EspRom("esp32") as rom, pytest.raises(RefusedError) as refused:
        esptool.flash(job_for(rom, image("esp32s3"), key="esp32-s3"), quiet, Deadline.after(60))
    assert (refused.value.reason, refused.value.step) == (Reason.OTHER_MODEL, Step.FIND)
    assert "is an ESP32, not an esp32s3" in str(refused.value)
    assert set(rom.flash) == {0xFF}


def test_a_flash_that_holds_something_else_is_told(job_for):
    with EspRom("esp32", spoils=True) as rom, pytest.raises(FlashError) as failed:
        esptool.flash(job_for(rom, image("esp32")), quiet, Deadline.after(60))
    assert failed.value.step is Step.VERIFY
    assert "MD5 of file does not match data in flash" in failed.value.said
    assert str(failed.value).startswith("porch: flashing failed at 'verify'")
    assert "flash again" in failed.value.hint


def test_a_port_without_a_loader_is_told(job_for, one_attempt):
    with EspRom("esp32", silent=True) as rom, pytest.raises(FlashError) as failed:
        esptool.flash(job_for(rom, image("esp32")), quiet, Deadline.after(60))
    assert failed.value.step is Step.FIND
    assert f"no esp32 in its loader answers at {rom.path}" in str(failed.value)
    assert "No serial data received" in failed.value.said
    assert "nothing was written; hold BOOT" in failed.value.hint


def test_a_board_that_is_pulled_out_in_the_middle_is_told(job_for, one_attempt):
    with EspRom("esp32s3", dies_after=20_000) as rom, pytest.raises(FlashError) as failed:
        esptool.flash(job_for(rom, image("esp32s3")), quiet, Deadline.after(60))
    assert failed.value.step is Step.DOWNLOAD
    assert "holds a part of the image" in str(failed.value)
    assert "esptool said" in str(failed.value)


def test_the_deadline_ends_esptool(job_for):
    with EspRom("esp32", silent=True) as rom:
        with pytest.raises(FlashError, match="not through in time: no esp32"):
            esptool.flash(job_for(rom, image("esp32")), quiet, Deadline.after(1.5))
        with serial.Serial(rom.path, exclusive=True):
            pass  # nobody has it open any more


def test_a_held_port_is_the_bench_s_fault(job_for):
    with (
        EspRom("esp32") as rom,
        serial.Serial(rom.path, exclusive=True),
        pytest.raises(BenchError, match=f"esptool cannot open {rom.path}") as failed,
    ):
        esptool.flash(job_for(rom, image("esp32")), quiet, Deadline.after(60))
    assert "temporarily unavailable" in str(failed.value)


def test_a_chip_that_does_not_show_its_loader_is_told(ports):
    ports.append(usb_port("/dev/ttyACM7", "1-2.4"))  # another one's
    work = job("esp32-s3", "esptool", image("esp32s3"), in_bootloader=True, location="1-2.3")
    with pytest.raises(FlashError) as failed:
        esptool.flash(work, quiet, Deadline.after(0.2))
    assert failed.value.step is Step.ENTER
    assert "no bootloader on USB" in str(failed.value)
    assert "by hand (hold BOOT" in failed.value.hint


def test_while_another_board_may_be_taken_for_its_loader_it_is_not_sent_there(ports, monkeypatch):
    ports.append(usb_port("/dev/ttyACM7", "1-2.4", "1"))
    work = job("esp32-s3", "esptool", image("esp32s3"), unique_id=MAC)
    sent = []
    monkeypatch.setattr(work.link, "send_away", lambda *a: sent.append(a))
    with pytest.raises(RefusedError, match="waits in its loader at /dev/ttyACM7") as refused:
        esptool.flash(work, quiet, Deadline.after(5))
    assert (refused.value.reason, refused.value.step) == (Reason.AMBIGUOUS, Step.ENTER)
    assert sent == []


def test_two_loaders_at_no_known_place_are_not_guessed_at(ports):
    """Where their serial numbers do not tell either."""
    ports += [usb_port("/dev/ttyACM7", "1-2.4", "1"), usb_port("/dev/ttyACM8", "1-2.5", "2")]
    work = job("esp32-s3", "esptool", image("esp32s3"), in_bootloader=True, unique_id=MAC)
    with pytest.raises(RefusedError) as refused:
        esptool.flash(work, quiet, Deadline.after(0.2))
    assert refused.value.reason is Reason.AMBIGUOUS
    assert "/dev/ttyACM7" in str(refused.value)


OTHER = bytes.fromhex("7cdfa1000002")


@pytest.mark.parametrize(
    ("chip", "ends"), [("esp32", ["hard-reset"]), ("esp32s3", ["no-reset", "hard-reset"])]
)
def test_another_board_in_its_place_is_refused_and_runs_on(job_for, monkeypatch, chip, ends):
    """Before anything is written, whoever is taken for the listed one until then."""
    ran, run_tool = [], esptool.run_tool
    monkeypatch.setattr(
        esptool, "run_tool", lambda argv, *a, **k: ran.append(argv) or run_tool(argv, *a, **k)
    )
    with EspRom(chip, mac=OTHER) as rom, pytest.raises(RefusedError) as refused:
        esptool.flash(job_for(rom, image(chip)), quiet, Deadline.after(60))
    assert (refused.value.reason, refused.value.step) == (Reason.OTHER_BOARD, Step.FIND)
    assert [argv[argv.index("--after") + 1] for argv in ran] == ends
    assert "has the MAC 7c:df:a1:00:00:02, and this board's is 7c:df:a1:00:00:01" in str(
        refused.value
    )
    assert not {FLASH_BEGIN, DEFL_BEGIN} & set(rom.commands)


@pytest.mark.parametrize("chip", ["esp32", "esp32s3"])
def test_a_chip_without_micropython_is_known_by_the_mac_that_its_loader_tells(chip, job_for):
    with EspRom(chip) as rom:
        work = job_for(rom, image(chip), in_bootloader=False, location=None)
        assert esptool.waiting(work, Deadline.after(60)) == MAC
    assert not {FLASH_BEGIN, DEFL_BEGIN} & set(rom.commands)


def test_a_chip_on_usb_whose_serial_number_is_another_mac_is_not_even_asked(ports):
    with EspRom("esp32s3") as rom:
        ports.append(usb_port(rom.path, "1-2.3"))
        asked = job("esp32-s3", "esptool", S3, unique_id=OTHER)
        assert esptool.waiting(asked, Deadline.after(60)) is None
    assert not rom.commands


def test_behind_a_bridge_the_unique_id_must_be_listed_and_the_error_tells_it(job_for):
    """The bridge's own serial number says nothing of the chip behind it."""
    with EspRom("esp32") as rom, pytest.raises(RefusedError) as refused:
        esptool.waiting(job_for(rom, CAM, unique_id=None, usb_serial="0001"), Deadline.after(60))
    assert refused.value.reason is Reason.OTHER_BOARD
    assert "the MAC 7c:df:a1:00:00:01, is the board that is meant" in str(refused.value)
    assert refused.value.hint == ("if it is, write 'unique_id: 7cdfa1000001' into devices.yaml")


def test_a_port_without_a_chip_in_its_loader_is_none_that_waits(job_for, one_attempt):
    with EspRom("esp32", silent=True) as rom:
        assert esptool.waiting(job_for(rom, CAM), Deadline.after(60)) is None
    for device in ("", "/dev/nowhere"):
        work = job("esp32-cam", "esptool", CAM, device=device, unique_id=MAC)
        assert esptool.waiting(work, Deadline.after(60)) is None


def test_another_kind_of_chip_is_refused_there_too(job_for):
    with EspRom("esp32") as rom, pytest.raises(RefusedError, match="not an esp32s3"):
        esptool.waiting(job_for(rom, S3, key="esp32-s3"), Deadline.after(60))


@pytest.fixture
def blank(tmp_path, monkeypatch):
    """A chip with nothing in its flash, until it has been flashed: then MicroPython runs on it."""
    monkeypatch.setattr(flow, "_ASK_S", 5.0)
    with (
        VirtualBoard.start(
            "cam", model="esp32-s3", state=tmp_path / "state", bus=tmp_path / "bus"
        ) as board,
        EspRom("esp32", mac=board.unique_id) as rom,
        BoardLink(
            "porch",
            rom.path,
            consent=board.consent,
            locate=lambda _: board.device if MD5 in rom.commands else rom.path,
        ) as link,
    ):
        link.open(Deadline.after(5))
        monkeypatch.setattr(link, "_silent", True)  # 3 s are enough to see that nothing answers
        yield rom, board, job("esp32-cam", "esptool", CAM, link=link)


def test_a_blank_chip_whose_unique_id_is_listed_is_flashed_and_runs_the_image(blank, tmp_path):
    rom, board, work = blank
    outcome = flow.flash(replace(work, listed_id=board.unique_id), tmp_path)
    assert outcome.written == ("FIRMWARE",)
    assert bytes(rom.flash[0x1000 : 0x1000 + len(CAM.content)]) == CAM.content
    had = record.load(tmp_path, board.unique_id)
    assert had
    assert had.partitions == {"FIRMWARE": CAM.sha256}


@pytest.mark.parametrize(
    ("listed", "told"),
    [(OTHER, "has the unique id .*, and not the listed 7cdfa1000002"), (None, "nothing proves")],
    ids=["another", "none"],
)
def test_a_blank_chip_that_is_not_proven_to_be_the_listed_one_is_not_written(
    blank, tmp_path, listed, told
):
    rom, _, work = blank
    with pytest.raises(RefusedError, match=told) as refused:
        flow.flash(replace(work, listed_id=listed), tmp_path)
    assert refused.value.reason is Reason.OTHER_BOARD
    assert not {FLASH_BEGIN, DEFL_BEGIN} & set(rom.commands)
    assert set(rom.flash) == {0xFF}
    assert not list(tmp_path.glob("flash/*"))


S3, CAM = image("esp32s3"), image("esp32")


@pytest.mark.parametrize(
    ("work", "reason", "told"),
    [
        (job("openmv-n6", "esptool", CAM), Reason.NO_METHOD, "the OpenMV N6 has another"),
        (job("esp32-cam", "esptool", S3), Reason.OTHER_MODEL, "is for esp32s3, and this is"),
        (job("esp32-s3", "esptool", CAM), Reason.OTHER_MODEL, "is for esp32, and this is"),
        (
            job("esp32-cam", "esptool", Image("FIRMWARE", b"UF2\n" * 99)),
            Reason.NOT_AN_IMAGE,
            "0xE9",
        ),
        (
            job("esp32-cam", "esptool", Image("VFS", CAM.content)),
            Reason.UNKNOWN_PARTITION,
            "no address is known for VFS",
        ),
        (job("esp32-cam", "esptool", CAM, device=""), Reason.NO_PORT, "no serial port"),
        (
            job("esp32-s3", "esptool", S3, device="rfc2217://bench:4000"),
            Reason.REMOTE_PORT,
            "native USB",
        ),
        (
            job("esp32-cam", "esptool", CAM, device="socket://bench:4000"),
            Reason.REMOTE_PORT,
            "no reset lines",
        ),
    ],
)
def test_what_cannot_be_done_is_said_before_the_board_is_touched(work, reason, told):
    answer = esptool.supports(work)
    assert answer.reason is reason
    assert told in answer.why
    assert answer.hint


def test_a_bridge_may_be_remote():
    far = "rfc2217://bench:4000?ign_set_control"
    assert esptool.supports(job("esp32-cam", "esptool", CAM, device=far)) is None


@pytest.mark.parametrize("version", [None, "4.8.1"])
def test_a_missing_or_old_esptool_names_the_extra(version, monkeypatch):
    def installed(name):
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", installed)
    answer = esptool.supports(job("esp32-cam", "esptool", CAM))
    assert answer.reason is Reason.NO_PROGRAM
    assert answer.hint == "pip install 'hil[esp]'"


@given(st.binary(max_size=40) | st.binary(max_size=30).map(lambda rest: b"\xe9" + rest))
def test_any_bytes_are_an_image_for_one_chip_at_most(content):
    works = [job(key, "esptool", Image("FIRMWARE", content)) for key in ("esp32-cam", "esp32-s3")]
    taken = [key for key in works if esptool.supports(key) is None]
    assert len(taken) <= 1
    assert not taken or content[0] == 0xE9


@settings(max_examples=50)
@given(st.lists(st.binary(min_size=1, max_size=20), max_size=6), st.data())
def test_slip_frames_come_out_as_they_went_in_however_they_are_cut(frames, data):
    line = b"".join(map(slip, frames))
    reader, got = Unslip(), []
    while line:
        at = data.draw(st.integers(1, len(line)))
        got += reader.feed(line[:at])
        line = line[at:]
    assert got == frames


def test_the_model_table_has_an_address_for_both():
    assert model("esp32-cam").partition("FIRMWARE").address == 0x1000
    assert model("esp32-s3").partition("FIRMWARE").address == 0
