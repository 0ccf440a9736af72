"""What the lines of a run's evidence say, as Markdown: the events, and their JSON Schema."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, get_args, get_origin, get_type_hints

from markup import cell, ivars, of_docstring, summary

from hil.report import events, runs

_EVERYWHERE = {
    "check": "the check that it belongs to; empty: between two checks",
    "board": "the board's clock at that moment, where it is known",
    "run": "the run's name, which is its folder's",
    "schema": "of all lines of this file",
}


def evidence() -> str:
    """The events of both kinds of file, then what stands in them."""
    lines: list[str] = []
    for title, union in (("run.jsonl", events.RunEvent), ("TARGET/evidence.jsonl", None)):
        lines += [f"## `{title}`", ""]
        for event in get_args(union or events.TargetEvent):
            lines += [f"### `{event.event}`", "", of_docstring(summary(event)), "", *_table(event)]
    lines += ["## Inside", ""]
    for part in (events.BoardMoment, events.TokenSeen):
        lines += [f"### {part.__name__}", "", of_docstring(summary(part)), "", *_table(part)]
    schema = json.dumps(runs.schema(), indent=2)
    return "\n".join([*lines, "## The JSON Schema of a line", "", "```json", schema, "```"])


def _table(kind: type) -> list[str]:
    told, hints = ivars(kind), get_type_hints(kind)
    lines = ["| field | type | meaning |", "|---|---|---|"]
    for one in dataclasses.fields(kind):
        if one.name == "event":
            continue
        meaning = told.get(one.name) or _EVERYWHERE.get(one.name, "")
        needed = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        shown = _type(hints[one.name]) + ("" if needed else ", optional")
        lines.append(f"| `{one.name}` | {shown} | {cell(meaning)} |")
    return [*lines, ""]


def _type(hint: Any) -> str:
    arguments = [one for one in get_args(hint) if one is not type(None)]
    if get_origin(hint) is tuple:
        return f"list of {_type(arguments[0])}"
    if get_origin(hint) is dict:
        return "object"
    if arguments and all(isinstance(one, str) for one in arguments):
        return ", ".join(f"`{one}`" for one in arguments)
    if arguments:
        return " or ".join(map(_type, arguments))
    plain = {str: "text", int: "integer", float: "number", bool: "boolean"}
    return plain.get(hint) or f"[{hint.__name__}](#{hint.__name__.lower()})"
