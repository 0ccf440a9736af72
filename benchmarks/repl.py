"""One REPL command: ours against mpremote's, on the same virtual board, in turns.

mpremote looks for new bytes every 10 ms, except on a path that starts with ``/dev/pts/``. A camera
is on ``/dev/ttyACM0``, so what counts is mpremote on the board's own path (a link with another
name); mpremote on the ``/dev/pts`` path behind it is given beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mpremote.transport_serial import SerialTransport

from hil.deadline import Deadline
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

COMMAND = "1"
ROUNDS = 5
PER_ROUND = 40


def timed(command: Callable[[], object]) -> list[float]:
    """Milliseconds of each call."""
    took = []
    for _ in range(PER_ROUND):
        start = time.perf_counter()
        command()
        took.append((time.perf_counter() - start) * 1000)
    return took


def ours(board: VirtualBoard) -> list[float]:
    link = BoardLink(board.name, board.device, consent=board.consent)
    with link, link.repl(Deadline.after(10)) as repl:
        return timed(lambda: repl.exec(COMMAND, Deadline.after(10)))


def mpremotes(device: str) -> list[float]:
    transport = SerialTransport(device)
    try:
        transport.enter_raw_repl(soft_reset=False)
        took = timed(lambda: transport.exec(COMMAND))
        transport.exit_raw_repl()
        return took
    finally:
        transport.close()


def measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        with VirtualBoard.start("bench-repl", state=state, bus=state / "bus") as board:
            mine: list[float] = []
            theirs: list[float] = []
            on_pts: list[float] = []
            for _ in range(ROUNDS):
                mine += ours(board)
                theirs += mpremotes(board.device)
                on_pts += mpremotes(str(Path(board.device).resolve()))
    ours_ms, mpremote_ms, pts_ms = map(statistics.median, (mine, theirs, on_pts))
    return {
        "ours_ms": round(ours_ms, 3),
        "mpremote_ms": round(mpremote_ms, 3),
        "ratio": round(mpremote_ms / ours_ms, 1),
        "mpremote_pts_ms": round(pts_ms, 3),
        "ratio_pts": round(pts_ms / ours_ms, 1),
        "commands": len(mine),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    if parser.parse_args().json:
        print(json.dumps(measure()))
        return
    result = measure()
    print(f"one REPL command, median of {result['commands']} on a virtual board:")
    print(f"  ours                 {result['ours_ms']:7.2f} ms")
    print(f"  mpremote             {result['mpremote_ms']:7.2f} ms   {result['ratio']} x")
    print(f"  mpremote, /dev/pts   {result['mpremote_pts_ms']:7.2f} ms   {result['ratio_pts']} x")


if __name__ == "__main__":
    main()
