"""What a page of the documentation has its reader type, typed."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from markdown_pages import PROJECT, Block, Command, Page

from hil.virtual.board import VirtualBoard

# What a reader has beside the page: a clone of the project. Without hil/ itself: it is installed.
_CLONE = ("conftest.py", "pyproject.toml", "examples", "firmware", "hil/profiles", "tests")
_NOT_OF_A_CLONE = shutil.ignore_patterns(".*", "__pycache__", "harness", "gns3")

TIMEOUT_S = 90
"""For one command; a run of a few checks takes five seconds where nothing else runs."""


def run_page(page: Page, folder: Path) -> None:
    """Every command that is not only to be parsed, in the order of the page.

    :param folder: becomes the reader's clone of the project
    :raises AssertionError: one has another exit code, or prints something else than the page shows
    """
    for name in _CLONE:
        source, copy = PROJECT / name, folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=_NOT_OF_A_CLONE)
        else:
            shutil.copy(source, copy)
    with contextlib.ExitStack() as beside:
        others = {port: str(free_port()) for port in page.says("port ")}
        for told in page.says("plugged in "):
            model, serial = told.split()
            others[serial] = beside.enter_context(_plugged_in(model, folder))
        reader = _Reader(folder, others, beside)
        for block in page.blocks:
            name = block.says("file ")
            if name is not None:
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(reader.as_here(block.text), encoding="utf-8")
            elif block.language == "console" and block.says("parsed, ") is None:
                reader.type(block)


@contextlib.contextmanager
def _plugged_in(model: str, folder: Path) -> Iterator[str]:
    """A board on the bus that the commands look at; its USB serial number."""
    with VirtualBoard.start(
        "plugged-in", model=model, state=folder / "plugged-in", bus=folder / "bus"
    ) as board:
        yield board.record.serial_number


@dataclass
class _Reader:
    """:ivar others: what stands here for what stands in the page
    :ivar exported: assignments for all further commands
    """

    folder: Path
    others: Mapping[str, str]
    beside: contextlib.ExitStack
    exported: list[str] = field(default_factory=list)

    def as_here(self, text: str) -> str:
        for told, here in self.others.items():
            text = re.sub(rf"\b{re.escape(told)}\b", here, text)
        return text

    def type(self, block: Block) -> None:
        """:raises AssertionError: as :func:`run_page`"""
        instead = block.says("instead ")
        commands = block.commands
        if instead:
            shown = tuple(line for command in commands for line in command.shown)
            commands = (Command(instead, shown),)
        for command in commands:
            text = "\n".join([*self.exported, self.as_here(command.text)])
            if command.text.startswith("export "):
                self.exported.append(self.as_here(command.text))
            output = self._typed(text, block, last=command is commands[-1])
            for line in map(self.as_here, command.shown):
                assert _shows(output, line), (
                    f"{block.where}: $ {text}\nthe page shows  {line}\nand not so is\n{output}"
                )

    def _typed(self, text: str, block: Block, *, last: bool) -> str:
        if ready := block.says("beside "):
            running = _started(text, self.as_here(ready), self.folder, block.where)
            return self.beside.enter_context(running)[1]
        if ready := block.says("until "):
            return _until(text, self.as_here(ready), self.folder, block.where)
        code, output = _ran(text, self.folder)
        expected = int(block.says("exit ") or 0) if last else 0
        assert code == expected, f"{block.where}: $ {text}\nexit code {code}\n{output}"
        return output


def _shows(output: str, line: str) -> bool:
    """As a part of one line. How many blanks there are does not count; ``…`` is anything."""
    pattern = r"[^\S\n]*".join(
        ".*?".join(re.escape(part) for part in word.split("…")) for word in line.split()
    )
    return re.search(pattern, output) is not None


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _environment(folder: Path) -> dict[str, str]:
    """A reader's: nothing of this pytest or of a CI, and the programs beside this Python first."""
    own = ("PYTEST_", "HIL_DEVICES", "GITHUB_", "CI_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    programs = Path(sys.executable).parent
    return {
        **kept,
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "COLUMNS": "160",
        "HIL_VIRTUAL_BUS": str(folder / "bus"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _popen(text: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["bash", "-c", f"set -eo pipefail; {text}"],
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _ran(text: str, folder: Path) -> tuple[int, str]:
    process = _popen(text, folder)
    try:
        output, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        _end(process)
    return process.returncode, output


def _until(text: str, awaited: str, folder: Path, where: str) -> str:
    """Ctrl-C after it has printed what is awaited; what it had printed."""
    with _started(text, awaited, folder, where) as (process, output):
        os.killpg(process.pid, signal.SIGINT)
        process.wait(TIMEOUT_S)
    return output


@contextlib.contextmanager
def _started(
    text: str, awaited: str, folder: Path, where: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """It runs, and has printed what is awaited."""
    process = _popen(text, folder)
    assert process.stdout
    output = ""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while awaited not in output:
                assert selector.select(TIMEOUT_S), f"{where}: $ {text}\nno {awaited!r}: {output}"
                read = os.read(process.stdout.fileno(), 65536).decode()
                assert read, f"{where}: $ {text}\nended without {awaited!r}: {output}"
                output += read
        yield process, output
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout:
        process.stdout.close()
