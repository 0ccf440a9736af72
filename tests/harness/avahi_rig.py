"""avahi-daemon in a network namespace of the test's own, so that it disturbs nobody."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SOCKET = "/run/avahi-daemon/socket"
"""Where it can be asked without D-Bus, in lines of text: what nss-mdns uses."""

_SERVER = "use-ipv6=no\nenable-dbus=no\n"
_SECTIONS = "[wide-area]\n[publish]\n[reflector]\n[rlimits]\n"

_START = f"""
import pathlib, subprocess, sys, time

def start_avahi():
    options = "--no-drop-root", "--no-chroot", "--no-proc-title"
    subprocess.Popen([*sys.argv[1:], *options], stdout=2)
    while not pathlib.Path({SOCKET!r}).exists():
        time.sleep(0.01)
"""


def beside_avahi(
    require_program: Callable[[str, str], Path],
    folder: Path,
    *,
    server: str,
    links: str,
    program: str,
) -> str:
    """What a Python program prints that has a function ``start_avahi()``. Whatever it leaves
    running ends with it. Skips where no namespace can be had.

    :param server: lines for avahi's own section
    :param links: shell commands that bring the network up
    """
    daemon = require_program("avahi-daemon", "avahi-daemon")
    require_program("unshare", "util-linux")
    require_program("ip", "iproute2")
    if os.geteuid() != 0:
        pytest.skip("needs root: avahi-daemon runs in a network namespace of the test's own")
    (folder / "avahi.conf").write_text(f"[server]\n{_SERVER}{server}{_SECTIONS}")
    (folder / "program.py").write_text(_START + program)
    script = f"""
        set -e
        mount -t tmpfs none /run
        mkdir /run/avahi-daemon
        ip link set lo up
        {links}
        exec {sys.executable} {folder}/program.py {daemon} -f {folder}/avahi.conf
    """
    done = subprocess.run(
        ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    if re.search("unshare.*Operation not permitted|not supported|Unknown device", done.stderr):
        pytest.skip(f"no network namespace here: {done.stderr.strip().splitlines()[-1]}")
    assert done.stdout, done.stderr
    return done.stdout
