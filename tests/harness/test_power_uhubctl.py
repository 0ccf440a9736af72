"""A hub's port as a board's switch: the real ``uhubctl`` on hubs that umockdev emulates."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from check_run import short_folder
from hypothesis import given
from hypothesis import strategies as st

from hil.deadline import Deadline
from hil.errors import BenchError
from hil.power.uhubctl import HubPort, HubState, parse

RIG = Path(__file__).with_name("hub_rig.py")
PYTHON = "/usr/bin/python3"


class Rig:
    """The emulated hubs, and what they were told."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout
        self.folder = process.stdout.readline().strip()

    def switched(self) -> list[str]:
        """Ends it. ``HUB PORT on|off``, in order."""
        told, _ = self.process.communicate(timeout=10)
        return told.splitlines()


@pytest.fixture
def rig(
    require_program: Callable[[str, str], Path],
    require_file: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Rig]:
    require_program("uhubctl", "uhubctl")
    require_program("umockdev-run", "umockdev")
    require_file("/usr/lib/python3/dist-packages/gi/__init__.py", "python3-gi")
    # A short path: umockdev has a socket in it for each device, and cuts off what is too long.
    with (
        short_folder() as folder,
        subprocess.Popen(
            [PYTHON, str(RIG)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder)},
        ) as process,
    ):
        rig = Rig(process)
        # What this process starts from here on sees the emulated bus, and nothing else does.
        monkeypatch.setenv("UMOCKDEV_DIR", rig.folder)
        monkeypatch.setenv("LD_PRELOAD", "libumockdev-preload.so.0")
        yield rig
        process.kill()


def soon() -> Deadline:
    return Deadline.after(20)


def test_the_port_and_no_other_goes_off_and_on(rig: Rig) -> None:
    port = HubPort("1-1", 2)
    port.off(soon())
    port.on(soon())
    assert rig.switched() == ["1-1 2 off", "1-1 2 on"]


def test_to_look_whether_a_port_has_power_switches_nothing(rig: Rig) -> None:
    port = HubPort("1-1", 2)
    assert port.has_power(soon())
    port.off(soon())
    assert not port.has_power(soon())
    with pytest.raises(BenchError, match="sees no hub at 1-9"):
        HubPort("1-9", 2).has_power(soon())
    assert rig.switched() == ["1-1 2 off"]


@pytest.mark.parametrize(
    ("port", "message", "hint"),
    [
        (HubPort("1-9", 2), "sees no hub at 1-9", "can switch: 1-3, 1-1;"),
        (HubPort("1-2", 2), "hub 1-2 cannot switch single ports", "ppps"),
        (HubPort("1-1", 7), "hub 1-1 has no port 7", "uhubctl -l 1-1"),
        (HubPort("1-3", 1), "port 1 of hub 1-3 was told to switch off, and says", "cannot"),
    ],
)
def test_what_cannot_be_switched_is_told_apart(
    rig: Rig, port: HubPort, message: str, hint: str
) -> None:
    with pytest.raises(BenchError, match=message) as told:
        port.off(soon())
    assert hint in str(told.value.hint)


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    (folder / "uhubctl").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "uhubctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_without_permission_the_hint_is_a_udev_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uhubctl's own words (2.5.0): the tests run as root here, whom nobody refuses."""
    program(
        tmp_path,
        monkeypatch,
        "echo 'No compatible devices detected at location 1-1!' >&2\n"
        "echo 'There were permission problems while accessing USB.' >&2\nexit 1",
    )
    with pytest.raises(BenchError, match="no permission to switch port 2 of hub 1-1") as told:
        HubPort("1-1", 2).off(soon())
    assert "udev rule" in str(told.value.hint)


def test_a_tool_that_hangs_ends_by_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, "exec sleep 60")
    with pytest.raises(BenchError, match="not through in time, for port 2 of hub 1-1"):
        HubPort("1-1", 2).off(Deadline.after(0.2))


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hil.power.uhubctl.shutil.which", lambda *_, **__: None)
    with pytest.raises(BenchError, match="no uhubctl") as told:
        HubPort("1-1", 2).off(soon())
    assert "apt-get install uhubctl" in str(told.value.hint)


# --- what it prints -----------------------------------------------------------------------------

WORDS = st.text(st.characters(codec="ascii", exclude_characters="\n"), max_size=20)
FLAGS = st.lists(st.sampled_from(["highspeed", "lowspeed", "enable", "connect", "oc", "U0"]))


def test_a_hub_is_as_it_was_shown_last() -> None:
    told = """\
Current status for hub 1-1 [2109:2813 VIA Labs, Inc. USB2.0 Hub, USB 2.10, 4 ports, ppps]
  Port 2: 0503 power highspeed enable connect [37c5:1206 OpenMV Camera 3465, powerful]
Sent power off request
New status for hub 1-1 [2109:2813 VIA Labs, Inc. USB2.0 Hub, USB 2.10, 4 ports, ppps]
  Port 2: 0000 off
Current status for hub 2-1 [2109:0813 VIA Labs, Inc. USB3.0 Hub, USB 3.00, 4 ports, ganged]
  Port 2: 02a0 power 5gbps Rx.Detect
"""
    assert parse(told) == [HubState("1-1", True, {2: False}), HubState("2-1", False, {2: True})]


@given(st.text())
def test_no_output_is_too_strange(told: str) -> None:
    for hub in parse(told):
        assert hub.location in told


@given(
    st.dictionaries(
        st.from_regex(r"[1-9](-[1-9](\.[1-9]){0,3})?", fullmatch=True),
        st.tuples(
            st.booleans(),
            WORDS,
            st.dictionaries(st.integers(1, 14), st.tuples(st.booleans(), FLAGS, WORDS)),
        ),
    )
)
def test_what_devices_call_themselves_changes_no_state(
    hubs: dict[str, tuple[bool, str, dict[int, tuple[bool, list[str], str]]]],
) -> None:
    lines = []
    for location, (switches, name, ports) in hubs.items():
        kind = "ppps" if switches else "ganged"
        lines.append(f"Current status for hub {location} [1d6b:0002 {name}, USB 2.00, {kind}]")
        for number, (powered, flags, device) in ports.items():
            state = " ".join([*(["power"] if powered else []), *flags]) or "off"
            lines.append(f"  Port {number}: 0503 {state} [37c5:1206 {device}]")
    assert parse("\n".join(lines)) == [
        HubState(location, switches, {number: one[0] for number, one in ports.items()})
        for location, (switches, _, ports) in hubs.items()
    ]
