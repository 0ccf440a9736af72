"""``hil flash``: one listed target, its images from devices.yaml or from the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import flashing
from .boards.table import model
from .deadline import Deadline
from .errors import BenchError, ConfigError
from .flash.progress import bars
from .flash_entry import FlashSpec, ImageFile, default_method, firmware_partition
from .lock import HeldError, Holder, hold, key_of
from .virtual.board import VirtualBoard

if TYPE_CHECKING:
    from .config import TargetSpec
    from .flash.flow import Examined

# Partitions are in capitals, so that a file may be "build=1/firmware.bin".
_NAMED = re.compile(r"(?P<partition>[A-Z][A-Z0-9_]*)=(?P<file>.+)", re.DOTALL)


def flash_target(
    spec: TargetSpec,
    images: Sequence[str],
    state: Path,
    *,
    force: bool,
    dry_run: bool,
    wait_s: float,
    on_wait: Callable[[Holder], object],
) -> str:
    """Flash it, and say in one line what came of it.

    :param images: ``[PARTITION=]FILE``, instead of what devices.yaml lists
    :param state: the folder for what outlives a run
    :param wait_s: for a board that somebody else holds, seconds
    :param on_wait: called with the holder that is waited for
    :raises ConfigError: there is nothing to flash, or an image cannot be read
    :raises NoConsentError: its entry has no ``provision: true``
    :raises HilError: see :func:`hil.flash.flow.flash`
    """
    wanted = _wanted(spec, images)
    spec.consent()  # nobody is waited for in vain

    with ExitStack() as stack:
        key, deadline = key_of(spec, state), Deadline.after(wait_s)
        try:
            stack.enter_context(hold(key, f"flashing {spec.name}", deadline, on_wait=on_wait))
        except HeldError as error:
            error.target = spec.name
            error.hint = f"{error.hint}; --wait SECONDS waits longer than {wait_s:.0f}"
            raise
        virtual = None
        if spec.kind == "virtual":
            folder = (state / "boards" / spec.name).resolve()
            virtual = stack.enter_context(
                VirtualBoard.start(spec.name, model=spec.model or "", state=folder)
            )
        if dry_run:
            return _would(flashing.examine(spec, wanted, state, virtual=virtual), wanted, force)
        with bars(spec.name) as progress:
            outcome = flashing.flash(
                spec,
                wanted,
                state,
                virtual=virtual,
                progress=progress,
                force=force,
                restart=virtual is None,
            )
    return flashing.told(outcome)


def _wanted(spec: TargetSpec, images: Sequence[str]) -> FlashSpec:
    if spec.model is None:
        raise BenchError(f"kind {spec.kind}: the bench has no hand on it", target=spec.name)
    if not images:
        if spec.flash is None:
            raise ConfigError(
                f"{spec.where}: target {spec.name!r} has no 'flash'",
                hint="write it there, or name the image: --image FILE",
            )
        return spec.flash
    row = model(spec.model)
    files = {}
    for text in images:
        named = _NAMED.fullmatch(text)
        partition = named["partition"] if named else firmware_partition(row)
        if partition is None:
            names = " ".join(f"--image {name}=FILE" for name in row.flashed_together)
            raise click.BadParameter(f"an {row.title} needs {names}", param_hint="--image")
        if partition in files:
            raise click.BadParameter(f"{partition} twice", param_hint="--image")
        path = named["file"] if named else text
        files[partition] = ImageFile(str(Path(path).expanduser().resolve()), f"--image {text}")
    method = spec.flash.method if spec.flash else default_method(row, spec.kind)
    return FlashSpec(method, files, spec.flash.command if spec.flash else None)


def _would(examined: Examined, wanted: FlashSpec, force: bool) -> str:
    runs = str(examined.reported) if examined.reported else "MicroPython does not answer"
    if examined.has_it and not force:
        return f"has it already: {runs}"
    sizes = ", ".join(f"{one.partition} ({len(one.content)} bytes)" for one in examined.job.images)
    return f"would be flashed by {wanted.method}: {sizes}; now {runs}"
