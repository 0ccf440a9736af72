"""The pages of the documentation as a reader uses them: their blocks of code, in order.

A comment before a block, which no reader sees, says what a test cannot know:

``<!-- test: file NAME -->``
    the block is this file's content, in the folder in which the page's commands run. With the
    content in the comment itself, after its first line, no block follows
``<!-- test: beside TEXT -->``
    once it has printed this, the command goes on while those after it run, until the page's end
``<!-- test: exit N -->``
    the last command's exit code, where that is not 0
``<!-- test: until TEXT -->``
    the command runs until it has printed this, and is ended by Ctrl-C
``<!-- test: instead COMMAND -->``
    what is run in its place; why stands in the comment's further lines
``<!-- test: parsed, REASON -->``
    the commands are not run, only parsed: every option and subcommand must be known
``<!-- test: YAML of WHAT -->``
    the block is neither a devices.yaml nor a profile
``<!-- test: port N -->``
    (anywhere) this port is another, free one, in every command
``<!-- test: plugged in MODEL SERIAL -->``
    (anywhere) a virtual board of this model is attached as a real one would be, and its serial
    number stands for the page's
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt

PROJECT = Path(__file__).parents[2]

_TOLD = re.compile(r"<!-- test: (?P<told>.*?)\s*-->", re.DOTALL)
_OF_A_PAGE = ("port ", "plugged in ")
_DIRECTIVES = ("file ", "beside ", "exit ", "until ", "instead ", "parsed, ", "YAML of ")


@dataclass(frozen=True)
class Command:
    """:ivar text: as typed behind the ``$``; several lines, where they end in a backslash
    :ivar shown: what the page shows of its output, line by line; ``…`` stands for anything
    """

    text: str
    shown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Block:
    """:ivar language: the fence's; empty: of a comment that holds a file
    :ivar where: ``docs/page.md:LINE``
    :ivar told: what the comment before it says
    """

    language: str
    text: str
    where: str
    told: str = ""

    def says(self, directive: str) -> str | None:
        """What stands behind this directive; None: something else, or nothing, is said."""
        begins = self.told.partition("\n")[0]
        return begins.removeprefix(directive).strip() if begins.startswith(directive) else None

    @property
    def commands(self) -> tuple[Command, ...]:
        """Of a ``console`` block."""
        found: list[tuple[str, list[str]]] = []
        goes_on = False
        for line in self.text.splitlines():
            if goes_on:
                found[-1] = (f"{found[-1][0]}\n{line}", found[-1][1])
            elif line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
            else:
                raise ValueError(f"{self.where}: output without a command: {line!r}")
            goes_on = line.endswith("\\") and (goes_on or line.startswith("$ "))
        return tuple(Command(text, tuple(filter(str.strip, shown))) for text, shown in found)


@dataclass(frozen=True)
class Page:
    """:ivar inline: code within a sentence
    :ivar told: what it says to a test as a whole
    """

    path: Path
    blocks: tuple[Block, ...]
    inline: tuple[str, ...] = ()
    told: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        return str(self.path.relative_to(PROJECT))

    def says(self, directive: str) -> tuple[str, ...]:
        """What stands behind this directive, each time that it is given."""
        return tuple(one.removeprefix(directive) for one in self.told if one.startswith(directive))

    def of(self, *languages: str) -> Iterator[Block]:
        return (block for block in self.blocks if block.language in languages)


def page(path: Path) -> Page:
    """:raises ValueError: a comment for the tests that no test understands"""
    name = path.relative_to(PROJECT)
    blocks: list[Block] = []
    inline: list[str] = []
    of_page: list[str] = []
    told = ""
    for token in MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8")):
        where = f"{name}:{token.map[0] + 1}" if token.map else str(name)
        if token.type == "html_block":
            told = told_to_tests(token.content, where)
            if told.startswith(_OF_A_PAGE):
                of_page.append(told)
                told = ""
            elif told.startswith("file ") and "\n" in told:
                content = textwrap.dedent(told.partition("\n")[2]) + "\n"
                blocks.append(Block("", content, where, told.partition("\n")[0]))
                told = ""
        elif token.type == "fence":
            language = token.info.split(" ")[0] if token.info else ""
            blocks.append(Block(language, token.content, where, told))
            told = ""
        elif token.type == "inline":
            inline += [one.content for one in token.children or () if one.type == "code_inline"]
            if told:
                raise ValueError(f"{where}: 'test: {told}' stands before no block")
    return Page(path, tuple(blocks), tuple(inline), tuple(of_page))


def pages() -> list[Page]:
    """README.md, and all under docs/."""
    paths = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
    return [page(path) for path in paths]


def told_to_tests(html: str, where: str) -> str:
    """What a comment says to a test; empty: it is none of these.

    :raises ValueError: no test understands it
    """
    found = _TOLD.search(html)
    if not found:
        return ""
    told = str(found["told"])
    if not told.startswith((*_DIRECTIVES, *_OF_A_PAGE)):
        raise ValueError(f"{where}: no test understands {told!r}")
    return told
