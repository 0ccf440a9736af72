"""Power: off, on, and cut at a chosen point of what the board is doing.

A virtual board's power goes right after a block write, so that every point that matters is met
exactly once; a real one's goes after a time, so that points are sampled. A check reads the same::

    for cut in power.cuts():
        happened = cut.during(is_done)
"""

from .control import WORK_S, Cut, PowerControl, Switch
from .switched import SwitchedPower, switch_of
from .virtual import VirtualPower

__all__ = ["WORK_S", "Cut", "PowerControl", "Switch", "SwitchedPower", "VirtualPower", "switch_of"]
