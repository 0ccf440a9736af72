"""The places with certain tags as targets: one entry of devices.yaml for all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import BenchError
from .session import connected

if TYPE_CHECKING:
    from ..target_spec import TargetSpec
    from .address import PlaceSpec

# A target's name becomes part of test ids and file names; a place's may be anything.
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]", re.ASCII)
_LONGEST = 63


def stands_for_several(spec: TargetSpec) -> bool:
    return bool(spec.labgrid and not spec.labgrid.place)


def expanded(specs: Iterable[TargetSpec]) -> Iterator[TargetSpec]:
    """Each entry that stands for several places replaced by one target for each, called
    ``ENTRY.PLACE``, in the order of their names. A place that has an entry of its own is that
    one's. Its tag ``unique_id`` is the board's.

    An entry remains where its coordinator does not answer or no place has its tags: the run then
    fails on it, and not on the other targets.
    """
    specs = list(specs)
    own = {(s.labgrid.coordinator, s.labgrid.place) for s in specs if s.labgrid and s.labgrid.place}
    taken = {spec.name for spec in specs}
    for spec in specs:
        found = _places(spec.labgrid) if spec.labgrid and stands_for_several(spec) else {}
        several = []
        for place, tags in found.items():
            assert spec.labgrid is not None
            if (spec.labgrid.coordinator, place) not in own:
                name = _name(spec.name, place, taken)
                taken.add(name)
                at = spec.labgrid.at(place, spec.name)
                unique_id = tags.get("unique_id")
                several.append(
                    replace(spec, name=name, labgrid=at, port=at.url, unique_id=unique_id)
                )
        yield from several or [spec]


def _places(wanted: PlaceSpec) -> dict[str, dict[str, str]]:
    """The tags of each place that has those that are wanted; none where the coordinator is away."""
    try:
        with connected(wanted.coordinator) as session:
            return {
                name: dict(place.tags)
                for name, place in sorted(session.places.items())
                if all(place.tags.get(key) == value for key, value in wanted.tags)
            }
    except BenchError:  # bring-up asks again, and then it is told
        return {}


def _name(entry: str, place: str, taken: set[str]) -> str:
    name = f"{entry}.{_NOT_IN_A_NAME.sub('-', place)}"[:_LONGEST]
    number = 2
    while name in taken:
        name = f"{name[: _LONGEST - 4]}-{number}"
        number += 1
    return name
