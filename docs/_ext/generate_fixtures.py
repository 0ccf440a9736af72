"""The fixtures, as Markdown: their docstrings, read from the source without running it."""

from __future__ import annotations

import ast
from pathlib import Path

from markup import cell, of_docstring

import hil.fixtures

FOLDER = Path(hil.fixtures.__file__).parent
_IN_ORDER = ("target", "http", "board", "timing")


def found() -> dict[str, tuple[str, str]]:
    """By name, a fixture's type and docstring."""
    return {
        name: told
        for path in FOLDER.glob("*.py")
        for name, told in _in(path.read_text(encoding="utf-8")).items()
    }


def fixtures() -> str:
    """One section a file, in the order of their subjects."""
    paths = sorted(FOLDER.glob("[a-z]*.py"), key=lambda path: _place(path.stem))
    lines: list[str] = []
    for path in paths:
        source = path.read_text(encoding="utf-8")
        inside = _in(source)
        if not inside:
            continue
        title, _, about = (ast.get_docstring(ast.parse(source)) or "").partition("\n\n")
        lines += [f"## {title.rstrip('.')}", "", of_docstring(about), ""]
        lines += ["| fixture | gives | |", "|---|---|---|"]
        for name, (gives, told) in inside.items():
            lines.append(f"| `{name}` | `{gives}` | {cell(told)} |")
        lines.append("")
    return "\n".join(lines)


def _place(stem: str) -> tuple[int, str]:
    return (_IN_ORDER.index(stem) if stem in _IN_ORDER else len(_IN_ORDER), stem)


def _in(source: str) -> dict[str, tuple[str, str]]:
    return {
        one.name: (_gives(one.returns), ast.get_docstring(one) or "")
        for one in ast.parse(source).body
        if isinstance(one, ast.FunctionDef) and any(map(_is_fixture, one.decorator_list))
    }


def _is_fixture(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).split("(")[0] == "pytest.fixture"


def _gives(returns: ast.expr | None) -> str:
    """``Iterator[ClockControl]`` gives a ClockControl."""
    text = ast.unparse(returns) if returns else ""
    return text.removeprefix("Iterator[").removesuffix("]") if "Iterator[" in text else text
