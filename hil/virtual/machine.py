"""The board itself: power, resets, boot, and the way of bytes between host and MicroPython."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .bootloader import Loader, LoaderPlug
from .events import Events
from .faults import Faults
from .firmware import DamagedImageError, Firmware, Partitions
from .plugs import Link, Plug
from .process import Process
from .storage import Storage
from .stream import REPL_STARTS, Cooker

_RAW_REPL = b"raw REPL; CTRL-B to exit\r\n"
_FRIENDLY_REPL = b'Type "help()" for more information.\r\n'
_PROMPT = b">>> "

# After Ctrl-C, bytes wait until the REPL has the terminal: switching it to raw mode may flush what
# comes too early. A program that survives Ctrl-C gets them after this time.
_HOLD_S = 0.25
_START_S = 10.0
_INPUT_MAX = 4096
_OUTPUT_KEPT = 2000


class Machine:
    """A powered or unpowered board in ``state``, which outlives its power.

    :ivar phase: ``off``, ``reset`` (the port is away), ``bootloader``, ``boot`` (before the boot
        scripts), ``run`` (boot.py or main.py), ``wait`` (after one of them), ``banner`` (the REPL
        starts), ``repl``, ``stuck`` (a fault: neither bootloader nor application)
    :ivar plug: its USB plug while MicroPython runs
    :ivar loader_plug: its USB plug while the bootloader runs
    :ivar loader_fault: see :meth:`leave_bootloader`
    :ivar firmware: what it has booted; None: nothing yet, or it is damaged
    :ivar card: whether there is an SD card in it, for boot to mount
    :ivar failure: why there is no MicroPython, if it does not start
    """

    def __init__(self, state: Path, board: dict[str, Any], events: Events) -> None:
        self.state, self.board, self.events = state, board, events
        self.phase = "off"
        self.boots = self.soft_resets = 0
        self.card = False
        self.failure: str | None = None
        self.on_started: Callable[[], None] = lambda: None
        self.on_failed: Callable[[], None] = lambda: None
        self.on_new_address: Callable[[], None] = lambda: None
        self.set_online: Callable[[bool], None] = lambda on: None
        self.storage = Storage(state)
        self.link = Link(board, events)
        self.partitions = Partitions(state, board["target"], tuple(board["boots_from"]))
        self.firmware: Firmware | None = None
        self.plug: Plug | None = None
        self.loader_plug: LoaderPlug | None = None
        self.loader_fault: str | None = None
        self.process: Process | None = None
        self._raw_mode = self._raw_execution = False
        self._input = bytearray()
        self._output_tail = b""
        self._messages = b""
        self._banner = b""
        self._cooker = Cooker()
        self._watchdog_s = 0.0
        self._hold_until = 0.0
        self.faults = Faults(self)

    # Power and resets

    def power_on(self) -> None:
        if self.phase != "off":
            return
        self.storage.make_flash(self.board["flash_bytes"])
        if not (self.board["rtc_kept_on_power_loss"] and self.storage.has_clock):
            self.storage.set_clock(self.board["unset_clock"])
        self._boot("power")

    def power_off(self) -> None:
        """At once, whatever happens on the board. What was written to flash stays."""
        self._stop()
        self.events.cancel("reset")
        self.phase = "off"
        self.loader_fault = None
        self.storage.cut_after_writes(None)

    def hard_reset(self, cause: str = "hard") -> None:
        """The port goes away, and comes back after the board's reset time."""
        self._stop()
        self.phase = "reset"
        if not self.board["rtc_kept_on_reset"]:
            self.storage.set_clock(self.board["unset_clock"])
        delay = self.faults.on_reset(float(self.board["latency"].get("reset_s", 0)))
        self.events.after("reset", delay, lambda: self._boot(cause))

    # The bootloader

    def _boot(self, cause: str) -> None:
        """What the bootloader does on every hard reset: it shows itself for a while where the model
        does that, and starts the firmware if it is sound; else it stays."""
        try:
            self.firmware = self.partitions.firmware()
        except DamagedImageError:
            self.firmware = None
            self._show_bootloader()
            self.on_started()
            return
        window = float(self.board["latency"].get("bootloader_window_s", 0))
        if not window:
            self._start(cause, hard=True)
            return
        self._show_bootloader()
        self.events.after("window", window, lambda: self._start(cause, hard=True))

    def enter_bootloader(self) -> None:
        """``machine.bootloader()``: a reset after which the bootloader waits for its host."""
        self.hard_reset()
        self.events.after("reset", 0, self._show_bootloader)

    def leave_bootloader(self) -> None:
        """A reset. With the fault ``stays`` the bootloader comes back, with ``gone`` nothing."""
        self.hard_reset()
        if self.loader_fault == "stays":
            self.events.after("reset", 0, self._show_bootloader)
        elif self.loader_fault == "gone":
            self.events.cancel("reset")
            self.phase = "stuck"

    def _show_bootloader(self) -> None:
        self.phase = "bootloader"
        loader = Loader(
            self.partitions, self.board["target"], self.board["never_written"], self._block_written
        )
        loader.damages = self.loader_fault == "damages"
        self.loader_plug = LoaderPlug(
            self.state,
            self.board,
            self.events,
            loader,
            claimed=lambda: self.events.cancel("window"),
            leave=self.leave_bootloader,
        )

    def _block_written(self) -> None:
        if self.storage.count_write():
            self.power_off()

    def _soft_reset(self) -> None:
        self._end_process()
        self.link.set(None)
        self.soft_resets += 1
        self._to_host(b"MPY: soft reboot\r\n")
        self._start("soft", hard=False)

    def _start(self, cause: str, *, hard: bool) -> None:
        self.phase = "boot"
        if hard:
            self.unplug()  # the bootloader, after its window
            assert self.firmware is not None, "the bootloader starts nothing else"
            (self.state / "rom.img").write_bytes(self.firmware.rom)
            self.boots += 1
            self._raw_mode = False
            self._input.clear()
            self.replug()
        self._raw_execution = False
        self._output_tail = self._messages = self._banner = b""
        self._cooker = Cooker()
        self._hold_until = self._watchdog_s = 0.0
        self.events.cancel("watchdog")
        if hard:
            self.say(self.faults.greeting())
        assert self.firmware is not None
        start = {
            "cause": cause,
            "hard": hard,
            "card": self.card,
            "version": self.firmware.version,
            "rom": bool(self.firmware.rom),
        }
        (self.state / "start.json").write_text(json.dumps(start))
        self.process = Process(self.board["micropython"], self.state)
        self.events.read(self.process.fd, self._on_console)
        self.events.read(self.process.control, self._on_messages)
        self.events.after("start", _START_S, lambda: self._fail(f"not up after {_START_S:.0f} s"))

    def _stop(self) -> None:
        self._end_process()
        self.link.set(None)
        self.unplug()
        self.events.cancel("watchdog")
        self.events.cancel("window")

    def _end_process(self) -> None:
        if self.process is not None:
            self._forget_process()
            self.process.kill()
            self.process = None

    def _forget_process(self) -> None:
        assert self.process is not None
        self.events.cancel("start")
        self.events.cancel("hold")
        self.events.forget(self.process.fd)
        self.events.forget(self.process.control)

    def _fail(self, how: str) -> None:
        """There is no MicroPython: keep why, with the last that it printed."""
        said = self._output_tail.decode("utf-8", "replace").strip()
        self.failure = f"MicroPython does not start ({how}); it printed: {said or 'nothing'}"
        self._stop()
        self.phase = "off"
        self.on_failed()

    def replug(self) -> None:
        """The port is there again, unless there is no power or a reset."""
        self.events.cancel("replug")
        if self.plug is None and self.phase not in ("off", "reset", "bootloader", "stuck"):
            self.plug = Plug(self.state, self.board, self.faults.device)
            self.events.read(self.plug.port.fd, self._on_host)

    def unplug(self) -> None:
        """The port goes away, whatever else the board does."""
        if self.plug is not None:
            self.events.forget(self.plug.port.fd)
            self.plug.close()
            self.plug = None
            if self.process is not None:
                self.events.want_read(self.process.fd, True)  # nobody holds it back any more
        if self.loader_plug is not None:
            self.loader_plug.close()
            self.loader_plug = None

    # Host to board

    def _on_host(self) -> None:
        assert self.plug is not None
        if len(self._input) < _INPUT_MAX:
            self._input += self.faults.from_host(self.plug.port.read())
        self.pump_input()

    def pump_input(self) -> None:
        while self._input and self.process is not None and not self._holds():
            at = self._input.find(b"\x03")
            if at == 0:
                self._on_messages()  # the script may have ended just now
                if self.process is None or self._holds():
                    return
                if self.process.interrupt(surely_runs=self._raw_execution):
                    self._hold_until = time.monotonic() + _HOLD_S
                elif self.phase == "run" and self._repl_starts():
                    continue  # it was too late for the scripts, and waits for the prompt
                else:
                    self._write_console(b"\x03")
                del self._input[:1]
                continue
            chunk = bytes(self._input[:at] if at > 0 else self._input)
            if self._raw_mode and b"\x04" in chunk:
                self._raw_execution = True  # until the board prints the second end mark
            sent = self._write_console(chunk)
            del self._input[:sent]
            if sent < len(chunk):
                if at > 0 and self.process.interruptible():
                    # The program does not read. Ctrl-C gets through all the same, as it does in
                    # a camera's USB interrupt.
                    del self._input[: len(chunk) - sent]
                    continue
                self.events.after("hold", 0.001, self.pump_input)
                return
        self._take_from_host(len(self._input) < _INPUT_MAX)

    def _repl_starts(self) -> bool:
        while self._console_has_more():
            pass
        return self.phase != "run"

    def _take_from_host(self, wanted: bool) -> None:
        if self.plug is not None:
            self.events.want_read(self.plug.port.fd, wanted)

    def _holds(self) -> bool:
        """Whether input has to wait: until there is a REPL or a program to take it."""
        assert self.process is not None
        if self.phase in ("boot", "wait", "banner") or self.faults.busy:
            return True
        if self._hold_until:
            if not self.process.reads() and time.monotonic() < self._hold_until:
                self.events.after("hold", 0.0005, self.pump_input)
                return True
            self._hold_until = 0.0
        return False

    def _write_console(self, data: bytes) -> int:
        assert self.process is not None
        try:
            return os.write(self.process.fd, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return len(data)  # the MicroPython has just ended

    # Board to host

    def _on_console(self) -> None:
        if self.plug is not None and not self.plug.port.accepts:
            self._flush_port()
            return
        if self._read_console():
            self._flush_port()
        else:
            self._on_messages()  # what it told last comes first
            if self.process is not None:
                self._process_ended()

    def _read_console(self) -> bool:
        """Pass on what was printed. False: the MicroPython has ended."""
        assert self.process is not None
        try:
            data = os.read(self.process.fd, 65536)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        if not data:
            return False
        for part in self._cooker.feed(data):
            if isinstance(part, str):
                if part == REPL_STARTS:
                    self._on_messages()  # those of the scripts, which came before
                    self.phase = "banner"
            elif self.phase == "banner":
                self._on_banner(part)
            else:
                self._to_host(part)
        return True

    def _on_banner(self, data: bytes) -> None:
        """The REPL always starts friendly. After a soft reset in raw mode it goes on in raw mode
        without a banner, as a camera does."""
        assert self.process is not None
        self._banner += data
        if self._raw_mode:
            if _PROMPT in self._banner:
                self._banner = b""
                self._write_console(b"\x01")
            at = self._banner.find(_RAW_REPL + b">")
            if at < 0:
                return
            banner = self._banner[at:]
        elif _PROMPT in self._banner:
            assert self.firmware is not None, "it runs"
            first = f"MicroPython {self.firmware.version}; {self.board['machine']}".encode()
            _, separator, rest = self._banner.partition(b"\r\n" + _FRIENDLY_REPL)
            banner = first + separator + rest
        else:
            return
        self._banner = b""
        self.phase = "repl"
        self._to_host(banner)
        self.pump_input()

    def _to_host(self, data: bytes) -> None:
        tail = self._output_tail + data
        raw, friendly = tail.rfind(_RAW_REPL), tail.rfind(_FRIENDLY_REPL)
        if raw != friendly:  # not both absent
            self._raw_mode = raw > friendly
        if b"\x04>" in data:
            self._raw_execution = False
        self._output_tail = tail[-_OUTPUT_KEPT:] if self.phase == "boot" else tail[-64:]
        self.say(self.faults.to_host(data))

    def say(self, data: bytes) -> None:
        if data and self.plug is not None:
            self.plug.port.write(data)

    def _flush_port(self) -> None:
        """Hold the MicroPython back while the host does not take what it printed."""
        if self.plug is None or self.process is None:
            return
        self.plug.port.flush()
        self.events.want_read(self.process.fd, self.plug.port.accepts)
        if not self.plug.port.accepts:
            self.events.after("flush", 0.002, self._flush_port)

    # What the MicroPython tells

    def _on_messages(self) -> None:
        assert self.process is not None
        try:
            data = os.read(self.process.control, 65536)
        except BlockingIOError:
            return
        if not data:
            self.events.forget(self.process.control)
            return
        *lines, self._messages = (self._messages + data).split(b"\n")
        for line in lines:
            self._on_message(*line.decode().split(" "))

    def _on_message(self, what: str, value: str = "") -> None:
        if what in ("reset", "bootloader", "soft", "cut"):
            while self.process is not None and self._console_has_more():
                pass  # what was printed before it
        if what == "up":
            self.events.cancel("start")
            self.failure = None
            self.on_started()
        elif what == "run":
            self.phase = "run"
            self.events.after("hold", 0, self.pump_input)
        elif what == "done":
            self.phase = "wait"
        elif what == "reset":
            self.hard_reset()
        elif what == "bootloader":
            self.enter_bootloader()
        elif what == "soft":
            self._soft_reset()
        elif what == "cut":
            self.power_off()
        elif what == "link":
            self.link.set(value or None)
        elif what == "wdt":
            self._watchdog_s = int(value) / 1000
        if what in ("wdt", "feed") and self._watchdog_s:
            self.events.after("watchdog", self._watchdog_s, lambda: self.hard_reset("wdt"))

    def _console_has_more(self) -> bool:
        assert self.process is not None
        return self.events.readable(self.process.fd) and self._read_console()

    def _process_ended(self) -> None:
        assert self.process is not None
        self._forget_process()
        code = self.process.reap()
        self.process = None
        if self.phase == "boot":
            self._fail(f"it ended with {code}")
        else:
            self._soft_reset()
