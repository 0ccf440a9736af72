"""``labgrid:`` of a target in devices.yaml: the place, or the places, where its board is."""

from __future__ import annotations

from typing import Any

from .document import Document, Place, did_you_mean
from .places.address import PlaceSpec, coordinator_at

_KEYS = ("coordinator", "place", "tags", "resource")
# What is of one board only, where the entry stands for several.
_OF_ONE = ("unique_id", "hostname", "power")


def labgrid_entry(document: Document, place: Place, fields: dict[str, Any]) -> None:
    """Put a :class:`PlaceSpec` for what ``labgrid`` says (``{coordinator, place}``, with
    ``resource`` where the place has several serial ports; or ``{coordinator, tags}``), and its URL
    into ``port``; or note what is wrong with it.

    :param place: the target's
    :param fields: the target's; a ``labgrid`` with mistakes is taken out
    """
    if "labgrid" not in fields:
        return
    told, at = fields.pop("labgrid"), (*place, "labgrid")
    before = len(document.mistakes)
    if not isinstance(told, dict):
        what = "'labgrid' must be a mapping: {coordinator: HOST:PORT, place: NAME}"
        document.mistake(at, what)
        return
    for key in told.keys() - set(_KEYS):
        meant = did_you_mean(key, _KEYS) or f"; known are {', '.join(_KEYS)}"
        document.mistake((*at, key), f"unknown key {key!a}{meant}", key=True)
    coordinator = _coordinator(document, at, told)
    name, resource = (_text(document, at, told, key) for key in ("place", "resource"))
    tags = _tags(document, at, told)
    if ("place" in told) == ("tags" in told):
        what = "'labgrid' needs 'place: NAME', or 'tags: {NAME: VALUE}' for all that have them"
        document.mistake(at, what, key=True)
    if "port" in fields:
        what = "'port' is what 'labgrid' tells: leave one of them out"
        document.mistake((*place, "port"), what, key=True)
    for key in _OF_ONE if "tags" in told else ():
        if key in fields:
            hint = ": give each place a tag 'unique_id'" if key == "unique_id" else ""
            what = f"'{key}' is of one board, and 'tags' may stand for several{hint}"
            document.mistake((*place, key), what, key=True)
    if len(document.mistakes) == before:
        spec = PlaceSpec(coordinator, name, tags, resource)
        fields["labgrid"], fields["port"] = spec, spec.url


def _coordinator(document: Document, at: Place, told: dict[str, Any]) -> str:
    written = told.get("coordinator")
    if not written:
        document.mistake((*at, "coordinator"), "'coordinator' is missing: HOST or HOST:PORT")
        return ""
    try:
        return coordinator_at(written if isinstance(written, str) else "")
    except ValueError:
        document.mistake((*at, "coordinator"), "'coordinator' must be HOST or HOST:PORT")
        return ""


def _text(document: Document, at: Place, told: dict[str, Any], key: str) -> str:
    value = told.get(key, "")
    if isinstance(value, str) and (value or key not in told):
        return value
    document.mistake((*at, key), f"'{key}' must be a name")
    return ""


def _tags(document: Document, at: Place, told: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    tags = told.get("tags")
    if "tags" not in told:
        return ()
    if isinstance(tags, dict) and tags and all(isinstance(value, str) for value in tags.values()):
        return tuple(tags.items())
    what = "'tags' must be a mapping, {NAME: VALUE}, with at least one that a place has to have"
    document.mistake((*at, "tags"), what)
    return ()
