"""What must hold before a board is touched. Nothing overrides a refusal, ``--force`` neither."""

from __future__ import annotations

from .image import is_firmware, targets_in
from .method import Image, Job, Reason, RefusedError


def approve(job: Job) -> None:
    """Return if the job may be done; opens nothing.

    An image is refused as another model's only on certain evidence: another model's build target
    stands in it as a whole word, and this model's does not. One in which none stands is approved.

    :raises RefusedError: why not
    """
    if not job.images:
        raise _refused(job, Reason.EMPTY, "there is no image", "give one: --image FILE")
    for image in job.images:
        _partition(job, image)
        _content(job, image)
    _complete(job)


def _partition(job: Job, image: Image) -> None:
    row = job.model
    may = [one.name for one in row.partitions if not one.never]
    hint = f"an {row.title} is flashed at {', '.join(may)}" if may else "there is none to flash"
    known = {one.name: one for one in row.partitions}
    if image.partition not in known:
        why = f"an {row.title} has no partition {image.partition!a}"
        raise _refused(job, Reason.UNKNOWN_PARTITION, why, hint)
    partition = known[image.partition]
    if partition.never:
        why = f"{partition.name} is never written: {partition.never}"
        raise _refused(job, Reason.NEVER_WRITTEN, why, hint)
    if partition.size is not None and len(image.content) > partition.size:
        raise _refused(
            job,
            Reason.TOO_LARGE,
            f"{_named(image)} has {len(image.content)} bytes, {partition.name} holds"
            f" {partition.size}",
            "is it the image of this partition alone?",
        )


def _content(job: Job, image: Image) -> None:
    if not image.content:
        raise _refused(job, Reason.EMPTY, f"{_named(image)} is empty", "build it again")
    targets = targets_in(image.content) if is_firmware(image) else frozenset()
    if targets and job.model.target not in targets:
        raise _refused(
            job,
            Reason.OTHER_MODEL,
            f"{_named(image)} is built for {', '.join(sorted(targets))}, and an {job.model.title}"
            f" is {job.model.target}",
            "give the image of this model",
        )


def _complete(job: Job) -> None:
    given = {image.partition for image in job.images}
    if len(given) != len(job.images):
        raise _refused(
            job, Reason.AMBIGUOUS, "a partition has two images", "give one for each partition"
        )
    together = set(job.model.flashed_together)
    if given & together and not together <= given:
        raise _refused(
            job,
            Reason.INCOMPLETE,
            f"{' and '.join(job.model.flashed_together)} are flashed together, and"
            f" {', '.join(sorted(together - given))} is missing",
            "give the images of one build for all of them",
        )


def _named(image: Image) -> str:
    return f"the image {image.path}" if image.path else f"the image for {image.partition}"


def _refused(job: Job, reason: Reason, why: str, hint: str) -> RefusedError:
    return RefusedError(reason, why, target=job.target, hint=hint)
