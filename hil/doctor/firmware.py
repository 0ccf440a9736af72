"""Which firmware a target is to run by devices.yaml, and which one it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import HilError
from .examined import Examined, Status, failed, of_target

if TYPE_CHECKING:
    from ..config import TargetSpec
    from ..flash.method import Job
    from ..flash.record import Record, Reported
    from ..link.board import Identity

_NOT_ITS_OWN = "is 'model' right, and the firmware the board's?"


def expected(spec: TargetSpec) -> tuple[list[Examined], Job | None]:
    """What a run would flash, and whether it could: no board is asked for it."""
    from .. import flashing

    if spec.flash is None:
        return [], None
    try:
        job = flashing.expected(spec, spec.flash)
    except HilError as error:
        return [failed(spec.name, "images", error)], None
    told = ", ".join(f"{one.partition} ({len(one.content)} bytes)" for one in job.images)
    told += "".join(f"; {version}" for version in _versions(job))
    return [of_target(spec, "images", "ok", told)], job


def found(
    spec: TargetSpec, identity: Identity, reported: Reported, had: Record | None, job: Job | None
) -> Examined:
    """Whether the board runs firmware for its model, and what devices.yaml wants.

    :param had: what the bench has written down of it
    :param job: what a run would flash; None: nothing, or it could not
    """
    from ..boards.table import model

    def firmware(status: Status, told: str, step: str = "") -> Examined:
        return of_target(spec, "firmware", status, told, step)

    row = model(spec.model or "")
    told = f"{identity.machine}, MicroPython {identity.release}"
    if row.target not in identity.machine and row.title not in identity.machine:
        told += f"; expected: {row.target}, on a {row.title}"
        return firmware("warn", told, _NOT_ITS_OWN)
    if identity.epoch_year != row.epoch:
        told += f", whose clock counts from {identity.epoch_year} and not {row.epoch}"
        return firmware("warn", told, "is it a firmware for this board?")
    if spec.flash is None:
        return firmware("ok", f"{told}; devices.yaml expects no other")
    if job is None:
        return firmware("note", f"{told}; what is expected is not known, see 'images'")
    if not (why := _why_flashed(reported, had, job)):
        return firmware("ok", f"{told}: what devices.yaml expects, by content")
    step = f"'hil flash {spec.name}' does it now"
    return firmware("note", f"{told}; {why}: a run flashes it", step)


def _why_flashed(reported: Reported, had: Record | None, job: Job) -> str:
    """Why a run would flash it; empty: it has all images."""
    from ..flash import image, record

    if not (lacking := record.lacking(had, reported, job.images)):
        return ""
    if had and had.reported == reported:
        return f"{' and '.join(lacking)} was flashed with another image than devices.yaml expects"
    content = _firmware(job)
    proven = image.runs(content, reported.version, reported.build) if content else None
    if proven is None:
        return "whether it is what devices.yaml expects is not known, this bench has not flashed it"
    if proven:
        return "the expected version, and not flashed by this bench"
    return f"expected: {', '.join(_versions(job))}"


def _firmware(job: Job) -> bytes:
    from ..flash.image import is_firmware

    return b"\0".join(one.content for one in job.images if is_firmware(one))


def _versions(job: Job) -> list[str]:
    from ..flash.image import versions_in

    return sorted(versions_in(_firmware(job)))[:4]
