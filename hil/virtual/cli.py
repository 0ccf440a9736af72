"""``hil virtual``: start virtual boards by hand."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from hil.deadline import Deadline
from hil.errors import HilError

from .board import READY_S, VirtualBoard

virtual = click.Group(
    "virtual", help="Virtual camera boards: a real MicroPython behind a serial port."
)


@virtual.command()
@click.option("--model", default="openmv-n6", show_default=True, help="Key of the board table.")
@click.option("--name", default="virtual", show_default=True, help="Its folder in --state.")
@click.option("--count", default=1, show_default=True, type=click.IntRange(1, 64))
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where flash, clock and USB identity live on; a temporary directory if not given.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per board.")
def up(model: str, name: str, count: int, state: Path | None, as_json: bool) -> None:
    """Start boards, print how to talk to them, and run them until Ctrl-C."""
    with contextlib.ExitStack() as stack:
        if state is None:
            state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hil-virtual-")))
        names = [name] if count == 1 else [f"{name}-{number}" for number in range(1, count + 1)]
        try:
            boards = [
                stack.enter_context(VirtualBoard.start(each, model, state=state / each, wait=False))
                for each in names
            ]
            deadline = Deadline.after(READY_S)
            for board in boards:
                board.wait_ready(deadline)
        except HilError as error:
            click.echo(f"hil: {error}", err=True)
            sys.exit(2)
        # Blocked now, so that one which comes while this is printed is not lost, and not earlier,
        # so that the boards do not inherit it.
        signals = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        for board in boards:
            click.echo(json.dumps(_facts(board)) if as_json else _how_to(board))
        if not as_json:
            click.echo("Ctrl-C ends " + ("it." if count == 1 else "them."))
        sys.stdout.flush()
        signal.sigwait(signals)


def _facts(board: VirtualBoard) -> dict[str, Any]:
    record = board.record
    return {
        "name": board.name,
        "model": record.model,
        "device": board.device,
        "url": board.url,
        "state": str(board.state),
        "usb": f"{record.vid:04x}:{record.pid:04x}",
        "serial_number": record.serial_number,
    }


def _how_to(board: VirtualBoard) -> str:
    facts = _facts(board)
    return f"""\
{board.name}: {facts["model"]}, USB {facts["usb"]} serial {facts["serial_number"]}
  REPL          mpremote connect {board.device} repl
  files         mpremote connect {board.device} fs ls :
  copy and run  mpremote connect {board.device} fs cp main.py : + reset
  HTTP          {board.url}/  (the board's port 80, when its application serves)
  state         {board.state}
"""
