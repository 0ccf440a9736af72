"""What is on USB, as pyserial and the virtual bus tell it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo

from hil.boards.table import model
from hil.discovery import usb
from hil.discovery.usb import NotAttachedError, SeveralAttachedError, find
from hil.errors import BenchError
from hil.virtual.bus import VirtualPort


def info(device="/dev/ttyACM0", vid=0x37C5, pid=0x1206, serial="346534563033", **more):
    """What pyserial tells of a port."""
    port = ListPortInfo(device)
    port.vid, port.pid, port.serial_number = vid, pid, serial
    for name, value in more.items():
        setattr(port, name, value)
    return port


def virtual(name, number, pid=0x1206, supervisor_pid=None):
    return VirtualPort(
        name=name,
        model="openmv-n6",
        device=f"/tmp/{name}/tty",
        vid=0x37C5,
        pid=pid,
        serial_number=number,
        product="OpenMV Camera",
        supervisor_pid=supervisor_pid or os.getpid(),
        address="127.1.2.3",
        http_port=8080,
    )


@pytest.fixture
def bus(tmp_path):
    folder = tmp_path / "bus"
    folder.mkdir()

    def plug_in(*ports):
        for port in ports:
            (folder / f"{port.name}.json").write_text(json.dumps(asdict(port)))
        return folder

    return plug_in


@pytest.fixture
def attached(monkeypatch):
    def attach(*infos):
        monkeypatch.setattr(list_ports, "comports", lambda: list(infos))

    attach()
    return attach


def test_real_and_virtual_boards_look_the_same(attached, bus):
    attached(info(product="OpenMV Camera", location="1-2.3"))
    real, simulated = usb.usb_ports(bus(virtual("porch", "AABB")))
    assert real == usb.UsbPort(
        device="/dev/ttyACM0",
        vid=0x37C5,
        pid=0x1206,
        serial_number="346534563033",
        product="OpenMV Camera",
        location="1-2.3",
        model_key="openmv-n6",
        mode="run",
    )
    assert (simulated.model_key, simulated.mode) == ("openmv-n6", "run")
    assert (simulated.virtual, simulated.name, simulated.device) == (
        True,
        "porch",
        "/tmp/porch/tty",
    )


@pytest.mark.parametrize(
    ("vid", "pid", "key", "mode"),
    [
        (0x37C5, 0x9206, "openmv-n6", "bootloader"),
        (0x0483, 0xDF11, None, "recovery"),
        (0x1209, 0xABD1, None, "run"),
        (0x2341, 0x005B, "arduino-portenta-h7", "unknown"),
        (0x1A86, 0x7523, None, "unknown"),
    ],
)
def test_modes(attached, bus, vid, pid, key, mode):
    attached(info(vid=vid, pid=pid))
    (port,) = usb.usb_ports(bus())
    assert (port.model_key, port.mode) == (key, mode)


def test_boards_are_what_the_table_knows(attached, bus):
    attached(info(), info("/dev/ttyACM1", pid=0x9206), info("/dev/ttyUSB0", 0x1A86, 0x7523))
    ports = usb.usb_ports(bus())
    assert [port.device for port in usb.boards(ports)] == ["/dev/ttyACM0", "/dev/ttyACM1"]


def test_ports_without_usb_are_left_out(attached, bus):
    attached(info("/dev/ttyS0", vid=None, pid=None, serial=None))
    assert usb.usb_ports(bus()) == []


def test_a_dead_supervisor_s_board_is_unplugged(attached, bus):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    folder = bus(virtual("gone", "AA", supervisor_pid=gone.pid), virtual("here", "BB"))
    assert [port.name for port in usb.usb_ports(folder)] == ["here"]


def test_a_device_that_is_unplugged_while_pyserial_reads_it_costs_a_second_look(bus, monkeypatch):
    """pyserial 3.5: ``int(self.read_line(…, 'idVendor'), 16)`` of a file that is gone."""
    looks = [[info()], TypeError("int() can't convert non-string with explicit base")]

    def comports():
        look = looks.pop()
        if isinstance(look, Exception):
            raise look
        return look

    monkeypatch.setattr(list_ports, "comports", comports)
    assert len(usb.usb_ports(bus())) == 1


def test_a_list_that_cannot_be_read_at_all_is_the_bench_s_fault(bus, monkeypatch):
    monkeypatch.setattr(list_ports, "comports", lambda: int(None, 16))
    with pytest.raises(BenchError, match="cannot be read"):
        usb.usb_ports(bus())


def test_this_computer_s_own_ports_can_be_listed(bus):
    for port in usb.usb_ports(bus()):
        assert port.device


def test_no_port_is_opened(attached, bus, monkeypatch):
    import serial

    monkeypatch.setattr(serial.Serial, "open", lambda self: pytest.fail("a port was opened"))
    attached(info())
    assert len(usb.usb_ports(bus(virtual("porch", "AABB")))) == 2


# --- find ----------------------------------------------------------------------------------------


def ports(*infos):
    return [usb.port_of(one) for one in infos]


def test_a_board_is_found_by_its_serial_number_in_any_case():
    here = ports(info(serial="AABB"), info("/dev/ttyACM1", serial="CCDD"))
    assert find(here, usb_serial="ccdd").device == "/dev/ttyACM1"


def test_none_lists_what_is_attached():
    here = ports(info(serial="AABB"), info("/dev/ttyACM1", pid=0x96E3, serial=None))
    with pytest.raises(NotAttachedError) as caught:
        find(here, usb_serial="EEFF")
    assert isinstance(caught.value, BenchError)
    assert str(caught.value).splitlines() == [
        "no board with the USB serial number EEFF is attached; attached:"
        " /dev/ttyACM0 (37c5:1206, openmv-n6, serial AABB),"
        " /dev/ttyACM1 (37c5:96e3, openmv-ae3, bootloader, serial none)",
        "  -> is it plugged in and powered? 'hil list' shows what is attached",
    ]


def test_none_where_nothing_known_or_nothing_at_all_is_attached():
    with pytest.raises(NotAttachedError, match="nothing is attached"):
        find([], usb_serial="EEFF")
    with pytest.raises(NotAttachedError, match=r"no known board is attached, only /dev/ttyUSB0"):
        find(ports(info("/dev/ttyUSB0", 0x1A86, 0x7523)), usb_serial="EEFF")


def test_several_are_listed():
    here = ports(info(serial="0001"), info("/dev/ttyACM1", serial="0001"), info(serial="0002"))
    with pytest.raises(SeveralAttachedError, match="2 ports have") as caught:
        find(here, usb_serial="0001")
    assert "/dev/ttyACM0" in str(caught.value)
    assert "/dev/ttyACM1" in str(caught.value)


def test_a_board_is_found_by_what_it_says_of_itself():
    """Of two N6 the one whose number follows from ``machine.unique_id()``; never a bootloader."""
    unique_id = bytes.fromhex("1f0033000651333037343234")
    here = ports(
        info(serial="346534563033"),
        info("/dev/ttyACM1", serial="346534563034"),
        info("/dev/ttyACM2", pid=0x9206, serial=unique_id.hex()),
        info("/dev/ttyACM3", pid=0x1204, serial="346534563033"),
    )
    found = usb.find_by_unique_id(here, model_key="openmv-n6", unique_id=unique_id)
    assert [port.device for port in found] == ["/dev/ttyACM0"]


# --- anything at all -----------------------------------------------------------------------------

_string = st.one_of(st.none(), st.text(max_size=20))


@given(
    st.builds(
        info,
        device=st.text(min_size=1, max_size=20),
        vid=st.one_of(st.none(), st.integers(0, 0xFFFF), st.just(0x37C5)),
        pid=st.one_of(st.none(), st.integers(0, 0xFFFF), st.sampled_from([0x1206, 0x9206])),
        serial=_string,
        product=_string,
        location=_string,
    )
)
def test_any_descriptor_makes_a_port_that_can_be_printed(one):
    port = usb.port_of(one)
    if one.vid is None or one.pid is None:
        assert port is None
    else:
        for text in (port.serial_number, port.product, port.location):
            assert text is None or (text and text.isprintable())
        assert port.model_key is None or model(port.model_key)
        assert str(port)


@given(st.lists(st.binary(max_size=80), max_size=3))
def test_any_record_on_the_virtual_bus_is_a_board_or_none(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("bus")
    for number, content in enumerate(contents):
        (folder / f"{number}.json").write_bytes(content)
    assert [port for port in usb.usb_ports(folder) if port.virtual] == []
