"""The host as the doctor looks at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..link.opening import is_remote
from .examined import Examined, Status

if TYPE_CHECKING:
    from ..boards.model import Model
    from ..config import TargetSpec
    from ..discovery.usb import UsbPort

NTP_PORT = 123


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


def line(what: str, status: Status, told: str, next_step: str = "") -> Examined:
    """What was found of the host."""
    return Examined("host", what, status, told, next_step)
