"""``hil lock``: hold, release, status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import holding
from .deadline import Deadline
from .errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .config import TargetSpec
    from .lock import Holder

# Where the virtual boards are: as for a run from this folder.
STATE = Path(".hil")

HOLDING = "holding"

lock = click.Group("lock", help="Hold a board by hand, let go of it, and see who holds which.")

_devices = click.option(
    "--devices",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The bench's inventory [default: $HIL_DEVICES, ./devices.yaml, else the embedded bench].",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _specs(devices: Path | None, names: tuple[str, ...]) -> tuple[TargetSpec, ...]:
    from . import config

    return config.select(config.load(devices, Path.cwd(), os.environ), names)


def _duration(ctx: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    try:
        return None if text is None else holding.seconds(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@lock.command()
@click.argument("target")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@_devices
@click.option("--for", "purpose", default="work by hand", show_default=True, help="What for.")
@click.option("--until", callback=_duration, metavar="DURATION", help="Let go after 90s, 10m, 2h.")
@click.option(
    "--wait", default="600", callback=_duration, metavar="DURATION", help="For who holds it now."
)
@click.option("--background", is_flag=True, help="Hold it until 'hil lock release TARGET'.")
def hold(
    target: str,
    command: tuple[str, ...],
    devices: Path | None,
    purpose: str,
    until: float | None,
    wait: float,
    background: bool,
) -> None:
    """Hold TARGET until Ctrl-C, or while a command runs, whose exit status is this one's.

    \b
    hil lock hold porch --for "a look at its log" --until 30m
    hil lock hold porch -- mpremote connect id:346534563033 repl
    """
    (spec,) = _specs(devices, (target,))
    key = holding.key_of(spec, STATE)
    if background:
        _hold_in_background(spec.name, command)
        return
    from .lock import hold as held

    with holding.until_told() as told:
        waiting = Deadline.after(wait)
        try:
            with held(key, purpose, waiting, on_wait=_tell(spec.name), given_up=told.is_set):
                deadline = None if until is None else Deadline.after(until)
                if command:
                    sys.exit(holding.run_command(command, deadline, told))
                click.echo(
                    f"{HOLDING} {spec.name} for {purpose} (pid {os.getpid()}); Ctrl-C lets go"
                )
                sys.stdout.flush()
                told.wait(until)
        except BenchError as error:
            error.target = spec.name
            raise


def _hold_in_background(name: str, command: tuple[str, ...]) -> None:
    """The same command, without the option, in a session of its own."""
    if command:
        raise click.UsageError("--background holds a board without a command")
    words = [word for word in sys.argv[1:] if word != "--background"]
    # Neither of this command's streams: whoever reads them to their end would wait for the hold's.
    process = subprocess.Popen(
        [sys.executable, "-m", "hil", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith(HOLDING):
                break
            click.echo(line, nl=False, err=True)
        else:
            sys.exit(process.wait())
    except KeyboardInterrupt:
        process.terminate()
        raise
    click.echo(f"process {process.pid} holds {name}; 'hil lock release {name}' lets go")


def _tell(name: str) -> Callable[[Holder], None]:
    def tell(holder: Holder) -> None:
        click.echo(f"waiting for {name}: held by {holder}", err=True)

    return tell


@lock.command()
@click.argument("target")
@_devices
def release(target: str, devices: Path | None) -> None:
    """End your own 'hil lock hold' of TARGET. A run is left to end by itself."""
    (spec,) = _specs(devices, (target,))
    held = holding.release(spec, STATE)
    click.echo(f"{spec.name} is free" + (f"; it was held by {held}" if held else ""))


@lock.command()
@click.argument("targets", nargs=-1)
@_devices
@_json
def status(targets: tuple[str, ...], devices: Path | None, as_json: bool) -> None:
    """Who holds which board, since when, for what."""
    found = holding.states(_specs(devices, targets), STATE)
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in found], indent=2))
    else:
        for one in found:
            click.echo(str(one))
