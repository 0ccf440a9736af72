"""Unix time on boards whose epoch may be 2000, whose clock may be unset, and may be set back.

**Set back.** A token that has expired must not come to life again because somebody's NTP answer
moved the clock back. The camera remembers the latest time it has seen; when its clock is more than
``_TOLERANCE`` seconds behind that, every token issued until then dies (a new *generation* begins)
and people log in again. Refusing to go on until the clock has caught up would be the other way: one
wrong answer of a year ahead would then lock the owner out for a year.

**Flash wear.** What is remembered is written to clock.json when a token is issued, at most once in
``_SAVE_EVERY`` seconds, and when a generation begins; never for a request without a right password.
With one log-in an hour that is under 9000 writes a year, where a sector stands 100 000.
"""

import json
import os
import time
from binascii import hexlify

FILE = "clock.json"
EPOCH = 946684800 if time.gmtime(0)[0] == 2000 else 0  # stm32 and esp32 count from 2000
# No board's unset clock is later than 2021, and SNTP of this library's kind ends before 2024.
EARLIEST = 1704067200  # 2024-01-01
_TOLERANCE = 60  # seconds; a daily correction by NTP logs nobody out
_SAVE_EVERY = 600  # seconds

_latest = 0
_saved = 0
_generation = b""


def unix():
    """Seconds since 1970-01-01 UTC (RFC 7519 §2, NumericDate), by the board's clock."""
    return int(time.time()) + EPOCH


def is_set():
    return unix() >= EARLIEST


def observe():
    """Unix time now; notices a clock that was set back. For when a token is at stake."""
    global _latest, _generation
    now = unix()
    if now < EARLIEST:  # unset, which is not set back
        return now
    if now < _latest - _TOLERANCE:
        print("camera: the clock went back by %d s; older tokens are void" % (_latest - now))
        _generation = os.urandom(8)
        _latest = now
        _save()
    _latest = max(_latest, now)
    return now


def generation():
    """Bytes that change whenever the clock was set back."""
    return _generation


def token_issued():
    """Remembers the time over a loss of power."""
    if not _saved <= _latest < _saved + _SAVE_EVERY:
        _save()


def restore():
    """Takes up what was remembered before the reboot. No file: the first boot."""
    global _latest, _saved, _generation
    try:
        with open(FILE) as file:
            state = json.load(file)
        latest, _generation = state["latest"] + 0, bytes.fromhex(state["generation"])
        _latest = _saved = latest
    except OSError:
        return
    except (ValueError, KeyError, TypeError):
        # Power went while it was written: which generation it was is lost, so begin another.
        _generation = os.urandom(8)


def _save():
    global _saved
    _saved = _latest
    try:
        with open(FILE, "w") as file:
            json.dump({"latest": _latest, "generation": hexlify(_generation).decode()}, file)
    except OSError as error:
        # A full flash: the camera serves on, and remembers until the power goes.
        print("camera: clock.json cannot be written:", error)


def set_rtc(seconds):
    """Sets the board's clock. ``seconds``: Unix time, UTC. False on a port without an RTC."""
    try:
        from machine import RTC
    except ImportError:  # the unix port's clock is its host's
        return False
    year, month, day, hour, minute, second, weekday = time.gmtime(seconds - EPOCH)[:7]
    # stm32 wants Monday as 1 and takes 0 for invalid; the other ports do not read the field.
    RTC().datetime((year, month, day, weekday + 1, hour, minute, second, 0))
    return True
