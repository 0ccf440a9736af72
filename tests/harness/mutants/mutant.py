"""What a mutant is: the reference firmware with one realistic mistake."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hil import checks, provision


@dataclass(frozen=True)
class Mutant:
    """:ivar name: completes "A camera that …"
    :ivar red: the ids of the checks that must fail, each with a finding; and no other may
    :ivar changes: file, text that must be in it exactly once, text to put in its place
    :ivar why: how one comes to make this mistake, or who made it
    :cvar profile: what the board it runs on is to do
    :cvar groups: the checks that it is shown to
    """

    profile: ClassVar[str] = "camera"
    groups: ClassVar[tuple[str, ...]] = tuple(checks.GROUPS)

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


class FeatureMutant(Mutant):
    """A mistake in what is switched on in settings.json: all of that is on, and the checks are its
    own. The others have their mutants on the camera as it is deployed."""

    profile = "camera-full"
    groups = ("refresh", "revocation", "api_key", "roles", "device_code")


class RotationMutant(FeatureMutant):
    """A mistake in a feature that shows when key or password change."""

    groups = ("rotation",)
