"""A place of labgrid as one more lock, and where the serial port in it is served.

A coordinator knows who has acquired a place by host and user only, and keeps it for them when
their program ends, however it ends. So the kernel's lock comes first (:mod:`hil.lock`): of this
host's users and runs, one at a time has to do with the place. Whoever then finds it acquired in his
own name looks at the record that a run leaves beside that lock: with one, a run has died, and the
place is taken over; without one, somebody has acquired it by hand, and keeps it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..deadline import Deadline
from ..errors import BenchError
from ..lock import HeldError, Holder
from .address import PlaceSpec, parsed
from .session import connected, me

if TYPE_CHECKING:
    from .session import Session

#: Whoever waits looks this often whether it is still wanted, seconds.
_LOOK_AGAIN_S = 0.5

SERIAL = "NetworkSerialPort"
"""The class of resource that an exporter makes of a ``USBSerialPort`` or a ``RawSerialPort``."""


@contextlib.contextmanager
def acquired(
    url: str,
    deadline: Deadline,
    record: Path,
    on_wait: Callable[[Holder], object] | None = None,
    given_up: Callable[[], bool] = lambda: False,
) -> Iterator[str]:
    """Have a place for the length of a ``with`` block. Whoever calls holds the kernel's lock of it.

    :param url: ``labgrid://HOST:PORT/PLACE``
    :param record: where this run notes down that it has acquired the place
    :param on_wait: called with each holder that there is to wait for
    :param given_up: asked from time to time; True ends the waiting before the deadline
    :returns: what there is to say of it; mostly nothing
    :raises HeldError: somebody else still has it at ``deadline``
    :raises BenchError: the coordinator does not answer, has no such place, or the place cannot be
        acquired
    """
    spec = parsed(url)
    with connected(spec.coordinator) as session:
        note, ours = _acquire(session, spec, deadline, record, on_wait, given_up)
        if ours:
            _note_down(record, session, spec.place)
        try:
            yield note
        finally:
            if ours:
                _release(session, spec, record)


def _acquire(
    session: Session,
    spec: PlaceSpec,
    deadline: Deadline,
    record: Path,
    on_wait: Callable[[Holder], object] | None,
    given_up: Callable[[], bool],
) -> tuple[str, bool]:
    """:returns: what there is to say, and whether it is this run's to release"""
    told: Holder | None = None
    while True:
        place = _place(session, spec)
        if place.acquired == me():
            if _left_behind(record, place):
                return f"place {spec.place!a} was left acquired by a run that has died", True
            return (
                f"place {spec.place!a} is acquired by you already ({me()}): it stays so",
                False,
            )
        refused, found = "", _holder(session, place, record)
        if found is None:
            refused = session.acquire(spec.place)
            if not refused:
                return "", True
            place = _place(session, spec)
            found = _holder(session, place, record)
            if found is None:
                raise _refusal(session, spec, place, refused)
        if on_wait and found != told:
            on_wait(found)
        told = found
        if deadline.expired or given_up():
            raise _held(spec, place, found)
        before = place.acquired, place.reservation
        session.wait(
            lambda before=before: (
                before  # type: ignore[misc]
                != (_place(session, spec).acquired, _place(session, spec).reservation)
            ),
            deadline.sooner(_LOOK_AGAIN_S),
        )


def _release(session: Session, spec: PlaceSpec, record: Path) -> None:
    """Also when the coordinator was restarted meanwhile, which frees all places."""
    with connected(spec.coordinator) if session.gone else contextlib.nullcontext(session) as again:
        if refused := again.release(spec.place, me()):
            raise BenchError(
                f"place {spec.place!a} could not be released: {refused}",
                hint=f"labgrid-client -x {spec.coordinator} -p {spec.place} release",
            )
    _forget(record)


def holder(url: str, record: Path) -> Holder | None:
    """Who has acquired a place now; None: nobody has.

    :raises BenchError: the coordinator does not answer, or has no such place
    """
    spec = parsed(url)
    with connected(spec.coordinator) as session:
        place = _place(session, spec)
        return _holder(session, place, record)


def serial_url(url: str) -> str:
    """Where the serial port in a place is served now: ``rfc2217://HOST:PORT`` or ``socket://…``. An
    exporter serves a USB port at another TCP port after each reset of its board.

    :raises NoPortError: the exporter shows none at the moment
    :raises BenchError: the place is not acquired, or has no such port
    """
    from ..link.opening import NoPortError

    spec = parsed(url)
    with connected(spec.coordinator) as session:
        place = _place(session, spec)
        if place.acquired != me():
            by = f"by {place.acquired}" if place.acquired else "by nobody"
            raise BenchError(
                f"place {spec.place!a} is not acquired by {me()}, but {by}",
                hint="has its coordinator been restarted, or somebody released it by hand?",
            )
        served = _served(session, _serial(session, spec, place))
        if served is None:
            raise NoPortError(
                f"place {spec.place!a}: its exporter shows no serial port now",
                hint="is the board plugged in at the exporter's host, and powered?",
            )
        return served


def presence(url: str) -> str:
    """Whether an exporter shows the place's serial port now; empty: it does.

    :raises BenchError: the coordinator does not answer, or has no such place
    """
    spec = parsed(url)
    with connected(spec.coordinator) as session:
        place = _place(session, spec)
        try:
            entry = session.resources.get(_serial(session, spec, place))
        except BenchError as error:
            return error.message
        return "" if entry and entry.avail else "its exporter shows no serial port now"


# --- what is there ---


def _place(session: Session, spec: PlaceSpec) -> Any:
    if not spec.place:
        raise BenchError(
            f"labgrid's coordinator at {session.coordinator} has no place with"
            f" {spec.wanted}{_that_has(session)}",
            hint="labgrid-client -p PLACE set-tags NAME=VALUE; or correct 'tags' in devices.yaml",
        )
    if spec.place in session.places:
        return session.places[spec.place]
    raise BenchError(
        f"labgrid's coordinator at {session.coordinator} has no place"
        f" {spec.place!a}{_that_has(session)}",
        hint=f"labgrid-client -x {session.coordinator} places",
    )


def _that_has(session: Session) -> str:
    return f"; it has {', '.join(sorted(session.places))}" if session.places else "; it has none"


def _serial(session: Session, spec: PlaceSpec, place: Any) -> tuple[str, str, str]:
    """Exporter, group and name of the one serial port that is meant."""
    found = {}
    for path, entry in session.resources.items():
        exporter, group, name = path
        match = place.getmatch((exporter, group, entry.cls, name)) if entry.data else None
        if match and entry.cls == SERIAL:
            found[path] = match.rename or name
    if spec.resource:
        found = {path: name for path, name in found.items() if name == spec.resource}
    if len(found) == 1:
        return next(iter(found))
    which = f" called {spec.resource!a}" if spec.resource else ""
    if not found:
        raise BenchError(
            f"place {spec.place!a} has no serial port{which} ({SERIAL})",
            hint="does its exporter run, and does a match of the place fit what it exports?"
            " 'labgrid-client resources' and 'labgrid-client -p PLACE show' tell",
        )
    names = ", ".join(sorted(found.values()))
    raise BenchError(
        f"place {spec.place!a} has {len(found)} serial ports{which}: {names}",
        hint="write 'resource: NAME' beside 'place'; a match may give it a name of its own",
    )


def _served(session: Session, path: tuple[str, str, str]) -> str | None:
    """Of a resource; None: it is not served now."""
    entry = session.resources.get(path)
    if entry is None or not entry.avail:
        return None
    if not entry.params.get("host") or not entry.params.get("port"):
        return None
    if entry.extra.get("proxy_required"):
        raise BenchError(
            f"exporter {path[0]!a} wants to be reached through SSH (--isolated): hil cannot",
            hint="run it without --isolated, or forward its ports and list them by 'port'",
        )
    scheme = "socket" if entry.params.get("protocol") == "raw" else "rfc2217"
    host = str(entry.params["host"])
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{entry.params['port']}"


def _holder(session: Session, place: Any, record: Path) -> Holder | None:
    """Who else has it: by acquisition, or by a reservation."""
    since = datetime.fromtimestamp(place.changed, timezone.utc).isoformat(timespec="seconds")
    if place.acquired:
        what = f"place {place.name!a} of labgrid"
        if _left_behind(record, place):
            what += ", in a run on this host that has died"
        host, _, user = place.acquired.partition("/")
        return Holder(user=user, host=host, since=since, purpose=what)
    if place.reservation:
        host, _, user = session.reserved_for(place.reservation).partition("/")
        if f"{host}/{user}" not in (me(), "/"):
            return Holder(user=user, host=host, since=since, purpose="a reservation at labgrid")
    return None


def _held(spec: PlaceSpec, place: Any, found: Holder) -> HeldError:
    client = f"labgrid-client -x {spec.coordinator} -p {spec.place} release --kick"
    hint = f"wait, or ask them; '{client}' takes it from them" if place.acquired else "wait"
    return HeldError(f"place {spec.place!a}", found, hint=hint)


def _refusal(session: Session, spec: PlaceSpec, place: Any, refused: str) -> BenchError:
    """Nobody has it, and still it cannot be acquired."""
    others = [
        f"{exporter}/{group}/{name} is in use by place {entry.acquired!a}"
        for (exporter, group, name), entry in sorted(session.resources.items())
        if entry.acquired and place.hasmatch((exporter, group, entry.cls, name))
    ]
    return BenchError(
        f"place {spec.place!a} cannot be acquired: {'; '.join([refused, *others])}",
        hint="what does its exporter say? 'labgrid-client resources -v' shows its resources",
    )


# --- the record of a run ---


def _note_down(record: Path, session: Session, place: str) -> None:
    """Without one, a next run would take the place for one that was acquired by hand."""
    from ..lock import overwrite

    found = session.places.get(place)
    told = {"acquired": me(), "changed": found.changed if found else 0.0}
    with contextlib.suppress(OSError):
        overwrite(record, json.dumps(told).encode())


def _forget(record: Path) -> None:
    from ..lock import overwrite

    with contextlib.suppress(OSError):
        overwrite(record, b"")


def _left_behind(record: Path, place: Any) -> bool:
    """Whether it was acquired by the run that wrote the record, and nothing has changed since."""
    try:
        told = json.loads(record.read_bytes())
        return bool(told["acquired"] == place.acquired and told["changed"] == place.changed)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False
