"""What connects a board with the host: the USB plug and the network link."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .bus import VirtualPort, plug_in, unplug
from .events import Events
from .mdns import Host, Responder
from .terminal import SerialPort


class Plug:
    """The board on the virtual bus: its serial port, the link to it, its record.

    :ivar port: the serial port
    """

    def __init__(self, state: Path, board: dict[str, Any], device: str = "tty") -> None:
        self.port = SerialPort()
        self._device = state / device
        self._device.unlink(missing_ok=True)
        self._device.symlink_to(self.port.device)
        self._record = plug_in(
            Path(board["bus"]),
            VirtualPort(
                name=board["name"],
                model=board["model"],
                device=str(self._device),
                vid=board["vid"],
                pid=board["pid"],
                serial_number=board["serial_number"],
                product=board["product"],
                supervisor_pid=os.getpid(),
                address=board["address"],
                http_port=board["http_port"],
            ),
        )

    def close(self) -> None:
        """Pull it: whoever has the port open is hung up on."""
        unplug(self._record)
        self._device.unlink(missing_ok=True)
        self.port.close()


class Link:
    """The Wi-Fi link, as far as others see it: the host name on mDNS.

    :ivar hostname: while it is up
    :ivar error: why the name is not on mDNS
    :ivar announces: whether it tells others its name
    """

    def __init__(self, board: dict[str, Any], events: Events) -> None:
        self.hostname: str | None = None
        self.error: str | None = None
        self._board = board
        self.announces: bool = board["mdns"]
        self._events = events
        self._responder: Responder | None = None

    def set(self, hostname: str | None) -> None:
        """Up with this name, or down."""
        if self._responder is not None:
            self._events.forget(self._responder.fileno())
            self._responder.close()
            self._responder = None
        self.hostname = hostname
        if hostname is None or not self.announces:
            return
        try:
            self._responder = Responder(Host(hostname, self._board["address"]))
        except OSError as error:
            self.error = f"no multicast on the loopback interface: {error}"
            return
        self._events.read(self._responder.fileno(), self._responder.handle)
