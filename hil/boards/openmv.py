"""OpenMV's cameras.

Sources: openmv/openmv ``boards/*/board_config.mk``, ``boot_config.h`` and ``manifest.py`` at
v5.0.0, docs.openmv.io "production/firmware/flashing", OpenMV IDE's settings.json.
USB ids of vendor 37C5 exist since 2025; older firmware of every model used 1209:ABD1.
"""

from __future__ import annotations

from dataclasses import replace

from .model import BootloaderEntry, Model, Partition
from .ports import ALIF, MIMXRT, STM32

_LEGACY = ((0x1209, 0xABD1),)
_ST_ROM = ((0x0483, 0xDF11),)  # ST's ROM loader: the same id for every STM32

# boot/src/common/main.c: up to 1 s waiting for the host to mount it, then OMV_BOOT_DFU_TIMEOUT
# of 1500 ms, on every reset.
_DFU_WINDOW_S = 2.5

# boards/*/manifest.py: require("microdot-lib") is microdot 2.6.2, require("pyjwt") brings hmac.
# First in v5.0.0 (commit 14e7f2bf6, 2026-06-02).
_FROZEN = ("microdot", "jwt", "hmac", "ntptime")

# Why a partition is never written. A test tool has no business in a loader, and the file systems
# hold the signing key and the journal: files go through the REPL.
_LOADER = "the bootloader itself"
_FILES = "the board's files; they are deployed over the REPL"

# boards/*/boot_config.h: alternate settings in this order. machine.bootloader() is on all of them
# (a magic word and a reset); mpremote's own `bootloader` command does nothing on an AE3.
_DFU_ENTRIES: tuple[BootloaderEntry, ...] = ("machine.bootloader", "reset window")
_SMALL_STM32 = (
    Partition("BOOTLOADER", alt=0, never=_LOADER),
    Partition("FILESYSTEM", alt=1, never=_FILES),
    Partition("FIRMWARE", alt=2),
    Partition("ROMFS0", alt=3),
)
_QSPI_STM32 = (
    Partition("BOOTLOADER", alt=0, never=_LOADER),
    Partition("FILESYSTEM", alt=1, never=_FILES),
    Partition("FIRMWARE", alt=2),
    Partition("SPI_FLASH", alt=3, never="the whole of the QSPI flash, ROMFS0 and files included"),
    Partition("ROMFS0", alt=4),
)

N6 = Model(
    key="openmv-n6",
    title="OpenMV N6",
    target="OPENMV_N6",
    port=STM32,
    run_ids=((0x37C5, 0x1206),),
    bootloader_ids=((0x37C5, 0x9206),),
    recovery_ids=_ST_ROM,
    legacy_ids=_LEGACY,
    manufacturer="OpenMV",
    product="OpenMV Camera",  # of v5 not confirmed
    # TinyUSB on stm32 prints the whole id up to MicroPython 1.28 and ST's short form since
    # commit 693f33aa42 (1.29): which one v5.0.0 has is not confirmed, so both are accepted.
    serial_rule="hex-or-st",
    bootloader_serial_rule="reversed-hex",
    bootloader_on_reset_s=_DFU_WINDOW_S,
    card_root="/sdcard",
    skip_card_file="/flash/SKIPSD",
    frozen=_FROZEN,
    default_hostname="mpy-stm32",  # the port's default: no override seen
    flash_method="openmv-dfu",
    bootloader_entries=_DFU_ENTRIES,
    partitions=(
        Partition("BOOTLOADER", alt=0, never=_LOADER),
        Partition("FIRMWARE", alt=1),
        Partition("FILESYSTEM", alt=2, never=_FILES),
        Partition("ROMFS0", alt=3),
    ),
)

AE3 = Model(
    key="openmv-ae3",
    title="OpenMV AE3",
    target="OPENMV_AE3",
    port=ALIF,
    run_ids=((0x37C5, 0x16E3),),
    bootloader_ids=((0x37C5, 0x96E3),),
    # Recovery goes through a UART bridge (0403:6015 or 1A86:55D3) on the secure enclave's pins.
    # Such a bridge may belong to anything, so it identifies nothing.
    recovery_ids=(),
    manufacturer="OpenMV",
    product="OpenMV Camera",
    serial_rule="hex",
    # 24 digits of 12 bytes; whether they start with the 8-byte id is not verified.
    bootloader_serial_rule="unknown",
    bootloader_on_reset_s=_DFU_WINDOW_S,
    # scripts/libraries/alif/hp/_boot.py mounts /flash only: no card at boot.
    card_root=None,
    frozen=_FROZEN,
    default_hostname="mpy-alif",
    flash_method="openmv-dfu",
    bootloader_entries=_DFU_ENTRIES,
    partitions=(
        Partition("BOOT", alt=0, never=_LOADER),
        Partition("HP", alt=1),
        Partition("HE", alt=2),
        Partition("ROMFS1", alt=3),
        Partition("TOC", alt=4, never="the secure enclave's table of contents: without it no boot"),
        Partition("RWFS", alt=5, never=_FILES),
        Partition("ROMFS0", alt=6),
        Partition("RECOVERY", alt=7, never="what the board is recovered with"),
    ),
    # docs "production/firmware/flashing": the two cores' images ship together.
    flashed_together=("HP", "HE"),
)

RT1062 = Model(
    key="openmv-rt1062",
    title="OpenMV RT1062",
    target="OPENMV_RT1060",
    port=MIMXRT,
    run_ids=((0x37C5, 0x1060),),
    bootloader_ids=((0x15A2, 0x0073),),  # NXP's second-stage loader, a HID device for blhost
    recovery_ids=((0x1FC9, 0x0135),),  # the ROM's SDP
    legacy_ids=_LEGACY,
    manufacturer="OpenMV",
    product="OpenMV Camera",  # of v5 not confirmed
    serial_rule="hex",
    bootloader_serial_rule="unknown",
    # The loader idles about 1 s on a reset (measured by OpenMV's bench).
    bootloader_on_reset_s=1.0,
    card_root="/sdcard",
    skip_card_file="/flash/SKIPSD",
    frozen=_FROZEN,
    default_hostname="openmvrt1060",  # OpenMV's MicroPython fork, branch openmv-1.25.0
    flash_method="imx",
    # ROM_RunBootloader(0xEB000000). The loader waits about 1 s for blhost: see hil/flash/imx.py.
    bootloader_entries=("machine.bootloader", "reset window"),
    partitions=(
        Partition("FCB", address=0x60000000, size=0x1000, never="the chip boots by it"),
        Partition("SBL", address=0x60001000, size=0x3F000, never=_LOADER),
        Partition("FIRMWARE", address=0x60040000, size=0x3C0000),
        Partition("FILESYSTEM", address=0x60400000, size=0x400000, never=_FILES),
        Partition("ROMFS0", address=0x60800000, size=0x800000),
    ),
)

# The older STM32 cameras: no lwIP (only the WINC1500 shield), so no mDNS, and nothing frozen in.
H7 = Model(
    key="openmv-h7",
    title="OpenMV H7",
    target="OPENMV4",
    port=STM32,
    run_ids=((0x37C5, 0x1204),),
    bootloader_ids=((0x37C5, 0x9204),),
    recovery_ids=_ST_ROM,
    legacy_ids=_LEGACY,
    manufacturer="OpenMV",
    product="OpenMV Virtual Comm Port in FS Mode",
    serial_rule="st",
    bootloader_serial_rule="reversed-hex",
    bootloader_on_reset_s=_DFU_WINDOW_S,
    card_root="/sdcard",
    skip_card_file="/flash/SKIPSD",
    frozen=("ntptime",),
    network="winc1500",
    default_hostname="mpy-openmv-4",
    flash_method="openmv-dfu",
    bootloader_entries=_DFU_ENTRIES,
    partitions=_SMALL_STM32,
)

H7_PLUS = replace(
    H7,
    key="openmv-h7-plus",
    title="OpenMV H7 Plus",
    target="OPENMV4P",
    run_ids=((0x37C5, 0x124A),),
    bootloader_ids=((0x37C5, 0x924A),),
    default_hostname="mpy-openmv-4p",
    partitions=_QSPI_STM32,
)

PURE_THERMAL = replace(
    H7,
    key="openmv-pure-thermal",
    title="OpenMV Pure Thermal",
    target="OPENMVPT",
    run_ids=((0x37C5, 0x1205),),
    bootloader_ids=((0x37C5, 0x9205),),
    default_hostname="mpy-openmv-4p",  # the same as the H7 Plus
    partitions=_QSPI_STM32,
)

M7 = replace(
    H7,
    key="openmv-m7",
    title="OpenMV M7",
    target="OPENMV3",
    run_ids=((0x37C5, 0x1203),),
    bootloader_ids=((0x37C5, 0x9203),),
    default_hostname="mpy-openmv-3",
)

M4 = replace(
    H7,
    key="openmv-m4",
    title="OpenMV M4",
    target="OPENMV2",
    run_ids=((0x37C5, 0x1202),),
    bootloader_ids=((0x37C5, 0x9202),),
    frozen=(),  # its manifest has neither ntptime nor ssl
    default_hostname="mpy-openmv-2",
)

MODELS = (N6, AE3, RT1062, H7, H7_PLUS, M7, M4, PURE_THERMAL)
