"""What the bench can do to a board's power, and what lets the current through to a real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from ..deadline import Deadline

WORK_S = 30.0
"""How long what is to be cut may take, seconds."""


class Cut(Protocol):
    """One point at which the power goes.

    :ivar point: e.g. ``after block write 3``, ``0.412 s after power-on``
    """

    @property
    def point(self) -> str: ...

    def during(self, done: Callable[[], bool], *, within: float = WORK_S) -> bool:
        """Give the board power, unless it has it, and let the power go at this point.

        Returns with the board off, if the power went, else with it running.

        :param done: does or asks for the work, and is called until it tells that it is through;
            it must not take long, also when the board has just lost its power
        :param within: seconds
        :returns: whether the power went before the work was through
        :raises BoardError: neither came to pass in time
        """


class PowerControl(Protocol):
    """What the bench can do to a board's power."""

    def off(self, deadline: Deadline | None = None) -> None:
        """At once, whatever happens on the board; returns when the port is gone. Nothing, where
        it is off.

        :param deadline: None: a time that is enough for any board
        """

    def on(self, deadline: Deadline | None = None) -> None:
        """A cold boot; returns when the port is there. Nothing, where it is on.

        The clock may have lost the time, and stays so: ``reboot("power")`` sets it.

        :param deadline: None: a time that is enough for any board
        """

    def cuts(self) -> Iterator[Cut]:
        """The points, one after another; before or after them there is a run of the work in which
        the power stays."""


class Switch(Protocol):
    """What lets the current through to a real board: a hub's port, a relay. ``str()`` names it."""

    def off(self, deadline: Deadline) -> None:
        """:raises BenchError: it cannot be switched"""

    def on(self, deadline: Deadline) -> None:
        """:raises BenchError: it cannot be switched"""
