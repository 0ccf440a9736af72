"""A board that failed to answer in the middle of a run: its REPL, by the ladder; then what a check
expects of it, which the one that failed may have changed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .deadline import Deadline
from .errors import HilError
from .reboot import no_answer
from .recovery import BUDGET_S
from .target import Absent

if TYPE_CHECKING:
    from .auth.client import Credentials
    from .deploy import Deployed
    from .link.board import BoardLink
    from .recovery import Recovery
    from .target import Controls, Target


@dataclass
class Revive:
    """See :attr:`hil.target.Target.recover`.

    :ivar deployed: what the board was given
    :ivar credentials: of the settings in there
    """

    target: Target
    controls: Controls
    link: BoardLink
    recovery: Recovery
    deployed: Deployed
    credentials: Credentials

    def __call__(self, cause: HilError) -> str:
        controls, budget = self.controls, self.target.profile.boot_timeout_s
        with self.recovery.once(cause):
            story = self.recovery.climb(Deadline.after(BUDGET_S), cause)
            if not isinstance(controls.card, Absent):
                controls.card.give_up()
            self._deploy(Deadline.after(budget))
            if self.target.api.alive(Deadline.after(budget)):
                return story
            if isinstance(controls.power, Absent) or isinstance(controls.reboot, Absent):
                what = f"{story}; but no HTTP answer within {budget:.0f} s"
                raise no_answer(self.target.name, what, self.link)
            controls.reboot("power")
            return f"{story}; its application answers since a power cycle"

    def _deploy(self, deadline: Deadline) -> None:
        """The files, of which only what differs is sent, and the clock; then a reset. The key is
        whatever it is: the journal has the one that was found."""
        from .clock import rtc
        from .link import files

        with self.link.repl(deadline) as repl:
            files.sync(repl, self.deployed.tree, self.deployed.root, deadline)
            rtc.set_clock(repl, round(time.time()), deadline)
        self.link.hard_reset(deadline)
        if not isinstance(self.controls.secret, Absent):
            self.controls.secret.rebooted()
        self.target.api.credentials = self.credentials
