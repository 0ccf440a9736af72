"""What a run makes up for a process target: ports, signing keys, passwords, an API key.

None of it is ever shown; what is in a program's output of it is hidden before it is told.
"""

from __future__ import annotations

import secrets
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BenchError
from ..process_entry import Placeholder
from ..secrets import SecretBytes, SecretStr

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..config import Secrets
    from ..process_entry import ProcessSpec

ADDRESS = "127.0.0.1"

# Below the ports from which Linux (32768) and macOS (49152) let connections go out: a program that
# is started again finds its port free, however many connections there have been meanwhile.
_PORTS = range(20_000, 32_768)
_TRIES = 200
# The key of one byte that a check gives out is no secret: hidden wherever its letter stands, it
# would leave nothing to read.
_LEAST_HIDDEN = 4


@dataclass
class MadeUp:
    """:ivar keys: signing keys by kind of token, as the next start of the process gets them
    :ivar passwords: by user; likewise
    :ivar ports: of the process itself (the name is empty), and by name
    :ivar state: an empty folder
    :ivar providers: addresses of the bench's OpenID providers, by whom each lets in
    :ivar every: all secrets that there have been in this run
    """

    user: str
    state: Path
    ports: dict[str, int] = field(default_factory=dict)
    keys: dict[str, SecretBytes] = field(default_factory=dict)
    passwords: dict[str, SecretStr] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)
    api_key: SecretStr | None = None
    every: list[SecretStr] = field(default_factory=list)

    @classmethod
    def of(cls, spec: ProcessSpec, user: str, given: Secrets, state: Path) -> MadeUp:
        """For the placeholders of an entry.

        :param user: the one to log in as
        :param given: what devices.yaml takes from the environment is not made up
        """
        made = cls(user, state)
        for found in spec.placeholders:
            if found.what == "secret":
                made.keys[kind_of(found)] = new_key()
            elif found.what == "password":
                own = given.password if (found.name or user) == user else None
                made.passwords[found.name or user] = own or SecretStr(secrets.token_urlsafe(12))
            elif found.what == "api_key":
                made.api_key = given.api_key or SecretStr(secrets.token_urlsafe(24))
        names = sorted({one.name for one in spec.placeholders if one.what == "port"})
        made.ports = dict(zip(names, free_ports(len(names)), strict=True))
        return made

    def values(self, used: Collection[Placeholder]) -> dict[Placeholder, str]:
        """What goes into the places of these."""
        made = {found: self._value(found) for found in used}
        shown = ("port", "state", "python", "provider")
        hidden = {
            SecretStr(text)
            for found, text in made.items()
            if found.what not in shown and len(text) >= _LEAST_HIDDEN
        }
        self.every += [one for one in hidden if one and one not in self.every]
        return made

    def _value(self, found: Placeholder) -> str:
        if found.what == "port":
            return str(self.ports[found.name])
        if found.what == "secret":
            # An environment is bytes; what is no UTF-8 travels as Python has it in os.environ.
            return self.keys[kind_of(found)].decode("utf-8", "surrogateescape")
        if found.what == "password":
            return str(self.passwords[found.name or self.user])
        if found.what == "api_key":
            return str(self.api_key)
        if found.what == "provider":
            return self.providers[found.name or self.user]
        return str(self.state) if found.what == "state" else sys.executable


def kind_of(found: Placeholder) -> str:
    """Which kind of tokens a ``{secret}`` signs."""
    return found.name or "access"


def new_key() -> SecretBytes:
    """A signing key: 64 hexadecimal digits, which are its bytes as they stand."""
    return SecretBytes(secrets.token_hex(32).encode())


def free_ports(count: int) -> list[int]:
    """So many different ports of this host's own address on which nobody listens.

    :raises BenchError: there are not enough
    """
    found: list[int] = []
    with ExitStack() as stack:
        for port in secrets.SystemRandom().sample(_PORTS, _TRIES):
            if len(found) == count:
                break
            held = stack.enter_context(socket.socket())
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                held.bind((ADDRESS, port))
            except OSError:
                continue
            found.append(port)
    if len(found) < count:
        raise BenchError(f"no {count} free ports in {_PORTS} after {_TRIES} tries")
    return found
