"""Out of a real board's bootloader by the real dfu-util and the real spsdk: nothing is written."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from mcu_loader import GET_PROPERTY, RESET, McuLoader
from usb_bus import UsbBus

from hil.boards.model import Model
from hil.boards.table import bootloader_serial_number_of, model, serial_number_of
from hil.config import TargetSpec
from hil.deadline import Deadline
from hil.discovery.listed import Loader, loader_of
from hil.discovery.usb import UsbPort
from hil.errors import BoardError
from hil.flash import dfu_util, imx
from hil.link.board import BoardLink, identify
from hil.recovery import Ladder
from hil.target import Absent
from hil.virtual.board import VirtualBoard
from hil.way_out import WayOut

N6, PORTENTA, RT1062 = model("openmv-n6"), model("arduino-portenta-h7"), model("openmv-rt1062")
UNIQUE_ID, OTHER_ID = bytes(range(0x10, 0x1C)), bytes(range(0x20, 0x2C))


def loader_port(row: Model, path: str, unique_id: bytes) -> UsbPort:
    vid, pid = row.bootloader_ids[0]
    number = bootloader_serial_number_of(row, unique_id)
    return UsbPort("", vid, pid, number, None, path, row.key, "bootloader")


def plug(bus: UsbBus, row: Model, path: str = "1-2", unique_id: bytes = UNIQUE_ID, **more) -> None:
    bus.plug(row, bootloader_serial_number_of(row, unique_id) or "", path, **more)


def out_of(bus: UsbBus, row: Model, **others: bytes) -> WayOut:
    """Of the board at 1-2. Looks at this bus, as the kernel would list it.

    :param others: unique ids by USB path, for more boards of the model
    """
    listed = min(serial_number_of(row, UNIQUE_ID))
    spec = TargetSpec("porch", "", "board", model=row.key, usb_serial=listed, provision=True)
    boards = {"1-2": UNIQUE_ID, **others}

    def look() -> Loader | None:
        there = [(path, one) for path, one in boards.items() if bus.tell(path).left is None]
        return loader_of(spec, [loader_port(row, path, one) for path, one in there])

    return WayOut("porch", row, look)


def soon() -> Deadline:
    return Deadline.after(30)


def test_openmvs_bootloader_is_detached_from(usb_bus: UsbBus):
    plug(usb_bus, N6, "1-1", OTHER_ID)
    plug(usb_bus, N6)
    out = out_of(usb_bus, N6, **{"1-1": OTHER_ID})
    assert out.seen() == "is in its bootloader (USB 1-2, 37c5:9206)"
    out.leave(soon())
    told, other = usb_bus.tell(), usb_bus.tell("1-1")
    assert (told.left, told.written) == ("detach", {})
    assert other.left is None, "the other board stays where it is"
    assert usb_bus.downloads == []
    assert out.seen() is None


def test_arduinos_is_left_by_a_download_of_no_bytes(usb_bus: UsbBus):
    plug(usb_bus, PORTENTA)
    out_of(usb_bus, PORTENTA).leave(soon())
    told = usb_bus.tell()
    assert (told.left, told.written) == ("manifest", {})
    assert told.commands == ["21 08040000"], "nothing is erased"
    assert usb_bus.downloads == []


@pytest.mark.parametrize("row", [N6, PORTENTA], ids=["openmv", "arduino"])
def test_one_that_was_left_in_an_error_leaves_too(usb_bus: UsbBus, row: Model):
    """As after a download that the board refused."""
    plug(usb_bus, row, fault={"kind": "error"})
    out_of(usb_bus, row).leave(soon())
    assert usb_bus.tell().left


def test_what_dfu_util_complains_of_is_told(usb_bus: UsbBus):
    plug(usb_bus, N6, unique_id=OTHER_ID)  # not the one that was seen
    told = "leave its bootloader: dfu-util: No DFU capable USB device available"
    with pytest.raises(BoardError, match=told):
        out_of(usb_bus, N6).leave(soon())
    assert usb_bus.tell().left is None


def test_a_missing_dfu_util_is_told(usb_bus: UsbBus, monkeypatch: pytest.MonkeyPatch):
    plug(usb_bus, N6)
    monkeypatch.setattr(dfu_util, "find_program", lambda name: None)
    with pytest.raises(BoardError, match="leave its bootloader: dfu-util is not installed"):
        out_of(usb_bus, N6).leave(soon())


def test_the_ladder_brings_a_board_back_by_it(usb_bus: UsbBus, tmp_path: Path):
    """The board's two halves: its bootloader on the emulated bus, MicroPython behind a pty."""
    plug(usb_bus, N6)
    with VirtualBoard.start("porch", state=tmp_path / "s", bus=tmp_path / "bus") as board:
        board.power_off()
        out = out_of(usb_bus, N6)

        def look() -> Loader | None:
            if usb_bus.tell().left:
                board.power_on()
            return out.look()

        whole = WayOut("porch", N6, look)
        with BoardLink("porch", board.device, consent=board.consent) as link:
            climb = Ladder(link, identify, Absent("nothing switches it"), whole)

            def find(deadline: Deadline) -> str:
                look()
                return board.device

            link.locate = find
            rung = climb.climb(Deadline.after(20), BoardError("it is in its bootloader"))
            assert rung.name == "bootloader"
            assert link.identify(soon()).unique_id == board.unique_id
    assert (usb_bus.tell().left, usb_bus.tell().written) == ("detach", {})


# --- the RT1062 ---------------------------------------------------------------------------------


@pytest.mark.skipif(not find_spec("spsdk"), reason="needs spsdk (pip install spsdk)")
def test_an_rt1062_is_reset_out_of_its_loader(monkeypatch: pytest.MonkeyPatch):
    with McuLoader() as loader:
        monkeypatch.setattr(imx, "loader_device", lambda model: f"uart:{loader.path}")
        port = loader_port(RT1062, "1-2", bytes(8))
        assert imx.leave(RT1062, port, soon()) == ""
        assert loader.was_reset
    assert {tag for tag, _ in loader.commands} == {GET_PROPERTY, RESET}


@pytest.mark.skipif(not find_spec("spsdk"), reason="needs spsdk (pip install spsdk)")
@pytest.mark.parametrize(
    ("fault", "told"),
    [({"refuses": RESET}, "reset"), ({"version": 0x4B020600}, "another loader: version")],
)
def test_one_that_is_not_reset_says_why(monkeypatch: pytest.MonkeyPatch, fault: dict, told: str):
    with McuLoader(**fault) as loader:
        monkeypatch.setattr(imx, "loader_device", lambda model: f"uart:{loader.path}")
        assert told in imx.leave(RT1062, loader_port(RT1062, "1-2", bytes(8)), soon())
    assert not loader.was_reset


def test_without_spsdk_it_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(imx, "find_spec", lambda name: None)
    assert "pip install 'hil[imx]'" in imx.leave(
        RT1062, loader_port(RT1062, "1-2", bytes(8)), soon()
    )
