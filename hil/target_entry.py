"""One target's entry in devices.yaml, as a :class:`TargetSpec`, or all that is wrong with it.

pydantic is imported when an entry is read, not when this module is.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from .address_entry import address_entry
from .boards.table import models
from .document import Document, Place, Value, did_you_mean
from .flash_entry import flash_entry
from .labgrid_entry import labgrid_entry
from .power_entry import power_entry
from .process_entry import KEYS as PROCESS_KEYS
from .process_entry import process_entry
from .target_spec import EnvReference, Kind, Latency, TargetSpec, Wifi

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# What no entry says by these names: it has the first, and stands at the second.
_NOT_SAID = frozenset({"name", "where", "process"})
FIELDS = (
    frozenset(field.name for field in dataclasses.fields(TargetSpec)) - _NOT_SAID
) | frozenset(PROCESS_KEYS)
"""What an entry may say."""

# Which kinds a field has a meaning for; a field that is not here has one for all.
_KINDS: Mapping[str, tuple[Kind, ...]] = {
    "model": ("virtual", "board"),
    "usb_serial": ("board",),
    "port": ("board",),
    "labgrid": ("board",),
    "unique_id": ("board",),
    "hostname": ("virtual", "board"),
    "latency": ("virtual",),
    "url": ("url",),
    "firmware": ("virtual", "board"),
    "provision": ("virtual", "board"),
    "flash": ("virtual", "board"),
    "wifi": ("board",),
    "power": ("board",),
    **dict.fromkeys(PROCESS_KEYS, ("process",)),
}

_MAPPINGS: Mapping[str, type[Wifi | Latency]] = {"wifi": Wifi, "latency": Latency}
"""Fields that have fields of their own."""

# A target's name becomes part of test ids and file names.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)
_ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_MAX_BOOT_TIMEOUT_S = 600.0
_MAX_LATENCY_S = 60.0
_PROFILES = Path(__file__).with_name("profiles")


def target_entry(document: Document, name: str, entry: Value) -> TargetSpec | None:
    """What stands under a target's name; None: it has mistakes, which are noted."""
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
        address_entry,
        labgrid_entry,
        _profile,
        _firmware,
        flash_entry,
        _boot_timeout,
        _latency,
        power_entry,
        process_entry,
    ):
        check(document, place, fields)
    spec = _validated(document, place, fields)
    return spec if len(document.mistakes) == before else None


def _has_value(document: Document, place: Place, key: str, value: Value) -> bool:
    if key in _NOT_SAID:
        document.mistake((*place, key), f"unknown key '{key}'{did_you_mean(key, FIELDS)}", key=True)
    elif value in (None, "") and key in FIELDS:
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
    if kind == "board" and not fields.keys() & {"usb_serial", "port", "labgrid"}:
        document.mistake(
            (*place, "usb_serial"),
            "'usb_serial' is missing: the board's USB serial number ('hil list' shows it),"
            " or 'port' where it has none, or 'labgrid'",
        )
    if kind == "url" and "url" not in fields:
        document.mistake((*place, "url"), "'url' is missing")


def _references(document: Document, place: Place, fields: dict[str, Any]) -> None:
    """Turn ``${NAME}`` into a reference, and refuse it, or a secret in clear, anywhere else."""
    wifi = fields.get("wifi")
    if isinstance(wifi, dict):
        fields["wifi"] = wifi = dict(wifi)
        _secret(document, (*place, "wifi"), wifi, "key", suggestion="WIFI_KEY")
    for key in ("password", "api_key"):
        suggestion = re.sub(r"\W", "_", f"HIL_{place[-1]}_{key}", flags=re.ASCII).upper()
        _secret(document, place, fields, key, suggestion=suggestion)
    for key, value in fields.items():
        if isinstance(value, str) and "${" in value and key not in PROCESS_KEYS:
            what = f"'{key}' takes no ${{NAME}}: only 'password', 'api_key' and the Wi-Fi 'key' do"
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


def _profile(document: Document, place: Place, fields: dict[str, Any]) -> None:
    name = fields.get("profile")
    if not isinstance(name, str):
        return
    if "/" in name or "\\" in name or name.endswith((".yaml", ".yml")):
        _beside(document, place, fields, "profile", Path.is_file, "file")
        return
    packaged = {path.stem for path in _PROFILES.glob("*.yaml")}
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


def _latency(document: Document, place: Place, fields: dict[str, Any]) -> None:
    given = fields.get("latency")
    for key, value in given.items() if isinstance(given, dict) else ():
        try:
            seconds = float(value)
        except (TypeError, ValueError):
            continue  # told by the type check
        if not 0 <= seconds <= _MAX_LATENCY_S:
            what = f"'{key}' must be from 0 to {_MAX_LATENCY_S:.0f} seconds"
            document.mistake((*place, "latency", key), what)


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
    inside = _MAPPINGS.get(path[0])
    if kind == "unexpected_keyword_argument":
        known = [one.name for one in dataclasses.fields(inside)] if inside else FIELDS
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
        names = [repr(field.name) for field in dataclasses.fields(_MAPPINGS[key])]
        tell(f"'{key}' must be a mapping with {', '.join(names[:-1])} and {names[-1]}")
    elif kind == "string_type":
        tell(f"'{key}' must be text, not a list or a mapping")
    else:
        tell(f"'{key}': {details['msg']}")
