"""Deploying the firmware and microdot: ours against ``mpremote fs cp -r``, in the same run.

Two virtual boards of the same model, empty; first deploy, then the same again with nothing changed.
mpremote runs as its users run it, from the command line; it compares hashes too, since 1.25.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hil.deadline import Deadline
from hil.link import files
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

FIRMWARE = Path(__file__).parents[1] / "firmware" / "camera"
#: What a camera application with microdot comes to. Where there is less, copies fill it up.
BYTES = 270_000


def application() -> dict[str, bytes]:
    """The firmware and microdot's package, path on the board → content."""
    tree = {
        str(path.relative_to(FIRMWARE)): path.read_bytes()
        for path in sorted(FIRMWARE.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    spec = importlib.util.find_spec("microdot")
    assert spec is not None
    assert spec.origin is not None
    sources = sorted(Path(spec.origin).parent.glob("*.py"))
    copy = 0
    while sum(map(len, tree.values())) < BYTES:
        folder = "lib/microdot" if copy == 0 else f"lib/microdot_{copy}"
        for source in sources:
            # A different first line: as for different files, nothing can be found twice.
            tree[f"{folder}/{source.name}"] = b"# %d\n" % copy + source.read_bytes()
            if copy and sum(map(len, tree.values())) >= BYTES:
                break
        copy += 1
    return tree


def ours(board: VirtualBoard, tree: dict[str, bytes]) -> tuple[float, files.SyncResult]:
    """Seconds from the closed port to the closed port."""
    start = time.perf_counter()
    deadline = Deadline.after(120)
    link = BoardLink(board.name, board.device, consent=board.consent)
    with link, link.repl(deadline) as repl:
        result = files.sync(repl, tree, "/flash", deadline)
    return time.perf_counter() - start, result


def mpremotes(device: str, folder: Path) -> float:
    """Seconds of the command, with the start of its Python."""
    sources = [str(path) for path in sorted(folder.iterdir())]
    command = [sys.executable, "-m", "mpremote", "connect", device, "fs", "cp", "-r"]
    start = time.perf_counter()
    subprocess.run([*command, *sources, ":"], check=True, capture_output=True)
    return time.perf_counter() - start


def check(board: VirtualBoard, tree: dict[str, bytes]) -> None:
    """What either has deployed is what was to be deployed."""
    link = BoardLink(board.name, board.device, consent=board.consent)
    with link, link.repl(Deadline.after(30)) as repl:
        again = files.sync(repl, tree, "/flash", Deadline.after(30))
    if again.sent:
        raise SystemExit(f"not deployed: {again.sent}")


def measure() -> dict[str, Any]:
    tree = application()
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        for path, data in tree.items():
            target = here / "tree" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        bus = here / "bus"
        with (
            VirtualBoard.start("bench-ours", state=here / "ours", bus=bus) as mine,
            VirtualBoard.start("bench-mpremote", state=here / "theirs", bus=bus) as theirs,
        ):
            first, result = ours(mine, tree)
            first_mpremote = mpremotes(theirs.device, here / "tree")
            unchanged, nothing = ours(mine, tree)
            unchanged_mpremote = mpremotes(theirs.device, here / "tree")
            check(theirs, tree)
    assert len(result.sent) == len(tree)
    assert not nothing.sent
    return {
        "first": compared(first, first_mpremote),
        "unchanged": compared(unchanged, unchanged_mpremote),
        "bytes": sum(map(len, tree.values())),
        "bytes_sent": result.bytes_sent,
        "files": len(tree),
    }


def compared(ours_s: float, mpremote_s: float) -> dict[str, float]:
    return {
        "ours_s": round(ours_s, 4),
        "mpremote_s": round(mpremote_s, 3),
        "ratio": round(mpremote_s / ours_s, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object")
    if parser.parse_args().json:
        print(json.dumps(measure()))
        return
    result = measure()
    print(
        f"{result['files']} files, {result['bytes']} bytes ({result['bytes_sent']} over the line), "
        "to a virtual board:"
    )
    for what in ("first", "unchanged"):
        row = result[what]
        print(
            f"  {what:10} ours {row['ours_s']:7.3f} s   mpremote {row['mpremote_s']:7.2f} s"
            f"   {row['ratio']} x"
        )


if __name__ == "__main__":
    main()
