"""Start, find and control virtual boards."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from hil.boards.table import (
    Model,
    bootloader_serial_number_of,
    model,
    models,
    serial_number_of,
)
from hil.deadline import Deadline
from hil.errors import BenchError

from . import control, firmware
from .bus import VirtualPort, default_bus
from .interpreter import find_micropython

if TYPE_CHECKING:
    from hil.consent import Consent

FLASH_BYTES = CARD_BYTES = 4 * 1024 * 1024
HEAP = "4M"
READY_S = 20.0
"""A board is up after 60 ms on an idle machine; this is for one that is busy."""

_PACKAGES = str(Path(__file__).parents[2])
_START = (
    f"import sys; sys.path.insert(0, {_PACKAGES!r});"
    " from pathlib import Path; from hil.virtual.supervisor import supervise;"
    " sys.exit(supervise(Path(sys.argv[1])))"
)


class VirtualBoard:
    """A virtual board with power: :meth:`start` makes one, :meth:`stop` ends it.

    :ivar device: the serial port, ``STATE/tty``; it stays the same over resets
    :ivar address: IPv4 address of the board on this host
    :ivar http_port: where the board's port 80 is found at that address
    """

    def __init__(self, name: str, state: Path, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.state = state
        self.device = str(state / "tty")
        self._process = process
        self._ready: dict[str, Any] | None = None
        self._said = b""

    @classmethod
    def start(
        cls,
        name: str,
        model: str = "openmv-n6",
        *,
        state: Path,
        hostname: str | None = None,
        bus: Path | None = None,
        frozen: bool = True,
        latency: Mapping[str, float] | None = None,
        heap: str = HEAP,
        wait: bool = True,
        deadline: Deadline | None = None,
    ) -> VirtualBoard:
        """Power a board; what ``state`` holds of an earlier life (flash, clock, firmware) is taken
        up. A new one has firmware from the factory.

        :param name: makes its unique id, and so its USB serial number
        :param model: a key of the board table
        :param hostname: the default host name, instead of the model's
        :param bus: where it is plugged in; None: :func:`hil.virtual.bus.default_bus`
        :param frozen: False: the factory's firmware has none of the packages that the model's has
        :param latency: seconds that an idealised board saves: ``reset_s``, ``wifi_s``, and
            ``bootloader_window_s`` in which the bootloader shows itself on every hard reset
        :param heap: of the MicroPython, as its option ``-X heapsize`` takes it
        :param wait: False: return at once; :meth:`wait_ready` before anything else
        :raises BenchError: there is no MicroPython, or the board does not start
        """
        state, row = state.resolve(), _model(model)
        try:
            state.mkdir(parents=True, exist_ok=True)
            spec = _spec(name, row, state)
            partitions = firmware.Partitions(state, row.target, firmware.partitions_of(row))
            if partitions.blank:
                partitions.make(firmware.build(row, "factory", frozen=frozen))
        except OSError as error:
            raise _unwritable(state, error, name) from error
        spec["bus"] = str((default_bus() if bus is None else bus).resolve())
        spec["latency"] = dict(latency or {})
        spec["micropython"] = [*find_micropython(), "-X", f"heapsize={heap}"]
        if hostname is not None:
            spec["default_hostname"] = hostname
        try:
            (state / "board.json").write_text(json.dumps(spec))
        except OSError as error:
            raise _unwritable(state, error, name) from error
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _START, str(state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C in the terminal is the bench's to handle
        )
        board = cls(name, state, process)
        if wait:
            board.wait_ready(deadline or Deadline.after(READY_S))
        return board

    def wait_ready(self, deadline: Deadline) -> None:
        """Wait until it is up: its flash mounted, its boot scripts about to run; or in its
        bootloader, if its firmware is damaged.

        :raises BenchError: it does not start, with what its MicroPython printed
        """
        while self._ready is None:
            assert self._process.stdout is not None
            readable, _, _ = select.select([self._process.stdout], [], [], deadline.remaining())
            if not readable:
                self.stop()
                raise BenchError("the virtual board is not up in time", target=self.name)
            more = os.read(self._process.stdout.fileno(), 65536)
            self._said += more
            if not more:
                assert self._process.stderr is not None
                error = self._process.stderr.read().decode("utf-8", "replace").strip()
                self.stop()
                raise BenchError(f"the supervisor ended: {error[-2000:]}", target=self.name)
            if self._said.endswith(b"\n"):
                ready: dict[str, Any] = json.loads(self._said)
                if ready["failure"] is not None:
                    self.stop()
                    raise BenchError(
                        ready["failure"],
                        target=self.name,
                        hint=ready.get("hint", "HIL_MICROPYTHON names another MicroPython"),
                    )
                self._ready = ready

    @property
    def _facts(self) -> dict[str, Any]:
        if self._ready is None:
            self.wait_ready(Deadline.after(READY_S))
        assert self._ready is not None
        return self._ready

    @property
    def address(self) -> str:
        address: str = self._facts["address"]
        return address

    @property
    def http_port(self) -> int:
        port: int = self._facts["http_port"]
        return port

    @property
    def url(self) -> str:
        """Base URL of the board's port 80."""
        return f"http://{self.address}:{self.http_port}"

    @property
    def unique_id(self) -> bytes:
        """As ``machine.unique_id()`` says."""
        spec = json.loads((self.state / "board.json").read_bytes())
        return bytes.fromhex(spec["unique_id"])

    @property
    def model(self) -> str:
        """Its key in the board table."""
        spec = json.loads((self.state / "board.json").read_bytes())
        return str(spec["model"])

    @property
    def bus(self) -> Path:
        """Where it is plugged in."""
        spec = json.loads((self.state / "board.json").read_bytes())
        return Path(spec["bus"])

    @property
    def consent(self) -> Consent:
        """To write on it: who starts a virtual board owns it."""
        from hil.config import TargetSpec

        return TargetSpec(self.name, "", "virtual", provision=True).consent()

    @property
    def record(self) -> VirtualPort:
        """As the virtual bus shows it while it is plugged in."""
        spec = json.loads((self.state / "board.json").read_bytes())
        return VirtualPort(
            name=self.name,
            model=spec["model"],
            device=self.device,
            vid=spec["vid"],
            pid=spec["pid"],
            serial_number=spec["serial_number"],
            product=spec["product"],
            supervisor_pid=self._process.pid,
            address=self.address,
            http_port=self.http_port,
        )

    def control(self, op: str, *, deadline: Deadline | None = None, **arguments: Any) -> Any:
        """One operation of the supervisor: ``status``, ``power_off``, ``power_on``,
        ``power_cut``, ``cut_after_writes`` (n), ``hard_reset``, ``set_rtc`` (unix),
        ``insert_card`` (blank), ``remove_card``, ``wifi`` (on), ``route`` (destination, to),
        ``bootloader_fault`` (kind), ``fault`` (name; :mod:`hil.virtual.faults` has the others),
        ``heal``, ``shutdown``.

        :raises BenchError: the supervisor refuses, or does not answer
        """
        deadline = deadline or Deadline.after(10)
        return control.ask(self.state, {"op": op, **arguments}, deadline, board=self.name)

    def power_off(self) -> None:
        """Cut the power: the port goes away, nothing runs on."""
        self.control("power_off")

    def power_on(self) -> None:
        """Give power again: a cold boot. Returns when the port is there."""
        self.control("power_on")

    def stop(self) -> None:
        """End the board and its processes; its state stays."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None and stream is self._process.stdin:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def __enter__(self) -> VirtualBoard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def unique_id_of(state: Path, length: int) -> bytes:
    """The unique id of the virtual board whose flash is in this folder.

    Not of its name: two runs in two folders have a ``virtual-n6`` each, at the same time, and host
    names follow from unique ids.
    """
    return hashlib.sha256(f"hil virtual board {state.resolve()}".encode()).digest()[:length]


def _unwritable(state: Path, error: OSError, name: str) -> BenchError:
    return BenchError(
        f"what the virtual board keeps cannot be written to {state}: {error.strerror or error}",
        target=name,
        hint="is there room on that disk?",
    )


def _model(key: str) -> Model:
    try:
        return model(key)
    except KeyError:
        known = ", ".join(row.key for row in models())
        raise BenchError(f"no board model {key!r}", hint=f"models: {known}") from None


def bootloader_serial_of(row: Model, unique_id: bytes) -> str:
    """The bootloader's serial number of a virtual board. Where no source tells the model's, one
    that follows from the unique id all the same, and is not the run mode's."""
    known = bootloader_serial_number_of(row, unique_id)
    return known or hashlib.sha256(b"bootloader of " + unique_id).hexdigest()[:24].upper()


def _spec(name: str, row: Model, state: Path) -> dict[str, Any]:
    unique_id = unique_id_of(state, row.unique_id_bytes)
    forms = serial_number_of(row, unique_id)
    vid, pid = row.run_ids[0]
    loader_vid, loader_pid = row.bootloader_ids[0]
    return {
        "name": name,
        "model": row.key,
        "machine": f"{row.title} (virtual)",
        "port": row.port.name,
        "epoch": row.epoch,
        "unset_clock": row.unset_clock,
        "rtc_kept_on_reset": row.rtc_kept_on_reset,
        "rtc_kept_on_power_loss": row.rtc_kept_on_power_loss,
        "rtc_monday": row.rtc_weekday_range[0],
        "rtc_weekday_stored": row.port.rtc_weekday_stored,
        "unique_id": unique_id.hex(),
        "vid": vid,
        "pid": pid,
        # Where the form is not settled, the one that equals the unique id.
        "serial_number": max(forms, key=len, default=unique_id.hex()),
        "product": row.product,
        "default_hostname": row.default_hostname,
        "mdns": row.mdns,
        "root": row.root,
        "card_root": row.card_root,
        "skip_card_file": row.skip_card_file,
        "target": row.target,
        "boots_from": firmware.partitions_of(row),
        "never_written": {part.name: part.never for part in row.partitions if part.never},
        "bootloader": {
            "vid": loader_vid,
            "pid": loader_pid,
            "serial_number": bootloader_serial_of(row, unique_id),
            # boot/src/common/desc.c; of the others no string is known.
            "product": "OpenMV Camera (DFU Mode)"
            if row.flash_method == "openmv-dfu"
            else f"{row.title} (bootloader)",
        },
        "flash_bytes": FLASH_BYTES,
        "card_bytes": CARD_BYTES,
    }
