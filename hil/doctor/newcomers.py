"""A board that is plugged in: who may open it, and who else looks at it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..deadline import Deadline
from . import udev
from .examined import Examined
from .host import Host, line

if TYPE_CHECKING:
    from ..boards.model import UsbId


def serial_ports(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """Whether this user may open the boards' ports."""
    real = [port.device for port in host.ports if port.device and not port.virtual]
    closed = [device for device in real if not os.access(device, os.R_OK | os.W_OK)]
    if closed and os.name == "posix":
        yield line(
            "serial ports", "fail", f"no permission for {', '.join(closed)}", way_in(closed[0])
        )
    else:
        told = ", ".join(real) or "no board's port is attached"
        yield line("serial ports", "ok", told)


def way_in(device: str) -> str:
    """How this user comes to open a port that he may not."""
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


def unlisted(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """Boards that are attached, and that no target means."""
    from ..sighting import sight
    from ..sighting import unlisted as not_among

    seen = sight(host.specs, host.ports, {})
    others = [port for port in not_among(seen, host.ports) if not port.virtual]
    if others:
        told = f"attached and not among these targets: {', '.join(map(str, others))}"
        yield line("unlisted", "note", told, "'hil list' tells what to write into devices.yaml")


def _usb_ids(host: Host, *, bootloaders: bool) -> dict[UsbId, list[str]]:
    found = udev.ids(host.models().values())
    if not bootloaders:
        running = {i for row in host.models().values() for i in (*row.run_ids, *row.legacy_ids)}
        return {usb_id: whose for usb_id, whose in found.items() if usb_id in running}
    return found


def _listed(usb_ids: Sequence[UsbId]) -> str:
    shown = ", ".join(f"{vid:04x}:{pid:04x}" for vid, pid in usb_ids[:4])
    return shown + (f" and {len(usb_ids) - 4} more" if len(usb_ids) > 4 else "")


def access(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """Whether udev rules give access to the listed boards, also in their bootloaders."""
    wanted = _usb_ids(host, bootloaders=True)
    if not wanted or not (host.root / "proc").is_dir():
        yield line("udev", "skip", "no listed board is attached by USB to a Linux host")
        return
    rules = udev.installed(host.root)
    closed = set(wanted)
    for key, value in (("TAG", "uaccess"), ("MODE", "0666"), ("MODE", "0660")):
        closed &= set(udev.lacking(rules, wanted, key, value))
    without = [usb_id for usb_id in wanted if usb_id in closed]
    if not without:
        yield line("udev", "ok", "rules give access to the listed boards, also in bootloaders")
    elif os.name == "posix" and os.geteuid() == 0:
        yield line("udev", "note", f"no rule for {_listed(without)}; root needs none")
    else:
        yield line(
            "udev",
            "warn",
            f"no rule gives access to {_listed(without)}: a bootloader there cannot be flashed",
            udev.INSTALL,
        )


def modem_manager(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """Whether ModemManager would talk to the listed boards."""
    yield _meddler(
        host,
        "ModemManager",
        process="ModemManager",
        key="ENV{ID_MM_DEVICE_IGNORE}",
        does="opens each new port and talks to it, which holds it for a second and ends the "
        "camera's application",
    )


def automount(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """Whether the listed boards' drives would be mounted."""
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
        return line(what, "skip", "no listed board is attached by USB")
    pid = _running(host.root, process)
    without = udev.lacking(udev.installed(host.root), wanted, key, "1")
    if not without:
        return line(what, "ok", f"rules keep {process} off the listed boards")
    if pid is None:
        return line(what, "ok", f"{process} does not run, and no rule would keep it off")
    told = f"{process} (pid {pid}) {does}; no rule keeps it off {_listed(without)}"
    return line(what, "warn", told, udev.INSTALL)


def _running(root: Path, name: str) -> int | None:
    for process in sorted((root / "proc").glob("[0-9]*")):
        with contextlib.suppress(OSError):
            # The kernel keeps 15 characters of a name.
            if (process / "comm").read_text().strip() == name[:15]:
                return int(process.name)
    return None
