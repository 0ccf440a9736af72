"""``command:`` of a target in devices.yaml and what goes with it: the server that the bench starts.

Texts of a command and of an environment hold placeholders, ``{secret}`` and others, in whose place
the bench puts what it makes up for one run (:mod:`hil.process.made_up`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .document import Document, Place, did_you_mean

KEYS = ("command", "env", "folder", "ready", "services")
"""What an entry of ``kind: process`` says besides what all may say."""

PLACEHOLDERS: Mapping[str, bool] = {
    "port": True,
    "secret": True,
    "password": True,
    "api_key": False,
    "state": False,
    "python": False,
    "provider": True,
}
"""Those that there are, and whether a name may follow: ``{secret:refresh}``."""

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)(?::([^{}\s]*))?\}")
_SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", re.ASCII)
# POSIX: no "=" and no NUL; a shell would want this, too.
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True)
class Placeholder:
    """:ivar name: what follows the colon; empty: nothing does"""

    what: str
    name: str = ""

    def __str__(self) -> str:
        return f"{{{self.what}:{self.name}}}" if self.name else f"{{{self.what}}}"


@dataclass(frozen=True)
class ServiceSpec:
    """What a server needs beside it, e.g. a database, ready as soon as its port takes a connection.

    :ivar command: program and arguments, with placeholders; likewise the values of ``env``
    """

    command: tuple[str, ...]
    env: Mapping[str, str]


@dataclass(frozen=True)
class ProcessSpec:
    """A server that the bench starts.

    :ivar command: program and arguments, with placeholders; likewise the values of ``env``
    :ivar folder: in which it and its services run, absolute
    :ivar ready: the path that answers, with any status below 500, once it is ready; None: a route
        of the profile
    :ivar services: started before it, by name
    """

    command: tuple[str, ...]
    env: Mapping[str, str]
    folder: str
    ready: str | None
    services: Mapping[str, ServiceSpec]

    @property
    def placeholders(self) -> frozenset[Placeholder]:
        """Those that it and its services use."""
        parts: list[ProcessSpec | ServiceSpec] = [self, *self.services.values()]
        texts = [text for part in parts for text in (*part.command, *part.env.values())]
        return frozenset(found for text in texts for found in placeholders(text))


def placeholders(text: str) -> Iterator[Placeholder]:
    """All that a text holds, in order."""
    for found in _PLACEHOLDER.finditer(text):
        yield Placeholder(found[1], found[2] or "")


def filled(text: str, values: Mapping[Placeholder, str]) -> str:
    """The text with the values in their places, in one pass: a value may look like a placeholder.

    :raises KeyError: there is no value for one
    """
    return _PLACEHOLDER.sub(lambda found: values[Placeholder(found[1], found[2] or "")], text)


def process_entry(document: Document, place: Place, fields: dict[str, Any]) -> None:
    """Put a :class:`ProcessSpec`, as ``process``, in the place of :data:`KEYS`, or note what is
    wrong with them.

    :param place: the target's
    :param fields: the target's; its :data:`KEYS` are taken out
    """
    told = {key: fields.pop(key) for key in KEYS if key in fields}
    if fields.get("kind") != "process":
        return  # that they have no meaning then is told elsewhere
    before = len(document.mistakes)
    if "command" not in told:
        document.mistake((*place, "command"), "'command' is missing: what starts the server?")
        return
    command = _command(document, (*place, "command"), told["command"])
    env = _env(document, (*place, "env"), told.get("env", {}))
    folder = _folder(document, (*place, "folder"), told.get("folder", "."))
    ready = told.get("ready")
    if ready is not None and not (isinstance(ready, str) and re.fullmatch(r"/[!-~]*", ready)):
        document.mistake((*place, "ready"), "'ready' must be a path of the server, like /health")
    services = _services(document, (*place, "services"), told.get("services", {}))
    if len(document.mistakes) > before:
        return
    parts = [(command, env), *((one.command, one.env) for one in services.values())]
    used = set[Placeholder]().union(*(_used(*part) for part in parts))
    if len([one for one in used if one.what == "provider"]) > 1:
        what = "the bench has one OpenID provider a target, for one user: write one {provider:USER}"
        document.mistake((*place, "env"), what)
        return
    if Placeholder("port") not in _used(command, env):
        what = "nothing tells the server its port: write {port} into 'command' or 'env'"
        document.mistake((*place, "command"), what)
        return
    fields["process"] = ProcessSpec(command, env, folder, ready, services)


def _used(command: Iterable[str], env: Mapping[str, str]) -> set[Placeholder]:
    return {found for text in (*command, *env.values()) for found in placeholders(text)}


def _command(document: Document, place: Place, told: Any) -> tuple[str, ...]:
    words = told
    if isinstance(told, str):
        try:
            words = shlex.split(told)
        except ValueError as error:  # an open quotation mark, a backslash at the end
            document.mistake(place, f"'command' is no command line: {error}")
            return ()
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        what = "'command' must be a command line or a list, [program, argument, …]"
        document.mistake(place, what)
        return ()
    if not words or not words[0]:
        document.mistake(place, "'command' must begin with a program")
    for at, word in enumerate(words):
        _text(document, (*place, str(at)) if words is told else place, word, "command")
    return tuple(words)


def _env(document: Document, place: Place, told: Any) -> dict[str, str]:
    if not isinstance(told, dict):
        document.mistake(place, "'env' must be a mapping, 'NAME: value' for each variable")
        return {}
    for name, value in told.items():
        if not _VARIABLE.fullmatch(name):
            document.mistake((*place, name), f"{name!a} is no name of a variable", key=True)
        if value is not None and not isinstance(value, str):
            document.mistake((*place, name), f"'{name}' must be text, not a list or a mapping")
        else:
            _text(document, (*place, name), value or "", "env")
    return {name: value or "" for name, value in told.items() if not isinstance(value, list | dict)}


def _text(document: Document, place: Place, text: str, key: str) -> None:
    """Its placeholders, and what it must not hold."""
    if "${" in text:
        what = f"'{key}' takes no ${{NAME}}: the bench makes up what is secret, see {{secret}}"
        document.mistake(place, what)
        return
    if "\0" in text:
        document.mistake(place, f"'{key}' holds a NUL")
    for found in placeholders(text):
        if found.what not in PLACEHOLDERS:
            known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            meant = did_you_mean(found.what, PLACEHOLDERS) or f"; known are {known}"
            document.mistake(place, f"unknown placeholder {found}{meant}")
        elif found.name and not PLACEHOLDERS[found.what]:
            document.mistake(place, f"{found}: {{{found.what}}} goes without a name")


def _folder(document: Document, place: Place, told: Any) -> str:
    """It is relative to the inventory's folder, not to the shell's."""
    if not isinstance(told, str):
        document.mistake(place, "'folder' must be text, not a list or a mapping")
        return ""
    try:
        path = (document.path.parent / told).resolve()
        found = path.is_dir()
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a loop of links
        found = False
    if not found:
        document.mistake(place, f"'folder': there is no folder {told!a} beside this file")
        return ""
    return str(path)


def _services(document: Document, place: Place, told: Any) -> dict[str, ServiceSpec]:
    if not isinstance(told, dict):
        document.mistake(place, "'services' must be a mapping, 'NAME: {command: …}' for each")
        return {}
    made = {}
    for name, entry in told.items():
        at = (*place, name)
        if not _SERVICE.fullmatch(name):
            what = f"service name {name!a}: letters, digits, '-' and '_' only, 32 at most"
            document.mistake(at, what, key=True)
        if not isinstance(entry, dict):
            what = f"service {name!a} must be a mapping with 'command'"
            document.mistake(at, what, key=True)
            continue
        known = ("command", "env")
        for key in entry.keys() - set(known):
            meant = did_you_mean(key, known) or f"; known are {', '.join(known)}"
            document.mistake((*at, key), f"unknown key {key!a}{meant}", key=True)
        if not entry.get("command"):
            what = "has no value" if "command" in entry else "is missing"
            document.mistake((*at, "command"), f"'command' {what}")
            continue
        command = _command(document, (*at, "command"), entry["command"])
        env = _env(document, (*at, "env"), entry.get("env") or {})
        own = Placeholder("port", name)
        if command and own not in _used(command, env):
            what = f"nothing tells the service its port: write {own} into its 'command' or 'env'"
            document.mistake((*at, "command"), what)
        made[name] = ServiceSpec(command, env)
    return made
