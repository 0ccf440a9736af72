"""Two boards in a folder of their own, one of which is to have a fault."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from check_run import short_folder
from fault_scene import FAULTY, SOUND, Scene, environment

from hil.deadline import Deadline
from hil.virtual.board import READY_S, VirtualBoard


@pytest.fixture
def scene() -> Iterator[Scene]:
    with short_folder() as folder:
        boards = [
            VirtualBoard.start(
                name, state=folder / ".hil" / "boards" / name, bus=folder / "bus", wait=False
            )
            for name in (FAULTY, SOUND)
        ]
        try:
            for board in boards:
                board.wait_ready(Deadline.after(READY_S))
            scene = Scene(folder, boards[0], boards[1], environment(folder))
            scene.make_as_found()
            yield scene
            boards.append(scene.board)  # another one, where the runs powered it
        finally:
            for board in boards:
                board.stop()
