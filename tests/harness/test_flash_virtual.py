"""Flashing virtual boards: the right board, the right image, verified; and what goes wrong."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hil import config, listing
from hil.boards.table import bootloader_serial_number_of, model
from hil.deadline import Deadline
from hil.flash import flow
from hil.flash import virtual as method
from hil.flash.flow import Outcome
from hil.flash.method import FlashError, Image, Job, Reason, RefusedError, Step, methods, quiet
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard
from hil.virtual.bootloader import BLOCK
from hil.virtual.firmware import build, parse

IDENTITY = "import os, machine\nprint(machine.unique_id().hex(), os.uname().version)"


@pytest.fixture(scope="module")
def n6(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("n6")
    with VirtualBoard.start("porch", state=folder / "s", bus=folder / "bus") as board:
        yield board


@pytest.fixture
def board(n6: VirtualBoard) -> VirtualBoard:
    """As it came from the factory, just powered on: no fault outlives its power."""
    n6.power_off()
    for name, image in build(model("openmv-n6"), "factory").items():
        (n6.state / "partitions" / f"{name}.bin").write_bytes(image)
    n6.power_on()
    return n6


def images(key: str = "openmv-n6", stamp: str = "today") -> tuple[Image, ...]:
    return tuple(Image(name, content) for name, content in build(model(key), stamp).items())


def job_for(
    board: VirtualBoard, link: BoardLink, given: tuple[Image, ...] | None = None, **more: object
) -> Job:
    row = model(board.record.model)
    job = Job(
        board.name,
        row,
        "virtual",
        images(row.key) if given is None else given,
        link,
        link.consent,
        unique_id=board.unique_id,
        virtual=board,
    )
    return dataclasses.replace(job, **more)  # type: ignore[arg-type]


def flash(board: VirtualBoard, given: tuple[Image, ...] | None = None, **more: object) -> Job:
    """Flash it, and wait until it is back."""
    with BoardLink(board.name, board.device, consent=board.consent) as link:
        job = job_for(board, link, given, **more)
        assert method.supports(job) is None
        method.flash(job, quiet, Deadline.after(20))
    return job


def version(board: VirtualBoard) -> str:
    """Waits until MicroPython is there."""
    deadline = Deadline.after(10)
    with BoardLink(board.name, board.device, consent=board.consent) as link:
        link._reopen(deadline)
        with link.repl(deadline) as repl:
            unique_id, _, told = repl.exec(IDENTITY, deadline).decode().strip().partition(" ")
    assert unique_id == board.unique_id.hex()
    return told


def version_of(given: tuple[Image, ...]) -> str:
    return parse(given[0].content).version


def test_it_is_in_the_registry() -> None:
    assert "virtual" in methods()


@pytest.mark.parametrize("key", ["openmv-n6", "openmv-ae3", "arduino-portenta-h7"])
def test_a_board_runs_what_it_was_flashed_with(tmp_path: Path, key: str) -> None:
    with VirtualBoard.start("porch", key, state=tmp_path / "s", bus=tmp_path / "bus") as board:
        job = flash(board)
        assert version(board) == version_of(job.images)
        for image in job.images:
            path = tmp_path / "s" / "partitions" / f"{image.partition}.bin"
            assert path.read_bytes() == image.content


def test_progress_goes_from_block_to_block_to_the_end(board: VirtualBoard) -> None:
    told: list[tuple[str, int, int]] = []
    with BoardLink(board.name, board.device, consent=board.consent) as link:
        job = job_for(board, link)
        method.flash(job, lambda *step: told.append(step), Deadline.after(20))
    total = len(job.images[0].content)
    assert told[0] == ("FIRMWARE", BLOCK, total)
    assert told[-1] == ("FIRMWARE", total, total)
    assert len(told) == -(-total // BLOCK)


def test_of_two_boards_of_one_model_only_the_right_one_is_flashed(tmp_path: Path) -> None:
    bus = tmp_path / "bus"
    with (
        VirtualBoard.start("left", state=tmp_path / "l", bus=bus) as left,
        VirtualBoard.start("right", state=tmp_path / "r", bus=bus) as right,
    ):
        enter(left)  # both wait in their bootloaders, and only the serial number tells them apart
        before = (tmp_path / "l" / "partitions" / "FIRMWARE.bin").read_bytes()
        job = flash(right)
        assert version(right) == version_of(job.images)
        assert left.control("status")["phase"] == "bootloader"
        assert (tmp_path / "l" / "partitions" / "FIRMWARE.bin").read_bytes() == before


def enter(board: VirtualBoard) -> None:
    with BoardLink(board.name, board.device, consent=board.consent) as link:
        method.enter(job_for(board, link), Deadline.after(10))


def test_a_board_that_waits_in_its_bootloader_is_flashed_without_its_repl(
    board: VirtualBoard,
) -> None:
    with BoardLink(board.name, board.device, consent=board.consent) as link:
        assert method.waiting(job_for(board, link), Deadline.after(1)) is None
        enter(board)
        assert method.waiting(job_for(board, link), Deadline.after(1)) == board.unique_id
    job = flash(board, in_bootloader=True, unique_id=None)
    assert version(board) == version_of(job.images)


# What is refused before anything is touched


@pytest.mark.parametrize(
    ("given", "reason", "why"),
    [
        (images("openmv-h7"), Reason.OTHER_MODEL, "for OPENMV4, and this is an OPENMV_N6"),
        ((Image("FIRMWARE", b"\x7fELF", "fw.elf"),), Reason.DAMAGED, "fw.elf does not begin"),
        (
            (Image("FIRMWARE", images()[0].content[:-1]),),
            Reason.DAMAGED,
            "the image FIRMWARE has",
        ),
        (
            (Image("ROMFS0", images()[0].content),),
            Reason.OTHER_LAYOUT,
            "for ROMFS0 was built for FIRMWARE",
        ),
    ],
)
def test_an_image_that_is_not_for_it_is_refused(
    board: VirtualBoard, given: tuple[Image, ...], reason: Reason, why: str
) -> None:
    with BoardLink(board.name, board.device, consent=board.consent) as link:
        refused = method.supports(job_for(board, link, given))
    assert refused is not None
    assert refused.reason is reason
    assert why in refused.why


def test_a_board_of_another_kind_is_refused(board: VirtualBoard) -> None:
    with BoardLink(board.name, board.device, consent=board.consent) as link:
        refused = method.supports(job_for(board, link, virtual=None))
    assert refused is not None
    assert refused.reason is Reason.NO_METHOD


# What the bootloader itself refuses, should all else fail


@pytest.mark.parametrize("name", ["BOOTLOADER", "FILESYSTEM", "ROMFS0"])
def test_the_bootloader_refuses_other_partitions_too(board: VirtualBoard, name: str) -> None:
    before = version(board)
    with BoardLink(board.name, board.device, consent=board.consent) as link:
        job = job_for(board, link, (Image(name, images()[0].content),))
        with pytest.raises(FlashError) as error:
            method.flash(job, quiet, Deadline.after(20))
    assert error.value.step is Step.DOWNLOAD
    assert name in error.value.said
    board.control("hard_reset")
    assert version(board) == before


# What goes wrong on the way


def test_a_download_that_was_damaged_fails_at_verify(board: VirtualBoard) -> None:
    board.control("bootloader_fault", kind="damages")
    with pytest.raises(FlashError) as error:
        flash(board)
    assert error.value.step is Step.VERIFY
    assert "does not match its own SHA-256" in error.value.said
    assert str(error.value).startswith("porch: flashing failed at 'verify'")
    assert board.control("status")["phase"] == "bootloader"


@pytest.mark.parametrize("blocks", [1, 2, 27])
def test_power_that_goes_in_the_middle_is_told_and_repaired(
    board: VirtualBoard, blocks: int
) -> None:
    board.control("cut_after_writes", n=blocks)
    with pytest.raises(FlashError) as error:
        flash(board)
    assert error.value.step is Step.DOWNLOAD
    after = f" after block {blocks - 2} of FIRMWARE" if blocks > 1 else ""
    assert f"its bootloader vanished{after}: lost power" in str(error.value)
    board.power_on()
    job = flash(board, in_bootloader=True)
    assert version(board) == version_of(job.images)


def test_a_bootloader_that_does_not_show_up_ends_by_the_deadline(board: VirtualBoard) -> None:
    with (
        pytest.raises(FlashError) as error,
        BoardLink(board.name, board.device, consent=board.consent) as link,
    ):
        method.flash(job_for(board, link, in_bootloader=True), quiet, Deadline.after(0.2))
    assert error.value.step is Step.ENTER
    assert "\n  -> " in str(error.value)


def test_a_bootloader_in_other_hands_is_an_error(board: VirtualBoard) -> None:
    enter(board)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.connect(str((board.state / "bootloader.sock").resolve()))
        with pytest.raises(FlashError, match="its bootloader"):
            flash(board, in_bootloader=True)


# From end to end


def run_flow(board: VirtualBoard, state: Path, **changed: Any) -> Outcome:
    with BoardLink(board.name, board.device, consent=board.consent) as link:
        return flow.flash(job_for(board, link, **changed), state, deadline=Deadline.after(30))


def test_the_flow_proves_the_version_and_does_nothing_twice(
    board: VirtualBoard, tmp_path: Path
) -> None:
    first = run_flow(board, tmp_path)
    assert first.written == ("FIRMWARE",)
    assert first.notes == (), "the version is proven"
    assert first.reported.build == version_of(images())
    boots = board.control("status")["boots"]
    assert run_flow(board, tmp_path).written == ()
    assert board.control("status")["boots"] == boots
    assert run_flow(board, tmp_path, given=images(stamp="tomorrow")).written == ("FIRMWARE",)


def test_a_board_left_in_its_bootloader_is_found_and_brought_back(
    board: VirtualBoard, tmp_path: Path
) -> None:
    enter(board)
    assert run_flow(board, tmp_path).written == ("FIRMWARE",)
    assert version(board) == version_of(images())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ((Image("BOOTLOADER", images()[0].content),), Reason.NEVER_WRITTEN),
        ((Image("HP", images()[0].content),), Reason.UNKNOWN_PARTITION),
        (images("openmv-h7"), Reason.OTHER_MODEL),
        ((Image("FIRMWARE", images()[0].content[:-1]),), Reason.DAMAGED),
        ((), Reason.EMPTY),
    ],
)
def test_what_is_refused_leaves_the_board_alone(
    board: VirtualBoard, tmp_path: Path, given: tuple[Image, ...], reason: Reason
) -> None:
    before = (board.state / "partitions" / "FIRMWARE.bin").read_bytes()
    boots = board.control("status")["boots"]
    with pytest.raises(RefusedError) as error:
        run_flow(board, tmp_path, given=given)
    assert error.value.reason is reason
    assert board.control("status")["boots"] == boots
    assert (board.state / "partitions" / "FIRMWARE.bin").read_bytes() == before


def test_one_core_alone_is_refused(tmp_path: Path) -> None:
    with (
        VirtualBoard.start(
            "porch", "openmv-ae3", state=tmp_path / "s", bus=tmp_path / "bus"
        ) as board,
        pytest.raises(RefusedError) as error,
    ):
        run_flow(board, tmp_path, given=images("openmv-ae3")[:1])
    assert error.value.reason is Reason.INCOMPLETE


@pytest.mark.parametrize("fault", ["stays", "gone"])
def test_a_bootloader_that_never_comes_back_is_one_error_in_time(
    board: VirtualBoard, tmp_path: Path, fault: str
) -> None:
    board.control("bootloader_fault", kind=fault)
    impatient = dataclasses.replace(
        model("openmv-n6"), back_from_bootloader_s=0.5, bootloader_on_reset_s=0.0
    )
    with pytest.raises(FlashError) as error:
        run_flow(board, tmp_path, model=impatient)
    assert error.value.step is Step.RETURN
    assert str(error.value).startswith("porch: flashing failed at 'return to MicroPython': ")
    assert "\n  -> reset it by its button" in str(error.value)
    board.power_off()
    board.power_on()
    assert version(board) == version_of(images())


def test_hil_list_shows_a_board_in_its_bootloader(
    board: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(board.bus))
    enter(board)
    rows = listing.rows(config.embedded_inventory(), ask=True)
    (row,) = [row for row in rows if row.target is None]
    number = bootloader_serial_number_of(model("openmv-n6"), board.unique_id)
    assert (row.model, row.state, row.port, row.serial_number) == (
        "openmv-n6",
        "unlisted; in its bootloader",
        "",
        number,
    )
