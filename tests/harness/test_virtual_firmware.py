"""Images of virtual boards: what is packed comes out again, and nothing else passes for one."""

from __future__ import annotations

import hashlib
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.boards.table import model
from hil.virtual.firmware import (
    MAGIC,
    DamagedImageError,
    Firmware,
    Partitions,
    build,
    parse,
    partitions_of,
)
from hil.virtual.interpreter import rom_image

TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255)
FIRMWARE = st.builds(Firmware, TEXTS, TEXTS, TEXTS, st.binary(max_size=400))


def signed(body: bytes) -> bytes:
    """A body whose hash is right, whatever is in it."""
    return body + hashlib.sha256(body).digest()


@given(FIRMWARE)
def test_what_is_packed_comes_out_again(firmware: Firmware) -> None:
    assert parse(firmware.pack()) == firmware


@given(FIRMWARE, st.data())
def test_no_bit_can_flip_unnoticed(firmware: Firmware, data: st.DataObject) -> None:
    image = bytearray(firmware.pack())
    bit = data.draw(st.integers(0, 8 * len(image) - 1))
    image[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedImageError):
        parse(bytes(image))


@given(FIRMWARE, st.data())
def test_an_image_cut_short_anywhere_is_none(firmware: Firmware, data: st.DataObject) -> None:
    image = firmware.pack()
    with pytest.raises(DamagedImageError):
        parse(image[: data.draw(st.integers(0, len(image) - 1))])


@given(FIRMWARE, st.binary(min_size=1, max_size=40))
def test_an_image_with_something_behind_it_is_none(firmware: Firmware, more: bytes) -> None:
    with pytest.raises(DamagedImageError):
        parse(firmware.pack() + more)


def test_its_own_length_counts_too() -> None:
    body = Firmware("OPENMV_N6", "FIRMWARE", "v1", b"rom").pack()[:-32]
    assert parse(signed(body)).rom == b"rom"
    with pytest.raises(DamagedImageError, match="has 73 bytes, not 72"):
        parse(signed(body + b"."))


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda data: MAGIC + data)))
def test_other_bytes_are_none(data: bytes) -> None:
    with pytest.raises(DamagedImageError):
        parse(data)


@given(
    st.tuples(*[st.binary(max_size=3)] * 3), st.sampled_from([b"\0", b"0"]), st.binary(max_size=9)
)
def test_a_right_hash_does_not_make_up_for_unreadable_texts(
    texts: tuple[bytes, bytes, bytes], end: bytes, rom: bytes
) -> None:
    lengths = struct.pack("<BBBI", *map(len, texts), len(rom))
    image = signed(MAGIC + lengths + b"".join(text + end for text in texts) + rom)
    readable = all(text and text.isascii() and text.decode().isprintable() for text in texts)
    if readable and end == b"\0":
        assert parse(image).rom == rom
    else:
        with pytest.raises(DamagedImageError, match="no readable target"):
            parse(image)


@pytest.mark.parametrize("version", ["", "v" * 256, "v1\n", "v1é"])
def test_a_version_that_no_image_holds_is_refused_when_packing(version: str) -> None:
    with pytest.raises(ValueError, match="1 to 255 printable"):
        Firmware("OPENMV_N6", "FIRMWARE", version, b"").pack()


# What is built here


def test_a_camera_gets_its_frozen_packages_in_one_image() -> None:
    row = model("openmv-n6")
    images = build(row, "today", "2026-11-24")
    assert set(images) == {"FIRMWARE"}
    firmware = parse(images["FIRMWARE"])
    assert (firmware.target, firmware.partition) == ("OPENMV_N6", "FIRMWARE")
    assert firmware.rom == rom_image(row.frozen)
    assert re.fullmatch(r"v1\.28\.0-hil\.today\.[0-9a-f]{8} on 2026-11-24", firmware.version)


def test_two_cores_get_one_version() -> None:
    images = build(model("openmv-ae3"), "today")
    hp, he = parse(images["HP"]), parse(images["HE"])
    assert hp.version == he.version
    assert (bool(hp.rom), bool(he.rom)) == (True, False)


def test_the_version_tells_other_contents() -> None:
    row = model("openmv-n6")
    full, bare = (parse(build(row, "x", frozen=frozen)["FIRMWARE"]) for frozen in (True, False))
    assert full.version != bare.version


# What a board boots


@pytest.fixture
def cores(tmp_path: Path) -> Partitions:
    row = model("openmv-ae3")
    return Partitions(tmp_path, row.target, partitions_of(row))


def test_a_board_boots_what_the_factory_made(cores: Partitions) -> None:
    assert cores.blank
    cores.make(build(model("openmv-ae3"), "factory"))
    assert not cores.blank
    assert "-hil.factory." in cores.firmware().version


def test_a_board_boots_nothing_without_one_of_its_partitions(cores: Partitions) -> None:
    cores.make({"HP": build(model("openmv-ae3"), "factory")["HP"]})
    with pytest.raises(DamagedImageError, match="in HE is not there"):
        cores.firmware()


def test_a_board_boots_no_two_versions(cores: Partitions) -> None:
    row = model("openmv-ae3")
    cores.make({"HP": build(row, "new")["HP"], "HE": build(row, "old")["HE"]})
    with pytest.raises(
        DamagedImageError, match=r"two versions: HP .+hil\.new\..+, HE .+hil\.old\."
    ):
        cores.firmware()


def test_a_board_boots_no_other_boards_image(cores: Partitions) -> None:
    image = Firmware("OPENMV_N6", "HP", "v1", b"").pack()
    cores.make({"HP": image, "HE": image})
    with pytest.raises(DamagedImageError, match="in HP is for OPENMV_N6, and this is OPENMV_AE3"):
        cores.firmware()


def test_a_board_boots_no_image_of_the_other_core(cores: Partitions) -> None:
    images = build(model("openmv-ae3"), "v1")
    cores.make({"HP": images["HE"], "HE": images["HP"]})
    with pytest.raises(DamagedImageError, match="is for the partition HE, not for HP"):
        cores.firmware()


def test_writing_at_the_beginning_erases_the_partition(cores: Partitions) -> None:
    cores.write("HP", 0, b"abcd")
    cores.write("HP", 4, b"ef")
    assert cores.size("HP") == 6
    cores.write("HP", 0, b"x")
    assert cores.size("HP") == 1
