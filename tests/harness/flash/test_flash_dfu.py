"""OpenMV's and Arduino's bootloaders, by the real dfu-util against emulated USB devices."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from jobs import CONSENT
from usb_bus import INTERNAL_FLASH, QSPI_FLASH, UsbBus

from hil.boards.table import bootloader_serial_number_of, model, serial_number_of
from hil.deadline import Deadline
from hil.errors import BenchError
from hil.flash import arduino_dfu, bootloader, dfu_util, openmv_dfu
from hil.flash.method import FlashError, Image, Job, Reason, RefusedError, Step, quiet
from hil.flash.tool import Ran
from hil.link.board import BoardLink

N6, AE3, PORTENTA = model("openmv-n6"), model("openmv-ae3"), model("arduino-portenta-h7")
UNIQUE_ID = bytes(range(0x10, 0x1C))
OTHER_ID = bytes(range(0x20, 0x2C))
FIRMWARE = bytes(i * 7 % 251 for i in range(30_000))
ROMFS = b"\xd2\xcd\x31" + bytes(5_000)
BUDGET_S = 30.0


def job(row=N6, *images: Image, **more) -> Job:
    """A board that waits in its bootloader."""
    method = row.flash_method
    whole = {"unique_id": UNIQUE_ID, "in_bootloader": True, "usb_serial": "346534563033", **more}
    images = images or (Image("FIRMWARE", FIRMWARE),)
    return Job(
        "porch",
        row,
        method,
        images,
        BoardLink("porch", "/dev/null", consent=CONSENT),
        CONSENT,
        **whole,
    )


def serial_of(row=N6, unique_id: bytes = UNIQUE_ID) -> str:
    serial = bootloader_serial_number_of(row, unique_id)
    assert serial
    return serial


def flash(wanted: Job, progress=quiet, budget_s: float = BUDGET_S) -> None:
    how = arduino_dfu if wanted.method == "arduino-dfu" else openmv_dfu
    how.flash(wanted, progress, Deadline.after(budget_s))


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Looks for a bootloader for a moment only."""
    monkeypatch.setitem(bootloader.enter.__kwdefaults__, "entering_s", 0.5)


# --- it arrives --------------------------------------------------------------------------------


def test_the_image_arrives_byte_by_byte_and_the_board_is_started(usb_bus: UsbBus):
    usb_bus.plug(N6, serial_of())
    seen = []
    flash(job(), lambda *told: seen.append(told))
    told = usb_bus.tell()
    assert told.written == {1: FIRMWARE}
    assert told.left
    assert seen[0] == ("FIRMWARE", 0, len(FIRMWARE))
    assert seen[-1] == ("FIRMWARE", len(FIRMWARE), len(FIRMWARE))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


def test_only_the_last_of_several_images_restarts_the_board(usb_bus: UsbBus):
    usb_bus.plug(N6, serial_of())
    flash(job(N6, Image("FIRMWARE", FIRMWARE), Image("ROMFS0", ROMFS)))
    assert usb_bus.tell().written == {1: FIRMWARE, 3: ROMFS}
    assert ["--reset" in call for call in usb_bus.downloads] == [False, True]


def test_a_bootloader_that_was_left_in_an_error_is_cleared(usb_bus: UsbBus):
    usb_bus.plug(N6, serial_of(), fault={"kind": "error"})
    flash(job())
    assert usb_bus.tell().written == {1: FIRMWARE}


def test_a_dfu_suffix_stays_with_dfu_util(usb_bus: UsbBus):
    """Sixteen bytes that name a file's device, with a CRC (DFU 1.1, appendix B)."""
    body = FIRMWARE + bytes.fromhex("ffff 0692 c537 0001") + b"UFD" + b"\x10"
    table = [0] * 256
    for at in range(256):
        value = at
        for _ in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
        table[at] = value
    crc = 0xFFFFFFFF
    for byte in body:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    usb_bus.plug(N6, serial_of())
    flash(job(N6, Image("FIRMWARE", body + crc.to_bytes(4, "little"))))
    assert usb_bus.tell().written == {1: FIRMWARE}


# --- which board -------------------------------------------------------------------------------


def test_of_two_boards_of_one_model_only_the_right_one_is_written(usb_bus: UsbBus):
    usb_bus.plug(N6, serial_of(N6, OTHER_ID), "1-1")
    usb_bus.plug(N6, serial_of(), "1-2")
    flash(job())
    assert usb_bus.tell("1-2").written == {1: FIRMWARE}
    other = usb_bus.tell("1-1")
    assert (other.written, other.left) == ({}, None)


def test_the_run_modes_serial_number_is_never_looked_for(usb_bus: UsbBus):
    usb_bus.plug(N6, serial_of())
    flash(job(usb_serial="346534563033"))
    assert not any("346534563033" in word for call in usb_bus.calls for word in call)
    assert not any("-w" in call for call in usb_bus.calls), "it waits without an end"


def test_a_model_whose_bootloader_serial_is_unknown_is_told_by_its_place(usb_bus: UsbBus):
    usb_bus.plug(AE3, "AA", "1-1")
    usb_bus.plug(AE3, "BB", "1-2")
    images = Image("HP", FIRMWARE), Image("HE", ROMFS)
    flash(job(AE3, *images, unique_id=bytes(8), location="1-2"))
    assert usb_bus.tell("1-2").written == {1: FIRMWARE, 2: ROMFS}
    assert usb_bus.tell("1-1").written == {}


def test_without_serial_number_and_place_nothing_is_written(usb_bus: UsbBus):
    usb_bus.plug(AE3, "AA")
    with pytest.raises(RefusedError, match="nothing tells which bootloader") as caught:
        flash(job(AE3, Image("HP", FIRMWARE), Image("HE", ROMFS), unique_id=bytes(8)))
    assert caught.value.reason is Reason.AMBIGUOUS
    assert usb_bus.tell().written == {}
    assert not usb_bus.calls, "and it was not sent into its bootloader"


@pytest.mark.usefixtures("impatient")
def test_a_bootloader_that_may_not_be_opened_is_the_benchs_fault(monkeypatch):
    told = (
        "dfu-util: Cannot open DFU device 37c5:9206 found on devnum 6 (LIBUSB_ERROR_ACCESS)\n"
        "dfu-util: No DFU capable USB device available\n"
    )
    monkeypatch.setattr(dfu_util, "run_tool", lambda *_: Ran(74, told))
    with pytest.raises(RefusedError, match="may not open that USB device") as caught:
        flash(job())
    assert caught.value.reason is Reason.NOT_PERMITTED
    assert "udev" in str(caught.value.hint)


def test_two_bootloaders_with_one_serial_number_are_refused(usb_bus: UsbBus):
    usb_bus.plug(N6, serial_of(), "1-1")
    usb_bus.plug(N6, serial_of(), "1-2")
    with pytest.raises(
        RefusedError, match=r"2 bootloaders could be meant.*at 1-[12].*at 1-"
    ) as why:
        flash(job())
    assert why.value.reason is Reason.AMBIGUOUS
    assert not usb_bus.downloads


def test_another_board_in_its_place_is_refused(usb_bus: UsbBus):
    usb_bus.plug(N6, serial_of(N6, OTHER_ID), "1-2")
    with pytest.raises(RefusedError, match=f"must be {serial_of()}") as caught:
        flash(job(location="1-2"))
    assert (caught.value.reason, caught.value.step) == (Reason.OTHER_BOARD, Step.FIND)
    assert usb_bus.tell().written == {}


@pytest.mark.parametrize("row", [N6, PORTENTA])
@pytest.mark.parametrize("known", [{}, {"unique_id": None}])
def test_a_board_that_waits_is_known_by_the_serial_number_of_its_bootloader(
    usb_bus: UsbBus, monkeypatch, row, known
):
    """Also where only run mode's short number is listed, from which the id does not follow."""
    (short,) = serial_number_of(model("openmv-h7"), UNIQUE_ID)
    asked = job(row, usb_serial=short, **known)
    usb_bus.plug(row, serial_of(row, OTHER_ID), "1-1")
    with monkeypatch.context() as patch:
        patch.setattr(bootloader, "WAITING_S", 0.2)
        patch.setattr(asked.link, "device", "")  # there is no port that could be touched
        assert openmv_dfu.waiting(asked, Deadline.after(BUDGET_S)) is None
    usb_bus.plug(row, serial_of(row), "1-2")
    assert openmv_dfu.waiting(asked, Deadline.after(BUDGET_S)) == UNIQUE_ID
    flash(replace(asked, unique_id=UNIQUE_ID))
    assert usb_bus.tell("1-1").written == {}


@pytest.mark.parametrize("usb_serial", ["346534563033", None])
def test_an_arduino_that_hangs_is_touched_where_its_own_usb_shows_the_listed_number(
    usb_bus: UsbBus, monkeypatch, usb_serial
):
    """A listed port alone may lead to another board."""
    touched = []

    def touch(device: str, target: str) -> None:
        touched.append(device)
        usb_bus.plug(PORTENTA, serial_of(PORTENTA))

    monkeypatch.setattr(bootloader, "WAITING_S", 0.2)
    monkeypatch.setattr(bootloader, "touch", touch)
    asked = job(PORTENTA, in_bootloader=False, usb_serial=usb_serial)
    known = arduino_dfu.waiting(asked, Deadline.after(BUDGET_S))
    assert (known, touched) == ((UNIQUE_ID, ["/dev/null"]) if usb_serial else (None, []))


def test_a_camera_that_hangs_is_caught_when_its_power_comes_back(usb_bus: UsbBus, monkeypatch):
    class Power:
        def off(self, deadline: Deadline) -> None:
            pass

        def give(self, deadline: Deadline) -> None:
            usb_bus.plug(N6, serial_of())

    monkeypatch.setattr(bootloader, "WAITING_S", 0.2)
    asked = job(in_bootloader=False, power=Power())
    looked_at = replace(asked, may_enter=False)
    assert openmv_dfu.waiting(looked_at, Deadline.after(BUDGET_S)) is None
    assert openmv_dfu.waiting(asked, Deadline.after(BUDGET_S)) == UNIQUE_ID


@pytest.mark.usefixtures("impatient")
def test_where_neither_repl_nor_power_brings_it_into_its_bootloader_both_are_told(
    usb_bus: UsbBus, monkeypatch
):
    class Power:
        def off(self, deadline: Deadline) -> None:
            raise BenchError("hub 1-1, port 2 does not switch")

    monkeypatch.setattr(bootloader, "WAITING_S", 0.2)
    with pytest.raises(FlashError) as caught:
        openmv_dfu.waiting(job(in_bootloader=False, power=Power()), Deadline.after(BUDGET_S))
    assert caught.value.step is Step.ENTER
    assert "machine.bootloader: cannot open /dev/null" in str(caught.value)
    assert "reset window: hub 1-1, port 2 does not switch" in str(caught.value)
    assert not usb_bus.downloads


def test_a_board_of_which_nothing_is_listed_is_not_looked_for(usb_bus: UsbBus):
    usb_bus.plug(N6, serial_of())
    asked = job(unique_id=None, usb_serial=None)
    assert openmv_dfu.waiting(asked, Deadline.after(BUDGET_S)) is None
    assert not usb_bus.calls


@pytest.mark.usefixtures("impatient")
def test_a_board_that_is_not_there_fails_within_its_budget(usb_bus: UsbBus):
    with pytest.raises(
        FlashError, match=r"porch: flashing failed at 'enter the bootloader'"
    ) as why:
        flash(job())
    assert why.value.step is Step.ENTER
    assert "by hand" in str(why.value.hint)
    assert not usb_bus.downloads


def test_strings_that_cannot_be_read_yet_are_asked_for_again_after_a_rest(
    usb_bus: UsbBus, monkeypatch
):
    monkeypatch.setattr(dfu_util, "DESCRIPTOR_REST_S", 0.3)
    usb_bus.plug(PORTENTA, serial_of(PORTENTA), fault={"kind": "strings", "n": 9})
    flash(job(PORTENTA))
    assert len([call for call in usb_bus.calls if "-l" in call]) > 1
    assert usb_bus.tell().written == {0: FIRMWARE}


@pytest.mark.usefixtures("impatient")
def test_a_bootloader_that_rests_is_left_alone(usb_bus: UsbBus):
    usb_bus.plug(PORTENTA, serial_of(PORTENTA), fault={"kind": "strings", "n": 1000})
    with pytest.raises(FlashError, match="no bootloader on USB"):
        flash(job(PORTENTA))
    assert len(usb_bus.calls) == 1


# --- what is refused by its layout -------------------------------------------------------------


def test_other_numbers_of_the_alternate_settings_are_refused_and_the_board_is_started(
    usb_bus: UsbBus,
):
    """The same names, in another order: the board table does not know this bootloader."""
    usb_bus.plug(N6, serial_of(), alts=["BOOTLOADER", "FILESYSTEM", "FIRMWARE", "ROMFS0"])
    with pytest.raises(RefusedError, match="FIRMWARE must be alternate setting 1") as caught:
        flash(job())
    assert caught.value.reason is Reason.OTHER_LAYOUT
    assert "1 FILESYSTEM, 2 FIRMWARE" in caught.value.message
    told = usb_bus.tell()
    assert (told.written, told.left) == ({}, "detach")


def test_a_name_that_two_alternate_settings_have_is_refused(usb_bus: UsbBus):
    usb_bus.plug(N6, serial_of(), alts=["FIRMWARE", "FIRMWARE", "FILESYSTEM", "ROMFS0"])
    with pytest.raises(RefusedError, match="alternate setting 1"):
        flash(job())
    assert usb_bus.tell().written == {}


# --- what fails --------------------------------------------------------------------------------


def test_a_failed_manifestation_is_found_although_dfu_util_ends_with_0(usb_bus: UsbBus):
    usb_bus.plug(N6, serial_of(), fault={"kind": "manifest"})
    with pytest.raises(FlashError, match="FIRMWARE: the board ended in dfuERROR") as caught:
        flash(job(N6, Image("FIRMWARE", FIRMWARE), Image("ROMFS0", ROMFS)))
    assert caught.value.step is Step.VERIFY
    assert "exit status 0" in str(caught.value)
    assert "Programmed memory failed verification" in caught.value.said
    assert len(usb_bus.downloads) == 1, "the next image is not begun"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("write", "dfuERROR after 6144 of 30000 bytes: Device is unable to write memory"),
        ("stall", "it broke off after 6144 of 30000 bytes: the board refused a block"),
        ("unplug", "it broke off after 6144 of 30000 bytes: the board vanished from USB"),
    ],
)
def test_a_download_that_breaks_off_says_where_and_why(usb_bus: UsbBus, fault, told):
    usb_bus.plug(N6, serial_of(), fault={"kind": fault, "n": 3})
    with pytest.raises(FlashError, match=re.escape(told)) as caught:
        flash(job())
    assert caught.value.step is Step.DOWNLOAD
    assert "dfu-util (exit status 74) said:" in str(caught.value)
    assert "hil flash porch" in str(caught.value.hint)


def test_a_board_that_hangs_is_given_up_at_the_deadline_and_the_tool_is_ended(usb_bus: UsbBus):
    """dfu-util itself would give up after 5 s."""
    usb_bus.plug(N6, serial_of(), fault={"kind": "hang", "n": 3})
    deadline = Deadline.after(3)
    with pytest.raises(FlashError, match="not through in time, ended after 6144 of 30000") as why:
        openmv_dfu.flash(job(), quiet, deadline)
    assert why.value.step is Step.DOWNLOAD
    usb_bus.unplug()


def test_after_a_failure_the_same_again_succeeds(usb_bus: UsbBus):
    usb_bus.plug(N6, serial_of(), fault={"kind": "write", "n": 3})
    with pytest.raises(FlashError):
        flash(job())
    usb_bus.unplug()
    usb_bus.plug(N6, serial_of(), "1-3")
    flash(job())
    assert usb_bus.tell("1-3").written == {1: FIRMWARE}


# --- Arduino -----------------------------------------------------------------------------------


def test_arduino_is_written_at_its_address_and_left_with_the_last_image(usb_bus: UsbBus):
    usb_bus.plug(PORTENTA, serial_of(PORTENTA))
    flash(job(PORTENTA, Image("ROMFS0", ROMFS), Image("FIRMWARE", FIRMWARE)))
    told = usb_bus.tell()
    assert told.written == {1: ROMFS, 0: FIRMWARE}
    erased = [command for command in told.commands if command.startswith("41")]
    assert erased == ["41 90b00000", "41 90b01000", "41 08040000"]
    assert "write 08040000 2048" in told.commands
    assert told.left == "manifest"
    assert [call[call.index("-s") + 1] for call in usb_bus.downloads] == [
        "0x90B00000",
        "0x08040000:leave",
    ]


def test_arduino_a_failed_manifestation_is_found(usb_bus: UsbBus):
    usb_bus.plug(PORTENTA, serial_of(PORTENTA), fault={"kind": "manifest"})
    with pytest.raises(FlashError, match="dfuERROR") as caught:
        flash(job(PORTENTA))
    assert caught.value.step is Step.VERIFY


@pytest.mark.parametrize(
    "alts",
    [
        [QSPI_FLASH, INTERNAL_FLASH],
        ["@Small /0x08000000/02*128Ka", QSPI_FLASH],
        ["@Cut /0x08000000/272*1Ka"],
        ["plain"],
    ],
)
def test_arduino_an_image_outside_of_the_memory_that_the_bootloader_tells_is_refused(
    usb_bus: UsbBus, alts
):
    usb_bus.plug(PORTENTA, serial_of(PORTENTA), alts=alts)
    with pytest.raises(RefusedError, match="FIRMWARE must be at 0x08040000") as caught:
        flash(job(PORTENTA))
    assert caught.value.reason is Reason.OTHER_LAYOUT
    assert usb_bus.tell().written == {}


def test_arduino_reads_the_memory_map_of_an_alternate_setting():
    assert arduino_dfu.memory(INTERNAL_FLASH) == [range(0x0800_0000, 0x0820_0000)]
    assert arduino_dfu.memory(QSPI_FLASH) == [range(0x9000_0000, 0x9100_0000)]
    assert arduino_dfu.memory("FIRMWARE") == []


# --- what a method supports --------------------------------------------------------------------


def test_without_dfu_util_the_answer_names_its_package(monkeypatch, tmp_path):
    monkeypatch.setattr(dfu_util, "find_program", lambda name: None)
    for how, row in ((openmv_dfu, N6), (arduino_dfu, PORTENTA)):
        told = how.supports(job(row))
        assert told
        assert told.reason is Reason.NO_PROGRAM
        assert "apt-get install dfu-util" in told.hint


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x7fELF\x01", "an ELF file"),
        (b":020000040800F2\r\n", "an Intel HEX file"),
        (b"DfuSe\x01", "a DfuSe file"),
        (b"UF2\nWQ]\x9e", "a UF2 file"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b\x08", "a gzip archive"),
        (ROMFS, "a ROMFS"),
    ],
)
def test_what_a_bootloader_would_write_as_it_is_and_no_chip_can_start_is_refused(content, kind):
    told = openmv_dfu.supports(job(N6, Image("FIRMWARE", content, "fw.zip")))
    assert told
    assert told.reason is Reason.NOT_AN_IMAGE
    assert f"fw.zip is {kind}, and FIRMWARE is written as it is" in told.why
    assert openmv_dfu.supports(job(N6, Image("FIRMWARE", b"\0" + content))) is None
    assert openmv_dfu.supports(job(N6, Image("ROMFS0", ROMFS))) is None


def test_a_model_with_another_bootloader_is_not_supported():
    told = openmv_dfu.supports(job(PORTENTA))
    assert told
    assert told.reason is Reason.NO_METHOD
    told = arduino_dfu.supports(replace(job(N6), method="arduino-dfu"))
    assert told
    assert "openmv-dfu" in told.hint
