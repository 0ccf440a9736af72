"""What a mutant is: the reference firmware with one realistic mistake."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from hil import provision


@dataclass(frozen=True)
class Mutant:
    """:ivar name: completes "A camera that …"
    :ivar red: the ids of the checks that must fail, each with a finding; and no other may
    :ivar changes: file, text that must be in it exactly once, text to put in its place
    :ivar why: how one comes to make this mistake, or who made it
    """

    name: str
    red: str
    changes: tuple[tuple[str, str, str], ...]
    why: str

    @property
    def expected(self) -> frozenset[str]:
        return frozenset(self.red.split())

    def write(self, folder: Path) -> None:
        """The firmware with its mistake, as a new folder."""
        shutil.copytree(provision.reference(), folder)
        for file, old, new in self.changes:
            text = (folder / file).read_text()
            count = text.count(old)
            assert count == 1, f"{self.name}: {file} has changed: {old!r} is there {count} times"
            (folder / file).write_text(text.replace(old, new))
