"""A YAML file as text, lists and mappings, and where each part of it stands.

What devices.yaml and the profiles have in common: mistakes are collected, each as
``FILE:LINE:COLUMN: what is wrong``, and told all at once. ruamel.yaml is imported when a file is
read, not when this module is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ConfigError

if TYPE_CHECKING:
    from ruamel.yaml.error import StringMark
    from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

Place = tuple[str, ...]
"""The keys that lead to a part of the document: ``("targets", "porch", "wifi")``."""

Value = str | list[Any] | dict[str, Any] | None
"""A scalar stays the text that was written: ``usb_serial: 0012`` keeps its zeros, ``no`` is no
boolean. None is a key without a value."""

# A bench is some dozen targets. The limit stops aliases that multiply ("billion laughs").
_MAX_NODES = 20_000
_MAX_BYTES = 1_000_000


class Document:
    """A YAML file, and the mistakes found in it so far.

    :ivar value: what it says
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        self.mistakes: list[tuple[int, int, str]] = []
        self._keys: dict[Place, tuple[int, int]] = {}
        self._values: dict[Place, tuple[int, int]] = {}
        self._nodes = 0
        root = self._compose(text)
        self.value: Value = None if root is None else self._plain(root, (), ())

    @classmethod
    def read(cls, path: Path, *, named_by: str | None = None) -> Document:
        """:raises ConfigError: the file cannot be read or is not YAML"""
        asked = f" (asked for by {named_by})" if named_by else ""
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raise ConfigError(f"{path}:1:1: there is no such file{asked}") from None
        except OSError as error:
            raise ConfigError(f"{path}:1:1: cannot be read{asked}: {error.strerror}") from error
        if len(raw) > _MAX_BYTES:
            raise ConfigError(f"{path}:1:1: {len(raw)} bytes is no inventory{asked}")
        try:
            return cls(path, raw.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            column = error.start - raw.rfind(b"\n", 0, error.start)
            raise ConfigError(f"{path}:{line}:{column}: not UTF-8 text") from None

    def where(self, place: Place, *, key: bool = False) -> str:
        """``FILE:LINE:COLUMN`` of the value at ``place``, or of its key."""
        line, column = self._mark(place, key)
        return f"{self.path}:{line}:{column}"

    def mistake(self, place: Place, what: str, *, key: bool = False) -> None:
        """Note a mistake at the value that stands at ``place``, or at its key."""
        self.mistakes.append((*self._mark(place, key), what))

    def error(self) -> ConfigError:
        """All mistakes as one error, in the file's order."""
        lines = [f"{self.path}:{at}:{column}: {what}" for at, column, what in sorted(self.mistakes)]
        return ConfigError("\n".join(dict.fromkeys(lines)))

    def _mark(self, place: Place, key: bool) -> tuple[int, int]:
        if place in self._values and not key:
            return self._values[place]
        while place and place not in self._keys:  # what is missing is told where it should be
            place = place[:-1]
        return self._keys.get(place, (1, 1))

    def _compose(self, text: str) -> Node | None:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.reader import ReaderError

        def wrong(mark: StringMark | None, what: str) -> ConfigError:
            line, column = _position(mark) if mark else (1, 1)
            return ConfigError(f"{self.path}:{line}:{column}: {what}")

        try:
            return YAML(typ="safe", pure=True).compose(text)  # type: ignore[no-any-return]
        except MarkedYAMLError as error:
            # Never str(error): it quotes the file's text, and a password may stand in it.
            problem = str(error.problem)
            if "'\\t'" in problem:
                what = "a tab: YAML indents with spaces"
            elif "expected a single document" in str(error.context):
                what = "a second document begins here: one file is one inventory"
            else:
                what = f"not YAML: {problem}"
            mark = error.problem_mark or error.context_mark
            told = "".join(text.splitlines()[mark.line : mark.line + 1]) if mark else ""
            if re.search(r"\{.*\$\{", told):
                what = "inside { } write '${NAME}' with its quotes"
            raise wrong(mark, what) from None
        except ReaderError as error:
            before = text[: error.position]
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            raise ConfigError(
                f"{self.path}:{line}:{column}: character U+{ord(text[error.position]):04X}"
                " is not allowed in YAML"
            ) from None
        except RecursionError:
            raise wrong(None, "nested too deeply") from None
        except (YAMLError, ValueError, OverflowError) as error:
            # ValueError: an escape such as "\U0FFFFFFF" that is no character.
            raise wrong(None, f"not YAML: {type(error).__name__}") from None

    def _plain(self, node: Node, place: Place, above: tuple[Node, ...]) -> Value:
        from ruamel.yaml.nodes import MappingNode, ScalarNode

        self._nodes += 1
        if node.tag == "tag:yaml.org,2002:null":
            return None  # has no place of its own: a mistake is told at its key
        self._values.setdefault(place, _position(node.start_mark))
        if any(node is one for one in above) or self._nodes > _MAX_NODES:
            self.mistake(place, "an alias that contains itself, or too many aliases")
            return None
        if isinstance(node, ScalarNode):
            return str(node.value) if self._is_text(node) else None
        if isinstance(node, MappingNode):
            return self._mapping(node, place, (*above, node))
        return [
            self._plain(item, (*place, str(at)), (*above, node))
            for at, item in enumerate(node.value)
        ]

    def _is_text(self, node: ScalarNode) -> bool:
        """An escape such as "\\ud800" makes half a character, which nothing can print."""
        if not re.search("[\ud800-\udfff]", node.value):
            return True
        what = "an escape that is half a character: write the character itself"
        self.mistakes.append((*_position(node.start_mark), what))
        return False

    def _mapping(self, node: MappingNode, place: Place, above: tuple[Node, ...]) -> dict[str, Any]:
        from ruamel.yaml.nodes import ScalarNode

        own: dict[str, Any] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.mistakes.append((*_position(key.start_mark), "a key must be text"))
            elif not self._is_text(key):
                continue
            elif key.tag == "tag:yaml.org,2002:merge":
                merged.append(value)
            elif key.value in own:
                first = self._keys[(*place, key.value)][0]
                what = f"{key.value!a} is here twice (first in line {first})"
                self.mistakes.append((*_position(key.start_mark), what))
            else:
                below = (*place, str(key.value))
                self._keys.setdefault(below, _position(key.start_mark))
                own[key.value] = self._plain(value, below, above)
        for base in merged:  # "<<: *base": what the base says holds unless it is said here
            inherited = self._plain(base, place, above)
            for entries in inherited if isinstance(inherited, list) else [inherited]:
                if isinstance(entries, dict):
                    own = {**entries, **own}
                else:
                    self.mistakes.append((*_position(base.start_mark), "'<<' needs a mapping"))
        return own


def _position(mark: StringMark) -> tuple[int, int]:
    """Line and column, from 1."""
    return mark.line + 1, mark.column + 1


def did_you_mean(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word.lower(), sorted(known), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
