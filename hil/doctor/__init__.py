"""``hil doctor``: is this host fit for a bench, and what ails each target? With the next step.

Without ``--repl`` no port is opened and no application is interrupted. Every probe runs in a thread
of its own and has the same deadline, so that the doctor is through in ten seconds, whatever hangs.
"""

from __future__ import annotations

from .examined import BUDGET_S, Examined, Status
from .examining import examine
from .table import print_table

__all__ = ["BUDGET_S", "Examined", "Status", "examine", "print_table"]
