"""``hil init``: a devices.yaml for what is attached, as the bench's owner would begin one.

Nothing is opened and no board is asked: what USB tells is enough to list a board. What cannot be
listed as it is (in its bootloader, with old firmware, behind a UART bridge) is told in a comment.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .boards.table import (
    Model,
    model,
    models,
    serial_number_of,
    short_form,
    unique_id_of_bootloader,
)
from .errors import BenchError, ConfigError

if TYPE_CHECKING:
    from .discovery.usb import UsbPort

_HEAD = """\
# The bench of {host}: what was attached when `hil init` wrote this file. It is yours now: rename
# targets, reorder, add. `hil list` compares it with what is attached. A line that begins with "# "
# and a key is a suggestion: take the "# " away to use it.
#
#   provision         true is your consent that hil writes on this board: application, settings,
#                     signing key, clock. All but the application is put back after each run.
#                     Without it the board is only read, over the network.
#   hostname          the board's name on the network, without .local. With `provision: true` the
#                     board is renamed to it; each suggestion is made from the board's serial
#                     number, so that no two boards share a name. Left out, hil makes one up.
#   password, wifi    ${{NAME}} is the environment variable that holds it: no secret stands here.
#                     Without a password hil makes one up; without Wi-Fi the board keeps its own.

targets:
"""

# What `usb_serial` may hold; the rest is listed by where it is plugged in.
_SOUND_NUMBER = re.compile(r"[!-~]+")
_PLAIN = re.compile(r"(?!null$)[A-Za-z0-9/]([A-Za-z0-9_./:-]*[A-Za-z0-9_./-])?", re.IGNORECASE)
_WIDTH = 96


def write(path: Path, text: str, *, force: bool) -> None:
    """Write the file, whole or not at all.

    :raises ConfigError: it is there already, and not to be replaced, or it cannot be written
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        new.write_text(text, encoding="utf-8")
        if force:
            new.replace(path)
        else:
            new.rename(path) if os.name == "nt" else path.hardlink_to(new)
    except FileExistsError:
        raise exists(path) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            new.unlink()


def exists(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} is there already: nothing was written",
        hint="--force replaces it, --output FILE writes another",
    )


def links_by_path(
    devices: Iterable[str], folder: Path = Path("/dev/serial/by-path")
) -> dict[str, str]:
    """Of each port udev's link that says where it is plugged in; nothing without udev."""
    try:
        links = sorted(folder.iterdir(), reverse=True)  # "…-usb-…" wins over "…-usbv2-…"
    except OSError:
        return {}
    link_of = {link.resolve(): str(link) for link in links}
    resolved = {device: Path(device).resolve() for device in devices if device}
    return {device: link_of[path] for device, path in resolved.items() if path in link_of}


def draft(attached: Sequence[UsbPort], links: Mapping[str, str]) -> str:
    """The file's text. It loads with :func:`hil.config.load`.

    :param attached: what is on USB: :func:`hil.discovery.usb.attached`
    :param links: of each port its link by path: :func:`links_by_path`
    :raises BenchError: no attached board can be listed; the message says what is there instead
    """
    from .discovery.usb import one_each

    ports = one_each(attached)
    numbers = Counter((port.serial_number or "").lower() for port in ports)
    names = Counter[str]()
    entries, notes = [], []
    for port in ports:
        if port.mode != "run" or port.model_key is None:
            notes.append(_note(port, links))
            continue
        row = model(port.model_key)
        number = (port.serial_number or "").lower()
        twin = number != "" and numbers[number] > 1
        identity = _identity(port, links, twin=twin)
        if not identity:
            notes.append(_unlistable(port, row, twin=twin))
            continue
        names[row.key] += 1
        entries.append(_entry(_name(row, names[row.key]), port, row, identity))
    if not entries:
        raise _nothing(ports)
    return _HEAD.format(host=_plain(socket.gethostname())) + "\n".join([*entries, *notes])


def _entry(name: str, port: UsbPort, row: Model, identity: str) -> str:
    variable = f"HIL_{re.sub('[^A-Z0-9]', '_', name.upper())}_PASSWORD"
    lines = [
        f"  # {row.title}, at {_where(port)}",
        f"  {name}:",
        "    kind: board",
        f"    model: {row.key}",
        f"    {identity}",
    ]
    if row.mdns:
        lines += [f"    # hostname: {name}-{_tag(row, port)}"]
    else:
        lines += ["    # no hostname: its Wi-Fi is a shield, which answers for no name"]
    lines += [
        "    # provision: true",
        f"    # password: ${{{variable}}}",
        "    # wifi:",
        "    #   ssid: bench",
        "    #   key: ${WIFI_KEY}",
    ]
    return "\n".join(lines) + "\n"


def _name(row: Model, number: int) -> str:
    """``n6``, ``n6-2``; ``esp32-s3``, where there is no vendor's name to leave out."""
    short = re.sub("^(openmv|arduino)-", "", row.key)
    return short if number == 1 else f"{short}-{number}"


def _identity(port: UsbPort, links: Mapping[str, str], *, twin: bool) -> str:
    """The line that tells the board from all others; empty: there is none that holds."""
    number = port.serial_number or ""
    if _SOUND_NUMBER.fullmatch(number) and not twin:
        return f"usb_serial: {_quoted(number)}"
    link = links.get(port.device) or (port.device if port.virtual else "")
    why = "another board has the same serial number" if twin else "it has no usable serial number"
    return f"port: {_scalar(link)}  # {why}" if link else ""


def _tag(row: Model, port: UsbPort) -> str:
    """Six digits that no other board has."""
    number = (port.serial_number or port.location or port.device).lower()
    if row.serial_rule == "hex-prefix":  # the rest is not the board's
        number = number[: 2 * row.unique_id_bytes]
    return short_form(number.encode())


def _scalar(text: str) -> str:
    """As YAML, quoted where it might be taken for something else than text."""
    return text if _PLAIN.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    """Digits without quotes are a number to other programs, and 306E37 is one in powers of ten."""
    return json.dumps(text)


# --- what cannot be listed as it is --------------------------------------------------------------


def _note(port: UsbPort, links: Mapping[str, str]) -> str:
    if port.mode in ("bootloader", "recovery"):
        return _in_loader(port)
    if port.mode == "run":
        return _old_firmware(port)
    if port.model_key:
        return _paragraph(
            f"{model(port.model_key).title}, at {_where(port)}: it runs other firmware than"
            f" MicroPython (USB {_ids(port)}). Flash it, then run `hil init` again."
        )
    return _bridge(port, links)


def _in_loader(port: UsbPort) -> str:
    place = "its bootloader" if port.mode == "bootloader" else "its chip's ROM loader"
    row = model(port.model_key) if port.model_key else None
    title = row.title if row else "A board of unknown model"
    passing = port.mode == "bootloader" and row and row.bootloader_on_reset_s
    step = "Every reset takes it through there. If it stays: press" if passing else "Press"
    told = (
        f"{title}, at {_where(port)}, is in {place} (USB {_ids(port)}, serial number there"
        f" {port.serial_number or 'none'}). {step} its reset, or flash it; then `hil init` again."
    )
    if number := _number_when_running(port):
        told += f" While it runs, its serial number is {number}."
    return _paragraph(told)


def _number_when_running(port: UsbPort) -> str:
    """Where only one is possible; of an N6 it depends on the firmware."""
    row = model(port.model_key) if port.model_key else None
    unique_id = unique_id_of_bootloader(row, port.serial_number or "") if row else None
    forms = serial_number_of(row, unique_id) if row and unique_id is not None else ()
    return next(iter(forms)) if len(forms) == 1 else ""


def _old_firmware(port: UsbPort) -> str:
    usb_id = (port.vid, port.pid)
    keys = ", ".join(row.key for row in models() if usb_id in row.legacy_ids)
    told = (
        f"An OpenMV camera with old firmware, at {_where(port)}: its USB id ({_ids(port)}) does not"
        " tell which. Update its firmware with OpenMV IDE and run `hil init` again, or say which it"
        f" is: {keys}"
    )
    number = port.serial_number
    sound = number and _SOUND_NUMBER.fullmatch(number)
    identity = f"usb_serial: {_quoted(number)}" if number and sound else "port: …"
    return _paragraph(told) + _suggested("camera", "model: …", identity)


def _bridge(port: UsbPort, links: Mapping[str, str]) -> str:
    link = links.get(port.device, port.device)
    what = f", {port.product}" if port.product else ""
    told = (
        f"A serial port that tells nothing of what is behind it, at {_where(port)} (USB"
        f" {_ids(port)}{what}). If it is an ESP32-CAM:"
    )
    return _paragraph(told) + _suggested("cam", "model: esp32-cam", f"port: {_scalar(link)}")


def _unlistable(port: UsbPort, row: Model, *, twin: bool) -> str:
    why = "another board has the same serial number" if twin else "it has no usable serial number"
    return _paragraph(
        f"{row.title}, at {_where(port)}, cannot be listed: {why}, and udev has made no link in"
        " /dev/serial/by-path that would tell where it is plugged in."
    )


def _suggested(name: str, *lines: str) -> str:
    entry = [f"{name}:", "  kind: board", *(f"  {line}" for line in lines)]
    return "".join(f"  # {line}\n" for line in entry)


def _paragraph(text: str) -> str:
    lines, line = [], "  #"
    for word in text.split():
        if len(line) + 1 + len(word) > _WIDTH and line != "  #":
            lines.append(line)
            line = "  #"
        line += f" {word}"
    return "\n".join([*lines, line]) + "\n"


def _nothing(ports: Iterable[UsbPort]) -> BenchError:
    others = ", ".join(str(port) for port in ports)
    seen = f"; there is only {others}" if others else ""
    return BenchError(
        f"no board is attached that could be listed{seen}",
        hint="plug one in, or get it out of its bootloader; without a devices.yaml"
        " hil works on the embedded bench, which needs no board",
    )


def _where(port: UsbPort) -> str:
    place = f"USB {port.location}" if port.location and not port.virtual else ""
    return ", ".join(filter(None, (_plain(port.device), place)))


def _ids(port: UsbPort) -> str:
    return f"{port.vid:04x}:{port.pid:04x}"


def _plain(text: str) -> str:
    """Without what would end a comment's line."""
    return "".join(char for char in text if char.isprintable())
