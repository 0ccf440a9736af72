"""Where the time of a full run goes: all checks, one virtual board.

A child process runs ``pytest -m hil``, and notes from when to when the harness waits for the board:

    bring-up   power, deploy, clock, reset, first answer     requests   HTTP, several at once
    resets     until the application answers again           waits      for the board to end an
    power      off, on, cut                                             idle connection
    pauses     REPL work: files, clock, secret               put-back   journal, reset

``board_s`` is the time in which at least one of these goes on, and ``ratio`` wall time to that:
what is above 1 is the harness's own (pytest, composing, judging, statistics). Where two overlap,
the time counts for the first in the order resets, power, pauses, requests, waits.

    python benchmarks/full_run.py [--json] [--model openmv-ae3] [--runs N]
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PARTS = ("bring-up", "put-back", "resets", "power", "pauses", "requests", "waits")
Spans = dict[str, list[tuple[float, float]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--model", default="openmv-n6")
    parser.add_argument("--runs", type=int, default=1, help="the fastest of N runs is told")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        sys.exit(child(options.child))
    result = min((measure(options.model) for _ in range(options.runs)), key=lambda r: r["wall_s"])
    if options.json:
        print(json.dumps(result))
        return
    print(f"{result['checks']} checks on one virtual {options.model}, in {result['wall_s']:.1f} s;")
    print(f"{result['board_s']:.1f} s of it the board's own (ratio {result['ratio']:.2f})")
    for name in ("by_part", "by_group"):
        print(f"\n{name.replace('_', ' ')}:")
        for part, seconds in sorted(result[name].items(), key=lambda item: -item[1]):
            print(f"  {part:<28} {seconds:6.2f} s")
    print("\nslowest checks:")
    for check, seconds in result["slowest"].items():
        print(f"  {check:<28} {seconds:6.2f} s")


def measure(model: str) -> dict[str, Any]:
    """One full run in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="hil-full-") as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "devices.yaml").write_text(
            f"targets:\n  full-run:\n    kind: virtual\n    model: {model}\n    provision: true\n"
        )
        began = time.monotonic()
        ran = subprocess.run(
            [sys.executable, Path(__file__).resolve(), "--child", folder / "notes.json"],
            cwd=folder,
            env={**os.environ, "HIL_VIRTUAL_BUS": str(folder / "bus")},
            capture_output=True,
            text=True,
            check=False,
        )
        ended = time.monotonic()
        if ran.returncode:
            sys.exit(f"the run itself failed, so its time means nothing:\n{ran.stdout}{ran.stderr}")
        notes = json.loads((folder / "notes.json").read_text())
    # The monotonic clock is one for all processes of a host.
    spans = {part: [(a, b) for a, b in notes["spans"][part]] for part in PARTS}
    parts, taken = {}, []
    for part in PARTS:
        before = length(taken)
        taken += spans[part]
        parts[part] = length(taken) - before
    board_s, wall_s = length(taken), ended - began
    checks: dict[str, float] = notes["checks"]
    groups: dict[str, float] = {}
    for check, seconds in checks.items():
        group = check.partition("-")[0]
        groups[group] = groups.get(group, 0.0) + seconds
    parts["harness"] = wall_s - board_s
    slowest = sorted(checks, key=lambda check: -checks[check])[:10]
    return {
        "wall_s": round(wall_s, 2),
        "board_s": round(board_s, 2),
        "ratio": round(wall_s / board_s, 3),
        "checks": len(checks),
        "by_part": {part: round(seconds, 2) for part, seconds in parts.items()},
        "by_group": {group: round(seconds, 2) for group, seconds in groups.items()},
        "slowest": {check: round(checks[check], 2) for check in slowest},
    }


def length(spans: list[tuple[float, float]]) -> float:
    """Seconds that are in at least one of the spans."""
    total, reached = 0.0, float("-inf")
    for began, ended in sorted(spans):
        total += max(0.0, ended - max(began, reached))
        reached = max(reached, ended)
    return total


# --- in the child -------------------------------------------------------------------------------


def child(notes: Path) -> int:
    """``pytest -m hil``, with the harness's waits noted down."""
    import pytest

    from hil import bringup, checks
    from hil.auth import timing
    from hil.auth.client import Api
    from hil.auth.held import Held, Watch
    from hil.auth.raw import RawClient
    from hil.link.board import BoardLink
    from hil.power import VirtualPower
    from hil.reboot import Reboot

    spans: Spans = {part: [] for part in PARTS}
    seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def noted(part: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            spans[part].append((began, time.monotonic()))

    def wrap(owner: Any, name: str, part: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with noted(part):
                return original(*args, **kwargs)

        setattr(owner, name, wrapped)

    original_pause = BoardLink.paused

    @contextlib.contextmanager
    def paused(link: BoardLink, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with noted("pauses"), original_pause(link, *args, **kwargs) as repl:
            yield repl

    wrap(bringup, "_board", "bring-up")
    wrap(bringup, "put_back", "put-back")
    wrap(Reboot, "__call__", "resets")
    for name in ("off", "on", "cut_after_writes"):
        wrap(VirtualPower, name, "power")
    wrap(RawClient, "send", "requests")
    wrap(Api, "request", "requests")
    wrap(Api, "alive", "requests")
    wrap(Held, "answers", "requests")
    wrap(Held, "answer", "requests")
    wrap(timing, "exchange", "requests")
    wrap(Watch, "result", "waits")
    BoardLink.paused = paused  # type: ignore[method-assign, assignment]

    class Notes:
        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            check = getattr(report, "hil_check", None)
            if check:
                seconds[check] = seconds.get(check, 0.0) + report.duration

    code = pytest.main(
        [
            *("-c", "pytest.ini", "-m", "hil", "--devices", "devices.yaml", "-q"),
            *("-p", "no:anyio", "-p", "no:platformdirs", "-p", "no:cacheprovider"),
            *map(str, checks.paths()),
        ],
        plugins=[Notes()],
    )
    notes.write_text(json.dumps({"spans": spans, "checks": seconds}))
    return int(code)


if __name__ == "__main__":
    main()
