"""What a board prints: from the unix port's terminal to a camera's serial line."""

from __future__ import annotations

import re
from collections.abc import Iterator

REPL_STARTS = "repl"
"""The boot scripts are done; what follows is the REPL's banner and prompt."""

_MARK = b"\x1b]hil;"
_COMPLETE = re.compile(rb"\x1b\]hil;(?:(repl)|raw;(\d{1,9}))\x07")
_LONGEST = len(_MARK) + len(b"raw;123456789\x07")


class Cooker:
    """Turns ``\\n`` into ``\\r\\n`` as ``mp_hal_stdout_tx_strn_cooked`` does, and takes out marks.

    The unix port leaves line ends to the terminal, which would also double the REPL's own
    ``\\r\\n``. A board announces bytes that must stay as they are (``sys.stdout.buffer``) with a
    mark in the stream: ``ESC ] hil ; raw ; LENGTH BEL``. Anything may be split anywhere.
    """

    def __init__(self) -> None:
        self._rest = b""  # the beginning of what may become a mark
        self._raw = 0  # bytes still to pass unchanged
        self._after_cr = False

    def feed(self, data: bytes) -> Iterator[bytes | str]:
        """Bytes for the host, and :data:`REPL_STARTS` where that mark was."""
        data = self._rest + data
        self._rest = b""
        while data:
            if self._raw:
                taken, data = data[: self._raw], data[self._raw :]
                self._raw -= len(taken)
                self._after_cr = False
                yield taken
                continue
            at = data.find(b"\x1b")
            if at < 0:
                yield self._cook(data)
                return
            if at > 0:
                yield self._cook(data[:at])
                data = data[at:]
            if match := _COMPLETE.match(data):
                data = data[match.end() :]
                if match[1]:
                    yield REPL_STARTS
                else:
                    self._raw = int(match[2])
            elif _may_become_mark(data):
                self._rest = data
                return
            else:
                yield self._cook(data[:1])
                data = data[1:]

    def _cook(self, data: bytes) -> bytes:
        first_is_lf = data[:1] == b"\n" and self._after_cr
        self._after_cr = data[-1:] == b"\r"
        if b"\n" not in data:
            return data
        cooked = re.sub(rb"(?<!\r)\n", b"\r\n", data)
        return cooked[1:] if first_is_lf else cooked


def _may_become_mark(data: bytes) -> bool:
    if len(data) >= _LONGEST:
        return False
    if len(data) <= len(_MARK):
        return _MARK.startswith(data)
    rest = data[len(_MARK) :]
    return data.startswith(_MARK) and (
        b"repl\x07".startswith(rest)
        or b"raw;".startswith(rest)
        or re.fullmatch(rb"raw;\d*", rest) is not None
    )
