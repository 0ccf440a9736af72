"""A pytest plugin for the runs of the fault suite: the harness waits for less than at a real bench.

What is waited for in vain here is never going to come, so that waiting longer shows nothing. A case
whose board does come back in real time (a late boot) runs without this.
"""

from hil import bringup, control
from hil.fixtures import target

bringup.CONTACT_S = 8.0
control.FILE_BUDGET_S = 8.0
target._PROVE_S = 4.0
