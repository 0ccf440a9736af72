"""The SD card: put in, and taken out again.

Where boot mounts a card, the card is the working directory: the application is looked up on it,
and so are its key and its settings. What lies on the flash stays there, and comes to be used again
when the card is out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from .deadline import Deadline

if TYPE_CHECKING:
    from .link.board import BoardLink
    from .power import PowerControl
    from .target import RebootControl
    from .virtual.board import VirtualBoard

# A copy of 60 KB on the board itself: a camera's flash and card take it in a second or two.
_COPY_S = 20.0


class CardControl(Protocol):
    """What the bench can do to a board's SD card. The board is without power meanwhile."""

    def insert(self) -> None:
        """An empty card, but for the application and its settings; returns when it answers.

        What the application makes itself, its key above all, is not copied.

        :raises BoardError: the application does not answer from the card
        """

    def remove(self) -> None:
        """Without the card again; returns when the application answers. Nothing, where none is in.

        :raises BoardError: the application does not answer
        """

    def give_up(self) -> None:
        """Out, and the board has power; does not wait until the application answers."""


@dataclass
class VirtualCard:
    """:class:`CardControl` of a virtual board.

    :param root: mount point of the internal flash
    :param card_root: that of the card
    :param left: paths on the flash, from its root, that are not copied to the card
    """

    board: VirtualBoard
    link: BoardLink
    power: PowerControl
    reboot: RebootControl
    root: str
    card_root: str
    left: Collection[str]
    inserted: bool = field(default=False, init=False)

    def insert(self) -> None:
        from .clock import rtc
        from .link import files

        self.inserted = True  # from here on there is something to put back: the power, at least
        self.power.off()
        self.board.control("insert_card")
        self.power.on()
        deadline = Deadline.after(_COPY_S)
        with self.link.repl(deadline) as repl:
            rtc.set_if_lost(rtc.Rtc(repl), deadline)
            files.copy_tree(repl, self.root, self.card_root, self.left, deadline)
        self.reboot("hard")

    def remove(self) -> None:
        if self.inserted:
            self._take_out()
            self.reboot("power")

    def give_up(self) -> None:
        if self.inserted:
            self._take_out()
            self.power.on()

    def _take_out(self) -> None:
        self.power.off()
        self.board.control("remove_card")
        self.inserted = False
