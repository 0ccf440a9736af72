"""Many boards at once: ``pytest -m hil -n auto``, one worker of pytest-xdist for each board.

The *controller* (the process that the user has started) deals the targets out, and tells the
result. It touches no board. Each *worker* is a run over its own share of the targets: it collects
their checks only, locks them, brings them up, and puts them back. What the end of a run tells of a
target travels to the controller when its worker ends.

This module is imported where xdist distributes the checks, and imports nothing of xdist itself.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from . import recording
from .bench import Bench
from .deadline import Deadline
from .errors import BenchError
from .shares import ShareScheduling, shares_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from xdist.dsession import DSession
    from xdist.workermanage import WorkerController

    from .target_spec import TargetSpec

# After Ctrl-C: a reset with Wi-Fi takes 10 s, the ladder for a board that does not answer 40 s.
_PUT_BACK_S = 120.0

# Of workerinput: the worker's part of the bench; its number; the names of all targets; which of its
# checks another worker has begun before it; where the run's evidence goes.
_BENCH, _SHARE, _NAMES, _BEGUN = "hil_bench", "hil_share", "hil_names", "hil_begun"
_RUN = "hil_run"
_ACCOUNT = "hil_account"  # of workeroutput

TargetOf = Callable[[pytest.Item], str]


def _is_controller(config: pytest.Config) -> bool:
    option = config.option
    distributes = getattr(option, "dist", "no") != "no" and bool(getattr(option, "tx", None))
    return distributes and not option.collectonly


def bench_of_worker(config: pytest.Config) -> Bench | None:
    """In a worker: its share of the controller's bench. Reads no inventory and looks for no port:
    that has been done once."""
    given: Mapping[str, Any] = getattr(config, "workerinput", {})
    if _BENCH not in given:
        return None
    portion = pickle.loads(given[_BENCH])  # noqa: S301 - of the process that started this one
    portion["specs"].sort(key=lambda spec: _is_held(spec, portion["state"]))
    bench = Bench(**portion)
    if given[_RUN]:
        recording.join(bench, *given[_RUN])
    return bench


def _is_held(spec: TargetSpec, state: Path) -> bool:
    """By somebody else: such a board comes last, perhaps it is free by then. A folder of locks that
    cannot be used is told when the board is brought up."""
    from . import lock

    with suppress(BenchError):
        return spec.kind != "url" and lock.holder(lock.key_of(spec, state)) is not None
    return False


def join(config: pytest.Config, bench: Bench, target_of: TargetOf) -> None:
    """Take part in a run that xdist distributes, as what this process is in it."""
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(Worker(config, bench, target_of), "hil-worker")
    elif _is_controller(config):
        config.pluginmanager.register(Controller(config, bench), "hil-controller")


class Controller:
    """Hooks of the process that starts the workers."""

    def __init__(self, config: pytest.Config, bench: Bench) -> None:
        self._config, self._bench = config, bench
        # A worker without a target would have nothing to do.
        config.option.tx = _spread(config.option.tx)[: len(bench.names)]
        self._shares = shares_of(bench.names, len(config.option.tx))
        self._vacant = list(reversed(range(len(self._shares))))
        self._scheduling = ShareScheduling(
            len(self._shares), lambda node: int(node.workerinput[_SHARE]), self._on_collected
        )
        self._session: pytest.Session | None = None
        self._nodes: list[WorkerController] = []
        self._unaccounted: dict[str, tuple[int, str]] = {}  # target → share, why

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session

    def _on_collected(self, checks: int) -> None:
        # xdist thinks that what one worker has collected is all there is.
        if self._session:
            self._session.testscollected = checks

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        """A worker is about to start: in the place of one that has died, if one has."""
        share = self._vacant.pop()  # xdist replaces a worker as soon as it has told that it died
        node.workerinput[_SHARE] = share
        node.workerinput[_BENCH] = pickle.dumps(self._bench.portion(self._shares[share]))
        node.workerinput[_NAMES] = self._bench.names
        recorder = recording.begin(self._config, self._bench)
        node.workerinput[_RUN] = recorder and (str(recorder.folder.parent), recorder.run)
        node.workerinput[_BEGUN] = sorted(self._scheduling.begun[share])
        self._nodes.append(node)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self) -> ShareScheduling:
        return self._scheduling

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController, error: object) -> None:
        if node not in self._nodes:
            return  # told a second time, as one that was interrupted
        self._nodes.remove(node)
        share = int(node.workerinput[_SHARE])
        self._vacant.append(share)
        output: Mapping[str, Any] = getattr(node, "workeroutput", {})
        if account := output.get(_ACCOUNT):
            self._bench.add(account)
            for name in account["targets"]:
                self._unaccounted.pop(name, None)
            return
        why = f"its worker {node.gateway.id} has ended before it said so: {error}"
        self._unaccounted |= dict.fromkeys(self._shares[share], (share, why))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """A worker that has begun no check has touched no board."""
        changed = {
            spec.name for spec in self._bench.portion(self._unaccounted)["specs"] if spec.provision
        }
        self._bench.problems += [
            f"perhaps not put back: {name}: {why}; 'hil restore {name}' does it, and so does the"
            " next run"
            for name, (share, why) in self._unaccounted.items()
            if name in changed and self._scheduling.begun[share]
        ]

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: pytest.TestReport) -> None:
        told: Any = report
        told.hil_verdict, told.hil_fault, told.hil_message = "error", "bench", str(report.longrepr)
        report.longrepr = f"BenchError: {report.longrepr}"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """xdist gives its workers ten seconds to end after Ctrl-C: boards may need longer."""
        try:
            return (yield)
        except BaseException:
            if self._nodes:
                self._end(session)
            raise

    def _end(self, session: pytest.Session) -> None:
        """Stop the workers, and wait until they have put their boards back."""
        terminal = session.config.pluginmanager.get_plugin("terminalreporter")
        if terminal:
            terminal.ensure_newline()
            terminal.write_line(
                f"hil: {len(self._nodes)} workers put their boards back;"
                " Ctrl-C again leaves that to the next run"
            )
        for node in self._nodes:
            node.shutdown()
            _interrupt(node)
        dsession: DSession = session.config.pluginmanager.get_plugin("dsession")
        deadline = Deadline.after(_PUT_BACK_S)
        while self._nodes and not deadline.expired:
            with suppress(queue.Empty):
                event, told = dsession.queue.get(timeout=deadline.sooner(1.0).remaining())
                if event in ("testreport", "logstart", "logfinish", "warning_recorded"):
                    getattr(dsession, f"worker_{event}")(**told)
                elif event in ("workerfinished", "errordown"):
                    # Not xdist's own way, which would start another worker in its place.
                    self._config.hook.pytest_testnodedown(
                        node=told["node"], error=told.get("error")
                    )


def _spread(tx: list[str]) -> list[str]:
    """``["2*popen"]`` as ``["popen", "popen"]``."""
    each: list[str] = []
    for spec in tx:
        number, star, rest = spec.partition("*")
        each += [rest] * int(number) if star and number.isdigit() else [spec]
    return each


def _interrupt(node: WorkerController) -> None:
    """As Ctrl-C does, which reaches a worker by itself where it comes from a terminal."""
    if node.gateway.spec.popen and sys.platform != "win32":
        with suppress(ProcessLookupError):
            os.kill(node.gateway._rinfo().pid, signal.SIGINT)


class Worker:
    """Hooks of a process that runs the checks of its share."""

    def __init__(self, config: pytest.Config, bench: Bench, target_of: TargetOf) -> None:
        self._config, self._bench, self._target_of = config, bench, target_of
        self._next: dict[str, str] = {}
        self._interrupted = False
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._on_interrupt)

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        """The first Ctrl-C ends the checks; a second one, or the same one again by way of the
        controller, does not keep the boards from being put back."""
        if not self._interrupted:
            self._interrupted = True
            raise KeyboardInterrupt

    @pytest.hookimpl(wrapper=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, object, object]:
        given: Mapping[str, Any] = self._config.workerinput  # type: ignore[attr-defined]
        begun = set(given[_BEGUN])
        items[:] = [
            item
            for item in items
            # A test that asks for no target is one of the whole run.
            if item.nodeid not in begun and (self._target_of(item) or given[_SHARE] == 0)
        ]
        done = yield
        if self._config.getoption("lf", False):
            _keep_last_failed(items, given[_NAMES], self._config)
        return done

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        names = list(dict.fromkeys(map(self._target_of, session.items)))
        self._next = dict(pairwise(names))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """A board comes up with its first check, not before: a worker may have to end without any.
        Meanwhile the next one comes up, and no further one: this worker may have to wait for that
        one, and then holds no other. It is waited for here: that has time limits of its own, which
        are longer than a check's."""
        name = self._target_of(item)
        self._bench.start({name, self._next.get(name, "")} - {""})
        if name:
            self._bench.next_of([name])
        done = yield
        if nextitem is None or self._target_of(nextitem) != name:
            self._bench.release(name)
        return done

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Inside of xdist's own, which sends the account."""
        done = yield
        self._bench.close()
        self._config.workeroutput[_ACCOUNT] = self._bench.account()  # type: ignore[attr-defined]
        return done


def _keep_last_failed(items: list[pytest.Item], names: list[str], config: pytest.Config) -> None:
    """``--lf`` runs everything where nothing has failed: in a worker whose boards are all right,
    when the failures are another board's."""
    assert config.cache
    failed: dict[str, bool] = config.cache.get("cache/lastfailed", {})
    if any(item.nodeid in failed for item in items):
        return  # pytest picks those
    mine = {item.nodeid.partition("[")[0] for item in items}
    for nodeid in failed:
        check, _, parameters = nodeid.partition("[")
        if check in mine and any(parameters.startswith((f"{n}-", f"{n}]")) for n in names):
            items[:] = []
