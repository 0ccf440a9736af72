from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from usb_bus import UsbBus


@pytest.fixture(scope="session")
def _usb_bus(require_program: Callable[[str, str], Path], umockdev: None) -> Iterator[UsbBus]:
    dfu_util = require_program("dfu-util", "dfu-util")
    # Not below tmp_path: umockdev's sockets lie in it, whose paths have 107 bytes at most.
    with (
        TemporaryDirectory(prefix="hil-usb-") as folder,
        UsbBus(Path(folder), dfu_util) as bus,
    ):
        yield bus


@pytest.fixture
def usb_bus(_usb_bus: UsbBus, monkeypatch: pytest.MonkeyPatch) -> Iterator[UsbBus]:
    """An empty USB bus; ``dfu-util`` is the real one, on this bus."""
    monkeypatch.setenv("PATH", f"{_usb_bus.programs}{os.pathsep}{os.environ['PATH']}")
    yield _usb_bus
    _usb_bus.clear()
