"""Resetting a board in one of several ways, and waiting until its application answers again."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .deadline import Deadline
from .errors import BoardError, Finding, Unavailable
from .target import Absent, Target

if TYPE_CHECKING:
    from .control import SecretFile
    from .link.board import BoardLink
    from .power import PowerControl

# A board that is there says its address in milliseconds.
_ASK_S = 10.0


@dataclass
class Reboot:
    """:class:`hil.target.RebootControl` of a board."""

    target: Target
    link: BoardLink
    power: PowerControl | Absent
    secret: SecretFile | None

    def _cycle_power(self, power: PowerControl, deadline: Deadline) -> None:
        """Off and on. The RTC may have lost the time: then the bench, in NTP's place, sets it."""
        from .clock import rtc

        power.off()
        power.on()
        if not self.target.api.alive(deadline):
            return
        with self.link.paused(deadline, self.target.api.alive) as repl:
            rtc.set_if_lost(rtc.Rtc(repl), deadline)

    def _expect_same_address(self) -> None:
        """:raises BoardError: the board has an address, and it is another one"""
        from .link.board import identify

        used, told = urlsplit(self.target.base_url).hostname, None
        with suppress(BoardError), self.link.paused(Deadline.after(_ASK_S), resumed) as repl:
            told = identify(repl, Deadline.after(_ASK_S)).address
        if told not in (None, used):
            raise BoardError(
                f"its address has changed from {used} to {told} in a reset",
                target=self.target.name,
                hint="give it a fixed one in the network's DHCP server: a run keeps to one address",
            )

    def __call__(self, kind: str = "hard") -> None:
        from .link.board import STARVE_WATCHDOG

        budget = self.target.profile.boot_timeout_s
        deadline = Deadline.after(budget)
        if kind == "hard":
            self.link.hard_reset(deadline)
        elif kind == "wdt":
            self.link.hard_reset(deadline, STARVE_WATCHDOG)
        elif kind == "power":
            if isinstance(self.power, Absent):
                raise Unavailable(f"needs a control of the power, but {self.power.reason}")
            self._cycle_power(self.power, deadline)
        elif kind == "soft":
            raise Unavailable("a soft reset does not start main.py on an OpenMV camera")
        else:
            raise Unavailable(f"{self.target.name} has no control for a reset by {kind}")
        if self.secret:
            self.secret.rebooted()
        if not self.target.api.alive(deadline):
            self._expect_same_address()
            what = f"no HTTP answer within {budget:.0f} s after a {kind} reset"
            raise no_answer(self.target.name, what, self.link)


def resumed(deadline: Deadline) -> bool:
    """For a pause after which nobody is to be asked whether the application answers: that it does
    not, or not at a known address, is what the pause is for."""
    return True


def no_answer(name: str, what: str, link: BoardLink, hint: str = "") -> Exception:
    """The firmware's fault if it raised since it was started, else the board's."""
    from .link.console import find_tracebacks

    said = link.said_since_reset
    raised = find_tracebacks(said)
    if raised and raised[-1].exception_type != "KeyboardInterrupt":
        lines = "\n".join(raised[-1].lines)
        return Finding(f"{name}: {what}: its application has raised\n{lines}")
    last = said.strip().rpartition("\n")[2]
    return BoardError(what, target=name, hint=f"{hint} Its last console line: {last!a}".strip())
