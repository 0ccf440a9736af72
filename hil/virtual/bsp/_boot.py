# The virtual board's first script: what a camera's frozen _boot.py and its C main() do together.
# Its directory is the working directory, so that tracebacks name these modules as a camera names
# its frozen ones: without a path.
import sys

sys.path[:] = [""]
del sys

import _bsp

_bsp.boot(globals())
del _bsp
