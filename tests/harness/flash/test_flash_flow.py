"""Flashing from end to end: a real MicroPython in run mode, the real dfu-util for its bootloader.

The board in run mode is a virtual one, and its bootloader is on an emulated USB bus. Its
``machine.bootloader()`` is a reset here: it is gone for a moment, and back once the bootloader has
let it go.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from usb_bus import UsbBus

from hil.boards.table import bootloader_serial_number_of, model
from hil.deadline import Deadline
from hil.errors import BenchError
from hil.flash import bootloader, flow, openmv_dfu, record
from hil.flash.flow import Outcome
from hil.flash.method import FlashError, Image, Job, Reason, RefusedError, Step
from hil.flashing import told
from hil.link.board import RESET, BoardLink
from hil.virtual.board import VirtualBoard

N6 = model("openmv-n6")


@dataclass
class Board:
    """A board and what it is flashed with."""

    virtual: VirtualBoard
    bus: UsbBus
    link: BoardLink
    state: Path
    version: str

    def image(self, build: str = "first", version: str | None = None) -> Image:
        content = f"OPENMV_N6\0{version or self.version}\0{build}\0".encode() + bytes(3000)
        return Image("FIRMWARE", content, f"{build}.bin")

    def job(self, *images: Image, **more) -> Job:
        return Job(
            "porch",
            N6,
            "openmv-dfu",
            images or (self.image(),),
            self.link,
            self.link.consent,
            usb_serial=self.virtual.record.serial_number,
            **more,
        )

    def plug(self, path: str = "1-2", **more) -> None:
        """Its bootloader shows up."""
        serial = bootloader_serial_number_of(N6, self.virtual.unique_id)
        assert serial
        self.bus.plug(N6, serial, path, **more)

    def flash(self, *images: Image, force: bool = False, **more) -> Outcome:
        return flow.flash(self.job(*images, **more), self.state, force=force)


@pytest.fixture(scope="module")
def virtual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("flow")
    with VirtualBoard.start(
        "porch", model="openmv-n6", state=folder / "porch", bus=folder / "bus"
    ) as board:
        yield board


@pytest.fixture
def board(
    virtual: VirtualBoard, usb_bus: UsbBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Board]:
    monkeypatch.setattr(bootloader, "BOOTLOADER", RESET)
    monkeypatch.setitem(bootloader.enter.__kwdefaults__, "entering_s", 3.0)
    virtual.power_on()
    with BoardLink("porch", virtual.device, consent=virtual.consent) as link:
        deadline = Deadline.after(20)
        with link.repl(deadline) as repl:
            version = record.report(repl, deadline).build
        yield Board(virtual, usb_bus, link, tmp_path, version)


def test_a_board_is_flashed_and_runs_the_image_and_the_next_time_has_it_already(board: Board):
    board.plug()
    outcome = board.flash()
    assert outcome.written == ("FIRMWARE",)
    assert outcome.notes == ()
    assert "OpenMV N6" in outcome.reported.machine or "OPENMV_N6" in outcome.reported.machine
    assert board.bus.tell().written == {1: board.image().content}
    again = board.flash()
    assert again.written == ()
    assert again.reported == outcome.reported
    assert len(board.bus.downloads) == 1


def test_the_content_decides_never_the_name_of_the_file(board: Board):
    board.plug()
    board.flash()
    renamed = replace(board.image(), path="another-name.bin")
    assert board.flash(renamed).written == ()
    board.plug("1-3")
    other = replace(board.image("second"), path="first.bin")
    assert board.flash(other).written == ("FIRMWARE",)


def test_a_board_that_says_another_thing_than_after_its_flashing_is_flashed_again(board: Board):
    """Somebody has flashed it by other means."""
    board.plug()
    board.flash()
    had = record.load(board.state, board.virtual.unique_id)
    assert had
    assert had.reported
    changed = replace(had, reported=replace(had.reported, build="v1.2.3 on 2020-01-01"))
    record.save(board.state, changed)
    board.plug("1-3")
    assert board.flash().written == ("FIRMWARE",)


def test_force_flashes_what_it_has_already(board: Board):
    board.plug()
    board.flash()
    board.plug("1-3")
    assert board.flash(force=True).written == ("FIRMWARE",)


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ({"usb_serial": "00" * 12}, "listed USB serial number"),
        ({"usb_serial": None, "listed_id": bytes(12)}, f"and not the listed {'00' * 12}"),
    ],
)
def test_another_board_of_the_model_is_refused_and_its_application_goes_on(
    board: Board, listed: dict[str, Any], told: str
):
    board.plug()
    with pytest.raises(RefusedError, match=told) as caught:
        flow.flash(replace(board.job(), **listed), board.state)
    assert caught.value.reason is Reason.OTHER_BOARD
    assert not board.bus.calls, "its bootloader was not even looked for"


def test_a_board_of_another_model_is_refused(board: Board):
    """Its unique id has another length."""
    images = Image("HP", b"\1"), Image("HE", b"\2")
    asked = replace(board.job(*images), model=model("openmv-ae3"))
    with pytest.raises(RefusedError, match="the board is no OpenMV AE3: ") as caught:
        flow.flash(asked, board.state)
    assert caught.value.reason is Reason.OTHER_BOARD
    assert not board.bus.calls


def test_another_board_that_comes_back_is_told(board: Board, monkeypatch):
    board.plug()
    ids = iter([board.virtual.unique_id, bytes(12)])
    identify = flow.identify
    monkeypatch.setattr(flow, "identify", lambda *a: replace(identify(*a), unique_id=next(ids)))
    with pytest.raises(FlashError, match=f"came back has the unique id {'00' * 12}") as caught:
        board.flash()
    assert caught.value.step is Step.VERIFY
    had = record.load(board.state, board.virtual.unique_id)
    assert had
    assert (had.reported, had.partitions) == (None, {})


def test_a_board_that_runs_another_version_afterwards_is_not_flashed(board: Board):
    board.plug()
    with pytest.raises(FlashError, match=r"and the image is .*v9\.9\.9 on 2030-01-01") as caught:
        board.flash(board.image(version="MicroPython v9.9.9\0v9.9.9 on 2030-01-01"))
    assert caught.value.step is Step.VERIFY
    had = record.load(board.state, board.virtual.unique_id)
    assert had
    assert (had.reported, had.partitions) == (None, {})


def test_an_image_that_tells_no_version_is_noted_as_not_proven(board: Board):
    board.plug()
    outcome = board.flash(Image("FIRMWARE", b"\x01" * 5000))
    assert outcome.written
    assert "not proven" in outcome.notes[0]


def test_what_the_method_could_not_prove_is_told_to_the_reader(board: Board, monkeypatch):
    """And not called verified."""
    board.plug()
    flash = openmv_dfu.flash
    monkeypatch.setattr(openmv_dfu, "flash", lambda *given: (*flash(*given), "it was too dark"))
    outcome = board.flash()
    assert outcome.notes == ("it was too dark",)
    assert "FIRMWARE flashed in " in told(outcome)
    assert told(outcome).endswith("; it was too dark")


def test_a_board_that_does_not_come_back_fails_at_the_return_and_is_found_the_next_time(
    board: Board,
):
    """Bricked for the moment: it hangs in its bootloader."""
    board.plug()
    board.link.locate = lambda deadline: str(board.state / "nowhere")
    short = replace(N6, back_from_bootloader_s=0.3, bootloader_on_reset_s=0.0)
    with pytest.raises(FlashError, match="all was written, and the port did not come back") as why:
        flow.flash(replace(board.job(), model=short), board.state)
    assert why.value.step is Step.RETURN
    assert "hil flash porch" in str(why.value.hint)

    board.virtual.power_off()
    board.link.close()
    board.plug("1-3")

    def comes_back(deadline: Deadline) -> str:
        if board.bus.tell("1-3").left:
            board.virtual.power_on()
        return board.virtual.device

    board.link.locate = comes_back
    assert board.flash().written == ("FIRMWARE",)
    assert board.bus.tell("1-3").written == {1: board.image().content}


def test_a_board_that_is_nowhere_is_the_benchs_fault(board: Board, monkeypatch):
    monkeypatch.setattr(bootloader, "WAITING_S", 0.2)
    board.virtual.power_off()
    board.link.close()
    with pytest.raises(BenchError, match="no port") as caught:
        board.flash()
    assert not isinstance(caught.value, RefusedError)


def test_another_boards_bootloader_is_left_alone(board: Board, monkeypatch):
    monkeypatch.setattr(bootloader, "WAITING_S", 0.2)
    board.virtual.power_off()
    board.link.close()
    board.plug()
    with pytest.raises(BenchError, match=r"no port.*\n.*without MicroPython it is flashed in"):
        flow.flash(replace(board.job(), usb_serial="346534563033"), board.state)
    assert board.bus.tell().written == {}


def test_a_failed_download_says_so_and_is_not_believed_afterwards(board: Board):
    board.plug()
    board.flash()
    board.plug("1-3", fault={"kind": "write", "n": 1})
    with pytest.raises(FlashError, match="unable to write memory"):
        board.flash(board.image("second"))
    had = record.load(board.state, board.virtual.unique_id)
    assert had
    assert had.partitions == {}, "neither the old image nor the new one"
    board.bus.unplug("1-3")
    board.plug("1-4")
    assert board.flash(board.image()).written == ("FIRMWARE",)


def test_a_kill_in_the_middle_leaves_no_record_of_what_is_not_there(board: Board, monkeypatch):
    board.plug()
    board.flash()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hil.flash.openmv_dfu.flash", killed)
    with pytest.raises(KeyboardInterrupt):
        board.flash(board.image("second"))
    monkeypatch.undo()
    had = record.load(board.state, board.virtual.unique_id)
    assert had
    assert had.partitions == {}


def test_a_refusal_in_the_bootloader_leaves_the_record_as_it_was(board: Board):
    board.plug()
    board.flash()
    had = record.load(board.state, board.virtual.unique_id)
    board.plug("1-3", alts=["BOOTLOADER", "FILESYSTEM", "FIRMWARE", "ROMFS0"])
    with pytest.raises(RefusedError):
        board.flash(board.image("second"))
    assert record.load(board.state, board.virtual.unique_id) == had
    with contextlib.suppress(BenchError):
        board.link.come_back(Deadline.after(10))
    assert board.flash().written == ()


def test_examine_writes_nothing(board: Board):
    board.plug()
    examined = flow.examine(board.job(), board.state, Deadline.after(20))
    assert not examined.has_it
    assert examined.reported
    assert not board.bus.calls
    assert list(board.state.glob("flash/*")) == []
