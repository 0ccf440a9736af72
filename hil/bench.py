"""The bench: the inventory, what discovery found of it, and one target per entry.

plan    read devices.yaml, look at the USB ports, decide on the targets (opens no port)
start   take the boards' locks and bring them up, all at once, each in a thread of its own
next_of the target to go on with: one that need not be waited for, if there is one
target  wait for one of them
release put one back that is done, while the others go on
close   put every board back, all at once

Several runs share a bench. A run that waits for a board works on another meanwhile, and gives each
one back as soon as it is done with it: so it never holds one idle while it waits for the next, and
two runs never wait for each other.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .deadline import Deadline
from .errors import BenchError, Finding, HilError

if TYPE_CHECKING:
    from .config import TargetSpec
    from .lock import Holder
    from .report.recorder import Recorder, TargetRecorder
    from .target import Target

WAIT_S = 600.0
"""How long a run waits for a board that somebody else holds, seconds: a run of all checks on a real
board takes a few minutes."""

# Between two looks at what a waiting run shows, seconds: its line counts the seconds.
_TELL_EVERY_S = 1.0


@dataclass(frozen=True)
class Wait:
    """A board that somebody else holds, and for how long it has been waited for.

    :ivar seconds: since the waiting began
    """

    target: str
    holder: Holder
    seconds: float

    def __str__(self) -> str:
        """``waiting for porch: held by alice (pid 4711) since … for checks on porch``."""
        return f"waiting for {self.target}: held by {self.holder}"


class Bench:
    """:ivar names: the targets of this run, in the inventory's order
    :ivar source: the inventory's file
    :ivar recorder: writes the run down; None: nobody does
    :ivar recovered: target name → how it was brought back in the middle of the run
    :ivar waited: target name → for whom, and how long
    :ivar told: target name → what the end of the run tells of it, where another process had it
    :ivar problems: after :meth:`close`: the boards that could not be put back, and why
    """

    def __init__(
        self,
        specs: Sequence[TargetSpec],
        *,
        state: Path,
        source: str,
        notes: Sequence[str] = (),
        wait_s: float = WAIT_S,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._state = state
        self.source = source
        self._notes = list(notes)
        self._wait_s = wait_s
        self._coming: dict[str, Future[Target]] = {}
        self._seen: dict[str, Target] = {}
        self._leaving: list[Future[None]] = []
        self._pool: ThreadPoolExecutor | None = None
        # For each target on its way up: whether its lock is had, whom it waits for, or neither yet.
        self._changed = threading.Condition()
        self._held: set[str] = set()
        self._waits: dict[str, tuple[Holder, float]] = {}
        self._ending = threading.Event()
        self.recorder: Recorder | None = None
        self._evidence: dict[str, TargetRecorder] = {}
        self.recovered: dict[str, str] = {}
        self.waited: dict[str, str] = {}
        self.told: dict[str, list[str]] = {}
        self.problems: list[str] = []

    @classmethod
    def plan(
        cls,
        explicit: Path | None,
        rootdir: Path,
        only: Sequence[str] | None,
        *,
        wait_s: float = WAIT_S,
    ) -> Bench:
        """Decide what this run checks.

        Listed targets are checked; where no inventory is written, the packaged one lists the
        embedded bench. A board that is attached but not listed is named and left alone.

        :param explicit: the ``--devices`` file
        :param only: the ``--target`` names; None is all
        :param wait_s: how long to wait for a board that somebody else holds, seconds
        :raises ConfigError: the inventory is wrong, or a name is not in it
        """
        from . import config
        from .discovery import usb
        from .sighting import sight, unlisted

        inventory = config.load(explicit, rootdir, os.environ)
        specs = list(config.select(inventory, only))
        attached = usb.attached()
        seen = sight(list(inventory.targets.values()), attached, {})
        notes = [
            f"{port.product or port.model_key} at {port.device or f'USB {port.location}'} is"
            " attached but not listed: it is left alone ('hil list' shows what to list it by)"
            for port in unlisted(seen, attached)
            if not port.virtual
        ]
        if inventory.packaged and not usb.boards(attached):
            notes.append("no board is attached: the embedded bench stands in")
        return cls(
            specs,
            state=rootdir / ".hil",
            source=str(inventory.path),
            notes=notes,
            wait_s=wait_s,
        )

    @property
    def names(self) -> list[str]:
        return list(self._specs)

    def describe(self) -> list[str]:
        """What will be checked, for the head of the report."""
        targets = ", ".join(f"{s.name} ({s.model or s.kind})" for s in self._specs.values())
        return [f"targets: {targets}  [{self.source}]", *self._notes]

    def start(self, names: Collection[str]) -> None:
        """Bring these targets up, all at once, without waiting for them."""
        wanted = [name for name in self.names if name in names and name not in self._coming]
        if not wanted:
            return
        self._pool = self._pool or ThreadPoolExecutor(len(self._specs), "hil-bring-up")
        for name in wanted:
            coming = self._pool.submit(self._bring_up, self._specs[name])
            self._coming[name] = coming
            coming.add_done_callback(partial(self._on_done, name))

    def _bring_up(self, spec: TargetSpec) -> Target:
        """Under the board's lock, for which its time does not count."""
        from . import lock
        from .bringup import bring_up

        began = time.monotonic()

        def on_wait(holder: Holder) -> None:
            with self._changed:
                self._waits[spec.name] = (holder, began)
                self._changed.notify_all()

        recorder = self.recorder.target(spec) if self.recorder else None
        if recorder:
            self._evidence[spec.name] = recorder
            recorder.phase("lock")
        try:
            with ExitStack() as stack:
                note = ""
                # Also a board that is only read: whoever holds it may reset it at any moment.
                if spec.kind != "url":
                    note = stack.enter_context(
                        lock.hold(
                            lock.key_of(spec, self._state),
                            f"checks on {spec.name}",
                            Deadline.after(self._wait_s),
                            on_wait=on_wait,
                            given_up=self._ending.is_set,
                        )
                    )
                self._on_held(spec.name)
                target = bring_up(spec, self._state, recorder)
                if note:
                    target = replace(target, notes=(note, *target.notes))
                stack.callback(target.close)
                if recorder:
                    target = recorder.up(target)
                self._seen[spec.name] = target
                close = stack.pop_all().close
                return replace(target, close=partial(_put_back, close, recorder))
        except (HilError, Finding) as error:
            if isinstance(error, BenchError):
                error.target = error.target or spec.name
            if isinstance(error, lock.HeldError):
                error.hint = f"{error.hint}; --wait SECONDS waits longer than {self._wait_s:.0f}"
            if recorder:
                recorder.down(error)
            raise

    def _on_held(self, name: str) -> None:
        with self._changed:
            if waited := self._waits.pop(name, None):
                holder, began = waited
                self.waited[name] = f"held for {time.monotonic() - began:.0f} s by {holder}"
            self._held.add(name)
            self._changed.notify_all()

    def _on_done(self, name: str, _: Future[Target]) -> None:
        with self._changed:
            self._waits.pop(name, None)
            self._changed.notify_all()

    def waits(self) -> list[Wait]:
        """The boards that somebody else holds now."""
        now = time.monotonic()
        return [
            Wait(name, holder, now - began) for name, (holder, began) in dict(self._waits).items()
        ]

    def next_of(
        self, names: Sequence[str], tell: Callable[[Sequence[Wait]], object] | None = None
    ) -> str:
        """Which of these targets to go on with: the first that is not held by somebody else. It is
        up then, or has failed.

        :param names: started
        :param tell: called about once a second while all of them are waited for
        """
        with self._changed:
            while (name := self.free_of(names)) is None:
                if tell and len(waits := self.waits()) >= len(names):
                    tell(waits)
                self._changed.wait(_TELL_EVERY_S)
        wait_for([self._coming[name]])
        return name

    def free_of(self, names: Sequence[str]) -> str | None:
        """The first of these targets that is not held by somebody else, as far as is known.

        :param names: started
        """
        with self._changed:
            for name in names:
                if name in self._held or self._coming[name].done():
                    return name
                if name not in self._waits:
                    return None  # its lock is being asked for this moment
        return None

    def target(self, name: str) -> Target:
        """The target, waiting until it is up.

        :raises BenchError: the bench's fault: no such port, a port that is held …
        :raises BoardError: the board's fault: it did not boot, its application does not answer …
        """
        self.start([name])
        return self._coming[name].result()

    def recover(self, name: str, cause: HilError) -> None:
        """Bring a target back that has failed to answer. Where the bench has no hand on it,
        nothing happens.

        :raises HilError: it is broken
        :raises Finding: its application does not start any more, and has raised
        """
        target = next((up for up in self.up() if up.name == name), None)
        if target and target.recover:
            self.recovered[name] = target.recover(cause)
            if evidence := self.evidence(name):
                evidence.note(self.recovered[name])

    def evidence(self, name: str) -> TargetRecorder | None:
        """Who writes down what becomes of this target; None: nobody does, or it is not started."""
        return self._evidence.get(name)

    def up(self) -> list[Target]:
        """The targets that have come up, also those that have been put back by now."""
        return list(self._seen.values())

    # Several processes: each has a part of the bench, and gives account of it in the end.

    def portion(self, names: Collection[str]) -> dict[str, Any]:
        """These targets of it, as what a bench is made with."""
        return {
            "specs": [self._specs[name] for name in names],
            "state": self._state,
            "source": self.source,
            "wait_s": self._wait_s,
        }

    def account(self) -> dict[str, Any]:
        """What :meth:`add` takes, made of nothing but lists, mappings and text."""
        return {
            "targets": {name: self.remarks(name) for name in self._seen},
            "recovered": self.recovered,
            "waited": self.waited,
            "problems": self.problems,
        }

    def add(self, account: Mapping[str, Any]) -> None:
        """What another process tells of its portion."""
        self.told |= account["targets"]
        self.recovered |= account["recovered"]
        self.waited |= account["waited"]
        self.problems += account["problems"]

    def remarks(self, name: str) -> list[str]:
        """What the end of the run tells of a target that has come up: first what it is, then what
        the reader should know. Empty: it has not."""
        if name in self.told:
            return self.told[name]
        up = self._seen.get(name)
        return [up.about, *up.notes] if up else []

    def release(self, name: str) -> None:
        """Put this board back and free its lock, without waiting for it. It may be started again:
        then it is another bring-up."""
        future = self._coming.get(name)
        if future is None or self._pool is None or not _came_up(future):
            return
        del self._coming[name]
        self._held.discard(name)
        self._leaving.append(self._pool.submit(future.result().close))

    def close(self) -> list[str]:
        """Put every board back as it was found. Once: a second call does nothing.

        :returns: one message for each board that could not be put back; also in ``problems``
        """
        if self._pool is None:
            return []
        self._ending.set()
        for future in self._coming.values():
            future.cancel()
        self._pool.shutdown(wait=True)
        came_up = [future.result() for future in self._coming.values() if _came_up(future)]
        self.problems += [
            f"not put back: {error.left_behind}"
            for future in self._coming.values()
            if not future.cancelled()
            and isinstance(error := future.exception(), (HilError, Finding))
            and error.left_behind
        ]
        with ThreadPoolExecutor(len(self._specs), "hil-put-back") as pool:
            for closing in [*self._leaving, *(pool.submit(target.close) for target in came_up)]:
                try:
                    closing.result()
                except (HilError, OSError) as error:
                    self.problems.append(f"not put back: {error}")
        if self.recorder:
            self.problems += self.recorder.problems.values()
        self._pool = None
        return self.problems


def _put_back(close: Callable[[], None], recorder: TargetRecorder | None) -> None:
    """The target as it was found, and written down whether it is."""
    began, problem = time.monotonic(), None
    try:
        close()
    except (HilError, OSError) as error:
        problem = str(error)
        raise
    finally:
        if recorder:
            recorder.put_back(time.monotonic() - began, problem)


def _came_up(future: Future[Target]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None
