"""The run's own part of its evidence: where it goes, its first line and its last.

Under xdist the controlling process does this, and its workers get the run's name.
"""

from __future__ import annotations

import os
import platform
import socket
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__

if TYPE_CHECKING:
    import pytest

    from .bench import Bench
    from .report.recorder import Recorder


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


def remember(config: pytest.Config, bench: Bench) -> None:
    """The run, which has ended, is taken into the history; so are those that were killed."""
    if bench.recorder is None:
        return
    from .errors import ConfigError
    from .report.history import FILE, History

    folder = bench.recorder.folder.parent
    given = config.getoption("history")
    try:
        with History(config.invocation_params.dir / given if given else folder / FILE) as history:
            history.update(folder)
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
