"""The catalogue of checks, and the requirements that they bear on, as Markdown."""

from __future__ import annotations

from itertools import groupby

from markup import escaped

from hil import catalogue
from hil.report import requirements as mapping
from hil.report import requirements_text


def checks() -> str:
    """One table a group, in the order in which they run."""
    lines: list[str] = []
    for group, entries in groupby(catalogue.load(), key=lambda entry: entry.group):
        found = list(entries)
        lines += [
            f"## {found[0].check.id.split('-')[0]}: {group}",
            "",
            f"{len(found)} checks, in `{found[0].file}`.",
            "",
            "| id | | promise | expected | needs | source |",
            "|---|---|---|---|---|---|",
        ]
        for entry in found:
            cells = (
                f"`{entry.check.id}`",
                entry.check.severity.value,
                escaped(entry.title),
                escaped(entry.expected),
                escaped(", ".join(entry.needs)),
                escaped(entry.check.source),
            )
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def requirements() -> str:
    """One table a standard, with what one must know of it."""
    return requirements_text.as_markdown(mapping.load())
