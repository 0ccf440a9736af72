"""Flashing by the user's own command: for a board, or a programmer, that this project knows not.

The command is words, not a shell's line. In each word ``{image}`` is the file with the image's
content, ``{port}`` the serial port, ``{serial}`` the USB serial number and ``{partition}`` the
partition's name; ``{{`` and ``}}`` are braces. It runs once per image. The serial port is closed
meanwhile, and entering the bootloader is the command's business.
"""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path
from string import Formatter

from ..deadline import Deadline
from ..discovery.usb import NotAttachedError, find, usb_ports
from ..errors import BenchError
from .image import is_firmware
from .method import FlashError, Image, Job, Notes, Progress, Reason, Step, Unsupported
from .tool import find_program, image_file, run_tool

WITHOUT_MICROPYTHON = (
    "without MicroPython nothing tells which board the command writes to, unless its USB shows the"
    " listed 'usb_serial', and 'unique_id' is listed beside it: run the command by hand this time"
)
_PLACEHOLDERS = ("image", "port", "serial", "partition")


def supports(job: Job) -> Unsupported | None:
    """None, or what is wrong with the command: see :class:`~.method.FlashMethod`."""
    if not job.command or not job.command.strip():
        return Unsupported(
            Reason.NO_METHOD,
            "devices.yaml gives no command to flash it with",
            "'command: my-tool --port {port} {image}' under 'flash:'",
        )
    try:
        words = shlex.split(job.command)
        named = {name for word in words for _, name, _, _ in Formatter().parse(word) if name}
        if unknown := sorted(named - set(_PLACEHOLDERS)):
            return Unsupported(
                Reason.NO_METHOD,
                f"its command has placeholders that mean nothing here: {', '.join(unknown)}",
                f"there are {', '.join('{' + name + '}' for name in _PLACEHOLDERS)}",
            )
        for word in words:
            word.format_map(dict.fromkeys(_PLACEHOLDERS, ""))
    except ValueError as error:
        return Unsupported(
            Reason.NO_METHOD,
            f"its command cannot be read: {job.command!r}: {error}",
            "quotes and braces must close; a brace itself is written twice: '{{'",
        )
    if "serial" in named and not job.usb_serial:
        return Unsupported(
            Reason.OTHER_BOARD,
            "its command asks for the USB serial number, and devices.yaml lists none",
            "'usb_serial:' in devices.yaml; 'hil list' shows it",
        )
    if not find_program(words[0]):
        return Unsupported(
            Reason.NO_PROGRAM,
            f"there is no program {words[0]!r}",
            "is it installed, executable, and on PATH?",
        )
    return None


def waiting(job: Job, deadline: Deadline) -> bytes | None:
    """See :class:`~.method.FlashMethod`: MicroPython's own USB shows the listed serial number, and
    only its REPL is dead. A UART bridge's number would say nothing of the board behind it."""
    if not job.usb_serial or not job.model.identified_by_usb:
        return None
    with contextlib.suppress(NotAttachedError):
        find(usb_ports(), usb_serial=job.usb_serial)
        return job.unique_id
    return None


def flash(job: Job, progress: Progress, deadline: Deadline) -> Notes:
    """Run the command for each image: see :class:`~.method.FlashMethod`.

    :raises FlashError: it failed, or did not end before the deadline, which ends it
    """
    job.link.close()
    for image in job.images:
        with image_file(image) as file:
            progress(image.partition, 0, len(image.content))
            _run(job, image, words(job, image, file), deadline)
            progress(image.partition, len(image.content), len(image.content))
    return tuple(
        f"{image.partition} was not read back: only the command's exit status tells"
        for image in job.images
        if not is_firmware(image)  # whose version the flow compares
    )


def words(job: Job, image: Image, file: Path) -> list[str]:
    """The command's argument list for one image."""
    values = {
        "image": str(file),
        "port": job.link.device,
        "serial": job.usb_serial or "",
        "partition": image.partition,
    }
    return [word.format_map(values) for word in shlex.split(job.command or "")]


def _run(job: Job, image: Image, argv: list[str], deadline: Deadline) -> None:
    try:
        ran = run_tool(argv, deadline)
    except OSError as error:
        raise BenchError(
            f"cannot run {argv[0]}: {error.strerror or error}",
            target=job.target,
            hint="is it a program, or does it name one in its first line?",
        ) from None
    if ran.status == 0:
        return
    if ran.status is None:
        how = "did not end in time and was killed, with all that it had started"
    elif ran.status < 0:
        how = f"was ended by signal {-ran.status}"
    else:
        how = f"failed with exit status {ran.status}"
    raise FlashError(
        Step.DOWNLOAD,
        f"{shlex.join(argv)} {how}, for {image.partition}",
        target=job.target,
        said=ran.said,
        tool=Path(argv[0]).name,
        hint="what the board runs now is not known: put right what the command says, and flash "
        "again; a board that does not come back is reset, or put into its bootloader, by hand",
    )
