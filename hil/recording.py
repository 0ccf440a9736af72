"""The run's own part of its evidence: where it goes, its first line and its last.

Under xdist the controlling process does this, and its workers get the run's name.
"""

from __future__ import annotations

import os
import platform
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__

if TYPE_CHECKING:
    import pytest

    from .bench import Bench
    from .report.recorder import Recorder
    from .report.trends import Trends


def artifacts(config: pytest.Config) -> Path | None:
    """The folder of all runs; None: this one is to leave nothing."""
    if config.getoption("no_artifacts"):
        return None
    given = config.getoption("artifacts")
    return config.invocation_params.dir / given if given else config.rootpath / "artifacts"


def begin(config: pytest.Config, bench: Bench) -> Recorder | None:
    """The run begins, once. Where its folder cannot be made, the run goes on without evidence, and
    fails in the end.

    :returns: None: nothing is written down
    """
    from .report.events import RunBegin
    from .report.recorder import Recorder, new_name

    folder = artifacts(config)
    if folder is None or bench.recorder:
        return bench.recorder
    recorder = Recorder(folder, new_name())
    told = RunBegin(
        at=time.time(),
        run=recorder.run,
        hil=__version__,
        python=platform.python_version(),
        host=socket.gethostname(),
        inventory=bench.source,
        targets=tuple(bench.names),
        arguments=tuple(map(str, config.invocation_params.args)),
        revision=os.environ.get("GITHUB_SHA") or os.environ.get("CI_COMMIT_SHA") or None,
        url=_page(os.environ),
    )
    try:
        recorder.begin(told)
    except OSError as error:
        bench.problems.append(f"no evidence can be written to {recorder.folder}: {error.strerror}")
        return None
    bench.recorder = recorder
    return recorder


def _page(env: Mapping[str, str]) -> str | None:
    """The CI's page of this run (GitHub's and GitLab's documented variables)."""
    if env.get("GITHUB_RUN_ID"):
        return "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}".format_map(
            defaultdict(str, env)
        )
    return env.get("CI_JOB_URL") or None


def join(bench: Bench, folder: str, run: str) -> None:
    """In a worker of a run that another process controls."""
    from .report.recorder import Recorder

    bench.recorder = Recorder(Path(folder), run)


def end(bench: Bench, exit_status: int) -> None:
    """The run has ended, and its boards are put back."""
    recorder = bench.recorder
    if recorder is None:
        return
    try:
        recorder.end(int(exit_status), bench.problems)
    except OSError as error:
        bench.problems.append(f"the end of {recorder.folder} is not written: {error.strerror}")


def history_file(config: pytest.Config, bench: Bench) -> Path | None:
    """Where the history is; None: this run leaves nothing."""
    from .report.history import FILE

    given = config.getoption("history")
    if bench.recorder is None:
        return None
    return config.invocation_params.dir / given if given else bench.recorder.folder.parent / FILE


def remember(config: pytest.Config, bench: Bench) -> None:
    """The run, which has ended, is taken into the history; so are those that were killed."""
    path = history_file(config, bench)
    if bench.recorder is None or path is None:
        return
    from .errors import ConfigError
    from .report.history import History

    try:
        with History(path) as history:
            history.update(bench.recorder.folder.parent)
    except ConfigError as error:
        bench.problems.append(f"the run is not in the history: {error}")


def mend_junit(config: pytest.Config, bench: Bench) -> None:
    """pytest has written its JUnit file: it gets our words, and what the evidence knows."""
    from .errors import ConfigError
    from .report import junit
    from .report.runs import Run

    # As pytest takes it.
    path = Path(os.path.expandvars(config.option.xmlpath)).expanduser().resolve()
    if not path.is_file():
        return
    try:
        run = Run.load(bench.recorder.folder) if bench.recorder else None
    except ConfigError as error:
        bench.problems.append(error.message)
        run = None
    try:
        junit.mend(path, run, bench.problems)
    except OSError as error:
        bench.problems.append(f"{path} is as pytest writes it: {error.strerror}")


def tell_github(config: pytest.Config, bench: Bench, write: Callable[[str], None]) -> None:
    """On GitHub: annotations, and the summary of the step.

    :param write: a line on standard output
    """
    if bench.recorder is None:
        return
    from .errors import ConfigError
    from .report import github
    from .report.runs import Run

    try:
        run = Run.load(bench.recorder.folder)
    except ConfigError:
        return  # there is no evidence, which is told already
    for line in github.workflow_commands(run):
        write(line)
    page = os.environ.get("GITHUB_STEP_SUMMARY")
    if not page:
        return
    try:
        there = Path(page).stat().st_size if Path(page).exists() else 0
        told = github.summary(run, _trends(config, bench), github.SUMMARY_BYTES - there)
        with Path(page).open("a", encoding="utf-8") as file:
            file.write(told)
    except OSError as error:
        write(github.command("warning", "hil", f"no summary: {page}: {error.strerror}"))


def _trends(config: pytest.Config, bench: Bench) -> Trends | None:
    """This run with those before it; None: there is no history, which is told already."""
    from .errors import ConfigError
    from .report.history import History
    from .report.trends import LAST, trends

    path = history_file(config, bench)
    if path is None or not path.exists():
        return None
    try:
        with History(path) as history:
            return trends(history.last(LAST), targets=bench.names)
    except ConfigError:
        return None
