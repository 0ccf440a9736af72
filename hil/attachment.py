"""One board at the bench: its serial link, its power, and whether it is the one that devices.yaml
lists."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .deadline import Deadline
from .errors import BenchError
from .target import Absent

if TYPE_CHECKING:
    from .config import TargetSpec
    from .link.board import BoardLink, Identity
    from .power import PowerControl
    from .recovery import Bootloader
    from .virtual.board import VirtualBoard


@dataclass
class Attachment:
    """What the bench has of one board.

    :ivar link: not opened yet
    :ivar bootloader: what sees it in its bootloader, and gets it out
    :ivar virtual: the board of the embedded bench, where it is one
    :ivar rebooted: told by the power that whatever the application held in memory is gone
    """

    link: BoardLink
    power: PowerControl | Absent
    bootloader: Bootloader | Absent
    virtual: VirtualBoard | None
    rebooted: Callable[[], None] = lambda: None


def power_virtual(spec: TargetSpec, state: Path, stack: ExitStack) -> VirtualBoard | None:
    """Start it, where it is one, from the flash in ``state``.

    :param stack: ends it
    """
    from .virtual.board import VirtualBoard

    if spec.kind != "virtual":
        return None
    folder = (state / "boards" / spec.name).resolve()
    board = VirtualBoard.start(
        spec.name, model=spec.model or "", state=folder, latency=asdict(spec.latency)
    )
    return stack.enter_context(board)


def attach(spec: TargetSpec, virtual: VirtualBoard | None, stack: ExitStack) -> Attachment:
    """Looks for no port yet: the board may be in its bootloader, or without power.

    :param virtual: see :func:`power_virtual`
    :param stack: closes the link
    :raises NoConsentError: its entry has no ``provision: true``
    """
    from .discovery.listed import Locator
    from .link.board import BoardLink
    from .way_out import way_out

    # It remembers where the board is plugged in, to know it again in its bootloader.
    find = Locator(spec)
    link: BoardLink = stack.enter_context(
        BoardLink(
            spec.name,
            virtual.device if virtual else "",
            consent=spec.consent(),
            locate=None if virtual else find,
        )
    )
    power = _power(spec, virtual, link, lambda: board.rebooted())
    board = Attachment(link, power, way_out(spec, virtual, find), virtual)
    return board


def _power(
    spec: TargetSpec, virtual: VirtualBoard | None, link: BoardLink, rebooted: Callable[[], None]
) -> PowerControl | Absent:
    from .boards.table import model
    from .power import SwitchedPower, VirtualPower, switch_of

    if virtual:
        return VirtualPower(virtual, link, rebooted)
    if spec.power is None:
        return Absent(f"nothing at {spec.name!r} switches its power")
    own_port = model(spec.model or "").identified_by_usb and "://" not in (spec.port or "")
    return SwitchedPower(switch_of(spec.power), link, rebooted, port_stays=not own_port)


# --- the right one? ---


def require_listed(spec: TargetSpec, link: BoardLink, deadline: Deadline) -> None:
    """A wrong board is asked in a pause: it goes on, and nothing has been written on it.

    :raises BenchError: it is another board than the one that devices.yaml lists
    """
    from .link.board import identify

    if spec.unique_id is None:
        return
    with link.paused(deadline, lambda _: True) as repl:
        identity = identify(repl, deadline)
    if problem := other_board(spec, identity):
        raise problem


def other_board(spec: TargetSpec, identity: Identity) -> BenchError | None:
    """Whether the port leads to another board than the one that devices.yaml lists."""
    found = identity.unique_id.hex()
    if spec.unique_id is None or found == spec.unique_id.lower():
        return None
    return BenchError(
        f"{spec.port or spec.usb_serial} leads to another board: devices.yaml lists unique_id"
        f" {spec.unique_id}, the board says {found} ({identity.machine})",
        target=spec.name,
        hint="have two boards been swapped? correct 'port' or 'unique_id' in devices.yaml",
    )


def unproven(spec: TargetSpec, identity: Identity) -> list[str]:
    """A note for a port that tells nothing of the board behind it."""
    if spec.kind != "board" or spec.usb_serial or spec.unique_id:
        return []
    return [
        f"nothing proves that {spec.port} leads to the board that is meant: write "
        f"'unique_id: {identity.unique_id.hex()}' into devices.yaml"
    ]
