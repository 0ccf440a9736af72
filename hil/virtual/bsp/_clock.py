"""The real-time clock: the host's clock plus an offset in ``rtc.json``, which the supervisor
resets at a power loss as the model does."""

import utime

import _bsp

BOARD_EPOCH = 946684800 if _bsp.board["epoch"] == 2000 else 0  # as Unix seconds
_STORED_WEEKDAY = _bsp.board["rtc_weekday_stored"]
_MONDAY = _bsp.board["rtc_monday"]
_PORT = _bsp.board["port"]

_rtc = _bsp.load("rtc.json")
_fault = _bsp.load("faults.json")["rtc"]
_started_at = utime.time_ns()


def _counter():
    return _started_at if _fault == "stopped" else utime.time_ns()


def unix_ns():
    """What the RTC says, as Unix nanoseconds."""
    return _counter() + _rtc["offset_ns"]


def days_from_civil(year, month, day):
    """Days since 1970-01-01 in the Gregorian calendar; months past 12 carry."""
    year += (month - 1) // 12
    month = (month - 1) % 12 + 1
    if month <= 2:
        year -= 1
        month += 12
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719469


def unix_of(year, month, day, hour, minute, second):
    return days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second


def get():
    """The 8-tuple of ``RTC().datetime()``."""
    now = unix_ns()
    seconds = now // 1000000000
    year, month, day, hour, minute, second, weekday, _, _ = utime.gmtime(seconds)
    if _STORED_WEEKDAY:
        weekday = _stored_weekday(seconds // 86400)
    else:
        weekday += _MONDAY
    microseconds = 0 if _PORT == "rp2" else now // 1000 % 1000000
    return (year, month, day, weekday, hour, minute, second, microseconds)


def _stored_weekday(today):
    # The hardware counts on from what was written, right or wrong; 0 is no weekday to it.
    first, since = _rtc["weekday"], _rtc["weekday_day"]
    if first == 0 and today == since:
        return 0
    return (first - 1 + today - since) % 7 + 1


def set(items):
    """Set from the same 8-tuple. The second begins now: the prescaler restarts."""
    if _fault == "deaf":
        return
    year, month, day, weekday, hour, minute, second, subseconds = items
    if _STORED_WEEKDAY:
        year = 2000 + (year - 2000) % 100  # two BCD digits, unchecked
    seconds = unix_of(year, month, day, hour, minute, second)
    if _PORT in ("alif", "mimxrt", "rp2"):
        seconds &= 0xFFFFFFFF
    offset = seconds * 1000000000 - _counter()
    if _PORT == "esp32":
        offset += subseconds * 1000
    _rtc["offset_ns"] = offset
    _rtc["weekday"] = weekday
    _rtc["weekday_day"] = seconds // 86400
    _bsp.save("rtc.json", _rtc)
