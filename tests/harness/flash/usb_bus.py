"""The emulated USB bus of dfu_rig.py, and the real dfu-util that sees this bus and no other."""

from __future__ import annotations

import base64
import json
import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from hil.boards.model import Model

RIG = Path(__file__).with_name("dfu_rig.py")
SYSTEM_PYTHON = "/usr/bin/python3"

INTERNAL_FLASH = "@Internal Flash   2MB/0x08000000/01*128Ka,15*128Kg"
QSPI_FLASH = "@External Flash  16MB/0x90000000/4096*4Kg"
DFUSE = 0x011A


@dataclass(frozen=True)
class Told:
    """What a device on the bus has to tell.

    :ivar left: how it left its bootloader: ``detach``, ``reset``, ``manifest``; None: it has not
    :ivar written: content by alternate setting
    :ivar commands: of DfuSe, in hex: ``41 08040000`` erases, ``21 …`` sets the address
    """

    left: str | None
    written: dict[int, bytes]
    commands: list[str]


class UsbBus:
    """:ivar calls: what dfu-util was called with, one list each"""

    def __init__(self, folder: Path, dfu_util: Path) -> None:
        self.programs = folder / "bin"
        self._calls = folder / "calls"
        self._calls.touch()
        environment = {**os.environ, "TMPDIR": str(folder)}  # a killed rig leaves nothing behind
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(RIG)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        )
        self._folder = self._answer()["folder"]
        self.programs.mkdir()
        program = self.programs / "dfu-util"
        program.write_text(
            "#!/bin/sh\n"
            f'printf "%s\\t" "$@" >> {shlex.quote(str(self._calls))}\n'
            f'printf "\\n" >> {shlex.quote(str(self._calls))}\n'
            f"export UMOCKDEV_DIR={shlex.quote(self._folder)}\n"
            "export LD_PRELOAD=libumockdev-preload.so.0\n"
            f'exec {shlex.quote(str(dfu_util))} "$@"\n'
        )
        program.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        lines = self._calls.read_text().splitlines()
        return [line.rstrip("\t").split("\t") for line in lines]

    @property
    def downloads(self) -> list[list[str]]:
        return [call for call in self.calls if "-D" in call]

    def plug(
        self,
        model: Model,
        serial: str,
        path: str = "1-2",
        *,
        alts: list[str] | None = None,
        fault: dict[str, Any] | None = None,
    ) -> None:
        """A board of this model in its bootloader, with the partitions of the board table."""
        vid, pid = model.bootloader_ids[0]
        arduino = model.flash_method == "arduino-dfu"
        names = [INTERNAL_FLASH, QSPI_FLASH] if arduino else [p.name for p in model.partitions]
        self._do(
            "plug",
            path,
            vid=vid,
            pid=pid,
            serial=serial,
            alts=alts or names,
            fault=fault,
            **({"dfu": DFUSE} if arduino else {}),
        )

    def unplug(self, path: str = "1-2") -> None:
        self._do("unplug", path)

    def clear(self) -> None:
        """Unplug everything, and forget the calls."""
        self._do("unplug", None)
        self._calls.write_text("")

    def tell(self, path: str = "1-2") -> Told:
        told = self._do("tell", path)
        written = {int(alt): base64.b64decode(text) for alt, text in told["written"].items()}
        return Told(told["left"], written, told["commands"])

    def _do(self, what: str, path: str | None, **more: Any) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": what, "path": path, **more}).encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the rig has ended; its standard error tells why"
        return json.loads(line)

    def __enter__(self) -> UsbBus:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
