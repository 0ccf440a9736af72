"""The board table: every model that the harness knows, and who owns a USB id."""

from __future__ import annotations

from . import arduino, esp32, openmv
from .model import Model, Port, UsbId, UsbMode
from .serials import (
    bootloader_serial_number_of,
    serial_number_matches,
    serial_number_of,
    short_form,
    unique_id_of,
    unique_id_of_bootloader,
)

__all__ = [
    "Model",
    "Port",
    "UsbId",
    "UsbMode",
    "bootloader_serial_number_of",
    "identify",
    "model",
    "model_named",
    "models",
    "serial_number_matches",
    "serial_number_of",
    "short_form",
    "unique_id_of",
    "unique_id_of_bootloader",
]

_MODELS = {row.key: row for row in (*openmv.MODELS, *arduino.MODELS, *esp32.MODELS)}


def models() -> tuple[Model, ...]:
    """All models, OpenMV's first."""
    return tuple(_MODELS.values())


def model(key: str) -> Model:
    """The model that devices.yaml calls ``key``.

    :raises KeyError: there is none
    """
    return _MODELS[key]


def model_named(written: object) -> Model | None:
    """The same of what stands in a file; None: there is none, or it is no text."""
    return _MODELS.get(written) if isinstance(written, str) else None


def _index() -> dict[UsbId, tuple[tuple[Model, UsbMode], ...]]:
    owners: dict[UsbId, tuple[tuple[Model, UsbMode], ...]] = {}
    for row in _MODELS.values():
        ids_of: dict[UsbMode, tuple[UsbId, ...]] = {
            "run": row.run_ids + row.legacy_ids,
            "bootloader": row.bootloader_ids,
            "recovery": row.recovery_ids,
            "unknown": row.foreign_ids,
        }
        for mode, ids in ids_of.items():
            for usb_id in ids:
                owners[usb_id] = (*owners.get(usb_id, ()), (row, mode))
    return owners


_OWNERS = _index()


def identify(vid: int, pid: int) -> tuple[Model | None, UsbMode]:
    """What a USB id says: the model, or None if several share it or none has it, and the mode.

    A board under firmware that is not MicroPython (an Arduino sketch) has a model and the mode
    ``unknown``.
    """
    owners = _OWNERS.get((vid, pid), ())
    modes = {mode for _, mode in owners}
    mode: UsbMode = modes.pop() if len(modes) == 1 else "unknown"
    return (owners[0][0] if len(owners) == 1 else None), mode
