"""Runs one program for the bench, and ends it with the bench, however that ends.

A script of its own, not imported: between the bench and each program that it starts there is one of
these. Its standard input is a pipe of which only the bench has the other end. A line of JSON on it
tells what to run; after that, ``t`` asks the program to end (SIGTERM), and the pipe's end, which
also comes when the bench is killed, ends it and whatever it has started in its process group
(SIGKILL). The program's output goes where this process's goes, its exit status is passed on. The
file descriptor of the first argument is told the program's pid, or why there is none; that of the
second is only kept open (:mod:`hil.process.folder`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading

_STDIN = 0
# 128 + number of a signal, as shells tell it; 127: there is no such program.
_NO_PROGRAM = 127
# libfaketime names what it shares between processes after the first of them.
_SHARED = ("/dev/shm/faketime_shm_{}", "/dev/shm/sem.faketime_sem_{}")  # noqa: S108


def main() -> None:
    report, holds = map(int, sys.argv[1:])
    for inherited in (report, holds):
        os.set_inheritable(inherited, False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the bench ends it, nobody else
    wanted = json.loads(_line())
    try:
        pid = os.posix_spawn(
            wanted["argv"][0],
            wanted["argv"],
            wanted["env"],
            file_actions=[(os.POSIX_SPAWN_OPEN, _STDIN, os.devnull, os.O_RDONLY, 0)],
            setpgroup=0,
            setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
        )
    except OSError as error:
        os.write(report, f"{error.strerror}\n".encode())
        os._exit(_NO_PROGRAM)
    os.write(report, f"{pid}\n".encode())
    os.close(report)
    threading.Thread(target=_await_end, args=(pid,), daemon=True).start()
    while asked := os.read(_STDIN, 64):
        if b"t" in asked:
            _signal(os.kill, pid, signal.SIGTERM)
    _signal(os.killpg, pid, signal.SIGKILL)
    signal.pause()  # until the other thread ends this process


def _line() -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        piece = os.read(_STDIN, 1 << 16)
        if not piece:
            os._exit(0)
        line += piece
    return bytes(line)


def _await_end(pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    _signal(os.killpg, pid, signal.SIGKILL)
    for name in _SHARED:
        with contextlib.suppress(OSError):
            os.unlink(name.format(pid))  # noqa: PTH108  pathlib takes as long to import as the rest
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def _signal(send: object, pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        send(pid, number)  # type: ignore[operator]


if __name__ == "__main__":
    main()
