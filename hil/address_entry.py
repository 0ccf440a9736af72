"""By what a target of devices.yaml is found: USB serial number, port, unique id, host name, URL.

Each function notes what is wrong with one field; a value that is no text is told elsewhere.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from .boards.table import model_named
from .document import Document, Place

# network.hostname() takes 32 characters; RFC 1123 section 2.1 says which.
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?", re.ASCII)
# Ports that the system numbers in the order in which they appear.
_NUMBERED = re.compile(r"/dev/(ttyACM|cu\.usbmodem|tty\.usbmodem)")


def address_entry(document: Document, place: Place, fields: dict[str, Any]) -> None:
    """Note what is wrong with any of them.

    :param place: the target's
    :param fields: the target's; read only
    """
    for check in (_usb_serial, _port, _unique_id, _hostname, _url):
        check(document, place, fields)


def _usb_serial(document: Document, place: Place, fields: dict[str, Any]) -> None:
    serial = fields.get("usb_serial")
    if isinstance(serial, str) and re.search(r"[^!-~]", serial):
        document.mistake(
            (*place, "usb_serial"), "'usb_serial' holds a blank or a control character"
        )


def _port(document: Document, place: Place, fields: dict[str, Any]) -> None:
    port, row = fields.get("port"), model_named(fields.get("model"))
    if "labgrid" in fields:
        _at_a_server(document, place, fields)
    if not isinstance(port, str):
        return
    if "://" in port:
        _remote_port(document, place, port, fields)
    elif "usb_serial" in fields:
        what = (
            "'port' may lead to another board than 'usb_serial': leave it out, hil finds the port"
        )
        document.mistake((*place, "port"), what, key=True)
    elif row and row.identified_by_usb and _NUMBERED.match(port):
        what = f"{port!a} may be another board after the next reset: write 'usb_serial'"
        document.mistake((*place, "port"), f"{what} ('hil list' shows it)")


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
    _at_a_server(document, place, fields)


def _at_a_server(document: Document, place: Place, fields: dict[str, Any]) -> None:
    """What does not reach the board there."""
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
    written, row = fields.get("unique_id"), model_named(fields.get("model"))
    if not isinstance(written, str):
        return
    if not re.fullmatch(r"([0-9A-Fa-f]{2})+", written):
        document.mistake(
            (*place, "unique_id"), "'unique_id' is hexadecimal: 2 digits for each byte"
        )
        return
    if row and len(written) != 2 * row.unique_id_bytes:
        document.mistake(
            (*place, "unique_id"),
            f"'unique_id' of {row.key!a} has {2 * row.unique_id_bytes} digits, not {len(written)}",
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
