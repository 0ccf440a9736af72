"""The keys of a profile, as Markdown: the models that read it, and their docstrings."""

from __future__ import annotations

import types
from typing import Any, Literal, Union, get_args, get_origin

from markup import cell, ivars, of_docstring, summary
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from hil.auth.contract import Part
from hil.auth.profile import Profile

# What these say in every part that has them.
_EVERYWHERE = {"method": "its request's method", "path": "its route"}


def profile() -> str:
    """First the keys of the profile itself, then one section for each part."""
    return "\n".join(line for model in parts() for line in _section(model))


def parts() -> list[type[BaseModel]]:
    """The profile itself, its parts, and theirs."""
    found: list[type[BaseModel]] = [Profile]
    for model in found:  # grows while it is walked
        for field in model.model_fields.values():
            found += [part for part in _parts(field.annotation) if part not in found]
    return found


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """By key as it is written, what it means; empty: nobody has said it."""
    told, found = ivars(model), {}
    for name, field in model.model_fields.items():
        key = field.alias or name
        inside = _parts(field.annotation)
        about = summary(inside[0]) if inside else _EVERYWHERE.get(key, "")
        meaning = told.get(key) or about
        found[key] = meaning
    return found


def _section(model: type[BaseModel]) -> list[str]:
    title = "The profile itself" if model is Profile else model.__name__
    lines = [f"## {title}", "", of_docstring(summary(model)), ""]
    lines += ["| key | default | value | meaning |", "|---|---|---|---|"]
    told = meanings(model)
    for name, field in model.model_fields.items():
        key = field.alias or name
        if model is Profile and key == "name":
            continue  # the file's name, and nothing that stands in it
        default = _default(field.default, required=field.is_required())
        meaning = cell(told[key])
        lines.append(f"| `{key}` | {default} | {_value(field.annotation)} | {meaning} |")
    return [*lines, ""]


def _default(value: Any, *, required: bool) -> str:
    if required or value is PydanticUndefined:
        return "*required*"
    if value in (None, "", {}, ()) or isinstance(value, Part):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{', '.join(map(str, value)) if isinstance(value, tuple) else value}`"


def _value(annotation: Any) -> str:
    """What may stand there, in a word."""
    if inside := _parts(annotation):
        (part,) = inside
        return (
            ("list of " if get_origin(annotation) is tuple else "")
            + f"[{part.__name__}]"
            + (f"(#{part.__name__.lower()})")
        )
    origin = get_origin(annotation)
    arguments = [one for one in get_args(annotation) if one is not type(None)]
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(map(_value, arguments)))
    if origin is tuple:
        return f"list of {_value(arguments[0])}"
    if hasattr(annotation, "__metadata__"):
        return _value(arguments[0])
    if isinstance(annotation, type) and origin is None:
        return {"str": "text", "int": "number", "float": "seconds", "bool": "`true`, `false`"}.get(
            annotation.__name__, "text"
        )
    return "JSON" if "Json" in str(annotation) else "mapping"


def _parts(annotation: Any) -> list[type[BaseModel]]:
    """The models in an annotation: ``tuple[Known, ...]`` has one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [part for inside in get_args(annotation) for part in _parts(inside)]
