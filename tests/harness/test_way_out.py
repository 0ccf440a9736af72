"""Out of a bootloader, without writing anything: which board, and by which way."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hil import way_out as ways
from hil.boards.table import Model, identify, model
from hil.config import TargetSpec
from hil.deadline import Deadline
from hil.discovery.listed import Loader, Locator
from hil.discovery.usb import UsbPort
from hil.errors import BenchError, BoardError
from hil.flash.bootloader import BOOTLOADER
from hil.link.board import BoardLink
from hil.target import Absent
from hil.virtual.board import VirtualBoard
from hil.way_out import WayOut, way_out

N6 = model("openmv-n6")


def spec(key: str, **fields: str) -> TargetSpec:
    return TargetSpec(name="porch", where="", kind="board", model=key, provision=True, **fields)  # type: ignore[arg-type]


def a_loader(vid: int = 0x37C5, pid: int = 0x9206, *, certain: bool = True) -> Loader:
    row, mode = identify(vid, pid)
    port = UsbPort("", vid, pid, "00AA", None, "1-2", row.key if row else None, mode)
    return Loader(port, certain=certain)


class Looks:
    """What shows up, look by look; the last stays."""

    def __init__(self, *looks: Loader | None) -> None:
        self.left = list(looks)

    def __call__(self) -> Loader | None:
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The boards that were told to go, in place of OpenMV's way."""
    asked: list[str] = []

    def way(row: Model, port: UsbPort, deadline: Deadline) -> str:
        asked.append(row.key)
        return "it refuses"

    monkeypatch.setitem(ways._WAYS, "openmv-dfu", way)
    return asked


def soon() -> Deadline:
    return Deadline.after(10)


# --- is it there? -------------------------------------------------------------------------------


def test_it_says_where_the_board_shows_up() -> None:
    assert WayOut("porch", N6, Looks(a_loader())).seen() == (
        "is in its bootloader (USB 1-2, 37c5:9206)"
    )
    assert WayOut("porch", N6, Looks(None)).seen() is None


def test_what_may_be_another_board_is_left_alone() -> None:
    out = WayOut("porch", N6, Looks(a_loader(certain=False)))
    with pytest.raises(BenchError, match=r"porch: it may be in .*9206\), or another board of its"):
        out.seen()


def test_also_where_the_doubt_comes_up_on_the_way(asked: list[str]) -> None:
    out = WayOut("porch", N6, Looks(a_loader(), a_loader(), a_loader(certain=False)))
    assert out.seen()
    with pytest.raises(BenchError, match="or another board of its model"):
        out.leave(soon())
    assert asked == []


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        (spec("openmv-n6", port="rfc2217://bench:2217"), "at the computer that serves its port"),
        (spec("esp32-cam", port="/dev/ttyUSB0"), "does not show in which mode it is"),
        (spec("esp32-s3", usb_serial="00"), "nothing here leads an ESP32-S3"),
    ],
)
def test_where_there_is_no_way_it_says_why(listed: TargetSpec, why: str) -> None:
    out = way_out(listed, None, Locator(listed))
    assert isinstance(out, Absent)
    assert why in out.reason


@pytest.mark.parametrize("key", ["openmv-n6", "openmv-rt1062", "arduino-giga"])
def test_the_real_boards_with_a_bootloader_have_a_way(key: str) -> None:
    listed = spec(key, usb_serial="00")
    assert isinstance(way_out(listed, None, Locator(listed)), WayOut)


# --- leaving ------------------------------------------------------------------------------------


def test_a_board_in_its_window_leaves_by_itself(asked: list[str]) -> None:
    out = WayOut("porch", N6, Looks(a_loader(), a_loader(), None))
    assert out.leave(soon()) >= N6.back_from_bootloader_s
    assert asked == []


def test_one_that_stays_is_told_to_go_and_it_is_said_why_it_does_not(asked: list[str]) -> None:
    impatient = replace(N6, bootloader_on_reset_s=0.1)
    with pytest.raises(BoardError, match="it does not leave its bootloader: it refuses"):
        WayOut("porch", impatient, Looks(a_loader())).leave(soon())
    assert asked == ["openmv-n6"]


def test_a_complaint_does_not_count_where_the_board_has_gone(asked: list[str]) -> None:
    at_once = replace(N6, bootloader_on_reset_s=0.0)
    WayOut("porch", at_once, Looks(a_loader(), a_loader(), None)).leave(soon())
    assert asked == ["openmv-n6"]


def test_nothing_leads_out_of_a_chips_rom(asked: list[str]) -> None:
    at_once = replace(N6, bootloader_on_reset_s=0.0)
    with pytest.raises(BoardError, match=r"its chip's ROM loader .*: nothing here leads out"):
        WayOut("porch", at_once, Looks(a_loader(0x0483, 0xDF11))).leave(soon())
    assert asked == []


def test_it_keeps_to_its_deadline(asked: list[str]) -> None:
    short = Deadline.after(0.1)
    with pytest.raises(BoardError):
        WayOut("porch", replace(N6, bootloader_on_reset_s=60), Looks(a_loader())).leave(short)
    assert short.remaining() > -5


# --- virtual boards -----------------------------------------------------------------------------


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualBoard]:
    """Two of one name, as two runs have them: the other one stays in its bootloader."""
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    with (
        VirtualBoard.start("porch", "openmv-ae3", state=tmp_path / "other") as other,
        VirtualBoard.start("porch", "openmv-ae3", state=tmp_path / "this") as this,
    ):
        enter(other)
        yield this
        assert other.control("status")["phase"] == "bootloader"


def enter(board: VirtualBoard) -> None:
    deadline = soon()
    with BoardLink(board.name, board.device, consent=board.consent) as link:
        assert link.send_away(BOOTLOADER, deadline)
    while board.control("status")["phase"] != "bootloader":
        assert not deadline.expired


def test_a_virtual_board_leaves_with_the_firmware_that_it_has(board: VirtualBoard) -> None:
    listed = replace(spec("openmv-ae3"), kind="virtual")
    out = way_out(listed, board, Locator(listed))
    assert isinstance(out, WayOut)
    assert out.seen() is None
    firmware = {path: path.read_bytes() for path in (board.state / "partitions").iterdir()}
    enter(board)
    assert out.seen() == "is in its bootloader (37c5:96e3)"
    out.leave(soon())
    with BoardLink("porch", board.device, consent=board.consent) as link:
        link.come_back(soon())
        assert link.identify(soon()).unique_id == board.unique_id
    assert {path: path.read_bytes() for path in (board.state / "partitions").iterdir()} == firmware


def test_a_bootloader_in_other_hands_is_told(board: VirtualBoard) -> None:
    listed = replace(spec("openmv-ae3"), kind="virtual")
    out = way_out(listed, board, Locator(listed))
    assert isinstance(out, WayOut)
    enter(board)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.connect(str((board.state / "bootloader.sock").resolve()))
        with pytest.raises(BoardError, match="another program has its bootloader"):
            out.leave(soon())
