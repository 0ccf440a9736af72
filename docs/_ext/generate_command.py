"""The ``hil`` command and pytest's options, as Markdown."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import click
from markup import escaped

from hil import plugin
from hil.cli import main


def command() -> str:
    """Every command of ``hil`` with its arguments, its options and what its help says."""
    return "\n".join(_described("hil", main, click.Context(main, info_name="hil")))


def _described(path: str, found: click.Command, context: click.Context) -> list[str]:
    usage = " ".join([path, *found.collect_usage_pieces(context)])
    lines = [f"## {path}", "", "```text", usage, "```", "", _text(found.help), ""]
    options = [one for one in found.params if isinstance(one, click.Option) and one.name != "help"]
    if options:
        lines += ["| option | what it does |", "|---|---|", *map(_option, options), ""]
    lines += [_text(found.epilog), ""]
    if isinstance(found, click.Group):
        for name in found.list_commands(context):
            inside = found.get_command(context, name)
            assert inside
            below = click.Context(inside, parent=context, info_name=name)
            lines += _described(f"{path} {name}", inside, below)
    return lines


def _text(told: str | None) -> str:
    """Paragraphs; what click must not wrap (``\\b``) is shown as it stands."""
    shown = []
    for paragraph in inspect.cleandoc(told or "").split("\n\n"):
        if "\b" in paragraph:
            shown.append("```text\n" + paragraph.replace("\b", "").strip("\n") + "\n```")
        else:
            shown.append(escaped(paragraph))
    return "\n\n".join(shown)


def _option(option: click.Option) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    metavar = "" if option.is_flag else f" {_metavar(option)}"
    shown = "" if option.is_flag or option.required else _default(option)
    told = " ".join([escaped(option.help or ""), "Required." if option.required else shown])
    return f"| `{names}{metavar}` | {told.strip()} |"


def _metavar(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return "|".join(option.type.choices).replace("|", "\\|")
    return option.metavar or option.type.name.upper()


def _default(option: click.Option) -> str:
    if option.default is None or not isinstance(option.default, str | int | float):
        return ""
    return f"Default: `{option.default}`."


class _Recorded:
    """Takes what a plugin tells pytest's parser."""

    def __init__(self) -> None:
        self.options: list[tuple[tuple[str, ...], dict[str, Any]]] = []
        self.settings: list[tuple[str, str]] = []

    def getgroup(self, *_: object, **__: object) -> _Recorded:
        return self

    def addoption(self, *names: str, **told: Any) -> None:
        self.options.append((names, told))

    def addini(self, name: str, help: str = "", **_: Any) -> None:  # noqa: A002 - pytest's name
        self.settings.append((name, help))


def pytest_options() -> str:
    """What the plugin, and those that it brings, add to pytest's command line and configuration."""
    recorded = _Recorded()
    for name in (plugin.__name__, *plugin.pytest_plugins):
        module = import_module(name)
        if hasattr(module, "pytest_addoption"):
            module.pytest_addoption(recorded)
    lines = ["| option | what it does |", "|---|---|"]
    for names, told in recorded.options:
        metavar = f" {told['metavar']}" if "metavar" in told else ""
        lines.append(f"| `{', '.join(names)}{metavar}` | {escaped(told.get('help', ''))} |")
    if recorded.settings:
        lines += ["", "| in pytest's configuration | what it does |", "|---|---|"]
        lines += [f"| `{name}` | {escaped(told)} |" for name, told in recorded.settings]
    return "\n".join(lines)
