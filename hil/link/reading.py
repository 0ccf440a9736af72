"""Boards that are only read: nobody has consented to more than to be asked.

Asking interrupts the application and lets it run on. Nothing else is possible here: the REPL that
:func:`reading` lends runs the programs of :func:`programs`, which write nothing and reset nothing.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator

from hil.deadline import Deadline
from hil.link.port import Port
from hil.link.repl import Repl

#: Letting the application run on must happen also when the asking has used up its time, seconds.
_RESUME_S = 5.0


@functools.cache
def programs() -> frozenset[str]:
    """All that a board runs whose owner has consented to nothing."""
    from hil.clock import rtc
    from hil.doctor import own_words
    from hil.flash import record
    from hil.link import board

    known = {board.IDENTIFY, board.RESUME, own_words.LOOK, record.REPORT}
    return frozenset(known | set(rtc.READING))


@contextlib.contextmanager
def reading(name: str, device: str, deadline: Deadline) -> Iterator[Repl]:
    """A REPL for :func:`hil.link.board.identify` and :func:`hil.clock.rtc.read`, and nothing more.

    The application stands still meanwhile and runs on afterwards. One that does not is left so: to
    reset a board takes consent.

    :param name: the target's name, or the port, for messages
    :param device: the port's path or URL
    :raises BenchError: the port is missing, not permitted, or held by another process
    :raises BoardError: no raw REPL in time
    """
    port = Port(device, target=name)
    try:
        repl = Repl(port)
        repl.enter(deadline)
        running = repl.interrupted
        try:
            yield repl
        finally:
            if port.alive:
                _leave(repl, running, Deadline.after(max(_RESUME_S, deadline.remaining())))
    finally:
        port.close()


def _leave(repl: Repl, running: bool, deadline: Deadline) -> None:
    from hil.link.board import RESUME

    if running:
        repl.start(RESUME, deadline)
    else:
        repl.leave(deadline)
