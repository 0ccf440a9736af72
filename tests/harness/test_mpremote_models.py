"""Whoever looks at a board with mpremote before a run and after it finds the same: every model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from check_run import short_folder

from hil.boards.table import models
from hil.virtual.board import VirtualBoard

# Behind a UART bridge USB tells no board from another: such a one is listed by its port.
MODELS = [row.key for row in models() if row.identified_by_usb]

# A Tuesday of years to come: what a run sets right, and must put back.
WRONG_CLOCK = "import machine; machine.RTC().datetime((2031, 5, 6, 2, 7, 8, 9, 0))"
# A clock of whole seconds, set to one, and asked by a program that takes half a second to start.
CLOCK_S = 5.0

CHANGES_THE_BOARD = """
from hil.check import check, must

@check("ROT-02", must, "OpenMV docs 10.9.1")
def test_rotation(secret, api, reboot, password_control):
    secret.delete()
    reboot()
    password_control.change("another")
    assert api.login().status_code == 200
"""

# A person's own board: a key and settings of another life, and a file that is nobody's business.
LOOK = """
import os, json, hashlib, time
def sha(path):
    with open(path, 'rb') as file:
        return hashlib.sha256(file.read()).digest().hex()
names = ('secret.bin', 'settings.json', 'diary.txt')
kept = sorted((name, sha(name)) for name in os.listdir() if name in names)
print(json.dumps([kept, '.hil' in os.listdir(), int(time.time())]))
"""


def mpremote(board: VirtualBoard, *arguments: str) -> str:
    command = [sys.executable, "-m", "mpremote", "connect", board.device, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def look(board: VirtualBoard) -> tuple[object, bool, float]:
    """Its files, whether there is a journal, and how far its clock is ahead, in seconds since the
    board's own epoch."""
    kept, journal, seconds = json.loads(mpremote(board, "exec", LOOK))
    return kept, journal, seconds - time.time()


@pytest.mark.parametrize("key", MODELS)
def test_a_board_is_as_it_was_before_the_run(key: str) -> None:
    with short_folder() as folder:
        environment = {**os.environ, "HIL_VIRTUAL_BUS": str(folder / "bus"), "HIL_DEVICES": ""}
        for name, content in (("secret.bin", b"s" * 32), ("settings.json", b"{}")):
            (folder / name).write_bytes(content)
        (folder / "diary.txt").write_text("Tuesday: rain")
        (folder / "test_changes.py").write_text(CHANGES_THE_BOARD)
        (folder / "pytest.ini").write_text("[pytest]\n")
        with VirtualBoard.start("mine", key, state=folder / "b", bus=folder / "bus") as board:
            for name in ("secret.bin", "settings.json", "diary.txt"):
                mpremote(board, "fs", "cp", str(folder / name), f":{name}")
            mpremote(board, "exec", WRONG_CLOCK)
            before = look(board)
            (folder / "devices.yaml").write_text(
                f"targets:\n  mine:\n    kind: board\n    model: {key}\n"
                f"    usb_serial: '{board.record.serial_number}'\n"
                "    provision: true\n    wifi: {ssid: bench}\n"
            )
            ran = subprocess.run(
                [sys.executable, "-m", "pytest", "-m", "hil", "-p", "no:cacheprovider"],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=90,
                check=False,
            )
            assert ran.returncode == 0, ran.stdout + ran.stderr
            assert "1 passed" in ran.stdout
            after = look(board)
            assert after[:2] == before[:2] == (before[0], False)
            assert abs(after[2] - before[2]) < CLOCK_S
            assert "microdot" in mpremote(board, "exec", "import microdot; print(microdot)")
