"""The board table, against the figures of its sources."""

from __future__ import annotations

import calendar
import itertools
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.boards.table import (
    bootloader_serial_number_of,
    identify,
    model,
    models,
    serial_number_matches,
    serial_number_of,
    short_form,
    unique_id_of,
    unique_id_of_bootloader,
)

# Measured on one Portenta H7 by OpenMV's own bench: bootloader 0033001F3033510634323437, run mode
# 346534563033.
PORTENTA_ID = bytes.fromhex("1f003300 06513330 37343234")


def utc(*fields):
    return calendar.timegm((*fields, 0, 0, 0)[:6])


@pytest.mark.parametrize(
    ("key", "epoch", "unset", "hostname", "frozen", "id_bytes", "weekdays"),
    [
        ("openmv-n6", 2000, utc(2015, 1, 1), "mpy-stm32", True, 12, (1, 7)),
        ("openmv-ae3", 1970, utc(1970, 1, 1), "mpy-alif", True, 8, (0, 6)),
        ("openmv-rt1062", 1970, utc(2013, 10, 14, 19, 53, 11), "openmvrt1060", True, 8, (0, 6)),
        ("openmv-h7-plus", 2000, utc(2015, 1, 1), "mpy-openmv-4p", False, 12, (1, 7)),
        ("arduino-giga", 2000, utc(2015, 1, 1), "mpy-giga-r1-wifi", False, 12, (1, 7)),
        ("esp32-s3", 2000, utc(2000, 1, 1), "mpy-esp32s3", False, 6, (0, 6)),
    ],
)
def test_facts(key, epoch, unset, hostname, frozen, id_bytes, weekdays):
    row = model(key)
    assert (row.epoch, row.unset_clock, row.default_hostname) == (epoch, unset, hostname)
    assert ({"microdot", "jwt", "hmac"} <= set(row.frozen)) == frozen
    assert (row.unique_id_bytes, row.rtc_weekday_range) == (id_bytes, weekdays)
    assert row.rtc_kept_on_reset
    assert not row.rtc_kept_on_power_loss


@pytest.mark.parametrize(
    ("key", "run", "loader", "hostname"),
    [
        ("openmv-m4", "37c5:1202", "37c5:9202", "mpy-openmv-2"),
        ("openmv-m7", "37c5:1203", "37c5:9203", "mpy-openmv-3"),
        ("openmv-h7", "37c5:1204", "37c5:9204", "mpy-openmv-4"),
        ("openmv-h7-plus", "37c5:124a", "37c5:924a", "mpy-openmv-4p"),
        ("openmv-pure-thermal", "37c5:1205", "37c5:9205", "mpy-openmv-4p"),
        ("openmv-n6", "37c5:1206", "37c5:9206", "mpy-stm32"),
        ("openmv-rt1062", "37c5:1060", "15a2:0073", "openmvrt1060"),
        ("openmv-ae3", "37c5:16e3", "37c5:96e3", "mpy-alif"),
        ("arduino-portenta-h7", "2341:045b 2341:055b", "2341:035b", "mpy-portenta-h7"),
        ("arduino-nicla-vision", "2341:045f 2341:055f", "2341:035f", "mpy-nicla-vision"),
        ("arduino-giga", "2341:0466 2341:0566", "2341:0366", "mpy-giga-r1-wifi"),
        ("esp32-s3", "303a:4001", "303a:1001", "mpy-esp32s3"),
        ("esp32-cam", "", "", "mpy-esp32"),
    ],
)
def test_under_what_a_model_shows_itself(key, run, loader, hostname):
    def ids(seen):
        return " ".join(f"{vid:04x}:{pid:04x}" for vid, pid in seen)

    row = model(key)
    assert (ids(row.run_ids), ids(row.bootloader_ids)) == (run, loader)
    assert row.default_hostname == hostname


def test_which_models_mount_a_card_at_boot():
    without = {row.key for row in models() if row.card_root is None}
    assert without == {
        *("openmv-ae3", "arduino-nicla-vision", "arduino-giga", "esp32-s3", "esp32-cam"),
    }
    assert {row.key for row in models() if row.skip_card_file is None} == without
    assert {row.key for row in models() if row.main_on_soft_reset} == {"esp32-s3", "esp32-cam"}


@pytest.mark.parametrize(
    ("usb_id", "key", "mode"),
    [
        ((0x37C5, 0x1206), "openmv-n6", "run"),
        ((0x37C5, 0x9206), "openmv-n6", "bootloader"),
        ((0x37C5, 0x16E3), "openmv-ae3", "run"),
        ((0x37C5, 0x1060), "openmv-rt1062", "run"),
        ((0x15A2, 0x0073), "openmv-rt1062", "bootloader"),
        ((0x1FC9, 0x0135), "openmv-rt1062", "recovery"),
        ((0x2341, 0x055F), "arduino-nicla-vision", "run"),
        ((0x2341, 0x005B), "arduino-portenta-h7", "unknown"),  # runs an Arduino sketch
        ((0x303A, 0x4001), "esp32-s3", "run"),
        ((0x1209, 0xABD1), None, "run"),  # some OpenMV camera with old firmware
        ((0x0483, 0xDF11), None, "recovery"),  # any STM32 in ST's ROM loader
        ((0x1A86, 0x55D3), None, "unknown"),  # a UART bridge may belong to anything
        ((0x046D, 0xC52B), None, "unknown"),
    ],
)
def test_what_a_usb_id_says(usb_id, key, mode):
    row, seen = identify(*usb_id)
    assert (row.key if row else None, seen) == (key, mode)


def test_no_two_models_share_an_id_that_should_tell_them_apart():
    own = [usb_id for row in models() for usb_id in (*row.run_ids, *row.bootloader_ids)]
    assert len(own) == len(set(own))
    assert len({row.key for row in models()}) == len(models()) == 13


# --- serial numbers ----------------------------------------------------------------------------


def test_st_s_short_form_as_measured():
    assert serial_number_of(model("arduino-portenta-h7"), PORTENTA_ID) == {"346534563033"}
    assert (
        bootloader_serial_number_of(model("arduino-portenta-h7"), PORTENTA_ID)
        == "0033001F3033510634323437"
    )


def test_a_carry_prints_a_third_digit_on_st_s_own_stack_and_none_on_tinyusb():
    unique_id = bytes([0xFF, 0, 0xFF, 0, 0, 0, 6, 7, 0xFF, 9, 0xFF, 11])
    assert serial_number_of(model("openmv-h7"), unique_id) == {"0B1FE091FE0706"}
    assert serial_number_of(model("openmv-n6"), unique_id) == {
        "0BFE09FE0706",
        unique_id.hex(),
    }


def test_the_n6_is_recognised_under_old_and_new_firmware():
    n6, unique_id = model("openmv-n6"), PORTENTA_ID
    assert serial_number_matches(n6, unique_id, "346534563033")
    assert serial_number_matches(n6, unique_id, unique_id.hex())
    assert serial_number_matches(n6, unique_id, unique_id.hex().upper())
    assert not serial_number_matches(n6, unique_id, "346534563034")


def test_openmv_s_bootloader_shows_the_id_reversed():
    number = bootloader_serial_number_of(model("openmv-n6"), PORTENTA_ID)
    assert bytes.fromhex(number)[::-1] == PORTENTA_ID


def test_a_portenta_in_its_bootloader_is_told_by_the_measured_pair():
    portenta = model("arduino-portenta-h7")
    unique_id = unique_id_of_bootloader(portenta, "0033001F3033510634323437")
    assert unique_id == PORTENTA_ID
    assert serial_number_matches(portenta, unique_id, "346534563033")


def test_an_openmv_camera_in_its_bootloader_is_told_by_its_id():
    n6 = model("openmv-n6")
    shown = bootloader_serial_number_of(n6, PORTENTA_ID)
    assert unique_id_of_bootloader(n6, shown) == PORTENTA_ID
    assert unique_id_of_bootloader(n6, f" {shown.lower()} ") == PORTENTA_ID


@pytest.mark.parametrize("key", ["openmv-ae3", "openmv-rt1062", "esp32-s3", "esp32-cam"])
def test_no_id_where_the_bootloader_s_number_is_not_understood(key):
    row = model(key)
    assert unique_id_of_bootloader(row, "00" * row.unique_id_bytes) is None


@given(st.sampled_from(models()), st.data())
def test_every_bootloader_s_number_leads_back_to_its_id(row, data):
    unique_id = data.draw(st.binary(min_size=row.unique_id_bytes, max_size=row.unique_id_bytes))
    number = bootloader_serial_number_of(row, unique_id)
    if number is not None:
        assert unique_id_of_bootloader(row, number) == unique_id


@given(st.sampled_from(models()), st.data())
def test_the_id_is_told_by_the_serial_number_that_holds_it_whole(row, data):
    unique_id = data.draw(st.binary(min_size=row.unique_id_bytes, max_size=row.unique_id_bytes))
    for number in serial_number_of(row, unique_id):
        whole = row.serial_rule != "st" and number == unique_id.hex()
        assert unique_id_of(row, number.upper()) == (unique_id if whole else None)


def test_an_esp32_s_last_digits_are_not_part_of_its_id_and_a_bridge_s_number_tells_none():
    assert unique_id_of(model("esp32-s3"), "7CDFA10000015A5A").hex() == "7cdfa1000001"
    assert unique_id_of(model("esp32-cam"), "7cdfa1000001") is None
    assert unique_id_of(model("openmv-rt1062"), "0123456789abcdef00") is None


@given(st.sampled_from(models()), st.text(max_size=30) | st.text("0123456789abcdefABCDEF \0"))
def test_a_device_may_say_anything_for_a_serial_number(row, text):
    unique_id = unique_id_of_bootloader(row, text)
    if unique_id is not None:
        assert bootloader_serial_number_of(row, unique_id) == text.strip().upper()


def test_neighbours_on_a_wafer_get_different_names():
    """Their ids differ in the place on the wafer, and end in its lot."""
    neighbours = {bytes([x, 0, y, 0]) + PORTENTA_ID[4:] for x in range(6) for y in range(6)}
    assert len({short_form(unique_id) for unique_id in neighbours}) == 36
    assert all(re.fullmatch("[0-9a-f]{6}", short_form(one)) for one in neighbours)


def test_the_last_digits_of_an_esp32_are_whatever_was_on_the_stack():
    s3, mac = model("esp32-s3"), bytes.fromhex("aabbccddeeff")
    assert serial_number_matches(s3, mac, "aabbccddeeff3f21")
    assert not serial_number_matches(s3, mac, "aabbccddeefe0000")


def test_a_bridge_s_number_says_nothing_of_the_board():
    cam = model("esp32-cam")
    assert serial_number_of(cam, bytes(6)) == frozenset()
    assert serial_number_matches(cam, bytes(6), "0001")
    assert not cam.identified_by_usb


@given(st.sampled_from(models()), st.data())
def test_every_form_of_a_board_s_own_number_matches(row, data):
    unique_id = data.draw(st.binary(min_size=row.unique_id_bytes, max_size=row.unique_id_bytes))
    for form in serial_number_of(row, unique_id):
        assert serial_number_matches(row, unique_id, form)
        assert serial_number_matches(row, unique_id, form.swapcase())


@given(st.sampled_from(models()), st.binary(max_size=16))
def test_an_id_of_another_length_is_no_id_of_the_model(row, unique_id):
    if len(unique_id) != row.unique_id_bytes:
        with pytest.raises(ValueError, match="unique_id"):
            serial_number_of(row, unique_id)


def test_an_unknown_model_is_a_key_error():
    with pytest.raises(KeyError):
        model("openmv-n7")


def test_importing_it_is_cheap():
    """A virtual board's process starts with it."""
    code = "import sys, hil.boards.table; print({'pydantic', 'ruamel.yaml'} & sys.modules.keys())"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_probing_leaves_a_place_in_every_models_socket_pool():
    from hil.boards.model import CONNECTIONS

    for row in models():
        assert 1 <= row.connections < CONNECTIONS[row.network]


@pytest.mark.parametrize(
    ("key", "method", "writable"),
    [
        ("openmv-n6", "openmv-dfu", {"FIRMWARE": 1, "ROMFS0": 3}),
        ("openmv-ae3", "openmv-dfu", {"HP": 1, "HE": 2, "ROMFS1": 3, "ROMFS0": 6}),
        ("openmv-h7", "openmv-dfu", {"FIRMWARE": 2, "ROMFS0": 3}),
        ("openmv-m4", "openmv-dfu", {"FIRMWARE": 2, "ROMFS0": 3}),
        ("openmv-h7-plus", "openmv-dfu", {"FIRMWARE": 2, "ROMFS0": 4}),
        ("openmv-pure-thermal", "openmv-dfu", {"FIRMWARE": 2, "ROMFS0": 4}),
        ("openmv-rt1062", "imx", {"FIRMWARE": 0x60040000, "ROMFS0": 0x60800000}),
        ("arduino-nicla-vision", "arduino-dfu", {"FIRMWARE": 0x08040000, "ROMFS0": 0x90B00000}),
        ("esp32-s3", "esptool", {"FIRMWARE": 0}),
        ("esp32-cam", "esptool", {"FIRMWARE": 0x1000}),
    ],
)
def test_where_a_board_may_be_written_and_nowhere_else(key, method, writable):
    row = model(key)
    by_alt = method == "openmv-dfu"
    found = {p.name: p.alt if by_alt else p.address for p in row.partitions if not p.never}
    assert (row.flash_method, found) == (method, writable)
    assert set(row.flashed_together) <= set(writable)


def test_no_writable_partition_reaches_into_another_one():
    for row in models():
        placed = sorted(
            (p for p in row.partitions if p.address is not None), key=lambda p: (p.address, p.name)
        )
        for one, following in itertools.pairwise(placed):
            assert one.size is not None, (row.key, one.name)
            assert one.address + one.size <= following.address, (row.key, one.name)
        alts = [p.alt for p in row.partitions]
        if row.flash_method == "openmv-dfu":
            assert alts == list(range(len(alts))), row.key
