"""What a run checks: a base URL, a profile, and the controls that the bench has over it.

A control is there, or it is :class:`Absent` with the reason; a check that asks for an absent one
is skipped with that reason, never passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .auth.client import Api
    from .auth.profile import Profile
    from .auth.provider import Provider
    from .auth.raw import RawClient
    from .auth.record import Record
    from .boots import BootWatch
    from .card import CardControl
    from .clock.skew import ClockControl
    from .control import (
        FileControl,
        MintControl,
        PasswordControl,
        SecretControl,
        ServiceControl,
    )
    from .deadline import Deadline
    from .errors import HilError
    from .link.console import Console
    from .link.interruption import Interrupted
    from .power import PowerControl


@dataclass(frozen=True)
class Absent:
    """A control that this target does not offer.

    :ivar reason: completes the sentence "needs X, but …", e.g. ``"'porch' is only read: its
        entry in devices.yaml has no 'provision: true'"``
    """

    reason: str


class RebootControl(Protocol):
    """Reset the target and wait until its application answers."""

    def __call__(self, kind: str = "hard") -> None:
        """:param kind: ``hard``, ``soft``, ``power`` or ``wdt``
        :raises BoardError: it did not answer within the profile's ``boot_timeout_s``
        :raises Unavailable: this target cannot be reset that way
        """


@dataclass(frozen=True)
class Controls:
    """What the bench can do to a target."""

    files: FileControl | Absent
    secret: SecretControl | Absent
    password: PasswordControl | Absent
    mint: MintControl | Absent
    clock: ClockControl | Absent
    reboot: RebootControl | Absent
    power: PowerControl | Absent
    card: CardControl | Absent
    console: Console | Absent
    boots: BootWatch | Absent
    services: ServiceControl | Absent = Absent("it is no process that the bench has started")
    provider: Provider | Absent = Absent("it is no process that the bench has started")

    @classmethod
    def none(cls, reason: str) -> Controls:
        """All absent, for one reason."""
        absent = Absent(reason)
        return cls(**{control.name: absent for control in fields(cls)})


@dataclass(frozen=True)
class Software:
    """What runs on a target, as far as that is proven.

    :ivar firmware: its version, as the board says it
    :ivar firmware_sha256: of the images that it was flashed with, by partition
    :ivar application_sha256: over all files that it was given but the settings
    :ivar epoch: the year that its ``time.time()`` counts from
    """

    firmware: str | None = None
    firmware_sha256: Mapping[str, str] = field(default_factory=dict)
    application_sha256: str | None = None
    epoch: int | None = None


@dataclass(frozen=True)
class Target:
    """:ivar name: its name in devices.yaml
    :ivar about: one line for the report: model, firmware, address
    :ivar base_url: ``http://ADDRESS:PORT``, no slash at the end
    :ivar unique_id: ``machine.unique_id()``; None where it is not known
    :ivar software: what runs on it
    :ivar trusted_network: credentials may cross its network in the clear
    :ivar notes: what the reader should know, e.g. that mDNS did not answer
    :ivar record: what it has answered so far
    :ivar recover: bring it back after it has failed to answer, with what a check expects of it;
        tells how, or raises what the board is broken by. None: the bench has no hand on it
    :ivar interrupt: stop its application, whoever waits for it, and tell where it was. None:
        nothing but its network reaches it
    """

    name: str
    about: str
    base_url: str
    profile: Profile = field(repr=False)
    api: Api = field(repr=False)
    raw: RawClient = field(repr=False)
    record: Record = field(repr=False)
    controls: Controls = field(repr=False)
    unique_id: bytes | None = None
    software: Software = Software()
    trusted_network: bool = False
    notes: tuple[str, ...] = ()
    recover: Callable[[HilError], str] | None = field(default=None, repr=False)
    interrupt: Callable[[Deadline], Interrupted] | None = field(default=None, repr=False)
    close: Callable[[], None] = field(default=lambda: None, repr=False)
