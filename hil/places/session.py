"""One connection to a labgrid coordinator: its places and resources, as they change.

labgrid's own ``ClientSession`` is the body of its command line: it prints, logs through the root
logger, takes over ``sys.excepthook`` when it is imported, and wants an event loop of its own. So
this speaks the coordinator's protocol through labgrid's generated stubs, and reads what comes by
labgrid's own ``Place`` and ``ResourceEntry``. Threads, as everywhere here.
"""

from __future__ import annotations

import contextlib
import getpass
import itertools
import os
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..deadline import Deadline
from ..errors import BenchError

if TYPE_CHECKING:
    from types import ModuleType

#: A coordinator on the same network answers in milliseconds; one that does not within this is
#: none, seconds.
CONNECT_S = 5.0
#: A coordinator waits 10 s for an exporter to take or to give back each resource, seconds.
COMMAND_S = 30.0

# As labgrid's own clients: a coordinator that has gone is noticed within 20 s, and NATs keep the
# connection.
_OPTIONS = [
    ("grpc.keepalive_time_ms", 7500),
    ("grpc.keepalive_timeout_ms", 10000),
    ("grpc.http2.ping_timeout_ms", 10000),
    ("grpc.http2.max_pings_without_data", 0),
    # A coordinator tells its clients by their TCP connections, which gRPC shares among channels.
    ("grpc.use_local_subchannel_pool", 1),
]

_open: dict[str, Session] = {}
_users: dict[str, int] = {}
_silent_until: dict[str, float] = {}
_opening = threading.Lock()


class CoordinatorError(BenchError):
    """The coordinator does not answer, or has refused."""

    def __init__(self, coordinator: str, told: str, hint: str) -> None:
        super().__init__(f"labgrid's coordinator at {coordinator} {told}", hint=hint)


def me() -> str:
    """What a place is acquired by: ``HOST/USER``, with labgrid's own variables for the two."""
    host = os.environ.get("LG_HOSTNAME") or socket.gethostname()
    return f"{host}/{os.environ.get('LG_USERNAME') or getpass.getuser()}"


@contextlib.contextmanager
def connected(coordinator: str) -> Iterator[Session]:
    """The connection that all in this process share, for the length of a ``with`` block. It knows
    what its coordinator knew when the block began.

    :param coordinator: ``HOST:PORT``
    :raises CoordinatorError: it does not answer
    """
    with _opening:
        session = _open.get(coordinator)
        if session and session.gone:  # whoever still has it is told so at its next question
            session.close()
            session = None
        if session is None:
            session = _open[coordinator] = _new(coordinator)
        else:
            session.sync(Deadline.after(CONNECT_S))
        _users[coordinator] = _users.get(coordinator, 0) + 1
    try:
        yield session
    finally:
        with _opening:
            _users[coordinator] -= 1
            last = _open.pop(coordinator) if not _users[coordinator] else None
        if last:
            last.close()


def _new(coordinator: str) -> Session:
    """One that is silent is waited for once, not by each of its places."""
    began = time.monotonic()
    if began < _silent_until.get(coordinator, 0.0):
        raise CoordinatorError(coordinator, "does not answer", _HINT)
    try:
        return Session(coordinator)
    except CoordinatorError:
        if time.monotonic() - began >= CONNECT_S:
            _silent_until[coordinator] = time.monotonic() + CONNECT_S
        raise


@contextlib.contextmanager
def kept(coordinators: Iterable[str]) -> Iterator[None]:
    """Stay connected to those that answer, for the length of a ``with`` block in which much is
    asked."""
    with contextlib.ExitStack() as stack:
        for coordinator in dict.fromkeys(coordinators):
            with contextlib.suppress(BenchError):  # whoever asks is told
                stack.enter_context(connected(coordinator))
        yield


class Session:
    """:ivar places: by name, as labgrid's ``Place``
    :ivar resources: labgrid's ``ResourceEntry`` by exporter, group and name
    :ivar gone: why the connection has ended; empty: it has not
    """

    def __init__(self, coordinator: str) -> None:
        self.coordinator = coordinator
        self.places: dict[str, Any] = {}
        self.resources: dict[tuple[str, str, str], Any] = {}
        self.gone = ""
        self._grpc, self._common, self._messages, stubs = _labgrid()
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._synced = 0
        self._out: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._channel = self._grpc.insecure_channel(coordinator, options=_OPTIONS)
        self._stub = stubs.CoordinatorStub(self._channel)
        self._stream = self._stub.ClientStream(iter(self._out.get, None))
        self._reader = threading.Thread(target=self._read, name=f"hil-{coordinator}", daemon=True)
        self._reader.start()
        from labgrid.util import labgrid_version

        message = self._messages.ClientInMessage()
        message.startup.version, message.startup.name = labgrid_version(), me()
        self._out.put(message)
        for what in ("all_places", "all_resources"):
            message = self._messages.ClientInMessage()
            setattr(message.subscribe, what, True)
            self._out.put(message)
        try:
            self.sync(Deadline.after(CONNECT_S))
        except CoordinatorError:
            self.close()
            raise

    def close(self) -> None:
        self._out.put(None)
        self._stream.cancel()
        self._channel.close()
        self._reader.join(timeout=2)

    # --- what comes ---

    def _read(self) -> None:
        told = "it has hung up"
        try:
            for message in self._stream:
                with self._changed:
                    for update in message.updates:
                        self._take(update)
                    if message.HasField("sync"):
                        self._synced = message.sync.id
                    self._changed.notify_all()
        except self._grpc.RpcError as error:
            told = _words(error)
        finally:
            with self._changed:
                self.gone = told
                self._changed.notify_all()

    def _take(self, update: Any) -> None:
        kind = update.WhichOneof("kind")
        if kind == "place":
            self.places[update.place.name] = self._common.Place.from_pb2(update.place)
        elif kind == "del_place":
            self.places.pop(update.del_place, None)
        elif kind == "resource":
            entry = self._common.ResourceEntry(
                self._common.ResourceEntry.data_from_pb2(update.resource)
            )
            self.resources[_path(update.resource.path)] = entry
        elif kind == "del_resource":
            self.resources.pop(_path(update.del_resource), None)

    def wait(self, met: Callable[[], bool], deadline: Deadline) -> bool:
        """Wait until something is true of :attr:`places` and :attr:`resources`.

        :raises CoordinatorError: the connection has ended
        """
        with self._changed:
            while True:
                self._require()
                if met():
                    return True
                if not self._changed.wait(deadline.remaining()) and deadline.expired:
                    return False

    def sync(self, deadline: Deadline) -> None:
        """Wait until all that the coordinator knew at this moment is here.

        :raises CoordinatorError: the connection has ended, or there is no answer
        """
        number = next(self._numbers)
        message = self._messages.ClientInMessage()
        message.sync.id = number
        self._out.put(message)
        if not self.wait(lambda: self._synced >= number, deadline):
            raise CoordinatorError(self.coordinator, "does not answer", _HINT)

    def _require(self) -> None:
        if self.gone:
            raise CoordinatorError(self.coordinator, f"does not answer: {self.gone}", _HINT)

    # --- what goes ---

    def acquire(self, place: str) -> str:
        """Acquire a place.

        :returns: why it was refused; empty: it is acquired
        :raises CoordinatorError: it does not answer
        """
        return self._ask("AcquirePlace", self._messages.AcquirePlaceRequest(placename=place))

    def release(self, place: str, holder: str) -> str:
        """Release a place, if it is this holder's: ``HOST/USER``. Otherwise nothing happens.

        :returns: why it was refused; empty: it is released, or was not his
        :raises CoordinatorError: it does not answer
        """
        request = self._messages.ReleasePlaceRequest(placename=place, fromuser=holder)
        return self._ask("ReleasePlace", request)

    def reserved_for(self, token: str) -> str:
        """Whose reservation it is: ``HOST/USER``; empty: there is none."""
        told = self._stub.GetReservations(
            self._messages.GetReservationsRequest(), timeout=COMMAND_S
        )
        return next((str(one.owner) for one in told.reservations if one.token == token), "")

    def _ask(self, method: str, request: Any) -> str:
        try:
            getattr(self._stub, method)(request, timeout=COMMAND_S)
        except self._grpc.RpcError as error:
            refusals = (
                self._grpc.StatusCode.FAILED_PRECONDITION,
                self._grpc.StatusCode.INVALID_ARGUMENT,
                self._grpc.StatusCode.PERMISSION_DENIED,
            )
            if error.code() in refusals:
                return _words(error)
            told = f"has not answered {method}: {_words(error)}"
            raise CoordinatorError(self.coordinator, told, _HINT) from None
        self.sync(Deadline.after(CONNECT_S))
        return ""


_HINT = "is it running, and is 'coordinator' in devices.yaml its address?"


def _path(path: Any) -> tuple[str, str, str]:
    return path.exporter_name, path.group_name, path.resource_name


def _words(error: Any) -> str:
    """gRPC's: one line."""
    return " ".join(str(error.details() or error.code().name).split())[:200]


def _labgrid() -> tuple[ModuleType, ModuleType, ModuleType, ModuleType]:
    """gRPC, labgrid's classes, its messages, its stubs.

    :raises BenchError: labgrid is not installed
    """
    try:
        import grpc
        from labgrid.remote import common
        from labgrid.remote.generated import (
            labgrid_coordinator_pb2,
            labgrid_coordinator_pb2_grpc,
        )
    except ImportError as error:
        raise BenchError(
            f"a place of labgrid needs its library, which is not installed ({error})",
            hint="pip install 'hil[labgrid]', labgrid from version 25 on",
        ) from None
    return grpc, common, labgrid_coordinator_pb2, labgrid_coordinator_pb2_grpc
