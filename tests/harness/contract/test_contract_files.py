"""Files on the board: what is written is there, whole, under its name, and only what differs goes
over the line."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from contract_board import ContractBoard

from hil.errors import BoardError
from hil.link import files, on_board
from hil.link.repl import Repl, ReplError

BINARY = bytes(range(256)) * 3 + b"\x04\x03\x01'\"\\\r\n"
TREE = {
    "main.py": b"print('hello')\n" * 50,
    "auth/__init__.py": b"",
    "auth/jwt/deep/er.py": b"x = 1\n",
    "binary.bin": BINARY,
    "na\u00efve \u00fcber.txt": "gr\u00fc\u00df".encode(),
    "with space.txt": b"1",
}


@dataclass
class Folder:
    """A folder of the test's own on the board, and the REPL open."""

    board: ContractBoard
    repl: Repl
    path: str

    def read(self, name: str) -> bytes:
        return files.read_file(self.repl, f"{self.path}/{name}", self.board.deadline())

    def write(self, name: str, data: bytes) -> None:
        files.write_file(self.repl, f"{self.path}/{name}", data, self.board.deadline(30))

    def sync(self, tree: dict[str, bytes], **options: bool) -> files.SyncResult:
        return files.sync(self.repl, tree, self.path, self.board.deadline(60), **options)

    def names(self) -> set[str]:
        return set(files.hash_tree(self.repl, self.path, self.board.deadline(30)))


REMOVE = """\
import os
def _x(p):
 for e in list(os.ilistdir(p)):
  q=p+'/'+e[0]
  if e[1]&0x4000:_x(q)
  else:os.remove(q)
 os.rmdir(p)
try:
 os.stat({path!a})
 _x({path!a})
except OSError as e:
 if e.errno!=2:raise
"""


# Leaves 20 to 86 kB free.
FILL = """\
import os
s=os.statvfs({path!a})
n=s[0]*s[3]-20000
b=bytearray(65536)
with open({path!a}+'/fill','wb') as f:
 while n>65536:
  f.write(b);n-=65536
"""


@pytest.fixture
def folder(board: ContractBoard) -> Iterator[Folder]:
    board.need("files")
    path = f"{board.root}/hil-contract"
    with board.link.repl(board.deadline(60)) as repl:
        repl.exec(REMOVE.format(path=path), board.deadline())
        yield Folder(board, repl, path)
        repl.exec(REMOVE.format(path=path), board.deadline(30))


@pytest.mark.parametrize("data", [b"", b"text\n", BINARY, b"\x04" * 10], ids=len)
def test_a_file_reads_as_it_was_written(folder: Folder, data: bytes) -> None:
    folder.write("file", data)
    assert folder.read("file") == data


def test_a_large_random_file_arrives_whole(folder: Folder) -> None:
    data = random.Random(5).randbytes(150_000)
    folder.write("large", data)
    assert hashlib.sha256(folder.read("large")).digest() == hashlib.sha256(data).digest()


def test_writing_again_replaces_and_leaves_nothing_else(folder: Folder) -> None:
    folder.write("file", b"a longer old content")
    folder.write("file", b"new")
    assert folder.read("file") == b"new"
    assert folder.names() == {"file"}


def test_a_file_can_be_removed(folder: Folder) -> None:
    path = f"{folder.path}/file"
    folder.write("file", b"x")
    assert files.exists(folder.repl, path, folder.board.deadline())
    files.remove_file(folder.repl, path, folder.board.deadline())
    assert not files.exists(folder.repl, path, folder.board.deadline())
    files.remove_file(folder.repl, path, folder.board.deadline(), missing_ok=True)


def test_a_missing_file_is_named_by_its_error(folder: Folder) -> None:
    with pytest.raises(ReplError) as raised:
        folder.read("absent")
    assert raised.value.os_error == "ENOENT"


def test_a_tree_arrives_whole_and_a_second_time_nothing_is_sent(folder: Folder) -> None:
    first = folder.sync(TREE)
    assert first.sent == list(TREE)
    assert {name: folder.read(name) for name in TREE} == TREE
    second = folder.sync(TREE)
    assert (second.sent, second.unchanged, second.bytes_sent) == ([], list(TREE), 0)


def test_only_what_differs_is_sent(folder: Folder) -> None:
    folder.sync(TREE)
    same_size = TREE["main.py"].replace(b"hello", b"HELLO", 1)
    result = folder.sync({**TREE, "main.py": same_size, "new.py": b"1"})
    assert result.sent == ["main.py", "new.py"]
    assert folder.read("main.py") == same_size


def test_a_file_that_was_changed_on_the_board_is_sent_again(folder: Folder) -> None:
    folder.sync(TREE)
    folder.write("auth/jwt/deep/er.py", b"x = 2\n")
    assert folder.sync(TREE).sent == ["auth/jwt/deep/er.py"]


def test_a_listing_gives_the_hash_of_every_file(folder: Folder) -> None:
    folder.sync(TREE)
    listed = files.hash_tree(folder.repl, folder.path, folder.board.deadline(30))
    del listed[files.RECORD]
    assert listed == {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in TREE.items()
    }


def test_only_what_a_sync_has_written_is_ever_removed(folder: Folder) -> None:
    folder.write("theirs.txt", b"not ours")
    folder.sync(TREE)
    kept = {"main.py": TREE["main.py"]}
    assert folder.sync(kept).removed == []
    result = folder.sync(kept, remove_unlisted=True)
    assert set(result.removed) == set(TREE) - set(kept)
    assert folder.names() == {"main.py", "theirs.txt", files.RECORD}


def test_a_failing_write_leaves_the_old_file(folder: Folder) -> None:
    folder.sync({"file": b"old"})
    code = on_board.HASH + on_board.PUT + f"_w({folder.path + '/'!a},b'',[('file',0,'wrong')])"
    with pytest.raises(ReplError, match="not what was sent: file"):
        folder.repl.exec(code, folder.board.deadline())
    assert folder.read("file") == b"old"
    assert folder.names() == {"file", files.RECORD}


@pytest.mark.parametrize("missing", ["hashlib", "deflate"])
def test_a_board_without_hashes_or_decompression_gets_its_files_too(
    folder: Folder, missing: str
) -> None:
    folder.repl.exec(f"import sys\nsys.modules[{missing!r}] = sys", folder.board.deadline())
    try:
        assert folder.sync(TREE).sent == list(TREE)
        assert {name: folder.read(name) for name in TREE} == TREE
        assert folder.sync(TREE).sent == []
    finally:
        folder.repl.exec(f"del sys.modules[{missing!r}]", folder.board.deadline())


def test_a_full_flash_is_told_as_such_and_the_old_file_stays(folder: Folder) -> None:
    folder.board.need("full_flash")
    folder.sync({"file": b"old"})
    folder.repl.exec(FILL.format(path=folder.path), folder.board.deadline(60))
    data = random.Random(5).randbytes(100_000)
    with pytest.raises(BoardError, match=r"the flash is full: \d+ bytes to write, \d+ free"):
        folder.sync({"file": data})
    files.remove_file(folder.repl, f"{folder.path}/fill", folder.board.deadline(30))
    assert folder.read("file") == b"old"
    assert folder.names() == {"file", files.RECORD}


def test_what_is_frozen_in_is_known_from_what_lies_in_files(folder: Folder) -> None:
    deadline = folder.board.deadline()
    folder.write("hil_contract_module.py", b"x = 1\n")
    folder.repl.exec(f"import sys\nsys.path.append({folder.path!a})", deadline)
    try:
        found = files.frozen(
            folder.repl, ["sys", "hil_contract_module", "no_such_module"], deadline
        )
    finally:
        folder.repl.exec(f"sys.path.remove({folder.path!a})", deadline)
    assert found == {"sys"}
