"""The board's MicroPython: a process with a console of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import termios
import time
from pathlib import Path

from .safepoint import find_loop, stands_in
from .terminal import make_raw, signals_from_characters

BOOT_SCRIPT = Path(__file__).parent / "bsp" / "_boot.py"
_CONTROL_FD = 3
_HAS_PROC = Path("/proc/self/status").exists()

# How long Ctrl-C waits for a program to sleep or to be between two bytecodes. One look costs
# 0.2 ms; a loop that only allocates is between bytecodes at one look in fifty.
_WAIT_S = 0.3
# One that has not taken it in twice that time will not take the next: the supervisor has more to do
# than to look at it, e.g. to switch off its power.
_DEAF_WAIT_S = 0.01
# And where the program counter is not to be had: for a sleep, and then anywhere but in a file
# operation.
_BLIND_WAIT_S = 0.005


class Process:
    """One life of a MicroPython, from a reset to the next.

    :ivar fd: its console
    :ivar control: the pipe on which it tells the supervisor
    """

    def __init__(self, command: list[str], state: Path) -> None:
        self._busy = state / "busy.bin"
        self._busy.write_bytes(b"\0\0")
        self._loop: range | None = None
        self.fd, slave = os.openpty()
        make_raw(slave, marks_running=True)
        self.control, child_control = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._become(command, state, slave, child_control)
        os.close(slave)
        os.close(child_control)
        os.set_blocking(self.fd, False)
        os.set_blocking(self.control, False)
        self._ended = self._deaf = False

    def _become(self, command: list[str], state: Path, slave: int, control: int) -> None:
        try:
            # The console is its controlling terminal: when the supervisor dies, by SIGKILL too,
            # the kernel hangs up, and SIGHUP ends the MicroPython.
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            # Out of the way of the four descriptors that it gets.
            slave = fcntl.fcntl(slave, fcntl.F_DUPFD, 10)
            control = fcntl.fcntl(control, fcntl.F_DUPFD, 10)
            for fd in (0, 1, 2):
                os.dup2(slave, fd)
            os.dup2(control, _CONTROL_FD)
            os.closerange(_CONTROL_FD + 1, 256)
            for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            os.chdir(BOOT_SCRIPT.parent)
            arguments = [*command, "-i", BOOT_SCRIPT.name, str(state)]
            env = {"PATH": os.defpath, "TZ": "UTC"}
            os.execve(command[0], arguments, env)  # noqa: S606  no shell is wanted
        except BaseException as error:  # noqa: BLE001  this is another process, about to end
            os.write(2, f"{command[0]}: {error}\r\n".encode())
        finally:
            os._exit(127)

    def kill(self) -> None:
        """End it at once, whatever it does."""
        if not self._ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.reap()

    def reap(self) -> int:
        """Wait for its end and close what belonged to it. Returns the exit code."""
        _, status = os.waitpid(self.pid, 0)
        self._ended = True
        os.close(self.fd)
        os.close(self.control)
        return os.waitstatus_to_exitcode(status)

    def interruptible(self) -> bool:
        """Whether a program runs that Ctrl-C would interrupt, as against the REPL's reader."""
        if not _HAS_PROC:
            # Blind to programs that came by raw paste: the unix port leaves them the REPL's mode.
            return signals_from_characters(self.fd)
        return self._catches_interrupt()

    def reads(self) -> bool:
        """Whether the REPL waits for input. False may also mean that it is about to."""
        return not self.interruptible() and (not _HAS_PROC or self._state() == "S")

    def interrupt(self, *, surely_runs: bool = False) -> bool:
        """Deliver Ctrl-C. False: the REPL reads, or the program has turned the interrupt off, and
        the byte is to be passed on.

        The unix port raises KeyboardInterrupt from its signal handler, wherever that hits, and
        a SIGINT while the REPL reads ends it. A camera does neither. So the process is stopped
        and looked at before it gets the signal. That needs Linux's /proc; elsewhere it gets the
        signal where it is.

        :param surely_runs: the caller has seen that a program runs
        """
        if not _HAS_PROC:
            if not (surely_runs or self.interruptible()):
                return False
            os.kill(self.pid, signal.SIGINT)
            return True
        start = time.monotonic()
        while True:
            waited = time.monotonic() - start
            sleeps = self._state() == "S"
            if self._catches_interrupt():
                if self._interrupt_if_safe(slept=sleeps, waited=waited):
                    self._deaf = False
                    return True
            elif sleeps:
                self._deaf = False
                return False
            if waited > (_DEAF_WAIT_S if self._deaf else 2 * _WAIT_S):
                self._deaf = True
                return False
            time.sleep(0.0002)  # no event tells when it gets where it can be interrupted

    def _interrupt_if_safe(self, *, slept: bool, waited: float) -> bool:
        os.kill(self.pid, signal.SIGSTOP)
        try:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            safe = (
                self._catches_interrupt()
                and not self._in_file_operation()
                and self._between_bytecodes(slept=slept, waited=waited)
            )
            if safe:
                os.kill(self.pid, signal.SIGINT)
            return safe
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def _in_file_operation(self) -> bool:
        begun, ended = self._busy.read_bytes()
        return begun != ended

    def _between_bytecodes(self, *, slept: bool, waited: float) -> bool:
        """Or asleep in a system call."""
        if self._loop is None:
            self._loop = find_loop(self.pid) or range(0)
        stands = stands_in(self.pid)
        if not self._loop or stands is None:
            return slept or waited > _BLIND_WAIT_S
        in_call, counter = stands
        if in_call:
            # A program that works on files all the time is hardly ever seen between bytecodes.
            # In one of its system calls Ctrl-C would be lost in the flash's callback; elsewhere
            # it mostly gets through.
            return slept
        return counter in self._loop or waited > _WAIT_S

    def _state(self) -> str:
        """One letter as in proc(5): S sleeps, R runs, Z has ended."""
        try:
            text = Path(f"/proc/{self.pid}/stat").read_text()
        except OSError:
            return "Z"
        return text.rpartition(")")[2].split()[0]

    def _catches_interrupt(self) -> bool:
        try:
            text = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return False
        caught = int(text.partition("SigCgt:")[2].split()[0], 16)
        return bool(caught & 1 << (signal.SIGINT - 1))
