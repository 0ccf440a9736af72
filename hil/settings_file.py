"""The file in which an application keeps its password, as the profile describes it.

Three formats (``files.settings_format``): ``camera`` is the reference application's, ``camera+all``
or ``camera+refresh+logout`` the same with features switched on; ``plain`` is the password and
nothing else; and a JSON text is a template, whose texts hold placeholders.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .secrets import SecretBytes, SecretStr

PLACEHOLDERS = ("user", "password", "hostname", "wifi_ssid", "wifi_key")
FEATURES = frozenset({"refresh", "logout", "device", "api_keys", "users"})
"""What the reference application can do besides (its README.md)."""

_PLACEHOLDER = re.compile(r"\{([a-z_]*)\}")


_NOTHING = SecretStr("")


@dataclass(frozen=True)
class Values:
    """What a board is given.

    :ivar others: further users, and their passwords
    :ivar api_key: None: it takes none
    """

    user: str
    password: SecretStr
    hostname: str = ""
    wifi_ssid: str = ""
    wifi_key: SecretStr = _NOTHING
    others: Mapping[str, SecretStr] = field(default_factory=dict)
    api_key: SecretStr | None = None


class SettingsFormat(Protocol):
    """:ivar sets_hostname: whether the file tells the application its host name; likewise
    ``sets_others``: further users, and ``sets_api_key``: a key
    """

    sets_hostname: bool
    sets_others: bool
    sets_api_key: bool

    def render(self, values: Values) -> SecretBytes:
        """The whole file."""

    def with_password(self, settings: bytes, values: Values) -> SecretBytes:
        """The same file with another password; of ``values`` only user and password count.

        :raises ValueError: it is not in this format
        """

    def wifi(self, settings: bytes | None) -> tuple[str, SecretStr]:
        """SSID and key of a file that a board already has; empty where it names none."""


def settings_format(text: str) -> SettingsFormat:
    """:raises ValueError: neither a known name nor a sound template"""
    known: dict[str, Callable[[], SettingsFormat]] = {"camera": Camera, "plain": Plain}
    name, plus, more = text.strip().partition("+")
    if name == "camera" and plus:
        return Camera(_features(more.split("+")))
    if text.strip() in known:
        return known[text.strip()]()
    try:
        template = json.loads(text)
    except ValueError as error:
        raise ValueError(f"neither {', '.join(known)} nor JSON: {error}") from None
    if not isinstance(template, dict):
        raise ValueError("a template is a JSON object")
    return Template(template)


def _features(names: list[str]) -> frozenset[str]:
    for name in names:
        if name not in FEATURES | {"all"}:
            raise ValueError(
                f"the camera has no feature {name!a}; known are all, {', '.join(sorted(FEATURES))}"
            )
    return FEATURES if "all" in names else frozenset(names)


class Camera:
    """settings.json of ``firmware/camera``: the password as PBKDF2. NTP is off: the bench sets the
    clock, and nothing may set it behind its back."""

    sets_hostname = True

    def __init__(self, features: frozenset[str] = frozenset()) -> None:
        self._features = features
        self.sets_others = "users" in features
        self.sets_api_key = "api_keys" in features

    def render(self, values: Values) -> SecretBytes:
        from . import provision

        return SecretBytes(
            provision.camera_settings(
                hostname=values.hostname,
                user=values.user,
                password=values.password,
                wifi_ssid=values.wifi_ssid,
                wifi_key=values.wifi_key,
                ntp_host="",
                features=self._features,
                others=values.others,
                api_key=values.api_key,
            )
        )

    def with_password(self, settings: bytes, values: Values) -> SecretBytes:
        from . import provision

        return SecretBytes(provision.with_password(settings, values.password))

    def wifi(self, settings: bytes | None) -> tuple[str, SecretStr]:
        from . import provision

        ssid, key = provision.wifi_of(settings)
        return ssid, SecretStr(key)


class Plain:
    """The password in UTF-8, without a line feed behind it."""

    sets_hostname = sets_others = sets_api_key = False

    def render(self, values: Values) -> SecretBytes:
        return SecretBytes(values.password.encode())

    def with_password(self, settings: bytes, values: Values) -> SecretBytes:
        return self.render(values)

    def wifi(self, settings: bytes | None) -> tuple[str, SecretStr]:
        return "", _NOTHING


class Template:
    """A JSON object with ``{password}`` and other placeholders in its texts."""

    sets_others = sets_api_key = False

    def __init__(self, template: dict[str, Any]) -> None:
        self._template = template
        texts = [text for _, text in _texts(template)]
        used = [name for text in texts for name in _PLACEHOLDER.findall(text)]
        for name in used:
            if name not in PLACEHOLDERS:
                raise ValueError(
                    f"unknown placeholder {{{name}}}; known are "
                    + ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
                )
        if "password" not in used:
            raise ValueError("no text has {password} in it")
        for text in texts:
            names = set(_PLACEHOLDER.findall(text))
            if "password" in names and names - {"user", "password"}:
                raise ValueError("beside {password}, a text may have {user} and no other")
        self.sets_hostname = "hostname" in used

    def render(self, values: Values) -> SecretBytes:
        return _json(_mapped(self._template, lambda text: _filled(text, values)))

    def with_password(self, settings: bytes, values: Values) -> SecretBytes:
        changed = json.loads(settings)
        for place, text in _texts(self._template):
            if "{password}" in text:
                _put(changed, place, _filled(text, values))
        return _json(changed)

    def wifi(self, settings: bytes | None) -> tuple[str, SecretStr]:
        try:
            had = dict(_texts(json.loads(settings or b"{}")))
        except ValueError:
            return "", _NOTHING
        whole = {text: place for place, text in _texts(self._template)}
        ssid, key = (had.get(whole.get(name, ()), "") for name in ("{wifi_ssid}", "{wifi_key}"))
        return ssid, SecretStr(key)


_Place = tuple[str | int, ...]


def _texts(value: Any, place: _Place = ()) -> Iterator[tuple[_Place, str]]:
    """Every text in a JSON value, and where it stands."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*place, key))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from _texts(inner, (*place, at))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(inner, change) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner, change) for inner in value]
    return value


def _put(value: Any, place: _Place, text: str) -> None:
    try:
        for step in place[:-1]:
            value = value[step]
        value[place[-1]] = text
    except (KeyError, IndexError, TypeError):
        raise ValueError("the settings file is not as the template has it") from None


def _filled(text: str, values: Values) -> SecretStr:
    # In one pass: a password may have "{user}" in it.
    return SecretStr(_PLACEHOLDER.sub(lambda found: str(getattr(values, found[1])), text))


def _json(value: Any) -> SecretBytes:
    return SecretBytes(json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n")
