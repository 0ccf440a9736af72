"""What a place is called: the lock's name, and the port of its target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

SCHEME = "labgrid://"
DEFAULT_PORT = 20408
"""Of a coordinator, as ``labgrid-coordinator`` has it."""


@dataclass(frozen=True)
class PlaceSpec:
    """``labgrid:`` of a target in devices.yaml.

    :ivar coordinator: ``HOST:PORT``
    :ivar place: a place's name; empty: one target for each place that has the tags
    :ivar tags: names and values, all of which a place must have
    :ivar resource: the name of the serial port in the place; empty: it has one only
    :ivar group: the entry that this target has come of, where that stands for several
    """

    coordinator: str
    place: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    resource: str = ""
    group: str = ""

    @property
    def url(self) -> str:
        """``labgrid://HOST:PORT/PLACE``; what a place is chosen by stands in the query."""
        chosen = [*self.tags, *([("resource", self.resource)] if self.resource else [])]
        query = f"?{urlencode(chosen)}" if chosen else ""
        return f"{SCHEME}{self.coordinator}/{quote(self.place, safe='')}{query}"

    @property
    def wanted(self) -> str:
        """``board=openmv-n6, site=attic``."""
        return ", ".join(f"{name}={value}" for name, value in self.tags)

    def at(self, place: str, group: str) -> PlaceSpec:
        """One of the places that this stands for."""
        return replace(self, place=place, tags=(), group=group)


def is_place(port: str | None) -> bool:
    return bool(port) and str(port).startswith(SCHEME)


def key_of(url: str) -> str:
    """The lock's name: whoever means the place has it in common, whichever port of it he means."""
    spec = parsed(url)
    return replace(spec, resource="").url


def parsed(url: str) -> PlaceSpec:
    """Of a :attr:`PlaceSpec.url`."""
    parts = urlsplit(url)
    place = unquote(parts.path.removeprefix("/"))
    chosen = dict(parse_qsl(parts.query))
    resource = chosen.pop("resource", "") if place else ""
    return PlaceSpec(parts.netloc, place, tuple(chosen.items()), resource)


def coordinator_at(written: str) -> str:
    """``HOST:PORT`` of ``HOST`` or ``HOST:PORT``.

    :raises ValueError: it is neither
    """
    parts = urlsplit(f"//{written}")
    if not parts.hostname or parts.netloc != written or "@" in written or parts.port == 0:
        raise ValueError(written)
    if any(character.isspace() for character in written):
        raise ValueError(written)
    return written if parts.port else f"{written.rstrip(':')}:{DEFAULT_PORT}"
