"""How a board's USB serial number follows from ``machine.unique_id()``, and the bootloader's.

The relation differs by port, by firmware release and between run mode and bootloader, so it is
code with tests. ``unique_id`` is in memory order, as MicroPython returns it.
"""

from __future__ import annotations

import hashlib
import re

from .model import Model


def serial_number_of(model: Model, unique_id: bytes) -> frozenset[str]:
    """The USB serial numbers that a board of this model with this id may show while it runs.

    Under the rule ``hex-prefix`` the string is the beginning of the number. Empty under the rule
    ``bridge``: the number is the bridge's. Compare with :func:`serial_number_matches`.

    :raises ValueError: the id has not the length of the port's ids
    """
    _check_length(model, unique_id)
    if model.serial_rule in ("hex", "hex-prefix"):
        return frozenset({unique_id.hex()})
    if model.serial_rule == "st":
        return frozenset({_st_form(unique_id, masked=False)})
    if model.serial_rule == "hex-or-st":
        return frozenset({unique_id.hex(), _st_form(unique_id, masked=True)})
    return frozenset()


def serial_number_matches(model: Model, unique_id: bytes, serial_number: str) -> bool:
    """Whether the board with this id may be the one behind this USB serial number.

    True for a UART bridge, whose number says nothing of the board. Letter case does not count:
    operating systems change it.

    :raises ValueError: the id has not the length of the port's ids
    """
    if model.serial_rule == "bridge":
        return True
    seen = serial_number.lower()
    forms = {form.lower() for form in serial_number_of(model, unique_id)}
    if model.serial_rule == "hex-prefix":
        return any(seen.startswith(form) for form in forms)
    return seen in forms


def bootloader_serial_number_of(model: Model, unique_id: bytes) -> str | None:
    """The serial number in the bootloader's USB descriptor, or None where it is not known.

    It is never the run mode's: ``dfu-util -S`` with that one matches nothing and waits for ever.

    :raises ValueError: the id has not the length of the port's ids
    """
    _check_length(model, unique_id)
    if model.bootloader_serial_rule == "reversed-hex":
        # openmv boot/src: port_get_uid prints words 2, 1, 0, each byte-reversed.
        return unique_id[::-1].hex().upper()
    if model.bootloader_serial_rule == "word-hex":
        # MCUboot prints the three little-endian words in order. A Portenta measured by OpenMV's
        # bench: bootloader 0033001F3033510634323437, run mode 346534563033.
        words = (unique_id[at : at + 4][::-1] for at in range(0, len(unique_id), 4))
        return b"".join(words).hex().upper()
    return None


def unique_id_of(model: Model, serial_number: str) -> bytes | None:
    """The ``machine.unique_id()`` behind a USB serial number: the way back of
    :func:`serial_number_of`, where the number holds the whole id.

    :returns: None where it does not, as ST's short form
    """
    digits = serial_number[: 2 * model.unique_id_bytes]
    if model.serial_rule not in ("hex", "hex-or-st", "hex-prefix"):
        return None
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * model.unique_id_bytes}}}", digits):
        return None
    unique_id = bytes.fromhex(digits)
    return unique_id if serial_number_matches(model, unique_id, serial_number) else None


def unique_id_of_bootloader(model: Model, serial_number: str) -> bytes | None:
    """The ``machine.unique_id()`` behind a bootloader's serial number: the way back of
    :func:`bootloader_serial_number_of`.

    A bootloader of these shows the whole id. Run mode often does not: ST's short form can be
    computed from the id and never turned back, so a board in its bootloader is told by way of
    its id: ``serial_number_matches(model, unique_id_of_bootloader(model, seen), listed)``.

    :returns: None where the relation is not known, or the text is no such number
    """
    digits = serial_number.strip()
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{2 * model.unique_id_bytes}}}", digits):
        return None
    number = bytes.fromhex(digits)
    if model.bootloader_serial_rule == "reversed-hex":
        return number[::-1]
    if model.bootloader_serial_rule == "word-hex":
        return b"".join(number[at : at + 4][::-1] for at in range(0, len(number), 4))
    return None


def short_form(identity: bytes) -> str:
    """Six digits for a name, made from what tells this board from others (id or serial number).

    A digest, because no part of an id will do: an STM32's ends in its wafer's lot (``Q307424`` of
    the measured Portenta), an ESP32's begins with its maker.
    """
    return hashlib.sha256(identity).hexdigest()[:6]


def _st_form(unique_id: bytes, *, masked: bool) -> str:
    """ST's short form (ports/stm32/usbd_desc.c, and ST's ROM loader): 12 upper-case digits.

    ST's own USB stack does not mask the two sums to a byte, so a carry prints a third digit (12 to
    14 digits in all); the TinyUSB code of MicroPython 1.29 masks them.
    """
    uid = unique_id
    parts = (uid[11], uid[10] + uid[2], uid[9], uid[8] + uid[0], uid[7], uid[6])
    return "".join(f"{part & 0xFF if masked else part:02X}" for part in parts)


def _check_length(model: Model, unique_id: bytes) -> None:
    if len(unique_id) != model.unique_id_bytes:
        raise ValueError(
            f"machine.unique_id() of {model.title} has {model.unique_id_bytes} bytes,"
            f" not {len(unique_id)}"
        )
