"""A virtual board's bootloader: what it does with requests, and how the board gets in and out."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.boards.table import bootloader_serial_number_of, model
from hil.deadline import Deadline
from hil.discovery import usb
from hil.errors import BenchError
from hil.link.board import BoardLink
from hil.link.port import PortGoneError
from hil.virtual.board import VirtualBoard, bootloader_serial_of
from hil.virtual.bootloader import BLOCK, Loader
from hil.virtual.firmware import DamagedImageError, Firmware, Partitions, build, parse

N6 = model("openmv-n6")
NEVER = {part.name: part.never for part in N6.partitions if part.never}
IMAGE = Firmware("OPENMV_N6", "FIRMWARE", "new", b"r" * 2 * BLOCK).pack()


# What it does with requests


@pytest.fixture
def partitions(tmp_path: Path) -> Partitions:
    made = Partitions(tmp_path, "OPENMV_N6", ("FIRMWARE",))
    made.make({"FIRMWARE": Firmware("OPENMV_N6", "FIRMWARE", "old", b"").pack()})
    return made


@pytest.fixture
def loader(partitions: Partitions) -> Loader:
    return Loader(partitions, "OPENMV_N6", NEVER)


def ask(loader: Loader, op: str, **arguments: Any) -> dict[str, Any]:
    return loader.answer(json.dumps({"op": op, **arguments}).encode())


def download(
    loader: Loader, image: bytes, partition: str = "FIRMWARE", *, first: int = 0
) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    for block in range(first, -(-len(image) // BLOCK)):
        piece = base64.b64encode(image[block * BLOCK : (block + 1) * BLOCK]).decode()
        answer = ask(loader, "download", partition=partition, block=block, data=piece)
    return answer


def test_a_download_is_verified_and_then_is_the_firmware(
    loader: Loader, partitions: Partitions
) -> None:
    assert download(loader, IMAGE) == {"state": "download", "error": None}
    assert ask(loader, "manifest", partition="FIRMWARE")["state"] == "idle"
    assert ask(loader, "status")["version"] == partitions.firmware().version == "new"


@pytest.mark.parametrize("name", sorted(NEVER))
def test_it_refuses_what_is_never_written(loader: Loader, tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    answer = download(loader, IMAGE[:100], name)
    assert answer["state"] == "error"
    assert answer["error"] == f"{name} is never written: {NEVER[name]}"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", ["ROMFS0", "firmware", "", "../FIRMWARE", "HP"])
def test_it_refuses_other_partitions(loader: Loader, tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert "there are FIRMWARE" in download(loader, IMAGE[:100], name)["error"]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (IMAGE[:-1], "bytes, not"),
        (IMAGE[:200] + b"R" + IMAGE[201:], "SHA-256"),
        (Firmware("OPENMV_AE3", "FIRMWARE", "new", b"").pack(), "is for OPENMV_AE3"),
        (Firmware("OPENMV_N6", "HP", "new", b"").pack(), "for the partition HP"),
        (b"\x7fELF", "does not begin"),
    ],
)
def test_what_is_not_this_boards_image_ends_in_an_error_that_stays(
    loader: Loader, partitions: Partitions, image: bytes, why: str
) -> None:
    assert download(loader, image)["error"] is None
    assert why in ask(loader, "manifest", partition="FIRMWARE")["error"]
    assert ask(loader, "status")["state"] == "error"
    assert ask(loader, "status")["damage"] is not None
    with pytest.raises(DamagedImageError):
        partitions.firmware()
    assert download(loader, IMAGE)["state"] == "error"
    assert ask(loader, "clear") == {"state": "idle", "error": None}
    download(loader, IMAGE)
    assert ask(loader, "manifest", partition="FIRMWARE")["error"] is None


def test_blocks_come_in_order(loader: Loader) -> None:
    download(loader, IMAGE[:BLOCK])
    assert "does not follow" in download(loader, IMAGE, first=2)["error"]


def test_only_the_last_block_is_a_short_one(loader: Loader) -> None:
    download(loader, IMAGE[:100])
    assert "follows a short one" in download(loader, IMAGE, first=1)["error"]


def test_nothing_downloaded_is_nothing_verified(loader: Loader) -> None:
    assert "nothing was downloaded" in ask(loader, "manifest", partition="FIRMWARE")["error"]


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
REQUESTS = st.one_of(
    JSON,
    st.fixed_dictionaries(
        {"op": st.sampled_from(["download", "manifest", "status", "clear", "fly"])},
        optional={
            "partition": st.one_of(st.sampled_from(["FIRMWARE", "BOOTLOADER"]), JSON),
            "block": st.one_of(st.sampled_from([0, 1, 2, True]), JSON),
            "data": st.one_of(st.sampled_from(["", "AAAA", "AAA", "é"]), JSON),
            "more": JSON,
        },
    ),
)


@settings(max_examples=40)
@given(st.lists(REQUESTS, max_size=5), st.binary(max_size=20))
def test_any_requests_are_done_or_refused(
    tmp_path_factory: pytest.TempPathFactory, requests: list[Any], line: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    partitions = Partitions(folder, "OPENMV_N6", ("FIRMWARE",))
    loader = Loader(partitions, "OPENMV_N6", NEVER)
    for request in [*(json.dumps(request).encode() for request in requests), line, b"[" * 8000]:
        answer = loader.answer(request)
        assert answer["state"] in ("idle", "download", "error")
        assert (answer["error"] is None) is (answer["state"] != "error")
    assert {path.name for path in folder.rglob("*.bin")} <= {"FIRMWARE.bin"}


# In and out


@pytest.fixture(scope="module")
def n6(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("n6")
    with VirtualBoard.start("boot", state=folder / "s", bus=folder / "bus") as board:
        yield board


@pytest.fixture
def board(n6: VirtualBoard) -> VirtualBoard:
    """As it came from the factory, just powered on: no fault outlives its power."""
    n6.power_off()
    (n6.state / "partitions" / "FIRMWARE.bin").write_bytes(build(N6, "factory")["FIRMWARE"])
    n6.power_on()
    return n6


def the_port(board: VirtualBoard) -> usb.UsbPort | None:
    ports = usb.usb_ports(board.bus)
    assert len([port for port in ports if port.virtual]) <= 1
    return next((port for port in ports if port.virtual), None)


def wait_for(board: VirtualBoard, mode: str) -> usb.UsbPort:
    deadline = Deadline.after(10)
    while (port := the_port(board)) is None or port.mode != mode:
        assert not deadline.expired, (mode, port)
        time.sleep(0.002)
    return port


def enter(board: VirtualBoard) -> usb.UsbPort:
    deadline = Deadline.after(10)
    with (
        BoardLink("boot", board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        with contextlib.suppress(PortGoneError):
            repl.start("import machine\nmachine.bootloader()", deadline)
        assert repl.port.wait_gone(deadline)
    return wait_for(board, "bootloader")


@contextlib.contextmanager
def connected(board: VirtualBoard) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(str((board.state / "bootloader.sock").resolve()))
        yield connection


def request(connection: socket.socket, **words: Any) -> dict[str, Any] | None:
    """None: it hung up."""
    connection.sendall(json.dumps(words).encode() + b"\n")
    line = connection.makefile("rb").readline()
    return json.loads(line) if line else None


def test_machine_bootloader_leaves_the_bootloader_on_the_bus(board: VirtualBoard) -> None:
    running = wait_for(board, "run")
    port = enter(board)
    assert (port.vid, port.pid) == N6.bootloader_ids[0]
    assert port.serial_number == bootloader_serial_number_of(N6, board.unique_id)
    assert port.serial_number != running.serial_number
    assert port.product == "OpenMV Camera (DFU Mode)"
    assert (port.model_key, port.device) == ("openmv-n6", "")
    assert not Path(board.device).exists(), "it has no serial port"
    assert board.control("status")["micropython_pid"] is None


def test_it_stays_until_it_is_told_to_leave(board: VirtualBoard) -> None:
    enter(board)
    with connected(board) as connection:
        told = request(connection, op="status")
    assert told is not None
    assert told["version"] == parse(build(N6, "factory")["FIRMWARE"]).version
    assert board.control("status")["phase"] == "bootloader"
    with connected(board) as connection:
        assert request(connection, op="leave") == {"state": "idle", "error": None}
        assert connection.recv(1) == b""
    wait_for(board, "run")
    assert not (board.state / "bootloader.sock").exists()


@pytest.mark.parametrize("way", ["power", "reset button"])
def test_it_boots_after_losing_power_or_a_reset(board: VirtualBoard, way: str) -> None:
    enter(board)
    boots = board.control("status")["boots"]
    if way == "power":
        board.power_off()
        assert the_port(board) is None
        board.power_on()
    else:
        board.control("hard_reset")
    wait_for(board, "run")
    assert board.control("status")["boots"] == boots + 1


def test_one_program_at_a_time_has_it(board: VirtualBoard) -> None:
    enter(board)
    with connected(board) as first, connected(board) as second:
        assert second.recv(1) == b""
        assert request(first, op="status") is not None


def test_endless_input_is_hung_up_on(board: VirtualBoard) -> None:
    enter(board)
    with connected(board) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"x" * 100_000)
        assert connection.recv(1) == b""
    with connected(board) as connection:
        assert request(connection, op="status") is not None


def flash(board: VirtualBoard, image: bytes) -> bool:
    """False: it hung up in the middle."""
    with connected(board) as connection:
        for block in range(-(-len(image) // BLOCK)):
            piece = base64.b64encode(image[block * BLOCK : (block + 1) * BLOCK]).decode()
            answer = request(
                connection, op="download", partition="FIRMWARE", block=block, data=piece
            )
            if answer is None:
                return False
            assert answer["error"] is None
        request(connection, op="manifest", partition="FIRMWARE")
        request(connection, op="leave")
    return True


def version(board: VirtualBoard) -> str:
    deadline = Deadline.after(10)
    with (
        BoardLink("boot", board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        return repl.exec(
            "import os, sys\nprint(os.uname().version, sys.version.split('; ')[1], sep='|')",
            deadline,
        ).decode()


def test_what_was_flashed_runs_and_says_its_version(board: VirtualBoard) -> None:
    images = build(N6, "today", frozen=False)
    told = parse(images["FIRMWARE"]).version
    enter(board)
    assert flash(board, images["FIRMWARE"])
    wait_for(board, "run")
    assert version(board) == f"{told}|MicroPython {told}\r\n"
    deadline = Deadline.after(10)
    with (
        BoardLink("boot", board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        assert repl.exec("import os\nprint(os.listdir('/'))", deadline) == b"['flash']\r\n"


@pytest.mark.parametrize("blocks", [1, 2])
def test_power_that_goes_in_a_download_leaves_a_board_in_its_bootloader(
    board: VirtualBoard, blocks: int
) -> None:
    before = version(board)
    enter(board)
    board.control("cut_after_writes", n=blocks)
    assert not flash(board, IMAGE)
    assert board.control("status")["power"] == "off"
    assert the_port(board) is None
    assert (board.state / "partitions" / "FIRMWARE.bin").stat().st_size == blocks * BLOCK

    for _ in range(2):  # whatever is done to its power, it stays there
        board.power_on()
        wait_for(board, "bootloader")
        board.power_off()
    board.power_on()
    with connected(board) as connection:
        assert "the image in FIRMWARE has" in request(connection, op="status")["damage"]  # type: ignore[index]
        request(connection, op="leave")
        assert connection.recv(1) == b""  # so it is not the old one that is there below
    wait_for(board, "bootloader")
    assert flash(board, build(N6, "factory")["FIRMWARE"])
    wait_for(board, "run")
    assert version(board) == before


def test_a_board_with_damaged_firmware_starts_in_its_bootloader(tmp_path: Path) -> None:
    with VirtualBoard.start("boot", state=tmp_path / "s", bus=tmp_path / "bus"):
        pass
    firmware = tmp_path / "s" / "partitions" / "FIRMWARE.bin"
    firmware.write_bytes(firmware.read_bytes()[:-1])
    with VirtualBoard.start("boot", state=tmp_path / "s", bus=tmp_path / "bus") as board:
        assert wait_for(board, "bootloader")
        assert flash(board, build(N6, "x")["FIRMWARE"])
        wait_for(board, "run")


def test_firmware_outlives_the_supervisor(tmp_path: Path) -> None:
    with VirtualBoard.start("boot", state=tmp_path / "s", bus=tmp_path / "bus") as board:
        enter(board)
        flash(board, build(N6, "today")["FIRMWARE"])
        wait_for(board, "run")
        flashed = version(board)
    with VirtualBoard.start("boot", state=tmp_path / "s", bus=tmp_path / "bus") as board:
        assert version(board) == flashed


def test_the_window_on_every_hard_reset(tmp_path: Path) -> None:
    latency = {"bootloader_window_s": 0.2}
    with VirtualBoard.start(
        "boot", state=tmp_path / "s", bus=tmp_path / "bus", latency=latency
    ) as board:
        wait_for(board, "run")
        board.control("hard_reset")
        wait_for(board, "bootloader")
        wait_for(board, "run")
        board.control("hard_reset")
        wait_for(board, "bootloader")
        with connected(board) as connection:  # whoever talks to it in time keeps it there
            time.sleep(0.3)
            assert board.control("status")["phase"] == "bootloader"
            assert request(connection, op="leave") is not None


@pytest.mark.parametrize(
    "key", ["openmv-n6", "openmv-ae3", "openmv-rt1062", "arduino-portenta-h7", "esp32-s3"]
)
def test_every_model_shows_another_number_in_its_bootloader(key: str, tmp_path: Path) -> None:
    row = model(key)
    unique_id = bytes(range(row.unique_id_bytes))
    number = bootloader_serial_of(row, unique_id)
    assert (
        number == bootloader_serial_of(row, unique_id) != bootloader_serial_of(row, unique_id[::-1])
    )
    assert number.lower() != unique_id.hex()
    with VirtualBoard.start(
        "each", row.key, state=tmp_path / "s", bus=tmp_path / "bus", frozen=False
    ) as board:
        port = enter(board)
        assert (port.mode, port.serial_number) == (
            "bootloader",
            bootloader_serial_of(row, board.unique_id),
        )


@pytest.mark.parametrize("fault", ["stays", "gone"])
def test_a_bootloader_that_never_comes_back(board: VirtualBoard, fault: str) -> None:
    enter(board)
    board.control("bootloader_fault", kind=fault)
    with connected(board) as connection:
        request(connection, op="leave")
        assert connection.recv(1) == b""
    if fault == "stays":
        wait_for(board, "bootloader")
    else:
        assert the_port(board) is None
        assert board.control("status")["phase"] == "stuck"
    board.power_off()
    board.power_on()
    wait_for(board, "run")


def test_the_fault_that_damages_a_download(board: VirtualBoard) -> None:
    board.control("bootloader_fault", kind="damages")
    enter(board)
    flash(board, IMAGE)
    wait_for(board, "bootloader")
    with pytest.raises(BenchError, match="no fault 'melts'"):
        board.control("bootloader_fault", kind="melts")
