"""``sys`` as a camera has it: its own platform, and standard output with the two ways out that
``MicroPython`` ports with a serial console have: cooked text, and raw bytes in ``buffer``."""

import io as _io
import sys as _builtin
from collections import namedtuple as _namedtuple

import _bsp

argv = _builtin.argv
byteorder = _builtin.byteorder
exit = _builtin.exit
maxsize = _builtin.maxsize
modules = _builtin.modules
path = _builtin.path
platform = _bsp.board["port"]
print_exception = _builtin.print_exception
stdin = _builtin.stdin
stderr = _builtin.stderr
# As the firmware's own version stands behind Python's.
version = _builtin.version.split("; ", 1)[0] + "; MicroPython " + _bsp.start["version"]
version_info = _builtin.version_info

_of = _builtin.implementation
implementation = _namedtuple("implementation", ("name", "version", "_machine", "_mpy"))(
    _of.name, _of.version, _bsp.board["machine"], _of._mpy
)


class _Buffer(_io.IOBase):
    # The supervisor turns "\n" into "\r\n" as a camera's console does, except in what is announced.
    def write(self, data, *span):  # length, or offset and length
        data = bytes(data)
        if span:
            start = span[0] if len(span) == 2 else 0
            data = data[start : start + span[-1]]
        _builtin.stdout.write(b"\x1b]hil;raw;%d\x07" % len(data) + data)
        return len(data)


class _Stdout(_io.IOBase):
    buffer = _Buffer()

    def write(self, data):
        return _builtin.stdout.write(data)


stdout = _Stdout()
