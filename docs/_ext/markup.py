"""Text of the code as Markdown."""

from __future__ import annotations

import inspect
import re

_IVAR = re.compile(r":ivar (\w+): ?((?:.|\n(?!\s*:ivar))*)")
_ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?([\w]+)`")


def escaped(text: str) -> str:
    """A sentence of a help text: nothing but its `code` is Markdown, and no line of it ends a
    table's row."""
    parts = " ".join(text.split()).split("`")
    if len(parts) % 2 == 0:  # a backtick without its other one
        return _literal("`".join(parts))
    return "".join(
        f"`{part.replace('|', chr(92) + '|')}`" if at % 2 else _literal(part)
        for at, part in enumerate(parts)
    )


def _literal(text: str) -> str:
    for mark in "\\`*_<[|$":
        text = text.replace(mark, f"\\{mark}")
    return text


def of_docstring(text: str) -> str:
    """Docstrings here have two marks of reStructuredText: ``code``, which Markdown has, and roles.
    Their lines become one; a blank line stays."""
    paragraphs = _ROLE.sub(r"`\1`", text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def cell(text: str) -> str:
    """A docstring as one cell of a table."""
    return " ".join(of_docstring(text).split()).replace("|", "\\|")


def summary(model: type) -> str:
    """What its docstring says before its fields."""
    return inspect.cleandoc(model.__doc__ or "").split(":ivar")[0].strip()


def ivars(model: type) -> dict[str, str]:
    """By field, what its docstring, or that of a class that it comes from, says of it."""
    told: dict[str, str] = {}
    for one in reversed(inspect.getmro(model)):
        told.update(_IVAR.findall(inspect.cleandoc(one.__doc__ or "")))
    return told
