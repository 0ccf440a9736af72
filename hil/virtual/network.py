"""A board's place on the host's loopback network."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import sys

from hil.errors import BenchError

_HTTP_PORT = 8080  # stands for the board's port 80, which only root may bind
_TRIES = 64


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
