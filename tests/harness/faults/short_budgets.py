"""A pytest plugin for the runs of the fault suite: the harness waits for less than at a real bench.

What is waited for in vain here is never going to come, so that waiting longer shows nothing. A case
whose board does come back in real time (a late boot) runs without this.
"""

from hil import control, recovery

recovery.FIRST_ANSWER_S = 4.0
recovery.BUDGET_S = 10.0
control.FILE_BUDGET_S = 8.0
