"""Files on the board, by content: one round trip tells what differs, and only that is sent.

``mpremote fs cp`` sends 256 bytes per REPL command, as a ``repr`` of up to four times their size.
Here many files go as one stream of pieces, compressed and in base64. Each file is written to a
temporary name, read back and hashed on the board, and only then renamed: what stands under a
file's name is the old content or the new, never half of one.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from hil.deadline import Deadline
from hil.errors import BoardError
from hil.link import on_board
from hil.link.repl import Repl, ReplError, literal

#: The file that remembers what a sync has written, so that a later one may remove it. In the root.
RECORD = ".hil-sync"
#: Bytes of file content per piece; while one is taken in, the board needs three times as much.
_PIECE = 16_384
_PIECE_ON_SMALL_HEAP = 2_048
_SMALL_HEAP = 100_000
_NUMBER = re.compile(rb"\d{1,15}")


@dataclass(frozen=True)
class SyncResult:
    """What a sync did.

    :ivar sent: paths written, in order
    :ivar unchanged: paths that the board had already
    :ivar bytes_sent: bytes of content as they went over the line, compressed and in base64
    :ivar removed: paths that an earlier sync had written and that are no longer listed
    """

    sent: list[str]
    unchanged: list[str]
    bytes_sent: int
    removed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Listing:
    """What the board has of the listed files.

    :ivar sha256: hashes are SHA-256, else CRC-32
    :ivar deflate: the board can decompress
    :ivar heap: free bytes
    :ivar record: paths that earlier syncs have written
    :ivar files: path → (size, hash); the hash is ``-`` where the size says that it differs
    """

    sha256: bool
    deflate: bool
    heap: int
    record: list[str]
    files: dict[str, tuple[int, str]]


def parse_listing(text: str, paths: list[str]) -> Listing:
    """Read what the listing code printed.

    :raises ValueError: it is not a listing
    """
    # Collecting garbage may close a file that a killed program left open, and print about it.
    _, found, told = text.partition("files\n")
    if not found:
        raise ValueError("no head")
    head, record, *lines = told.splitlines()
    sha256, deflate, heap = (int(word) for word in head.split())
    files = {}
    for line in lines:
        index, size, digest = line.split()
        if not 0 <= int(index) < len(paths):
            raise ValueError(f"no file {index}")
        files[paths[int(index)]] = (int(size), digest)
    recorded = literal(record.encode())
    if not isinstance(recorded, str):
        raise ValueError("no record")
    known = recorded.split("\n") if recorded else []
    return Listing(bool(sha256), bool(deflate), heap, known, files)


def sync(
    repl: Repl,
    tree: Mapping[str, bytes],
    root: str,
    deadline: Deadline,
    progress: Callable[[int, int], None] | None = None,
    *,
    remove_unlisted: bool = False,
) -> SyncResult:
    """Make the files under ``root`` equal to ``tree``, sending only those that differ.

    :param tree: path relative to ``root`` → content
    :param progress: called with (bytes done, bytes to do)
    :param remove_unlisted: remove what an earlier sync wrote and ``tree`` no longer lists; other
        files are never touched
    :raises BoardError: the flash is full, a file is not on the board as it was sent, or the board
        does not answer in time
    """
    paths = [_checked(path) for path in tree]
    root = root.rstrip("/") + "/"
    wanted = [(path, len(tree[path])) for path in paths]
    told = repl.exec(
        f"# list files\n{on_board.HASH}{on_board.LIST}_l({root!a},{wanted!a})", deadline
    )
    try:
        listing = parse_listing(told.decode().replace("\r\n", "\n"), paths)
    except ValueError:
        raise _unreadable(repl, "list of files", told) from None
    board = listing.files
    digest = _sha256 if listing.sha256 else _crc32
    differing = {p: d for p, d in tree.items() if board.get(p) != (len(d), digest(d))}
    surplus = sorted(set(listing.record) - set(paths)) if remove_unlisted else []
    record = sorted((set(listing.record) | set(differing)) - set(surplus))

    sending = dict(differing)
    if record != listing.record:
        sending[RECORD] = "\n".join(record).encode()
    sent_bytes = _send(repl, sending, root, listing, deadline, progress) if sending else 0
    removed = _remove(repl, surplus, root, deadline) if surplus else []
    unchanged = [path for path in paths if path not in differing]
    return SyncResult(list(differing), unchanged, sent_bytes, removed)


def _send(
    repl: Repl,
    files: Mapping[str, bytes],
    root: str,
    board: Listing,
    deadline: Deadline,
    progress: Callable[[int, int], None] | None = None,
    preamble: str = "",
) -> int:
    """Send ``files`` in pieces; the first goes with the code that takes them in."""
    digest = _sha256 if board.sha256 else _crc32
    total = sum(len(data) for data in files.values())
    sent = done = 0
    code = preamble + on_board.PUT
    size = _PIECE if board.heap >= _SMALL_HEAP else _PIECE_ON_SMALL_HEAP
    for piece, starting in _pieces(files, size):
        packed = base64.b64encode(_deflated(piece) if board.deflate else piece)
        opened = [(path, len(files[path]), digest(files[path])) for path in starting]
        try:
            repl.exec(f"# write files\n{code}_w({root!a},{packed!r},{opened!a})", deadline)
        except ReplError as error:
            raise _write_failed(repl, error, total, root, deadline) from None
        code = ""
        sent += len(packed)
        done += len(piece)
        if progress:
            progress(done, total)
    return sent


def _pieces(files: Mapping[str, bytes], size: int) -> Iterator[tuple[bytes, list[str]]]:
    """The contents one after another, cut into pieces; with each, the paths that start in it."""
    piece = bytearray()
    starting: list[str] = []
    for path, data in files.items():
        starting.append(path)
        rest = memoryview(data)
        while rest:
            room = size - len(piece)
            piece += rest[:room]
            rest = rest[room:]
            if len(piece) == size:
                yield bytes(piece), starting
                piece, starting = bytearray(), []
    if piece or starting:
        yield bytes(piece), starting


def _write_failed(
    repl: Repl, error: ReplError, total: int, root: str, deadline: Deadline
) -> BoardError:
    if error.os_error in ("EIO", "EROFS"):
        return BoardError(
            f"the flash takes no writes: {error.os_error} while {total} bytes were sent to {root}",
            target=repl.port.target,
            hint="is it write-protected, worn out, or its file system broken?",
        )
    if error.traceback and error.traceback.message.startswith(on_board.DIFFERS):
        return BoardError(
            f"a file on the board is {error.traceback.message}",
            target=repl.port.target,
            hint="a flash that is worn out, or a serial line that loses bytes: try another cable",
        )
    if error.os_error != "ENOSPC":
        return error
    told = repl.eval(f"__import__('os').statvfs({root!a})", deadline)
    try:
        block, free = int(told[1]), int(told[4])
    except (TypeError, ValueError, LookupError):
        raise _unreadable(repl, "free space", repr(told).encode()) from None
    return BoardError(
        f"the flash is full: {total} bytes to write, {block * free} free in {root}",
        target=repl.port.target,
        hint="remove files from the board; the file that did not fit is the old one, or absent",
    )


def _remove(repl: Repl, paths: list[str], root: str, deadline: Deadline) -> list[str]:
    code = (
        f"# remove files\nimport os as _o\n_x=[]\nfor p in {paths!a}:\n"
        f" try:\n  _o.remove({root!a}+p);_x.append(p)\n"
        " except OSError as e:\n  if e.errno!=2:raise\nprint(repr(_x))"
    )
    return _names(repl, repl.exec(code, deadline))


# --- single files ---


def write_file(repl: Repl, path: str, data: bytes, deadline: Deadline) -> None:
    """Write one file, over an existing one too; verified on the board, then renamed.

    :param path: absolute, or relative to the board's working directory
    :raises BoardError: the flash is full, or there is no such folder to make
    """
    folder, name = _split(repl, path, deadline)
    told = repl.exec(f"{on_board.HASH}print(int(_S is not None),int(_D is not None))", deadline)
    flags = told.split()
    if len(flags) != 2 or not set(flags) <= {b"0", b"1"}:
        raise _unreadable(repl, "abilities", told)
    board = Listing(flags[0] == b"1", flags[1] == b"1", _SMALL_HEAP, [], {})
    _send(repl, {name: data}, folder, board, deadline)


def _split(repl: Repl, path: str, deadline: Deadline) -> tuple[str, str]:
    if not path.startswith("/"):
        path = f"{working_directory(repl, deadline).rstrip('/')}/{path}"
    folder, _, name = path.rpartition("/")
    return folder + "/", name


def working_directory(repl: Repl, deadline: Deadline) -> str:
    """Where the application's files are: the SD card where one is mounted, else the flash."""
    expression = "__import__('os').getcwd()"
    cwd = repl.eval(expression, deadline)
    if not isinstance(cwd, str):
        raise _unreadable(repl, "working directory", repr(cwd).encode())
    return cwd


def read_file(repl: Repl, path: str, deadline: Deadline) -> bytes:
    """A file's content.

    :raises ReplError: ``os_error`` is ``ENOENT`` where there is none
    """
    told = repl.exec(f"# read {path!a}\n" + on_board.READ % ascii(path), deadline)
    try:
        return b"".join(base64.b64decode(line, validate=True) for line in told.split())
    except binascii.Error:
        raise BoardError(
            f"{path}: what came over the line is not the file", target=repl.port.target
        ) from None


def remove_file(repl: Repl, path: str, deadline: Deadline, *, missing_ok: bool = False) -> None:
    """Remove a file.

    :raises ReplError: ``os_error`` is ``ENOENT`` where there is none, unless ``missing_ok``
    """
    try:
        repl.exec(f"__import__('os').remove({path!a})", deadline)
    except ReplError as error:
        if not (missing_ok and error.os_error == "ENOENT"):
            raise


def make_folder(repl: Repl, path: str, deadline: Deadline) -> None:
    """:raises ReplError: e.g. ``EEXIST``"""
    repl.exec(f"__import__('os').mkdir({path!a})", deadline)


def remove_folder(repl: Repl, path: str, deadline: Deadline) -> None:
    """Remove an empty folder.

    :raises ReplError: ``os_error`` is ``ENOENT`` where there is none
    """
    repl.exec(f"__import__('os').rmdir({path!a})", deadline)


def fill(repl: Repl, path: str, deadline: Deadline) -> int:
    """Let a file take all the space that there is, without writing its content where the file
    system allows it (FAT: a seek beyond the end takes the clusters).

    :returns: bytes that are free all the same
    """
    told = repl.exec(on_board.FILL % ascii(path), deadline)
    if not _NUMBER.fullmatch(told.strip()):
        raise _unreadable(repl, "free space", told)
    return int(told)


def copy_tree(repl: Repl, root: str, to: str, without: Iterable[str], deadline: Deadline) -> None:
    """Copy what is below ``root`` to the empty folder ``to``, on the board.

    :param without: paths from ``root`` that are left out, with all that is below them; so is what
        this bench keeps there
    """
    left = [f"{root}/{path}" for path in (".hil", RECORD, *without)]
    repl.exec(f"# copy {root!a}\n{on_board.COPY}_c({root!a},{to!a},{left!a})", deadline)


def exists(repl: Repl, path: str, deadline: Deadline) -> bool:
    """Whether there is a file or folder of that name."""
    try:
        repl.exec(f"__import__('os').stat({path!a})", deadline)
    except ReplError as error:
        if error.os_error in ("ENOENT", "ENODEV"):  # ENODEV: nothing is mounted there
            return False
        raise
    return True


def hash_tree(repl: Repl, root: str, deadline: Deadline) -> dict[str, tuple[int, str]]:
    """Every file under ``root``: path → (size, hash). The hash is SHA-256, CRC-32 without it."""
    root = root.rstrip("/")
    told = repl.exec(f"# list a tree\n{on_board.HASH}{on_board.WALK}_t({root!a},'')", deadline)
    try:
        rows = [literal(line) for line in told.splitlines()]
        return {str(path): (int(size), str(digest)) for path, size, digest in rows}
    except (ValueError, TypeError, OverflowError):
        raise _unreadable(repl, "list of files", told) from None


def frozen(repl: Repl, names: Iterable[str], deadline: Deadline) -> set[str]:
    """Which of the modules are in the firmware itself: they import, and no file of theirs lies
    along ``sys.path`` (a read-only ``/rom`` counts as the firmware)."""
    code = "# frozen modules\n" + on_board.FROZEN % ascii(list(names))
    return set(_names(repl, repl.exec(code, deadline)))


def _names(repl: Repl, told: bytes) -> list[str]:
    with contextlib.suppress(ValueError):
        names = literal(told)
        if isinstance(names, list) and all(isinstance(name, str) for name in names):
            return names
    raise _unreadable(repl, "list of names", told)


def _unreadable(repl: Repl, what: str, told: bytes) -> BoardError:
    return BoardError(f"the board's {what} is unreadable: {told[:200]!r}", target=repl.port.target)


def _checked(path: str) -> str:
    if path.startswith("/") or ".." in PurePosixPath(path).parts or not path:
        raise ValueError(f"{path!r} is not a path relative to the board's root")
    return path


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -on_board.WBITS)
    return packer.compress(data) + packer.flush()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _crc32(data: bytes) -> str:
    return f"{zlib.crc32(data):08x}"
