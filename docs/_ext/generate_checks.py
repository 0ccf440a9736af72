"""The catalogue of checks, as Markdown."""

from __future__ import annotations

from itertools import groupby

from markup import escaped

from hil import catalogue


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
