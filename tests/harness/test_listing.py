"""What ``hil list`` says of a bench."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import pytest

from hil import config, listing, lock
from hil.boards.table import model
from hil.deadline import Deadline
from hil.discovery import mdns
from hil.discovery.mdns import Resolved
from hil.discovery.usb import UsbPort
from hil.errors import BenchError
from hil.link.board import BoardLink
from hil.sighting import sight
from hil.virtual.board import VirtualBoard
from hil.virtual.bus import VirtualPort

N6_NUMBER = "346534563033"
N6_LOADER_NUMBER = "34323437303351060033001F"  # the id 1f0033000651333037343234, reversed


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))


@pytest.fixture
def plug_in(tmp_path):
    """Plug a board in that shows this on USB; nothing is behind its port."""

    def plug_in(pid, serial, *, vid=0x37C5, device=None):
        name = f"board-{len(list((tmp_path / 'bus').glob('*')))}"
        port = VirtualPort(
            name=name,
            model="openmv-n6",
            device=device or str(tmp_path / name),
            vid=vid,
            pid=pid,
            serial_number=serial,
            product="",
            supervisor_pid=os.getpid(),
            address="127.1.2.3",
            http_port=8080,
        )
        (tmp_path / "bus" / f"{name}.json").write_text(json.dumps(asdict(port)))
        return port

    (tmp_path / "bus").mkdir()
    return plug_in


@pytest.fixture
def listed(tmp_path):
    """The rows of ``hil list`` for these targets."""

    def listed(ask=False, **targets):
        entries = {
            name: {"kind": "board", "model": "openmv-n6", **entry}
            for name, entry in targets.items()
        }
        (tmp_path / "devices.yaml").write_text(json.dumps({"targets": entries}))
        inventory = config.read(tmp_path / "devices.yaml")
        return listing.rows(inventory, ask=ask, bus=tmp_path / "bus")

    return listed


def states(rows):
    return {row.target: row.state for row in rows}


@pytest.fixture
def answers(monkeypatch):
    """What the network says: host name to addresses."""

    def say(**addresses):
        found = {name: Resolved(name, tuple(told)) for name, told in addresses.items()}
        monkeypatch.setattr(
            mdns,
            "lookup",
            lambda names, deadline: {name: found.get(name, Resolved(name, ())) for name in names},
        )

    return say


# --- on USB --------------------------------------------------------------------------------------


def test_two_boards_of_one_model_and_one_that_is_not_there(plug_in, listed):
    one, other = plug_in(0x1206, N6_NUMBER), plug_in(0x1206, "306A37563136")
    rows = listed(
        porch={"usb_serial": "306a37563136"},  # operating systems change the case
        garden={"usb_serial": N6_NUMBER},
        shed={"usb_serial": "306A37563137"},
    )
    assert states(rows) == {"porch": "attached", "garden": "attached", "shed": "absent"}
    assert [row.port for row in rows] == [other.device, one.device, ""]


def test_a_board_in_its_bootloader_is_the_listed_one_under_its_other_number(plug_in, listed):
    plug_in(0x9206, N6_LOADER_NUMBER)
    (row,) = listed(porch={"usb_serial": N6_NUMBER})
    assert row.state == "in its bootloader (37c5:9206)"


def test_a_bootloader_that_is_one_board_s_is_no_other_s(plug_in, listed):
    """An AE3's number in the bootloader tells nothing; an N6's tells which one it is."""
    plug_in(0x9206, N6_LOADER_NUMBER)
    plug_in(0x96E3, "00112233445566778899AABB")
    rows = listed(
        porch={"usb_serial": N6_NUMBER},
        garden={"usb_serial": "306A37563136"},
        gate={"model": "openmv-ae3", "usb_serial": "0011223344556677"},
    )
    assert states(rows) == {
        "porch": "in its bootloader (37c5:9206)",
        "garden": "absent",
        "gate": "absent; may be in its bootloader (37c5:96e3)",
        None: "unlisted; in its bootloader",
    }


def test_a_bootloader_in_one_board_s_place_is_no_other_s():
    """Of two AE3, one listed by its place: the loader there is that one, so it is not the other."""
    loader = UsbPort(
        device="",
        vid=0x37C5,
        pid=0x96E3,
        serial_number=None,
        product=None,
        location="1-2",
        model_key="openmv-ae3",
        mode="bootloader",
    )
    by_path = "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0"
    ae3 = config.TargetSpec(name="", where="", kind="board", model="openmv-ae3")
    gate = replace(ae3, name="gate", usb_serial="0011223344556677")
    garden = replace(ae3, name="garden", port=by_path)
    seen = sight([gate, garden], [loader], {})
    assert [one.presence for one in seen] == ["absent", "in its bootloader (USB 1-2, 37c5:96e3)"]


def test_a_board_that_runs_is_not_in_a_bootloader_at_the_same_time(plug_in, listed):
    """ST's short form is a digest of the id: two boards may share it."""
    plug_in(0x1206, N6_NUMBER)
    plug_in(0x9206, N6_LOADER_NUMBER)
    rows = listed(porch={"usb_serial": N6_NUMBER})
    assert states(rows) == {"porch": "attached", None: "unlisted; in its bootloader"}


def test_two_boards_with_one_serial_number(plug_in, listed):
    plug_in(0x1206, N6_NUMBER)
    plug_in(0x1206, N6_NUMBER)
    (row,) = listed(porch={"usb_serial": N6_NUMBER})
    assert row.state.startswith("2 boards have its USB serial number: ")


def test_a_board_of_another_model_than_is_listed(plug_in, listed):
    plug_in(0x16E3, N6_NUMBER)
    (row,) = listed(porch={"usb_serial": N6_NUMBER})
    assert row.state == "attached, but USB says that it is an openmv-ae3 (37c5:16e3)"


def test_a_board_under_other_firmware(plug_in, listed):
    plug_in(0x005B, N6_NUMBER, vid=0x2341)
    (row,) = listed(porch={"model": "arduino-portenta-h7", "usb_serial": N6_NUMBER})
    assert row.state == "attached, but it runs other firmware than MicroPython (2341:005b)"
    (_, other) = listed(shed={"usb_serial": "0000"})
    assert other.state == "unlisted; runs other firmware"


def test_boards_that_are_not_listed(plug_in, listed):
    plug_in(0x1206, N6_NUMBER)
    plug_in(0xDF11, "306A37563136", vid=0x0483)
    plug_in(0x7523, "0001", vid=0x1A86)  # a UART bridge: no board's
    rows = listed(shed={"model": "openmv-ae3", "usb_serial": "0000"})
    assert [(row.target, row.model, row.state) for row in rows[1:]] == [
        (None, "openmv-n6", "unlisted"),
        (None, "?", "unlisted; in its chip's ROM loader"),
    ]


def test_a_board_that_is_listed_by_a_link_to_its_port(plug_in, listed, tmp_path):
    (tmp_path / "tty").touch()
    (tmp_path / "by-path").symlink_to(tmp_path / "tty")
    plug_in(0x1206, N6_NUMBER, device=str(tmp_path / "tty"))
    (row,) = listed(porch={"port": str(tmp_path / "by-path")})
    assert (row.state, row.port) == ("attached", str(tmp_path / "tty"))


# --- held ----------------------------------------------------------------------------------------


def test_a_board_that_another_run_holds(plug_in, listed):
    plug_in(0x1206, N6_NUMBER)
    with lock.hold(N6_NUMBER, "checks on porch", Deadline.after(5)):
        (row,) = listed(porch={"usb_serial": N6_NUMBER}, ask=True)
    assert row.state.startswith("held by ")
    assert row.state.endswith("for checks on porch")
    assert row.firmware == "", "a board that is held is not asked"


def test_a_board_whose_port_another_program_has_open(plug_in, listed, require_file):
    require_file("/proc/self/fd", "linux")
    board, far_end = os.openpty()
    device = os.ttyname(far_end)
    plug_in(0x1206, N6_NUMBER, device=device)
    wait = f"f = open({device!r}); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", wait], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        os.close(far_end)
        holder.stdout.readline()
        (row,) = listed(porch={"usb_serial": N6_NUMBER}, ask=True)
        (_, unlisted) = listed(shed={"usb_serial": "0000"})
        holder.communicate(b"\n")
    os.close(board)
    assert row.state.startswith(f"port held by pid {holder.pid} ({sys.executable} -c")
    assert row.firmware == ""
    assert unlisted.state.startswith(f"unlisted; port held by pid {holder.pid} ")


def test_a_lock_that_cannot_be_seen_hides_no_board(plug_in, listed, monkeypatch):
    def unusable(key):
        raise BenchError("the folder of the locks")

    monkeypatch.setattr(lock, "holder", unusable)
    plug_in(0x1206, N6_NUMBER)
    rows = listed(porch={"usb_serial": N6_NUMBER}, shed={"usb_serial": "0000"})
    told = "whether it is held cannot be told: the folder of the locks"
    assert states(rows) == {"porch": told, "shed": f"absent; {told}"}


def test_no_port_is_opened_without_being_asked_to(plug_in, listed, monkeypatch):
    import serial

    monkeypatch.setattr(serial.Serial, "open", lambda self: pytest.fail("a port was opened"))
    plug_in(0x1206, N6_NUMBER)
    assert states(listed(porch={"usb_serial": N6_NUMBER})) == {"porch": "attached"}


# --- on the network ------------------------------------------------------------------------------


def test_a_board_that_is_only_on_the_network(listed, plug_in, answers):
    answers(porch=["10.0.0.5"])
    (row,) = listed(porch={"usb_serial": N6_NUMBER, "hostname": "porch"})
    assert (row.state, row.address) == ("only on the network", "10.0.0.5")


def test_a_name_that_two_boards_claim(listed, plug_in, answers):
    plug_in(0x1206, N6_NUMBER)
    answers(porch=["10.0.0.5", "10.0.0.6"])
    (row,) = listed(porch={"usb_serial": N6_NUMBER, "hostname": "porch"})
    assert row.state == "attached; porch.local answers from 2 addresses: two boards claim it"
    assert row.address == "10.0.0.5, 10.0.0.6"


def test_two_names_that_lead_to_one_board(listed, plug_in, answers):
    plug_in(0x1206, N6_NUMBER)
    answers(porch=["10.0.0.5"], shed=["10.0.0.5"])
    rows = listed(
        porch={"usb_serial": N6_NUMBER, "hostname": "porch"},
        shed={"usb_serial": "306A37563136", "hostname": "shed"},
    )
    assert states(rows) == {
        "porch": "attached; porch.local leads to the same address as the name of 'shed'",
        "shed": "only on the network; shed.local leads to the same address as the name of 'porch'",
    }


# --- asked ---------------------------------------------------------------------------------------


def test_a_board_says_that_its_name_leads_elsewhere(listed, tmp_path, answers):
    with VirtualBoard.start("porch", state=tmp_path / "p", bus=tmp_path / "bus") as board:
        join = "import network as n\nw = n.WLAN()\nw.active(True)\nw.connect('hil')"
        with (
            BoardLink("porch", board.device, consent=board.consent) as link,
            link.repl(Deadline.after(10)) as repl,
        ):
            repl.exec(join, Deadline.after(10))
        entry = {"usb_serial": board.record.serial_number, "hostname": "porch"}
        answers(porch=["10.0.0.6"])
        (row,) = listed(porch=entry, ask=True)
        assert row.state == (
            "attached; porch.local resolves to 10.0.0.6, but the board says over serial that its"
            f" address is {board.address}"
        )
        answers()
        (row,) = listed(porch=entry, ask=True)
        assert (row.state, row.address) == ("attached", board.address)
        assert row.firmware.startswith(f"{model('openmv-n6').title} (virtual), MicroPython 1.")


def test_all_boards_are_asked_at_once(plug_in, listed, monkeypatch):
    everybody = threading.Barrier(3)
    monkeypatch.setattr(listing, "_asked", lambda seen: str(everybody.wait(20)))
    for number in range(3):
        plug_in(0x1206, f"30{number}")
    rows = listed(**{f"b{n}": {"usb_serial": f"30{n}"} for n in range(3)}, ask=True)
    assert sorted(row.firmware for row in rows) == ["0", "1", "2"]


def test_a_board_that_does_not_answer_is_told_and_the_others_are_not_lost(plug_in, listed):
    plug_in(0x1206, N6_NUMBER)  # its port does not exist
    (row,) = listed(porch={"usb_serial": N6_NUMBER}, ask=True)
    assert row.firmware.startswith("no port ")


def test_what_a_device_or_a_person_says_is_shown_as_it_is(plug_in, listed, capsys):
    plug_in(0x1206, N6_NUMBER)
    (row,) = listed(porch={"usb_serial": N6_NUMBER})
    said = replace(row, serial_number="34[/b]65:cat:", state="held by bob for [red] things")
    listing.print_table([said])
    told = capsys.readouterr().out
    assert "34[/b]65:cat:" in told
    assert "for [red] things" in told


def test_in_a_pipe_a_row_is_one_line(plug_in, listed, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    plug_in(0x1206, N6_NUMBER)
    (row,) = listed(porch={"usb_serial": N6_NUMBER})
    listing.print_table([replace(row, state="held by " + "a very busy person " * 20)])
    heading, told = capsys.readouterr().out.splitlines()
    assert "USB serial" in heading
    assert N6_NUMBER in told


def test_the_table_says_what_to_do(plug_in, listed, capsys):
    plug_in(0x9206, N6_LOADER_NUMBER)
    listing.print_table(listed(porch={"usb_serial": N6_NUMBER}))
    told = capsys.readouterr().out
    assert "hil recover TARGET" in told
    assert "hil init" not in told
    (row,) = listed(porch={"usb_serial": N6_NUMBER})
    listing.print_table([replace(row, target=None, state="unlisted; port held by pid 1 (init)")])
    assert "hil init" in capsys.readouterr().out
