"""What a bench needs of its network: multicast DNS, and the port of its NTP server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..deadline import Deadline
from ..errors import BenchError
from .examined import Examined
from .host import Host, line


def mdns(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """Whether names can be asked for at all."""
    from ..discovery import mdns

    mdns.lookup(["hil-doctor"], deadline.sooner(0.1))
    yield line("mDNS", "ok", "multicast DNS can be used")


def ntp_port(host: Host, deadline: Deadline) -> Iterator[Examined]:
    """Whether real boards can be led by the bench's clock; who has the port, if not."""
    from ..clock.ntp import NtpServer

    if not any(spec.provision for spec in host.boards):
        told = "the embedded bench needs no port of its own, and no listed board is provisioned"
        yield line("NTP port", "skip", told)
        return
    what = f"UDP port {host.ntp_port}, which boards ask for the time,"
    try:
        with NtpServer("0.0.0.0", host.ntp_port):  # noqa: S104 - where boards can reach it
            pass
    except BenchError:
        by = _holder_of_udp(host.root, host.ntp_port)
        if by or _taken(host.root, host.ntp_port):
            yield line(
                "NTP port",
                "warn",
                f"{what} is taken by {by or 'a process of another user'}: checks that lead a "
                "board's clock by NTP are skipped",
                "stop that NTP server on the bench's host, or let it serve as a client only",
            )
        else:
            yield line(
                "NTP port",
                "warn",
                f"{what} may not be opened by this user: checks that lead a board's clock by NTP "
                "are skipped",
                f"sudo sysctl net.ipv4.ip_unprivileged_port_start={host.ntp_port}",
            )
        return
    yield line("NTP port", "ok", f"{what} is free")


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
