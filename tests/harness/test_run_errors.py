"""What goes wrong at a bench: one message, the right fault, no traceback of ours, no hang."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from hil.virtual.board import VirtualBoard
from hil.virtual.bus import VirtualPort, plug_in

CHECKS = """
    from hil.check import check, must

    @check("LOG-01", must, "OpenMV docs 10.9.2")
    def test_login(api):
        assert api.login().status_code == 200

    @check("LOG-06", must, "OpenMV docs")
    def test_wrong_password(api):
        assert api.login(password="wrong").status_code == 401
"""

EMBEDDED = """
    targets:
      porch:
        kind: virtual
        model: openmv-n6
        provision: true
        firmware: {firmware}
"""


@pytest.fixture(autouse=True)
def _own_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)


def run(pytester: pytest.Pytester, devices: str) -> pytest.RunResult:
    pytester.makepyfile(CHECKS)
    pytester.makefile(".yaml", devices=devices)
    result = pytester.runpytest_subprocess("-m", "hil", timeout=60)
    told = result.stdout.str() + result.stderr.str()
    # The project may lie in a folder of that name, and the holder of a port is told by its command.
    for path in (str(pytester.path), sys.executable):
        told = told.replace(path, "")
    assert "hil/" not in told, "a stack frame of ours is shown"
    return result


def test_firmware_that_raises_at_import_is_a_finding_with_its_traceback(
    pytester: pytest.Pytester,
) -> None:
    (pytester.mkdir("firmware") / "main.py").write_text("import sensor_that_is_not_there\n")
    result = run(pytester, EMBEDDED.format(firmware="firmware"))
    result.assert_outcomes(failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "Finding: porch: *its application has raised",
            "Traceback (most recent call last):",
            '  File "main.py", line 1, in <module>',
            "ImportError: no module named 'sensor_that_is_not_there'",
            "  porch is out of the run, 1 check not examined",
            "  LOG-06: porch is out of the run",
        ]
    )


def test_firmware_without_a_server_is_the_boards_fault(pytester: pytest.Pytester) -> None:
    (pytester.mkdir("firmware") / "main.py").write_text("print('all is well')\n")
    result = run(pytester, EMBEDDED.format(firmware="firmware\n        boot_timeout_s: 6"))
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(["BoardError: porch: *", "*-> *"])


def test_a_micropython_that_does_not_start_is_the_benchs_fault(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_MICROPYTHON", "/bin/false")
    result = run(pytester, EMBEDDED.format(firmware="camera"))
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(["BenchError: porch: MicroPython does not start*", "*-> *"])


@pytest.fixture
def attached(tmp_path: Path) -> Iterator[VirtualBoard]:
    with VirtualBoard.start(
        "porch", model="openmv-n6", state=tmp_path / "porch", bus=tmp_path / "bus"
    ) as board:
        yield board


def test_a_held_port_names_its_holder(pytester: pytest.Pytester, attached: VirtualBoard) -> None:
    devices = f"""
        targets:
          porch:
            kind: board
            model: openmv-n6
            port: {attached.device}
            provision: true
    """
    with serial.serial_for_url(attached.device, exclusive=True):
        result = run(pytester, devices)
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines([f"BenchError: porch: *{os.getpid()}*"])


def test_a_board_that_is_not_attached_is_the_benchs_fault(pytester: pytest.Pytester) -> None:
    devices = """
        targets:
          porch:
            kind: board
            model: openmv-n6
            usb_serial: "000000000000"
            provision: true
    """
    result = run(pytester, devices)
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(["BenchError: porch: *000000000000*"])


def test_a_board_that_stays_in_its_bootloader_is_the_boards_fault(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    """Known by the id behind its number there: the pair that OpenMV measured on a Portenta."""
    loader = VirtualPort(
        name="loader",
        model="arduino-portenta-h7",
        device="",
        vid=0x2341,
        pid=0x035B,
        serial_number="0033001F3033510634323437",
        product="",
        supervisor_pid=os.getpid(),
        address="127.1.2.3",
        http_port=8080,
    )
    plug_in(tmp_path / "bus", loader)
    devices = """
        targets:
          porch:
            kind: board
            model: arduino-portenta-h7
            usb_serial: "346534563033"
            provision: true
    """
    result = run(pytester, devices)
    result.assert_outcomes(errors=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "BoardError: porch: the board is in its bootloader (2341:035b), and stays there; "
            "nothing has brought it back: *; bootloader *: it does not leave its bootloader: *",
            "*'hil flash porch'*'hil recover porch'*",
        ]
    )
