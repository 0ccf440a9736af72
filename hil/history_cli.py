"""``hil history`` and ``hil compare``: what the runs of a bench tell together."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .report.trends import LAST, RULES
from .report.words import count, counted, duration, ranges

if TYPE_CHECKING:
    from rich.console import Console

    from .report.compare import Comparison
    from .report.digest import RunDigest
    from .report.history import History
    from .report.series import Point, Series
    from .report.trends import Broken, Trends

_ONE_LINE = 1000
_BARS = "▁▂▃▄▅▆▇█"
_DIGITS = "12345678"
_LETTERS = {
    "passed": (".", "green"),
    "finding": ("F", "red"),
    "advisory": ("a", "yellow"),
    "known": ("k", "yellow"),
    "error": ("E", "magenta"),
    "skipped": ("s", "dim"),
}
LETTERS = "F finding, a advisory, k known, E error, s skipped, . passed, - not in the run"

_artifacts = click.option(
    "--artifacts",
    default="artifacts",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of all runs.",
)
_file = click.option(
    "--history",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file that keeps them  [default: history.sqlite in that folder]",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _open(artifacts: Path, file: Path | None) -> History:
    """The history, with all runs in it that are there."""
    from .errors import ConfigError
    from .report.history import FILE, History

    path = file or artifacts / FILE
    if not artifacts.is_dir() and not path.exists():
        raise ConfigError(
            f"{path}: no history, and no runs in {artifacts}",
            hint="'pytest -m hil' makes a run; --artifacts and --history name other places",
        )
    kept = History(path)
    for problem in kept.update(artifacts).problems:
        click.echo(f"left out: {problem}", err=True)
    return kept


@click.command(epilog="\b\n" + RULES)
@_artifacts
@_file
@_json
@click.option("--check", "checks", multiple=True, metavar="ID", help="Only this check.")
@click.option("--target", "targets", multiple=True, metavar="NAME", help="Only this target.")
@click.option(
    "--last", default=LAST, show_default=True, type=click.IntRange(min=1), help="Runs to look at."
)
def history(
    artifacts: Path,
    file: Path | None,
    as_json: bool,
    checks: tuple[str, ...],
    targets: tuple[str, ...],
    last: int,
) -> None:
    """Tell since when what is red, what flickers, and which target has become slower.

    Runs whose folder is gone are still in it, and a killed run is, too.
    """
    from .report.trends import trends

    with _open(artifacts, file) as kept:
        runs = kept.last(last)
    wanted = [check.upper() for check in checks]
    _known("--target", targets, (name for run in runs for name in run.targets))
    _known(
        "--check",
        wanted,
        (check for run in runs for one in run.targets.values() for check in one.checks),
    )
    told = trends(runs, targets=targets, checks=wanted)
    if as_json:
        click.echo(json.dumps(told.as_dict(), indent=2))
    else:
        _show(told, verdicts=bool(wanted))


def _known(option: str, asked: Sequence[str], there: Iterable[str]) -> None:
    from difflib import get_close_matches

    names = sorted(set(there))
    for one in asked:
        if one not in names:
            near = get_close_matches(one, names, n=3)
            raise click.BadParameter(
                f"{one!r} is in none of these runs"
                + (f"; did you mean {', '.join(near)}?" if near else ""),
                param_hint=option,
            )


@click.command()
@click.argument("before", metavar="[RUN]", default="previous")
@click.argument("after", metavar="[RUN]", default="latest")
@_artifacts
@_file
@_json
def compare(before: str, after: str, artifacts: Path, file: Path | None, as_json: bool) -> None:
    """Compare two runs: verdicts that have changed, builds, times.

    A RUN is its folder, its name or the beginning of it, 'latest' or 'previous' (without any: the
    previous with the latest). Exit status 1: it got worse, i.e. a check is newly red or newly an
    error, or a target no longer comes up. Slower, or fewer checks, is told and is 0.
    """
    from .report.compare import compare as compared

    with _open(artifacts, file) as kept:
        told = compared(_run(kept, before), _run(kept, after))
    if as_json:
        click.echo(json.dumps(told.as_dict(), indent=2))
    else:
        _show_comparison(told)
    if told.worse:
        sys.exit(1)


def _run(kept: History, name: str) -> RunDigest:
    from .errors import ConfigError
    from .report.digest import digest
    from .report.runs import RUN_FILE, Run

    if "/" in name or (Path(name) / RUN_FILE).is_file():
        return digest(Run.load(Path(name)))
    if name in ("latest", "previous"):
        back = ("latest", "previous").index(name) + 1
        there = kept.last(back)
        if len(there) < back:
            raise ConfigError(f"{kept.path}: no {name} run yet", hint="'pytest -m hil' makes one")
        return there[0]
    matching = kept.named(name)
    exact = [run for run in matching if run.name == name]
    if len(exact or matching) == 1:
        return (exact or matching)[0]
    known = ", ".join(run.name for run in (matching or kept.last(5))[-5:])
    what = "several runs begin" if matching else "no run begins"
    raise ConfigError(
        f"{kept.path}: {what} with {name!r}", hint=f"there are {known}" if known else None
    )


# -- what a person reads ---------------------------------------------------------------------------


def _console() -> Console:
    from rich.console import Console

    # In a pipe or a file, what belongs together stays on one line; and no markup: what a device
    # says may hold brackets.
    width = None if sys.stdout.isatty() else _ONE_LINE
    return Console(highlight=False, markup=False, emoji=False, width=width)


def _day(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))


def _show(told: Trends, *, verdicts: bool) -> None:

    console = _console()
    if not told.runs:
        console.print("no run yet")
        return
    killed = sum(run.exit_status is None for run in told.runs)
    console.print(
        f"{count(len(told.runs), 'run')}, {_day(told.runs[0].at)} to {_day(told.runs[-1].at)} UTC"
        + (f"; {killed} without an end" if killed else "")
    )
    for swap in told.swapped:
        console.print(
            f"{swap.target}: another board since {_day(swap.first.at)} ({swap.now}, before "
            f"{swap.before}); what follows is of this one",
            style="yellow",
        )
    _show_broken(console, "red", told.red, "bold red")
    _show_broken(console, "advisories", told.advisories, "bold yellow")
    if told.flickering:
        console.print("flickers", style="bold magenta")
    for flicker in told.flickering:
        row = "".join(_LETTERS[word][0] for word in flicker.verdicts)
        console.print(
            f"  {flicker.check} {flicker.target}: {row}, {count(flicker.changes, 'change')} in "
            f"{flicker.runs} runs, {flicker.of_one_build} of them with the same build"
        )
        _detail(console, flicker.message)
    if told.slower:
        console.print("slower", style="bold yellow")
    for slow in told.slower:
        console.print(
            f"  {slow.target}: {slow.measure} {duration(slow.usual_s)} -> {duration(slow.now_s)} "
            f"(x {slow.now_s / slow.usual_s:.1f}) since {_day(slow.first.at)}, "
            f"{count(slow.runs, 'run')}"
        )
        _show_between(console, slow.before, slow.first)
    if told.unexamined:
        console.print("no longer examined", style="bold")
    for one in told.unexamined:
        console.print(
            f"  {ranges(one.checks)} {one.target}: last in {_day(one.last.at)}, "
            f"{count(one.runs, 'run')} ago; {one.reason}"
        )
    if not (told.red or told.flickering or told.slower or told.unexamined):
        console.print("nothing is red, nothing flickers, nothing has become slower", style="green")
    _show_targets(console, told.series, told.runs[-1].name)
    if verdicts:
        _show_verdicts(console, told.series)


def _show_broken(console: Console, title: str, found: Sequence[Broken], style: str) -> None:
    if found:
        console.print(title, style=style)
    for one in found:
        since = (
            f"since {_day(one.first.at)}" if one.before else f"since {_day(one.first.at)} at least"
        )
        gaps = f", not examined in {count(one.gaps, 'run')}" if one.gaps else ""
        console.print(f"  {one.check} {one.target}: {since}, {count(one.runs, 'run')}{gaps}")
        _detail(console, one.message)
        if one.before:
            _show_between(console, one.before, one.first)


def _show_between(console: Console, before: Point, first: Point) -> None:
    changed = _changed(first.changed_since(before))
    _detail(console, f"between {before.run} and {first.run}: {changed or 'no known change'}")


def _detail(console: Console, text: str) -> None:
    from rich.padding import Padding
    from rich.text import Text

    console.print(Padding(Text(text, "dim"), (0, 0, 0, 6), expand=False))


def _changed(changed: dict[str, tuple[str | None, str | None]]) -> str:
    def shown(name: str, value: str | None) -> str:
        text = value or "not known"
        return text[:12] if value and (name.endswith("sha256") or name == "revision") else text

    return ", ".join(
        f"{name.removesuffix('_sha256')} {shown(name, before)} -> {shown(name, after)}"
        for name, (before, after) in changed.items()
    )


def _show_targets(console: Console, series: Sequence[Series], latest: str) -> None:
    utf8 = (console.encoding or "").lower().startswith("utf")
    for one in series:
        told = ", ".join(counted(number, word) for word, number in one.counts[-1].items())
        ended = "" if one.points[-1].run == latest else f" on {_day(one.points[-1].at)}"
        down = sum(map(bool, one.down))
        console.print(
            f"{one.target} {one.unique_id or ''}".rstrip()
            + f": {count(len(one.points), 'run')}"
            + (f", in {down} not brought up" if down else "")
            + f"; last{ended}: {told or 'nothing'}",
            style="bold",
        )
        for measure, row in one.seconds.items():
            if any(value is not None for value in row):
                console.print(f"  {measure:<9} {_spark(row, utf8)}")


def _spark(row: Sequence[float | None], utf8: bool) -> str:
    """The latest value, and all of them as bars; a dot where there is none."""
    values = [value for value in row if value is not None]
    bars = _BARS if utf8 else _DIGITS
    low, high = min(values), max(values)
    # A third of the whole is what a bar must be worth: noise looks flat.
    span = max(high - low, high / 3)
    drawn = "".join(
        "." if value is None else bars[min(7, int((value - low) / span * 8))] for value in row
    )
    return f"{duration(values[-1]):<8} {drawn}"


def _show_verdicts(console: Console, series: Sequence[Series]) -> None:
    from rich.text import Text

    console.print(f"verdicts, the latest last ({LETTERS})", style="bold")
    for one in series:
        for check, row in one.verdicts.items():
            line = Text(f"  {check} {one.target}: ")
            for found in row:
                letter, style = _LETTERS[found.verdict] if found else ("-", "dim")
                line.append(letter, style)
            console.print(line)


def _show_comparison(told: Comparison) -> None:
    from .report.compare import KINDS

    console = _console()
    console.print(f"{told.before} -> {told.after}")
    for name in told.gone:
        console.print(f"{name}: only in the first run", style="yellow")
    for name in told.new:
        console.print(f"{name}: only in the second run")
    for target in told.targets:
        if target.down:
            console.print(f"{target.target}: no longer comes up: {target.down}", style="bold red")
    for kind, words in KINDS.items():
        changes = [change for change in told.changes if change.kind == kind]
        if not changes:
            continue
        console.print(words, style="bold red" if kind in ("red", "error") else "bold")
        grouped: dict[tuple[str, str, str], list[str]] = {}
        for one in changes:
            was = f"{one.before or 'not in the run'} -> {one.after or 'not in the run'}"
            # Each finding has a line of its own; a hundred checks of a board that is gone have one.
            own = one.check if kind == "red" else ""
            grouped.setdefault((one.target, was, own or one.message), []).append(one.check)
        for (name, was, _), checks in grouped.items():
            message = next(one.message for one in changes if one.check == checks[0])
            tail = f"; {message}" if message else ""
            console.print(f"  {ranges(checks)} {name}: {was}{tail}")
    if not told.changes:
        console.print("no verdict has changed", style="green")
    for target in told.targets:
        changed = _changed(target.changed)
        times = ", ".join(
            f"{measure} {duration(before)} -> {duration(after)}"
            for measure, (before, after) in target.seconds.items()
        )
        console.print(
            f"{target.target}: {count(target.same, 'verdict')} as before; "
            f"{changed or 'the same build'}" + (f"; {times}" if times else "")
        )
