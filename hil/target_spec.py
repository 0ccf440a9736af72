"""A target of devices.yaml, typed and frozen, and the secrets that it names.

A password or a Wi-Fi key is never written in the file, only ``${NAME}`` of the environment variable
that holds it. It is looked up when its target is used (:meth:`TargetSpec.secrets`), so a variable
that is not set for one board does not stop a run on another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Literal

from .errors import ConfigError
from .flash_entry import FlashSpec
from .places.address import PlaceSpec
from .power_entry import CommandSpec, HubPortSpec
from .process_entry import ProcessSpec
from .secrets import SecretStr

if TYPE_CHECKING:
    from .consent import Consent

Kind = Literal["virtual", "board", "process", "url"]

_STRICT = {"extra": "forbid"}


@dataclass(frozen=True)
class EnvReference:
    """A secret's place: the environment variable that holds it, and where it is asked for.

    :ivar where: ``FILE:LINE:COLUMN``
    """

    name: str
    where: str


@dataclass(frozen=True)
class Wifi:
    """:ivar key: None is an open network"""

    __pydantic_config__: ClassVar[Mapping[str, str]] = _STRICT

    ssid: str
    key: EnvReference | None = None


@dataclass(frozen=True)
class Latency:
    """What a virtual board takes as long for as a real one does, seconds; 0 is as fast as it goes.

    :ivar reset_s: from a reset until its port is there again
    :ivar wifi_s: from ``connect()`` until it has an address
    :ivar bootloader_window_s: in which its bootloader shows itself on each reset, before that
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = _STRICT

    reset_s: float = 0.0
    wifi_s: float = 0.0
    bootloader_window_s: float = 0.0


@dataclass(frozen=True)
class Secrets:
    """A target's secrets, looked up. None: devices.yaml names none.

    :ivar others: the passwords of further users, which the bench makes up
    """

    password: SecretStr | None
    wifi_key: SecretStr | None
    api_key: SecretStr | None = None
    others: Mapping[str, SecretStr] = field(default_factory=dict)


@dataclass(frozen=True)
class TargetSpec:
    """One target as devices.yaml describes it.

    :ivar where: ``FILE:LINE:COLUMN`` of its name
    :ivar kind: ``virtual`` (the harness starts it), ``board`` (attached here), ``process`` (a
        server that the bench starts), ``url`` (anything that answers HTTP)
    :ivar model: a key of the board table; None for what is no board
    :ivar usb_serial: the USB serial number that tells the board from all others
    :ivar port: a serial device, or ``rfc2217://HOST:PORT`` or ``socket://HOST:PORT`` of a serial
        server, where there is no USB serial number; that of a place is ``labgrid://HOST:PORT/PLACE``
    :ivar labgrid: the place where the board is, at a coordinator of labgrid
    :ivar unique_id: the board's ``machine.unique_id()``; None: whatever board is behind the port
    :ivar hostname: name on the network without ``.local``; None: the harness makes a unique one
    :ivar url: base URL
    :ivar profile: name of a packaged profile, or the absolute path of a file
    :ivar firmware: ``camera`` (the reference application) or the absolute path of a folder
    :ivar provision: the owner's consent to write on the board: files, settings, secret, clock
    :ivar flash: which firmware images it is to run; None: whatever it runs
    :ivar process: what is started; None for what is no ``process``
    :ivar user: user to log in as; None: the profile's
    :ivar api_key: what opens the profile's route for API keys
    :ivar boot_timeout_s: seconds from a reset to the first answer; None: the profile's
    :ivar power: what switches the board's power; None: nothing does
    :ivar trusted_network: credentials may cross this network in the clear
    :ivar latency: what a virtual board is to take its time for
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = _STRICT

    name: str
    where: str
    kind: Kind
    model: str | None = None
    usb_serial: str | None = None
    port: str | None = None
    labgrid: PlaceSpec | None = None
    unique_id: str | None = None
    hostname: str | None = None
    url: str | None = None
    profile: str = "camera"
    firmware: str = "camera"
    provision: bool = False
    flash: FlashSpec | None = None
    process: ProcessSpec | None = None
    user: str | None = None
    password: EnvReference | None = None
    api_key: EnvReference | None = None
    wifi: Wifi | None = None
    boot_timeout_s: float | None = None
    power: HubPortSpec | CommandSpec | None = None
    trusted_network: bool = False
    latency: Latency = Latency()

    def consent(self) -> Consent:
        """The owner's, to change this board.

        :raises NoConsentError: its entry has no ``provision: true``
        """
        from . import consent

        return consent.of(self)

    def secrets(self, env: Mapping[str, str]) -> Secrets:
        """Look the secrets up in ``env``.

        :raises ConfigError: a variable is not set, or empty; all of this target's at once
        """
        unset = [
            f"{ref.where}: target '{self.name}' needs the environment variable {ref.name},"
            " which is not set"
            for ref in (self.password, self.api_key, self.wifi.key if self.wifi else None)
            if ref and not env.get(ref.name)
        ]
        if unset:
            raise ConfigError("\n".join(unset), hint="export it, or leave the target out")
        return Secrets(
            password=SecretStr(env[self.password.name]) if self.password else None,
            wifi_key=SecretStr(env[self.wifi.key.name]) if self.wifi and self.wifi.key else None,
            api_key=SecretStr(env[self.api_key.name]) if self.api_key else None,
        )
