"""The power of a real board, behind a switch: it is off when its port is gone, on when it is back.

A power cut at a real board is a moment, not a block write: the work is timed once, and then the
power goes at moments that are spread over that time.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..deadline import Deadline
from ..errors import BenchError, BoardError, HilError
from .control import WORK_S, Cut, Switch

if TYPE_CHECKING:
    from ..link.board import BoardLink
    from ..power_entry import CommandSpec, HubPortSpec

CUTS = 8
"""How many moments are sampled: each costs two boots, some 20 s on a camera with Wi-Fi."""

_SEED = 0x0FF
# A hub needs some 100 ms for a request, and a port with a bootloader in between (up to 2.5 s on an
# OpenMV board) comes back in less than 10 s.
_SWITCH_S = 15.0
_GONE_S = 5.0
# A board gets its power back also when the time is used up: it may be another one's.
_GIVE_S = 5.0
# Capacitors hold a board up for a while. uhubctl, too, waits for 2 s between off and on.
_DISCHARGE_S = 2.0
_LOOK_S = 0.004


def switch_of(spec: HubPortSpec | CommandSpec) -> Switch:
    """What ``power:`` in devices.yaml names."""
    from ..power_entry import HubPortSpec

    if isinstance(spec, HubPortSpec):
        from .uhubctl import HubPort

        return HubPort(spec.hub, spec.port)
    from .command import CommandSwitch

    return CommandSwitch(spec.off, spec.on)


class SwitchedPower:
    """:class:`hil.power.PowerControl` of a board behind a :class:`hil.power.Switch`.

    :param port_stays: the port is not powered by this switch: it belongs to a UART bridge, or to a
        serial server
    :param rebooted: told that whatever the application held in memory is gone
    :param discharge_s: seconds that the power stays off at least
    """

    def __init__(
        self,
        switch: Switch,
        link: BoardLink,
        rebooted: Callable[[], None] = lambda: None,
        *,
        port_stays: bool = False,
        discharge_s: float = _DISCHARGE_S,
    ) -> None:
        self._switch = switch
        self._link = link
        self._rebooted = rebooted
        self._port_stays = port_stays
        self._discharge_s = discharge_s
        self._off_since: float | None = None

    def off(self, deadline: Deadline | None = None) -> None:
        """:raises BenchError: the switch does not switch, or another board than this one"""
        if self._off_since is not None:
            return
        deadline = deadline or Deadline.after(_SWITCH_S)
        try:
            port = self._link.open(Deadline.after(0))
        except HilError:
            port = None  # there is none now that could go: a board that is in trouble
        self._link.expect_reset()
        self._take(deadline)
        self._rebooted()
        if port is None or self._port_stays or port.wait_gone(deadline.sooner(_GONE_S)):
            return
        self.on(deadline)
        raise BenchError(
            f"{self._switch} is off, and the port {port.device} is still there",
            target=self._link.name,
            hint="is it another board's? It is on again. Compare 'power:' in devices.yaml with "
            "where the board is plugged in ('hil list')",
        )

    def on(self, deadline: Deadline | None = None) -> None:
        """:raises BenchError: the switch does not switch
        :raises BoardError: the port did not come back
        """
        if self._off_since is None:
            return
        deadline = deadline or Deadline.after(_SWITCH_S)
        self.give(deadline)
        self._link.await_port(deadline)

    def give(self, deadline: Deadline) -> None:
        """:meth:`on` without waiting for the port: the bootloader, which has none, is awaited.

        :raises BenchError: the switch does not switch
        """
        if self._off_since is None:
            return
        held = self._off_since + self._discharge_s - time.monotonic()
        threading.Event().wait(min(max(0.0, held), deadline.remaining()))
        self._switch.on(Deadline.after(max(_GIVE_S, deadline.remaining())))
        self._off_since = None

    def cuts(self) -> Iterator[Cut]:
        """First the work without a cut, which is timed; then :data:`CUTS` moments of that time, in
        order, the same share of it in every run."""
        timed = _Timed(self)
        yield timed
        chance = random.Random(_SEED)  # noqa: S311 - the same moments in every run are wanted
        for i in range(CUTS):
            yield _AfterTime(self, (i + chance.random()) / CUTS * timed.took)

    # --- for the cuts ---

    def run(self, done: Callable[[], bool], within: float) -> float:
        """Give it power, unless it has it, and wait until the work is done.

        :returns: how long the work took, seconds
        """
        deadline, began = Deadline.after(within), self._begin(within)
        self._wait(done, deadline, lambda: False, "the work was not through")
        return time.monotonic() - began

    def cut_after(self, delay: float, done: Callable[[], bool], within: float) -> bool:
        """See :meth:`Cut.during`."""
        self._link.expect_reset()
        deadline, began = Deadline.after(within), self._begin(within)
        through = threading.Event()

        def cut() -> bool:
            if through.wait(max(0.0, began + delay - time.monotonic())):
                return False
            self._take(deadline)
            return True

        with ThreadPoolExecutor(1, "hil-power-cut") as timer:
            going: Future[bool] = timer.submit(cut)
            try:
                what = f"neither was the work through nor had its power gone after {delay:.3f} s,"
                self._wait(done, deadline, going.done, what)
            finally:
                through.set()
            if not going.result():
                return False
        self._rebooted()
        return True

    def _begin(self, within: float) -> float:
        """When the current flows, or now, where it does already; the port may still be away."""
        if self._off_since is not None:
            self.give(Deadline.after(within))
        return time.monotonic()

    def _take(self, deadline: Deadline) -> None:
        try:
            self._switch.off(deadline)
        except BenchError:
            # It may have gone all the same: a command that fails at its end, or is late.
            with contextlib.suppress(BenchError):
                self._switch.on(Deadline.after(_GIVE_S))
            raise
        self._off_since = time.monotonic()

    def _wait(
        self, done: Callable[[], bool], deadline: Deadline, over: Callable[[], bool], what: str
    ) -> None:
        never = threading.Event()
        while not over() and not done():
            if deadline.expired:
                raise BoardError(f"{what} in time", target=self._link.name)
            never.wait(_LOOK_S)


@dataclass
class _Timed:
    """:ivar took: seconds that the work took"""

    power: SwitchedPower
    took: float = 0.0

    @property
    def point(self) -> str:
        return "never: the work is timed"

    def during(self, done: Callable[[], bool], *, within: float = WORK_S) -> bool:
        self.took = self.power.run(done, within)
        return False


@dataclass(frozen=True)
class _AfterTime:
    power: SwitchedPower
    delay: float

    @property
    def point(self) -> str:
        return f"{self.delay:.3f} s into the work"

    def during(self, done: Callable[[], bool], *, within: float = WORK_S) -> bool:
        return self.power.cut_after(self.delay, done, within)
