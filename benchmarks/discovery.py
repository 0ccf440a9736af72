"""Find and identify many boards: all at once (`hil list --ask`), against one after another.

Virtual boards on a bus of their own, each on the network under a name of its own. Found means: seen
on USB, its host name resolved; identified: asked in its REPL for its unique id, firmware and
address, which are compared with what was listed. Starting the boards is not part of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hil import listing
from hil.config import Inventory, TargetSpec
from hil.deadline import Deadline
from hil.link.board import BoardLink
from hil.virtual.board import READY_S, VirtualBoard

BOARDS = 32
ROUNDS = 3
GOAL_S = 2.0

JOIN = """\
import network
network.hostname({!r})
_w = network.WLAN()
_w.active(True)
_w.connect("bench")
"""


def on_the_network(board: VirtualBoard) -> TargetSpec:
    """Give the board its name, and list it."""
    hostname = f"disc-{board.unique_id.hex()[:12]}"
    deadline = Deadline.after(READY_S)
    with (
        BoardLink(board.name, board.device, consent=board.consent) as link,
        link.repl(deadline) as repl,
    ):
        repl.exec(JOIN.format(hostname), deadline)
    return TargetSpec(
        name=board.name,
        where="",
        kind="board",
        model="openmv-n6",
        usb_serial=board.record.serial_number,
        hostname=hostname,
    )


def find(specs: Sequence[TargetSpec], bus: Path) -> list[listing.Row]:
    inventory = Inventory(Path("bench"), MappingProxyType({spec.name: spec for spec in specs}))
    return listing.rows(inventory, ask=True, bus=bus)[: len(specs)]


def expect_found(rows: Sequence[listing.Row], boards: Sequence[VirtualBoard]) -> None:
    """A board that was not found is no fast one."""
    for row, board in zip(rows, boards, strict=True):
        told = (row.state, row.port, row.address, "MicroPython" in row.firmware)
        if told != ("attached", board.device, board.address, True):
            raise SystemExit(f"not found as it is: {row}")


def measure(count: int) -> dict[str, Any]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        os.environ["HIL_LOCKS"] = str(folder / "locks")
        bus = folder / "bus"
        boards = [
            stack.enter_context(
                VirtualBoard.start(f"b{number}", state=folder / f"b{number}", bus=bus, wait=False)
            )
            for number in range(count)
        ]
        for board in boards:
            board.wait_ready(Deadline.after(READY_S + count))
        with ThreadPoolExecutor(8) as pool:
            specs = list(pool.map(on_the_network, boards))
        find(specs[:1], bus)  # what is imported at first use is not the boards'
        concurrent, sequential = [], []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            rows = find(specs, bus)
            concurrent.append(time.perf_counter() - start)
            expect_found(rows, boards)
            start = time.perf_counter()
            rows = [row for spec in specs for row in find([spec], bus)]
            sequential.append(time.perf_counter() - start)
            expect_found(rows, boards)
    together, in_turn = map(statistics.median, (concurrent, sequential))
    return {
        "boards": count,
        "concurrent_s": round(together, 3),
        "sequential_s": round(in_turn, 3),
        "ratio": round(in_turn / together, 1),
        "goal_s": GOAL_S,
        "worst_concurrent_s": round(max(concurrent), 3),
        "rounds": ROUNDS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--boards", type=int, default=BOARDS)
    options = parser.parse_args()
    result = measure(options.boards)
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['boards']} boards found and identified, median of {result['rounds']}:")
    print(f"  all at once         {result['concurrent_s']:7.2f} s")
    print(f"  one after another   {result['sequential_s']:7.2f} s   {result['ratio']} x")


if __name__ == "__main__":
    main()
