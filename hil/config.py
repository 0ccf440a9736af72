"""devices.yaml: from YAML to frozen, typed targets, with all mistakes told at once.

Each mistake is one line, ``FILE:LINE:COLUMN: what is wrong``, in the words of whoever wrote the
file. pydantic and ruamel.yaml are imported when a file is read, not when this module is.

A password or a Wi-Fi key is never written in the file, only ``${NAME}`` of the environment variable
that holds it. It is looked up when its target is used (:meth:`TargetSpec.secrets`), so a variable
that is not set for one board does not stop a run on another.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args
from urllib.parse import urlsplit

from .boards.table import model, models
from .document import Document, Place, Value, did_you_mean
from .errors import ConfigError
from .flash_entry import FlashSpec, flash_entry
from .power_entry import CommandSpec, HubPortSpec, power_entry
from .secrets import SecretStr

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from .consent import Consent

Kind = Literal["virtual", "board", "url"]

_STRICT = {"extra": "forbid"}

PACKAGED = Path(__file__).with_name("devices.yaml")
"""The default inventory: the embedded bench."""


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
class Secrets:
    """A target's secrets, looked up. None: devices.yaml names none."""

    password: SecretStr | None
    wifi_key: SecretStr | None


@dataclass(frozen=True)
class TargetSpec:
    """One target as devices.yaml describes it.

    :ivar where: ``FILE:LINE:COLUMN`` of its name
    :ivar kind: ``virtual`` (the harness starts it), ``board`` (attached here), ``url`` (anything
        that answers HTTP)
    :ivar model: a key of the board table; None only for ``url``
    :ivar usb_serial: the USB serial number that tells the board from all others
    :ivar port: a serial device, or ``rfc2217://HOST:PORT`` or ``socket://HOST:PORT`` of a serial
        server, where there is no USB serial number
    :ivar unique_id: the board's ``machine.unique_id()``; None: whatever board is behind the port
    :ivar hostname: name on the network without ``.local``; None: the harness makes a unique one
    :ivar url: base URL
    :ivar profile: name of a packaged profile, or the absolute path of a file
    :ivar firmware: ``camera`` (the reference application) or the absolute path of a folder
    :ivar provision: the owner's consent to write on the board: files, settings, secret, clock
    :ivar flash: which firmware images it is to run; None: whatever it runs
    :ivar user: user to log in as; None: the profile's
    :ivar boot_timeout_s: seconds from a reset to the first answer; None: the profile's
    :ivar power: what switches the board's power; None: nothing does
    :ivar trusted_network: credentials may cross this network in the clear
    """

    __pydantic_config__: ClassVar[Mapping[str, str]] = _STRICT

    name: str
    where: str
    kind: Kind
    model: str | None = None
    usb_serial: str | None = None
    port: str | None = None
    unique_id: str | None = None
    hostname: str | None = None
    url: str | None = None
    profile: str = "camera"
    firmware: str = "camera"
    provision: bool = False
    flash: FlashSpec | None = None
    user: str | None = None
    password: EnvReference | None = None
    wifi: Wifi | None = None
    boot_timeout_s: float | None = None
    power: HubPortSpec | CommandSpec | None = None
    trusted_network: bool = False

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
            for ref in (self.password, self.wifi.key if self.wifi else None)
            if ref and not env.get(ref.name)
        ]
        if unset:
            raise ConfigError("\n".join(unset), hint="export it, or leave the target out")
        return Secrets(
            password=SecretStr(env[self.password.name]) if self.password else None,
            wifi_key=SecretStr(env[self.wifi.key.name]) if self.wifi and self.wifi.key else None,
        )


@dataclass(frozen=True)
class Inventory:
    """:ivar path: the file it was read from"""

    path: Path
    targets: Mapping[str, TargetSpec]

    @property
    def packaged(self) -> bool:
        """Whether this is the default inventory, because nobody wrote one."""
        return self.path == PACKAGED


def load(explicit: Path | None, rootdir: Path, env: Mapping[str, str]) -> Inventory:
    """Read the inventory: ``explicit`` (--devices), else ``$HIL_DEVICES``, else ``devices.yaml`` in
    ``rootdir``, else the packaged one.

    :raises ConfigError: the file cannot be read, or has mistakes: all of them at once
    """
    if explicit is not None:
        return read(explicit, named_by="--devices")
    if env.get("HIL_DEVICES"):
        return read(Path(env["HIL_DEVICES"]), named_by="HIL_DEVICES")
    if (rootdir / "devices.yaml").exists():
        return read(rootdir / "devices.yaml")
    return embedded_inventory()


def embedded_inventory() -> Inventory:
    """The packaged inventory: two virtual boards."""
    return read(PACKAGED)


def select(inventory: Inventory, names: Sequence[str] | None) -> tuple[TargetSpec, ...]:
    """The targets of these names in the inventory's order; None or no name: all.

    :raises ConfigError: a name is not in the inventory
    """
    for name in names or ():
        if name not in inventory.targets:
            raise ConfigError(
                f"{inventory.path}: no target {name!a}{did_you_mean(name, inventory.targets)}",
                hint=f"it lists {', '.join(inventory.targets)}",
            )
    return tuple(spec for spec in inventory.targets.values() if not names or spec.name in names)


def read(path: Path, *, named_by: str | None = None) -> Inventory:
    """Read one inventory file.

    :param named_by: what asked for this file, for the message when it is not there
    :raises ConfigError: the file cannot be read, or has mistakes: all of them at once
    """
    document = Document.read(path, named_by=named_by)
    targets = _targets(document)
    if document.mistakes:
        raise document.error()
    return Inventory(path, MappingProxyType(targets))


# --- what the document says of targets ----------------------------------------------------------

_FIELDS = frozenset(field.name for field in dataclasses.fields(TargetSpec)) - {"name", "where"}

# Which kinds a field has a meaning for; a field that is not here has one for all.
_KINDS: Mapping[str, tuple[Kind, ...]] = {
    "model": ("virtual", "board"),
    "usb_serial": ("board",),
    "port": ("board",),
    "unique_id": ("board",),
    "hostname": ("virtual", "board"),
    "url": ("url",),
    "firmware": ("virtual", "board"),
    "provision": ("virtual", "board"),
    "flash": ("virtual", "board"),
    "wifi": ("board",),
    "power": ("board",),
}

# A target's name becomes part of test ids and file names.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
_ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
# network.hostname() takes 32 characters; RFC 1123 section 2.1 says which.
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?", re.ASCII)
_MAX_BOOT_TIMEOUT_S = 600.0


def _targets(document: Document) -> dict[str, TargetSpec]:
    top = document.value
    if top is None:
        document.mistake((), "the file is empty: it needs 'targets:' with at least one target")
        return {}
    if not isinstance(top, dict):
        document.mistake((), "the file must begin with 'targets:'")
        return {}
    for key in top.keys() - {"targets"}:
        known = did_you_mean(key, ["targets"]) or ": the file has one key, 'targets'"
        document.mistake((key,), f"unknown key {key!a}{known}", key=True)
    entries = top.get("targets")
    if isinstance(entries, list):
        document.mistake(("targets",), "'targets' must be a mapping, 'NAME:' for each, not a list")
        return {}
    if not entries or not isinstance(entries, dict):
        if "targets" in top or len(top) == 0:
            document.mistake(("targets",), "no targets: list at least one under 'targets:'")
        return {}
    targets = {}
    for name, entry in entries.items():
        spec = _target(document, name, entry)
        if spec:
            targets[name] = spec
    _no_two_alike(document, entries)
    _no_two_powered_alike(document, targets)
    return targets


def _target(document: Document, name: str, entry: Value) -> TargetSpec | None:
    place = ("targets", name)
    before = len(document.mistakes)
    if not _NAME.fullmatch(name):
        document.mistake(
            place,
            f"target name {name!a}: letters, digits, '-', '_' and '.' only, 63 at most",
            key=True,
        )
    if not isinstance(entry, dict):
        document.mistake(place, f"target {name!a} must be a mapping: 'kind: …' and so on", key=True)
        return None
    fields = {key: value for key, value in entry.items() if _has_value(document, place, key, value)}
    _kind_fits(document, place, entry)
    _references(document, place, fields)
    for check in (
        _model,
        _addresses,
        _unique_id,
        _hostname,
        _url,
        _profile,
        _firmware,
        flash_entry,
        _boot_timeout,
        power_entry,
    ):
        check(document, place, fields)
    spec = _validated(document, place, fields)
    return spec if len(document.mistakes) == before else None


def _has_value(document: Document, place: Place, key: str, value: Value) -> bool:
    if key in ("name", "where"):
        document.mistake(
            (*place, key), f"unknown key '{key}'{did_you_mean(key, _FIELDS)}", key=True
        )
    elif value in (None, "") and key in _FIELDS:
        document.mistake((*place, key), f"'{key}' has no value: give one or remove the line")
    else:
        return True
    return False


def _kind_fits(document: Document, place: Place, fields: dict[str, Any]) -> None:
    """What the kind has no use for, and what it lacks; an empty value counts as written."""
    kind = fields.get("kind")
    for key in sorted(fields.keys() & _KINDS.keys()):
        kinds = _KINDS[key]
        if kind in get_args(Kind) and kind not in kinds:
            what = f"'{key}' has no meaning for kind {kind}, only for {' and '.join(kinds)}"
            document.mistake((*place, key), what, key=True)
    if kind in ("virtual", "board") and "model" not in fields:
        document.mistake((*place, "model"), "'model' is missing: which board is it?")
    if kind == "board" and not fields.keys() & {"usb_serial", "port"}:
        document.mistake(
            (*place, "usb_serial"),
            "'usb_serial' is missing: the board's USB serial number ('hil list' shows it),"
            " or 'port' where it has none",
        )
    if kind == "url" and "url" not in fields:
        document.mistake((*place, "url"), "'url' is missing")


def _references(document: Document, place: Place, fields: dict[str, Any]) -> None:
    """Turn ``${NAME}`` into a reference, and refuse it, or a secret in clear, anywhere else."""
    wifi = fields.get("wifi")
    if isinstance(wifi, dict):
        fields["wifi"] = wifi = dict(wifi)
        _secret(document, (*place, "wifi"), wifi, "key", suggestion="WIFI_KEY")
    suggestion = re.sub(r"\W", "_", f"{place[-1]}_PASSWORD", flags=re.ASCII).upper()
    _secret(document, place, fields, "password", suggestion=f"HIL_{suggestion}")
    for key, value in fields.items():
        if isinstance(value, str) and "${" in value:
            what = f"'{key}' takes no ${{NAME}}: only 'password' and the Wi-Fi 'key' do"
            document.mistake((*place, key), what)


def _secret(
    document: Document, place: Place, fields: dict[str, Any], key: str, *, suggestion: str
) -> None:
    """Never echoes the value: it may be the secret itself."""
    value = fields.get(key)
    if key not in fields:
        return
    reference = _ENV.fullmatch(value) if isinstance(value, str) else None
    if reference:
        fields[key] = EnvReference(reference[1], document.where((*place, key)))
        return
    del fields[key]
    document.mistake(
        (*place, key),
        f"'{key}' must not stand in this file: put it into an environment variable and write"
        f" ${{{suggestion}}}",
    )


def _model(document: Document, place: Place, fields: dict[str, Any]) -> None:
    key = fields.get("model")
    known = [row.key for row in models()]
    if isinstance(key, str) and key not in known:
        meant = did_you_mean(key, known) or f"; known are {', '.join(known)}"
        document.mistake((*place, "model"), f"unknown model {key!a}{meant}")


def _addresses(document: Document, place: Place, fields: dict[str, Any]) -> None:
    serial, port, key = fields.get("usb_serial"), fields.get("port"), fields.get("model")
    if isinstance(serial, str) and re.search(r"[^!-~]", serial):
        document.mistake(
            (*place, "usb_serial"), "'usb_serial' holds a blank or a control character"
        )
    if not isinstance(port, str):
        return
    if "://" in port:
        _remote_port(document, place, port, fields)
    if serial:
        return
    by_usb = key in {row.key for row in models()} and model(str(key)).identified_by_usb
    if by_usb and re.match(r"/dev/(ttyACM|cu\.usbmodem|tty\.usbmodem)", port):
        document.mistake(
            (*place, "port"),
            f"{port!a} may be another board after the next reset: write 'usb_serial'"
            " ('hil list' shows it)",
        )


def _remote_port(document: Document, place: Place, port: str, fields: dict[str, Any]) -> None:
    try:
        parts = urlsplit(port)
        sound = parts.hostname and parts.port and parts.scheme in ("rfc2217", "socket")
        bare = port == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc
    except ValueError:
        sound = bare = False
    if not sound or not bare or re.search(r"\s", port):
        document.mistake(
            (*place, "port"),
            "'port' at a serial server is rfc2217://HOST:PORT or socket://HOST:PORT",
        )
    flash = fields.get("flash")
    if isinstance(flash, dict) and flash.get("method") != "command":
        document.mistake(
            (*place, "flash"),
            "'flash' does not reach the bootloader of a board at a serial server: flash it there,"
            " or by a 'command'",
            key=True,
        )
    if "usb_serial" in fields:
        document.mistake(
            (*place, "usb_serial"),
            "'usb_serial' does not show through a serial server: write 'unique_id' instead",
            key=True,
        )


def _unique_id(document: Document, place: Place, fields: dict[str, Any]) -> None:
    written, key = fields.get("unique_id"), fields.get("model")
    if not isinstance(written, str):
        return
    if not re.fullmatch(r"([0-9A-Fa-f]{2})+", written):
        document.mistake(
            (*place, "unique_id"), "'unique_id' is hexadecimal: 2 digits for each byte"
        )
        return
    known = {row.key: row.unique_id_bytes for row in models()}
    if key in known and len(written) != 2 * known[key]:
        document.mistake(
            (*place, "unique_id"),
            f"'unique_id' of {key!a} has {2 * known[key]} digits, not {len(written)}",
        )


def _hostname(document: Document, place: Place, fields: dict[str, Any]) -> None:
    name = fields.get("hostname")
    if not isinstance(name, str) or _HOSTNAME.fullmatch(name):
        return
    if name.endswith(".local"):
        what = "'hostname' goes without '.local'"
    else:
        what = "'hostname' is 1 to 32 letters, digits and '-', with no '-' at the ends"
    document.mistake((*place, "hostname"), what)


def _url(document: Document, place: Place, fields: dict[str, Any]) -> None:
    url = fields.get("url")
    if not isinstance(url, str):
        return
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        in_clear = "@" in parts.netloc
    except ValueError:
        sound, in_clear = False, "@" in url
    if in_clear:
        document.mistake((*place, "url"), "'url' carries a login: write 'user' and 'password'")
    elif not sound or parts.query or parts.fragment or re.search(r"\s", url):
        document.mistake((*place, "url"), "'url' must be like http://192.168.1.20 or https://…")


def _profile(document: Document, place: Place, fields: dict[str, Any]) -> None:
    name = fields.get("profile")
    if not isinstance(name, str):
        return
    if "/" in name or "\\" in name or name.endswith((".yaml", ".yml")):
        _beside(document, place, fields, "profile", Path.is_file, "file")
        return
    packaged = {path.stem for path in PACKAGED.with_name("profiles").glob("*.yaml")}
    if name not in packaged:
        meant = did_you_mean(name, packaged) or f"; packaged are {', '.join(sorted(packaged))}"
        document.mistake((*place, "profile"), f"unknown profile {name!a}{meant}")


def _firmware(document: Document, place: Place, fields: dict[str, Any]) -> None:
    if isinstance(fields.get("firmware"), str) and fields["firmware"] != "camera":
        _beside(document, place, fields, "firmware", Path.is_dir, "folder")


def _beside(
    document: Document,
    place: Place,
    fields: dict[str, Any],
    key: str,
    is_there: Callable[[Path], bool],
    what: str,
) -> None:
    """Make a path absolute; it is relative to the inventory's folder, not to the shell's."""
    written = fields[key]
    try:
        path = (document.path.parent / written).resolve()
        found = is_there(path)
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a loop of links
        found = False
    if found:
        fields[key] = str(path)
    else:
        document.mistake((*place, key), f"{key!a}: there is no {what} {written!a} beside this file")


def _boot_timeout(document: Document, place: Place, fields: dict[str, Any]) -> None:
    try:
        seconds = float(fields.get("boot_timeout_s", 1.0))
    except (TypeError, ValueError):
        return  # told by the type check
    if not 0 < seconds <= _MAX_BOOT_TIMEOUT_S:
        what = f"'boot_timeout_s' must be more than 0 and at most {_MAX_BOOT_TIMEOUT_S:.0f} seconds"
        document.mistake((*place, "boot_timeout_s"), what)


def _no_two_powered_alike(document: Document, targets: Mapping[str, TargetSpec]) -> None:
    """A run on one board must not take the power of another."""
    owners: dict[HubPortSpec | CommandSpec, str] = {}
    for name, spec in targets.items():
        first = owners.setdefault(spec.power, name) if spec.power else name
        if first != name:
            what = f"target {first!a} has the same 'power': it would go off with this one"
            document.mistake(("targets", name, "power"), what, key=True)


def _no_two_alike(document: Document, entries: dict[str, Any]) -> None:
    for key in ("usb_serial", "port", "hostname"):
        owners: dict[str, str] = {}
        for name, entry in entries.items():
            value = entry.get(key) if isinstance(entry, dict) else None
            if not isinstance(value, str) or not value:
                continue
            # Operating systems change the case of serial numbers, and host names have none.
            same = value if key == "port" else value.lower()
            first = owners.setdefault(same, name)
            if first != name:
                what = f"target {first!a} has the same '{key}': two targets cannot be one board"
                document.mistake(("targets", name, key), what)


# --- types, through pydantic ---------------------------------------------------------------------


def _validated(document: Document, place: Place, fields: dict[str, Any]) -> TargetSpec | None:
    from pydantic import TypeAdapter, ValidationError

    whole = {**fields, "name": place[-1], "where": document.where(place, key=True)}
    try:
        return TypeAdapter(TargetSpec).validate_python(whole)
    except ValidationError as error:
        for details in error.errors(include_url=False, include_input=False):
            _type_mistake(document, place, details, fields)
        return None


def _type_mistake(
    document: Document, place: Place, details: ErrorDetails, fields: dict[str, Any]
) -> None:
    path = tuple(str(part) for part in details["loc"])
    at, key, kind = (*place, *path), path[-1], details["type"]
    tell = partial(document.mistake, at)
    if kind == "unexpected_keyword_argument":
        known = [one.name for one in dataclasses.fields(Wifi)] if path[0] == "wifi" else _FIELDS
        meant = did_you_mean(key, known) or f"; known are {', '.join(sorted(known))}"
        tell(f"unknown key {key!a}{meant}", key=True)
    elif kind == "missing":
        tell(f"'{key}' is missing" + (f": {', '.join(get_args(Kind))}" if key == "kind" else ""))
    elif kind == "literal_error":
        meant = did_you_mean(str(fields.get(key)), get_args(Kind))
        tell(f"'{key}' must be {details['ctx']['expected']}{meant}")
    elif kind.startswith("bool"):
        tell(f"'{key}' must be true or false")
    elif kind.startswith(("float", "finite")):
        tell(f"'{key}' must be a number of seconds")
    elif kind == "dataclass_type":
        tell(f"'{key}' must be a mapping with 'ssid' and 'key'")
    elif kind == "string_type":
        tell(f"'{key}' must be text, not a list or a mapping")
    else:
        tell(f"'{key}': {details['msg']}")


__all__ = [
    "PACKAGED",
    "Document",
    "EnvReference",
    "Inventory",
    "Kind",
    "Secrets",
    "TargetSpec",
    "Wifi",
    "embedded_inventory",
    "load",
    "read",
    "select",
]
