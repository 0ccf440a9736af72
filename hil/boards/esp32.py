"""Stock MicroPython on Espressif's chips. Source: MicroPython 1.28.0 ``ports/esp32``."""

from __future__ import annotations

from .model import Model, Partition
from .ports import ESP32

S3 = Model(
    key="esp32-s3",
    title="ESP32-S3 (native USB)",
    target="ESP32_GENERIC_S3",
    port=ESP32,
    run_ids=((0x303A, 0x4001),),
    # The ROM's USB-Serial/JTAG: general knowledge, not verified on a board.
    bootloader_ids=((0x303A, 0x1001),),
    recovery_ids=(),
    manufacturer="Espressif Systems",
    product="Espressif Device",
    # ports/esp32/usb.c prints 8 bytes of which the MAC fills 6: the last 4 digits are whatever
    # was on the stack.
    serial_rule="hex-prefix",
    bootloader_serial_rule="unknown",
    root="/",  # ports/esp32/modules/_boot.py mounts the file system there
    main_on_soft_reset=True,
    frozen=("ntptime",),
    network="esp-idf",
    default_hostname="mpy-esp32s3",
    flash_method="esptool",
    bootloader_entries=("machine.bootloader",),
    # boards/ESP32_GENERIC_S3/board.json: flash_offset "0"; the image brings loader and table.
    partitions=(Partition("FIRMWARE", address=0x0),),
)

CAM = Model(
    key="esp32-cam",
    title="ESP32-CAM (UART bridge)",
    target="ESP32_GENERIC",
    port=ESP32,
    # No USB of its own: the bridge (CH340, CP210x, …) shows its ids and serial number.
    run_ids=(),
    bootloader_ids=(),
    recovery_ids=(),
    manufacturer="",
    product="",
    serial_rule="bridge",
    bootloader_serial_rule="unknown",
    root="/",
    main_on_soft_reset=True,
    frozen=("ntptime",),
    network="esp-idf",
    default_hostname="mpy-esp32",
    flash_method="esptool",
    # With the -MB base esptool pulls the two lines itself; without it GPIO0 goes to GND by hand.
    bootloader_entries=("by hand",),
    partitions=(Partition("FIRMWARE", address=0x1000),),  # ports/esp32/boards/deploy.md
)

MODELS = (S3, CAM)
