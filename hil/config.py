"""devices.yaml: from YAML to frozen, typed targets, with all mistakes told at once.

Each mistake is one line, ``FILE:LINE:COLUMN: what is wrong``, in the words of whoever wrote the
file. What one target says is read by :mod:`hil.target_entry`; what only shows between two, here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .document import Document, did_you_mean
from .errors import ConfigError
from .power_entry import CommandSpec, HubPortSpec
from .target_entry import target_entry
from .target_spec import EnvReference, Kind, Latency, Secrets, TargetSpec, Wifi

PACKAGED = Path(__file__).with_name("devices.yaml")
"""The default inventory: the embedded bench."""


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
        return _with_places(read(explicit, named_by="--devices"))
    if env.get("HIL_DEVICES"):
        return _with_places(read(Path(env["HIL_DEVICES"]), named_by="HIL_DEVICES"))
    if (rootdir / "devices.yaml").exists():
        return _with_places(read(rootdir / "devices.yaml"))
    return embedded_inventory()


def _with_places(inventory: Inventory) -> Inventory:
    """An entry that stands for several places of labgrid, as those that are there now."""
    specs = inventory.targets.values()
    if not any(spec.labgrid and not spec.labgrid.place for spec in specs):
        return inventory
    from .places.inventory import expanded

    targets = {spec.name: spec for spec in expanded(specs)}
    return replace(inventory, targets=MappingProxyType(targets))


def embedded_inventory() -> Inventory:
    """The packaged inventory: two virtual boards."""
    return read(PACKAGED)


def select(inventory: Inventory, names: Sequence[str] | None) -> tuple[TargetSpec, ...]:
    """The targets of these names in the inventory's order; None or no name: all. The name of an
    entry that stands for several places means all of them.

    :raises ConfigError: a name is not in the inventory
    """
    specs = inventory.targets.values()
    groups = {spec.labgrid.group for spec in specs if spec.labgrid}
    for name in names or ():
        if name not in inventory.targets and name not in groups - {""}:
            raise ConfigError(
                f"{inventory.path}: no target {name!a}{did_you_mean(name, inventory.targets)}",
                hint=f"it lists {', '.join(inventory.targets)}",
            )
    return tuple(
        spec
        for spec in specs
        if not names or spec.name in names or (spec.labgrid and spec.labgrid.group in names)
    )


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
        spec = target_entry(document, name, entry)
        if spec:
            targets[name] = spec
    _no_two_alike(document, entries)
    _no_two_powered_alike(document, targets)
    _no_two_at_one_place(document, targets)
    return targets


def _no_two_at_one_place(document: Document, targets: Mapping[str, TargetSpec]) -> None:
    owners: dict[tuple[str, str], str] = {}
    for name, spec in targets.items():
        if spec.labgrid and spec.labgrid.place:
            first = owners.setdefault((spec.labgrid.coordinator, spec.labgrid.place), name)
            if first != name:
                what = f"target {first!a} has the same 'place': two targets cannot be one board"
                document.mistake(("targets", name, "labgrid", "place"), what)


def _no_two_powered_alike(document: Document, targets: Mapping[str, TargetSpec]) -> None:
    """A run on one board must not take the power of another."""
    owners: dict[HubPortSpec | CommandSpec, str] = {}
    for name, spec in targets.items():
        first = owners.setdefault(spec.power, name) if spec.power else name
        if first != name:
            what = f"target {first!a} has the same 'power': it would go off with this one"
            document.mistake(("targets", name, "power"), what, key=True)


def _no_two_alike(document: Document, entries: dict[str, Any]) -> None:
    for key in ("usb_serial", "port", "unique_id", "hostname"):
        owners: dict[str, str] = {}
        for name, entry in entries.items():
            value = entry.get(key) if isinstance(entry, dict) else None
            if not isinstance(value, str) or not value:
                continue
            # Operating systems change the case of serial numbers; ids and host names have none.
            same = value if key == "port" else value.lower()
            first = owners.setdefault(same, name)
            if first != name:
                what = f"target {first!a} has the same '{key}': two targets cannot be one board"
                document.mistake(("targets", name, key), what)


__all__ = [
    "PACKAGED",
    "EnvReference",
    "Inventory",
    "Kind",
    "Latency",
    "Secrets",
    "TargetSpec",
    "Wifi",
    "embedded_inventory",
    "load",
    "read",
    "select",
]
