"""How much longer many boards take than one: all checks, one worker of pytest-xdist a board.

The boards are virtual and take their time as real ones do: a reset 3 s, Wi-Fi 4 s. Each fleet is
one ``pytest -m hil -n auto``, and nothing counts that is not green.

A virtual board needs a share of this computer's cores, which a camera does not. So the CPU time of
all processes of a fleet is told: ``boards_cpu_s`` of the boards (MicroPython, and what stands for
the hardware), ``harness_cpu_s`` of pytest with all that it does. ``busy`` is how much of the cores
they have used on average, and ``floor`` the smallest ratio that is possible here with a harness
that costs nothing: the boards' own CPU time on all cores, to the time of one board. ``cpu_bound``
says of each fleet whether the cores were the limit: busy for nine tenths of the time or more.

    python benchmarks/fleet.py [--json] [--boards 1,8,32] [--groups login,rotation] [-k EXPRESSION]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from hil import checks

BUSY = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--boards", default="1,8,32", help="sizes of the fleets; the first is 1")
    parser.add_argument("--groups", default=",".join(checks.GROUPS), help="of the checks")
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="as pytest takes it")
    parser.add_argument("--model", default="openmv-n6")
    parser.add_argument("--reset", type=float, default=3.0, metavar="SECONDS")
    parser.add_argument("--wifi", type=float, default=4.0, metavar="SECONDS")
    options = parser.parse_args()
    sizes = [int(size) for size in options.boards.split(",")]
    if sizes[0] != 1:
        parser.error("--boards begins with 1: the others are compared to it")
    cores = len(os.sched_getaffinity(0))
    result: dict[str, Any] = {"cores": cores, "cpu_bound": {}}
    for size in sizes:
        print(f"{size} boards …", file=sys.stderr)
        fleet = measure(size, options)
        one = result.get("boards_1", fleet)["wall_s"]
        fleet["ratio"] = round(fleet["wall_s"] / one, 3)
        fleet["floor"] = round(max(1.0, fleet["boards_cpu_s"] / cores / one), 3)
        fleet["busy"] = round(fleet["cpu_s"] / cores / fleet["wall_s"], 3)
        result[f"boards_{size}"] = fleet
        result["cpu_bound"][f"boards_{size}"] = fleet["busy"] >= BUSY
    if options.json:
        print(json.dumps(result))
        return
    for size in sizes:
        fleet = result[f"boards_{size}"]
        print(
            f"{size:3} boards: {fleet['wall_s']:6.1f} s, ratio {fleet['ratio']:.2f}"
            f" (at least {fleet['floor']:.2f} on {cores} cores); CPU {fleet['cpu_s']:.0f} s:"
            f" boards {fleet['boards_cpu_s']:.0f}, harness {fleet['harness_cpu_s']:.0f};"
            f" cores busy {fleet['busy']:.0%}; {fleet['passed']} passed"
        )


def measure(size: int, options: argparse.Namespace) -> dict[str, Any]:
    """One fleet, in processes of its own."""
    wanted = options.groups.split(",")
    files = [path for path in checks.paths() if path.stem.removeprefix("test_") in wanted]
    latency = f"{{reset_s: {options.reset}, wifi_s: {options.wifi}}}"
    entry = f"{{kind: virtual, model: {options.model}, provision: true, latency: {latency}}}"
    with tempfile.TemporaryDirectory(prefix="hil-fleet-") as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "devices.yaml").write_text(
            "targets:\n" + "".join(f"  board-{i}: {entry}\n" for i in range(size))
        )
        notes = folder / "notes"
        notes.mkdir()
        (folder / "fleet_notes.py").write_text(NOTES)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (name, os.environ.get("PYTHONPATH")))),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "HIL_VIRTUAL_BUS": str(folder / "bus"),
            "HIL_LOCKS": str(folder / "locks"),
            "HIL_FLEET_NOTES": str(notes),
        }
        environment.pop("PYTEST_XDIST_AUTO_NUM_WORKERS", None)
        began = time.monotonic()
        with (folder / "output").open("w+") as output:
            running = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pytest", "-q", "-c", "pytest.ini", "--rootdir", "."),
                    *("-p", "hil.plugin", "-p", "pytest_timeout", "-p", "xdist.plugin"),
                    *("-p", "fleet_notes", "-p", "no:cacheprovider", "-m", "hil", "-n", "auto"),
                    *(("-k", options.k) if options.k else ()),
                    *map(str, files),
                ],
                cwd=folder,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            _, status, used = os.wait4(running.pid, 0)
            running.returncode = os.waitstatus_to_exitcode(status)
            wall_s = time.monotonic() - began
            output.seek(0)
            said = output.read()
        if running.returncode:
            sys.exit(f"the run itself failed, so its time means nothing:\n{said}")
        workers = [json.loads(note.read_text()) for note in notes.iterdir()]
    assert len(workers) == size, f"{len(workers)} workers for {size} boards"
    cpu_s = used.ru_utime + used.ru_stime
    boards_cpu_s = sum(worker["boards"] for worker in workers)
    return {
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 1),
        "boards_cpu_s": round(boards_cpu_s, 1),
        "harness_cpu_s": round(cpu_s - boards_cpu_s, 1),
        "workers_cpu_s": round(sum(worker["self"] for worker in workers), 1),
        "passed": int(said.rpartition(" passed")[0].rpartition("\n")[2].split()[-1]),
    }


# In each worker, at its very end: the children that it has waited for are its boards.
NOTES = """
import json, os, resource

def pytest_unconfigure(config):
    if hasattr(config, "workerinput"):
        used = {
            name: sum(resource.getrusage(who)[:2])
            for name, who in (("self", resource.RUSAGE_SELF), ("boards", resource.RUSAGE_CHILDREN))
        }
        worker = config.workerinput["workerid"]
        with open(os.path.join(os.environ["HIL_FLEET_NOTES"], worker), "w") as notes:
            json.dump(used, notes)
"""


if __name__ == "__main__":
    main()
