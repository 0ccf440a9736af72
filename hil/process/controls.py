"""What the bench can do to a process besides starting it: the secrets that it is given.

They travel by its environment or its command, so that a change counts from its next start on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import Unavailable
from ..secrets import SecretBytes, SecretStr
from .made_up import new_key

if TYPE_CHECKING:
    from ..auth.client import Api
    from ..auth.contract import Published
    from .server import Server


class ProcessSecret:
    """:class:`hil.control.SecretControl` of a process: what it is given as ``{secret}``.

    To delete it is to have a new one made up at the next start.
    """

    path = "{secret}"
    made_by_bench = True

    def __init__(self, server: Server, kind: str = "access") -> None:
        self._server = server
        self._kind = kind
        self._deleted = False

    def read(self) -> SecretBytes:
        """What the next start gives it. :raises FileNotFoundError: that is not made yet"""
        if self._deleted:
            raise FileNotFoundError(self.path)
        return self._server.made.keys[self._kind]

    def held(self, kind: str = "access") -> SecretBytes:
        return self._server.held[kind]

    def write(self, data: bytes) -> None:
        """:raises Unavailable: it has a NUL, which no environment holds"""
        if b"\0" in data:
            raise Unavailable("a process cannot be given a key with a NUL in it")
        self._server.made.keys[self._kind] = SecretBytes(data)
        self._deleted = False

    def delete(self) -> None:
        """:raises FileNotFoundError:"""
        self.read()
        self._server.made.keys[self._kind] = new_key()
        self._deleted = True

    def exists(self) -> bool:
        return not self._deleted

    def changed(self, since: bytes) -> bool:
        return self._deleted or self.held(self._kind) != since or self.read() != since

    def rebooted(self) -> None:
        """What was made up meanwhile is in use."""
        self._deleted = False


class ProcessKeys:
    """The keys to sign with: what the process was given, else what its document publishes."""

    def __init__(self, server: Server, published: Published) -> None:
        self._server = server
        self._published = published

    def held(self, kind: str = "access") -> SecretBytes:
        """The key of refresh tokens is that of access tokens where the process is given no other:
        what is checked with it first sees a sound token accepted.

        :raises Unavailable: the key of this kind is not known
        """
        if kind == "refresh" and kind not in {*self._server.held, *self._published.secrets}:
            kind = "access"
        if kind in self._server.held:
            return self._server.held[kind]
        if kind in self._published.secrets:
            return SecretBytes(self._published.secrets[kind].encode())
        raise Unavailable(
            f"needs the key of {kind} tokens, but devices.yaml has no {{secret:{kind}}},"
            " and the profile publishes none"
        )


class ProcessPassword:
    """:class:`hil.control.PasswordControl` of a process: what it is given as ``{password}``."""

    path = "{password}"

    def __init__(self, server: Server, api: Api, restart: Callable[[], None]) -> None:
        self._server = server
        self._api = api
        self._restart = restart

    def change(self, new: str) -> None:
        """Start it again with ``new``, and use that from now on in ``api``."""
        if "\0" in new:
            raise Unavailable("a process cannot be given a password with a NUL in it")
        self._give(SecretStr(new))
        self._api.credentials = self._api.credentials.with_password(SecretStr(new))

    @contextmanager
    def restored(self, unless: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Whatever is changed inside is undone.

        :param unless: asked at the end: whether there is no process any more to do it on
        """
        credentials = self._api.credentials
        made = self._server.made
        before = made.passwords[made.user]
        try:
            yield
        finally:
            self._api.credentials = credentials
            if made.passwords[made.user] != before and not unless():
                self._give(before)

    def _give(self, password: SecretStr) -> None:
        made = self._server.made
        made.passwords[made.user] = password
        self._restart()
