"""The process of a target: started, and started again, with what it is given by then."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..auth import redaction
from ..deadline import Deadline
from ..errors import BenchError, BoardError, NotStartedError, Unavailable
from ..link.console import Console
from ..process_entry import Placeholder, filled, placeholders
from .made_up import ADDRESS
from .program import GRACE_S, Program

if TYPE_CHECKING:
    from ..process_entry import ProcessSpec, ServiceSpec
    from ..secrets import SecretBytes
    from .faked_time import FakedTime
    from .made_up import MadeUp

SERVICE_START_S = 10.0
_END_SHOWS_S = 0.2
_LAST_LINES = 8
_LINE = 200
_CONNECT_AGAIN_S = 0.01


class Server:
    """:param answers: waits until its HTTP answers; gives up when the callable says so
    :param clock: None: it runs under the host's clock
    :param holds: as of :class:`.program.Program`
    :ivar held: the signing keys that the running process was given, by kind
    """

    def __init__(
        self,
        spec: ProcessSpec,
        made: MadeUp,
        answers: Callable[[Deadline, Callable[[], bool]], bool],
        boot_timeout_s: float,
        clock: FakedTime | None = None,
        *,
        holds: int,
    ) -> None:
        self.console = Console()
        self.made = made
        self.clock = clock
        self.held: Mapping[str, SecretBytes] = {}
        self._spec = spec
        self._answers = answers
        self._boot_timeout_s = boot_timeout_s
        self._holds = holds
        self._program: Program | None = None

    @property
    def pid(self) -> int:
        """Of its latest life."""
        assert self._program is not None, "start() comes first"
        return self._program.pid

    @property
    def how_it_ended(self) -> str | None:
        """None: it runs. Its end shows a moment later than the end of its connections."""
        program = self._program
        return program.how_it_ended if program and program.ends_within(_END_SHOWS_S) else None

    def start(self) -> None:
        """Returns when it answers.

        :raises BenchError: it cannot be run, or lacks a Python package
        :raises NotStartedError: it has ended before it answered
        :raises BoardError: it runs, and does not answer in time
        """
        began = self.console.mark()
        argv, env = _given(self._spec, self.made)
        keys = dict(self.made.keys)
        faked = self.clock.env if self.clock else {}
        self._program = program = Program(
            argv, {**faked, **env}, self._spec.folder, self.console, holds=self._holds
        )
        self.held = keys
        if self._answers(Deadline.after(self._boot_timeout_s), lambda: program.ended):
            return
        if not program.ended:
            what = f"it has started, and gives no HTTP answer within {self._boot_timeout_s:.0f} s"
            last = self.last_lines(began)
            program.end()
            hint = f"does it listen at {ADDRESS}, at the port that it is given?"
            raise BoardError(f"{what}{last}", hint=hint)
        program.end()  # what it has printed last is read by then
        text = self.console.since(began)
        told = f"it {program.how_it_ended} before it answered{self.last_lines(began)}"
        missing = [one for one in text.splitlines() if one.startswith("ModuleNotFoundError:")]
        if missing:
            hint = "install it into the Python that runs it; {python} is the one that hil runs on"
            raise BenchError(told, hint=hint)
        raise NotStartedError(told)

    def stop(self, grace_s: float = GRACE_S) -> None:
        if self._program:
            self._program.end(grace_s)

    def restart(self, kind: str = "hard") -> None:
        """:class:`hil.target.RebootControl`: ``hard`` ends it at once, ``soft`` asks it to end."""
        if kind not in ("hard", "soft"):
            raise Unavailable(f"a process has no control for a reset by {kind}")
        self.stop(GRACE_S if kind == "soft" else 0.0)
        self.start()

    def last_lines(self, since: int = 0) -> str:
        """What it has printed last, without its secrets; empty: nothing."""
        return told_output(self.console.since(since), self.made)


class Service:
    """What a server needs beside it."""

    def __init__(
        self, name: str, spec: ServiceSpec, folder: str, made: MadeUp, *, holds: int
    ) -> None:
        self.name = name
        self._spec = spec
        self._folder = folder
        self._made = made
        self._holds = holds
        self._program: Program | None = None

    def start(self) -> None:
        """Returns when its port takes a connection.

        :raises BenchError: it does not, or cannot be run
        """
        argv, env = _given(self._spec, self._made)
        console = Console()
        try:
            self._program = program = Program(argv, env, self._folder, console, holds=self._holds)
        except BenchError as error:
            error.message = f"service {self.name!r}: {error.message}"
            raise
        deadline = Deadline.after(SERVICE_START_S)
        while not program.ended and not deadline.expired:
            with (
                suppress(OSError),
                socket.create_connection(
                    (ADDRESS, self._made.ports[self.name]), max(0.05, deadline.remaining())
                ),
            ):
                return
            time.sleep(_CONNECT_AGAIN_S)  # nothing announces that it listens
        ended = program.ended
        program.end()
        how = program.how_it_ended if ended else f"takes no connection in {SERVICE_START_S:.0f} s"
        raise BenchError(f"service {self.name!r}: it {how}{told_output(console.text, self._made)}")

    def stop(self) -> None:
        if self._program:
            self._program.end(GRACE_S)


class Services:
    """:class:`hil.control.ServiceControl`"""

    def __init__(self, services: Sequence[Service]) -> None:
        self._services = {service.name: service for service in services}

    @contextmanager
    def down(self, name: str) -> Iterator[None]:
        """Inside, the service of devices.yaml is stopped; afterwards it runs again."""
        if name not in self._services:
            raise Unavailable(f"needs the service {name!r}, which devices.yaml does not list")
        self._services[name].stop()
        try:
            yield
        finally:
            self._services[name].start()


def told_output(text: str, made: MadeUp) -> str:
    lines = redaction.known(redaction.fields(text), tuple(made.every)).strip().splitlines()
    shown = [line[:_LINE] + ("…" if len(line) > _LINE else "") for line in lines[-_LAST_LINES:]]
    return "".join([": its last output\n  ", "\n  ".join(shown)]) if shown else ", without a word"


def _given(spec: ProcessSpec | ServiceSpec, made: MadeUp) -> tuple[list[str], dict[str, str]]:
    """Command and environment, filled in."""
    used: set[Placeholder] = set()
    for text in (*spec.command, *spec.env.values()):
        used.update(placeholders(text))
    values = made.values(used)
    argv = [filled(text, values) for text in spec.command]
    return argv, {name: filled(text, values) for name, text in spec.env.items()}
