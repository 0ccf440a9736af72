"""``flash:`` of a target in devices.yaml: which images, by which method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .boards.table import model_named
from .document import Document, Place, did_you_mean
from .flash.method import methods

if TYPE_CHECKING:
    from .boards.model import Model

_KEYS = ("command", "image", "images", "method")


@dataclass(frozen=True)
class ImageFile:
    """:ivar path: absolute; read when the board is flashed, for it may have to be built first
    :ivar where: ``FILE:LINE:COLUMN``, or the option that named it
    """

    path: str
    where: str


@dataclass(frozen=True)
class FlashSpec:
    """:ivar method: a name of the registry
    :ivar images: by partition, in the order in which they are written
    :ivar command: what the method ``command`` runs; None for all others
    """

    method: str
    images: Mapping[str, ImageFile]
    command: str | None = None


def flash_entry(document: Document, place: Place, fields: dict[str, Any]) -> None:
    """Put a :class:`FlashSpec` in the place of what ``flash`` says, or note what is wrong with it.

    :param place: the target's
    :param fields: the target's; a ``flash`` that has mistakes is taken out
    """
    entry = fields.pop("flash", None)
    if entry is None:
        return
    at = (*place, "flash")
    before = len(document.mistakes)
    row = model_named(fields.get("model"))  # None is told elsewhere
    if not isinstance(entry, dict):
        document.mistake(at, "'flash' must be a mapping: 'image: FILE' and so on")
        return
    for key in entry.keys() - set(_KEYS):
        meant = did_you_mean(key, _KEYS) or f"; known are {', '.join(_KEYS)}"
        document.mistake((*at, key), f"unknown key {key!a}{meant}", key=True)
    if fields.get("provision") != "true":
        document.mistake(at, "'flash' needs 'provision: true', the consent to write", key=True)
    method = _method(document, at, entry, row, str(fields.get("kind")))
    images = _images(document, at, entry, row)
    command = entry.get("command")
    if len(document.mistakes) == before and method:
        fields["flash"] = FlashSpec(method, images, command)


def firmware_partition(row: Model) -> str | None:
    """Where ``image`` goes; None where one image does not do."""
    names = [one.name for one in row.partitions if not one.never]
    return "FIRMWARE" if "FIRMWARE" in names else None


def default_method(row: Model, kind: str) -> str:
    """The model's own; a virtual board's is ``virtual``."""
    return "virtual" if kind == "virtual" else str(row.flash_method)


def _method(
    document: Document, at: Place, entry: dict[str, Any], row: Model | None, kind: str
) -> str | None:
    command, method = entry.get("command"), entry.get("method")
    for key in ("command", "method"):
        if key in entry and (not isinstance(entry[key], str) or not entry[key]):
            document.mistake((*at, key), f"'{key}' must be text")
            return None
    if command and method not in (None, "command"):
        document.mistake((*at, "command"), f"'command' has no meaning for method {method!a}")
    elif method == "command" and not command:
        document.mistake((*at, "method"), "method 'command' needs 'command'")
    elif method and method not in methods() and method != "command":
        meant = did_you_mean(method, methods()) or f"; known are {', '.join(methods())}"
        document.mistake((*at, "method"), f"unknown flashing method {method!a}{meant}")
    elif command:
        return "command"
    elif method:
        return str(method)
    elif row:
        return default_method(row, kind)
    return None


def _images(
    document: Document, at: Place, entry: dict[str, Any], row: Model | None
) -> dict[str, ImageFile]:
    if ("image" in entry) == ("images" in entry):
        document.mistake(at, "'flash' needs 'image', or 'images' for several partitions", key=True)
        return {}
    if "image" in entry:
        name = firmware_partition(row) if row else "FIRMWARE"
        if row and name is None:
            names = " and ".join(row.flashed_together)
            what = f"an {row.title} needs 'images', with {names}"
            document.mistake((*at, "image"), what, key=True)
        file = _file(document, (*at, "image"), entry["image"])
        return {name: file} if name and file else {}
    images = entry["images"]
    if not isinstance(images, dict) or not images:
        document.mistake((*at, "images"), "'images' must be a mapping, 'PARTITION: FILE' for each")
        return {}
    for name in images:
        _partition(document, (*at, "images", name), name, row)
    missing = set(row.flashed_together) - images.keys() if row else set()
    if row and missing and images.keys() & set(row.flashed_together):
        what = f"{' and '.join(row.flashed_together)} are flashed together"
        document.mistake((*at, "images"), f"{what}: {', '.join(sorted(missing))} is missing")
    files = {name: _file(document, (*at, "images", name), file) for name, file in images.items()}
    return {name: file for name, file in files.items() if file}


def _partition(document: Document, at: Place, name: str, row: Model | None) -> None:
    if row is None:
        return
    known = {one.name: one for one in row.partitions}
    if name not in known:
        may = [one.name for one in row.partitions if not one.never]
        known_are = f"; known are {', '.join(may)}"
        document.mistake(at, f"an {row.title} has no partition {name!a}{known_are}", key=True)
    elif known[name].never:
        document.mistake(at, f"{name} is never written: {known[name].never}", key=True)


def _file(document: Document, at: Place, written: Any) -> ImageFile | None:
    """Its path is relative to the inventory's folder, not to the shell's."""
    if not isinstance(written, str) or not written:
        document.mistake(at, "give the image's file")
        return None
    try:
        path = str((document.path.parent / Path(written).expanduser()).resolve())
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a loop of links
        document.mistake(at, f"{written!a} is no path")
        return None
    return ImageFile(path, document.where(at))
