"""What the board's clock shows at a moment of the host's, from its last reading.

Asking the board at each request would pause its application each time. Between two readings its
clock runs on, and what is not known of it grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .events import BoardMoment

if TYPE_CHECKING:
    from ..clock.rtc import BoardTime

DRIFT = 150e-6
"""Seconds a second: a crystal of 50 ppm (STM32 and i.MX RT boards carry 20 to 50), and a host that
NTP slews by up to 100 ppm in daily use."""


class BoardTimeline:
    """One board's clock as far as it is known."""

    def __init__(self) -> None:
        self._last: BoardTime | None = None

    def seen(self, reading: BoardTime) -> BoardMoment:
        """It was read, or set and read back."""
        self._last = reading
        return BoardMoment(unix=reading.unix, uncertainty_s=reading.uncertainty)

    def forget(self) -> None:
        """It has lost its power: nothing is known until the next reading."""
        self._last = None

    def at(self, host: float) -> BoardMoment | None:
        """:param host: Unix seconds; None: it is not known"""
        if self._last is None:
            return None
        drift = abs(host - self._last.host) * DRIFT
        return BoardMoment(
            unix=round(host + self._last.offset, 3),
            uncertainty_s=round(self._last.uncertainty + drift, 4),
        )
