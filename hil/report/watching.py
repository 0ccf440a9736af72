"""The controls of a target, told as they are used: resets, and what becomes of the signing key."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..target import Absent, RebootControl, Target

if TYPE_CHECKING:
    from ..clock.rtc import BoardTime
    from ..control import SecretControl
    from ..secrets import SecretBytes


class Watcher(Protocol):
    """Who is told."""

    def boot(self, kind: str, took_s: float) -> None: ...

    def clock(self, action: str, reading: BoardTime) -> None: ...

    def key_changed(self, action: Literal["written", "deleted"]) -> None: ...

    def key_seen(self, key: bytes) -> None: ...


def watched(target: Target, watcher: Watcher) -> Target:
    """The same target, which tells ``watcher`` what is done with it."""
    controls = target.controls
    if not isinstance(controls.clock, Absent):
        controls.clock.observe = watcher.clock
        controls.clock.now()
    if not isinstance(controls.reboot, Absent):
        controls = replace(controls, reboot=_Reboot(controls.reboot, watcher))
    if not isinstance(controls.secret, Absent):
        watched_secret: Any = _Secret(controls.secret, watcher)
        controls = replace(controls, secret=watched_secret)
    return replace(target, controls=controls)


@dataclass(frozen=True)
class _Reboot:
    control: RebootControl
    watcher: Watcher

    def __call__(self, kind: str = "hard") -> None:
        began = time.monotonic()
        self.control(kind)
        self.watcher.boot(kind, time.monotonic() - began)


class _Secret:
    """:class:`hil.control.SecretControl`."""

    def __init__(self, control: SecretControl, watcher: Watcher) -> None:
        self._control = control
        self._watcher = watcher

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    def _seen(self, key: SecretBytes) -> SecretBytes:
        self._watcher.key_seen(key)
        return key

    def read(self) -> SecretBytes:
        return self._seen(self._control.read())

    def held(self, kind: str = "access") -> SecretBytes:
        return self._seen(self._control.held(kind))

    def write(self, data: bytes) -> None:
        self._watcher.key_seen(data)
        self._control.write(data)
        self._watcher.key_changed("written")

    def delete(self) -> None:
        self._control.delete()
        self._watcher.key_changed("deleted")
