"""The bench: the inventory, what discovery found of it, and one target per entry.

plan   read devices.yaml, look at the USB ports, decide on the targets (opens no port)
start  bring them up, all at once, each in a thread of its own
target wait for one of them
close  put every board back, all at once
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import Finding, HilError

if TYPE_CHECKING:
    from .config import TargetSpec
    from .target import Target


class Bench:
    """:ivar names: the targets of this run, in the inventory's order
    :ivar problems: after :meth:`close`: the boards that could not be put back, and why
    """

    def __init__(
        self, specs: Sequence[TargetSpec], *, state: Path, source: str, notes: Sequence[str] = ()
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._state = state
        self._source = source
        self._notes = list(notes)
        self._coming: dict[str, Future[Target]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self.problems: list[str] = []

    @classmethod
    def plan(cls, explicit: Path | None, rootdir: Path, only: Sequence[str] | None) -> Bench:
        """Decide what this run checks.

        Listed targets are checked; where no inventory is written, the packaged one lists the
        embedded bench. A board that is attached but not listed is named and left alone.

        :param explicit: the ``--devices`` file
        :param only: the ``--target`` names; None is all
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
        return cls(specs, state=rootdir / ".hil", source=str(inventory.path), notes=notes)

    @property
    def names(self) -> list[str]:
        return list(self._specs)

    def describe(self) -> list[str]:
        """What will be checked, for the head of the report."""
        targets = ", ".join(f"{s.name} ({s.model or s.kind})" for s in self._specs.values())
        return [f"targets: {targets}  [{self._source}]", *self._notes]

    def start(self, names: Collection[str]) -> None:
        """Bring these targets up, all at once, without waiting for them."""
        wanted = [name for name in self.names if name in names and name not in self._coming]
        if not wanted:
            return
        from .bringup import bring_up

        self._pool = self._pool or ThreadPoolExecutor(len(self._specs), "hil-bring-up")
        for name in wanted:
            self._coming[name] = self._pool.submit(bring_up, self._specs[name], self._state)

    def target(self, name: str) -> Target:
        """The target, waiting until it is up.

        :raises BenchError: the bench's fault: no such port, a port that is held …
        :raises BoardError: the board's fault: it did not boot, its application does not answer …
        """
        self.start([name])
        return self._coming[name].result()

    def up(self) -> list[Target]:
        """The targets that have come up."""
        return [
            future.result()
            for future in self._coming.values()
            if future.done() and not future.cancelled() and future.exception() is None
        ]

    def close(self) -> list[str]:
        """Put every board back as it was found. Once: a second call does nothing.

        :returns: one message for each board that could not be put back; also in ``problems``
        """
        if self._pool is None:
            return []
        for future in self._coming.values():
            future.cancel()
        self._pool.shutdown(wait=True)
        self.problems += [
            f"not put back: {error.left_behind}"
            for future in self._coming.values()
            if not future.cancelled()
            and isinstance(error := future.exception(), (HilError, Finding))
            and error.left_behind
        ]
        with ThreadPoolExecutor(len(self._specs), "hil-put-back") as pool:
            for closing in [pool.submit(target.close) for target in self.up()]:
                try:
                    closing.result()
                except (HilError, OSError) as error:
                    self.problems.append(f"not put back: {error}")
        self._pool = None
        return self.problems
