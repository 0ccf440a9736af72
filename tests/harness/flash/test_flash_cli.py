"""``hil flash`` as a user types it, and flashing as a step of bring-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from usb_bus import UsbBus

from hil import config, lock
from hil.boards.table import bootloader_serial_number_of, model
from hil.bringup import bring_up
from hil.cli import main
from hil.deadline import Deadline
from hil.flash import bootloader
from hil.flash.method import FlashError, Step
from hil.link.board import RESET, BoardLink
from hil.virtual.board import VirtualBoard

N6 = model("openmv-n6")
IMAGE = b"OPENMV_N6\0" + bytes(5000)
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.delenv("HIL_DEVICES", raising=False)
    monkeypatch.setattr(bootloader, "BOOTLOADER", RESET)
    monkeypatch.setitem(bootloader.enter.__kwdefaults__, "entering_s", 3.0)
    return lambda *words: CliRunner().invoke(main, words, catch_exceptions=True)


@pytest.fixture
def porch(run: Run, tmp_path: Path, usb_bus: UsbBus) -> Iterator[VirtualBoard]:
    """A board that its owner lets be flashed; in its bootloader it is on the emulated bus."""
    (tmp_path / "fw.bin").write_bytes(IMAGE)
    with VirtualBoard.start(
        "porch", model="openmv-n6", state=tmp_path / "porch", bus=tmp_path / "bus"
    ) as board:
        inventory(tmp_path, board.record.serial_number)
        yield board


@pytest.fixture
def listed(run: Run, tmp_path: Path) -> None:
    """The same, and no board is attached."""
    (tmp_path / "fw.bin").write_bytes(IMAGE)
    inventory(tmp_path, "346534563033")


def inventory(folder: Path, usb_serial: str) -> None:
    (folder / "devices.yaml").write_text(
        f"""
targets:
  porch:
    kind: board
    model: openmv-n6
    usb_serial: {usb_serial}
    provision: true
    wifi: {{ssid: virtual}}
    flash: {{image: fw.bin}}
  shed:
    kind: board
    model: openmv-n6
    usb_serial: 0123456789ab
  staging:
    kind: url
    url: http://192.0.2.1
"""
    )


def plug(bus: UsbBus, board: VirtualBoard, path: str = "1-2", **more) -> None:
    bus.plug(N6, bootloader_serial_number_of(N6, board.unique_id) or "", path, **more)


def test_a_board_is_flashed_started_and_known_the_next_time(
    run: Run, porch: VirtualBoard, usb_bus: UsbBus
):
    plug(usb_bus, porch)
    boots = porch.control("status")["boots"]
    result = run("flash", "porch")
    assert result.exit_code == 0, result.output
    assert "porch: FIRMWARE flashed in " in result.output
    assert usb_bus.tell().written == {1: IMAGE}
    into_the_bootloader, application = 1, 1
    after = porch.control("status")["boots"]
    assert after == boots + into_the_bootloader + application
    result = run("flash", "porch")
    assert "porch: has it already: " in result.output
    assert len(usb_bus.downloads) == 1
    assert porch.control("status")["boots"] == after, "its application was only paused"


def test_an_image_of_the_command_line_counts_instead_of_the_listed_one(
    run: Run, porch: VirtualBoard, usb_bus: UsbBus, tmp_path: Path
):
    plug(usb_bus, porch)
    (tmp_path / "a=b.bin").write_bytes(IMAGE + b"other")
    (tmp_path / "rom.img").write_bytes(b"\xd2\xcd\x31\0")
    result = run("flash", "porch", "--image", "a=b.bin", "--image", "ROMFS0=rom.img")
    assert "FIRMWARE, ROMFS0 flashed" in result.output
    assert usb_bus.tell().written == {1: IMAGE + b"other", 3: b"\xd2\xcd\x31\0"}


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    run: Run, porch: VirtualBoard, usb_bus: UsbBus, tmp_path: Path
):
    plug(usb_bus, porch)
    result = run("flash", "porch", "--dry-run")
    assert result.exit_code == 0
    assert "would be flashed by openmv-dfu: FIRMWARE (5010 bytes); now " in result.output
    assert not usb_bus.calls
    run("flash", "porch")
    assert "has it already" in run("flash", "porch", "--dry-run").output
    assert "would be flashed" in run("flash", "porch", "--dry-run", "--force").output


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["staging"], 3, "the bench has no hand on it"),
        (["shed"], 2, "has no 'flash'"),
        (["shed", "--image", "fw.bin"], 3, "provision: true"),
        (["nobody"], 2, "no target 'nobody'"),
        (["porch", "--image", "nowhere.bin"], 2, "--image nowhere.bin: target 'porch' is to be"),
        (["porch", "--image", "TOC=fw.bin"], 3, "has no partition 'TOC'"),
        (["porch", "--image", "BOOTLOADER=fw.bin", "--force"], 3, "BOOTLOADER is never written"),
        (["porch", "--image", "fw.bin", "--image", "FIRMWARE=fw.bin"], 2, "FIRMWARE twice"),
    ],
)
@pytest.mark.usefixtures("listed")
def test_what_is_refused_has_its_exit_code_and_touches_nothing(
    run: Run, usb_bus: UsbBus, words, code, told
):
    result = run("flash", *words)
    assert result.exit_code == code, result.output
    assert told in result.stderr
    assert not usb_bus.calls


@pytest.mark.usefixtures("listed")
def test_a_board_that_is_not_attached_is_named_and_so_is_the_way_without_micropython(
    run: Run, usb_bus: UsbBus, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bootloader, "WAITING_S", 0.2)
    result = run("flash", "porch")
    assert result.exit_code == 3
    assert "hil: porch: no board with the USB serial number 346534563033" in result.stderr
    assert "without MicroPython it is flashed in its bootloader" in result.stderr


def test_a_board_that_fails_is_its_fault_and_says_how_to_recover(
    run: Run, porch: VirtualBoard, usb_bus: UsbBus
):
    plug(usb_bus, porch, fault={"kind": "manifest"})
    result = run("flash", "porch")
    assert result.exit_code == 4
    assert "porch: flashing failed at 'verify': FIRMWARE: the board ended in dfuERROR" in (
        result.stderr
    )
    assert "-> " in result.stderr
    assert result.stdout == ""


@pytest.mark.usefixtures("listed")
def test_a_held_board_is_waited_for_as_long_as_is_said(run: Run, tmp_path: Path):
    spec = config.read(tmp_path / "devices.yaml").targets["porch"]
    with lock.hold(lock.key_of(spec, tmp_path / ".hil"), "a colleague's work", Deadline.after(5)):
        result = run("flash", "porch", "--wait", "0.3")
    assert result.exit_code == 3
    assert "waiting for porch: held by " in result.stderr
    assert "a colleague's work" in result.stderr
    assert "porch: 346534563033 is held by " in result.stderr
    assert "--wait SECONDS waits longer than 0" in result.stderr


@pytest.mark.usefixtures("listed")
def test_what_may_not_be_flashed_is_not_waited_for(run: Run, tmp_path: Path):
    spec = config.read(tmp_path / "devices.yaml").targets["shed"]
    with lock.hold(lock.key_of(spec, tmp_path / ".hil"), "a colleague's work", Deadline.after(5)):
        result = run("flash", "shed", "--image", "fw.bin", "--wait", "0.3")
    assert "provision: true" in result.stderr
    assert "waiting" not in result.stderr


# --- as a step of bring-up ---------------------------------------------------------------------


def test_bring_up_flashes_what_is_listed_before_it_deploys(
    run: Run, porch: VirtualBoard, usb_bus: UsbBus, tmp_path: Path
):
    plug(usb_bus, porch)
    target = bring_up(config.read(tmp_path / "devices.yaml").targets["porch"], tmp_path / ".hil")
    try:
        assert "FIRMWARE flashed in " in target.notes[0]
        assert usb_bus.tell().written == {1: IMAGE}
        assert target.api.alive(Deadline.after(10)), "its application runs"
    finally:
        target.close()
    again = bring_up(config.read(tmp_path / "devices.yaml").targets["porch"], tmp_path / ".hil")
    again.close()
    assert not any("flashed" in note for note in again.notes)
    assert len(usb_bus.downloads) == 1


def test_a_failed_flash_fails_the_board_at_once_and_lets_go_of_it(
    run: Run, porch: VirtualBoard, usb_bus: UsbBus, tmp_path: Path
):
    plug(usb_bus, porch, fault={"kind": "write", "n": 1})
    spec = config.read(tmp_path / "devices.yaml").targets["porch"]
    with pytest.raises(FlashError) as caught:
        bring_up(spec, tmp_path / ".hil")
    assert (caught.value.step, caught.value.target) == (Step.DOWNLOAD, "porch")
    assert lock.holder(lock.key_of(spec, tmp_path / ".hil")) is None
    with BoardLink("porch", porch.device, consent=porch.consent) as link:
        link.open(Deadline.after(10))
    assert list((tmp_path / ".hil" / "flash").iterdir()), "it is known again in its bootloader"
