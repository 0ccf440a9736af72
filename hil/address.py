"""Where a board's application answers: from mDNS, else the board's own word."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .deadline import Deadline
from .http_target import MDNS_BUDGET_S
from .reboot import no_answer, resumed

if TYPE_CHECKING:
    from .discovery.mdns import Resolved
    from .link.board import BoardLink


def find_address(
    link: BoardLink, hostname: str, deadline: Deadline
) -> tuple[Resolved, str, list[str]]:
    """From mDNS; from the board itself, with a note, where nobody answers there.

    :returns: what mDNS says, the address, and the note
    :raises BoardError: it has none
    :raises Finding: it has none, and its application has raised
    """
    from .discovery import mdns

    found = mdns.lookup([hostname], deadline.sooner(MDNS_BUDGET_S))[hostname]
    if found.address:
        return found, found.address, []
    told = told_address(link, resumed, deadline)
    if not told:
        raise no_answer(link.name, "it has no address", link, "is its Wi-Fi right?")
    note = f"{hostname}.local does not answer on mDNS: the address is the board's own word"
    return found, told, [note]


def told_address(
    link: BoardLink, answers: Callable[[Deadline], bool], deadline: Deadline
) -> str | None:
    """The board's own word, in a pause of its application; None: it has none.

    :param answers: whether the application answers a request again after it
    """
    from .link.board import identify

    with link.paused(deadline, answers) as repl:
        return identify(repl, deadline).address


def http_port(address: str) -> str:
    """``:8080`` for a virtual board, started by this run or by ``hil virtual up``: an ordinary user
    cannot give it port 80. Empty for a real one."""
    from .virtual import bus

    for record in bus.records(bus.default_bus()):
        if record.address == address:
            return f":{record.http_port}"
    return ""
