"""The process that catches an i.MX RT's loader and writes through it. ``hil.flash.imx`` starts it.

The loader idles about 1 s after a reset (measured by OpenMV's bench), and importing spsdk takes
longer. So this process imports it first, says ``ready``, and looks for the loader all the time:
then the board is reset. The first answered command keeps the loader from leaving, and the same
process goes on to write: it speaks through the class that the ``blhost`` command is made of, and
saves that command's start, 1 to 5 s each time.

Takes one JSON object as its argument: ``device`` (``usb:VID:PID``, or ``uart:PATH``), ``version``
(of the loader), ``claim_s`` (seconds to look for it, also when the parent is dead), ``seconds``
(for an answer), and ``images``, each with ``partition``, ``address``, ``erase`` (bytes) and
``file``. Prints JSON lines: ``ready``, ``claimed``, ``progress``, ``unverified``, and at the end
``done`` or ``failed``.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .method import Reason, Step

# spsdk can only be asked again: there is nothing to wait on.
_LOOK_S = 0.02
# A loader that is there answers in milliseconds, but udev may not have given the permission yet.
_CLAIM_MS = 1000
_CURRENT_VERSION = 1
# kStatus_UnknownCommand, kStatus_SecurityViolation: a loader that does not give its memory back.
_NO_READING = (10000, 10001)


class _FailedError(Exception):
    """:ivar refused: why nothing was written, where that is so"""

    def __init__(self, step: Step, what: str, refused: Reason | None = None) -> None:
        super().__init__(what)
        self.step = step
        self.refused = refused


def main() -> None:
    """See the module."""
    job = json.loads(sys.argv[1])
    try:
        _run(job)
    except _FailedError as error:
        refused = error.refused.name if error.refused else None
        _say("failed", step=error.step.name, what=str(error), refused=refused)
    except Exception as error:  # noqa: BLE001 - whatever spsdk raises: told, in one line
        _say("failed", step=Step.FIND.name, what=f"{type(error).__name__}: {error}")


def _run(job: dict[str, Any]) -> None:
    from spsdk.mboot.mcuboot import McuBoot

    find = _finder(job["device"])
    already = len(find())  # the first look loads the USB library
    # A UART is always there, whoever is at its other end.
    _say("ready", waiting=already if job["device"].startswith("usb:") else 0)
    loader = _claim(McuBoot, find, job["version"], time.monotonic() + job["claim_s"])
    try:
        # An erase answers when it is done. The parent ends this process at its deadline.
        loader._interface.device.timeout = int(job["seconds"] * 1000)
        for image in job["images"]:
            _write(loader, image)
        _step(Step.RETURN, "reset", lambda: loader.reset(reopen=False))
    finally:
        _close(loader)
    _say("done")


def _finder(device: str) -> Callable[[], list[Any]]:
    """Looks for the loader without spsdk's data base of devices, whose file lock can take 10 s."""
    kind, _, where = device.partition(":")
    if kind == "uart":
        from spsdk.mboot.interfaces.uart import MbootUARTInterface
        from spsdk.utils.interfaces.device.serial_device import SerialDevice

        return lambda: [MbootUARTInterface(SerialDevice(port=where, timeout=_CLAIM_MS))]
    from spsdk.mboot.interfaces.usb import MbootUSBInterface
    from spsdk.utils.interfaces.device.usb_device import UsbDevice

    return lambda: [
        MbootUSBInterface(one) for one in UsbDevice.scan(device_id=where, timeout=_CLAIM_MS)
    ]


def _claim(kind: Any, find: Callable[[], list[Any]], version: int, end: float) -> Any:
    """The loader, opened, once it has told its version."""
    last = "nothing appeared"
    while time.monotonic() < end:
        found = find()
        if len(found) > 1:
            what = f"{len(found)} loaders are waiting at once"
            raise _FailedError(Step.FIND, what, Reason.AMBIGUOUS)
        if found:
            loader = kind(found[0], cmd_exception=True)
            try:
                loader.open()
                told = loader.get_property(_CURRENT_VERSION)
            except Exception as error:  # noqa: BLE001 - not there yet, or gone again: look again
                last = f"it appeared, but did not answer: {error}"
                _close(loader)
            else:
                if told and told[0] == version:
                    _say("claimed", version=told[0])
                    return loader
                _close(loader)
                found_version = f"{told[0]:#010x}" if told else "none"
                what = f"another loader: version {found_version}, not {version:#010x}"
                raise _FailedError(Step.FIND, what, Reason.OTHER_BOARD)
        time.sleep(_LOOK_S)
    raise _FailedError(Step.FIND, last)


def _close(loader: Any) -> None:
    with contextlib.suppress(Exception):  # the board may be gone
        loader.close()


def _write(loader: Any, image: dict[str, Any]) -> None:
    content = Path(image["file"]).read_bytes()
    name, address = image["partition"], image["address"]

    def progress(done: int, total: int) -> None:
        _say("progress", partition=name, done=done, total=total)

    _step(
        Step.DOWNLOAD,
        f"erasing {name}",
        lambda: loader.flash_erase_region(address, image["erase"]),
    )
    _step(
        Step.DOWNLOAD,
        f"writing {name}",
        lambda: loader.write_memory(address, content, progress_callback=progress),
    )
    try:
        held = loader.read_memory(address, len(content))
    except Exception as error:  # noqa: BLE001 - told below
        if getattr(error, "error_value", None) in _NO_READING:
            _say("unverified", partition=name)
            return
        raise _FailedError(Step.VERIFY, f"reading {name} back: {error}") from None
    if held != content:
        raise _FailedError(Step.VERIFY, f"{name} does not hold what was written")


def _step(step: Step, what: str, work: Callable[[], bool]) -> None:
    try:
        done = work()
    except Exception as error:  # noqa: BLE001 - told, with the step
        raise _FailedError(step, f"{what}: {error}") from None
    if not done:
        raise _FailedError(step, f"{what} failed")


def _say(event: str, **more: object) -> None:
    print(json.dumps({"event": event, **more}), flush=True)  # noqa: T201 - how it answers


if __name__ == "__main__":
    main()
