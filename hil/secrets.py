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


def redact(left: object, right: object) -> tuple[str, str] | None:
    """The reprs of two operands without the secret that either of them is.

    :returns: None when neither is a secret
    """
    for secret in (left, right):
        if isinstance(secret, SecretStr):
            plain, shown = str.__repr__(secret)[1:-1], repr(secret)
        elif isinstance(secret, SecretBytes):
            plain, shown = bytes.__repr__(secret)[2:-1], repr(secret)
        else:
            continue
        reprs = [repr(left), repr(right)]
        return (
            (reprs[0].replace(plain, shown), reprs[1].replace(plain, shown))
            if plain
            else (reprs[0], reprs[1])
        )
    return None
