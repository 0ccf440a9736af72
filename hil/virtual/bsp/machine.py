"""``machine``: resets, identity, clock and watchdog of a camera."""

from umachine import idle, mem8, mem16, mem32, soft_reset, time_pulse_us

import _bsp
import _clock

_CAUSES = {
    # stm32 ports/stm32/modmachine.c; the others count from 1.
    "stm32": (1, 2, 3, 4, 0),
}
PWRON_RESET, HARD_RESET, WDT_RESET, DEEPSLEEP_RESET, SOFT_RESET = _CAUSES.get(
    _bsp.board["port"], (1, 2, 3, 4, 5)
)


def reset():
    _bsp.end("reset")


def bootloader(timeout_ms=0):
    _bsp.end("bootloader")


def reset_cause():
    return {
        "power": PWRON_RESET,
        "hard": HARD_RESET,
        "wdt": WDT_RESET,
        "soft": SOFT_RESET,
    }[_bsp.start["cause"]]


def unique_id():
    return bytes.fromhex(_bsp.board["unique_id"])


def freq():
    return 400000000


def disable_irq():
    return 0


def enable_irq(state=0):
    pass


class RTC:
    def datetime(self, items=None):
        if items is None:
            return _clock.get()
        if len(items) != 8:
            raise ValueError("requested length 8 but object has length %d" % len(items))
        _clock.set(items)


class WDT:
    """Resets the board when it is not fed; nothing stops it but a reset."""

    def __init__(self, id=0, timeout=5000):
        _bsp.tell("wdt %d" % timeout)

    def feed(self):
        _bsp.tell("feed")


class Pin:
    """A pin that remembers its level: enough for an application that blinks."""

    IN = 0
    OUT = 1
    OPEN_DRAIN = 2
    PULL_UP = 1
    PULL_DOWN = 2

    def __init__(self, id, mode=OUT, pull=None, *, value=0, **_):
        self._value = value

    def init(self, *_, **__):
        pass

    def value(self, level=None):
        if level is None:
            return self._value
        self._value = int(bool(level))

    __call__ = value

    def on(self):
        self._value = 1

    def off(self):
        self._value = 0

    def toggle(self):
        self._value = 1 - self._value

    high, low = on, off


class LED(Pin):
    pass
