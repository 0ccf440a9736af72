"""The contract: what the harness relies on in a board, as one suite for every kind of board.

Against the virtual models, one of them behind ser2net, and the micro:bit firmware on QEMU by
default; against a real board with
``pytest tests/harness/contract --target NAME``, where NAME is a board in devices.yaml. Files go to
a folder of their own and are removed; the board is reset.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contract_board import ContractBoard, behind_ser2net, listed, microbit, virtual
from microbit_on_qemu import FIRMWARE

from hil.config import TargetSpec, load, select

VIRTUAL = ("openmv-n6", "openmv-ae3")
REMOTE = ("ser2net-rfc2217", "ser2net-socket")
#: What the micro:bit is for; of the others it has nothing. Nor does raw TCP differ in them.
SERIAL_PART = ("test_contract_repl", "test_contract_application")


def _targets(config: pytest.Config) -> list[str]:
    return config.getoption("--target", default=None) or []


def _spec(config: pytest.Config, name: str) -> TargetSpec:
    explicit = config.getoption("--devices", default=None)
    inventory = load(Path(explicit) if explicit else None, config.rootpath, os.environ)
    return select(inventory, [name])[0]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "contract_board" in metafunc.fixturenames:
        serial = metafunc.module.__name__ in SERIAL_PART
        others = [*REMOTE, "microbit"] if serial else REMOTE[:1]
        boards = _targets(metafunc.config) or [*VIRTUAL, *others]
        metafunc.parametrize("contract_board", boards, indirect=True, scope="session")


@pytest.fixture(scope="session")
def contract_board(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    require_program: Callable[[str, str], Path],
    require_file: Callable[[str, str], Path],
) -> Iterator[ContractBoard]:
    name: str = request.param
    with contextlib.ExitStack() as stack:
        if name in _targets(request.config):
            yield stack.enter_context(listed(_spec(request.config, name)))
        elif name in REMOTE:
            ser2net = require_program("ser2net", "ser2net")
            folder = tmp_path_factory.mktemp(name)
            yield stack.enter_context(behind_ser2net(name.partition("-")[2], ser2net, folder))
        elif name == "microbit":
            require_file(FIRMWARE, "firmware-microbit-micropython")
            qemu = require_program("qemu-system-arm", "qemu-system-arm")
            yield stack.enter_context(microbit(qemu))
        else:
            yield stack.enter_context(virtual(name, tmp_path_factory.mktemp(name)))


@pytest.fixture
def board(contract_board: ContractBoard) -> ContractBoard:
    """The board under contract, at its friendly prompt, its console empty of older output."""
    with contract_board.link.repl(contract_board.deadline()):
        pass
    return contract_board
