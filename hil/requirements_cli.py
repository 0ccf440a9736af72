"""``hil requirements``: which checks bear on which requirement, and what a run has shown of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .report.requirements_text import Row


@click.command()
@click.argument("run", required=False)
@click.option(
    "--standard",
    "standards",
    multiple=True,
    metavar="KEY",
    help="asvs, wstg, rfc, etsi, en18031 or cra; several times for several [default: all].",
)
@click.option("--format", "form", type=click.Choice(["table", "csv", "md"]), default="table")
@click.option(
    "--artifacts",
    default="artifacts",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of all runs.",
)
def requirements(run: str | None, standards: tuple[str, ...], form: str, artifacts: Path) -> None:
    """List the requirements that the checks bear on; with RUN, what that run has shown of them.

    RUN is a run's folder, its name or the beginning of it, or 'latest'. What is shown is evidence
    towards a requirement, never a statement of conformity.
    """
    from .report import requirements as table
    from .report import requirements_text as text
    from .report import runs

    rows: Sequence[Row] = table.chosen(standards)
    if run:
        rows = table.assess(runs.Run.load(runs.find(artifacts, run)), standards)
    if form == "csv":
        click.echo(text.as_csv(rows), nl=False)
    elif form == "md":
        click.echo(text.as_markdown(rows), nl=False)
    else:
        _print(rows)


def _print(rows: Sequence[Row]) -> None:
    from collections import Counter

    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from .report import requirements as table
    from .report import requirements_text as text

    console = Console(highlight=False)
    for standard, some in text.by_standard(rows):
        console.print(f"[bold]{standard.title}[/]  {standard.version}")
        console.print(standard.caveat, style="dim")
        shown = Table("requirement", "title", "", "", box=None, header_style="bold")
        for row in some:
            one = text.requirement(row)
            told, why = one.strength, text.checks(one)
            if isinstance(row, table.Assessed):
                partial = " (partial)" if one.strength == "partial" else ""
                told, why = f"{row.standing}{partial}", "; ".join(row.reasons or row.out_of_scope)
            shown.add_row(one.id, one.title, told, escape(why))
        console.print(shown)
        console.print()
    console.print(table.CAVEAT)
    found = Counter(row.standing for row in rows if isinstance(row, table.Assessed))
    told = ", ".join(f"{found[one]} {one}" for one in table.STANDINGS if found[one])
    click.echo(f"{len(rows)} requirements" + (f": {told}" if told else ""))
