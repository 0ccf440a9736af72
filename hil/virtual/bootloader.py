"""A virtual board's bootloader: on the bus without a serial port, with ids and a serial number of
its own, and a socket in place of USB's control transfers.

One JSON line asks and one answers, like the requests of DFU 1.1 (USB Device Firmware Upgrade,
section 3): ``download`` (partition, block, data), ``manifest`` (partition), ``status``, ``clear``,
``leave``. Every answer has ``state`` (``idle``, ``download`` or ``error``) and ``error`` (None, or
why the last request failed).
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hil.deadline import Deadline

from . import control
from .bus import VirtualPort, plug_in, unplug
from .events import Events
from .firmware import LONGEST, DamagedImageError, Partitions

BLOCK = 4096
"""Bytes of a block; only the last one may be shorter. wTransferSize of OpenMV's bootloader."""

SOCKET = "bootloader.sock"
_LONGEST_REQUEST = 2 * BLOCK


class Loader:
    """What the bootloader does with requests.

    :param never: the partitions that nobody writes, and why
    :param written: called after each block write: the power may go
    """

    def __init__(
        self,
        partitions: Partitions,
        target: str,
        never: Mapping[str, str],
        written: Callable[[], None] = lambda: None,
    ) -> None:
        self._partitions = partitions
        self._target = target
        self._never = never
        self._written = written
        self._current: tuple[str, int] | None = None  # partition, next block
        self.error: str | None = None
        self.damages = False
        self.left = False

    @property
    def state(self) -> str:
        if self.error is not None:
            return "error"
        return "idle" if self._current is None else "download"

    def answer(self, line: bytes) -> dict[str, Any]:
        """Do what one line asks for, and say what became of it."""
        told: dict[str, Any] = {}
        try:
            request = json.loads(line)
            told = self._do(request.pop("op"), request)
        except DamagedImageError as error:
            self.error = f"the image {error}"
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self.error = f"no sound request: {type(error).__name__}: {error}"
        except OSError as error:
            self.error = f"the flash refuses: {error}"
        if self.error is not None:
            self._current = None
        return {"state": self.state, "error": self.error, **told}

    def _do(self, op: str, request: dict[str, Any]) -> dict[str, Any]:
        if op == "status":
            return self._status()
        if op == "leave":
            self.left = True
        elif op == "clear":
            self.error = self._current = None
        elif self.error is None:
            if op == "download":
                self._download(**request)
            elif op == "manifest":
                self._manifest(**request)
            else:
                raise ValueError(f"no operation {op!r}")
        return {}

    def _status(self) -> dict[str, Any]:
        try:
            damage, version = None, self._partitions.firmware().version
        except DamagedImageError as error:
            damage, version = f"the image {error}", None
        return {
            "target": self._target,
            "partitions": list(self._partitions.names),
            "version": version,
            "damage": damage,
        }

    def _download(self, partition: str, block: int, data: str) -> None:
        if not self._may_write(partition):
            return
        try:
            piece = base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise ValueError(f"data: {error}") from None
        following = (partition, 0) if block == 0 else self._current
        if following != (partition, block) or isinstance(block, bool):
            raise ValueError(f"block {block!r} of {partition} does not follow {self._current}")
        at = block * BLOCK
        if not 0 < len(piece) <= BLOCK or at + len(piece) > LONGEST:
            raise ValueError(f"block {block} has {len(piece)} bytes")
        if self._partitions.size(partition) != at and block:
            raise ValueError(f"block {block} follows a short one")
        self._current = (partition, block + 1)
        if self.damages and block == 1:
            piece = bytes([piece[0] ^ 1]) + piece[1:]
        self._partitions.write(partition, at, piece)
        self._written()

    def _may_write(self, partition: str) -> bool:
        if not isinstance(partition, str):
            raise TypeError(f"a partition has a name, not {partition!r}")
        if reason := self._never.get(partition):
            self.error = f"{partition} is never written: {reason}"
        elif partition not in self._partitions.names:
            self.error = (
                f"no partition {partition!a}; there are {', '.join(self._partitions.names)}"
            )
        return self.error is None

    def _manifest(self, partition: str) -> None:
        if not self._may_write(partition):
            return
        if self._current is None or self._current[0] != partition:
            raise ValueError(f"nothing was downloaded to {partition}")
        self._current = None
        self._partitions.image(partition)


def leave(socket_path: str, deadline: Deadline) -> str:
    """Ask the bootloader behind this socket to start the firmware.

    :returns: why it does not; empty: it does
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(max(0.001, deadline.remaining()))
            connection.connect(os.path.realpath(socket_path))
            connection.sendall(b'{"op": "leave"}\n')
            answered = connection.recv(_LONGEST_REQUEST)
    except (BrokenPipeError, ConnectionResetError):
        answered = b""  # it takes one program at a time, and hangs up on others
    except OSError as error:
        return f"its bootloader does not answer: {error}"
    return "" if answered else "another program has its bootloader"


class LoaderPlug:
    """The bootloader on the virtual bus, for one client at a time.

    :param claimed: called when a client connects: the board then waits for it
    :param leave: called after the answer to ``leave``
    """

    def __init__(
        self,
        state: Path,
        board: dict[str, Any],
        events: Events,
        loader: Loader,
        *,
        claimed: Callable[[], None],
        leave: Callable[[], None],
    ) -> None:
        self._state, self._events, self._loader = state, events, loader
        self._claimed, self._leave = claimed, leave
        self._client: socket.socket | None = None
        self._input = b""
        self._open = True
        self._server, self._path = control.listen(state, SOCKET)
        self._events.read(self._server.fileno(), self._on_connect)
        self._record = plug_in(
            Path(board["bus"]),
            VirtualPort(
                name=board["name"],
                model=board["model"],
                device="",
                supervisor_pid=os.getpid(),
                address=board["address"],
                http_port=board["http_port"],
                loader=str(state / SOCKET),
                **board["bootloader"],
            ),
        )

    def close(self) -> None:
        """Pull it: a client in the middle of something is hung up on."""
        self._open = False
        unplug(self._record)
        self._drop_client()
        self._events.forget(self._server.fileno())
        self._server.close()
        control.unlisten(self._state, self._path, SOCKET)

    def _on_connect(self) -> None:
        connection, _ = self._server.accept()
        if self._client is not None:  # USB lets one program claim an interface
            connection.close()
            return
        self._client, self._input = connection, b""
        self._client.settimeout(1.0)
        self._events.read(self._client.fileno(), self._on_data)
        self._claimed()

    def _on_data(self) -> None:
        assert self._client is not None
        try:
            data = self._client.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._drop_client()
            return
        *lines, self._input = (self._input + data).split(b"\n")
        if len(self._input) > _LONGEST_REQUEST:
            self._drop_client()
            return
        for line in lines:
            answer = self._loader.answer(line)
            if self._client is None:  # the power went with this block
                return
            try:
                self._client.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                self._drop_client()
                return
            if self._loader.left:
                self._leave()
                return

    def _drop_client(self) -> None:
        if self._client is not None:
            self._events.forget(self._client.fileno())
            self._client.close()
            self._client = None
