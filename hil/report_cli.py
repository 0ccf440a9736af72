"""``hil report``: the checklist of a run, its sign-off, and whether the evidence still is that."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .errors import ConfigError

if TYPE_CHECKING:
    from .report.checklist import Checklist
    from .report.runs import Run
    from .report.signing import Signature

    Writer = Callable[[Run, Checklist, Signature | None], str]

_SUFFIXES = {"html": ".html", "markdown": ".md", "sarif": ".sarif"}


def _writer(form: str) -> Writer:
    if form == "html":
        from .report.html import page

        return page
    if form == "markdown":
        from .report.markdown import document

        return document
    from .report import sarif

    return lambda run, seen, signature: json.dumps(sarif.document(run), indent=2) + "\n"


@click.command()
@click.argument("run", default="latest", metavar="[RUN]")
@click.option(
    "--artifacts",
    default="artifacts",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of all runs.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "markdown", "both", "sarif"]),
    default="html",
    show_default=True,
    help="both: HTML and Markdown; sarif: for code scanning.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Where to write it; - is standard output [default: checklist.html in the run's folder].",
)
@click.option(
    "--standard",
    "standards",
    multiple=True,
    metavar="KEY",
    help="Show the requirements of this standard only; several times for several. "
    "'hil requirements' lists the keys.",
)
@click.option("--sign", metavar="NAME", help="Sign the run off: write a copy that says so.")
@click.option("--role", default="", help="Of the one who signs, e.g. QA.")
@click.option("--decision", default="", help="E.g. 'released', 'not released'.")
@click.option("--comment", default="", help="Of the one who signs.")
@click.option(
    "--verify",
    is_flag=False,
    flag_value="all",
    metavar="[FILE]",
    help="Is the evidence still what was signed? All sign-offs of the run, or this one.",
)
@click.option("--list", "list_", is_flag=True, help="List the runs that there are.")
def report(
    run: str,
    artifacts: Path,
    form: str,
    output: Path | None,
    standards: tuple[str, ...],
    sign: str | None,
    role: str,
    decision: str,
    comment: str,
    verify: str | None,
    list_: bool,
) -> None:
    """Make the release checklist of RUN: a run's name, its beginning, its folder, or 'latest'.

    \b
    hil report                                  the latest run, as checklist.html
    hil report 20261129T05 --format markdown -o -
    hil report 20261129T05 --sign 'Ada Lovelace' --role QA --decision released
    hil report 20261129T05 --verify             exit code 1: something has changed

    A sign-off keeps the SHA-256 of all evidence, which shows a later change to whoever has kept it
    elsewhere. It is no digital signature: it does not prove who signed.
    """
    from .report import runs

    if list_:
        _list(artifacts)
        return
    if verify is not None:
        _verify(artifacts, run, verify)
        return
    if sign is None and (role or decision or comment):
        raise click.UsageError("--role, --decision and --comment are of a sign-off: --sign NAME")
    found = runs.Run.load(runs.find(artifacts, run))
    forms = ["html", "markdown"] if form == "both" else [form]
    if sign is not None:
        if output or form == "sarif":
            raise click.UsageError("what is signed is a checklist, beside its record: no --output")
        _sign(found, standards, forms, sign, role=role, decision=decision, comment=comment)
        return
    if output and len(forms) > 1:
        raise click.UsageError("--output is one file: give one --format")
    from .report.checklist import checklist

    seen = checklist(found, standards)
    for one in forms:
        text = _writer(one)(found, seen, None)
        if output and str(output) == "-":
            click.echo(text, nl=False)
            continue
        path = output or found.folder / f"checklist{_SUFFIXES[one]}"
        _write(path, text)
        click.echo(f"{path}: {seen.headline.sentence}")


def _sign(
    run: Run,
    standards: tuple[str, ...],
    forms: list[str],
    name: str,
    *,
    role: str,
    decision: str,
    comment: str,
) -> None:
    from .report import signing
    from .report.checklist import checklist

    signature = signing.sign(run, name, role=role, decision=decision, comment=comment)
    seen = checklist(run, standards)
    folder, stem = run.folder / signing.SIGNED_FOLDER, signing.stem(signature)
    record = folder / f"{stem}.json"
    if record.exists():
        raise ConfigError(f"{record}: is there already", hint="a sign-off is never overwritten")
    copies = {}
    for form in forms:
        path = folder / f"{stem}{_SUFFIXES[form]}"
        _write(path, _writer(form)(run, seen, signature))
        copies[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        click.echo(f"{path}")
    signature = replace(signature, headline=seen.headline.sentence, copies=copies)
    _write(record, signature.to_json())
    click.echo(f"{record}: {signature.headline}; evidence SHA-256 {signature.evidence.sha256}")


def _verify(artifacts: Path, run: str, which: str) -> None:
    from .report import runs, signing

    if which == "all":
        folder = runs.find(artifacts, run)
        paths = signing.records(folder)
        if not paths:
            raise ConfigError(
                f"{folder}: nobody has signed it", hint="'hil report RUN --sign NAME' does"
            )
    else:
        paths = [Path(which)]
        folder = paths[0].resolve().parents[1]
        if run != "latest":
            folder = runs.find(artifacts, run)
    differs = False
    for path in paths:
        signature = signing.read(path)
        difference = signing.verify(signature, path, folder)
        differs = differs or bool(difference)
        said = "is no longer what was signed" if difference else "is what was signed"
        click.echo(f"{path}: the evidence {said} by {signature.name}")
        for line in difference.lines():
            click.echo(f"  {line}")
    if differs:
        sys.exit(1)


def _list(artifacts: Path) -> None:
    from .report import runs
    from .report.events import WORDS
    from .report.words import counted, utc

    for folder in runs.folders(artifacts):
        try:
            run = runs.Run.load(folder)
        except ConfigError as error:
            click.echo(f"{folder.name}  {error.message}")
            continue
        counts: dict[str, int] = {}
        for target in run.targets.values():
            for word, number in target.counts().items():
                counts[word] = counts.get(word, 0) + number
        told = ", ".join(counted(counts[word], word) for word in WORDS if word in counts)
        end = "" if run.end else "; not finished"
        signed = "; signed off" if any(folder.glob("signed/*.json")) else ""
        targets = ", ".join(run.targets)
        click.echo(f"{run.name}  {utc(run.begin.at)}  {targets}: {told or 'nothing'}{end}{signed}")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: could not be written: {error.strerror}") from None
