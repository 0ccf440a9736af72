"""How far a download is: a bar for each partition on a terminal, nothing elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from .method import Progress, quiet


@contextlib.contextmanager
def bars(target: str) -> Iterator[Progress]:
    """A :data:`Progress` on standard error for the length of a ``with`` block.

    Quiet where standard error is no terminal: a log has no use for a bar.
    """
    if not sys.stderr.isatty():
        yield quiet
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as shown:
        tasks = {}

        def progress(partition: str, done: int, total: int) -> None:
            if partition not in tasks:
                tasks[partition] = shown.add_task(f"{target}: {partition}", total=total)
            shown.update(tasks[partition], completed=done, total=total)

        yield progress
