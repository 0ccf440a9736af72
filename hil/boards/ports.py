"""MicroPython ports: clocks and identities that all boards of one chip family share.

Read in the sources of MicroPython 1.28.0 and OpenMV 5.0.0. No board was at hand: each line says
where it was read.
"""

from __future__ import annotations

from .model import Port

STM32 = Port(
    name="stm32",
    # py/mpconfig.h: MICROPY_EPOCH_IS_1970 is off by default, and stm32 leaves it so.
    epoch=2000,
    # ports/stm32/rtc.c: a cold RTC starts at 2015-01-01 00:00:00.
    unset_clock=1_420_070_400,
    # rtc.c, rtc_init_start(): a running RTC is left alone (backup domain).
    rtc_kept_on_reset=True,
    # docs.openmv.io/library/time: "lost on power loss unless a backup battery is fitted".
    rtc_kept_on_power_loss=False,
    # rtc.c writes the weekday as given; the hardware counts Monday as 1, and 0 is invalid.
    rtc_weekday_range=(1, 7),
    rtc_weekday_stored=True,
    # rtc.c stores year - 2000 in two BCD digits, unchecked.
    rtc_years=(2000, 2099),
    unique_id_bytes=12,
)

ALIF = Port(
    name="alif",
    epoch=1970,  # ports/alif/mpconfigport.h
    unset_clock=0,  # the low-power RTC counts from 0
    rtc_kept_on_reset=True,  # an LPRTC that is enabled is left running
    rtc_kept_on_power_loss=False,
    rtc_weekday_range=(0, 6),  # computed on reading, ignored on setting
    rtc_weekday_stored=False,
    rtc_years=(1970, 2106),  # 32-bit seconds since 1970
    unique_id_bytes=8,  # the secure enclave's id
)

MIMXRT = Port(
    name="mimxrt",
    epoch=1970,  # ports/mimxrt/mpconfigport.h
    unset_clock=1_381_780_391,  # SNVS default: 2013-10-14 19:53:11
    rtc_kept_on_reset=True,  # SNVS low-power SRTC
    rtc_kept_on_power_loss=False,
    rtc_weekday_range=(0, 6),  # computed on reading, ignored on setting
    rtc_weekday_stored=False,
    rtc_years=(1970, 2106),  # 32-bit seconds since 1970
    unique_id_bytes=8,  # OCOTP CFG0 and CFG1
)

ESP32 = Port(
    name="esp32",
    epoch=2000,  # py/mpconfig.h default, as on stm32
    unset_clock=946_684_800,  # gettimeofday() starts at 0, taken as 2000-01-01
    # ESP-IDF keeps the system time over esp_restart(); documented, not tried on a board.
    rtc_kept_on_reset=True,
    rtc_kept_on_power_loss=False,
    rtc_weekday_range=(0, 6),  # computed on reading, ignored on setting
    rtc_weekday_stored=False,
    rtc_years=(2000, 2099),  # not verified: the range that all boards of epoch 2000 share
    unique_id_bytes=6,  # the MAC address
)
