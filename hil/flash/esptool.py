"""Espressif chips, through the ``esptool`` package (5 or later, extra ``hil[esp]``).

The ROM loader is in the chip: a flashing that fails can always be done again. esptool runs as a
process of this interpreter, with the spelling of its version 5. It checks the chip that it finds
against the one that it is told, loads its stub into the RAM, writes compressed, and compares the
MD5 of what the flash then holds.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

from ..boards.model import Model
from ..deadline import Deadline
from ..discovery.usb import UsbPort, usb_ports
from ..errors import BenchError
from ..link.opening import holders
from .bootloader import enter
from .method import (
    FlashError,
    Image,
    Job,
    Notes,
    Progress,
    Reason,
    RefusedError,
    Step,
    Unsupported,
    other_model,
)
from .tool import Ran, image_file, run_tool

# What esptool calls the chip of a firmware's build target, and the chip id in an image's header
# (esptool, targets/*.py: IMAGE_CHIP_ID).
_CHIPS = {"ESP32_GENERIC": ("esp32", 0), "ESP32_GENERIC_S3": ("esp32s3", 9)}
_IMAGE_MAGIC = 0xE9
_CHIP_ID_AT = 12
# ports/esp32/boards/deploy.md. Over native USB the rate means nothing.
_BAUDRATE = 460800

_MAC = re.compile(r"^(?:BASE )?MAC: +([0-9a-f]{2}(?::[0-9a-f]{2}){5})\s*$", re.MULTILINE)
_WRITING = re.compile(r"Writing at 0x([0-9a-f]+) .*?([0-9.]+)%")
_DULL = re.compile(r"Writing at|NOTE:|\.{5,}|Hard resetting|Chip was NOT reset|troubleshooting")
_INSTALL = "pip install 'hil[esp]'"
_BOOT = "hold BOOT (or GPIO0 to GND) while it resets"
WITHOUT_MICROPYTHON = f"without MicroPython it is flashed by its ROM loader: {_BOOT}, and repeat"
_BY_HAND = f"{_BOOT}, and flash again; its ROM loader cannot be overwritten"


def supports(job: Job) -> Unsupported | None:
    """None, or why not: see :class:`~.method.FlashMethod`."""
    if job.model.target not in _CHIPS:
        why = f"esptool flashes Espressif's chips, and the {job.model.title} has another"
        return other_model(job, why)
    return _no_program() or _wrong_port(job) or next(filter(None, _wrong_images(job)), None)


def waiting(job: Job, deadline: Deadline) -> bytes | None:
    """See :class:`~.method.FlashMethod`: the MAC, which the chip's ROM tells whatever is in its
    flash. Of several chips on USB only the one is asked that shows it, or is plugged in where this
    board is; behind a UART bridge, the one at the listed port, which takes a listed unique id.
    """
    if job.model.identified_by_usb:
        port = _loader(job) if job.unique_id else None
    else:
        port = job.link.device
    if not port or not ("://" in port or Path(port).exists()):
        return None
    job.link.close()
    try:
        found = _mac(job, port, deadline)
    except FlashError:
        return None  # no chip in its loader
    if found != job.unique_id:
        _restart(job, port, deadline)
    if job.unique_id is None:
        raise RefusedError(
            Reason.OTHER_BOARD,
            f"MicroPython does not answer at {port}, and nothing proves that the chip there, with"
            f" the MAC {found.hex(':')}, is the board that is meant",
            target=job.target,
            hint=f"if it is, write 'unique_id: {found.hex()}' into devices.yaml",
        )
    return found


def flash(job: Job, progress: Progress, deadline: Deadline) -> Notes:
    """Write, let esptool compare the MD5, and reset: see :class:`~.method.FlashMethod`.

    :raises RefusedError: another chip or another board is there; nothing was written
    :raises FlashError: no loader answers, the download broke off, or the flash holds something else
    """
    port = _port_of_loader(job, deadline)
    found = _mac(job, port, deadline)
    if found != job.unique_id:
        _restart(job, port, deadline)
        raise RefusedError(
            Reason.OTHER_BOARD,
            f"the chip at {port} has the MAC {found.hex(':')}, and this board's is"
            f" {job.unique_id.hex(':') if job.unique_id else 'not known'}",
            target=job.target,
            hint="is another board in its place? 'hil list' shows what is attached",
            step=Step.FIND,
        )
    reached = [Step.FIND]

    def hear(line: str) -> None:
        if line.startswith("Flash will be erased"):
            reached[0] = Step.DOWNLOAD
        if line.startswith("Verifying"):
            reached[0] = Step.VERIFY
        if match := _WRITING.search(line):
            _tell(job, progress, int(match[1], 16), float(match[2]))

    with ExitStack() as stack:
        files = [
            (_address(job.model, image) or 0, stack.enter_context(image_file(image)))
            for image in job.images
        ]
        words = [word for address, file in files for word in (f"{address:#x}", str(file))]
        ran = _run(job, port, ["write-flash", *words], deadline, hear)
    if ran.status != 0:
        raise _failure(job, port, ran, reached[0])
    return ()


def _run(
    job: Job,
    port: str,
    words: list[str],
    deadline: Deadline,
    hear: Callable[[str], None] | None = None,
    *,
    after: str = "hard-reset",
) -> Ran:
    chip, _ = _CHIPS[job.model.target]
    return run_tool(
        [
            *(sys.executable, "-m", "esptool"),
            *("--chip", chip, "--port", port, "--baud", str(_BAUDRATE)),
            *("--before", "default-reset", "--after", after),
            *words,
        ],
        deadline,
        on_line=hear,
        # Progress line by line, wide enough to keep its figures, and no colour codes.
        env={"PYTHONUNBUFFERED": "1", "COLUMNS": "120", "NO_COLOR": "1"},
    )


def _mac(job: Job, port: str, deadline: Deadline) -> bytes:
    """The base MAC, which is ``machine.unique_id()``. A chip with native USB stays in its loader:
    with nothing to run, it might not be found again. One behind a bridge is reset, and runs on.

    :raises FlashError: no chip in its loader answers
    :raises RefusedError: another kind of chip does
    :raises BenchError: the port cannot be opened
    """
    after = "no-reset" if job.model.identified_by_usb else "hard-reset"
    ran = _run(job, port, ["--no-stub", "read-mac"], deadline, after=after)
    if ran.status == 0 and (told := _MAC.search(ran.said)):
        return bytes.fromhex(told[1].replace(":", ""))
    raise _failure(job, port, ran, Step.FIND)


def _restart(job: Job, port: str, deadline: Deadline) -> None:
    """Let a chip run on that is not the one that is meant."""
    if job.model.identified_by_usb:
        _run(job, port, ["--no-stub", "chip-id"], deadline)


def _no_program() -> Unsupported | None:
    try:
        version = metadata.version("esptool")
    except metadata.PackageNotFoundError:
        return Unsupported(Reason.NO_PROGRAM, "esptool is not installed", _INSTALL)
    if int(version.partition(".")[0]) < 5:
        return Unsupported(
            Reason.NO_PROGRAM, f"esptool {version} is too old: 5 or later is needed", _INSTALL
        )
    return None


def _wrong_port(job: Job) -> Unsupported | None:
    port = job.link.device
    if not port and not job.usb_serial:  # which is what it is found by
        return Unsupported(
            Reason.NO_PORT, "it has no serial port", "'usb_serial:' or 'port:' in devices.yaml"
        )
    # docs.espressif.com/projects/esptool, "Remote Serial Ports".
    if "://" in port and job.model.identified_by_usb:
        return Unsupported(
            Reason.REMOTE_PORT,
            f"{port} is a remote port, and over one esptool cannot flash a chip with native USB",
            "flash it at the computer that it is plugged into",
        )
    if port.startswith("socket://"):
        return Unsupported(
            Reason.REMOTE_PORT,
            f"{port} carries no reset lines, so esptool cannot get the chip into its loader",
            "serve the port by RFC 2217: 'port: rfc2217://HOST:PORT?ign_set_control'",
        )
    return None


def _wrong_images(job: Job) -> list[Unsupported | None]:
    return [_wrong_image(job.model, image) for image in job.images]


def _wrong_image(model: Model, image: Image) -> Unsupported | None:
    """An image for the other chip would be written, and would not boot."""
    chip, wanted = _CHIPS[model.target]
    if _address(model, image) is None:
        return Unsupported(
            Reason.UNKNOWN_PARTITION,
            f"no address is known for {image.partition}",
            f"known are {', '.join(row.name for row in model.partitions)}",
        )
    head = image.content[: _CHIP_ID_AT + 2]
    if len(head) < _CHIP_ID_AT + 2 or head[0] != _IMAGE_MAGIC:
        return Unsupported(
            Reason.NOT_AN_IMAGE,
            f"{image.path or image.partition} does not begin like an Espressif image (0xE9)",
            f"MicroPython's {model.target}-….bin; not the .uf2, and not the .app-bin",
        )
    found = int.from_bytes(head[_CHIP_ID_AT:], "little")
    if found != wanted:
        names = {number: name for name, number in _CHIPS.values()}
        return Unsupported(
            Reason.OTHER_MODEL,
            f"{image.path or image.partition} is for {names.get(found, f'chip id {found}')}, and "
            f"this is an {chip}",
            f"MicroPython's {model.target}-….bin",
        )
    return None


def _address(model: Model, image: Image) -> int | None:
    return next((row.address for row in model.partitions if row.name == image.partition), None)


def _port_of_loader(job: Job, deadline: Deadline) -> str:
    """The port that esptool has to open; the link no longer has it."""
    if not job.model.identified_by_usb:
        # A bridge: esptool pulls the chip's lines itself, whatever runs on it.
        job.link.close()
        return job.link.device
    if not job.in_bootloader and not job.location and (before := _loaders(job)):
        raise RefusedError(
            Reason.AMBIGUOUS,
            f"another board of this kind waits in its loader at {before[0].device}",
            target=job.target,
            hint="reset or unplug that one",
            step=Step.ENTER,
        )
    device = enter(job, lambda _: _loader(job), deadline, by_hand=_BOOT)
    job.link.close()
    return device


def _loader(job: Job) -> str | None:
    """The one port of a loader that may be this board's; None while there is none.

    :raises RefusedError: there are several
    """
    found = _loaders(job)
    if len(found) > 1:
        raise RefusedError(
            Reason.AMBIGUOUS,
            f"several loaders are waiting: {', '.join(map(str, found))}",
            target=job.target,
            hint="unplug all but one",
            step=Step.FIND,
        )
    return found[0].device if found else None


def _loaders(job: Job) -> list[UsbPort]:
    """Those that may be this board's: where it is plugged in, and with its MAC as serial number.

    That the ROM's USB shows the MAC is not confirmed on a board: a number of another form tells
    nothing, and the loader is asked for its MAC before anything is written.
    """
    return [
        port
        for port in usb_ports()
        if (port.vid, port.pid) in job.model.bootloader_ids
        and (not job.location or port.location == job.location)
        and _shown_mac(port) in (None, job.unique_id)
    ]


def _shown_mac(port: UsbPort) -> bytes | None:
    digits = (port.serial_number or "").replace(":", "")
    return bytes.fromhex(digits) if re.fullmatch("[0-9A-Fa-f]{12}", digits) else None


def _tell(job: Job, progress: Progress, address: int, percent: float) -> None:
    for image in job.images:
        start = _address(job.model, image) or 0
        # The address is where the next block goes: at the end, one past the (padded) image.
        if start <= address <= start + len(image.content) + 4:
            progress(image.partition, round(len(image.content) * percent / 100), len(image.content))
            return


def _failure(job: Job, port: str, ran: Ran, reached: Step) -> BenchError | FlashError:
    chip, _ = _CHIPS[job.model.target]
    if found := re.search(r"This chip is (.+?), not", ran.said):
        return RefusedError(
            Reason.OTHER_MODEL,
            f"the chip at {port} is an {found[1]}, not an {chip}",
            target=job.target,
            hint="is 'model:' in devices.yaml right, and does the port belong to this board?",
            step=Step.FIND,
        )
    if "Could not open" in ran.said:
        who = ", ".join(f"pid {pid} ({command})" for pid, command in holders(port))
        return BenchError(
            f"esptool cannot open {port}; it said:\n    "
            + "\n    ".join(line for line in ran.said.splitlines() if "Errno" in line),
            target=job.target,
            hint=f"it is held by {who}: end it" if who else "'hil doctor' tells who holds it",
        )
    what = {
        Step.FIND: f"no {chip} in its loader answers at {port}",
        Step.DOWNLOAD: "the download broke off: the flash holds a part of the image",
        Step.VERIFY: "the flash does not hold what was written (MD5)",
    }[reached]
    hint = {
        Step.FIND: f"nothing was written; {_BY_HAND}",
        Step.DOWNLOAD: f"check cable and supply; {_BY_HAND}",
        Step.VERIFY: "flash again; if that fails too, the supply is weak or the flash worn out",
    }[reached]
    if ran.status is None:
        what = f"not through in time: {what}"
    return FlashError(
        reached, what, target=job.target, said=_reason(ran.said), tool="esptool", hint=hint
    )


def _reason(said: str) -> str:
    """Its words without the progress lines and the notes on a port's reset lines."""
    return "\n".join(line for line in said.splitlines() if not _DULL.search(line))
