"""The board's real-time clock over the raw REPL: read with its uncertainty, set and read back.

All times are Unix seconds, UTC. The host's clock (``time.time()``) is the reference, and what the
board says is placed between two looks at it: nothing here assumes how fast the link is. Boards
show whole seconds, so a plain reading is good to half a second and half the round trip; a reading
at the tick of the second (``precise``) is good to half the round trip and costs up to one second.
"""

from __future__ import annotations

import math
import operator
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Protocol

from hil.deadline import Deadline
from hil.errors import BenchError, BoardError

EPOCH_2000 = 946_684_800
"""2000-01-01 in Unix seconds: where stm32 and esp32 start counting."""

RTC_RANGE = {
    # stm32 keeps two digits of the year and does not check them (ports/stm32/rtc.c); esp32 shares
    # the epoch, not the limit, but nothing tells the two apart in one round trip.
    2000: (EPOCH_2000, 4_102_444_800),
    # alif, mimxrt: 32 bits of seconds since 1970, up to 2106-02-07 06:28:15.
    1970: (0, 2**32),
}
"""Per epoch year the first moment that the RTC holds and the first that it does not, Unix s."""

LOST_S = 366 * 86_400.0
"""A clock that was without power is years off: the youngest starts in 2021, the oldest in 1970."""

TICK_TIMEOUT_S = 1.5
"""A second that takes longer than this many seconds to end is a clock that stands still."""


class Repl(Protocol):
    """What is needed of a raw REPL (``hil.link.repl.Repl``)."""

    def exec(self, code: str, deadline: Deadline, /) -> bytes:
        """Run ``code``, return what it printed."""


@dataclass(frozen=True)
class BoardTime:
    """What the board's clock was at one moment of the host's.

    The board's clock is taken as running smoothly between the whole seconds that it shows.

    :ivar unix: the board's time, Unix seconds, UTC: the middle of what is possible
    :ivar uncertainty: seconds; the truth is within ``unix`` plus or minus this
    :ivar epoch: the year that ``time.time()`` counts from on this board, 1970 or 2000
    :ivar host: the host's time that ``unix`` belongs to, Unix seconds
    :ivar second: what ``time.time()`` showed, Unix seconds (at some moment near ``host``)
    """

    unix: float
    uncertainty: float
    epoch: int
    host: float
    second: int

    @property
    def offset(self) -> float:
        """Board minus host, seconds, plus or minus :attr:`uncertainty`."""
        return self.unix - self.host

    def when(self, host: float) -> tuple[float, float]:
        """Earliest and latest that the board's clock can show at the host's ``host``, Unix s."""
        middle = self.offset + host
        return middle - self.uncertainty, middle + self.uncertainty


class Clock(Protocol):
    """A target's clock that can be read and set this moment."""

    def read(self, deadline: Deadline, *, samples: int = 3, precise: bool = False) -> BoardTime:
        """As :func:`read`."""

    def set(self, unix: int, deadline: Deadline, *, at_tick: bool = False) -> BoardTime:
        """As :func:`set_clock`."""

    def settime(self, host: str, deadline: Deadline) -> None:
        """Have the target set it by NTP, asking this host.

        :raises BoardError: it could not
        """


@dataclass(frozen=True)
class Rtc:
    """:class:`Clock` of a board, in a pause of its application."""

    repl: Repl

    def read(self, deadline: Deadline, *, samples: int = 3, precise: bool = False) -> BoardTime:
        return read(self.repl, deadline, samples=samples, precise=precise)

    def set(self, unix: int, deadline: Deadline, *, at_tick: bool = False) -> BoardTime:
        return set_clock(self.repl, unix, deadline, at_tick=at_tick)

    def settime(self, host: str, deadline: Deadline) -> None:
        """``ntptime.host`` is put back at once."""
        self.repl.exec(_SETTIME.format(host=host), deadline)


def opened(
    paused: Callable[[Deadline], AbstractContextManager[Repl]],
) -> Callable[[Deadline], AbstractContextManager[Rtc]]:
    """What gives a board's :class:`Rtc`, from what pauses its application and gives its REPL."""

    @contextmanager
    def rtc(deadline: Deadline) -> Iterator[Rtc]:
        with paused(deadline) as repl:
            yield Rtc(repl)

    return rtc


def read(repl: Repl, deadline: Deadline, *, samples: int = 3, precise: bool = False) -> BoardTime:
    """Read the clock: one round trip per sample.

    Each sample bounds the offset between board and host; what all of them allow is the answer, so
    it is never worse than that of the sample with the shortest round trip.

    :param samples: how many, when not ``precise``
    :param precise: one sample, at the moment when the board's second changes. The board waits for
        it in a busy loop, up to 1 s
    :raises BoardError: an answer that is none, a clock that stands still or moved meanwhile
    """
    low, high = -math.inf, math.inf
    for _ in range(1 if precise else samples):
        sample = _run(repl, _read_script(precise), deadline)
        if precise and not sample.ticked:
            raise _stands_still(sample)
        low, high = max(low, sample.offset[0]), min(high, sample.offset[1])
    if low > high:
        raise BoardError(
            f"the clock was moved by {low - high:.3f} s or more while it was read {samples} times",
            hint="does the application set it, for instance by NTP, while the bench is at work?",
        )
    return _board_time(sample, low, high)


def set_clock(repl: Repl, unix: int, deadline: Deadline, *, at_tick: bool = False) -> BoardTime:
    """Set the clock to a whole second and read it back, in one round trip.

    Most ports start the second anew when they are set. ``at_tick`` does not rely on it: it sets
    the second before and returns when the wanted one has just begun, after up to 1 s.

    :param unix: Unix seconds, UTC
    :raises BenchError: not within what the board's RTC holds (:data:`RTC_RANGE`); nothing was set
    :raises BoardError: the clock does not show what it was set to
    """
    unix = operator.index(unix)
    first = unix - 1 if at_tick else unix
    require_rtc_range(first)
    started = time.time()
    sample = _run(repl, _set_script(first, at_tick), deadline)
    if sample.refused:
        require_rtc_range(first, sample.epoch)
    if at_tick and not sample.ticked:
        raise _stands_still(sample)
    latest = unix if at_tick else unix + math.ceil(time.time() - started)
    if not unix <= sample.second <= latest:
        raise BoardError(
            f"the clock was set to {utc(unix)} and reads {utc(sample.second)}",
            hint="has the board an RTC that runs? 'hil doctor' tells",
        )
    return _board_time(sample, *sample.offset)


def set_if_lost(clock: Clock, deadline: Deadline) -> BoardTime:
    """After a loss of power: true time, in NTP's place, unless the clock has kept the time."""
    found = clock.read(deadline, samples=1)
    return clock.set(round(time.time()), deadline) if abs(found.offset) > LOST_S else found


def require_ticking(repl: Repl, deadline: Deadline) -> None:
    """20 ms where the RTC tells fractions of a second, else up to one second.

    :raises BoardError: the clock stands still
    """
    if b"True" not in repl.exec(_MOVES, deadline):
        read(repl, deadline, precise=True)


def require_rtc_range(unix: float, epoch: int = 1970) -> None:
    """Refuse a moment that the RTC of a board with this epoch does not hold.

    :raises BenchError: names the limits
    """
    first, end = RTC_RANGE[epoch]
    if not first <= unix < end:
        raise BenchError(
            f"cannot set the clock to Unix time {unix:.0f}: the RTC of a board whose epoch is "
            f"{epoch} holds {utc(first)} to {utc(end - 1)}"
        )


def utc(unix: float) -> str:
    """``2026-11-22 16:30:00Z``, or the bare number where no calendar has it."""
    try:
        return datetime.fromtimestamp(unix, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return f"Unix time {unix}"


# -- what runs on the board --------------------------------------------------------------------
#
# Inside a function, with its own imports: the raw REPL shares its globals with main.py, and a
# resumed application must find them as they were.

_FRAME = """\
def _hil_clock():
 import time as t
 e=t.gmtime(0)[0]
 a=p=q=t.ticks_us()
 k=0
{body} print('hil-clock',e,s,t.ticks_diff(p,a),k)
try:
 _hil_clock()
finally:
 del _hil_clock
"""

# p is when the last look that saw the old second began: the second changed after it.
_WAIT_FOR_TICK = f"""\
 n=s
 while n==s and t.ticks_diff(p,a)<{TICK_TIMEOUT_S * 1e6:.0f}:
  p=q
  q=t.ticks_us()
  n=int(t.time())
 k=int(n!=s)
 s=n
"""

# The RTC of rp2 shows a new time only some 60 us after it was set, hence the second look.
_SET = """\
 if e==2000 and not 2000<={year}<2100:
  print('hil-clock',e,0,0,2)
  return
 import machine
 machine.RTC().datetime({datetime})
 w={unix}-({epoch_2000} if e==2000 else 0)
 s=int(t.time())
 if not w<=s<=w+1:
  t.sleep_ms(5)
  s=int(t.time())
"""


# An expression, because it touches no globals either and goes out in one write (< 200 bytes).
_READ = "print('hil-clock',__import__('time').gmtime(0)[0],int(__import__('time').time()),0,0)"

# The second look is made after the pause: a tuple's items are evaluated in order. stm32's fractions
# are 1/256 s.
_MOVES = (
    "print((lambda c,t:c.datetime()!=(t.sleep_ms(20),c.datetime())[1])"
    "(__import__('machine').RTC(),__import__('time')))"
)


def _read_script(precise: bool) -> str:
    return _FRAME.format(body=" s=int(t.time())\n" + _WAIT_FOR_TICK) if precise else _READ


READING = frozenset({_read_script(False), _read_script(True)})
"""All that a board is given to run when its clock is read: it changes nothing."""


def _set_script(unix: int, at_tick: bool) -> str:
    when = datetime.fromtimestamp(unix, timezone.utc)
    # Weekday Monday = 1: stm32 writes it raw and 0 is none of its days; the others ignore it.
    fields = (*when.timetuple()[:3], when.isoweekday(), *when.timetuple()[3:6], 0)
    body = _SET.format(year=when.year, datetime=fields, unix=unix, epoch_2000=EPOCH_2000)
    return _FRAME.format(body=body + (_WAIT_FOR_TICK if at_tick else ""))


_LINE = re.compile(rb"hil-clock (\d{4}) (-?\d{1,15}) (\d{1,10}) ([012])\b")


@dataclass(frozen=True)
class _Sample:
    epoch: int
    second: int
    ticked: bool
    refused: bool
    host: float
    offset: tuple[float, float]


def _run(repl: Repl, script: str, deadline: Deadline) -> _Sample:
    before = time.time()
    output = repl.exec(script, deadline)
    return _parse(output, before, time.time())


def _parse(output: bytes, before: float, after: float) -> _Sample:
    """What the script printed, placed between two looks at the host's clock (Unix s)."""
    found = _LINE.search(output)
    if not found or int(found[1]) not in RTC_RANGE:
        raise BoardError(
            f"the board's answer to 'what time is it' makes no sense: {output[:200]!r}",
            hint="epochs 1970 and 2000 are known; does the board run MicroPython?",
        )
    epoch, shown, waited_us, outcome = (int(field) for field in found.groups())
    second = shown + (EPOCH_2000 if epoch == 2000 else 0)
    earliest = before + waited_us / 1e6
    if earliest > after:
        raise BenchError(
            f"the host's clock was stepped: {after - before:.3f} s passed on it while the board "
            f"measured {waited_us / 1e6:.3f} s",
            hint="let the host's NTP client settle, then run again",
        )
    ticked = outcome == 1
    bounds = (second - after, second + (0 if ticked else 1) - earliest)
    return _Sample(epoch, second, ticked, outcome == 2, after, bounds)


def _board_time(sample: _Sample, low: float, high: float) -> BoardTime:
    return BoardTime(
        unix=sample.host + (low + high) / 2,
        uncertainty=(high - low) / 2,
        epoch=sample.epoch,
        host=sample.host,
        second=sample.second,
    )


def _stands_still(sample: _Sample) -> BoardError:
    return BoardError(
        f"the clock stands still: {utc(sample.second)} for {TICK_TIMEOUT_S} s",
        hint="has the board's RTC a crystal that runs?",
    )


_SETTIME = """\
def _hil_settime():
 import ntptime
 h=ntptime.host
 ntptime.host={host!r}
 try:
  ntptime.settime()
 finally:
  ntptime.host=h
try:
 _hil_settime()
finally:
 del _hil_settime
"""
