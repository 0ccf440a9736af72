"""``hil restore``: undo what a killed run has left on the boards, without another run.

Only boards that devices.yaml lists with ``provision: true`` are touched, each under its lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .deadline import Deadline
from .errors import BoardError, HilError

if TYPE_CHECKING:
    from .config import Inventory, TargetSpec
    from .journal import Restored
    from .lock import Holder

Status = Literal["restored", "nothing", "refused", "failed"]


@dataclass(frozen=True)
class Outcome:
    """:ivar status: ``restored``, ``nothing`` (there was nothing to undo), ``refused`` (not ours to
        write on), ``failed`` (tried, and what it left is still there)
    :ivar told: what came of it, or why not
    :ivar files: what was put back, or removed where there had been none
    :ivar whose_fault: of a failure: ``bench`` or ``board``
    """

    target: str
    status: Status
    told: str
    next_step: str = ""
    files: tuple[str, ...] = ()
    whose_fault: Literal["", "bench", "board"] = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def restore(
    inventory: Inventory,
    names: Sequence[str] | None,
    state: Path,
    *,
    wait_s: float,
    on_wait: Callable[[str, Holder], object] | None = None,
) -> list[Outcome]:
    """Restore these targets, all at once.

    :param names: None or none: all
    :param state: where the virtual boards' flash is; one that has none yet has nothing to restore
    :param wait_s: for a board that somebody else holds, seconds
    :param on_wait: called, from another thread, with a target that is waited for and its holder
    :raises ConfigError: a name is not in the inventory
    """
    from . import config

    specs = config.select(inventory, names)

    def one(spec: TargetSpec) -> Outcome:
        return _restore(spec, state, wait_s, lambda holder: on_wait and on_wait(spec.name, holder))

    with ThreadPoolExecutor(len(specs), "hil-restore") as pool:
        return list(pool.map(one, specs))


def _restore(
    spec: TargetSpec, state: Path, wait_s: float, on_wait: Callable[[Holder], object]
) -> Outcome:
    from . import lock
    from .consent import NoConsentError

    if spec.kind == "url":
        return Outcome(spec.name, "refused", "it is a URL: the bench has no hand on it")
    if spec.kind == "process":
        return Outcome(spec.name, "nothing", "it is a process: it has ended with the run")
    try:
        spec.consent()
    except NoConsentError as error:
        return Outcome(spec.name, "refused", error.message, error.hint or "")
    if spec.kind == "virtual" and not (state / "boards" / spec.name / "flash.img").exists():
        return Outcome(spec.name, "nothing", f"it has never been started in {state}")
    try:
        with lock.hold(
            lock.key_of(spec, state),
            f"restoring {spec.name}",
            Deadline.after(wait_s),
            on_wait=on_wait,
        ):
            done = _undo(spec, state)
    except HilError as error:
        fault: Literal["bench", "board"] = "board" if isinstance(error, BoardError) else "bench"
        return Outcome(spec.name, "failed", error.message, error.hint or "", whose_fault=fault)
    if done is None:
        return Outcome(spec.name, "nothing", "no run has left anything on it")
    told = f"{', '.join(done.paths)}, and its clock, {done.clock_offset_s:+.1f} s from true time"
    return Outcome(spec.name, "restored", told, files=done.paths)


def _undo(spec: TargetSpec, state: Path) -> Restored | None:
    """Undo what a killed run has left on a board, and start its application again. A virtual board
    is powered for it.

    :returns: None: there was nothing to undo
    :raises BenchError: e.g. the port is missing or held
    :raises BoardError: e.g. a file could not be put back
    """
    from .attachment import attach, power_virtual, require_listed
    from .put_back import BUDGET_S, put_back
    from .recovery import Recovery

    with ExitStack() as stack:
        virtual = power_virtual(spec, state, stack)
        board = attach(spec, virtual, stack)
        recovery = Recovery(board.link, board.power, board.bootloader)
        recovery.reach()
        require_listed(spec, board.link, Deadline.after(BUDGET_S))
        return put_back(board.link, recovery, powered_off=virtual is not None)


def lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """For people: one line for each target, and one below for the next step."""
    for one in outcomes:
        yield f"{one.target}: {one.status}: {one.told}"
        if one.next_step:
            yield f"  -> {one.next_step}"
