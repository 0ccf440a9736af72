"""A pytest plugin for runs whose own virtual boards have a bootloader that is broken.

Such a board is powered by the run itself, so that the fault is planted in there: right after its
power, before it is flashed. It comes back in milliseconds or never, and is not waited for as long
as a camera.
"""

import os

from hil.boards.table import model
from hil.deadline import Deadline
from hil.virtual.board import VirtualBoard

object.__setattr__(model("openmv-n6"), "back_from_bootloader_s", 2.0)
object.__setattr__(model("openmv-n6"), "bootloader_on_reset_s", 0.0)
_wait_ready = VirtualBoard.wait_ready


def wait_ready(self: VirtualBoard, deadline: Deadline) -> None:
    _wait_ready(self, deadline)
    self.control("bootloader_fault", kind=os.environ["BROKEN_BOOTLOADER"])


VirtualBoard.wait_ready = wait_ready  # type: ignore[method-assign]
