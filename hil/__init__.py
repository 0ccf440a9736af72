"""Hardware-in-the-loop tests for the token auth of MicroPython camera boards."""

__version__ = "0.1.0"
