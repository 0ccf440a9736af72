"""``time`` with the model's epoch and whole seconds."""

from utime import sleep, sleep_ms, sleep_us, ticks_add, ticks_cpu, ticks_diff, ticks_ms, ticks_us
from utime import gmtime as _gmtime

import _clock


def time():
    return _clock.unix_ns() // 1000000000 - _clock.BOARD_EPOCH


def time_ns():
    return _clock.unix_ns() - _clock.BOARD_EPOCH * 1000000000


def gmtime(seconds=None):
    if seconds is None:
        seconds = time()
    return _gmtime(int(seconds) + _clock.BOARD_EPOCH)[:8]


localtime = gmtime  # cameras know no time zone


def mktime(fields):
    year, month, day, hour, minute, second = fields[:6]
    return _clock.unix_of(year, month, day, hour, minute, second) - _clock.BOARD_EPOCH
