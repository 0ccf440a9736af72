"""The documentation is true: its commands run, its examples load, its pages build.

Each page is typed in a folder of its own, as markdown_pages.py describes. What is not run there
(a package to install, half an hour, a board) is parsed all the same: by click, or by pytest.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from check_run import short_folder
from markdown_pages import PROJECT, Block, Page, page, pages, told_to_tests
from page_commands import run_page
from ruamel.yaml import YAML

from hil.auth.profile import load_profile
from hil.cli import main
from hil.config import load
from hil.target_entry import FIELDS

PAGES = pages()
READMES = [page(path) for path in sorted(PROJECT.glob("*/*/README.md"))]

# What is understood; a block in another language would hide its commands from these tests.
DIRECTIVES = {"{generated}", "{literalinclude}", "{toctree}"}
LANGUAGES = {"", "console", "python", "text", "yaml"} | DIRECTIVES


def named(found: Page) -> str:
    return found.name


@pytest.mark.parametrize("found", PAGES, ids=named)
def test_every_block_is_one_that_is_tested(found: Page) -> None:
    assert {block.language for block in found.blocks} <= LANGUAGES
    for block in found.blocks:
        if block.language == "text":
            assert not re.search(r"^\$ ", block.text, re.MULTILINE), f"{block.where}: a command"


def _typed(found: Page) -> bool:
    return any(block.says("parsed, ") is None for block in found.of("console"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("found", list(filter(_typed, PAGES)), ids=named)
def test_every_command_runs(found: Page) -> None:
    with short_folder() as folder:
        run_page(found, folder)


@pytest.mark.parametrize("found", PAGES, ids=named)
def test_every_command_is_parsed(found: Page) -> None:
    """Also those that do not run, those in place of which others run, and those in sentences."""
    typed = [command.text for block in found.of("console") for command in block.commands]
    _all_parsed(found, typed)


@pytest.mark.parametrize("found", READMES, ids=named)
def test_the_commands_of_the_examples_are_parsed(found: Page) -> None:
    """They run in the tests of their systems."""
    lines = [line for block in found.of("") for line in block.text.splitlines()]
    _all_parsed(found, [line for line in lines if re.match(r"(cd \S+ && )?(hil|pytest) ", line)])


def _all_parsed(found: Page, typed: list[str]) -> None:
    told = [code for code in found.inline if code.startswith(("hil ", "pytest "))]
    for line in [*typed, *told]:
        for words in _simple_commands(line):
            try:
                _parse(words)
            except (click.ClickException, AssertionError) as error:
                # A sentence may speak of a command without all that it takes.
                if not (isinstance(error, click.MissingParameter) and line in told):
                    pytest.fail(f"{found.name}: {line}: {error}")


def _simple_commands(line: str) -> Iterator[list[str]]:
    """Those of ours in a line of the shell: behind ``&&`` and assignments, before a pipe."""
    lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if not set(word) <= set("|&;<>"):
            words.append(word)
            continue
        while words and (re.fullmatch(r"\w+=.*", words[0]) or words[0] in ("python", "python3")):
            words = words[2:] if words[1:2] == ["-m"] and "=" not in words[0] else words[1:]
        if words and words[0] in ("hil", "pytest"):
            yield words
        words = []


def _parse(words: list[str]) -> None:
    """:raises click.ClickException: no such subcommand or option, or a wrong value
    :raises AssertionError: pytest has no such option
    """
    if words[0] == "pytest":
        _known_to_pytest(words[1:])
        return
    command: click.Command = main
    context, rest = click.Context(main, info_name="hil"), words[1:]
    while isinstance(command, click.Group):
        _, rest, _ = command.make_parser(context).parse_args(rest)
        if not rest or rest[0] == "COMMAND":
            return
        name, *rest = rest
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"hil has no command {name!r}")
        command, context = found, click.Context(found, parent=context, info_name=name)
    with suppress(click.exceptions.Exit):  # --help
        parsed = command.make_context(words[-1], list(rest), parent=context.parent)
        _known_to_pytest(list(parsed.params.get("pytest_args", ())))


def _known_to_pytest(words: list[str]) -> None:
    for word in words:
        option = word.partition("=")[0]
        if option.startswith("-"):
            assert option in _options_of_pytest(), f"pytest has no option {option}"


@cache
def _options_of_pytest() -> frozenset[str]:
    """With the plugins that the project uses."""
    told = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"],
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    shown = re.findall(r"(?<![\w-])(--?[A-Za-z][\w-]*)", told)
    return frozenset({*shown, "--junitxml"})  # pytest's help has its other spelling only


@pytest.mark.parametrize("found", PAGES, ids=named)
def test_every_example_in_yaml_loads(found: Page, tmp_path: Path) -> None:
    files = {name: block for block in found.blocks if (name := block.says("file "))}
    for name, block in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(block.text, encoding="utf-8")
    for at, block in enumerate([*found.of("yaml"), *files.values()]):
        if block.says("YAML of ") is None and block.text.strip():
            _load_yaml(block, tmp_path, at)


def _load_yaml(block: Block, folder: Path, at: int) -> None:
    """A devices.yaml, or a part of a target's entry; a profile, or a part of the packaged one."""
    if not (block.language == "yaml" or (block.says("file ") or "").endswith(".yaml")):
        return
    value: Any = YAML(typ="safe").load(block.text)
    assert isinstance(value, dict), block.where
    path = folder / f"example-{at}.yaml"
    path.write_text(block.text, encoding="utf-8")
    if set(value) <= FIELDS and "login" not in value:
        entry = {"kind": "board", "model": "openmv-n6", "usb_serial": "1", "provision": True}
        value = {"targets": {"porch": entry | value}}
        YAML().dump(value, path)
    if "targets" in value:
        _give_files(value, folder)
        assert load(path, folder, {}).targets, block.where
    else:
        packaged = YAML(typ="safe").load(PROJECT / "hil/profiles/camera.yaml")
        whole = value if "title" in value else {**packaged, **value}
        YAML().dump(whole, path)
        load_profile(path)


def _give_files(value: dict[str, Any], folder: Path) -> None:
    """The images, folders and profiles that it names: the reader has them, this folder may not."""
    for entry in value["targets"].values():
        images = entry.get("flash", {}).get("images") or {"": entry.get("flash", {}).get("image")}
        for name in filter(None, images.values()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        firmware, profile = entry.get("firmware", ""), str(entry.get("profile", ""))
        if firmware and firmware != "camera":
            (folder / firmware).mkdir(parents=True, exist_ok=True)
            (folder / firmware / "main.py").touch()
        if profile.endswith(".yaml") and not (folder / profile).exists():
            (folder / profile).parent.mkdir(parents=True, exist_ok=True)
            (folder / profile).write_bytes((PROJECT / "hil/profiles/camera.yaml").read_bytes())


@pytest.mark.parametrize("found", PAGES, ids=named)
def test_every_example_in_python_compiles(found: Page) -> None:
    for block in found.of("python"):
        compile(block.text, block.where, "exec")


def test_a_comment_that_no_test_understands_is_refused() -> None:
    assert told_to_tests("<!-- a remark for whoever writes the page -->", "here") == ""
    with pytest.raises(ValueError, match="no test understands 'exot 1'"):
        told_to_tests("<!-- test: exot 1 -->", "here")


@pytest.mark.parametrize(
    "line",
    [
        "hil flesh porch",
        "hil list --quiet-please",
        "A=1 hil lock hodl x",
        "true && hil run --targe x",
    ],
)
def test_a_command_that_there_is_not_is_refused(line: str) -> None:
    (words,) = _simple_commands(line)
    with pytest.raises((click.ClickException, AssertionError)):
        _parse(words)
