"""A board for the contract suite: virtual, real, or the micro:bit firmware on QEMU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hil.config import TargetSpec
from hil.deadline import Deadline
from hil.link.board import BoardLink


@dataclass
class ContractBoard:
    """:ivar link: open
    :ivar lacks: capability → why this board has not got it
    :ivar root: where files may be written
    :ivar http: how the bench reaches port 80 of the board: (address, port)
    :ivar slow: factor on how long things take
    """

    name: str
    link: BoardLink
    lacks: dict[str, str] = field(default_factory=dict)
    root: str = "/flash"
    http: tuple[str, int] | None = None
    slow: float = 1.0

    def need(self, capability: str) -> None:
        """Skip the test where the board lacks it: files, clock, asyncio, hard_reset, ..."""
        if capability in self.lacks:
            pytest.skip(f"{self.name}: {self.lacks[capability]}")

    def deadline(self, seconds: float = 10.0) -> Deadline:
        return Deadline.after(seconds * self.slow)


@contextlib.contextmanager
def virtual(model: str, state: Path) -> Iterator[ContractBoard]:
    from hil.virtual.board import VirtualBoard

    with (
        VirtualBoard.start(f"contract-{model}", model, state=state, bus=state / "bus") as board,
        BoardLink(board.name, board.device, consent=board.consent) as link,
    ):
        link.open(Deadline.after(10))
        yield ContractBoard(model, link, http=(board.address, board.http_port))


@contextlib.contextmanager
def behind_ser2net(scheme: str, program: Path, state: Path) -> Iterator[ContractBoard]:
    """A virtual board at a serial server that is set up as docs/how-to/serial-server.md advises;
    with ser2net's defaults: test_link_remote.py."""
    from serial_server import ser2net

    from hil.virtual.board import VirtualBoard

    with (
        VirtualBoard.start(f"contract-{scheme}", state=state, bus=state / "bus") as board,
        ser2net(program, board.device, scheme, state / "s", tuned=True) as server,
        BoardLink(board.name, server.url, consent=board.consent) as link,
    ):
        link.open(Deadline.after(10))
        yield ContractBoard(f"ser2net-{scheme}", link, http=(board.address, board.http_port))


@contextlib.contextmanager
def listed(spec: TargetSpec) -> Iterator[ContractBoard]:
    """A real board of devices.yaml. It is written to and reset, so it must be listed for that."""
    from hil.discovery import usb

    if spec.kind != "board" or not spec.provision:
        pytest.fail(f"{spec.name}: the contract wants a board with 'provision: true'")

    def find(deadline: Deadline) -> str:
        return spec.port or usb.find(usb.usb_ports(), usb_serial=spec.usb_serial or "").device

    device = find(Deadline.after(10))
    with BoardLink(spec.name, device, consent=spec.consent(), locate=find) as link:
        deadline = Deadline.after(20)
        identity = link.identify(deadline)
        with link.repl(deadline) as repl:
            root: str = repl.eval("__import__('os').getcwd()", deadline)
        lacks = {"full_flash": "a real flash wears"}
        if identity.address is None:
            lacks["network"] = "it has no Wi-Fi address now"
        http = (identity.address, 80) if identity.address else None
        yield ContractBoard(spec.name, link, lacks=lacks, root=root.rstrip("/"), http=http, slow=3)
        link.hard_reset(Deadline.after(30))  # its application runs again


@contextlib.contextmanager
def microbit(qemu: Path) -> Iterator[ContractBoard]:
    """MicroPython 1.9.2 that nobody here has built, on an emulated nRF51: no raw paste."""
    from microbit_on_qemu import running

    ours = TargetSpec("micro:bit", "", "virtual", provision=True)
    with running(qemu) as board, BoardLink(ours.name, board.pty, consent=ours.consent()) as link:
        link.open(Deadline.after(10))
        none = "the micro:bit's 1.9.2 has no {}"
        lacks = {
            "files": none.format("folders and no os.stat"),
            "asyncio": none.format("asyncio"),
            "clock": none.format("clock"),
            "hard_reset": "its serial port is QEMU's and does not vanish",
            "identity": none.format("os.uname on machine"),
            "raw_paste": none.format("raw paste"),
        }
        yield ContractBoard("microbit", link, lacks=lacks, slow=3)
