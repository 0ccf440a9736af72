"""Flash a target of devices.yaml: its images read, its port found, and the outcome in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .boards.table import model
from .deadline import Deadline
from .errors import BenchError, ConfigError
from .flash import flow
from .flash.approval import approve
from .flash.method import Image, Job, Progress, quiet
from .flash_entry import FlashSpec, ImageFile
from .link.board import BoardLink

if TYPE_CHECKING:
    from .config import TargetSpec
    from .flash.flow import Examined, Outcome
    from .power import SwitchedPower
    from .virtual.board import VirtualBoard

_RESTART_S = 30.0


def job_of(
    spec: TargetSpec, flash: FlashSpec, link: BoardLink, virtual: VirtualBoard | None = None
) -> Job:
    """What is to be done, with the images' content: it is read once.

    :raises ConfigError: an image cannot be read
    """
    assert spec.model is not None, "config: kinds virtual and board have one"
    return Job(
        target=spec.name,
        model=model(spec.model),
        method=flash.method,
        images=read_images(flash.images, spec.name),
        link=link,
        consent=link.consent,
        usb_serial=spec.usb_serial,
        listed_id=bytes.fromhex(spec.unique_id) if spec.unique_id else None,
        location=_location(spec),
        power=_power(spec, link),
        command=flash.command,
        virtual=virtual,
    )


def read_images(files: Mapping[str, ImageFile], target: str) -> tuple[Image, ...]:
    """:raises ConfigError: one of them cannot be read"""
    images = []
    for partition, file in files.items():
        try:
            images.append(Image(partition, Path(file.path).read_bytes(), file.path))
        except OSError as error:
            raise ConfigError(
                f"{file.where}: target {target!r} is to be flashed with {file.path}, which cannot"
                f" be read: {error.strerror}",
                hint="build it first, or correct its path",
            ) from error
    return tuple(images)


def link_to(spec: TargetSpec, virtual: VirtualBoard | None = None) -> BoardLink:
    """The board's link, not open: in its bootloader it has no port."""
    if virtual:
        return BoardLink(spec.name, virtual.device, consent=spec.consent())
    return BoardLink(
        spec.name, spec.port or "", consent=spec.consent(), locate=lambda _: _device(spec)
    )


def flash(
    spec: TargetSpec,
    wanted: FlashSpec,
    state: Path,
    *,
    virtual: VirtualBoard | None = None,
    progress: Progress = quiet,
    force: bool = False,
    restart: bool = False,
) -> Outcome:
    """Have the board run these images. Whoever calls holds its lock.

    :param state: the folder for what outlives a run
    :param restart: start its application again, where it was flashed
    :raises ConfigError: an image cannot be read
    :raises HilError: see :func:`hil.flash.flow.flash`
    """
    with link_to(spec, virtual) as link:
        job = job_of(spec, wanted, link, virtual)
        outcome = flow.flash(job, state, progress, force=force)
        if outcome.written and restart:
            link.hard_reset(Deadline.after(_RESTART_S))
        return outcome


def flash_fresh(spec: TargetSpec, state: Path, virtual: VirtualBoard) -> Outcome:
    """Flash a virtual board with firmware that is built this moment. Whoever calls holds its lock.

    :param state: the folder for what outlives a run
    :raises HilError: see :func:`hil.flash.flow.flash`
    """
    from .flash.virtual import fresh_images

    row = model(virtual.model)
    with link_to(spec, virtual) as link:
        job = Job(
            target=spec.name,
            model=row,
            method="virtual",
            images=fresh_images(row),
            link=link,
            consent=link.consent,
            virtual=virtual,
        )
        return flow.flash(job, state)


def expected(spec: TargetSpec, wanted: FlashSpec) -> Job:
    """What a run would flash, read and allowed. Opens no port.

    :raises ConfigError: an image cannot be read
    :raises RefusedError: it may not be flashed, or cannot here
    """
    job = job_of(spec, wanted, link_to(spec))
    if spec.kind == "virtual":  # its method wants the board, which a run starts
        approve(job)
    else:
        flow.allow(job)
    return job


def examine(
    spec: TargetSpec, wanted: FlashSpec, state: Path, *, virtual: VirtualBoard | None = None
) -> Examined:
    """What :func:`flash` would do. A chip of Espressif's whose MicroPython does not answer is reset
    for it, to tell its MAC."""
    with link_to(spec, virtual) as link:
        job = replace(job_of(spec, wanted, link, virtual), may_enter=False)
        return flow.examine(job, state, Deadline.after(flow.budget_s(job)))


def told(outcome: Outcome) -> str:
    """The outcome in one line."""
    if not outcome.written:
        return f"has it already: {outcome.reported}"
    what = ", ".join(outcome.written)
    notes = "".join(f"; {note}" for note in outcome.notes)
    how = "flashed" if notes else "flashed and verified"
    return f"{what} {how} in {outcome.took_s:.0f} s: {outcome.reported}{notes}"


def _device(spec: TargetSpec) -> str:
    from .discovery import usb

    try:
        return spec.port or usb.find(usb.usb_ports(), usb_serial=spec.usb_serial or "").device
    except BenchError as error:
        error.target = spec.name
        raise


def _power(spec: TargetSpec, link: BoardLink) -> SwitchedPower | None:
    from .power import SwitchedPower, switch_of

    return SwitchedPower(switch_of(spec.power), link) if spec.power else None


def _location(spec: TargetSpec) -> str | None:
    """Where it is plugged in, by which its bootloader can be told from another one."""
    from .discovery import listed, usb

    if spec.kind != "board":
        return None
    attached = usb.attached()
    if ports := listed.ports_of(spec, attached):
        return ports[0].location
    loader = listed.loader_of(spec, attached)
    return loader.port.location if loader and loader.certain else None
