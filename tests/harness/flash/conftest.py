from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from usb_bus import UsbBus

TYPELIB = "girepository-1.0/UMockdev-1.0.typelib"


@pytest.fixture(scope="session")
def _usb_bus(
    require_program: Callable[[str, str], Path], require_file: Callable[[str, str], Path]
) -> Iterator[UsbBus]:
    dfu_util = require_program("dfu-util", "dfu-util")
    require_program("umockdev-run", "umockdev")
    found = list(Path("/usr/lib").glob(f"*/{TYPELIB}"))
    require_file(str(found[0]) if found else f"/usr/lib/{TYPELIB}", "gir1.2-umockdev-1.0")
    require_file("/usr/lib/python3/dist-packages/gi/__init__.py", "python3-gi")
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
