"""What the bench can do to a target: its files, the secret, the password, services, signed tokens.

On a board, each use is one pause: Ctrl-C, the work, and the event loop goes on (milliseconds, no
reset). :mod:`hil.process.controls` has the same of a process.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from .deadline import Deadline
from .secrets import SecretBytes, SecretStr

if TYPE_CHECKING:
    from .auth.client import Api
    from .link.repl import Repl
    from .settings_file import SettingsFormat

    Pause = Callable[[Deadline], AbstractContextManager[Repl]]

FILE_BUDGET_S = 20.0


@contextmanager
def _missing_told(path: str) -> Iterator[None]:
    from .link.repl import ReplError

    try:
        yield
    except ReplError as error:
        if error.os_error == "ENOENT":
            raise FileNotFoundError(path) from None
        raise


class Keys(Protocol):
    """The signing keys of a target that the bench knows."""

    def held(self, kind: str = "access") -> SecretBytes:
        """The key that the running application has for this kind of tokens.

        :raises Unavailable: it is not known
        """


class SecretControl(Keys, Protocol):
    """The signing key: as it is kept, and as the running application holds it.

    The two differ between a rotation and the reboot that makes it count (OpenMV docs 10.9:
    "Deleting secret.bin and rebooting rotates the secret").

    :ivar path: where it is kept
    :ivar made_by_bench: a new one is of the bench's making: it says nothing of the target
    """

    path: str
    made_by_bench: bool

    def read(self) -> SecretBytes:
        """What is kept now. :raises FileNotFoundError:"""

    def write(self, data: bytes) -> None: ...

    def delete(self) -> None:
        """The next reboot brings a new one. :raises FileNotFoundError:"""

    def exists(self) -> bool: ...

    def changed(self, since: bytes) -> bool:
        """True unless both what is kept and what is in use are these bytes."""

    def rebooted(self) -> None:
        """The application has loaded it anew."""


class PasswordControl(Protocol):
    """The password that the target stores.

    :ivar path: where it is stored
    """

    path: str

    def change(self, new: str) -> None:
        """Store ``new``, and use it from now on in ``api``."""

    def restored(self, unless: Callable[[], bool] = lambda: False) -> AbstractContextManager[None]:
        """Whatever is changed inside is undone.

        :param unless: asked at the end: whether there is no target any more to do it on
        """


class ServiceControl(Protocol):
    """What devices.yaml lists beside a process, e.g. a database."""

    def down(self, name: str) -> AbstractContextManager[None]:
        """Inside, it is stopped; afterwards it runs again.

        :raises Unavailable: there is no such service
        """


class FileControl:
    """Files on the board, by paths relative to the application's working directory."""

    def __init__(self, paused: Pause) -> None:
        self._paused = paused

    def read(self, path: str) -> bytes:
        """The whole file. :raises FileNotFoundError:"""
        from .link import files

        deadline = Deadline.after(FILE_BUDGET_S)
        with self._paused(deadline) as repl, _missing_told(path):
            return files.read_file(repl, path, deadline)

    def write(self, path: str, data: bytes) -> None:
        """Replace the file, atomically where the file system can."""
        from .link import files

        deadline = Deadline.after(FILE_BUDGET_S)
        with self._paused(deadline) as repl:
            files.write_file(repl, path, data, deadline)

    def remove(self, path: str) -> None:
        """:raises FileNotFoundError:"""
        from .link import files

        deadline = Deadline.after(FILE_BUDGET_S)
        with self._paused(deadline) as repl, _missing_told(path):
            files.remove_file(repl, path, deadline)

    def make_folder(self, path: str) -> None:
        from .link import files

        deadline = Deadline.after(FILE_BUDGET_S)
        with self._paused(deadline) as repl:
            files.make_folder(repl, path, deadline)

    def remove_folder(self, path: str) -> None:
        """An empty one. :raises FileNotFoundError:"""
        from .link import files

        deadline = Deadline.after(FILE_BUDGET_S)
        with self._paused(deadline) as repl, _missing_told(path):
            files.remove_folder(repl, path, deadline)

    @contextmanager
    def filled(self) -> Iterator[int]:
        """Inside, nothing more fits; gives the bytes that are free all the same, 0 if it worked.

        A board that loses its bench in there is emptied with its journal (:mod:`hil.journal`).
        """
        from .journal import BALLAST
        from .link import files

        deadline = Deadline.after(FILE_BUDGET_S)
        try:
            with self._paused(deadline) as repl:
                free = files.fill(repl, BALLAST, deadline)
            yield free
        finally:
            deadline = Deadline.after(FILE_BUDGET_S)
            with self._paused(deadline) as repl:
                files.remove_file(repl, BALLAST, deadline, missing_ok=True)

    def exists(self, path: str) -> bool:
        from .link import files

        deadline = Deadline.after(FILE_BUDGET_S)
        with self._paused(deadline) as repl:
            return files.exists(repl, path, deadline)


class SecretFile:
    """:class:`SecretControl` of a board: a file, which its application makes if it is not there."""

    made_by_bench = False

    def __init__(
        self, files: FileControl, path: str, labels: Mapping[str, str] | None = None
    ) -> None:
        """:param labels: by kind of tokens, from what its key is made of the file's"""
        self._files = files
        self.path = path
        self._labels = labels or {}
        self._held: SecretBytes | None = None

    def read(self) -> SecretBytes:
        """The file's bytes now. :raises FileNotFoundError:"""
        return SecretBytes(self._files.read(self.path))

    def held(self, kind: str = "access") -> SecretBytes:
        """The key that the application loaded at its last boot, or what it makes of it."""
        if self._held is None:
            self._held = self.read()
        label = self._labels.get(kind)
        if label is None:
            return self._held
        return SecretBytes(hmac.digest(self._held, label.encode(), "sha256"))

    def write(self, data: bytes) -> None:
        self._remember()
        self._files.write(self.path, data)

    def delete(self) -> None:
        self._remember()
        self._files.remove(self.path)

    def _remember(self) -> None:
        """What is held, before the file changes. Without a file nothing is: there are no tokens."""
        with suppress(FileNotFoundError):
            self.held()

    def exists(self) -> bool:
        return self._files.exists(self.path)

    def changed(self, since: bytes) -> bool:
        """True unless both the file and the key in use are these bytes."""
        try:
            return self._held != since or self.read() != since
        except FileNotFoundError:
            return True

    def rebooted(self) -> None:
        """The application has loaded the file anew."""
        self._held = None


_DATES = ("exp", "nbf", "iat")
"""RFC 7519 section 4.1."""


class MintControl:
    """Sign tokens as the target would, because the bench knows its keys."""

    def __init__(self, keys: Keys, api: Api) -> None:
        self._keys = keys
        self._api = api

    def __call__(
        self,
        claims: Mapping[str, Any] | None = None,
        *,
        kind: str = "access",
        without: Iterable[str] = (),
        only: Mapping[str, Any] | None = None,
        key: bytes | None = None,
        header: Mapping[str, Any] | None = None,
        alg: str = "HS256",
        raw_payload: bytes | None = None,
    ) -> SecretStr:
        """A token signed with the key that the application holds.

        It starts from the claims of a token that the target has just issued, so that exactly what
        the caller changes is what differs from a sound one; of a kind that no login gives, from
        those that the profile promises.

        :param claims: laid over the issued ones; numbers in ``exp``, ``nbf`` and ``iat`` are Unix
            seconds, of which the profile's epoch makes what stands in the token
        :param kind: ``access``, ``refresh``, or one of the profile's ``other_tokens``
        :param without: claims to leave out
        :param only: these claims and nothing else
        :param key: another key; ``b""`` is the empty one
        :param header: laid over ``{"alg": …, "typ": "JWT"}``; a value None leaves the field out
        :param raw_payload: these bytes in place of a JSON object
        :raises Unavailable: the key is not known, or the profile has no tokens of this kind
        """
        from .auth import tokens

        if raw_payload is not None:
            body: Mapping[str, Any] | bytes = raw_payload
        elif only is not None:
            body = only
        else:
            left_out = set(without)
            whole = {**self._claims(kind), **self._dated(claims or {})}
            body = {name: value for name, value in whole.items() if name not in left_out}
        return tokens.mint(
            body, self._keys.held(kind) if key is None else key, header=header, alg=alg
        )

    def key(self, kind: str = "access") -> SecretBytes:
        """The key of this kind of tokens. :raises Unavailable: it is not known"""
        return self._keys.held(kind)

    def sign(self, signed: str, alg: str = "HS256") -> SecretStr:
        """Header and payload segments as they stand, signed with the key in use."""
        from .auth import tokens

        return tokens.sign(signed, self._keys.held(), alg)

    def _claims(self, kind: str) -> dict[str, Any]:
        """Those of a sound token of this kind, issued this moment."""
        from .auth import verdict
        from .auth.contract import promised

        profile = self._api.profile
        if kind == "access":
            return dict(verdict.decoded(self._api.token()).claims)
        if kind == "refresh":
            return dict(verdict.decoded(self._api.token(profile.refresh.field)).claims)
        token = promised(profile.other_tokens.get(kind), f"tokens of the kind {kind!r}")
        return {**token.claims, "exp": profile.date(round(time.time()) + token.lifetime_s)}

    def _dated(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        # By type: True is a number to isinstance.
        return {
            name: self._api.profile.date(value)
            if name in _DATES and type(value) in (int, float)
            else value
            for name, value in claims.items()
        }


class PasswordFile:
    """:class:`PasswordControl` of a board."""

    def __init__(self, files: FileControl, api: Api, path: str, form: SettingsFormat) -> None:
        self._files = files
        self._api = api
        self._format = form
        self.path = path

    def change(self, new: str) -> None:
        """Store ``new``, and use it from now on in ``api``."""
        from .settings_file import Values

        changed = Values(user=self._api.credentials.user, password=SecretStr(new))
        self._files.write(
            self.path, self._format.with_password(self._files.read(self.path), changed)
        )
        self._api.credentials = self._api.credentials.with_password(changed.password)

    @contextmanager
    def restored(self, unless: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Whatever is changed inside is undone, byte by byte.

        :param unless: asked at the end: whether there is no board any more to do it on
        """
        credentials = self._api.credentials
        before: bytes | None = None
        if self._files.exists(self.path):
            before = self._files.read(self.path)
        try:
            yield
        finally:
            if before is not None and not unless():
                self._files.write(self.path, before)
            self._api.credentials = credentials
