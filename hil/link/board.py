"""The link to one board: its port for the whole life, its REPL on loan, its resets.

Taking the REPL interrupts the application. :meth:`BoardLink.paused` puts it back to work after
milliseconds, and proves it; a reset costs seconds.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from hil import consent as consents
from hil.consent import Consent
from hil.deadline import Deadline
from hil.errors import BenchError, BoardError
from hil.link.console import Console
from hil.link.port import Port, PortGoneError
from hil.link.repl import Repl, literal

#: The event loop keeps its tasks over a KeyboardInterrupt: tried on 1.29, and in asyncio/core.py.
RESUME = "import asyncio as _a\n_a.get_event_loop().run_forever()"
RESET = "import machine\nmachine.reset()"
#: A watchdog that nobody feeds, after its 1 s.
STARVE_WATCHDOG = "import machine\nmachine.WDT(timeout=1000)\nwhile True: pass"
#: A board that resets drops its USB port at once; one behind a UART bridge never does. Seconds.
_GONE_S = 2.0
#: A serial server that has lost its port hangs up at once, or not at all: ser2net 4.3 with its
#: default `chardelay` kept five of six connections to a board that was gone. Then we do. Seconds.
_REMOTE_GONE_S = 0.5
#: A serial server whose board is away says so, but pyserial waits for the answer to its question:
#: while a board resets, not as long as the first time. Seconds.
_REMOTE_ANSWER_S = 1.0
#: Between two looks for the port of a resetting board, seconds. Plain polling: inotify would need
#: a dependency, and does not exist for a COM port.
_LOOK_S = 0.01
#: A resumed application answers in milliseconds; over Wi-Fi, a lost packet is sent again after 1 s
#: and 3 s. Seconds.
_ANSWER_S = 5.0
#: Putting the application back must happen even when the work has used up its deadline, seconds.
_PUT_BACK_S = 5.0
#: A board that has just given no REPL is not waited for at length again, unless it was reset
#: meanwhile: what has to be put back after a check is several conversations. Seconds.
_SILENT_S = 3.0

#: Leaves a mark that no reset survives, and tells whether the last one is still there.
_MARK = "print('_hil_mark' in globals())\n_hil_mark = 1"

#: Prints the repr of an :class:`Identity`'s fields. Changes nothing.
IDENTIFY = """\
import machine as _m, sys as _s, os as _o, time as _t
_u=_o.uname() if hasattr(_o,'uname') else None
_i=_s.implementation
_h=_d=None
try:
 import network as _n
 try:_h=_n.hostname()
 except Exception:pass
 _w=_n.WLAN(_n.STA_IF)
 if _w.isconnected():_d=_w.ifconfig()[0]
except Exception:pass
_k=_u.machine if _u else getattr(_i,'_machine','')
_r=_u.release if _u else '.'.join(str(x) for x in _i.version[:3])
_v=_u.version if _u else ''
print(repr((_m.unique_id(),_k,_r,_t.gmtime(0)[0],_h,_d,_v)))
"""


@dataclass(frozen=True)
class Identity:
    """What the board says of itself.

    :ivar unique_id: ``machine.unique_id()``
    :ivar machine: e.g. ``OPENMV_N6 with STM32N657X0``
    :ivar release: MicroPython's version
    :ivar epoch_year: the year that the board's clock counts from, 1970 or 2000
    :ivar hostname: ``network.hostname()``; ``None`` where the board has no network
    :ivar address: IPv4 address of its Wi-Fi; ``None`` while it has none
    :ivar version: the firmware's own: ``v1.28.0 on 2026-04-06``; empty where the board tells none
    """

    unique_id: bytes
    machine: str
    release: str
    epoch_year: int
    hostname: str | None
    address: str | None
    version: str = ""


class BoardLink:
    """The serial link to a board. The port opens at the first use, or by :meth:`open`.

    :param name: the target's name, for messages
    :param device: the port's path or URL; empty: ``locate`` tells it when it is opened first
    :param consent: its owner's, to change it; a board without is asked by :mod:`hil.link.reading`
    :param console: gets what the board prints outside our commands
    :param locate: finds the port again after a reset, when USB may have numbered it anew;
        by default it is the same path. Its BenchErrors are passing, while the board is in a reset;
        a BoardError is final
    :raises NoConsentError: the consent is missing
    :ivar pauses: how often :meth:`paused` has interrupted the application
    :ivar pause_failures: how often it took a reset to get the application back
    :ivar unasked_resets: how often a pause has found the board reset since the last pause, when
        nobody had asked for it; several resets between two pauses count as one
    """

    def __init__(
        self,
        name: str,
        device: str,
        console: Console | None = None,
        *,
        consent: Consent,
        locate: Callable[[Deadline], str] | None = None,
        baudrate: int = 115200,
    ) -> None:
        consents.require(consent, name, "a link that can change it")
        self.name = name
        self.consent = consent
        self.device = device
        self.console = console if console is not None else Console()
        self.locate = locate or (lambda deadline: self.device)
        self.baudrate = baudrate
        self.pauses = 0
        self.pause_failures = 0
        self.unasked_resets = 0
        self._marked = self._silent = False
        self._reset_at = 0
        self._lock = threading.RLock()
        self._repl: Repl | None = None

    # --- the port ---

    def open(self, deadline: Deadline) -> Port:
        """Open the port, or open it again where it has vanished. Interrupts nothing.

        :returns: the port, for whoever must see the bytes; it changes with each hard reset
        :raises BenchError: missing, not permitted, or held by another process
        """
        return self._opened(deadline).port

    def await_port(self, deadline: Deadline) -> Port:
        """Open the port as soon as it is there: after its power came back, or a bootloader left.

        :raises BoardError: it did not come in time
        """
        with self._lock:
            if self._repl is None or not self._repl.port.alive:
                self.close()
                return self._reopen(deadline).port
            return self._repl.port

    def _opened(self, deadline: Deadline) -> Repl:
        with self._lock:
            if self._repl is not None and self._repl.port.alive:
                return self._repl
            if self._repl is not None:  # reset or unplugged meanwhile
                self._repl.port.close()
                self._repl = None
                return self._reopen(deadline)
            self.device = self.device or self.locate(deadline)
            return self._attach(Port(self.device, self.baudrate, target=self.name))

    def _attach(self, port: Port) -> Repl:
        self._repl = Repl(port, self.console.append, consent=self.consent)
        self.console.start_line()
        port.to_sink(self.console.append)
        return self._repl

    def _reopen(self, deadline: Deadline) -> Repl:
        """Wait for the port to come back. A fresh port is refused for a moment: udev has yet to
        give its permissions, ModemManager looks at it for about a second."""
        never = threading.Event()
        while True:
            try:
                self.device = self.locate(deadline)
                answer_s = max(0.1, min(_REMOTE_ANSWER_S, deadline.remaining()))
                return self._attach(
                    Port(self.device, self.baudrate, target=self.name, answer_s=answer_s)
                )
            except (BenchError, PortGoneError) as error:
                if deadline.expired:
                    raise BoardError(
                        f"the port did not come back: {error.message}",
                        target=self.name,
                        hint=error.hint,
                    ) from None
            never.wait(min(_LOOK_S, deadline.remaining()))

    @property
    def port(self) -> Port | None:
        """The port, while it is open."""
        return self._repl.port if self._repl is not None and self._repl.port.alive else None

    @contextlib.contextmanager
    def held(self, wait_s: float) -> Iterator[bool]:
        """The link, unless another thread is in it, and stays there.

        :param wait_s: how long to wait for it, seconds
        """
        had = self._lock.acquire(timeout=wait_s)
        try:
            yield had
        finally:
            if had:
                self._lock.release()

    def close(self) -> None:
        """Close the port; the board goes on with what it does."""
        with self._lock:
            if self._repl is not None:
                self._repl.port.close()
                self._repl = None

    def __enter__(self) -> BoardLink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # --- the REPL on loan ---

    @contextlib.contextmanager
    def repl(self, deadline: Deadline) -> Iterator[Repl]:
        """The raw REPL. Interrupts the application and leaves the board at its friendly prompt.

        :raises BoardError: no raw REPL in time
        """
        with self._lock:
            repl = self._enter(deadline)
            try:
                yield repl
            finally:
                if repl.port.alive:
                    repl.leave(Deadline.after(max(1.0, deadline.remaining())))

    def _enter(self, deadline: Deadline) -> Repl:
        if self._silent:
            deadline = deadline.sooner(_SILENT_S)
        repl = self._opened(deadline)
        self._silent = True
        for attempt in itertools.count(1):
            try:
                repl.enter(deadline)
                break
            except PortGoneError:  # it reset by itself: once more on the new port
                # A serial server may take us, and hang up, several times until the board is back.
                if deadline.expired or (attempt > 1 and not repl.port.remote):
                    raise
                repl = self._opened(deadline)
        self._silent = False
        return repl

    @contextlib.contextmanager
    def paused(self, deadline: Deadline, answers: Callable[[Deadline], bool]) -> Iterator[Repl]:
        """The raw REPL while the application stands still; afterwards it runs on.

        An application that was not running (the board was at its prompt) is not started. One that
        does not answer after the pause gets a hard reset. Putting it back may take up to 5 s more
        than ``deadline``: it happens also when the work has failed or has used up its time.

        :param answers: whether the application answers a request; it may wait up to its deadline
        :raises BoardError: no raw REPL in time, or the application is not to be brought back
        """
        with self._lock:
            repl = self._enter(deadline)
            running = repl.interrupted
            self.pauses += 1
            try:
                self._look_for_mark(repl, deadline)
                yield repl
            finally:
                end = Deadline.after(max(_PUT_BACK_S, deadline.remaining()))
                if running:
                    self._resume(repl, end, answers)
                elif repl.port.alive:
                    repl.leave(end)

    def _look_for_mark(self, repl: Repl, deadline: Deadline) -> None:
        there = repl.exec(_MARK, deadline).strip() == b"True"
        self.unasked_resets += self._marked and not there
        self._marked = True

    def expect_reset(self) -> None:
        """A reset is on its way by other means than this link's: it is not an unasked one."""
        self._marked = self._silent = False
        self._reset_at = self.console.mark()

    def _resume(self, repl: Repl, deadline: Deadline, answers: Callable[[Deadline], bool]) -> None:
        # At most a third of the time for the quick way: the reset needs the rest.
        share = deadline.sooner(min(_ANSWER_S, deadline.remaining() / 3))
        with contextlib.suppress(BoardError):
            repl.start(RESUME, share)
            if answers(share):
                return
        self.pause_failures += 1
        self.hard_reset(deadline)
        if not answers(deadline):
            raise BoardError(
                "the application does not answer after a pause, nor after a hard reset",
                target=self.name,
                hint=f"does its main.py end in an error? 'mpremote connect {self.device}' shows it",
            )

    @property
    def said_since_reset(self) -> str:
        """What the console has since a reset was asked for last."""
        return self.console.since(self._reset_at)

    # --- resets ---

    def hard_reset(self, deadline: Deadline, by: str = RESET) -> None:
        """``machine.reset()``; returns when the port is open again, before the board has booted.

        The console goes on. What a board prints before its port is open again, a real one over USB
        may throw away.

        :param by: the code that ends in a hard reset: :data:`RESET` or :data:`STARVE_WATCHDOG`
        :raises BoardError: no raw REPL to reset from, or the port did not come back
        """
        with self._lock:
            if self.send_away(by, deadline):
                self._reopen(deadline)

    def send_away(self, by: str, deadline: Deadline) -> bool:
        """Run what takes the board off the bus, and close its port where it goes with it.

        :param by: the code that ends in a reset or in the bootloader
        :returns: whether the port has vanished; one behind a UART bridge never does, and one at a
            serial server, which does not always notice, is taken for vanished
        :raises BoardError: no raw REPL to run it in
        """
        with self._lock:
            repl = self._enter(deadline)
            self.expect_reset()
            with contextlib.suppress(PortGoneError):
                repl.start(by, deadline)
            patience = _REMOTE_GONE_S if repl.port.remote else _GONE_S
            gone = repl.port.wait_gone(deadline.sooner(patience)) or repl.port.remote
            if gone:
                self.close()
            return gone

    def come_back(self, deadline: Deadline) -> None:
        """Wait for the port of a board that resets or leaves its bootloader, and open it.

        :raises BoardError: it did not come back
        """
        with self._lock:
            self.expect_reset()
            if self._repl is None or not self._repl.port.alive:
                self.close()
                self._reopen(deadline)

    def soft_reset(self, deadline: Deadline) -> None:
        """A soft reset: ``boot.py`` runs, ``main.py`` does not. Ends at the friendly prompt."""
        with self.repl(deadline) as repl:
            self.expect_reset()
            repl.soft_reset(deadline)

    def identify(self, deadline: Deadline) -> Identity:
        """What the board says of itself. Interrupts the application, does not resume it."""
        with self.repl(deadline) as repl:
            return identify(repl, deadline)


def identify(repl: Repl, deadline: Deadline) -> Identity:
    """The same in a conversation that is open already."""
    told = repl.exec(IDENTIFY, deadline)
    with contextlib.suppress(ValueError, TypeError):  # TypeError: nothing to be unpacked
        found = Identity(*literal(told))
        kinds = (bytes, str, str, int, str | None, str | None, str)
        if all(map(isinstance, vars(found).values(), kinds)):
            return found
    raise BoardError(
        f"the board answered {told[:200]!r} instead of its identity", target=repl.port.target
    )
