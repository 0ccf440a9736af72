"""Moving a clock while the application runs, standing at a second, and putting it back.

Each move of a board's is one pause of the application and one or two round trips in it; that of a
process is an offset in a file (:mod:`hil.process.faked_time`). Skew is relative to the host's
clock, which is the truth here. All times are Unix seconds, UTC; all durations are seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from hil.clock.ntp import NtpServer, require_ntptime_reach
from hil.clock.rtc import BoardTime, Clock, require_rtc_range, set_if_lost, utc
from hil.deadline import Deadline
from hil.errors import BenchError, BoardError, HilError

_T = TypeVar("_T")

RIGHT_WITHIN_S = 2.0
"""A clock that is off by no more than this counts as right, and is restored to true time.

``ntptime`` sets whole seconds and compensates no delay: up to 1 s plus the network's, so 2 s.
"""

STEP_S = 30.0
"""How long one move may take when no deadline is given: a pause that fails ends in a reset."""


class SecondPassedError(BenchError):
    """The bench was too slow: the board left the second before the work in it was done.

    Says nothing about the firmware. Try again: :meth:`ClockControl.at_second` does.
    """


@dataclass
class Standing:
    """A stand at one second of the board's clock, and its proof.

    :ivar unix: the second
    :ivar before: the clock as it was set
    :ivar began: host time when the application had been resumed
    :ivar ended: host time when the work was done; 0.0 until then
    :ivar after: the clock as it was read back; None until then
    """

    unix: int
    before: BoardTime
    began: float
    ended: float = 0.0
    after: BoardTime | None = None


@dataclass(frozen=True)
class AtSecond(Generic[_T]):
    """What an action gave that ran wholly within one second of the board's clock.

    :ivar result: what the action returned
    :ivar standing: when it ran, and the readings that prove it
    :ivar attempts: how many tries it took, 1 or more
    """

    result: _T
    standing: Standing
    attempts: int

    def __str__(self) -> str:
        """When it was, and by which readings: for a finding."""
        second, after = self.standing.unix, self.standing.after
        read_back = utc(after.second) if after else "not read"
        return f"at board time {utc(second)} (set to it; {read_back} when read back)"


class ClockControl:
    """What the bench can do to one target's clock.

    Errors carry ``target``. :class:`BoardError`: the clock does not do what it was told, or was
    moved behind the bench's back. :class:`BenchError`: what was asked for cannot be done.

    :param opened: gives the clock to be read and set: :func:`hil.clock.rtc.opened`, of what pauses
        a board's application, gives the raw REPL, resumes it and proves that it answers
    :param ntp: the bench's NTP server, for :meth:`force_ntp`
    :param route: makes the board's requests to UDP port 123 reach the server and returns the host
        that the board shall ask; without it the server itself must be on port 123
    :param target: the board's name
    :param to_restore: what a killed run left to be restored (its :attr:`to_restore`), seconds
    """

    def __init__(
        self,
        opened: Callable[[Deadline], AbstractContextManager[Clock]],
        *,
        ntp: NtpServer | None = None,
        route: Callable[[NtpServer], str] | None = None,
        target: str | None = None,
        to_restore: float | None = None,
    ) -> None:
        self.ntp = ntp
        self.to_restore = to_restore
        """Seconds that the clock was ahead of the host's before the first move; None: unmoved."""
        self.observe: Callable[[str, BoardTime], None] | None = None
        """Is told each reading, and what was done: ``read``, ``set``, ``skew``, ``ntp`` …"""
        self._opened = opened
        self._route = route
        self._target = target

    @property
    def reaches_ntp(self) -> bool:
        """Whether :meth:`force_ntp` has a server, and the board a way to it."""
        return self.ntp is not None and (self._route is not None or self.ntp.port == 123)

    def now(self, *, precise: bool = False, deadline: Deadline | None = None) -> BoardTime:
        """Read the clock; ``precise`` as in :func:`hil.clock.rtc.read`."""
        with self._open(deadline) as (clock, until):
            return self._told("read", clock.read(until, precise=precise))

    def set(self, unix: int, *, deadline: Deadline | None = None) -> BoardTime:
        """Set the clock to ``unix``, verified."""
        require_rtc_range(unix)
        with self._open(deadline) as (clock, until):
            self._remember(clock, until)
            return self._told("set", clock.set(unix, until))

    def skew(self, seconds: float, *, deadline: Deadline | None = None) -> BoardTime:
        """Set the clock ``seconds`` ahead of true time (behind it, when negative), verified.

        An RTC is set in whole seconds: the result is within half a second and the round trip.
        """
        require_rtc_range(time.time() + seconds)
        with self._open(deadline) as (clock, until):
            self._remember(clock, until)
            return self._told("skew", self._skew(clock, seconds, until))

    @contextmanager
    def standing_at(
        self, unix: int, *, at_tick: bool = False, deadline: Deadline | None = None
    ) -> Iterator[Standing]:
        """Within the ``with``, the board's clock shows ``unix``: proven on leaving.

        The clock is set and the application resumed at once, which leaves a little less than a
        second for the work. A failure in the work counts only when the second is proven.

        :param at_tick: for ports that do not begin the second anew when they are set: wait on
            the board until it begins, up to 1 s
        :raises SecondPassedError: the work was not done within the second; try again
        :raises BoardError: the clock was moved by something else meanwhile
        """
        require_rtc_range(unix)
        until = deadline or Deadline.after(STEP_S)
        with self._open(until) as (clock, _):
            self._remember(clock, until)
            before = self._told("set", clock.set(unix, until, at_tick=at_tick))
        standing = Standing(unix, before, began=time.time())
        try:
            yield standing
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException:  # pytest.fail() is no Exception
            self._prove(standing, until)
            raise
        self._prove(standing, until)

    def at_second(
        self,
        unix: int,
        action: Callable[[], _T],
        *,
        attempts: int = 4,
        deadline: Deadline | None = None,
    ) -> AtSecond[_T]:
        """Run ``action`` wholly within the board's second ``unix``; repeat it until it was.

        ``action`` may thus run up to ``attempts`` times, and only the last result is given.
        From the second attempt on the second is begun at a tick.

        :raises SecondPassedError: no attempt fitted into the second
        """
        until = deadline or Deadline.after(STEP_S)
        for attempt in range(1, attempts + 1):
            try:
                with self.standing_at(unix, at_tick=attempt > 1, deadline=until) as standing:
                    result = action()
            except SecondPassedError as error:
                passed = error
                continue
            return AtSecond(result, standing, attempt)
        passed.message += f" ({attempts} attempts)"
        raise passed

    def force_ntp(
        self, server: NtpServer | None = None, *, deadline: Deadline | None = None
    ) -> BoardTime:
        """Make the board synchronise by its own ``ntptime`` with the bench's server, verified.

        ``ntptime.host`` is put back at once. The clock ends up to 1 s and the network's delay
        behind what the server serves: ``ntptime`` drops the fraction.

        :raises BenchError: no server, no way to it, or a time that ``ntptime`` cannot follow
        :raises BoardError: ``settime`` raised, asked nobody, or left the clock elsewhere
        """
        server = server or self.ntp
        if server is None:
            raise self._named(BenchError("no NTP server was given to synchronise with"))
        offset = server.offset
        with self._open(deadline) as (clock, until):
            served = time.time() + offset
            require_ntptime_reach(served)
            require_rtc_range(served, self._remember(clock, until).epoch)
            host = self._way_to(server)
            seen, started = len(server.requests), time.time()
            try:
                clock.settime(host, until)
            except BoardError as error:
                heard = len(server.requests) - seen
                raise BoardError(
                    f"ntptime.settime() with {host!r} failed: {error.message}; the bench's server "
                    f"heard {heard} request{'s' * (heard != 1)}",
                    target=error.target,
                ) from error
            took = time.time() - started
            server.wait_for_request(until.sooner(0.5), after=seen)
            board = self._told("ntp", clock.read(until))
        # The fraction is dropped, and a port may not begin the second anew when it is set.
        low, high = offset - 1.0 - took, offset + 1.0
        if not low - board.uncertainty <= board.offset <= high + board.uncertainty:
            raise self._named(
                BoardError(
                    f"after ntptime.settime() the clock is {board.offset:+.1f} s from true time, "
                    f"the bench's server served {offset:+.1f} s"
                )
            )
        return board

    def set_if_lost(self, *, deadline: Deadline | None = None) -> None:
        """After a loss of power. No move: the lost time is nothing to be put back."""
        with self._open(deadline) as (clock, until):
            self._told("read", set_if_lost(clock, until))

    def restore(self, *, deadline: Deadline | None = None) -> BoardTime | None:
        """Put the clock back: to true time if it was right, else to its old offset; verified.

        Does nothing, and returns None, when nothing was moved.
        """
        if self.to_restore is None:
            return None
        right = abs(self.to_restore) <= RIGHT_WITHIN_S
        with self._open(deadline) as (clock, until):
            board = self._skew(clock, 0.0 if right else self.to_restore, until)
            self._told("restore", board)
        self.to_restore = None
        return board

    # -- inside ------------------------------------------------------------------------------

    @contextmanager
    def _open(self, deadline: Deadline | None) -> Iterator[tuple[Clock, Deadline]]:
        until = deadline or Deadline.after(STEP_S)
        try:
            with self._opened(until) as clock:
                yield clock, until
        except HilError as error:
            self._named(error)
            raise

    def _told(self, action: str, board: BoardTime) -> BoardTime:
        if self.observe:
            self.observe(action, board)
        return board

    def _named(self, error: HilError) -> HilError:
        error.target = error.target or self._target
        return error

    def _remember(self, clock: Clock, deadline: Deadline) -> BoardTime:
        board = clock.read(deadline, samples=1)
        if self.to_restore is None:
            self.to_restore = board.offset
        return board

    def _skew(self, clock: Clock, seconds: float, deadline: Deadline) -> BoardTime:
        board = clock.set(round(time.time() + seconds), deadline)
        # The middle of the second that it shows is 0 to 1 s ahead, less half the round trip: this
        # is about links so slow (3 s) that the time was stale when it came.
        if abs(board.offset - seconds) > 1.5:
            raise BoardError(
                f"the clock was to be {seconds:+.1f} s from true time and is {board.offset:+.1f} s"
            )
        return board

    def _way_to(self, server: NtpServer) -> str:
        if self._route is not None:
            return self._route(server)
        if server.port != 123:
            raise BenchError(
                f"no board reaches the NTP server on UDP port {server.port}: ntptime asks port 123",
                hint="serve on port 123, or redirect it to the server's",
            )
        return server.host

    def _prove(self, standing: Standing, deadline: Deadline) -> None:
        """Read the clock back and judge whether the work was within the second."""
        standing.ended = time.time()
        with self._open(deadline) as (clock, until):
            after = clock.read(until, samples=1)
            # Leaving took the board past the second, as a pause on a real board may: then the
            # exact offset tells where the clock was when the work ended.
            if after.second > standing.unix:
                after = clock.read(until, precise=True)
        self._told("read", after)
        standing.after, before = after, standing.before
        # 5 ms: what crystals (50 ppm) and a host that is being slewed (500 ppm) make of 10 s.
        if abs(after.offset - before.offset) > after.uncertainty + before.uncertainty + 0.005:
            raise self._named(
                BoardError(
                    f"the clock was set to {utc(standing.unix)} and then moved by "
                    f"{after.offset - before.offset:+.3f} s by something else",
                    hint="does the application synchronise by NTP? ntp_host '' turns it off",
                )
            )
        latest = min(reading.when(standing.ended)[1] for reading in (before, after))
        if latest >= standing.unix + 1:
            raise self._named(
                SecondPassedError(
                    f"the clock left {utc(standing.unix)} before the work in it was done, "
                    f"{standing.ended - standing.began:.3f} s after the application was resumed"
                )
            )
