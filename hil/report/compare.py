"""Two runs beside each other: which verdicts have changed, and what else has."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from .digest import RunDigest, TargetDigest
from .series import MEASURES, point

Kind = Literal["red", "error", "advisory", "unchecked", "known", "mended", "checked"]

KINDS: dict[Kind, str] = {
    "red": "newly red",
    "error": "newly an error",
    "advisory": "newly an advisory",
    "unchecked": "no longer checked",
    "known": "now a known deviation",
    "mended": "good again",
    "checked": "checked now",
}
"""From what must be seen first, and the words for it."""

_BY_VERDICT: dict[str, Kind] = {
    "finding": "red",
    "error": "error",
    "advisory": "advisory",
    "skipped": "unchecked",
    "known": "known",
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """:ivar before: the verdict; None: it was not in that run
    :ivar after: likewise
    :ivar message: of the later run
    """

    target: str
    check: str
    kind: Kind
    before: str | None
    after: str | None
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class TargetComparison:
    """:ivar changed: by name, of the build, of ``revision``, ``hil`` and ``unique_id``
    :ivar seconds: by measure: before, after, over the cases that both have
    :ivar down: why it came up before and does not now; empty: it does
    """

    target: str
    changed: dict[str, tuple[str | None, str | None]]
    seconds: dict[str, tuple[float, float]]
    down: str
    same: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """:ivar changes: the gravest first
    :ivar gone: targets of the earlier run only
    :ivar new: of the later one only
    """

    before: str
    after: str
    changes: tuple[Change, ...]
    targets: tuple[TargetComparison, ...]
    gone: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def worse(self) -> bool:
        """A check is newly red or an error, or a target no longer comes up."""
        grave = any(change.kind in ("red", "error") for change in self.changes)
        return grave or any(target.down for target in self.targets)

    def as_dict(self) -> dict[str, Any]:
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        told["changes"] = [asdict(change) for change in self.changes]
        told["targets"] = [asdict(target) for target in self.targets]
        return told | {"worse": self.worse}


def compare(before: RunDigest, after: RunDigest) -> Comparison:
    """:param after: what is judged"""
    both = [name for name in after.targets if name in before.targets]
    new = [name for name in after.targets if name not in before.targets]
    order = list(KINDS)
    changes = [
        change
        for name in [*both, *new]
        for change in _changes(before.targets.get(name), after.targets[name])
    ]
    return Comparison(
        before=before.name,
        after=after.name,
        changes=tuple(
            sorted(changes, key=lambda one: (order.index(one.kind), one.target, one.check))
        ),
        targets=tuple(_target(before, after, name) for name in both),
        gone=tuple(name for name in before.targets if name not in after.targets),
        new=tuple(new),
    )


def _changes(before: TargetDigest | None, after: TargetDigest) -> Iterable[Change]:
    earlier = before.checks if before else {}
    for check in sorted({*earlier, *after.checks}):
        was, now = earlier.get(check), after.checks.get(check)
        old, new = was.verdict if was else None, now.verdict if now else None
        kind = _kind(old, new)
        if old != new and kind:
            yield Change(
                target=after.name,
                check=check,
                kind=kind,
                before=old,
                after=new,
                message=now.message if now else "not in this run",
            )


def _kind(before: str | None, after: str | None) -> Kind | None:
    """None: it was not checked, and is not."""
    unchecked = (None, "skipped")
    if after in unchecked:
        return None if before in unchecked else "unchecked"
    if after == "passed":
        return "checked" if before in unchecked else "mended"
    return _BY_VERDICT[after or ""]


def _target(before: RunDigest, after: RunDigest, name: str) -> TargetComparison:
    was, now = before.targets[name], after.targets[name]
    changed = point(after, now).changed_since(point(before, was))
    if was.fault or now.fault:  # what it runs is not known
        changed = {key: changed[key] for key in ("revision", "hil") if key in changed}
    if was.unique_id and now.unique_id and was.unique_id != now.unique_id:
        changed["unique_id"] = (was.unique_id, now.unique_id)
    seconds = {}
    for measure in MEASURES:
        both = [case for case in now.seconds if case[0] == measure and was.seconds.get(case)]
        if both:
            ratio = statistics.median(now.seconds[case] / was.seconds[case] for case in both)
            typical = statistics.median(was.seconds[case] for case in both)
            seconds[measure] = (typical, typical * ratio)
    same = sum(
        found.verdict == one.verdict
        for check, one in now.checks.items()
        if (found := was.checks.get(check))
    )
    return TargetComparison(
        target=name,
        changed=changed,
        seconds=seconds,
        down=now.message if now.fault and not was.fault else "",
        same=same,
    )
