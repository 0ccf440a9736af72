"""Values that must not be seen: their ``repr`` tells length and nothing else.

pytest prints the ``repr`` of every operand of a failed assertion, ``--showlocals`` that of every
local variable. So the redaction sits in the type, at the source, and not in a filter behind it.
"""

from __future__ import annotations


class SecretStr(str):
    """A password or a token. Works as the ``str`` it is, prints as ``<secret: N chars>``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<secret: {len(self)} chars>"


class SecretBytes(bytes):
    """A signing key. Works as the ``bytes`` it is, prints as ``<secret: N bytes>``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<secret: {len(self)} bytes>"
