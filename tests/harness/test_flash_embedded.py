"""Every embedded run flashes its boards on their way up; and what becomes of one whose power went
in the middle of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hil import bringup, config, recovery
from hil.deadline import Deadline
from hil.flash import flow
from hil.flash import virtual as method
from hil.flash.method import FlashError, Job, Step
from hil.link import files
from hil.link.board import BoardLink
from hil.target import Target
from hil.virtual.board import VirtualBoard
from hil.virtual.bootloader import BLOCK
from hil.virtual.firmware import DamagedImageError, Partitions, parse


@pytest.fixture(autouse=True)
def _own_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path / "bus"))


@pytest.fixture
def inventory(tmp_path: Path) -> config.Inventory:
    """Names of their own: host names follow from them, and other boards run beside these."""
    file = tmp_path / "devices.yaml"
    file.write_text(
        "targets:\n"
        "  n6: &n6 {kind: virtual, model: openmv-n6, provision: true}\n"
        "  twin: *n6\n"
        "  ae3: {kind: virtual, model: openmv-ae3, provision: true}\n"
    )
    return config.read(file)


def partition(tmp_path: Path, board: str, name: str = "FIRMWARE") -> Path:
    return tmp_path / "boards" / board / "partitions" / f"{name}.bin"


@contextlib.contextmanager
def up(inventory: config.Inventory, name: str, tmp_path: Path) -> Iterator[Target]:
    target = bringup.bring_up(inventory.targets[name], tmp_path)
    try:
        yield target
    finally:
        target.close()


def test_each_run_flashes_what_was_built_for_it(
    inventory: config.Inventory, tmp_path: Path
) -> None:
    versions = []
    for _ in range(2):
        with up(inventory, "n6", tmp_path) as target:
            version = parse(partition(tmp_path, "n6").read_bytes()).version
            assert f"firmware {version.partition(' ')[0]}, " in target.about
            versions.append(version)
    assert "factory" not in "".join(versions)
    assert versions[0] != versions[1]


DEAF_ONCE = b"""
import micropython, os
if 'started' not in os.listdir():
    micropython.kbd_intr(-1)
    with open('started', 'w') as f:
        f.write('once')
    while True:
        pass
"""


def test_a_board_that_does_not_answer_is_brought_back_and_then_flashed(
    inventory: config.Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its application takes no Ctrl-C; after a power cycle it does."""
    monkeypatch.setattr(recovery, "FIRST_ANSWER_S", 2.0)
    monkeypatch.setattr(recovery, "BUDGET_S", 8.0)
    monkeypatch.setattr(flow, "_ASK_S", 2.0)
    deadline = Deadline.after(30)
    with (
        VirtualBoard.start("n6", "openmv-n6", state=tmp_path / "boards" / "n6") as board,
        BoardLink("n6", board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        files.write_file(repl, "main.py", DEAF_ONCE, deadline)
        writes = board.control("status")["block_writes"]
    power = bringup.power_virtual

    def power_and_wait(*arguments: Any) -> VirtualBoard | None:
        board = power(*arguments)
        assert board
        while board.control("status")["block_writes"] == writes:  # it is deaf before it writes
            assert not deadline.expired
        return board

    monkeypatch.setattr(bringup, "power_virtual", power_and_wait)
    with up(inventory, "n6", tmp_path) as target:
        assert "-hil.factory." not in target.about
        assert any("; power has brought it back: Ctrl-C" in note for note in target.notes)


def test_boards_are_flashed_at_once_each_with_its_own(
    inventory: config.Inventory, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(3) as pool:
        targets = list(
            pool.map(
                lambda name: bringup.bring_up(inventory.targets[name], tmp_path), inventory.targets
            )
        )
    for target in targets:
        target.close()
    told = {
        name: parse(partition(tmp_path, board, name).read_bytes())
        for board, name in (("n6", "FIRMWARE"), ("ae3", "HP"), ("ae3", "HE"))
    }
    assert {firmware.target for firmware in told.values()} == {"OPENMV_N6", "OPENMV_AE3"}
    assert told["HP"].version == told["HE"].version
    assert partition(tmp_path, "twin").exists()


def cut_power_after(blocks: int, monkeypatch: pytest.MonkeyPatch, *, of: str) -> None:
    """In the downloads to this board."""
    enter = method.enter

    def and_arm(job: Job, *arguments: Any) -> Path:
        found = enter(job, *arguments)
        if job.target == of:
            assert job.virtual is not None
            job.virtual.control("cut_after_writes", n=blocks)
        return found

    monkeypatch.setattr(method, "enter", and_arm)


@pytest.mark.parametrize("blocks", [1, 2, 17])
def test_the_run_after_a_power_cut_in_a_download_repairs_the_board(
    inventory: config.Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int
) -> None:
    with monkeypatch.context() as patch:
        cut_power_after(blocks, patch, of="n6")
        with pytest.raises(FlashError) as error:
            bringup.bring_up(inventory.targets["n6"], tmp_path)
    assert error.value.step is Step.DOWNLOAD
    assert error.value.target == "n6"
    assert partition(tmp_path, "n6").stat().st_size == blocks * BLOCK

    with up(inventory, "n6", tmp_path) as target:
        assert "-hil.factory." not in target.about
        parse(partition(tmp_path, "n6").read_bytes())


def test_a_cut_between_the_images_of_two_cores_is_repaired_too(
    inventory: config.Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with up(inventory, "ae3", tmp_path):
        pass
    blocks = -(-partition(tmp_path, "ae3", "HP").stat().st_size // BLOCK)
    with monkeypatch.context() as patch:
        cut_power_after(blocks, patch, of="ae3")  # HP is whole and new, HE is whole and old
        with pytest.raises(FlashError):
            bringup.bring_up(inventory.targets["ae3"], tmp_path)
    cores = Partitions(tmp_path / "boards" / "ae3", "OPENMV_AE3", ("HP", "HE"))
    with pytest.raises(DamagedImageError, match="two versions"):
        cores.firmware()

    with up(inventory, "ae3", tmp_path):
        cores.firmware()


def test_one_board_that_fails_leaves_the_others(
    inventory: config.Inventory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_power_after(3, monkeypatch, of="ae3")
    with ThreadPoolExecutor(2) as pool:
        failing = pool.submit(bringup.bring_up, inventory.targets["ae3"], tmp_path)
        sound = pool.submit(bringup.bring_up, inventory.targets["n6"], tmp_path)
        sound.result().close()
        with pytest.raises(FlashError) as error:
            failing.result()
    assert error.value.target == "ae3"
