"""Files by content: the parts that need no board. The rest is in the contract suite."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.link import files, on_board

paths_ = st.lists(st.text(min_size=1), unique=True, max_size=8)
digests = st.text("0123456789abcdef", min_size=8, max_size=64) | st.just("-")


@given(
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**31),
    st.lists(st.text(st.characters(exclude_characters="\n"), min_size=1)),
    paths_,
    st.data(),
)
def test_a_listing_reads_as_it_was_printed(
    sha256: bool, deflate: bool, heap: int, record: list[str], paths: list[str], data: st.DataObject
) -> None:
    there = data.draw(
        st.dictionaries(st.sampled_from(paths), st.tuples(st.integers(-1, 2**31), digests))
        if paths
        else st.just({})
    )
    lines = [
        "noise of the garbage collector",
        "files",
        f"{sha256:d} {deflate:d} {heap}",
        repr("\n".join(record)),
    ]
    lines += [f"{paths.index(path)} {size} {digest}" for path, (size, digest) in there.items()]
    listing = files.parse_listing("\n".join(lines) + "\n", paths)
    assert listing == files.Listing(sha256, deflate, heap, record, there)


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_what_is_no_listing_is_refused_as_such(text: str, paths: list[str]) -> None:
    try:
        files.parse_listing("files\n" + text, paths)
    except (ValueError, SyntaxError):
        return
    assert text.split()[0].lstrip("-+").replace("_", "").isdigit()


@given(
    st.dictionaries(st.text(min_size=1), st.binary(max_size=300), max_size=6), st.integers(1, 99)
)
def test_pieces_carry_every_file_whole_and_in_order(tree: dict[str, bytes], size: int) -> None:
    pieces = list(files._pieces(tree, size))
    assert b"".join(piece for piece, _ in pieces) == b"".join(tree.values())
    assert [path for _, starting in pieces for path in starting] == list(tree)
    assert all(len(piece) == size for piece, _ in pieces[:-1])


@given(st.binary())
def test_a_piece_decompresses_in_the_boards_window(data: bytes) -> None:
    packed = base64.b64encode(files._deflated(data))
    assert zlib.decompress(base64.b64decode(packed), -on_board.WBITS) == data


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", "a/../../b", ""])
def test_a_path_outside_the_root_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="relative to the board's root"):
        files._checked(path)
