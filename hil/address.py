"""Where a board's application answers: from mDNS, else the board's own word."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .deadline import Deadline
from .errors import BoardError
from .http_target import MDNS_BUDGET_S
from .reboot import no_answer, resumed

if TYPE_CHECKING:
    from .discovery.mdns import Resolved
    from .link.board import BoardLink


def find_address(
    link: BoardLink, hostname: str, boot_timeout_s: float, deadline: Deadline
) -> tuple[Resolved, str, list[str]]:
    """From mDNS; from the board itself, with a note, where nobody answers there.

    Wi-Fi may take longer than a question on mDNS: an access point answers in 2 to 8 s.

    :param boot_timeout_s: from the reset, which was this moment
    :returns: what mDNS says, the address, and the note
    :raises BoardError: it has none
    :raises Finding: it has none, and its application has raised
    """
    from .discovery import mdns

    booted = deadline.sooner(boot_timeout_s)
    while True:
        found = mdns.lookup([hostname], booted.sooner(MDNS_BUDGET_S))[hostname]
        if found.address:
            return found, found.address, []
        if told := told_address(link, resumed, deadline):
            break
        what = f"it has no address after {boot_timeout_s:.0f} s"
        problem = no_answer(link.name, what, link, "is its Wi-Fi right?")
        if booted.expired or not isinstance(problem, BoardError):
            raise problem
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
