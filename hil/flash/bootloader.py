"""Into the bootloader: the model's ways one after another, with an eye on the bus from before.

Some loaders wait about a second for the host, and whoever begins to look for them after the reset
may miss them. So the *catcher* looks at the bus in a thread of its own, from before the board is
told to go there.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import serial

from ..boards.model import BootloaderEntry
from ..deadline import Deadline
from ..errors import HilError
from ..link.board import RESET
from ..link.opening import open_serial
from .method import FlashError, Job, Step

Found = TypeVar("Found")
Look = Callable[[Deadline], Found | None]
"""Looks at the bus once, by its deadline: the bootloader, or None while it is not there."""

ENTER_S = 25.0
"""Seconds for one way in, up to a bootloader that can be read: a Portenta's descriptors could be
read only 10 s after the touch (OpenMV's bench)."""

WAITING_S = 4.0
"""Seconds within which a board in the window after a reset, or one that cycles, shows its
bootloader."""

TOUCH_BAUDRATE = 1200
BOOTLOADER = "import machine\nmachine.bootloader()"

# The shortest window is that of the RT1062's loader, about 1 s.
_LOOK_S = 0.05
_BACK_S = 5.0


def enter(
    job: Job,
    look: Look[Found],
    deadline: Deadline,
    *,
    entering_s: float = ENTER_S,
    by_hand: str = "its reset button, twice on an Arduino",
) -> Found:
    """The board's bootloader, once ``look`` sees it on the bus.

    :param look: what it raises ends the attempt
    :param entering_s: seconds for each of the model's ways
    :param by_hand: how somebody at the board does it, for the error
    :raises FlashError: no way has worked; the message tells each
    """
    began = time.monotonic()
    if job.in_bootloader:
        found = wait_for(look, deadline.sooner(entering_s))
        if found is None:
            raise _not_entered(job, [_unseen(began)], by_hand)
        return found
    tried: list[str] = []
    for entry in job.model.bootloader_entries:
        if entry == "by hand":
            continue
        share = deadline.sooner(entering_s)
        if tried:  # it may have come back from the last attempt under another name
            with contextlib.suppress(HilError):
                job.link.come_back(share.sooner(_BACK_S))
        began = time.monotonic()
        try:
            found = _caught(job, entry, look, share)
        except _NotSent as error:
            tried.append(f"{entry}: {error}")
            continue
        if found is not None:
            return found
        tried.append(f"{entry}: {_unseen(began)}")
    raise _not_entered(job, tried or ["this model gets there by hand only"], by_hand)


def wait_for(look: Look[Found], deadline: Deadline) -> Found | None:
    """Look until the bootloader is there; None when the deadline came first."""
    return _watch(look, deadline, threading.Event())


def touch(device: str, target: str | None = None) -> None:
    """The 1200-baud touch: open the port at this rate, drop DTR, close.

    :raises BenchError: the port cannot be opened
    """
    port = open_serial(device, TOUCH_BAUDRATE, target)
    # The board may be gone before the port is closed; and a pseudo-terminal has no DTR.
    with contextlib.suppress(OSError, serial.SerialException):
        port.dtr = False
    with contextlib.suppress(OSError, serial.SerialException):
        port.close()


class _NotSent(Exception):  # noqa: N818 - a note to the loop above, not an error
    """The board could not be told to go."""


def _caught(
    job: Job, entry: BootloaderEntry, look: Look[Found], deadline: Deadline
) -> Found | None:
    stop = threading.Event()
    with ThreadPoolExecutor(1, "hil-catcher") as pool:
        catcher: Future[Found | None] = pool.submit(lambda: _watch(look, deadline, stop))
        try:
            _send(job, entry, deadline)
        except HilError as error:
            stop.set()
            # A board whose answer was lost on the way may have gone all the same.
            found = catcher.result()
            if found is None:
                raise _NotSent(error.message) from error
            return found
        except BaseException:
            stop.set()
            raise
        return catcher.result()


def _send(job: Job, entry: BootloaderEntry, deadline: Deadline) -> None:
    if entry == "1200-baud touch":
        job.link.close()
        job.link.expect_reset()
        touch(job.link.device, job.target)
    elif entry == "machine.bootloader":
        job.link.send_away(BOOTLOADER, deadline)
    else:
        try:
            job.link.send_away(RESET, deadline)
        except HilError:
            if job.power is None:
                raise
            job.power.off(deadline)
            job.power.give(deadline)


def _watch(look: Look[Found], deadline: Deadline, stop: threading.Event) -> Found | None:
    while True:
        found = look(deadline)
        if found is not None or deadline.expired or stop.wait(min(_LOOK_S, deadline.remaining())):
            return found


def _unseen(began: float) -> str:
    return f"no bootloader on USB within {time.monotonic() - began:.0f} s"


def _not_entered(job: Job, tried: list[str], by_hand: str) -> FlashError:
    return FlashError(
        Step.ENTER,
        "; ".join(tried),
        target=job.target,
        hint=f"bring it into its bootloader by hand ({by_hand}) and repeat"
        f" 'hil flash {job.target}'",
    )
