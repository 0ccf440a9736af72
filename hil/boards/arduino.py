"""Arduino's boards that run OpenMV's firmware. Sources: openmv/openmv ``boards/ARDUINO_*``,
MicroPython 1.28.0 ``ports/stm32/boards/ARDUINO_*``, OpenMV IDE's settings.json.

Their bootloader is Arduino's MCUboot: no window on reset, entered by a 1200-baud touch.
"""

from __future__ import annotations

from dataclasses import replace

from .model import Model, Partition
from .ports import STM32

_RADIO = "the radio's own firmware"

# docs.openmv.io "production/firmware/flashing": absolute addresses, two alternate settings.
_PARTITIONS = (
    Partition("MCUBOOT", alt=0, address=0x0800_0000, size=0x2_0000, never="the bootloader itself"),
    Partition(
        "FILESYSTEM",
        alt=0,
        address=0x0802_0000,
        size=0x2_0000,
        never="the board's files; they are deployed over the REPL",
    ),
    # To the end of the STM32H747's 2 MB of flash.
    Partition("FIRMWARE", alt=0, address=0x0804_0000, size=0x1C_0000),
    Partition("ROMFS0", alt=1, address=0x90B0_0000, size=0x40_0000),
    Partition("WIFI", alt=1, address=0x90F0_0000, size=0xC_0000, never=_RADIO),
    Partition("BLUETOOTH", alt=1, address=0x90FC_0000, never=_RADIO),
)

PORTENTA_H7 = Model(
    key="arduino-portenta-h7",
    title="Arduino Portenta H7",
    target="ARDUINO_PORTENTA_H7",
    port=STM32,
    # OpenMV's firmware, and stock MicroPython (ports/stm32/boards/*/mpconfigboard.h).
    run_ids=((0x2341, 0x045B), (0x2341, 0x055B)),
    bootloader_ids=((0x2341, 0x035B),),
    recovery_ids=(),
    foreign_ids=((0x2341, 0x005B), (0x2341, 0x025B), (0x2341, 0x805B)),
    manufacturer="Arduino",
    product="Portenta Virtual Comm Port in HS Mode",
    serial_rule="st",
    bootloader_serial_rule="word-hex",
    card_root="/sdcard",
    skip_card_file="/flash/SKIPSD",
    frozen=("ntptime",),  # no microdot, jwt or hmac: they are deployed
    default_hostname="mpy-portenta-h7",
    flash_method="arduino-dfu",
    # The touch is served by the USB stack even while the application owns the REPL (measured by
    # OpenMV's bench). No window on reset.
    bootloader_entries=("1200-baud touch", "machine.bootloader"),
    partitions=_PARTITIONS,
    back_from_bootloader_s=60.0,  # ":leave" took 31 s on OpenMV's bench
)

NICLA_VISION = replace(
    PORTENTA_H7,
    key="arduino-nicla-vision",
    title="Arduino Nicla Vision",
    target="ARDUINO_NICLA_VISION",
    run_ids=((0x2341, 0x045F), (0x2341, 0x055F)),  # OpenMV's firmware, stock MicroPython
    bootloader_ids=((0x2341, 0x035F),),
    foreign_ids=((0x2341, 0x005F), (0x2341, 0x025F), (0x2341, 0x805F)),
    product="Nicla Vision Virtual Comm Port in HS Mode",
    # mpconfigboard.h: MICROPY_HW_ENABLE_SDCARD is 0, so _boot.py finds no pyb.SDCard.
    card_root=None,
    skip_card_file=None,
    default_hostname="mpy-nicla-vision",
)

GIGA = replace(
    PORTENTA_H7,
    key="arduino-giga",
    title="Arduino GIGA R1 WiFi",
    target="ARDUINO_GIGA",
    run_ids=((0x2341, 0x0466), (0x2341, 0x0566)),  # OpenMV's firmware, stock MicroPython
    bootloader_ids=((0x2341, 0x0366),),
    foreign_ids=((0x2341, 0x0066), (0x2341, 0x0266), (0x2341, 0x8066)),
    product="Giga Virtual Comm Port in FS Mode",
    card_root=None,  # as of the Nicla Vision
    skip_card_file=None,
    default_hostname="mpy-giga-r1-wifi",
)

MODELS = (PORTENTA_H7, NICLA_VISION, GIGA)
