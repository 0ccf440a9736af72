"""``labgrid:`` in devices.yaml, what is wrong with it, and what a place is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil import config, lock
from hil.errors import ConfigError
from hil.places.address import PlaceSpec, coordinator_at, key_of, parsed

BOARD = "targets:\n  barn:\n    kind: board\n    model: openmv-n6\n    "

text = st.text(st.characters(codec="utf-8"), max_size=20)
names = text.filter(bool)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], config.TargetSpec]:
    def read(entry: str) -> config.TargetSpec:
        path = tmp_path / "devices.yaml"
        path.write_text(BOARD + entry)
        return config.read(path).targets["barn"]

    return read


def test_a_place(read: Callable[[str], config.TargetSpec]) -> None:
    barn = read("labgrid: {coordinator: lab, place: barn 2, resource: console}")
    assert barn.labgrid == PlaceSpec("lab:20408", "barn 2", resource="console")
    assert barn.port == "labgrid://lab:20408/barn%202?resource=console"
    other_port = read("labgrid: {coordinator: 'lab:20408', place: barn 2}")
    assert lock.key_of(barn) == lock.key_of(other_port) == "labgrid://lab:20408/barn%202"


def test_places_by_their_tags(read: Callable[[str], config.TargetSpec]) -> None:
    barn = read("labgrid: {coordinator: 'lab:1', tags: {board: openmv-n6, site: attic}}")
    assert barn.labgrid is not None
    assert barn.labgrid.wanted == "board=openmv-n6, site=attic"


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        (
            "labgrid: lab",
            "5:14: 'labgrid' must be a mapping: {coordinator: HOST:PORT, place: NAME}",
        ),
        ("labgrid: {place: a}", "5:5: 'coordinator' is missing: HOST or HOST:PORT"),
        (
            "labgrid: {coordinator: 'http://lab', place: a}",
            "5:28: 'coordinator' must be HOST or HOST:PORT",
        ),
        (
            "labgrid: {coordinator: lab}",
            "5:5: 'labgrid' needs 'place: NAME', or 'tags: {NAME: VALUE}' for all that have them",
        ),
        (
            "labgrid: {coordinator: lab, place: a, tags: {b: c}}",
            "5:5: 'labgrid' needs 'place: NAME', or 'tags: {NAME: VALUE}' for all that have them",
        ),
        (
            "labgrid: {coordinator: lab, plaze: a, place: a}",
            "5:33: unknown key 'plaze' (did you mean 'place'?)",
        ),
        ("labgrid: {coordinator: lab, place: [a]}", "5:40: 'place' must be a name"),
        (
            "labgrid: {coordinator: lab, tags: {}}",
            "5:39: 'tags' must be a mapping, {NAME: VALUE}, with at least one that a place has to"
            " have",
        ),
        (
            "labgrid: {coordinator: lab, place: a}\n    port: /dev/ttyUSB0",
            "6:5: 'port' is what 'labgrid' tells: leave one of them out",
        ),
        (
            "labgrid: {coordinator: lab, place: a}\n    usb_serial: '1'",
            "6:5: 'usb_serial' does not show through a serial server: write 'unique_id' instead",
        ),
        (
            "labgrid: {coordinator: lab, place: a}\n    provision: true\n    flash: {image: a.bin}",
            "7:5: 'flash' does not reach the bootloader of a board at a serial server: flash it"
            " there, or by a 'command'",
        ),
        (
            "labgrid: {coordinator: lab, tags: {b: c}}\n    hostname: barn",
            "6:5: 'hostname' is of one board, and 'tags' may stand for several",
        ),
        (
            "labgrid: {coordinator: lab, tags: {b: c}}\n    unique_id: 00112233445566778899aabb",
            "6:5: 'unique_id' is of one board, and 'tags' may stand for several: give each place a"
            " tag 'unique_id'",
        ),
        (
            "labgrid: {coordinator: lab, place: a}\n  loft:\n    kind: board\n"
            "    model: openmv-n6\n    labgrid: {coordinator: 'lab:20408', place: a}",
            "9:48: target 'barn' has the same 'place': two targets cannot be one board",
        ),
    ],
)
def test_a_mistake_is_told_where_it_is(
    read: Callable[[str], config.TargetSpec], entry: str, wrong: str
) -> None:
    with pytest.raises(ConfigError) as told:
        read(entry)
    messages = [line.partition("devices.yaml:")[2] for line in told.value.message.splitlines()]
    assert wrong in messages


@given(names, st.dictionaries(text, text, max_size=3), text)
def test_a_place_s_name_says_all_of_it(place: str, tags: dict[str, str], resource: str) -> None:
    one = PlaceSpec("lab:20408", place, resource=resource)
    assert parsed(one.url) == one
    assert parsed(key_of(one.url)) == PlaceSpec("lab:20408", place)
    wanted = {name: value for name, value in tags.items() if name and value}
    several = PlaceSpec("lab:20408", "", tuple(wanted.items()))
    assert parsed(several.url) == several


@given(text)
def test_a_coordinator_is_a_host_and_a_port_or_refused(written: str) -> None:
    try:
        told = coordinator_at(written)
    except ValueError:
        return
    assert told.startswith(written.rstrip(":"))
    assert told.rpartition(":")[2].isdigit()
    assert coordinator_at(told) == told
