"""The programs that a bench needs: packages, MicroPython, and what flashes boards or switches their
power."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..deadline import Deadline
from ..errors import BenchError
from ..power_entry import HubPortSpec
from .examined import Examined
from .host import Host, line

Tool = tuple[str, str, str]
"""A program, the option or command that tells its version, and what brings it."""

#: Which program talks to which bootloader, how it tells its version, and what brings it.
TOOLS: dict[str, Tool] = {
    "openmv-dfu": ("dfu-util", "--version", "Debian: apt install dfu-util"),
    "arduino-dfu": ("dfu-util", "--version", "Debian: apt install dfu-util"),
    "imx": ("blhost", "--version", "pip install 'hil[imx]'"),
    "esptool": ("esptool", "version", "pip install 'hil[esp]'"),
}
UHUBCTL: Tool = ("uhubctl", "-v", "Debian: apt install uhubctl")


def packages(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """Those that hil asks for, in the versions that it asks for."""
    from packaging.requirements import Requirement  # pytest's own

    shown, wrong = [f"hil {importlib.metadata.version('hil')}"], []
    for text in importlib.metadata.requires("hil") or ():
        wanted = Requirement(text)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            wrong.append(f"{wanted.name} is missing")
            continue
        if wanted.name in ("mpremote", "pyserial", "pytest", "zeroconf"):
            shown.append(f"{wanted.name} {version}")
        if not wanted.specifier.contains(version, prereleases=True):
            wrong.append(f"{wanted.name} is {version}, not {wanted.specifier}")
    if wrong:
        again = "install hil again into this Python: pip install --upgrade hil"
        yield line("packages", "fail", "; ".join(wrong), again)
    else:
        yield line("packages", "ok", ", ".join(shown))


def interpreter(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """A MicroPython for the embedded bench, where a target is one of its boards."""
    from ..virtual.interpreter import find_micropython

    needed = any(spec.kind == "virtual" for spec in host.specs)
    try:
        argv = find_micropython()
    except BenchError as error:
        yield line("MicroPython", "fail" if needed else "note", error.message, error.hint or "")
        return
    asking = "import sys; print(sys.implementation.name, *sys.implementation.version[:3])"
    version = _said([*argv, "-c", asking], deadline)
    if not version.startswith("micropython "):
        yield line(
            "MicroPython",
            "fail" if needed else "note",
            f"{argv[0]} does not run: {version}",
            "HIL_MICROPYTHON names another one",
        )
        return
    number = ".".join(version.split()[1:])
    yield line("MicroPython", "ok", f"{number}, for the embedded bench")


def tools(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """What speaks to the listed boards' bootloaders and hubs: there, and which version."""
    whose: dict[Tool, list[str]] = {}
    for spec in host.specs:
        if spec.flash and spec.flash.method in TOOLS:
            whose.setdefault(TOOLS[spec.flash.method], []).append(spec.name)
        if isinstance(spec.power, HubPortSpec):
            whose.setdefault(UHUBCTL, []).append(spec.name)
    able = [TOOLS[row.flash_method] for row in host.models().values() if row.flash_method]
    if not whose and not able:
        yield line("flashing tools", "skip", "no listed board needs one")
    for tool in dict.fromkeys((*whose, *able)):
        program, option, brings = tool
        path = _find(program)
        if path:
            yield line(program, "ok", _said([path, option], deadline))
        elif tool in whose:
            told = f"is not installed, and devices.yaml asks for it: {', '.join(whose[tool])}"
            yield line(program, "fail", told, brings)
        else:
            told = "is not installed: checks run without it, 'hil flash' does not"
            yield line(program, "note", told, brings)


def _find(program: str) -> str | None:
    """Also beside this Python, where pip puts it, and where Debian puts what only root needs."""
    beside = str(Path(sys.executable).parent)
    folders = (os.environ.get("PATH", os.defpath), beside, "/usr/sbin", "/sbin")
    return shutil.which(program, path=os.pathsep.join(folders))


def _said(argv: Sequence[str], deadline: Deadline) -> str:
    """The first line that a program prints, or why there is none."""
    try:
        ran = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=max(0.1, deadline.remaining() - 1),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no answer: {error}"
    lines = (ran.stdout.strip() or ran.stderr.strip()).splitlines()
    return lines[0].strip()[:100] if lines else f"nothing, exit status {ran.returncode}"
