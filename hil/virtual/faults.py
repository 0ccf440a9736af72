"""Faults of a virtual board: what goes wrong at benches, brought about at a chosen moment.

``VirtualBoard.control("fault", name=..., ...)`` plants one, ``control("heal")`` ends them all. A
fault strikes at once, or when the board has been sent a text (``seen``), or at a hard reset
(``on_reset``): never after a time, so that every run of a test meets it at the same place. The
status tells which have been met: a board that was never spoken to has not been silent, one that was
never reset has not been late. So a test can tell a fault that was survived from one that was never
there. None of this outlives the supervisor.

What each stands for (facts without a source are inferred, no board was at hand):

``silent``          The port is there and says nothing: a hung board whose USB still enumerates.
``vanish``          The port goes away and the board runs on: a hub that drops a device. Options:
                    ``seconds`` until it is back; without, it stays away. ``renumbered``: it has
                    another device name then, as after a USB enumeration while somebody still has
                    the old one open.
``renumber``        Each plug-in has a device name of its own: "/dev/ttyACM* renumbers", as the port
                    goes away in every reset (openmv boot/src/common/main.c: the DFU window).
``late``            One reset that takes ``seconds``: a boot that mends its file system, a hub that
                    enumerates slowly.
``noise``           Each boot begins with bytes that are no text: a ROM's boot messages at another
                    baud rate, and a UTF-8 sequence that is cut off.
``trickle``         The board's output comes as one byte per ``seconds``: a USB hub at its limit.
``no_raw_paste``    Raw paste is answered by ``R\\0``: understood, not supported (MicroPython's
                    reference, "The MicroPython Interactive Interpreter Mode", raw-paste mode).
``busy``            For ``seconds`` everything stands still in one C call, and Ctrl-C waits: it is
                    looked for between bytecodes.
``watchdog``        A reset by the watchdog: an armed ``machine.WDT`` bites whoever pauses the
                    application (OpenMV's bench, openmv-ota ci/hil).
``bootloader``      A reset into the bootloader, which waits there for a host: a board that was told
                    to go there, or whose reset button was pressed twice. ``leaving``: what becomes
                    of it when it is told to leave, as for the control operation
                    ``bootloader_fault``: by default it leaves.
``power_cut``       The power goes, and stays away.
``read_only``       Block writes fail: a write-protected card, a locked flash. FAT shows it as EIO.
``flip``            Of the text blocks written next, the one after ``sound`` others is kept
                    with one bit flipped: a worn flash, or a serial line without a checksum.
``rtc_stopped``     The clock shows the time that it is set to and does not run on: a crystal that
                    does not swing. From the next reset on.
``rtc_deaf``        The clock takes no time: a domain that is write-protected. From the next reset
                    on.
``wifi_lost``       No packet reaches the board's servers, and its interface is not connected. Needs
                    Linux.
``new_address``     DHCP gives another address at a reset, and mDNS follows.
``no_mdns``         The host name is not announced: lwIP's responder, which lost the name to another
                    board, "TODO: rename" (lwIP src/apps/mdns/mdns.c).
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hil.errors import BenchError

from .network import drop_packets

if TYPE_CHECKING:
    from .machine import Machine

NOISE = b"\xff\xfe\x00ets J\x9b\xe2\x82\r\n\xc3(>>> \xf0\x9f\x98\r\nOK\x00\xc3"
"""Nothing that a decoder takes whole, and two things that look like a REPL's answers."""

_RAW_PASTE = b"\x05A\x01"
_LONGEST_TEXT = 100

# They change how the board behaves from then on: whoever meets the change says so.
_LASTING = (
    *("silent", "renumber", "late", "noise", "trickle", "no_raw_paste", "read_only", "flip"),
    *("rtc_stopped", "rtc_deaf", "new_address"),
)


@dataclass
class _Planted:
    """:ivar seen: strikes when the board has been sent this, for the ``nth`` time, and ``skip``
    bytes more; empty: at the ``nth`` hard reset
    """

    name: str
    seen: bytes
    nth: int
    skip: int
    options: dict[str, Any] = field(default_factory=dict)


class Faults:
    """The faults of one board.

    :ivar busy: nothing runs on the board, in the fault ``busy``
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._planted: list[_Planted] = []
        self._tail = b""
        self._trickling = bytearray()
        self._met: list[str] = []
        self._clear()

    def _clear(self) -> None:
        self.busy = self._silent = self._noisy = self._no_raw_paste = self._offline = False
        self._renumbered: int | None = None
        self._late_s = self._trickle_s = 0.0
        self._new_address = False
        self._flash = self._rtc = ""  # the fault of each

    # What the supervisor asks for

    def plant(
        self,
        name: str,
        *,
        seen: str = "",
        nth: int = 1,
        skip: int = 0,
        on_reset: bool = False,
        **options: Any,
    ) -> None:
        """Planted again, it has yet to be met again.

        :raises BenchError: there is no such fault
        :raises TypeError: it has no such option
        :raises OSError: it cannot be brought about here
        """
        import inspect  # 9 ms that a board's start is spared

        does = getattr(self, f"_do_{name}", None)
        if does is None:
            names = sorted(each[4:] for each in dir(self) if each.startswith("_do_"))
            raise BenchError(f"no such fault; there are {', '.join(names)}")
        if len(seen) > _LONGEST_TEXT:
            raise BenchError(f"'seen' is longer than {_LONGEST_TEXT} characters")
        inspect.signature(does).bind(**options)  # now, and not when it strikes
        self._met = [one for one in self.met if one != name]
        planted = _Planted(name, seen.encode(), nth, skip, options)
        if seen or on_reset:
            self._planted.append(planted)
        else:
            self._strike(planted)

    @property
    def met(self) -> list[str]:
        """The names of those that somebody has met, in order."""
        if self._flash and self._machine.storage.spoilt:
            self._meet(self._flash)
        return self._met

    def heal(self) -> None:
        """As if none had ever been planted. A port that is away comes back, and a board that is in
        its bootloader; power does not, and what was written stays as it is."""
        machine = self._machine
        self._planted.clear()
        self._met = self.met
        self._trickling.clear()
        for name in ("busy", "replug", "trickle"):
            machine.events.cancel(name)
        if self.busy:
            self._end_busy()
        machine.storage.spoil_writes()
        machine.storage.break_clock("")
        machine.link.announces = machine.board["mdns"]
        if self._offline:
            self._set_online(True)
        self._clear()
        if "bootloader" in self._met and machine.phase in ("bootloader", "stuck"):
            machine.loader_fault = None
            machine.hard_reset()
        machine.replug()

    def _strike(self, fault: _Planted) -> None:
        getattr(self, f"_do_{fault.name}")(**fault.options)
        if fault.name not in _LASTING:
            self._meet(fault.name)

    def _meet(self, name: str) -> None:
        if name not in self._met:
            self._met.append(name)

    # Where the machine asks

    def from_host(self, data: bytes) -> bytes:
        """What of the host's bytes reaches the board."""
        if self._silent:
            self._meet("silent")
            return b""
        if self._no_raw_paste and _RAW_PASTE in data:
            self._meet("no_raw_paste")
            data = data.replace(_RAW_PASTE, b"")
            self._machine.say(b"R\x00>")
        for fault in [each for each in self._planted if each.seen]:
            self._look(fault, data)
        self._tail = (self._tail + data)[-_LONGEST_TEXT:]
        return data

    def _look(self, fault: _Planted, data: bytes) -> None:
        """Strike if this is the last of what it waits for."""
        if fault.nth:
            # One byte less than the text: what ended in the tail has been counted.
            before = self._tail[max(0, len(self._tail) - len(fault.seen) + 1) :]
            ends = [match.end() for match in re.finditer(re.escape(fault.seen), before + data)]
            if len(ends) < fault.nth:
                fault.nth -= len(ends)
                return
            data = (before + data)[ends[fault.nth - 1] :]
            fault.nth = 0
        fault.skip -= len(data)
        if fault.skip <= 0:
            self._planted.remove(fault)
            self._strike(fault)

    def to_host(self, data: bytes) -> bytes:
        """What of the board's bytes goes out now."""
        if self._silent:
            return b""
        if self._trickle_s:
            self._trickling += data
            self._trickle()
            return b""
        return data

    def _trickle(self) -> None:
        if not self._machine.events.waits("trickle") and self._trickling:
            self._machine.events.after("trickle", self._trickle_s, self._trickle_one)

    def _trickle_one(self) -> None:
        self._meet("trickle")
        if self._machine.plug is not None:
            self._machine.plug.port.write(bytes(self._trickling[:1]))
        del self._trickling[:1]
        self._trickle()

    def on_reset(self, seconds: float) -> float:
        """A hard reset that would take ``seconds``: how long this one takes."""
        for fault in [each for each in self._planted if not each.seen]:
            fault.nth -= 1
            if fault.nth <= 0:
                self._planted.remove(fault)
                self._strike(fault)
        if self._new_address:
            self._meet("new_address")
            self._new_address = False
            self._machine.on_new_address()
        if self._renumbered is not None:
            self._meet("renumber")
            self._renumbered += 1
        if self._rtc:
            self._meet(self._rtc)
        self._trickling.clear()
        self._end_busy()
        late, self._late_s = self._late_s, 0.0
        if late:
            self._meet("late")
        return seconds + late

    def greeting(self) -> bytes:
        """What the board says before it boots."""
        if not self._noisy:
            return b""
        self._meet("noise")
        return NOISE

    @property
    def device(self) -> str:
        """The name of the port."""
        return f"tty{self._renumbered or ''}"

    # The faults

    def _do_silent(self) -> None:
        self._silent = True

    def _do_vanish(self, seconds: float | None = None, renumbered: bool = False) -> None:
        machine = self._machine
        machine.unplug()
        if renumbered:
            self._renumbered = (self._renumbered or 0) + 1
        if seconds is not None:
            machine.events.after("replug", seconds, machine.replug)

    def _do_renumber(self) -> None:
        self._renumbered = 0

    def _do_late(self, seconds: float) -> None:
        self._late_s = seconds

    def _do_noise(self) -> None:
        self._noisy = True

    def _do_trickle(self, seconds: float = 0.05) -> None:
        self._trickle_s = seconds

    def _do_no_raw_paste(self) -> None:
        self._no_raw_paste = True

    def _do_busy(self, seconds: float) -> None:
        self.busy = True
        self._signal(signal.SIGSTOP)
        self._machine.events.after("busy", seconds, self._end_busy)

    def _end_busy(self) -> None:
        if self.busy:
            self.busy = False
            self._machine.events.cancel("busy")
            self._signal(signal.SIGCONT)
            self._machine.pump_input()

    def _signal(self, number: signal.Signals) -> None:
        if self._machine.process is not None:
            os.kill(self._machine.process.pid, number)

    def _do_watchdog(self) -> None:
        self._machine.hard_reset("wdt")

    def _do_bootloader(self, leaving: str | None = None) -> None:
        self._machine.loader_fault = leaving
        self._machine.enter_bootloader()

    def _do_power_cut(self) -> None:
        self._machine.power_off()

    def _do_read_only(self) -> None:
        self._flash = "read_only"
        self._machine.storage.spoil_writes(refuse=True)

    def _do_flip(self, sound: int = 0) -> None:
        self._flash = "flip"
        self._machine.storage.spoil_writes(flip_after=sound)

    def _do_rtc_stopped(self) -> None:
        self._rtc = "rtc_stopped"
        self._machine.storage.break_clock("stopped")

    def _do_rtc_deaf(self) -> None:
        self._rtc = "rtc_deaf"
        self._machine.storage.break_clock("deaf")

    def _do_wifi_lost(self) -> None:
        self._offline = True
        self._set_online(False)

    def _set_online(self, on: bool) -> None:
        self._machine.set_online(on)
        if self._machine.process is not None:
            drop_packets(self._machine.process.pid, not on)

    def _do_new_address(self) -> None:
        """At the reset that it was planted for, or at the next."""
        self._new_address = True

    def _do_no_mdns(self) -> None:
        self._machine.link.announces = False
