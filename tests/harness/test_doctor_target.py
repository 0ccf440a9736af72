"""What the doctor finds of a target: each ailment is planted, and told with its next step."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import http.server
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from serial_server import ser2net
from test_discovery_mdns import Responder
from test_link_port import HOLD

from hil import config, lock
from hil.boards.table import bootloader_serial_number_of, model
from hil.clock import rtc
from hil.config import TargetSpec
from hil.deadline import Deadline
from hil.discovery import usb
from hil.discovery.usb import UsbPort
from hil.doctor import Examined, examined, own_words, target
from hil.doctor import examine as examine_all
from hil.errors import BenchError, BoardError
from hil.flash import record
from hil.link import files
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

Examine = Callable[..., dict[str, Examined]]


def soon() -> Deadline:
    return Deadline.after(10)


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    with VirtualBoard.start("porch", state=tmp_path / "porch", bus=tmp_path / "bus") as board:
        yield board


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    """``examine("kind: board", ...)["port"]``: the line about the port of a target with this entry;
    ``repl=True`` enters its REPL."""

    def of(
        *fields: str, repl: bool = False, ports: list[UsbPort] | None = None
    ) -> dict[str, Examined]:
        path = tmp_path / "devices.yaml"
        path.write_text("targets:\n  porch:\n" + "".join(f"    {field}\n" for field in fields))
        spec: TargetSpec = config.read(path).targets["porch"]
        deadline = Deadline.after(15)
        here = usb.attached() if ports is None else ports
        look = target.Look(here, repl=repl, state=tmp_path / ".hil")
        look.names.ask([spec.hostname] if spec.hostname else [], deadline)
        found = examined.run([target.probe(spec, look)], deadline)
        assert {one.who for one in found} == {"porch"}
        return {one.what: one for one in found}

    return of


def listed(board: VirtualBoard) -> list[str]:
    return ["kind: board", "model: openmv-n6", f"usb_serial: {board.record.serial_number}"]


def on_the_network(board: VirtualBoard) -> None:
    with BoardLink("porch", board.device, consent=board.consent) as link, link.repl(soon()) as repl:
        connect = "import network\nw=network.WLAN(network.STA_IF)\nw.active(True)\nw.connect('v')"
        repl.exec(f"{connect}\nwhile not w.isconnected(): pass", soon())


#: All but 200 kB of the flash.
FILL = """\
import os
s=os.statvfs('/flash')
n=s[0]*s[3]-200000
b=bytearray(65536)
with open('/flash/x','wb') as f:
 while n>0:n-=f.write(b)
"""


# --- its entry ----------------------------------------------------------------------------------


def test_a_secret_that_is_not_set_is_told_and_the_rest_is_examined(
    examine: Examine, board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORCH_PASSWORD", raising=False)
    found = examine(*listed(board), "password: ${PORCH_PASSWORD}")
    assert found["secrets"].status == "fail"
    assert "PORCH_PASSWORD" in found["secrets"].told
    assert found["port"].status == "ok"
    monkeypatch.setenv("PORCH_PASSWORD", "hunter2")
    found = examine(*listed(board), "password: ${PORCH_PASSWORD}")
    assert found["secrets"].status == "ok"
    assert "hunter2" not in str(found)


# --- its port -----------------------------------------------------------------------------------


def test_a_board_that_is_there_is_ok_and_its_repl_is_left_alone(
    examine: Examine, board: VirtualBoard
) -> None:
    found = examine(*listed(board))
    assert found["port"].status == "ok"
    assert board.device in found["port"].told
    assert (found["REPL"].status, found["REPL"].next_step) == ("skip", "hil doctor --repl")


def test_a_board_that_is_absent_is_told_with_what_is_attached(
    examine: Examine, board: VirtualBoard
) -> None:
    found = examine("kind: board", "model: openmv-n6", "usb_serial: 0123")
    assert found["port"].status == "fail"
    assert board.record.serial_number in found["port"].told
    assert "REPL" not in found


def test_a_path_that_is_absent_is_told(examine: Examine, tmp_path: Path) -> None:
    found = examine("kind: board", "model: esp32-cam", f"port: {tmp_path / 'tty'}")
    assert (found["port"].status, found["port"].told) == ("fail", f"no {tmp_path / 'tty'}")


@pytest.mark.parametrize("what", ["is", "may be"])
def test_a_board_in_its_bootloader_is_told(examine: Examine, what: str) -> None:
    """By another serial number, which leads back to the board, or does not. And without a port."""
    row, unique_id = model("openmv-n6"), bytes(range(12))
    number = bootloader_serial_number_of(row, unique_id) if what == "is" else None
    waits = UsbPort("", 0x37C5, 0x9206, number, None, "1-2", "openmv-n6", "bootloader")
    entry = ("kind: board", "model: openmv-n6", f"usb_serial: {unique_id.hex()}")
    found = examine(*entry, ports=[waits], repl=True)
    assert found["port"].status == "fail"
    assert f"the board {what} in its bootloader" in found["port"].told
    assert "hil flash porch" in found["port"].next_step
    assert "REPL" not in found


def test_a_held_port_names_the_program(examine: Examine, board: VirtualBoard) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, board.device], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = examine(*listed(board), repl=True)
        holder.kill()
    assert found["port"].status == "fail"
    assert f"pid {holder.pid} (" in found["port"].told
    assert "import serial" in found["port"].told
    assert "REPL" not in found


def test_a_board_that_a_run_has_locked_is_left_alone(examine: Examine, board: VirtualBoard) -> None:
    with lock.hold(board.record.serial_number, "checks on porch", soon()):
        found = examine(*listed(board), repl=True)
    assert found["port"].status == "note"
    assert "for checks on porch" in found["port"].told
    assert "REPL" not in found


def test_a_port_without_permission_is_told(
    examine: Examine, board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may open everything
    found = examine(*listed(board))
    assert found["port"].status == "fail"
    assert "no permission" in found["port"].told


def test_a_port_without_permission_names_the_way_in(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Also a UART bridge's, which is among no board's ports."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    monkeypatch.setattr("hil.doctor.newcomers.way_in", lambda device: f"usermod for {device}")
    (tmp_path / "ttyUSB0").touch()
    found = examine("kind: board", "model: esp32-cam", f"port: {tmp_path / 'ttyUSB0'}")
    assert found["port"].next_step == f"usermod for {tmp_path / 'ttyUSB0'}"


def test_locks_that_cannot_be_used_end_no_examination(
    examine: Examine, board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    def holder(key: object) -> None:
        raise BenchError("the folder of the boards' locks cannot be used")

    monkeypatch.setattr(lock, "holder", holder)
    found = examine(*listed(board), "power: {command: {off: ['true'], on: ['true']}}")
    assert (found["port"].status, found["power"].status) == ("fail", "ok")
    assert "locks cannot be used" in found["port"].told


# --- its power ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "status", "told"),
    [
        ("Port 2: 0503 power highspeed enable connect", "ok", "port 2 of hub 1-1"),
        ("Port 2: 0000 off", "fail", "port 2 of hub 1-1 is off"),
        ("Port 3: 0000 off", "warn", "hub 1-1 has no port 2: its power cannot be switched"),
    ],
)
def test_its_port_at_a_hub_is_looked_at(
    examine: Examine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    status: str,
    told: str,
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/uhubctl").write_text(
        f"#!/bin/sh\necho $* >> {tmp_path}/asked\n"
        f"echo 'Current status for hub 1-1 [2109:2813 USB2.0 Hub, USB 2.10, 4 ports, ppps]'\n"
        f"echo '  {said}'\n"
    )
    (tmp_path / "bin/uhubctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    entry = ("kind: board", "model: openmv-n6", "usb_serial: 0123")
    found = examine(*entry, "power: {uhubctl: {hub: 1-1, port: 2}}")
    assert (found["power"].status, found["power"].told) == (status, told)
    assert bool(found["power"].next_step) == (status != "ok")
    assert (tmp_path / "asked").read_text() == "-l 1-1 -p 2\n", "and nothing is switched"


def test_a_power_command_that_is_not_there_is_told(examine: Examine) -> None:
    entry = ("kind: board", "model: openmv-n6", "usb_serial: 0123")
    found = examine(*entry, "power: {command: {off: ['true'], on: [relay-8, 'on']}}")
    assert found["power"].status == "warn"
    assert "there is no program 'relay-8'" in found["power"].told
    assert "on PATH" in found["power"].next_step


# --- the board itself ---------------------------------------------------------------------------


def test_a_sound_board_is_ok_all_over(examine: Examine, board: VirtualBoard) -> None:
    with BoardLink("porch", board.device, consent=board.consent) as link, link.repl(soon()) as repl:
        rtc.set_clock(repl, round(time.time()), soon())
    entry = (*listed(board), f"unique_id: {board.unique_id.hex()}", "provision: true")
    found = examine(*entry, repl=True)
    sound = ("secrets", "profile", "port", "REPL", "firmware", "clock", "room", "journal")
    assert {one.what: one.status for one in found.values()} == {
        **dict.fromkeys(sound, "ok"),
        "mDNS": "skip",  # a run gives it its name,
        "address": "note",  # connects it,
        "HTTP": "skip",  # and deploys what answers there
    }
    assert board.unique_id.hex() in found["REPL"].told
    assert "MicroPython 1." in found["firmware"].told
    assert board.control("status")["boots"] == 1


def test_another_board_behind_the_port_is_told(examine: Examine, board: VirtualBoard) -> None:
    entry = ("kind: board", "model: openmv-n6", f"port: {board.device}", f"unique_id: {'00' * 12}")
    found = examine(*entry, repl=True)
    assert found["REPL"].status == "fail"
    assert board.unique_id.hex() in found["REPL"].told


def test_firmware_of_another_model_is_told(examine: Examine, board: VirtualBoard) -> None:
    entry = ("kind: board", "model: openmv-ae3", f"usb_serial: {board.record.serial_number}")
    found = examine(*entry, repl=True)
    assert found["firmware"].status == "warn"
    assert "expected: OPENMV_AE3" in found["firmware"].told


# --- its firmware -------------------------------------------------------------------------------


def to_flash(board: VirtualBoard, *image: bytes) -> list[str]:
    """The entry of a board that is to be flashed with this image, which lies beside the file."""
    (board.state.parent / "app.bin").write_bytes(b"\0".join(image))
    return [*listed(board), "provision: true", "flash: {image: app.bin, command: 'true'}"]


def reported(board: VirtualBoard) -> record.Reported:
    with BoardLink("porch", board.device, consent=board.consent) as link, link.repl(soon()) as repl:
        return record.report(repl, soon())


def test_an_image_that_is_not_there_is_told_without_asking_the_board(
    examine: Examine, board: VirtualBoard, tmp_path: Path
) -> None:
    entry = to_flash(board)
    (tmp_path / "app.bin").unlink()
    for repl, firmware in ((False, None), (True, "note")):
        found = examine(*entry, repl=repl)
        assert found["images"].status == "fail"
        assert f"{tmp_path / 'devices.yaml'}:7:20: " in found["images"].told
        assert "build it first" in found["images"].next_step
        assert (found["firmware"].status if "firmware" in found else None) == firmware


def test_an_image_for_another_model_is_told(examine: Examine, board: VirtualBoard) -> None:
    found = examine(*to_flash(board, b"OPENMV_AE3"))
    assert found["images"].status == "fail"
    assert "is built for OPENMV_AE3, and an OpenMV N6 is OPENMV_N6" in found["images"].told


def test_what_cannot_be_flashed_here_is_told(
    examine: Examine, board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = [line.replace(", command: 'true'", "") for line in to_flash(board, b"OPENMV_N6")]
    monkeypatch.setenv("PATH", "/nowhere")
    found = examine(*entry)
    assert found["images"].status == "fail"
    assert "dfu-util" in found["images"].told
    assert found["images"].next_step


def test_a_virtual_board_s_image_is_looked_at_too(examine: Examine, tmp_path: Path) -> None:
    (tmp_path / "app.bin").write_bytes(b"")
    entry = ("kind: virtual", "model: openmv-n6", "provision: true", "flash: {image: app.bin}")
    found = examine(*entry)
    assert (found["images"].status, found["port"].status) == ("fail", "skip")


@pytest.mark.parametrize(
    ("build", "told"),
    [
        ("v9.9.9 on 2030-01-01", "expected: v9.9.9 on 2030-01-01: a run flashes it"),
        ("its own", "the expected version, and not flashed by this bench: a run flashes it"),
        ("", "is not known, this bench has not flashed it: a run flashes it"),
    ],
)
def test_what_this_bench_has_not_flashed_is_compared_by_its_version(
    examine: Examine, board: VirtualBoard, build: str, told: str
) -> None:
    version = reported(board).build if build == "its own" else build
    found = examine(*to_flash(board, b"OPENMV_N6", version.encode()), repl=True)
    assert (found["images"].status, found["firmware"].status) == ("ok", "note")
    assert told in found["firmware"].told
    assert found["firmware"].next_step == "'hil flash porch' does it now"


def test_what_this_bench_has_flashed_is_compared_by_its_content(
    examine: Examine, board: VirtualBoard, tmp_path: Path
) -> None:
    entry, now = to_flash(board, b"OPENMV_N6", b"one"), reported(board)
    sha = hashlib.sha256((tmp_path / "app.bin").read_bytes()).hexdigest()
    flashed = record.Record(board.unique_id, {"FIRMWARE": sha}, now)
    record.save(tmp_path / ".hil", flashed)
    found = examine(*entry, repl=True)
    assert found["firmware"].status == "ok"
    assert "what devices.yaml expects, by content" in found["firmware"].told

    since = dataclasses.replace(now, build="v1.2.3 on 2020-01-01")
    record.save(tmp_path / ".hil", dataclasses.replace(flashed, reported=since))
    assert examine(*entry, repl=True)["firmware"].status == "note", "flashed by others meanwhile"

    record.save(tmp_path / ".hil", flashed)
    found = examine(*to_flash(board, b"OPENMV_N6", b"two"), repl=True)
    assert found["firmware"].status == "note"
    assert "FIRMWARE was flashed with another image" in found["firmware"].told
    assert board.control("status")["boots"] == 1


def test_while_a_board_is_asked_it_is_locked(
    examine: Examine, board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def look(*_: object) -> tuple[int, bool]:
        seen.append(lock.holder(board.record.serial_number))
        return 10**6, False

    monkeypatch.setattr(own_words, "_looked", look)
    examine(*listed(board), repl=True)
    assert "examining porch" in str(seen[0])
    assert lock.holder(board.record.serial_number) is None


@pytest.mark.parametrize(("provision", "status"), [("true", "note"), ("false", "warn")])
def test_a_wrong_clock_is_told(
    examine: Examine, board: VirtualBoard, provision: str, status: str
) -> None:
    """A run sets it only where it may write."""
    found = examine(*listed(board), f"provision: {provision}", repl=True)
    assert found["clock"].status == status
    assert "behind" in found["clock"].told
    assert "days" in found["clock"].told


def test_what_a_killed_run_has_left_is_told(examine: Examine, board: VirtualBoard) -> None:
    with BoardLink("porch", board.device, consent=board.consent) as link, link.repl(soon()) as repl:
        files.write_file(repl, "/flash/.hil/index.json", b"{}", soon())
    found = examine(*listed(board), repl=True)
    assert found["journal"].status == "warn"
    assert "hil restore porch" in found["journal"].next_step


def test_a_full_flash_is_told(examine: Examine, board: VirtualBoard) -> None:
    with BoardLink("porch", board.device, consent=board.consent) as link, link.repl(soon()) as repl:
        repl.exec(FILL, soon())
    found = examine(*listed(board), repl=True)
    assert found["room"].status == "warn"
    assert "deploy" in found["room"].next_step


@dataclasses.dataclass
class Says:
    """A REPL that gives one answer to everything."""

    answer: bytes
    port: object = dataclasses.field(default_factory=lambda: SimpleNamespace(target="porch"))

    def exec(self, code: str, deadline: Deadline) -> bytes:
        return self.answer


#: Literals, and what nearly is one: some nested too deep for the parser, some with keys that cannot
#: be hashed, numbers that are none.
ANSWERS = (
    st.binary()
    | st.text("()[]{}:,0123456789eTrue'\\").map(str.encode)
    | st.lists(st.integers() | st.floats() | st.text() | st.none(), min_size=2, max_size=5)
    .map(tuple)
    .map(lambda value: repr(value).encode())
    | st.sampled_from([b"(" * 5000, b"{[]: 1}", b"(1e999, 0)", b"('', '', '', '', 1e999)"])
)


@given(ANSWERS)
def test_whatever_a_board_answers_it_is_its_room_or_its_fault(answer: bytes) -> None:
    with contextlib.suppress(BoardError):
        room, journal = own_words._looked(Says(answer), soon())  # type: ignore[arg-type]
        assert isinstance(room, int)
        assert isinstance(journal, bool)


@given(ANSWERS)
@example(b"('', '', '', '', 1e999)")
def test_whatever_a_board_answers_it_is_its_firmware_or_its_fault(answer: bytes) -> None:
    with contextlib.suppress(BoardError):
        told = record.report(Says(answer), soon())  # type: ignore[arg-type]
        assert [type(one) for one in dataclasses.astuple(told)] == [str, str, str, str, int]


def test_a_remote_port_is_opened_for_its_repl_only(examine: Examine) -> None:
    entry = ("kind: board", "model: openmv-n6", "port: socket://127.0.0.1:9")
    found = examine(*entry)
    assert (found["port"].status, found["REPL"].status) == ("note", "skip")
    assert "unique_id" in found["port"].next_step
    found = examine(*entry, repl=True)
    assert found["REPL"].status == "fail"
    assert "is the serial server running" in found["REPL"].next_step


def test_a_board_behind_a_serial_server_is_examined_like_another(
    examine: Examine,
    board: VirtualBoard,
    require_program: Callable[[str, str], Path],
    tmp_path: Path,
) -> None:
    program = require_program("ser2net", "ser2net")
    with ser2net(program, board.device, "rfc2217", tmp_path / "s", tuned=True) as server:
        entry = ("kind: board", "model: openmv-n6", f"port: {server.url}")
        found = examine(*entry, f"unique_id: {board.unique_id.hex()}", repl=True)
    assert (found["port"].status, found["REPL"].status) == ("ok", "ok")
    assert "MicroPython 1." in found["firmware"].told


def test_whatever_does_not_answer_the_doctor_is_through_in_time(tmp_path: Path) -> None:
    """A web server, a board and a flashing tool that take a connection, and say nothing."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        path = tmp_path / "devices.yaml"
        path.write_text(
            f"""
targets:
  staging: {{kind: url, url: 'http://127.0.0.1:{port}'}}
  loft: {{kind: board, model: openmv-n6, port: 'socket://127.0.0.1:{port}'}}
  attic: {{kind: board, model: openmv-n6, port: 'rfc2217://127.0.0.1:{port}', hostname: hil-x}}
"""
        )
        start = time.monotonic()
        found = examine_all(config.read(path), None, repl=True, state=tmp_path, budget_s=3)
        assert time.monotonic() - start < 8
    failed = {(one.who, one.what) for one in found if one.status in ("fail", "warn")}
    assert {("staging", "HTTP"), ("loft", "REPL")} <= failed
    assert "attic" in {who for who, _ in failed}


# --- its name and its application ---------------------------------------------------------------


class _Application(http.server.BaseHTTPRequestHandler):
    realm: str | None = "Backyard cam admin"

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.send_response(401 if self.realm else 404)
        if self.realm:
            self.send_header("WWW-Authenticate", f'Basic realm="{self.realm}"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[str | None], str]]:
    """``serve(realm)``: the URL of an application that asks for this realm; None: any other one."""
    servers = []

    def of(realm: str | None) -> str:
        handler = type("Handler", (_Application,), {"realm": realm})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield of
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("realm", "status", "told"),
    [
        ("Backyard cam admin", "ok", "answers as OpenMV camera does"),
        (None, "fail", "POST /api/ack without credentials gets 404, promised is 401"),
        ("Router", "fail", "asks for another realm than 'Backyard cam admin'"),
    ],
)
def test_another_application_at_the_address_is_told(
    examine: Examine, serve: Callable[[str | None], str], realm: str, status: str, told: str
) -> None:
    found = examine("kind: url", f"url: {serve(realm)}")
    assert found["HTTP"].status == status
    assert told in found["HTTP"].told


def test_an_address_that_does_not_answer_is_told(
    examine: Examine, serve: Callable[[str | None], str]
) -> None:
    found = examine("kind: url", "url: http://127.0.0.1:9")
    assert found["HTTP"].status == "fail"
    assert "no answer" in found["HTTP"].told
    assert "is 'url' right" in found["HTTP"].next_step, "a URL has no REPL to look at"


def test_a_name_that_two_boards_claim_is_told(examine: Examine, board: VirtualBoard) -> None:
    name = f"hil-doctor-{board.unique_id.hex()[:8]}"
    with Responder(name, "127.0.0.1", "127.0.0.9"):
        found = examine(*listed(board), f"hostname: {name}")
    assert found["mDNS"].status == "fail"
    assert "127.0.0.1 and 127.0.0.9" in found["mDNS"].told
    assert "own 'hostname'" in found["mDNS"].next_step


def test_a_board_that_is_only_read_needs_a_name_to_be_reached_by(
    examine: Examine, board: VirtualBoard
) -> None:
    found = examine(*listed(board), repl=True)
    assert (found["mDNS"].status, found["address"].status) == ("fail", "warn")
    assert "no way to reach it" in found["mDNS"].told
    assert found["HTTP"].status == "skip"
    assert examine(*listed(board))["HTTP"].next_step == "hil doctor --repl"


@pytest.mark.parametrize("provision", ["true", "false"])
def test_without_a_name_the_address_is_the_board_s_own_word(
    examine: Examine, board: VirtualBoard, provision: str
) -> None:
    on_the_network(board)
    found = examine(*listed(board), f"provision: {provision}", repl=True)
    assert (found["address"].status, found["address"].told) == (
        "ok",
        f"the board says {board.address}",
    )
    assert f"no answer from {board.url}" in found["HTTP"].told
    assert found["HTTP"].status == ("note" if provision == "true" else "fail")


@pytest.mark.parametrize(("provision", "status"), [("true", "note"), ("false", "fail")])
def test_a_name_that_nobody_answers_for_is_told(
    examine: Examine,
    board: VirtualBoard,
    monkeypatch: pytest.MonkeyPatch,
    provision: str,
    status: str,
) -> None:
    """A run gives a board its name, where it may."""
    monkeypatch.setattr(target, "MDNS_S", 0.3)
    found = examine(*listed(board), "hostname: hil-doctor-nobody", f"provision: {provision}")
    assert found["mDNS"].status == status
    assert "nobody answers for hil-doctor-nobody.local" in found["mDNS"].told


def test_a_name_that_leads_to_another_board_is_told(examine: Examine, board: VirtualBoard) -> None:
    """The board itself says over serial that its address is another one."""
    name = f"hil-doctor-{board.unique_id.hex()[8:16]}"
    on_the_network(board)
    with Responder(name, "127.0.0.1"):
        found = examine(*listed(board), f"hostname: {name}", "provision: true", repl=True)
    assert found["address"].status == "fail"
    assert f"says over serial that its address is {board.address}" in found["address"].told
