"""``flash:`` in devices.yaml: what it may say, and where each mistake is told."""

from __future__ import annotations

from textwrap import dedent

import pytest

from hil import config
from hil.errors import ConfigError
from hil.flash_entry import FlashSpec, ImageFile

N6 = "kind: board\n    model: openmv-n6\n    usb_serial: '1'\n    provision: true"
AE3 = "kind: board\n    model: openmv-ae3\n    usb_serial: '1'\n    provision: true"
VIRTUAL = "kind: virtual\n    model: openmv-n6\n    provision: true"


@pytest.fixture
def read(tmp_path):
    def read_one(flash: str, board: str = N6) -> FlashSpec | None:
        path = tmp_path / "devices.yaml"
        body = "\n".join("    " + line for line in dedent(flash).strip().splitlines())
        path.write_text(f"targets:\n  porch:\n    {board}\n{body}\n")
        return config.read(path).targets["porch"].flash

    return read_one


@pytest.fixture
def mistakes(read, tmp_path):
    """The mistakes of an entry, each as ``LINE:COLUMN: what is wrong``."""

    def of(flash: str, board: str = N6) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(flash, board)
        where = f"{tmp_path / 'devices.yaml'}:"
        return [line.removeprefix(where) for line in str(caught.value).splitlines()]

    return of


def test_one_image_goes_to_the_firmware_by_the_models_own_method(read, tmp_path):
    """The file need not be there: it may have to be built first."""
    where = f"{tmp_path / 'devices.yaml'}:7:20"
    image = ImageFile(str(tmp_path / "build" / "fw.bin"), where)
    assert read("flash: {image: build/fw.bin}") == FlashSpec("openmv-dfu", {"FIRMWARE": image})


def test_several_images_keep_their_order(read):
    spec = read("flash:\n  images: {HE: b.bin, ROMFS0: c.bin, HP: a.bin}", AE3)
    assert spec
    assert list(spec.images) == ["HE", "ROMFS0", "HP"]


def test_a_command_is_a_method_and_a_virtual_board_has_its_own(read):
    spec = read("flash: {image: a.bin, command: ./flash.sh}")
    assert spec
    assert (spec.method, spec.command) == ("command", "./flash.sh")
    spec = read("flash: {image: a.bin}", VIRTUAL)
    assert spec
    assert (spec.method, spec.command) == ("virtual", None)


def test_a_target_without_flash_is_not_flashed(read):
    assert read("user: owner") is None


def test_flash_needs_the_owners_consent(mistakes):
    board = N6.replace("true", "false")
    assert mistakes("flash: {image: a.bin}", board) == [
        "7:5: 'flash' needs 'provision: true', the consent to write"
    ]


def test_a_url_is_not_flashed(mistakes):
    told = mistakes("flash: {image: a.bin}", "kind: url\n    url: http://192.0.2.1")
    assert any("'flash' has no meaning for kind url" in line for line in told)


@pytest.mark.parametrize(
    ("flash", "told"),
    [
        ("flash: fw.bin", "7:12: 'flash' must be a mapping: 'image: FILE' and so on"),
        ("flash: {}", "7:5: 'flash' needs 'image', or 'images' for several partitions"),
        (
            "flash: {image: a.bin, images: {FIRMWARE: a.bin}}",
            "7:5: 'flash' needs 'image', or 'images' for several partitions",
        ),
        (
            "flash: {image: a.bin, metod: openmv-dfu}",
            "7:27: unknown key 'metod' (did you mean 'method'?)",
        ),
        (
            "flash: {image: a.bin, method: openmv-dfuu}",
            "7:35: unknown flashing method 'openmv-dfuu' (did you mean 'openmv-dfu'?)",
        ),
        ("flash: {image: a.bin, method: command}", "7:35: method 'command' needs 'command'"),
        (
            "flash: {image: a.bin, method: openmv-dfu, command: ./x}",
            "7:56: 'command' has no meaning for method 'openmv-dfu'",
        ),
        ("flash: {image: a.bin, command: [a]}", "7:36: 'command' must be text"),
        ("flash: {image: [a]}", "7:20: give the image's file"),
        ("flash: {images: a.bin}", "7:21: 'images' must be a mapping, 'PARTITION: FILE' for each"),
        (
            "flash: {images: {FIRMWAR: a.bin}}",
            "7:22: an OpenMV N6 has no partition 'FIRMWAR'; known are FIRMWARE, ROMFS0",
        ),
        (
            "flash: {images: {BOOTLOADER: a.bin}}",
            "7:22: BOOTLOADER is never written: the bootloader itself",
        ),
    ],
)
def test_a_mistake_is_told_where_it_stands(mistakes, flash, told):
    assert mistakes(flash) == [told]


def test_the_images_of_two_cores_are_given_together(mistakes):
    assert mistakes("flash: {images: {HP: a.bin}}", AE3) == [
        "7:21: HP and HE are flashed together: HE is missing"
    ]
    assert mistakes("flash: {image: a.bin}", AE3) == [
        "7:13: an OpenMV AE3 needs 'images', with HP and HE"
    ]


def test_an_unknown_model_is_told_once(mistakes):
    board = N6.replace("openmv-n6", "openmv-n7")
    (told,) = mistakes("flash: {image: a.bin}", board)
    assert "unknown model" in told
