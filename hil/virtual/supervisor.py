"""One process per virtual board: ``python -m hil.virtual.supervisor --state DIR``.

``DIR/board.json`` says what the board is (:mod:`hil.virtual.board` writes it). Prints one line of
JSON when the board is up and its port is there, or why it is not. Ends, with everything that
belongs to it, when its standard input does: when its parent dies.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from hil.errors import BenchError, HilError

from . import control
from .events import Events
from .machine import Machine
from .network import claim_address


class Supervisor:
    """The board, its control socket, and the standard streams."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.events = Events()
        self.board: dict[str, Any] = json.loads((state / "board.json").read_bytes())
        self._claim, address, http_port = claim_address(f"{self.board['name']} {state}")
        self.board |= {"address": address, "http_port": http_port}
        self._save("board.json", self.board)
        if not (state / "network.json").exists():
            self._save("network.json", {"routes": {}, "wifi": True})
        self._save("network.json", self._network() | {"listen": {"80": [address, http_port]}})
        self.machine = Machine(state, self.board, self.events)
        self.machine.on_started = self._report
        self.machine.on_failed = self._report
        self.machine.on_new_address = self._new_address
        self.machine.set_online = self._set_online
        self._reported = False

    def run(self, *, detached: bool) -> int:
        """Until the parent dies, SIGTERM, or the control operation ``shutdown``."""
        server, path = control.listen(self.state)
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self.events.read(wake_read, self._stop)
        self.events.read(server.fileno(), lambda: self._on_control(server))
        if not detached:
            self.events.read(0, self._on_stdin)
        try:
            self.machine.power_on()
            self.events.run()
        finally:
            self.machine.power_off()
            control.unlisten(self.state, path)
        return 0 if self.machine.failure is None else 1

    def _stop(self) -> None:
        self.events.stopped = True

    def _on_stdin(self) -> None:
        if not os.read(0, 4096):
            self._stop()

    def _report(self) -> None:
        if self._reported:
            return
        self._reported = True
        print(json.dumps(self.status()), flush=True)  # noqa: T201  the parent reads it
        if self.machine.failure is not None:
            self._stop()

    def _on_control(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            # The bench sends its line at once; nobody else has access.
            connection.settimeout(1.0)
            try:
                request = connection.makefile("rb").readline()
                answer = self._answer(request)
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except OSError:
                return  # the asker went away

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            operation = getattr(self, f"op_{request.pop('op')}", None)
            if operation is None:
                names = sorted(name[3:] for name in dir(self) if name.startswith("op_"))
                return {"error": f"no such operation; there are {', '.join(names)}"}
            return {"result": operation(**request)}
        except (ValueError, TypeError, KeyError, AttributeError, OSError, HilError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _network(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.state / "network.json").read_bytes())
        return read

    def _new_address(self) -> None:
        """Only while no MicroPython runs, which has read the old one."""
        old = self._claim
        key = f"{self.board['name']} {self.state} {self.machine.boots}"
        self._claim, address, http_port = claim_address(key)
        old.close()
        self.board |= {"address": address, "http_port": http_port}
        self._save("board.json", self.board)
        self._save("network.json", self._network() | {"listen": {"80": [address, http_port]}})

    def _set_online(self, on: bool) -> None:
        """Without it, an application that is started serves where nobody looks for it."""
        address, http_port = self.board["address"], self.board["http_port"]
        at = address if on else ".".join(["127", "15", *address.split(".")[2:]])
        self._save(
            "network.json", self._network() | {"wifi": on, "listen": {"80": [at, http_port]}}
        )

    def _save(self, name: str, value: dict[str, Any]) -> None:
        # The board reads these files at any moment: they change at once or not at all.
        temporary = self.state / f".{name}.new"
        temporary.write_text(json.dumps(value))
        temporary.replace(self.state / name)

    # Control operations

    def status(self) -> dict[str, Any]:
        machine = self.machine
        return {
            "name": self.board["name"],
            "model": self.board["model"],
            "power": "off" if machine.phase == "off" else "on",
            "phase": machine.phase,
            "boots": machine.boots,
            "soft_resets": machine.soft_resets,
            "block_writes": machine.storage.block_writes(),
            "card": machine.card,
            "device": machine.plug.port.device if machine.plug else None,
            "firmware": machine.firmware.version if machine.firmware else None,
            "address": self.board["address"],
            "http_port": self.board["http_port"],
            "hostname": machine.link.hostname,
            "mdns_error": machine.link.error,
            "wifi": self._network()["wifi"],
            "routes": self._network()["routes"],
            "failure": machine.failure,
            "faults": machine.faults.met,
            "supervisor_pid": os.getpid(),
            "micropython_pid": machine.process.pid if machine.process else None,
        }

    op_status = status

    def op_power_off(self) -> None:
        self.machine.power_off()

    op_power_cut = op_power_off

    def op_power_on(self) -> None:
        self.machine.power_on()

    def op_hard_reset(self) -> None:
        """As the board's reset button."""
        if self.machine.phase != "off":
            self.machine.hard_reset()

    def op_cut_after_writes(self, n: int | None) -> None:
        self.machine.storage.cut_after_writes(n)

    def op_insert_card(self, blank: bool = True) -> None:
        """Into a board without power: an empty card, or the one that was in it last.

        It is out again when the supervisor ends: what a killed bench has put in, the next one does
        not find.
        """
        if self.board["card_root"] is None:
            raise BenchError(f"boot mounts no SD card on {self.board['model']}")
        self._expect_power_off()
        if blank:
            self.machine.storage.make_card(self.board["card_bytes"])
        elif not self.machine.storage.has_card:
            raise BenchError("there was no card in it yet")
        self.machine.card = True

    def op_remove_card(self) -> None:
        """Out of a board without power; what is on it stays on it."""
        self._expect_power_off()
        self.machine.card = False

    def _expect_power_off(self) -> None:
        if self.machine.phase != "off":
            raise BenchError("it has power: switch it off before the card goes in or out")

    def op_bootloader_fault(self, kind: str | None) -> None:
        """``stays``: told to leave, it comes back; ``gone``: told to leave, the board is dead;
        ``damages``: a bit of what is downloaded flips. It wears off at the next power-off."""
        if kind not in ("stays", "gone", "damages", None):
            raise ValueError(f"no fault {kind!r}")
        self.machine.loader_fault = kind

    def op_set_rtc(self, unix: float) -> None:
        self.machine.storage.set_clock(unix)

    def op_wifi(self, on: bool) -> None:
        self._save("network.json", self._network() | {"wifi": on})

    def op_route(self, destination: str, to: list[Any] | None) -> None:
        """``destination`` is ``HOST:PORT`` or ``*:PORT``; ``to`` is ``[HOST, PORT]``, None ends it.

        The host of ``to`` is an address: the board resolves no names.
        """
        network = self._network()
        network["routes"].pop(destination, None)
        if to is not None:
            host, port = to
            network["routes"][destination] = [str(host), int(port)]
        self._save("network.json", network)

    def op_fault(self, name: str, **options: Any) -> None:
        """See :mod:`hil.virtual.faults`."""
        self.machine.faults.plant(name, **options)

    def op_heal(self) -> None:
        self.machine.faults.heal()

    def op_shutdown(self) -> None:
        self._stop()


def supervise(state: Path, *, detached: bool = False) -> int:
    """Be the supervisor of the board in ``state``. Returns the exit code."""
    try:
        return Supervisor(state.resolve()).run(detached=detached)
    except OSError as error:
        told = f"what the board keeps cannot be written to {state}: {error.strerror or error}"
        failure = {"failure": told, "hint": "is there room on that disk?"}
    except (ValueError, KeyError, HilError) as error:
        failure = {"failure": f"{error}"}
    print(json.dumps(failure), flush=True)  # noqa: T201
    return 1


def main() -> int:
    import argparse  # 13 ms that a bench spares its boards

    parser = argparse.ArgumentParser(prog="python -m hil.virtual.supervisor", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="directory with board.json")
    parser.add_argument("--detach", action="store_true", help="outlive the parent process")
    options = parser.parse_args()
    return supervise(options.state, detached=options.detach)


if __name__ == "__main__":
    sys.exit(main())
