"""``WWW-Authenticate``: the challenges that an answer carries (RFC 9110 section 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PART = re.compile(
    rf"""[ \t]*(?:
        (?P<name>{_WORD})[ \t]*=[ \t]*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<value>{_WORD}))
      | (?P<scheme>{_WORD})(?:[ ]+(?P<token68>[A-Za-z0-9._~+/-]+=*)(?=[ \t]*(?:,|$)))?
    )[ \t]*(?P<comma>,|$|(?=[ \t]|{_WORD}))""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Challenge:
    """:ivar scheme: in lower case, since case does not count (section 11.1)
    :ivar parameters: names in lower case; a quoted value without its quotes
    """

    scheme: str
    parameters: dict[str, str]


def challenges(values: Iterable[str]) -> list[Challenge]:
    """All challenges of all ``WWW-Authenticate`` lines. What is malformed ends its line."""
    found: list[Challenge] = []
    for value in values:
        at = 0
        while at < len(value):
            part = _PART.match(value, at)
            if part is None:
                break
            at = part.end()
            if part["scheme"]:
                found.append(Challenge(part["scheme"].lower(), {}))
            elif found:
                quoted = part["quoted"]
                text = part["value"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                found[-1].parameters.setdefault(part["name"].lower(), text)
    return found


def challenge(values: Iterable[str], scheme: str) -> Challenge | None:
    """The first challenge of this scheme."""
    wanted = scheme.lower()
    return next((one for one in challenges(values) if one.scheme == wanted), None)
