"""The ladder for a board that does not answer as it should, the gentlest rung first:

    Ctrl-C · soft reset · hard reset · bootloader · power

Each rung has its share of one deadline, and what it leaves is for those above it. A rung that is
not to be had costs no time and says why. The whole story is told: in the error if no rung has
helped, as a note if one has.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from .deadline import Deadline
from .errors import BenchError, BoardError, HilError
from .target import Absent

if TYPE_CHECKING:
    from .link.board import BoardLink
    from .link.repl import Repl
    from .power import PowerControl

BUDGET_S = 40.0
"""For the whole ladder. The power rung has 16 s and more of it: a camera is off for 2 s, in its
bootloader for 2.5 s, and then boots. Where nothing switches the power, the bootloader rung has that
too: an Arduino takes 31 s to come out (OpenMV's bench)."""

FIRST_ANSWER_S = 15.0
"""A board that boots late answers within this time, and needs no ladder."""

# What of the whole is left for the rungs above, when this one has used up its time.
_LEFT = {"Ctrl-C": 0.85, "soft reset": 0.7, "hard reset": 0.5, "bootloader": 0.4, "power": 0.0}
_SHOWN = 160


class Bootloader(Protocol):
    """How to see that a board is in its bootloader, and how to get it out: the flashing methods
    know. No rung writes an image: that needs one, and its owner's wish."""

    def seen(self) -> str | None:
        """How it shows up: ``is in its bootloader (USB 1-1.2, 37c5:9206)``; None: it does not.

        :raises HilError: what shows up may be another board
        """

    def leave(self, deadline: Deadline) -> float:
        """Make it start MicroPython, unless it does by itself.

        :returns: seconds until its port is there, at most
        :raises HilError: it does not
        """


@dataclass(frozen=True)
class Rung:
    """How one rung went.

    :ivar told: what came of it, or why it was not tried
    :ivar took: seconds; None: not tried
    """

    name: str
    told: str
    took: float | None = None
    helped: bool = False

    def __str__(self) -> str:
        """``Ctrl-C 2.0 s: no raw REPL …``, ``power not tried: …``."""
        spent = "not tried" if self.took is None else f"{self.took:.1f} s"
        return f"{self.name} {spent}: {self.told}"


class BrokenError(BoardError):
    """No rung has helped.

    :ivar rungs: how each went
    """

    def __init__(self, target: str, cause: str, rungs: list[Rung]) -> None:
        story = "; ".join(str(rung) for rung in rungs)
        power = any(rung.name == "power" and rung.took is not None for rung in rungs)
        stuck = any(rung.name == "bootloader" and rung.took is not None for rung in rungs)
        hints = (
            "take its power by hand"
            + ("" if power else ", or let the bench do it ('power:' in devices.yaml)"),
            f"'hil flash {target}' gives it firmware" if stuck else "",
            f"'hil recover {target}' tries again",
        )
        super().__init__(
            f"{cause}; nothing has brought it back: {story}",
            target=target,
            hint="; ".join(filter(None, hints)),
        )
        self.rungs = rungs


class _NotTried(Exception):  # noqa: N818 - not an error: the rung is not there
    """With the reason."""


def ignore(rung: Rung) -> None:
    pass


@dataclass
class Ladder:
    """One climb.

    :ivar works: raises a :class:`hil.errors.HilError` unless the board does in its REPL what is
        wanted of it
    :ivar tell: told of each rung when it is over
    :ivar rungs: how those went that are over
    """

    link: BoardLink
    works: Callable[[Repl, Deadline], object]
    power: PowerControl | Absent
    bootloader: Bootloader | Absent
    tell: Callable[[Rung], object] = ignore
    rungs: list[Rung] = field(default_factory=list)
    _port: bool = False
    _repl: bool = False

    def climb(self, deadline: Deadline, cause: HilError) -> Rung:
        """Up to the rung that helps. The board is then at its prompt.

        :param cause: why it is climbed
        :returns: the rung that has helped
        :raises BrokenError: none has; it begins with the cause
        :raises BenchError: its port is held by another process, or not permitted: nothing is done
        """
        whole = deadline.remaining()
        steps: dict[str, Callable[[Deadline], None]] = {
            "Ctrl-C": self._interrupt,
            "soft reset": self._soft_reset,
            "hard reset": self._hard_reset,
            "bootloader": self._leave_bootloader,
            "power": self._cycle_power,
        }
        for name, step in steps.items():
            left = 0.0 if self._is_last(name) else whole * _LEFT[name]
            share = deadline.sooner(deadline.remaining() - left)
            rung = self._try(name, step, share, cause)
            self.rungs.append(rung)
            self.tell(rung)
            if rung.helped:
                return rung
        raise BrokenError(self.link.name, _first_line(cause), self.rungs) from cause

    def _is_last(self, name: str) -> bool:
        return name == "bootloader" and isinstance(self.power, Absent)

    def _try(
        self, name: str, step: Callable[[Deadline], None], deadline: Deadline, cause: HilError
    ) -> Rung:
        began = time.monotonic()
        try:
            if deadline.expired:
                raise _NotTried("no time is left")
            step(deadline)
        except _NotTried as why:
            return Rung(name, str(why))
        except HilError as error:
            if name == "Ctrl-C" and _port_is_not_ours(error):
                raise
            told, took = _first_line(error)[:_SHOWN], time.monotonic() - began
            before = (_first_line(cause)[:_SHOWN], *(rung.told for rung in self.rungs))
            known = any(_alike(told, one) for one in before)
            return Rung(name, "the same" if known else told, took)
        return Rung(name, "it answers", time.monotonic() - began, helped=True)

    def _reach(self, deadline: Deadline) -> None:
        with self.link.repl(deadline) as repl:
            self._repl = True
            self.works(repl, deadline)

    # --- the rungs ---

    def _interrupt(self, deadline: Deadline) -> None:
        self.link.open(deadline)
        self._port = True
        self._reach(deadline)

    def _soft_reset(self, deadline: Deadline) -> None:
        """From the raw REPL; where there is none, by the keys that would do it at the prompt."""
        if not self._port:
            raise _NotTried("it has no port")
        if self._repl:
            self.link.soft_reset(deadline)
        else:
            port = self.link.open(deadline)
            self.link.expect_reset()
            port.write(b"\x03\x03\x02\r\x04", deadline)
        self._reach(deadline)

    def _hard_reset(self, deadline: Deadline) -> None:
        if not self._repl:
            raise _NotTried("there is no REPL to reset it from")
        self.link.hard_reset(deadline)
        self._reach(deadline)

    def _leave_bootloader(self, deadline: Deadline) -> None:
        if isinstance(self.bootloader, Absent):
            raise _NotTried(self.bootloader.reason)
        if self.bootloader.seen() is None:
            raise _NotTried("it does not show up in its bootloader")
        back_s = self.bootloader.leave(deadline)
        self.link.come_back(deadline.sooner(back_s))
        self._reach(deadline)

    def _cycle_power(self, deadline: Deadline) -> None:
        if isinstance(self.power, Absent):
            raise _NotTried(self.power.reason)
        self.power.off(deadline)
        self.power.on(deadline)
        # At once: an application that swallows Ctrl-C does not while it starts.
        self._reach(deadline)


class Recovery:
    """When the ladder is climbed: once while a board is brought up, once in its run, once when it
    is put back.

    :ivar broken: nothing has helped, or not for long: no more is tried
    """

    def __init__(
        self, link: BoardLink, power: PowerControl | Absent, bootloader: Bootloader | Absent
    ) -> None:
        self.broken = self._recovered = False
        self._link = link
        self._power = power
        self._bootloader = bootloader

    def reach(self, deadline: Deadline | None = None) -> str:
        """Its REPL answers, in a pause of the application; by the ladder, where it does not.

        :param deadline: by default the first answer's time and the whole ladder's
        :returns: what was wrong and which rung has helped; empty: nothing was
        :raises BrokenError: no rung has helped
        :raises BenchError: its port is missing and nothing switches its power, or is held
        """
        from .link.board import identify

        deadline = deadline or Deadline.after(FIRST_ANSWER_S + BUDGET_S)
        first = deadline.sooner(FIRST_ANSWER_S)
        try:
            with self._link.paused(first, lambda _: True) as repl:
                identify(repl, first)
        except BoardError as error:
            return self.climb(deadline, error)
        except BenchError as error:
            if _port_is_not_ours(error) or isinstance(self._power, Absent):
                raise
            return self.climb(deadline, error)
        return ""

    def climb(self, deadline: Deadline, cause: HilError) -> str:
        """The ladder, whatever the board's REPL says.

        :returns: what was wrong and which rung has helped
        :raises BrokenError: no rung has helped
        """
        from .link.board import identify

        ladder = Ladder(self._link, identify, self._power, self._bootloader)
        try:
            rung = ladder.climb(deadline.sooner(BUDGET_S), cause)
        except BrokenError:
            self.broken = True
            raise
        story = "; ".join(str(rung) for rung in ladder.rungs)
        return f"{_first_line(cause)}; {rung.name} has brought it back: {story}"

    @contextmanager
    def once(self, cause: HilError) -> Iterator[None]:
        """Around what brings the board back in the middle of a run. If that fails, it is broken;
        so it is when it is needed again.

        :raises BoardError: it has been brought back once
        """
        again, self._recovered, self.broken = self._recovered, True, True
        if again:
            raise BoardError(
                f"it fails again after it was brought back: {_first_line(cause)}",
                target=self._link.name,
                hint=cause.hint,
            )
        yield
        self.broken = False


def _port_is_not_ours(error: HilError) -> bool:
    """Held by somebody, or forbidden: it is not the board that is in trouble."""
    from .discovery.usb import NotAttachedError
    from .link.opening import NoPortError

    return isinstance(error, BenchError) and not isinstance(error, NotAttachedError | NoPortError)


def _first_line(error: HilError) -> str:
    return error.message.partition("\n")[0]


def _alike(one: str, other: str) -> bool:
    """But for numbers, and for what is in brackets: attempts, the last bytes."""
    return _gist(one) == _gist(other)


def _gist(told: str) -> str:
    return re.sub(r"\d+", "", told.partition(" (")[0])
