"""The camera's JSON reader against Python's: the same values, and nothing that RFC 8259 forbids."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest
from firmware_process import Worker, worker
from hypothesis import given
from hypothesis import strategies as st

# Values travel back as text, so that MicroPython's own json has no say in them.
SETUP = """
from web.strictjson import parse
def call(text):
    return repr(parse(text, 8, lambda literal: float(literal)))
"""

TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def parse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with worker(SETUP, tmp_path_factory.mktemp("json")) as process:
        yield process


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@given(value=VALUES, ascii_only=st.booleans(), indent=st.none() | st.integers(0, 2))
def test_it_reads_what_python_writes(
    parse: Worker, value: object, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    answer = parse(text.encode())
    if depth(value) > 8:
        assert answer == {"refused": True}
    else:
        assert eval(answer["ok"]) == value  # noqa: S307 - a repr that our own worker made


def refuse_constant(name: str) -> None:
    raise ValueError(name)


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("name twice")
    return dict(pairs)


@given(
    text=st.text(st.sampled_from('{}[]",:\\/ubnt019.-+eE\x00\n ÿ\ufefftruefalsenull'), max_size=16)
)
def test_it_takes_nothing_that_python_does_not(parse: Worker, text: str) -> None:
    answer = parse(text.encode())
    assert "crashed" not in answer
    try:
        expected = json.loads(text, parse_constant=refuse_constant, object_pairs_hook=unique)
    except (ValueError, RecursionError):
        assert answer == {"refused": True}
        return
    if "ok" in answer and not (isinstance(expected, float) and not math.isfinite(expected)):
        assert eval(answer["ok"], {"inf": math.inf, "nan": math.nan}) == expected  # noqa: S307


@given(data=st.binary(max_size=24))
def test_strings_are_utf8_to_the_letter(parse: Worker, data: bytes) -> None:
    answer = parse(b'"' + data.replace(b'"', b"").replace(b"\\", b"") + b'"')
    try:
        text = data.replace(b'"', b"").replace(b"\\", b"").decode()
    except UnicodeDecodeError:
        assert answer == {"refused": True}
        return
    if any(character < " " for character in text):
        assert answer == {"refused": True}
    else:
        assert eval(answer["ok"]) == text  # noqa: S307


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"01", b"-", b"1.", b".5", b"+1", b"1e", b"NaN", b"Infinity", b"-Infinity",
        b"tru", b"nulll", b"[1,]", b"[,1]", b"[1 2]", b'{"a" 1}', b'{"a":1,}', b"{a:1}", b"{'a':1}",
        b'{"a"}', b'"a', b'"\\"', b'"\\x"', b'"\\u12"', b'"\\u00g0"', b'"\\ud800"', b'"\\udc00"',
        b'"\\ud800\\u0041"', b'"\\ud800\\\\udc00"', b'"a\nb"', b'"\x00"', b'"\xc0\x80"',
        b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b"\xef\xbb\xbf{}", b"1 1", b"{}{}", b"{}\x00",
        b'{"a":1,"a":2}', b'{"a":1,"\\u0061":2}', b"[" * 9 + b"]" * 9, b"[" * 20000, b"1" * 65,
    ],
)  # fmt: skip
def test_refused(parse: Worker, text: bytes) -> None:
    assert parse(text) == {"refused": True}
