"""What is on USB, as the real pyserial and our own reader find it in a mocked ``/sys``."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mocked_usb import Plugged, python

from hil.boards.table import bootloader_serial_number_of, model, models, serial_number_of
from hil.discovery import sysfs, usb
from hil.discovery.usb import UsbPort

LIST = """
import dataclasses, json
from hil.discovery import usb
print(json.dumps([dataclasses.asdict(port) for port in usb.attached()]))
"""

N6 = Plugged(0x37C5, 0x1206, "1-2.3", (("ttyACM0", 0),), "346534563033", "OpenMV Camera")
N6_IN_ITS_LOADER = replace(N6, pid=0x9206, ttys=(), serial="34323437303351060033001F", interfaces=1)


@pytest.fixture
def attached(require_program, tmp_path):
    run = require_program("umockdev-run", "umockdev")

    def attached(*plugged):
        done = python(run, tmp_path, plugged, "-c", LIST)
        assert done.returncode == 0, done.stderr
        return [UsbPort(**port) for port in json.loads(done.stdout)]

    return attached


def every_id_of_the_table():
    """Each board of the table in run mode, under each of its USB ids, with a number of its own."""
    for row in models():
        for at, (vid, pid) in enumerate(row.run_ids):
            (serial, *_) = serial_number_of(row, bytes(range(at, at + row.unique_id_bytes)))
            yield row.key, vid, pid, serial


def test_every_board_of_the_table_is_found_as_it_runs(attached):
    table = list(every_id_of_the_table())
    assert {key for key, *_ in table} == {row.key for row in models()} - {"esp32-cam"}
    plugged = [
        Plugged(vid, pid, f"1-{at + 1}", ((f"ttyACM{at}", 0),), serial, model(key).product)
        for at, (key, vid, pid, serial) in enumerate(table)
    ]
    found = {port.device: port for port in attached(*plugged)}
    assert len(found) == len(table)
    for at, (key, vid, pid, serial) in enumerate(table):
        assert found[f"/dev/ttyACM{at}"] == UsbPort(
            device=f"/dev/ttyACM{at}",
            vid=vid,
            pid=pid,
            serial_number=serial,
            product=model(key).product,
            location=f"1-{at + 1}",
            model_key=key,
            mode="run",
            interface="1.0",
        )


def test_every_bootloader_of_the_table_is_found_though_it_shows_no_port(attached):
    loaders = [
        (row, vid, pid, mode)
        for row in models()
        for mode, ids in (("bootloader", row.bootloader_ids), ("recovery", row.recovery_ids))
        for vid, pid in ids
    ]
    plugged = [
        Plugged(
            vid,
            pid,
            f"1-{at + 1}",
            serial=bootloader_serial_number_of(row, bytes(range(row.unique_id_bytes))),
            interfaces=1,
        )
        for at, (row, vid, pid, _) in enumerate(loaders)
    ]
    found = attached(*plugged)
    assert [(port.device, port.mode, port.location) for port in found] == [
        ("", mode, f"1-{at + 1}") for at, (_, _, _, mode) in enumerate(loaders)
    ]
    told = {port.model_key for port in found if port.mode == "bootloader"}
    assert told == {row.key for row in models() if row.bootloader_ids}


def test_a_board_with_a_port_and_one_without(attached):
    other = replace(N6_IN_ITS_LOADER, place="1-2.10")
    running, loading = attached(N6, other)
    assert (running.device, running.mode) == ("/dev/ttyACM0", "run")
    assert (loading.device, loading.mode, loading.location) == ("", "bootloader", "1-2.10")


def test_whatever_else_is_on_usb_is_no_board(attached):
    hub = Plugged(0x05E3, 0x0608, "1-2", interfaces=1, product="USB2.0 Hub")
    mouse = Plugged(0x046D, 0xC52B, "1-2.4", product="USB Receiver")
    assert attached(hub, N6, mouse) == attached(N6)


@pytest.mark.parametrize("ids", [(0x1A86, 0x7523), (0x10C4, 0xEA60), (0x0403, 0x6001)])
def test_a_uart_bridge_is_listed_and_is_nobody_s(attached, ids):
    (port,) = attached(Plugged(*ids, "1-4", (("ttyUSB0", 0),), "0001", interfaces=1))
    assert (port.device, port.location, port.interface) == ("/dev/ttyUSB0", "1-4", None)
    assert (port.model_key, port.mode) == (None, "unknown")


def test_a_board_without_a_serial_number(attached):
    (port,) = attached(replace(N6, serial=None))
    assert port.serial_number is None
    assert "serial none" in str(port)


def test_strings_that_would_spoil_a_terminal(attached):
    serial, product = "34\x1b[2J65\x07\u202e", "Kaméra \x00\u2028\x7f für\t1\x9b0m €"
    for plugged in (N6, N6_IN_ITS_LOADER):
        (port,) = attached(replace(plugged, serial=serial, product=product))
        assert port.serial_number == "34[2J65"
        assert port.product == "Kaméra  für10m €"


def test_a_composite_device_is_one_board_at_its_first_port(attached):
    two = replace(N6, ttys=(("ttyACM5", 2), ("ttyACM6", 0)), interfaces=4)
    (first, second) = sorted(attached(two), key=lambda port: port.interface)
    assert (first.device, first.interface) == ("/dev/ttyACM6", "1.0")
    assert (second.device, second.interface) == ("/dev/ttyACM5", "1.2")
    assert first.location == second.location == "1-2.3"

    assert usb.boards([second, first]) == [first]
    assert usb.find([second, first], usb_serial="346534563033") == first


def test_two_boards_with_one_serial_number_are_two(attached):
    twin = replace(N6, place="1-2.4", ttys=(("ttyACM1", 0),))
    ports = attached(N6, twin)

    assert len(usb.boards(ports)) == 2
    with pytest.raises(usb.SeveralAttachedError, match=r"ttyACM0 .* /dev/ttyACM1 "):
        usb.find(ports, usb_serial="346534563033")


def test_old_firmware_is_a_board_of_no_known_model(attached):
    (port,) = attached(replace(N6, vid=0x1209, pid=0xABD1))
    assert (port.model_key, port.mode) == (None, "run")


HEAD = """
import pathlib
from hil.bench import Bench
print("\\n".join(Bench.plan(None, pathlib.Path.cwd(), None).describe()))
"""


def test_the_head_of_a_run_names_what_is_attached_and_not_listed(require_program, tmp_path):
    """Not the listed board that is in its bootloader, nor a second port of a listed one."""
    (tmp_path / "devices.yaml").write_text(
        "targets:\n"
        "  porch: {kind: board, model: openmv-n6, usb_serial: 346534563033}\n"
        "  shed: {kind: board, model: openmv-h7, usb_serial: AABB}\n"
    )
    plugged = (
        N6_IN_ITS_LOADER,
        Plugged(0x37C5, 0x1204, "1-3", (("ttyACM1", 0), ("ttyACM2", 2)), "AABB"),
        replace(N6, place="1-4", serial="CCDD", product="Camera"),
        Plugged(0x2341, 0x035B, "1-5", product="Portenta DFU"),
        Plugged(0x1A86, 0x7523, "1-6", (("ttyUSB0", 0),), interfaces=1),
    )
    done = python(require_program("umockdev-run", "umockdev"), tmp_path, plugged, "-c", HEAD)
    assert done.returncode == 0, done.stderr
    targets, *notes = done.stdout.splitlines()
    assert "porch (openmv-n6), shed (openmv-h7)" in targets
    assert [note.partition(" is attached but not listed")[0] for note in notes] == [
        "Camera at /dev/ttyACM0",
        "Portenta DFU at USB 1-5",
    ]


def test_a_device_that_is_unplugged_while_it_is_read_is_not_there(tmp_path):
    """Nothing can be unplugged in the middle of a read on purpose: what a read finds then."""
    for name, contents in {
        "1-1": {"idVendor": b"37c5\n", "idProduct": b"9206\n", "serial": b"\xff00\n"},
        "1-2": {"idVendor": b"37c5\n"},
        "1-3": {},
        "1-4": {"idVendor": b"37c5\n", "idProduct": b""},
    }.items():
        (tmp_path / name).mkdir()
        for file, content in contents.items():
            (tmp_path / name / file).write_bytes(content)
    (found,) = sysfs.devices(tmp_path)
    assert (found.location, found.vid, found.pid) == ("1-1", 0x37C5, 0x9206)
    assert found.serial_number == "\ufffd00\n"


@example({"1-1": {"idVendor": b"-1", "idProduct": b"12345678"}})
@example({"1-1": {"idVendor": b"37c5", "idProduct": b"9206", "serial": b"\x1b[2J\xff\n"}})
@given(
    st.dictionaries(
        st.sampled_from(["1-1", "2-1.4", "1-1:1.0", "usb1", "1-x", "-"]),
        st.dictionaries(
            st.sampled_from(["idVendor", "idProduct", "serial", "product"]), st.binary(max_size=12)
        ),
    )
)
def test_whatever_sysfs_holds_is_a_device_or_none(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("sys")
    for name, files in tree.items():
        (folder / name).mkdir()
        for file, content in files.items():
            (folder / name / file).write_bytes(content)
    found = sysfs.devices(folder)
    assert {one.location for one in found} <= tree.keys() - {"1-1:1.0", "usb1"}
    for one in found:
        assert 0 <= one.vid <= 0xFFFF
        assert 0 <= one.pid <= 0xFFFF
        port = usb._portless(one)
        assert str(port).isprintable()


def test_without_sysfs_there_are_no_devices(tmp_path):
    assert sysfs.devices(tmp_path / "absent") == []


def test_locations_are_in_the_order_of_the_sockets():
    places = ["2-1", "1-10", "1-2.10", "1-2", "1-2.9", "usb1", None]
    assert sorted(places, key=sysfs.place)[:5] == ["1-2", "1-2.9", "1-2.10", "1-10", "2-1"]
