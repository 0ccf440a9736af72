"""Whose fault it is: the bench's, the board's, or the firmware's. Three types, never mixed.

An engineer who reads a failure at nine in the morning wants to know first where to go: to the
bench (a cable, a held port, a wrong ``devices.yaml``), to the board (it hangs, it does not boot),
or to the firmware (it broke a promise).
"""

from __future__ import annotations


class HilError(Exception):
    """What went wrong, on which target, and what the reader can do next.

    ``str()`` of it is the whole message: ``TARGET: what was tried and what came back; next step``.

    :param message: what was tried and what came back, one sentence, no secrets
    :param target: the target's name in devices.yaml, when one is concerned
    :param hint: what to do next
    :ivar left_behind: why the board could not be put back after it; None: it was, or needed not
    """

    def __init__(self, message: str, *, target: str | None = None, hint: str | None = None) -> None:
        self.message = message
        self.target = target
        self.hint = hint
        self.left_behind: str | None = None
        super().__init__(message)

    def __str__(self) -> str:
        who = f"{self.target}: " if self.target else ""
        what_next = f"\n  -> {self.hint}" if self.hint else ""
        return f"{who}{self.message}{what_next}"


class BenchError(HilError):
    """The bench's fault: configuration, cable, a held port, a missing program, the network."""


class ConfigError(BenchError):
    """devices.yaml or a profile is wrong. The message starts with ``FILE:LINE:COLUMN``."""


class BoardError(HilError):
    """The board's fault: it does not answer, does not boot, or lost its file system."""


class NotStartedError(BoardError):
    """A server has ended before it answered: what it was given may be what it refuses."""


class Finding(AssertionError):  # noqa: N818 - the word of this field
    """The firmware's fault: a check's promise is broken. pytest reports it as a failure."""

    left_behind: str | None = None


class Unavailable(Exception):  # noqa: N818 - nobody's fault
    """What a check has asked for is not there, e.g. ``reboot("power")``: it is skipped with this
    reason."""


def fault_of(error: BaseException) -> str:
    """The type that tells whose fault it is: ``BenchError``, ``BoardError``, ``Finding``; the
    subclasses tell more than a reader wants to know first."""
    faults = (ConfigError, BenchError, BoardError, Finding)
    return next((kind.__name__ for kind in faults if isinstance(error, kind)), type(error).__name__)
