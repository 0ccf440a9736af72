"""The real coordinator and exporter of labgrid on loopback, and places in it."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from hil.deadline import Deadline
from hil.places.session import Session, connected

_TTY_RIG = Path(__file__).with_name("tty_rig.py")

# Coordinator and exporter take half a second each to start, on a busy machine several.
STARTED_S = 30.0


@dataclass(frozen=True)
class Coordinator:
    """:ivar address: what devices.yaml calls it"""

    address: str
    folder: Path

    def client(self, *words: str, user: str = "", host: str = "") -> str:
        """What ``labgrid-client`` prints; in another's name, where one is given."""
        named = {"LG_USERNAME": user, "LG_HOSTNAME": host}
        ran = subprocess.run(
            [program("labgrid-client"), "-x", self.address, *words],
            env={**os.environ, **{key: value for key, value in named.items() if value}},
            capture_output=True,
            text=True,
            timeout=STARTED_S,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def add_place(self, name: str, match: str, tags: Mapping[str, str] | None = None) -> None:
        """:param match: ``EXPORTER/GROUP/CLASS``"""
        with connected(self.address) as session:
            stub, messages = session._stub, session._messages
            stub.AddPlace(messages.AddPlaceRequest(name=name))
            stub.AddPlaceMatch(messages.AddPlaceMatchRequest(placename=name, pattern=match))
            if tags:
                stub.SetPlaceTags(messages.SetPlaceTagsRequest(placename=name, tags=tags))

    def acquired_by(self, place: str) -> str | None:
        """``HOST/USER``; None: by nobody."""
        with connected(self.address) as session:
            return session.places[place].acquired  # type: ignore[no-any-return]


def program(name: str) -> str:
    """Beside this Python, where pip puts it."""
    return str(Path(sys.executable).with_name(name))


@contextlib.contextmanager
def coordinator(
    folder: Path, port: int = 0, ended_by: signal.Signals = signal.SIGTERM
) -> Iterator[Coordinator]:
    """:param port: 0: a free one
    :param ended_by: told to end, it waits 5 s for its clients
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = [program("labgrid-coordinator"), "-l", f"127.0.0.1:{port}"]
    with _running(words, folder, "listening on ", ended_by) as said:
        yield Coordinator(said.removeprefix("listening on "), folder)


@contextlib.contextmanager
def exporter(
    at: Coordinator,
    name: str,
    resources: str,
    environment: Mapping[str, str] | None = None,
    *,
    isolated: bool = False,
) -> Iterator[None]:
    """:param resources: what ``exporter.yaml`` says
    :param environment: of the exporter, besides its own
    :param isolated: it wants to be reached through SSH
    """
    folder = at.folder / name
    folder.mkdir()
    (folder / "exporter.yaml").write_text(resources)
    words = [program("labgrid-exporter"), "-c", at.address, "-n", name, "--hostname", "127.0.0.1"]
    words += ["--isolated", "exporter.yaml"] if isolated else ["exporter.yaml"]
    with _running(words, folder, "Exporter ready", environment=environment):
        with connected(at.address) as session:
            await_(session, lambda: any(path[0] == name for path in session.resources))
        yield


def serial_port(group: str, device: str) -> str:
    """A board's port in ``exporter.yaml``. labgrid exports what is called ``/dev/…`` only, and a
    virtual board's port is a link in a folder of its own."""
    return f"{group}:\n  RawSerialPort:\n    port: /dev/..{device}\n"


USB_SERIAL_PORT = "cams:\n  USBSerialPort: {match: {ID_SERIAL_SHORT: '346534563033'}}\n"
"""What ``exporter.yaml`` says of the board that :func:`usb_serial_port` shows."""

# ser2net drives a real terminal: it must not be led into umockdev, which would emulate its ioctls.
_SER2NET = """\
#!/bin/sh
unset LD_PRELOAD
for word; do
    shift
    set -- "$@" "$(printf %s "$word" | sed "s|/dev/ttyACM0|$UMOCKDEV_DIR/dev/ttyACM0|")"
done
exec {program} "$@"
"""


@contextlib.contextmanager
def usb_serial_port(folder: Path, device: str, ser2net: Path) -> Iterator[dict[str, str]]:
    """A virtual board's port as one on USB, which goes and comes with each reset of its board.

    :param folder: with a short path: umockdev's sockets lie in it
    :returns: the environment in which an exporter sees it, and nothing else
    """
    rig = subprocess.Popen(
        ["umockdev-wrapper", "/usr/bin/python3", str(_TTY_RIG), device],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},  # a killed rig leaves nothing behind
    )
    assert rig.stdin is not None
    assert rig.stdout is not None
    try:
        root = rig.stdout.readline().strip()
        assert root, "the rig has ended; its standard error tells why"
        programs = folder / "bin"
        programs.mkdir()
        (programs / "ser2net").write_text(_SER2NET.format(program=ser2net))
        (programs / "ser2net").chmod(0o755)
        yield {
            "UMOCKDEV_DIR": root,
            "LD_PRELOAD": "libumockdev-preload.so.0",
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }
    finally:
        rig.stdin.close()
        rig.wait(10)
        rig.stdout.close()


def await_(session: Session, met: Callable[[], bool]) -> None:
    assert session.wait(met, Deadline.after(STARTED_S)), "labgrid does not say so"


@contextlib.contextmanager
def _running(
    words: list[str],
    folder: Path,
    ready: str,
    ended_by: signal.Signals = signal.SIGTERM,
    environment: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """:returns: the line that begins with ``ready``"""
    log = folder / f"{Path(words[0]).name}.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
            start_new_session=True,
        )
    lines: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    stdout = process.stdout

    def read() -> None:
        for line in stdout:
            lines.put(line.strip())
        lines.put("")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        while not (said := lines.get(timeout=STARTED_S)).startswith(ready):
            if not said and process.poll() is not None:
                pytest.fail(f"{words[0]} has ended: {log.read_text()[-1000:]}")
        yield said
    finally:
        process.send_signal(ended_by)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # an exporter's ser2net
        reader.join(timeout=5)
        stdout.close()
