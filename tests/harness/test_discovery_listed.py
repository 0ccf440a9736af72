"""A listed board among what is attached: running, in its bootloader, or between the two."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.boards.table import (
    bootloader_serial_number_of,
    identify,
    models,
    serial_number_of,
)
from hil.config import TargetSpec
from hil.deadline import Deadline
from hil.discovery.listed import InBootloaderError, Locator, loader_of, running
from hil.discovery.usb import NotAttachedError, SeveralAttachedError, UsbPort
from hil.errors import BoardError

N6_ID = bytes.fromhex("1f0033000651333037343234")
N6_NUMBER = "346534563033"  # ST's short form of it
N6_LOADER_NUMBER = N6_ID[::-1].hex().upper()


def spec(key="openmv-n6", **fields):
    return TargetSpec(name="porch", where="devices.yaml:2:3", kind="board", model=key, **fields)


def seen(vid, pid, number=None, device="", location="1-2", **more):
    row, mode = identify(vid, pid)
    return UsbPort(
        device=device,
        vid=vid,
        pid=pid,
        serial_number=number,
        product=None,
        location=location,
        model_key=row.key if row else None,
        mode=mode,
        **more,
    )


RUNS = seen(0x37C5, 0x1206, N6_NUMBER, device="/dev/ttyACM0")
LOADS = seen(0x37C5, 0x9206, N6_LOADER_NUMBER)


class Bench:
    """What is attached, look by look; the last stays."""

    def __init__(self, *looks):
        self.looks = list(looks)
        self.count = 0

    def __call__(self):
        self.count += 1
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


def soon():
    return Deadline.after(20)


def shortly():
    return Deadline.after(0.1)


# --- which board is in the bootloader ---------------------------------------------------------


@pytest.mark.parametrize("listed", [N6_NUMBER, N6_ID.hex(), N6_ID.hex().upper()])
def test_a_bootloader_is_told_by_the_unique_id_behind_its_number(listed):
    loader = loader_of(spec(usb_serial=listed), [LOADS])
    assert loader.certain
    assert str(loader) == "is in its bootloader (USB 1-2, 37c5:9206)"


def test_another_board_s_bootloader_is_not_taken_for_it():
    other = replace(LOADS, serial_number=bytes(range(12)).hex().upper(), location="1-3")
    assert loader_of(spec(usb_serial=N6_NUMBER), [other]) is None
    found = loader_of(spec(usb_serial=N6_NUMBER), [other, LOADS])
    assert (found.port, found.certain) == (LOADS, True)


def test_another_model_s_bootloader_is_not_taken_for_it():
    assert loader_of(spec("openmv-h7", usb_serial=N6_NUMBER), [LOADS]) is None


def test_a_bootloader_whose_number_is_not_understood_may_be_the_board():
    """AE3: 24 digits of which nobody knows how they follow from the id."""
    ae3 = seen(0x37C5, 0x96E3, "00112233445566778899AABB")
    found = loader_of(spec("openmv-ae3", usb_serial="0011223344556677"), [ae3])
    assert not found.certain
    assert str(found).startswith("may be in its bootloader")


def test_such_a_one_is_the_board_where_the_board_was_plugged_in():
    here, there = (seen(0x37C5, 0x96E3, None, location=where) for where in ("1-2.1", "1-2.2"))
    ae3 = spec("openmv-ae3", usb_serial="0011223344556677")
    found = loader_of(ae3, [here, there], location="1-2.2")
    assert (found.port, found.certain) == (there, True)
    assert loader_of(ae3, [here], location="1-2.2") is None


@pytest.mark.parametrize("usb", ["usb", "usbv2"])
def test_a_port_by_path_says_where_it_is_plugged_in(usb):
    here, there = (seen(0x37C5, 0x96E3, None, location=where) for where in ("1-2.10", "1-2.1"))
    by_path = f"/dev/serial/by-path/pci-0000:00:14.0-{usb}-0:2.1:1.0"
    found = loader_of(spec("openmv-ae3", port=by_path), [here, there])
    assert (found.port, found.certain) == (there, True)


def test_two_boards_with_nothing_to_tell_them_apart_are_never_certain():
    by_path = "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0"
    two = [seen(0x37C5, 0x96E3, None, location=where) for where in ("1-2", "3-2")]
    assert not loader_of(spec("openmv-ae3", port=by_path), two).certain


def test_st_s_rom_shows_the_short_form():
    rom = seen(0x0483, 0xDF11, N6_NUMBER)
    found = loader_of(spec("openmv-h7", usb_serial=N6_NUMBER), [rom])
    assert found.certain
    assert str(found) == "is in its chip's ROM loader (USB 1-2, 0483:df11)"
    assert not loader_of(spec("openmv-h7", usb_serial="306A37563136"), [rom]).certain
    assert loader_of(spec("openmv-ae3", usb_serial=N6_NUMBER), [rom]) is None


@given(st.sampled_from(models()), st.data())
def test_a_board_in_its_bootloader_is_found_under_every_number_that_it_runs_under(row, data):
    size = row.unique_id_bytes
    unique_id, other = (
        data.draw(st.binary(min_size=size, max_size=size), label) for label in ("id", "other")
    )
    number = bootloader_serial_number_of(row, unique_id)
    if number is None or not row.bootloader_ids:
        return
    loader = seen(*row.bootloader_ids[0], number)
    for listed in serial_number_of(row, unique_id):
        assert loader_of(spec(row.key, usb_serial=listed), [loader]).certain
    for listed in serial_number_of(row, other) - serial_number_of(row, unique_id):
        assert loader_of(spec(row.key, usb_serial=listed), [loader]) is None


# --- finding the port, through the window -----------------------------------------------------


def test_a_board_that_runs_is_found_at_the_first_look():
    bench = Bench([RUNS])
    assert Locator(spec(usb_serial=N6_NUMBER), bench)(soon()) == "/dev/ttyACM0"
    assert bench.count == 1


def test_a_board_in_its_window_is_waited_for():
    bench = Bench([LOADS], [LOADS], [], [], [RUNS])
    assert Locator(spec(usb_serial=N6_NUMBER), bench)(soon()) == "/dev/ttyACM0"
    assert bench.count == 5


def test_a_board_that_has_just_been_reset_is_away_for_a_moment():
    bench = Bench([], [LOADS], [RUNS])
    assert Locator(spec(usb_serial=N6_NUMBER), bench)(soon()) == "/dev/ttyACM0"


def test_a_board_whose_number_tells_nothing_in_the_bootloader_is_waited_for_too():
    runs = seen(0x37C5, 0x16E3, "0011223344556677", device="/dev/ttyACM1")
    bench = Bench([seen(0x37C5, 0x96E3, "whatever")], [runs])
    assert Locator(spec("openmv-ae3", usb_serial="0011223344556677"), bench)(soon())
    assert bench.count == 2


def test_a_board_that_stays_in_its_bootloader_is_reported_as_such():
    with pytest.raises(InBootloaderError) as caught:
        Locator(spec(usb_serial=N6_NUMBER), Bench([LOADS]))(shortly())
    assert isinstance(caught.value, BoardError)
    assert str(caught.value).splitlines() == [
        "porch: the board is in its bootloader (USB 1-2, 37c5:9206), and stays there",
        "  -> 'hil flash porch' gives it firmware; 'hil recover porch' tries to start what it has",
    ]


@pytest.mark.parametrize(
    ("key", "number", "loader"),
    [
        # Arduino's bootloader has no window: who is in it stays.
        ("arduino-portenta-h7", N6_NUMBER, seen(0x2341, 0x035B, "0033001F3033510634323437")),
        ("openmv-h7", N6_NUMBER, seen(0x0483, 0xDF11, N6_NUMBER)),  # nor has a ROM loader
    ],
)
def test_a_bootloader_without_a_window_is_reported_at_once(key, number, loader):
    bench = Bench([loader])
    with pytest.raises(InBootloaderError, match="and stays there"):
        Locator(spec(key, usb_serial=number), bench)(soon())
    assert bench.count == 1


def test_a_board_that_is_not_there_is_no_board_in_its_bootloader():
    other = seen(0x37C5, 0x1206, "306A37563136", device="/dev/ttyACM3")
    with pytest.raises(NotAttachedError, match=r"/dev/ttyACM3 \(37c5:1206"):
        Locator(spec(usb_serial=N6_NUMBER), Bench([other]))(shortly())


def test_a_bootloader_that_may_be_the_board_is_mentioned():
    loader = seen(0x15A2, 0x0073)
    with pytest.raises(NotAttachedError, match=r"; the board may be in its bootloader \(USB"):
        Locator(spec("openmv-rt1062", usb_serial="8899aabbccddeeff"), Bench([loader]))(shortly())


def test_it_is_known_again_by_where_it_was_plugged_in():
    runs = seen(0x37C5, 0x1060, "8899aabbccddeeff", device="/dev/ttyACM0", location="1-2.4")
    loader = seen(0x15A2, 0x0073, location="1-2.4")
    find = Locator(spec("openmv-rt1062", usb_serial="8899aabbccddeeff"), Bench([runs], [loader]))
    assert find(soon()) == "/dev/ttyACM0"
    with pytest.raises(InBootloaderError):
        find(shortly())


def test_two_boards_with_one_number_are_an_error_at_once():
    bench = Bench([RUNS, replace(RUNS, device="/dev/ttyACM1", location="1-3")])
    with pytest.raises(SeveralAttachedError, match="by-path"):
        Locator(spec(usb_serial=N6_NUMBER), bench)(soon())


@pytest.mark.parametrize("port", ["rfc2217://bench:2217", "socket://bench:2217", "COM3"])
def test_what_is_not_a_device_file_is_not_looked_for(port):
    bench = Bench([])
    assert Locator(spec("esp32-cam", port=port), bench)(soon()) == port
    assert bench.count == 0


def test_a_listed_port_is_found_through_its_link(tmp_path: Path):
    by_path = tmp_path / "pci-usb-0:2:1.0"
    by_path.symlink_to("/dev/ttyACM0")
    assert running(spec(port=str(by_path)), [RUNS]) is RUNS


def test_a_listed_port_that_is_missing_is_left_to_whoever_opens_it():
    port = "/dev/serial/by-path/no-such-port"
    assert Locator(spec("esp32-cam", port=port), Bench([]))(shortly()) == port


def test_a_board_listed_by_its_place_is_reported_in_its_bootloader():
    port = "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0"
    with pytest.raises(InBootloaderError):
        Locator(spec(port=port), Bench([LOADS]))(shortly())
