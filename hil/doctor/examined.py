"""What came of one examination, and the running of many at once."""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..deadline import Deadline
from ..errors import HilError

if TYPE_CHECKING:
    from ..config import TargetSpec

Status = Literal["ok", "note", "warn", "fail", "skip"]
"""``ok``: as it should be. ``note``: worth knowing, nothing to do before a run. ``warn``: a run may
trip over it. ``fail``: a run fails of it. ``skip``: not examined, and why."""

#: The doctor is through within ten seconds; what is left of them is Python's start.
BUDGET_S = 8.5


@dataclass(frozen=True)
class Examined:
    """:ivar who: ``host`` or a target's name
    :ivar what: what was examined
    :ivar told: what came of it
    :ivar next_step: what to do about it; empty when nothing is to be done
    """

    who: str
    what: str
    status: Status
    told: str
    next_step: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Probe:
    """:ivar what: what :attr:`work` examines, for the case that it does not come back
    :ivar work: yields what it finds, as it finds it; it may hang
    :ivar lent: it has something that must be given back, a board's REPL: this process does not end
        before it has. It must end by itself
    """

    who: str
    what: str
    work: Callable[[Deadline], Iterator[Examined]]
    lent: bool = False


def run(probes: Sequence[Probe], deadline: Deadline) -> list[Examined]:
    """All probes at once; what they found, in their order. Ends by ``deadline``.

    One that has failed, or is not through by then, says so in its place.
    """
    told: queue.Queue[tuple[int, Examined | None]] = queue.Queue()

    def work(at: int, probe: Probe) -> None:
        def fails(what: str, step: str) -> None:
            told.put((at, Examined(probe.who, probe.what, "fail", what, step)))

        try:
            for one in probe.work(deadline):
                told.put((at, one))
        except HilError as error:
            told.put((at, failed(probe.who, probe.what, error)))
        except OSError as error:
            fails(f"not to be read: {error}", "may this user read it?")
        except Exception as bug:  # noqa: BLE001 - nobody else would hear of it in a thread
            at_line = traceback.extract_tb(bug.__traceback__)[-1]
            where = f"{at_line.filename}:{at_line.lineno}"
            told_of = f"the doctor itself is ill: {type(bug).__name__}: {bug} ({where})"
            fails(told_of, "please report it")
        finally:
            told.put((at, None))

    for at, probe in enumerate(probes):
        # Python's end does not wait for a daemon, so that one may hang.
        thread = threading.Thread(target=work, args=(at, probe), name=f"hil-doctor-{probe.what}")
        thread.daemon = not probe.lent
        thread.start()
    found: dict[int, list[Examined]] = {at: [] for at in range(len(probes))}
    running = set(found)
    while running:
        try:
            at, one = told.get(timeout=deadline.remaining() + 0.01)
        except queue.Empty:
            break
        if one is None:
            running.discard(at)
        else:
            found[at].append(one)
    for at in running:
        late = "it did not come back in time"
        found[at].append(
            Examined(probes[at].who, probes[at].what, "warn", late, "look at it alone")
        )
    return [one for at in sorted(found) for one in found[at]]


def failed(who: str, what: str, error: HilError) -> Examined:
    """What an error of ours says."""
    return Examined(who, what, "fail", error.message, error.hint or "")


def of_target(
    spec: TargetSpec, what: str, status: Status, told: str, next_step: str = ""
) -> Examined:
    """What was found of a target."""
    return Examined(spec.name, what, status, told, next_step)
