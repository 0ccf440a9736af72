"""What of this host a bench needs: programs, permissions, ports, room."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .. import lock
from ..deadline import Deadline
from ..errors import BenchError
from ..link.opening import is_remote
from . import udev
from .examined import Examined, Probe, Status

if TYPE_CHECKING:
    from ..boards.model import Model, UsbId
    from ..config import TargetSpec
    from ..discovery.usb import UsbPort

NTP_PORT = 123

#: Room for one run: evidence, consoles, reports. Bytes; a run of all checks wrote 3 MB.
ROOM = 50 * 1024 * 1024

#: Which program talks to which bootloader, how it tells its version, and what brings it.
TOOLS = {
    "openmv-dfu": ("dfu-util", "--version", "Debian: apt install dfu-util"),
    "arduino-dfu": ("dfu-util", "--version", "Debian: apt install dfu-util"),
    "imx": ("blhost", "--version", "pip install 'hil[imx]'"),
    "esptool": ("esptool", "version", "pip install 'hil[esp]'"),
}


@dataclass(frozen=True)
class Host:
    """:ivar specs: the targets that are examined
    :ivar state: folder for what outlives a run
    :ivar root: the host's root folder; another one in tests
    :ivar ntp_port: UDP port that the boards' NTP clients ask
    """

    specs: Sequence[TargetSpec]
    ports: Sequence[UsbPort]
    state: Path
    root: Path = Path("/")
    ntp_port: int = NTP_PORT

    @property
    def boards(self) -> list[TargetSpec]:
        return [spec for spec in self.specs if spec.kind == "board"]

    def models(self) -> dict[str, Model]:
        """The models of the listed boards that are plugged in here, not at a serial server."""
        from ..boards.table import model

        here = (spec for spec in self.boards if not (spec.port and is_remote(spec.port)))
        return {spec.model: model(spec.model) for spec in here if spec.model}


def probes(host: Host) -> list[Probe]:
    """What is to be examined of the host, in the order in which it is shown."""
    works = {
        "packages": _packages,
        "MicroPython": _interpreter,
        "flashing tools": _tools,
        "mDNS": _mdns,
        "serial ports": _serial_ports,
        "unlisted": _unlisted,
        "udev": _udev,
        "ModemManager": _modem_manager,
        "automount": _automount,
        "NTP port": _ntp_port,
        "disk": _disk,
        "locks": _locks,
        "virtual bus": _virtual_bus,
    }
    return [
        Probe("host", what, lambda deadline, work=work: work(host, deadline))  # type: ignore[misc]
        for what, work in works.items()
    ]


def _told(what: str, status: Status, told: str, next_step: str = "") -> Examined:
    return Examined("host", what, status, told, next_step)


# --- programs -----------------------------------------------------------------------------------


def _packages(host: Host, deadline: Deadline) -> Iterator[Examined]:
    from packaging.requirements import Requirement  # pytest's own

    shown, wrong = [f"hil {importlib.metadata.version('hil')}"], []
    for line in importlib.metadata.requires("hil") or ():
        wanted = Requirement(line)
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
        yield _told("packages", "fail", "; ".join(wrong), again)
    else:
        yield _told("packages", "ok", ", ".join(shown))


def _interpreter(host: Host, deadline: Deadline) -> Iterator[Examined]:
    from ..virtual.interpreter import find_micropython

    needed = any(spec.kind == "virtual" for spec in host.specs)
    try:
        argv = find_micropython()
    except BenchError as error:
        yield _told("MicroPython", "fail" if needed else "note", error.message, error.hint or "")
        return
    asking = "import sys; print(sys.implementation.name, *sys.implementation.version[:3])"
    version = _said([*argv, "-c", asking], deadline)
    if not version.startswith("micropython "):
        yield _told(
            "MicroPython",
            "fail" if needed else "note",
            f"{argv[0]} does not run: {version}",
            "HIL_MICROPYTHON names another one",
        )
        return
    number = ".".join(version.split()[1:])
    yield _told("MicroPython", "ok", f"{number}, for the embedded bench")


def _tools(host: Host, deadline: Deadline) -> Iterator[Examined]:
    needed: dict[str, list[str]] = {}
    for row in host.models().values():
        if row.flash_method:
            needed.setdefault(row.flash_method, []).append(row.title)
    if not needed:
        yield _told("flashing tools", "skip", "no listed board needs one")
    seen: set[str] = set()
    for method, whose in needed.items():
        program, option, brings = TOOLS[method]
        if program in seen:
            continue
        seen.add(program)
        path = _find(program)
        if path is None:
            yield _told(
                program,
                "warn",
                f"is not installed: checks run without it, flashing of {', '.join(whose)} does not",
                brings,
            )
        else:
            yield _told(program, "ok", _said([path, option], deadline))


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


# --- the network --------------------------------------------------------------------------------


def _mdns(host: Host, deadline: Deadline) -> Iterator[Examined]:
    from ..discovery import mdns

    mdns.lookup(["hil-doctor"], deadline.sooner(0.1))
    yield _told("mDNS", "ok", "multicast DNS can be used")


def _ntp_port(host: Host, deadline: Deadline) -> Iterator[Examined]:
    from ..clock.ntp import NtpServer

    if not any(spec.provision for spec in host.boards):
        told = "the embedded bench needs no port of its own, and no listed board is provisioned"
        yield _told("NTP port", "skip", told)
        return
    what = f"UDP port {host.ntp_port}, which boards ask for the time,"
    try:
        with NtpServer("0.0.0.0", host.ntp_port):  # noqa: S104 - where boards can reach it
            pass
    except BenchError:
        by = _holder_of_udp(host.root, host.ntp_port)
        if by or _taken(host.root, host.ntp_port):
            yield _told(
                "NTP port",
                "warn",
                f"{what} is taken by {by or 'a process of another user'}: checks that lead a "
                "board's clock by NTP are skipped",
                "stop that NTP server on the bench's host, or let it serve as a client only",
            )
        else:
            yield _told(
                "NTP port",
                "warn",
                f"{what} may not be opened by this user: checks that lead a board's clock by NTP "
                "are skipped",
                f"sudo sysctl net.ipv4.ip_unprivileged_port_start={host.ntp_port}",
            )
        return
    yield _told("NTP port", "ok", f"{what} is free")


def _sockets(root: Path, port: int) -> set[str]:
    """The inodes of the sockets on a UDP port."""
    found = set()
    for table in ("proc/net/udp", "proc/net/udp6"):
        with contextlib.suppress(OSError):
            for line in (root / table).read_text().splitlines()[1:]:
                words = line.split()
                if int(words[1].rpartition(":")[2], 16) == port:
                    found.add(words[9])
    return found


def _taken(root: Path, port: int) -> bool:
    return bool(_sockets(root, port))


def _holder_of_udp(root: Path, port: int) -> str:
    wanted = {f"socket:[{inode}]" for inode in _sockets(root, port)}
    for process in (root / "proc").glob("[0-9]*") if wanted else ():
        with contextlib.suppress(OSError):
            if any(str(fd.readlink()) in wanted for fd in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return ""


# --- serial ports -------------------------------------------------------------------------------


def _serial_ports(host: Host, deadline: Deadline) -> Iterator[Examined]:
    real = [port.device for port in host.ports if not port.virtual]
    closed = [device for device in real if not os.access(device, os.R_OK | os.W_OK)]
    if closed and os.name == "posix":
        yield _told(
            "serial ports", "fail", f"no permission for {', '.join(closed)}", _way_in(closed[0])
        )
    else:
        told = ", ".join(real) or "no board's port is attached"
        yield _told("serial ports", "ok", told)


def _way_in(device: str) -> str:
    import grp

    try:
        group = grp.getgrgid(Path(device).stat().st_gid)
    except (OSError, KeyError):
        return f"'ls -l {device}' names the group that may; add your user to it, log in anew"
    if group.gr_name == "root":
        return f"install the udev rules: {udev.INSTALL}"
    with contextlib.suppress(OSError):
        if os.getlogin() in group.gr_mem:
            return f"you are in the group {group.gr_name} since you logged in: log in anew"
    return f"sudo usermod -aG {group.gr_name} $USER, then log in anew"


def _unlisted(host: Host, deadline: Deadline) -> Iterator[Examined]:
    from ..discovery import usb
    from ..listing import port_of

    listed = [port_of(spec, host.ports) for spec in host.specs]
    others = [port for port in usb.boards(host.ports) if port not in listed and not port.virtual]
    if others:
        told = f"attached and not among these targets: {', '.join(map(str, others))}"
        yield _told("unlisted", "note", told, "'hil list' tells what to write into devices.yaml")


# --- what else looks at a new device ------------------------------------------------------------


def _usb_ids(host: Host, *, bootloaders: bool) -> dict[UsbId, list[str]]:
    found = udev.ids(host.models().values())
    if not bootloaders:
        running = {i for row in host.models().values() for i in (*row.run_ids, *row.legacy_ids)}
        return {usb_id: whose for usb_id, whose in found.items() if usb_id in running}
    return found


def _listed(usb_ids: Sequence[UsbId]) -> str:
    shown = ", ".join(f"{vid:04x}:{pid:04x}" for vid, pid in usb_ids[:4])
    return shown + (f" and {len(usb_ids) - 4} more" if len(usb_ids) > 4 else "")


def _udev(host: Host, deadline: Deadline) -> Iterator[Examined]:
    wanted = _usb_ids(host, bootloaders=True)
    if not wanted or not (host.root / "proc").is_dir():
        yield _told("udev", "skip", "no listed board is attached by USB to a Linux host")
        return
    rules = udev.installed(host.root)
    closed = set(wanted)
    for key, value in (("TAG", "uaccess"), ("MODE", "0666"), ("MODE", "0660")):
        closed &= set(udev.lacking(rules, wanted, key, value))
    without = [usb_id for usb_id in wanted if usb_id in closed]
    if not without:
        yield _told("udev", "ok", "rules give access to the listed boards, also in bootloaders")
    elif os.name == "posix" and os.geteuid() == 0:
        yield _told("udev", "note", f"no rule for {_listed(without)}; root needs none")
    else:
        yield _told(
            "udev",
            "warn",
            f"no rule gives access to {_listed(without)}: a bootloader there cannot be flashed",
            udev.INSTALL,
        )


def _modem_manager(host: Host, deadline: Deadline) -> Iterator[Examined]:
    yield _meddler(
        host,
        "ModemManager",
        process="ModemManager",
        key="ENV{ID_MM_DEVICE_IGNORE}",
        does="opens each new port and talks to it, which holds it for a second and ends the "
        "camera's application",
    )


def _automount(host: Host, deadline: Deadline) -> Iterator[Examined]:
    yield _meddler(
        host,
        "automount",
        process="udisksd",
        key="ENV{UDISKS_IGNORE}",
        does="may mount the camera's drive, and two that write to one FAT spoil it",
    )


def _meddler(host: Host, what: str, *, process: str, key: str, does: str) -> Examined:
    """Somebody who looks at every new device, and the rules that keep it off ours."""
    wanted = _usb_ids(host, bootloaders=False)
    if not wanted:
        return _told(what, "skip", "no listed board is attached by USB")
    pid = _running(host.root, process)
    without = udev.lacking(udev.installed(host.root), wanted, key, "1")
    if not without:
        return _told(what, "ok", f"rules keep {process} off the listed boards")
    if pid is None:
        return _told(what, "ok", f"{process} does not run, and no rule would keep it off")
    told = f"{process} (pid {pid}) {does}; no rule keeps it off {_listed(without)}"
    return _told(what, "warn", told, udev.INSTALL)


def _running(root: Path, name: str) -> int | None:
    for process in sorted((root / "proc").glob("[0-9]*")):
        with contextlib.suppress(OSError):
            # The kernel keeps 15 characters of a name.
            if (process / "comm").read_text().strip() == name[:15]:
                return int(process.name)
    return None


# --- room ---------------------------------------------------------------------------------------


def _disk(host: Host, deadline: Deadline) -> Iterator[Examined]:
    from ..virtual.board import CARD_BYTES, FLASH_BYTES

    virtual = sum(spec.kind == "virtual" for spec in host.specs)
    need = ROOM + virtual * (FLASH_BYTES + CARD_BYTES)
    folder = next(path for path in (host.state, *host.state.resolve().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    told = f"{_mb(free)} free for {host.state}, a run needs up to {_mb(need)}"
    if not os.access(folder, os.W_OK):
        yield _told("disk", "fail", f"{folder} cannot be written to", "run in a folder of your own")
    elif free < need // 5:
        yield _told("disk", "fail", told, "make room, or run in a folder on another disk")
    elif free < need:
        yield _told("disk", "warn", told, "make room, or run in a folder on another disk")
    else:
        yield _told("disk", "ok", told)


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"


def _locks(host: Host, deadline: Deadline) -> Iterator[Examined]:
    folder = lock.lock_folder()
    if not folder.exists():
        yield _told("locks", "ok", f"{folder} is made by the first run")
        return
    mode = folder.stat().st_mode
    everybody = f"sudo chmod 0777 {folder}"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield _told("locks", "fail", f"{folder} cannot be written to by this user", everybody)
    elif os.name == "posix" and (mode & 0o1000 or mode & 0o007 != 0o007):
        told = (
            f"{folder} has mode {mode & 0o7777:04o}: other users of the bench cannot lock a board"
        )
        yield _told("locks", "warn", told, everybody)
    else:
        yield _told("locks", "ok", str(folder))


def _virtual_bus(host: Host, deadline: Deadline) -> Iterator[Examined]:
    from ..virtual import bus

    folder = bus.default_bus()
    if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
        needed = any(spec.kind == "virtual" for spec in host.specs)
        yield _told(
            "virtual bus",
            "fail" if needed else "note",
            f"{folder} cannot be written to by this user",
            "remove it, or name another folder in HIL_VIRTUAL_BUS",
        )
        return
    count = len(bus.records(folder))
    yield _told("virtual bus", "ok", f"{folder}: {count} boards are plugged in")
