"""A board's place on the host's loopback network, and its absence from it."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from hil.errors import BenchError

_HTTP_PORT = 8080  # stands for the board's port 80, which only root may bind
_TRIES = 64
# Linux: include/uapi/asm-generic/{unistd,socket}.h, include/uapi/linux/bpf_common.h.
_PIDFD_GETFD = 438
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_RETURN = 0x06


def claim_address(key: str) -> tuple[socket.socket, str, int]:
    """An address of its own for a board, and the host port that stands for its port 80.

    The returned socket is the claim: it holds the UDP port beside the TCP port that the board's
    server will bind, until it is closed. Where the loopback network has one address only (macOS),
    boards share it and differ by port.

    :param key: boards with different keys try different addresses first
    :raises BenchError: none is free
    """
    tried = []
    for attempt in range(_TRIES):
        if sys.platform == "linux":
            digest = hashlib.sha256(f"{key}/{attempt}".encode()).digest()
            # 127.16.0.1 - 127.255.255.254: away from 127.0.x.y, where other programs are.
            host = int.from_bytes(digest[:4], "big") % (240 * 65536 - 2)
            address, port = str(ipaddress.IPv4Address("127.16.0.1") + host), _HTTP_PORT
        else:
            address, port = "127.0.0.1", 0
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind((address, port))
            port = claim.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as error:
            claim.close()
            tried.append(f"{address}:{port} ({error.strerror})")
            continue
        return claim, address, port
    raise BenchError(f"no loopback address for a virtual board: {', '.join(tried[:3])} ...")


def drop_packets(pid: int, on: bool) -> None:
    """Whether packets to the TCP servers of a process are lost: a client hears nothing, as from a
    board that is out of reach, and the server notices nothing.

    A packet filter on its listening sockets, of which :func:`_sockets` gives a copy.

    :raises OSError: not on Linux, or not permitted here
    """
    import ctypes  # 10 ms that a board's start is spared

    nothing = ctypes.create_string_buffer(struct.pack("HBBI", _RETURN, 0, 0, 0))
    program = struct.pack("HL", 1, ctypes.addressof(nothing))
    for listener in _sockets(pid):
        with listener:
            if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                continue
            if on:
                listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)
            else:
                with contextlib.suppress(FileNotFoundError):  # it has none
                    listener.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def _sockets(pid: int) -> Iterator[socket.socket]:
    """Duplicates of the TCP sockets of a child process (pidfd_getfd(2))."""
    import ctypes

    system = ctypes.CDLL(None, use_errno=True)
    process = os.pidfd_open(pid)
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if not str(entry.readlink()).startswith("socket:"):
                continue
            copy = system.syscall(_PIDFD_GETFD, process, int(entry.name), 0)
            if copy < 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
            one = socket.socket(fileno=copy)
            if one.type == socket.SOCK_STREAM:
                yield one
            else:
                one.close()
    finally:
        os.close(process)
