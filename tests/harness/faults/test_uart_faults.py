"""The faults that a serial line shows, with a second opinion: the micro:bit's firmware on QEMU ends
in the same kind of error as the virtual board, and is reached again as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from microbit_on_qemu import FIRMWARE, MicroBit, running
from uart import open_line, uart

from hil.config import TargetSpec
from hil.deadline import Deadline
from hil.errors import HilError, fault_of
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

MARK = "# here"
LONG = "x = 0\n" + "x += 1\n" * 60 + "print(x)"
IN_VAIN_S = 2.0
BUDGET_S = 10.0


@dataclass(frozen=True)
class Fault:
    """:ivar options: how it is planted
    :ivar does: with the REPL, while the fault is there; the answer is 60
    :ivar kind: of the error; None: it works all the same
    :ivar says: part of the error, of the virtual board and of the micro:bit, where that differs
    :ivar resets: the board, before the REPL is entered
    :ivar while_it_runs: it is planted as soon as the program has printed something
    """

    options: dict[str, Any] = field(default_factory=dict)
    does: str = "print(60)"
    kind: str | None = None
    says: tuple[str, ...] = ("",)
    resets: bool = False
    while_it_runs: bool = False
    within_s: float = BUDGET_S


FAULTS = {
    "silent": Fault(kind="BoardError", says=("no raw REPL",), within_s=IN_VAIN_S),
    "noise": Fault(resets=True),
    "trickle": Fault(kind="BoardError", says=("no raw REPL",), within_s=IN_VAIN_S),
    "no_raw_paste": Fault(does=LONG),
    "vanish": Fault({"seen": MARK}, f"print(60) {MARK}", "BoardError", ("vanished",)),
    # A UART bridge stays where it is, and a board that starts anew says nothing of what it did.
    "watchdog": Fault(
        does="print('runs')\nwhile True: pass",
        kind="BoardError",
        says=("vanished", "did not end in time"),
        while_it_runs=True,
        within_s=IN_VAIN_S,
    ),
}


@dataclass(frozen=True)
class Faulty:
    """A board, and how faults are planted, ended and counted on it.

    :ivar born_with: the faults that are its firmware's own
    """

    link: BoardLink
    plant: Callable[..., object]
    reset: Callable[[], object]
    heal: Callable[[], object]
    met: Callable[[], list[str]]
    born_with: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def microbit(
    require_program: Callable[[str, str], Path], require_file: Callable[[str, str], Path]
) -> Iterator[tuple[MicroBit, int]]:
    require_file(FIRMWARE, "firmware-microbit-micropython")
    with (
        running(require_program("qemu-system-arm", "qemu-system-arm")) as board,
        open_line(board.pty) as line,
    ):
        yield board, line


@pytest.fixture
def on_qemu(microbit: tuple[MicroBit, int], tmp_path: Path) -> Iterator[Faulty]:
    board, far = microbit
    ours = TargetSpec("micro:bit", "", "virtual", provision=True)
    with (
        uart(far, tmp_path / "uart", board.reset) as line,
        BoardLink(ours.name, str(line.device), consent=ours.consent()) as link,
    ):
        yield Faulty(
            link,
            line.plant,
            lambda: line.do(line.hard_reset),
            line.heal,
            line.met,
            born_with=("no_raw_paste",),  # MicroPython has it since 1.14
        )


@pytest.fixture
def virtual(tmp_path: Path) -> Iterator[Faulty]:
    with (
        VirtualBoard.start("v", state=tmp_path / "v", bus=tmp_path / "bus") as board,
        BoardLink("v", board.device, consent=board.consent) as link,
    ):
        yield Faulty(
            link,
            lambda name, **options: board.control("fault", name=name, **options),
            lambda: board.control("hard_reset"),
            lambda: board.control("heal"),
            lambda: list(board.control("status")["faults"]),
        )


def told(board: Faulty, name: str, fault: Fault) -> str:
    """``60``, or the kind of the error and the error."""
    board.link.open(Deadline.after(BUDGET_S))

    def plant(output: bytes = b"") -> None:
        if name not in (*board.born_with, *board.met()):
            board.plant(name, **fault.options)

    if not fault.while_it_runs:
        plant()
    if fault.resets:
        board.link.expect_reset()
        board.reset()
    deadline = Deadline.after(fault.within_s)
    try:
        with board.link.repl(deadline) as repl:
            on_output = plant if fault.while_it_runs else None
            return repl.exec(fault.does, deadline, on_output).decode().strip()
    except HilError as error:
        return f"{fault_of(error)}: {error}"


def is_reached(board: Faulty) -> bool:
    deadline = Deadline.after(BUDGET_S)
    board.link.expect_reset()
    with board.link.repl(deadline) as repl:
        return bool(repl.eval("6*7", deadline) == 42)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_the_line(
    virtual: Faulty,
    on_qemu: Faulty,
    name: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    fault = FAULTS[name]
    for board, says in ((virtual, fault.says[0]), (on_qemu, fault.says[-1])):
        began = time.monotonic()
        answer = told(board, name, fault)
        took = time.monotonic() - began
        assert took < BUDGET_S
        if fault.kind is None:
            assert answer == "60"
        else:
            assert answer.startswith(f"{fault.kind}: {board.link.name}: "), answer
            assert says in answer
        assert name in (*board.born_with, *board.met()), f"{board.link.name} has never met it"
        board.heal()
        assert is_reached(board)

    record_property("fault", f"micro:bit: {name}")
    record_property("told", "passes" if fault.kind is None else _short(answer, tmp_path))
    record_property("took_s", took)
    record_property("budget_s", BUDGET_S)
    record_property("next_run", "its REPL answers")


def _short(answer: str, folder: Path) -> str:
    """Without the hint, and without this machine's folders."""
    return answer.partition("\n  -> ")[0].replace(str(folder), "…")
