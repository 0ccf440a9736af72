"""The checklist as one HTML file: no network, light and dark, on paper, by keyboard.

What must be read is in plain HTML. What every check sent and got is compressed within the page and
inflated by its script when asked for. A content security policy lets nothing but the page's own
style and script in, so evidence stays text, whatever it says.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from .. import __version__
from . import plots, svg, words
from .checklist import Checklist
from .matrix import CELL_WORDS, Row, cell_of
from .requirements import CAVEAT, STANDINGS
from .runs import Run
from .signing import Signature, fingerprint
from .standards import not_examined, standard_sheets, told
from .steps import Course, Step

if TYPE_CHECKING:
    from jinja2 import Environment

_PAGE = Path(__file__).parent / "page"

_PLAIN_BYTES = 150_000
"""Of what findings sent and got, about so much is readable without the page's script, and on paper:
eight bad boards fit into a megabyte all the same."""

DECISIONS = ("released", "released with conditions", "not released")


def page(run: Run, seen: Checklist, signature: Signature | None = None) -> str:
    """The whole file.

    :param seen: what is shown of the run
    :param signature: of the one who signs this copy off; None: a block to be filled in on paper
    """
    style, script = _style(run.name), _read("checklist.js")
    boots = plots.boot_times(run)
    return (
        _environment()
        .get_template("checklist.html")
        .render(
            list=seen,
            signature=signature,
            fingerprint=signature.evidence if signature else fingerprint(run.folder, run.targets),
            standards=standard_sheets(seen.requirements),
            standings=STANDINGS,
            caveat=CAVEAT,
            decisions=DECISIONS,
            words=CELL_WORDS,
            groups=list(dict.fromkeys(row.group for row in seen.rows)),
            responses=plots.response_times(run),
            boots=boots,
            boot_kinds=sorted({kind for one in boots for kind in one.took}),
            lives=plots.lives(run),
            stories=plots.STORIES,
            plain=_plain(seen),
            courses=Markup(_packed(run, seen)),  # noqa: S704 - base64
            style=Markup(style),  # noqa: S704 - our own, and a name of letters, digits and dashes
            script=Markup(script),  # noqa: S704 - our own
            style_hash=_source_hash(style),
            script_hash=_source_hash(script),
            version=__version__,
        )
    )


def _plain(seen: Checklist) -> set[tuple[str, str]]:
    """The findings whose steps are in plain HTML, by check and target; those of all others, and of
    advisories, are only where the script inflates them."""
    found, left = set(), _PLAIN_BYTES
    for issue in seen.findings:
        for one in issue.occurrences:
            size = sum(
                250 + len(step.text) + len(step.got) + sum(30 + len(line) for line in step.headers)
                for step in one.course.steps
            )
            if size <= left:
                found.add((issue.check, one.shown))
                left -= size
    return found


def anchor(text: str) -> str:
    """Part of an id within the page, or a class: letters, digits, ``-`` and ``_``."""
    return re.sub(
        r"[^A-Za-z0-9_-]", lambda match: "_" if match[0] == " " else f"_{ord(match[0]):x}", text
    )


def _packed(run: Run, seen: Checklist) -> str:
    """What every check did on every target, for the page's script; gzip, in base64.

    By check, so that what boards have in common is near, and compresses.
    """
    checks: dict[str, list[Any]] = {}
    for row in seen.rows:
        for name, target in run.targets.items():
            verdict = target.verdicts.get(row.check)
            course = seen.courses[name].get(row.check, Course())
            if verdict is None and not course.steps:
                continue
            said: dict[str, str] = {"word": CELL_WORDS["unfinished"]}
            if verdict:
                said = {
                    "word": CELL_WORDS[cell_of(verdict)],
                    "took": words.duration(verdict.took_s),
                    "message": words.visible(verdict.message).strip(),
                    "clock": words.visible(verdict.clock),
                }
            word = cell_of(verdict) if verdict else "unfinished"
            steps = [_step(step) for step in course.steps]
            entry = [words.visible(name), word, said, steps, course.left_out]
            checks.setdefault(row.check, []).append(entry)
    sources = {row.check: row.source for row in seen.rows if row.source}
    text = json.dumps({"checks": checks, "sources": sources}, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _step(step: Step) -> list[Any]:
    """As the script takes it, without the empty end."""
    parts: list[Any] = [step.kind, f"{step.after_s:+.3f} s", step.text, step.got]
    parts += [list(step.headers), step.took, step.board, step.more]
    while not parts[-1]:
        parts.pop()
    return parts


def _style(run: str) -> str:
    known = re.fullmatch(r"[A-Za-z0-9._-]+", run)
    return _read("checklist.css").replace("{{run}}", f"hil, run {run}" if known else "hil")


def _source_hash(text: str) -> str:
    """For the content security policy."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@functools.cache
def _read(name: str) -> str:
    return (_PAGE / name).read_text("utf-8")


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["svg"] = svg
    environment.filters.update(
        anchor=anchor,
        clipped=_clipped,
        count=words.count,
        counted=words.counted,
        not_examined=not_examined,
        duration=words.duration,
        by_group=_by_group,
        median=plots.median,
        offset=words.offset,
        sources=_sources,
        told=told,
        utc=words.utc,
        visible=words.visible,
    )
    return environment


def _by_group(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.group, []).append(row)
    return list(found.items())


def _clipped(text: str, size: int) -> str:
    text = words.visible(text).strip()
    return text if len(text) <= size else f"{text[:size]}… ({len(text)} characters)"


_RFC = re.compile(r"RFC (?P<number>[0-9]{3,5})(?: §(?P<section>[0-9]+(?:\.[0-9]+)*))?")


def _sources(text: str) -> Markup:
    """With links to RFCs and pages: nothing of theirs is loaded."""
    parts: list[Markup] = []
    end = 0
    for match in re.finditer(rf"{_RFC.pattern}|https://[^\s;,)<>\"']+", text):
        url = match[0]
        if match["number"]:
            section = f"#section-{match['section']}" if match["section"] else ""
            url = f"https://www.rfc-editor.org/rfc/rfc{match['number']}{section}"
        parts.append(escape(text[end : match.start()]))
        parts.append(Markup('<a href="{}">{}</a>').format(url, match[0]))
        end = match.end()
    parts.append(escape(text[end:]))
    return Markup("").join(parts)
