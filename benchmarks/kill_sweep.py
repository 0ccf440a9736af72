"""A run is killed at a random moment, again and again: is every board restored by the next one?

Each board has a lane of its own: first one run that nobody kills, to see what it leaves and how
long it takes; then runs that get SIGKILL, with all that they have started, at a moment that is
drawn evenly from the whole length of a run, bring-up and put-back included; then one run that must
find the board's journal, put everything back, and pass. What is compared: every file on the board,
byte by byte (by its SHA-256), the clock, and the verdict of that run.

Half of the boards are attached, as a real one is, and outlive a run with whatever state they are
in; the others are of the embedded bench: they lose their power, and so their time, with each kill.

    python benchmarks/kill_sweep.py [--kills N] [--boards N] [--burst N] [--seed N] [--json]

--burst is how many kills come in a row before a run is let through, on average: a board that is
restored only when nobody disturbs the restoring would not show otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hil.checks import paths
from hil.clock import rtc
from hil.deadline import Deadline
from hil.link import files
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

# Checks that change whatever a run can change: the key, the password, the clock, the flash, the
# power, the card; each leaves the application at work in between.
CHANGING = " or ".join(
    (
        "test_a_rotation_ends_every_token",
        "test_a_changed_password_ends_its_tokens",
        "test_a_token_is_refused_after_its_end",
        "test_a_key_that_cannot_be_kept_is_not_used",
        "test_a_key_left_behind_on_flash_revives_nothing",
    )
)
# A clock of whole seconds, read over a link, on a machine that is busy.
CLOCK_S = 3.0
RUN_S = 300.0


@dataclass
class Lane:
    """One board and its runs.

    :ivar attached: it outlives the runs, and its clock goes on
    :ivar killed: when each was killed, seconds after its start
    :ivar through: runs that ended by themselves before their kill
    :ivar lost: what was not restored, in words
    """

    name: str
    folder: Path
    attached: bool
    kills: int
    dice: random.Random
    burst: float
    run_s: float = 0.0
    killed: list[float] = field(default_factory=list)
    through: int = 0
    restored: int = 0
    lost: list[str] = field(default_factory=list)
    board: VirtualBoard | None = None

    @property
    def model(self) -> str:
        """Of the two, one takes an SD card, which only the bench's own boards have a hand for."""
        return "openmv-ae3" if self.attached else "openmv-n6"

    def start(self) -> subprocess.Popen[bytes]:
        """A run, in a process group of its own."""
        with (self.folder / "run.txt").open("wb") as output:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "pytest", "-c", "pytest.ini", "--rootdir", "."),
                    *("-m", "hil", "--devices", "devices.yaml", "-k", CHANGING),
                    *("-p", "hil.plugin", "-p", "pytest_timeout", "-p", "no:cacheprovider"),
                    *map(str, paths()),
                ],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "HIL_DEV"))}
        return kept | {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "HIL_VIRTUAL_BUS": str(self.folder / "bus"),
            "HIL_LOCKS": str(self.folder / "locks"),
            "SWEEP_PASSWORD": "correct horse",
        }

    def run_through(self) -> tuple[int, str, float]:
        """A run that nobody kills: exit code, what it said, seconds."""
        began = time.monotonic()
        run = self.start()
        try:
            code = run.wait(RUN_S)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            code = run.wait()
        return code, (self.folder / "run.txt").read_text(), time.monotonic() - began

    def run_and_kill(self) -> None:
        # A little beyond the end: the put-back has its share, too.
        moment = self.dice.uniform(0.0, self.run_s * 1.02)
        run = self.start()
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(moment)
            self.through += 1
            return
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        self.killed.append(moment)

    @contextlib.contextmanager
    def powered(self) -> Iterator[VirtualBoard]:
        """The board, with power."""
        if self.board:
            yield self.board
            return
        state = self.folder / ".hil" / "boards" / self.name
        with VirtualBoard.start(
            self.name, self.model, state=state, bus=self.folder / "bus"
        ) as board:
            yield board

    def on_board(self) -> tuple[dict[str, tuple[int, str]], float]:
        """Every file, and how far the clock is ahead of true time."""
        deadline = Deadline.after(60)
        with (
            self.powered() as board,
            BoardLink(board.name, board.device, consent=board.consent) as link,
            link.repl(deadline) as repl,
        ):
            return files.hash_tree(repl, "/flash", deadline), rtc.read(repl, deadline).offset

    def sweep(self) -> None:
        (self.folder / "pytest.ini").write_text("[pytest]\n")
        if self.attached:
            state = self.folder / "board"
            bus = self.folder / "bus"
            self.board = VirtualBoard.start(self.name, self.model, state=state, bus=bus)
        try:
            self._sweep()
        finally:
            if self.board:
                self.board.stop()

    def _sweep(self) -> None:
        kind = "virtual"
        if self.board:
            serial = self.board.record.serial_number
            kind = f'board\n    usb_serial: "{serial}"\n    wifi: {{ssid: x}}'
        (self.folder / "devices.yaml").write_text(
            f"targets:\n  {self.name}:\n    kind: {kind}\n    model: {self.model}\n"
            "    provision: true\n    password: ${SWEEP_PASSWORD}\n"
        )
        code, told, _ = self.run_through()
        if code:
            raise SystemExit(f"{self.name}: the run that nobody disturbed has failed:\n{told}")
        found, ahead = self.on_board()
        self.run_s = self.run_through()[2]  # the second has nothing to deploy
        while self.kills > len(self.killed):
            row = min(1 + int(self.dice.expovariate(1 / max(self.burst - 1, 1e-9))), 20)
            goal = min(len(self.killed) + row, self.kills)
            while len(self.killed) < goal:
                self.run_and_kill()
            self.judge(found, ahead, row)

    def judge(self, found: dict[str, tuple[int, str]], ahead: float, row: int) -> None:
        """One run lets through, and everything is as it was found."""
        code, told, _ = self.run_through()
        self.restored += "restored what a killed run had left" in told
        there, clock = self.on_board()
        after = ", ".join(f"{moment:.2f}" for moment in self.killed[-row:])
        problems = []
        if code:
            problems.append(f"the run has failed:\n{told[-3000:]}")
        problems += [
            f"{path}: {there.get(path, 'missing')} instead of {found.get(path, 'none')}"
            for path in sorted(there.keys() | found.keys())
            if there.get(path) != found.get(path)
        ]
        if self.attached and abs(clock - ahead) > CLOCK_S:
            problems.append(f"the clock is {clock:+.1f} s ahead instead of {ahead:+.1f} s")
        if problems:
            self.lost.append(f"{self.name}, killed after {after} s: " + "; ".join(problems))


def measure(kills: int, boards: int, burst: float, seed: int, progress: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="hil-kill-") as name:
        lanes = []
        for number in range(boards):
            folder = Path(name, f"k{number}")
            folder.mkdir()
            share = kills // boards + (number < kills % boards)
            dice = random.Random(f"{seed} {number}")  # noqa: S311 - no secret: to be repeated
            lanes.append(Lane(f"sweep{number}", folder, number % 2 == 0, share, dice, burst))
        ended = threading.Event()

        def report() -> None:
            while not ended.wait(15):
                done = sum(len(lane.killed) for lane in lanes)
                lost = sum(len(lane.lost) for lane in lanes)
                print(f"{done} of {kills} kills, {lost} not restored", file=sys.stderr, flush=True)

        if progress:
            threading.Thread(target=report, daemon=True).start()
        began = time.monotonic()
        with ThreadPoolExecutor(boards) as pool:
            for lane in [pool.submit(lane.sweep) for lane in lanes]:
                lane.result()
        ended.set()
        return {
            "kills": sum(len(lane.killed) for lane in lanes),
            "not_restored": sum(len(lane.lost) for lane in lanes),
            "restored_by_the_next_run": sum(lane.restored for lane in lanes),
            "ended_before_their_kill": sum(lane.through for lane in lanes),
            "run_s": round(max(lane.run_s for lane in lanes), 2),
            "wall_s": round(time.monotonic() - began, 1),
            "lost": [told for lane in lanes for told in lane.lost],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--boards", type=int, default=2, help="at the same time; half are attached")
    parser.add_argument("--burst", type=float, default=3.0, help="kills in a row, on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    result = measure(
        options.kills, options.boards, options.burst, options.seed, progress=not options.json
    )
    if options.json:
        print(json.dumps(result))
    else:
        for told in result["lost"]:
            print(f"NOT RESTORED: {told}")
        print(
            f"{result['kills']} kills of a run of {result['run_s']:.1f} s: "
            f"{result['not_restored']} times a board was not restored"
        )
    sys.exit(1 if result["not_restored"] else 0)


if __name__ == "__main__":
    main()
