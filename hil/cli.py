"""The ``hil`` command."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from . import __version__
from .errors import BenchError, BoardError, HilError

if TYPE_CHECKING:
    from .catalogue import Entry
    from .config import Inventory
    from .lock import Holder

EXIT_CODES = """
\b
Exit codes:
  0  all is well
  1  a finding: the firmware broke a promise (hil run), a problem was found (hil doctor),
     or it got worse (hil compare)
  2  wrong usage, or a wrong devices.yaml
  3  the bench's fault: cable, held port, missing program
  4  the board's fault: it does not answer
"""


_ELSEWHERE = {
    "compare": ".history_cli",
    "history": ".history_cli",
    "lock": ".lock_cli",
    "profile": ".profile_cli",
    "report": ".report_cli",
    "requirements": ".requirements_cli",
    "virtual": ".virtual.cli",
}
"""Commands that are defined elsewhere, each under its own name, and where."""


class _Group(click.Group):
    """Turns our errors into one message and an exit code; subcommands are imported when called."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except HilError as error:
            click.echo(f"hil: {error}", err=True)
            from .errors import ConfigError

            code = {ConfigError: 2, BenchError: 3, BoardError: 4}
            sys.exit(next(c for kind, c in code.items() if isinstance(error, kind)))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _ELSEWHERE:
            module = importlib.import_module(_ELSEWHERE[cmd_name], __package__)
            return cast(click.Command, getattr(module, cmd_name))
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=_Group, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__)
def main() -> None:
    """Hardware-in-the-loop tests for camera boards: tokens, clocks, secrets, on the real thing."""


_devices = click.option(
    "--devices",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The bench's inventory [default: $HIL_DEVICES, ./devices.yaml, else the embedded bench].",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_wait = click.option(
    "--wait", default=600.0, show_default=True, help="Seconds, for who holds a board."
)


def _inventory(devices: Path | None) -> Inventory:
    from . import config

    return config.load(devices, Path.cwd(), os.environ)


def _tell_waiting(name: str, holder: Holder) -> None:
    click.echo(f"waiting for {name}: held by {holder}", err=True)


@main.command("list")
@_devices
@_json
@click.option("--ask", is_flag=True, help="Ask each listed board what it runs; pauses it shortly.")
def list_(devices: Path | None, as_json: bool, ask: bool) -> None:
    """Show what is listed in devices.yaml and what is attached.

    Without --ask no port is opened, so no running application is disturbed.
    """
    from . import listing

    rows = listing.rows(_inventory(devices), ask=ask)
    if as_json:
        click.echo(json.dumps([row.as_dict() for row in rows], indent=2))
    else:
        listing.print_table(rows)


@main.command()
@click.option(
    "--output",
    default="devices.yaml",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
def init(output: Path, force: bool) -> None:
    """Write a commented devices.yaml for what is attached.

    No port is opened. Nothing that it lists is written to before you say so in it.
    """
    from . import draft
    from .discovery import usb

    if output.exists() and not force:
        raise draft.exists(output)
    attached = usb.attached()
    links = draft.links_by_path(port.device for port in attached)
    draft.write(output, draft.draft(attached, links), force=force)
    names = ", ".join(_inventory(output).targets)
    click.echo(
        f"{output} lists {names}. Read it: what hil may do to a board is yours to say there."
    )


@main.command()
@click.argument("names", nargs=-1, metavar="[TARGET]...")
@_devices
@_json
@click.option("--repl", is_flag=True, help="Also enter each board's REPL; pauses its application.")
@click.option(
    "--udev", is_flag=True, help="Print udev rules for all known boards, and how to install."
)
def doctor(
    names: tuple[str, ...], devices: Path | None, as_json: bool, repl: bool, udev: bool
) -> None:
    """Examine this host and the listed targets, and say what to do next.

    Each line is ok, note (worth knowing), warn (a run may trip over it), fail (a run fails of it:
    exit code 1), or skip (not examined, and why).
    """
    if udev:
        from .doctor.udev import rules

        click.echo(rules(), nl=False)
        return
    from . import doctor as examination
    from .errors import ConfigError

    inventory: Inventory | ConfigError
    try:
        inventory = _inventory(devices)
    except ConfigError as error:  # the host is examined all the same
        inventory = error
    findings = examination.examine(inventory, names or None, repl=repl, state=Path.cwd() / ".hil")
    if as_json:
        click.echo(json.dumps([finding.as_dict() for finding in findings], indent=2))
    else:
        examination.print_table(findings)
    if any(finding.status == "fail" for finding in findings):
        sys.exit(1)


@main.command()
@click.argument("names", nargs=-1, metavar="[TARGET]...")
@_devices
@_json
@_wait
def restore(names: tuple[str, ...], devices: Path | None, as_json: bool, wait: float) -> None:
    """Undo what a killed run has left on the boards; the next run would, too.

    Only boards with 'provision: true' are touched. Each one's application is started again.
    """
    from . import restoring

    outcomes = restoring.restore(
        _inventory(devices), names or None, Path(".hil"), wait_s=wait, on_wait=_tell_waiting
    )
    if as_json:
        click.echo(json.dumps([one.as_dict() for one in outcomes], indent=2))
    else:
        click.echo("\n".join(restoring.lines(outcomes)))
    refused = bool(names) and any(one.status == "refused" for one in outcomes)
    faults = {one.whose_fault for one in outcomes} | ({"bench"} if refused else set())
    if faults - {""}:
        sys.exit(3 if "bench" in faults else 4)


@main.command()
@click.argument("name", metavar="TARGET")
@_devices
def recover(name: str, devices: Path | None) -> None:
    """Bring back a board that does not answer: Ctrl-C, resets, bootloader, power.

    Whatever it did, it is interrupted; at the end it is reset, so that its application starts.
    """
    from . import config, recovering

    (spec,) = config.select(_inventory(devices), [name])
    recovering.recover(spec, Path.cwd() / ".hil", lambda rung: click.echo(f"{name}: {rung}"))
    click.echo(f"{name}: reset, its application starts")


@main.group(invoke_without_command=True)
@click.pass_context
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "md", "json"]),
    default="table",
    help="csv has the columns of the catalogue that the project was designed by.",
)
def checks(ctx: click.Context, form: str) -> None:
    """List the checks; 'hil checks explain ID' tells one."""
    if ctx.invoked_subcommand:
        return
    from . import catalogue

    entries = catalogue.load()
    if form == "json":
        click.echo(json.dumps([_as_dict(entry) for entry in entries], indent=2))
    elif form == "csv":
        click.echo(catalogue.as_csv(entries), nl=False)
    elif form == "md":
        click.echo(catalogue.as_markdown(entries), nl=False)
    else:
        _print_checks(entries)


def _print_checks(entries: Sequence[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "", "check", "needs", "source", box=None, header_style="bold")
    for entry in entries:
        table.add_row(
            entry.check.id,
            entry.check.severity.value,
            entry.title,
            ", ".join(entry.needs),
            entry.check.source,
        )
    Console().print(table)
    click.echo(f"{len(entries)} checks")


@checks.command()
@click.argument("check_id", metavar="ID")
@_json
def explain(check_id: str, as_json: bool) -> None:
    """Tell one check: what is promised and by whom, what is sent, what must come back."""
    from . import catalogue

    entries = {entry.check.id: entry for entry in catalogue.load()}
    entry = entries.get(check_id.upper())
    if entry is None:
        import difflib

        near = difflib.get_close_matches(check_id.upper(), entries, n=3)
        raise click.BadParameter(
            f"no check {check_id!r}" + (f"; did you mean {', '.join(near)}?" if near else ""),
            param_hint="ID",
        )
    if as_json:
        click.echo(json.dumps(_as_dict(entry), indent=2))
        return
    from rich.console import Console

    console = Console(highlight=False)
    console.print(f"[bold]{entry.check.id}[/]  {entry.title}  ({entry.check.severity.value})")
    for label, text in (
        ("source", entry.check.source),
        ("promise", entry.promise),
        ("sent", entry.request),
        ("expected", entry.expected),
        ("cause", entry.cause and f"usually: {entry.cause}"),
        ("needs", ", ".join(entry.needs) or "the network only"),
        ("file", entry.file),
    ):
        if text:
            console.print(f"  {label:<9}", end="")
            console.print(text, markup=False)


def _as_dict(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.check.id,
        "group": entry.group,
        "severity": entry.check.severity.value,
        "title": entry.title,
        "source": entry.check.source,
        "needs": list(entry.needs),
        "request": entry.request,
        "expected": entry.expected,
        "promise": entry.promise,
        "cause": entry.cause,
        "file": entry.file,
    }


@main.command("flash")
@click.argument("name", metavar="TARGET")
@_devices
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="[PARTITION=]FILE",
    help="Instead of what devices.yaml lists under 'flash'; for several partitions several times.",
)
@click.option("--force", is_flag=True, help="Flash it also where the board has it already.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@_wait
def flash_(
    name: str,
    devices: Path | None,
    images: tuple[str, ...],
    force: bool,
    dry_run: bool,
    wait: float,
) -> None:
    """Have a listed board run a firmware image: flashed where it has it not, and verified.

    Only a target with 'provision: true' is flashed, and nothing overrides a refusal.
    """
    from . import config
    from .flash_command import flash_target

    (spec,) = config.select(_inventory(devices), [name])
    told = flash_target(
        spec,
        images,
        Path.cwd() / ".hil",
        force=force,
        dry_run=dry_run,
        wait_s=wait,
        on_wait=lambda holder: _tell_waiting(name, holder),
    )
    click.echo(f"{name}: {told}")


@main.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    add_help_option=False,
)
@click.argument("pytest_args", nargs=-1, type=click.UNPROCESSED)
def run(pytest_args: tuple[str, ...]) -> None:
    """Run the installed checks: 'pytest -m hil' on them, with pytest's own options.

    Its root is this folder: here it looks for devices.yaml, and here it keeps '.hil'.
    """
    import pytest

    from .checks import paths

    # See benchmarks/startup.py.
    unused = ["-p", "no:anyio", "-p", "no:platformdirs", "-p", "no:labgrid"]
    # This command has imported the package already; the plugin asserts nothing.
    quiet = ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    # pytest would take the folder of the checks, be it site-packages.
    given = any(arg.partition("=")[0] == "--rootdir" for arg in pytest_args)
    root = [] if given else ["--rootdir", str(Path.cwd())]
    sys.exit(pytest.main(["-m", "hil", *unused, *quiet, *root, *pytest_args, *map(str, paths())]))
