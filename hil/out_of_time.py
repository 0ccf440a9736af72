"""A few seconds before pytest-timeout ends a check, ask host and board where they are.

pytest-timeout's own end tells the host's stack, and of the board nothing; its method ``thread``
ends the whole run, and no board is put back. So the check is ended before, with an error that tells
where both were. Where that is not possible, the story is told, and pytest-timeout does its work.

What is raised is no ``Exception`` until it has left the check: no ``except`` there swallows it.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from types import FrameType

    from .bench import Bench
    from .errors import HilError

LEAD_S = 6.0
"""So long before the time limit, or at two thirds of a short one, seconds: a board that does not
react is asked for 4 s."""

PUT_BACK_S = 30.0
"""For what the check's fixtures put back after it was ended, seconds."""

_watch_key: pytest.StashKey[Watch] = pytest.StashKey()


class OutOfTime(pytest.fail.Exception):  # type: ignore[name-defined,misc]
    """The check is ended. :ivar error: with what"""

    def __init__(self, error: HilError) -> None:
        super().__init__(str(error), pytrace=False)
        self.error = error


class Watch:
    """A timer for one check, in a thread of its own.

    :param settings: pytest-timeout's
    :ivar inside: whether fixtures or the check run, and not pytest between them
    :ivar error: what was found; None: nothing yet
    """

    def __init__(self, item: pytest.Item, settings: Any) -> None:
        self._item = item
        self._settings = settings
        self._thread = threading.get_ident()
        self._began = time.monotonic()
        self._over, self._looks, self._found = (threading.Event() for _ in range(3))
        self._lead = min(LEAD_S, settings.timeout / 3)
        self._timer = threading.Timer(settings.timeout - self._lead, self._look)
        self._timer.daemon = True
        self._timer.name = f"hil-out-of-time {item.nodeid}"
        # In a thread that takes no signals, the end is left to pytest-timeout.
        self._raises = threading.current_thread() is threading.main_thread() and hasattr(
            signal, "SIGALRM"
        )
        self._before: Any = None
        self.inside = False
        self.error: HilError | None = None

    def start(self) -> None:
        """After pytest-timeout has set its own alarm, which this one lets through."""
        if self._raises:
            self._before = signal.getsignal(signal.SIGALRM)
            signal.signal(signal.SIGALRM, self._on_alarm)
        self._timer.start()

    def end(self) -> None:
        """Before pytest-timeout takes back its alarm."""
        self._over.set()
        self._timer.cancel()
        self._timer.join()
        if self._raises and self._before is not None:
            signal.signal(signal.SIGALRM, self._before)

    @contextlib.contextmanager
    def around(self) -> Iterator[None]:
        """Fixtures or the check: here the error may strike."""
        self.inside = True
        try:
            if self.error:  # found between two of them
                self._strike(self.error)
            yield
        except OutOfTime as out:
            raise out.error from None
        except (KeyboardInterrupt, SystemExit, pytest.exit.Exception):
            raise
        except BaseException:
            self._overrule()
            raise
        else:
            self._overrule()
        finally:
            self.inside = False

    def _overrule(self) -> None:
        """What comes of a check once its board is interrupted is the bench's doing."""
        self.inside = False
        if self._looks.is_set() and not self._over.is_set():
            self._found.wait()
            if self.error:
                try:
                    self._strike(self.error)
                except OutOfTime as out:
                    raise out.error from None

    def _look(self) -> None:
        try:
            self._looks.set()
            self._ask()
        finally:
            self._found.set()
        if self.error is None:
            return
        if self._raises and not self._over.is_set():
            signal.pthread_kill(self._thread, signal.SIGALRM)
        if not self._over.wait(self._lead * 0.15):
            # Stuck where no signal gets through: now pytest-timeout may end the process.
            print(f"\n{self.error}", file=sys.__stderr__, flush=True)

    def _ask(self) -> None:
        from .deadline import Deadline
        from .plugin import check_key
        from .stuck import look

        if not self._settings.disable_debugger_detection and _debugging():
            return
        bench, name = _bench(self._item), _target(self._item)
        story = look(
            bench,
            name,
            self._thread,
            self._item.config.rootpath,
            time.monotonic() - self._began,
            self._settings.timeout,
            Deadline.after(self._lead * 0.7),
        )
        if evidence := bench.evidence(name):
            evidence.stuck(story.event(self._item.stash[check_key].id))
        self.error = story.error()

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True
        if self.error and self.inside and not self._over.is_set():
            self._strike(self.error)
        elif not self.error and callable(self._before):
            self._before(number, frame)

    def _strike(self, error: HilError) -> None:
        """What the fixtures put back has a time limit of its own, which is not looked into."""
        __tracebackhide__ = True
        item = self._item
        item.stash[_struck_key] = True
        item.ihook.pytest_timeout_cancel_timer(item=item)
        left = self._settings._replace(timeout=PUT_BACK_S)
        item.ihook.pytest_timeout_set_timer(item=item, settings=left)
        raise OutOfTime(error)


_struck_key: pytest.StashKey[bool] = pytest.StashKey()


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Generator[None, object, object]:
    done = yield
    if _is_check(item) and _struck_key not in item.stash:
        item.stash[_watch_key] = watch = Watch(item, settings)
        watch.start()
    return done


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> None:
    watch = item.stash.get(_watch_key, None)
    if watch is None:
        return
    del item.stash[_watch_key]
    watch.end()
    if watch.error and _struck_key not in item.stash:
        # The check has ended by itself this moment: what was done to the board stays to be undone.
        from .errors import BoardError
        from .fixtures.target import suspect

        if isinstance(watch.error, BoardError):
            suspect(item.config, _target(item), watch.error)


def _around(item: pytest.Item) -> contextlib.AbstractContextManager[None]:
    watch = item.stash.get(_watch_key, None)
    return watch.around() if watch else contextlib.nullcontext()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    with _around(item):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with _around(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    with _around(item):
        return (yield)


def _is_check(item: pytest.Item) -> bool:
    from .plugin import bench_key, check_key

    return check_key in item.stash and bench_key in item.config.stash


def _target(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("target_name", "")) if callspec else ""


def _bench(item: pytest.Item) -> Bench:
    from .plugin import bench_key

    return item.config.stash[bench_key]


def _debugging() -> bool:
    import pytest_timeout

    return bool(pytest_timeout.is_debugging())
