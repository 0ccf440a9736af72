"""A command that switches a virtual board's power, as a relay's would: ``STATE on|off``."""

from __future__ import annotations

import sys
from pathlib import Path

from hil.deadline import Deadline
from hil.virtual import control

if __name__ == "__main__":
    _, state, to = sys.argv
    control.ask(Path(state), {"op": f"power_{to}"}, Deadline.after(10), board="a board")
