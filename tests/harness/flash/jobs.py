"""Jobs for the tests of the flashing methods."""

from __future__ import annotations

from dataclasses import dataclass, field

from hil.boards.table import model
from hil.config import TargetSpec
from hil.flash.method import Image, Job
from hil.link.board import BoardLink

CONSENT = TargetSpec("porch", "", "board", provision=True).consent()


def job(key: str, method: str, *images: Image, device: str = "/dev/null", **more) -> Job:
    """A board called ``porch``, which its owner lets be flashed."""
    return Job(
        **{
            "target": "porch",
            "model": model(key),
            "method": method,
            "images": images,
            "link": BoardLink("porch", device, consent=CONSENT),
            "consent": CONSENT,
            **more,
        }
    )


@dataclass
class Seen:
    """A ``Progress`` that remembers."""

    told: list[tuple[str, int, int]] = field(default_factory=list)

    def __call__(self, partition: str, done: int, total: int) -> None:
        self.told.append((partition, done, total))

    def assert_complete(self, partition: str, total: int) -> None:
        """It never went back, and it came to its end."""
        steps = [done for name, done, of in self.told if (name, of) == (partition, total)]
        assert len(steps) == len(self.told) > 1
        assert steps == sorted(steps)
        assert steps[-1] == total
