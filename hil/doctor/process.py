"""What ails a server that the bench is to start: its programs, its start, its clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..deadline import Deadline
from ..errors import HilError
from ..target import Absent
from .examined import Examined, failed, of_target

if TYPE_CHECKING:
    from ..config import TargetSpec

# What is left of the examination after a start that comes to nothing, seconds.
_SPARE_S = 1.0


def examine(spec: TargetSpec, deadline: Deadline) -> Iterator[Examined]:
    """Its programs are looked up, and it is started as in a run, and ended at once."""
    from ..process.program import find

    assert spec.process is not None, "config: kind process has one"
    process, missing = spec.process, False
    for what, command in (
        ("command", process.command),
        *((f"service {name}", service.command) for name, service in process.services.items()),
    ):
        if command[0] == "{python}":
            continue
        try:
            yield of_target(spec, what, "ok", find(command[0], process.folder))
        except HilError as error:
            missing = True
            yield failed(spec.name, what, error)
    if not missing:
        yield from _started(spec, deadline)


def _started(spec: TargetSpec, deadline: Deadline) -> Iterator[Examined]:
    from .. import bringup

    left = max(0.1, deadline.remaining() - _SPARE_S)
    limited = replace(spec, boot_timeout_s=min(left, spec.boot_timeout_s or left))
    try:
        with ExitStack() as stack:
            target = bringup.bring_up(limited, Path())
            stack.callback(target.close)
            yield of_target(spec, "start", "ok", f"{target.about} answers")
            if isinstance(target.controls.clock, Absent):
                told = f"no checks with another time: {target.controls.clock.reason}"
                yield of_target(spec, "clock", "note", told)
            else:
                yield of_target(spec, "clock", "ok", "can be moved, by libfaketime")
    except HilError as error:
        yield failed(spec.name, "start", error)
