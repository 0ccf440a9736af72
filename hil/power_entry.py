"""``power:`` of a target in devices.yaml: what switches it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .document import Document, Place, did_you_mean

# Bus, and the ports on the way, as the kernel and uhubctl write them; uhubctl's hubs end at 14.
_HUB = re.compile(r"[1-9][0-9]*(-[1-9][0-9]*(\.[1-9][0-9]*)*)?", re.ASCII)
_HUB_PORT = re.compile(r"[1-9]|1[0-4]", re.ASCII)


@dataclass(frozen=True)
class HubPortSpec:
    """Power through a USB hub that switches its ports one by one.

    :ivar hub: where the hub is plugged in: ``1-1.4``
    """

    hub: str
    port: int


@dataclass(frozen=True)
class CommandSpec:
    """Power by two commands: program and arguments, which no shell reads."""

    off: tuple[str, ...]
    on: tuple[str, ...]


def power_entry(document: Document, place: Place, fields: dict[str, Any]) -> None:
    """Put a :class:`HubPortSpec` or a :class:`CommandSpec` in the place of what ``power`` says
    (``none``, ``uhubctl: {hub, port}`` or ``command: {off, on}``), or note what is wrong with it.

    :param place: the target's
    :param fields: the target's; a ``power`` that is none or has mistakes is taken out
    """
    if "power" not in fields:
        return
    power, place = fields.pop("power"), (*place, "power")
    if power == "none":
        return
    ways: dict[str, Callable[[Document, Place, Any], HubPortSpec | CommandSpec | None]]
    ways = {"uhubctl": _hub_port, "command": _command}
    if not isinstance(power, dict) or len(power) != 1:
        document.mistake(place, "'power' must be none, or a mapping with 'uhubctl' or 'command'")
        return
    ((way, told),) = power.items()
    if way in ways:
        fields["power"] = ways[way](document, (*place, way), told)
    else:
        meant = did_you_mean(way, ways) or f"; known are {', '.join(ways)}"
        document.mistake((*place, way), f"unknown key {way!a}{meant}", key=True)


def _two_keys(document: Document, place: Place, told: Any, keys: tuple[str, str]) -> bool:
    way = place[-1]
    if not isinstance(told, dict):
        document.mistake(place, f"'{way}' must be a mapping with '{keys[0]}' and '{keys[1]}'")
        return False
    for key in told.keys() - set(keys):
        meant = did_you_mean(key, keys) or f"; known are {', '.join(keys)}"
        document.mistake((*place, key), f"unknown key {key!a}{meant}", key=True)
    for key in keys:
        if not told.get(key):
            what = "has no value" if key in told else "is missing"
            document.mistake((*place, key), f"'{key}' {what}")
    return not told.keys() - set(keys) and all(told.get(key) for key in keys)


def _hub_port(document: Document, place: Place, told: Any) -> HubPortSpec | None:
    if not _two_keys(document, place, told, ("hub", "port")):
        return None
    hub, port = told["hub"], told["port"]
    sound = True
    if not isinstance(hub, str) or not _HUB.fullmatch(hub):
        what = "'hub' must be where the hub is plugged in, like 1-1.4 ('uhubctl' shows it)"
        document.mistake((*place, "hub"), what)
        sound = False
    if not isinstance(port, str) or not _HUB_PORT.fullmatch(port):
        document.mistake((*place, "port"), "'port' must be a port of the hub, from 1 to 14")
        sound = False
    return HubPortSpec(hub, int(port)) if sound else None


def _command(document: Document, place: Place, told: Any) -> CommandSpec | None:
    if not _two_keys(document, place, told, ("off", "on")):
        return None
    sound = True
    for key in ("off", "on"):
        words = told[key]
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            what = f"'{key}' must be a list, [program, argument, …]: no shell reads it"
        elif any("${" in word for word in words):
            what = f"'{key}' takes no ${{NAME}}: the program itself reads the environment"
        elif not words[0] or any("\0" in word for word in words):
            what = f"'{key}' must begin with a program"
        else:
            continue
        document.mistake((*place, key), what)
        sound = False
    return CommandSpec(tuple(told["off"]), tuple(told["on"])) if sound else None
