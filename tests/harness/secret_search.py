"""Is any secret of a run in what it has left? Looked for in all forms that something may write.

What is random (keys, tokens, codes) is looked for in pieces, too: any 23 characters of it in a row
are found. Of a token, the header counts for nothing: it is the same for all.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import urllib.parse
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PIECE = 12
"""Characters. Of hex, that is 48 bits: no chance hit among the hashes of a report."""

SHORTEST = 4
"""What is shorter stands in any text, and whoever wants it tries all there are."""

# RFC 7515 section 3.1: three segments, of which a check may have spoiled any.
_TOKEN = re.compile(rb"[\w-]{4,}(?:\.[\w=-]*){2,}")
_BLOB = re.compile(rb"[A-Za-z0-9+/]{64,}={0,2}")


@dataclass(frozen=True)
class Hit:
    """A secret where none may be; never the secret itself.

    :ivar where: the file, and what of it was unpacked
    :ivar kind: what the secret is
    """

    where: str
    kind: str
    form: str
    offset: int


class Needles:
    """What is looked for.

    :param secrets: kind by value
    :ivar skipped: what is too short to be looked for
    """

    def __init__(self, secrets: Mapping[bytes, str]) -> None:
        self.skipped: set[bytes] = set()
        self._by_start: dict[bytes, list[tuple[bytes, str, str]]] = {}
        self._short: dict[bytes, tuple[str, str]] = {}
        for value, kind in secrets.items():
            for part in _parts(value):
                self._add(part, kind)

    def _add(self, value: bytes, kind: str) -> None:
        if len(value) < SHORTEST:
            self.skipped.add(value)
            return
        for form, text in forms(value):
            for piece in _pieces(text, form) if _random(value) else (text,):
                self._index(piece, kind, form)

    def _index(self, text: bytes, kind: str, form: str) -> None:
        if len(text) < PIECE:
            self._short.setdefault(text, (kind, form))
        else:
            self._by_start.setdefault(text[:PIECE], []).append((text, kind, form))

    def __len__(self) -> int:
        return len(self._short) + sum(map(len, self._by_start.values()))

    def search(self, where: str, data: bytes) -> Iterator[Hit]:
        """All of them in there, and in what is packed in there."""
        for text, (kind, form) in self._short.items():
            if (at := data.find(text)) >= 0:
                yield Hit(where, kind, form, at)
        starts = self._by_start
        for at in range(len(data) - PIECE + 1):
            start = data[at : at + PIECE]
            if start in starts:
                for text, kind, form in starts[start]:
                    if data.startswith(text, at):
                        yield Hit(where, kind, form, at)
        for name, inside in unpacked(data):
            yield from self.search(f"{where}, {name}", inside)


def unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """What is gzipped in there, as it is or in base64 as a page has it."""
    if data[:2] == b"\x1f\x8b":
        yield "gzip", gzip.decompress(data)
    for number, blob in enumerate(_BLOB.findall(data)):
        if blob.startswith(b"H4sI"):  # the base64 of gzip's magic, method and no flags
            try:
                yield f"gzip in base64 {number}", gzip.decompress(base64.b64decode(blob))
            except (OSError, ValueError, EOFError, zlib.error):
                continue


def forms(value: bytes) -> Iterator[tuple[str, bytes]]:
    """How something may write it."""
    made: dict[bytes, str] = {value: "plain"}
    for name, text in _written(value):
        made.setdefault(text, name)
    for shift in range(3):
        skipped = (0, 2, 3)[shift]
        bits = (len(value) + shift) * 8 // 6  # whole characters that depend on nothing behind
        for alphabet, encode in (
            ("base64", base64.b64encode),
            ("base64url", base64.urlsafe_b64encode),
        ):
            made.setdefault(encode(b"\0" * shift + value)[skipped:bits], f"{alphabet} +{shift}")
    made.setdefault(value.hex().encode(), "hex")
    made.setdefault(value.hex().upper().encode(), "HEX")
    return ((form, text) for text, form in made.items() if len(text) >= SHORTEST)


def _written(value: bytes) -> Iterator[tuple[str, bytes]]:
    yield "repr of bytes", repr(value)[2:-1].encode()
    yield "URL", urllib.parse.quote_from_bytes(value, safe="").encode()
    yield "form", urllib.parse.quote_plus(value, safe="").encode()
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    yield "JSON", json.dumps(text)[1:-1].encode()
    yield "JSON in UTF-8", json.dumps(text, ensure_ascii=False)[1:-1].encode()
    yield "repr", repr(text)[1:-1].encode()
    yield "ascii", ascii(text)[1:-1].encode()
    yield "HTML", html.escape(text).encode()
    yield "HTML without quotes", html.escape(text, quote=False).encode()
    yield "HTML by number", html.escape(text).encode("ascii", "xmlcharrefreplace")
    yield "JSON in JSON", json.dumps(json.dumps(text)[1:-1])[1:-1].encode()


def _parts(value: bytes) -> Iterable[bytes]:
    """A token's signature and payload, and what else may be in its place."""
    return value.split(b".")[1:] if _TOKEN.fullmatch(value) else (value,)


def _random(value: bytes) -> bool:
    """Whether no text would have a piece of it by chance: binary, or base64url without a word."""
    if len(value) < 2 * PIECE - 1:
        return False
    if not value.isascii():
        return True
    return bool(re.fullmatch(rb"[\w+/=-]+", value) and re.search(rb"\d", value))


def _pieces(text: bytes, form: str) -> Iterator[bytes]:
    """One after the other, so that a window over the data meets one of them."""
    if form != "plain" and not form.startswith(("base64", "hex", "HEX")):
        yield text
    else:
        yield from (text[at : at + PIECE] for at in range(0, len(text) - PIECE + 1, PIECE))


def load(path: Path) -> dict[bytes, str]:
    """What ``secret_spy`` has told: its kinds, by value."""
    kinds: dict[bytes, str] = {}
    for line in path.read_text().splitlines():
        one = json.loads(line)
        value = base64.b64decode(one["value"])
        kinds[value] = f"{kinds[value]}, {one['kind']}" if value in kinds else one["kind"]
    return kinds
