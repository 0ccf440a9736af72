"""What the doctor finds of a host: each ailment is planted, and told with its next step."""

from __future__ import annotations

import importlib.metadata
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hil import config
from hil.config import TargetSpec
from hil.deadline import Deadline
from hil.discovery.usb import UsbPort
from hil.doctor import Examined, examined, print_table, programs
from hil.doctor.examined import Probe
from hil.doctor.examining import host_probes
from hil.doctor.host import Host
from hil.errors import BenchError

N6 = "kind: board\n    model: openmv-n6\n    usb_serial: 346534563033\n    provision: true"
REMOTE = "kind: board\n    model: openmv-n6\n    port: rfc2217://loft-pi:4000"
VIRTUAL = "kind: virtual\n    model: openmv-n6"

Examine = Callable[..., Examined]


@pytest.fixture
def specs(tmp_path: Path) -> Callable[[str], tuple[TargetSpec, ...]]:
    def of(entry: str) -> tuple[TargetSpec, ...]:
        path = tmp_path / "devices.yaml"
        path.write_text(f"targets:\n  porch:\n    {entry}\n")
        return config.select(config.read(path), None)

    return of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder of a Linux host on which nothing runs."""
    (tmp_path / "root/proc").mkdir(parents=True)
    return tmp_path / "root"


@pytest.fixture
def examine(tmp_path: Path, root: Path, specs: Callable[[str], tuple[TargetSpec, ...]]) -> Examine:
    """``examine("disk", N6)``: the one line about the disk of a bench with this target."""

    def one(what: str, entry: str = N6, **of_host: object) -> Examined:
        fields = {"ports": (), "state": tmp_path / ".hil", "root": root, **of_host}
        here = Host(specs(entry), **fields)  # type: ignore[arg-type]
        (probe,) = [probe for probe in host_probes(here) if probe.what == what]
        (found,) = examined.run([probe], Deadline.after(10))
        assert found.who == "host"
        return found

    return one


def runs(root: Path, pid: int, name: str) -> None:
    (root / f"proc/{pid}").mkdir()
    (root / f"proc/{pid}/comm").write_text(f"{name}\n")


def rule(root: Path, folder: str, file: str, text: str) -> Path:
    path = root / folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# --- the running of many ------------------------------------------------------------------------


def test_a_probe_that_hangs_holds_nothing_up() -> None:
    never = threading.Event()

    def hangs(deadline: Deadline) -> Iterator[Examined]:
        yield Examined("porch", "secrets", "ok", "all set")
        never.wait()

    def answers(deadline: Deadline) -> Iterator[Examined]:
        yield Examined("shed", "secrets", "ok", "all set")

    def fails(deadline: Deadline) -> Iterator[Examined]:
        raise BenchError("no port", hint="plug it in")

    start = time.monotonic()
    found = examined.run(
        [Probe("porch", "port", hangs), Probe("shed", "", answers), Probe("attic", "port", fails)],
        Deadline.after(0.5),
    )
    assert time.monotonic() - start < 5
    assert [(one.who, one.what, one.status) for one in found] == [
        ("porch", "secrets", "ok"),
        ("porch", "port", "warn"),
        ("shed", "secrets", "ok"),
        ("attic", "port", "fail"),
    ]
    assert "did not come back" in found[1].told
    assert found[3].next_step == "plug it in"


def test_a_probe_with_a_bug_says_so_at_once() -> None:
    def buggy(deadline: Deadline) -> Iterator[Examined]:
        yield Examined("porch", "secrets", "ok", "all set")
        raise ZeroDivisionError("division by zero")

    start = time.monotonic()
    found = examined.run([Probe("porch", "port", buggy)], Deadline.after(20))
    assert time.monotonic() - start < 10
    assert [(one.what, one.status) for one in found] == [("secrets", "ok"), ("port", "fail")]
    assert "ZeroDivisionError: division by zero" in found[1].told
    assert "test_doctor_host.py:" in found[1].told


def test_a_long_path_is_shown_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    path = "/" + "a" * 200
    print_table([Examined("host", "inventory", "fail", path, f"mend {path}")])
    told = "".join(line.removeprefix(" fail  host").strip() for line in capsys.readouterr().out)
    assert told.count("a" * 200) == 2


def test_what_was_lent_is_given_back_before_the_end() -> None:
    """A REPL probe that is late: what it found does not count, but it ends before Python does."""
    script = """
import sys, time
from hil.deadline import Deadline
from hil.doctor import examined
def late(deadline):
    time.sleep(0.5)
    print("given back")
    yield examined.Examined("porch", "REPL", "ok", "")
found = examined.run([examined.Probe("porch", "REPL", late, lent=LENT)], Deadline.after(0.1))
print(found[0].status)
"""

    def says(lent: str) -> str:
        argv = [sys.executable, "-c", script.replace("LENT", lent)]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

    assert says("True") == "warn\ngiven back\n"
    assert says("False") == "warn\n"


# --- programs -----------------------------------------------------------------------------------


def test_packages_are_shown_with_their_versions(examine: Examine) -> None:
    found = examine("packages")
    assert found.status == "ok"
    assert f"mpremote {importlib.metadata.version('mpremote')}" in found.told


def test_a_package_of_another_version_is_told(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "1.20" if name == "mpremote" else real(name)
    )
    found = examine("packages")
    assert (found.status, found.told) == ("fail", "mpremote is 1.20, not ==1.29.*")
    assert "pip install" in found.next_step


@pytest.mark.parametrize(("entry", "status"), [(VIRTUAL, "fail"), (N6, "note")])
def test_without_micropython_only_the_embedded_bench_fails(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, entry: str, status: str
) -> None:
    monkeypatch.setenv("HIL_MICROPYTHON", "/nowhere/micropython")
    found = examine("MicroPython", entry)
    assert found.status == status
    assert "no such program" in found.told


def test_a_micropython_that_is_none_is_told(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIL_MICROPYTHON", "/bin/echo")
    assert examine("MicroPython", VIRTUAL).status == "fail"


def tool(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str | None) -> None:
    folder.mkdir()
    if script:
        (folder / "dfu-util").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "dfu-util").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}")


@pytest.mark.parametrize(
    ("entry", "status"), [(N6, "note"), (f"{N6}\n    flash: {{image: app.bin}}", "fail")]
)
def test_a_missing_flashing_tool_fails_only_where_a_run_flashes(
    specs: Callable[[str], tuple[TargetSpec, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    entry: str,
    status: str,
) -> None:
    tool(tmp_path / "bin", monkeypatch, None)
    (found,) = programs.tools(Host(specs(entry), (), tmp_path), Deadline.after(5))
    assert (found.what, found.status) == ("dfu-util", status)
    assert ("asks for it: porch" in found.told) == (status == "fail")
    assert "apt install dfu-util" in found.next_step


def test_a_board_whose_power_a_hub_switches_needs_uhubctl(
    specs: Callable[[str], tuple[TargetSpec, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(programs.shutil, "which", lambda *_, **__: None)
    powered = f"{N6}\n    power: {{uhubctl: {{hub: 1-1, port: 2}}}}"
    found = {
        one.what: one
        for one in programs.tools(Host(specs(powered), (), tmp_path), Deadline.after(5))
    }
    assert found["uhubctl"].status == "fail"
    assert "apt install uhubctl" in found["uhubctl"].next_step


def test_a_flashing_tool_tells_its_version_and_one_that_hangs_is_left(
    specs: Callable[[str], tuple[TargetSpec, ...]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = Host(specs(N6), (), tmp_path)
    tool(tmp_path / "bin", monkeypatch, "echo dfu-util 0.11; echo more")
    (found,) = programs.tools(here, Deadline.after(5))
    assert (found.status, found.told) == ("ok", "dfu-util 0.11")
    tool(tmp_path / "slow", monkeypatch, "exec /bin/sleep 60")
    start = time.monotonic()
    (found,) = programs.tools(here, Deadline.after(1.2))
    assert time.monotonic() - start < 10
    assert "no answer" in found.told


def test_no_tool_is_asked_for_that_no_listed_board_needs(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert examine("flashing tools", VIRTUAL).status == "skip"


# --- the NTP port -------------------------------------------------------------------------------


def test_a_taken_ntp_port_names_who_has_it(examine: Examine) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        found = examine("NTP port", ntp_port=port, root=Path("/"))
    assert found.status == "warn"
    assert f"(pid {os.getpid()})" in found.told
    assert found.next_step
    assert examine("NTP port", ntp_port=port, root=Path("/")).status == "ok"


def test_an_ntp_port_that_is_not_ours_to_open_names_the_setting(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.socket.bind", refuse)
    found = examine("NTP port")
    assert found.status == "warn"
    assert "ip_unprivileged_port_start=123" in found.next_step


def test_the_embedded_bench_needs_no_ntp_port(examine: Examine) -> None:
    assert examine("NTP port", VIRTUAL).status == "skip"


# --- serial ports -------------------------------------------------------------------------------


def usb_port(device: str) -> UsbPort:
    return UsbPort(device, 0x37C5, 0x1206, "3465", "OpenMV Camera", "1-2", "openmv-n6", "run")


def test_a_serial_port_without_permission_names_the_group(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import grp

    device = tmp_path / "ttyACM0"
    device.touch(mode=0)
    dialout = grp.getgrnam("dialout").gr_gid
    if os.getuid() == 0:  # who may open everything
        os.chown(device, 0, dialout)
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    found = examine("serial ports", ports=(usb_port(str(device)),))
    assert found.status == "fail"
    assert str(device) in found.told
    if os.getuid() == 0:
        assert found.next_step.startswith("sudo usermod -aG dialout")


def test_a_board_that_is_not_listed_is_named(examine: Examine) -> None:
    found = examine("unlisted", ports=(usb_port("/dev/ttyACM7"),))
    assert found.status == "note"
    assert "/dev/ttyACM7" in found.told


# --- who looks at a new device ------------------------------------------------------------------

MEDDLERS = [
    ("ModemManager", "ModemManager", 'ENV{ID_MM_DEVICE_IGNORE}="1"'),
    ("automount", "udisksd", 'ENV{UDISKS_IGNORE}="1"'),
]


@pytest.mark.parametrize(("what", "process", "setting"), MEDDLERS)
def test_a_meddler_is_kept_off_by_a_rule_for_every_id(
    examine: Examine, root: Path, what: str, process: str, setting: str
) -> None:
    assert examine(what).status == "ok", "it does not run"
    runs(root, 77, process)
    found = examine(what)
    assert found.status == "warn"
    assert f"{process} (pid 77)" in found.told
    assert "37c5:1206" in found.told
    assert "hil doctor --udev" in found.next_step
    other = f'ATTRS{{idVendor}}=="37c5", ATTRS{{idProduct}}=="16e3", {setting}\n'
    rule(root, "etc/udev/rules.d", "50-other.rules", other)
    assert examine(what).status == "warn", "the rule is for another board"
    both = (
        f'ATTRS{{idVendor}}=="37c5", ATTRS{{idProduct}}=="12*", \\\n  {setting}\n'
        f'ENV{{ID_VENDOR_ID}}=="1209", ENV{{ID_MODEL_ID}}=="ABD1", {setting}\n'
    )
    rule(root, "usr/lib/udev/rules.d", "77-openmv.rules", both)
    assert examine(what).status == "ok"
    rule(root, "etc/udev/rules.d", "77-openmv.rules", "# switched off by the admin\n")
    assert examine(what).status == "warn", "the file in /etc takes the place of the other"
    rule(root, "run/udev/rules.d", "78.rules", "# " + both.replace("\n", "\n# "))
    assert examine(what).status == "warn", "a comment is no rule"


@pytest.mark.parametrize("what", ["ModemManager", "automount", "udev"])
def test_the_rules_that_the_doctor_prints_satisfy_the_doctor(
    examine: Examine, root: Path, what: str
) -> None:
    from hil.doctor.udev import rules

    runs(root, 77, "ModemManager")
    runs(root, 78, "udisksd")
    assert examine(what).status in ("warn", "note")
    rule(root, "etc/udev/rules.d", "70-hil.rules", rules())
    assert examine(what).status == "ok"


@pytest.mark.parametrize("entry", [VIRTUAL, REMOTE])
def test_without_a_board_on_usb_here_nobody_meddles(examine: Examine, entry: str) -> None:
    whats = ("ModemManager", "automount", "udev", "flashing tools")
    assert {examine(what, entry).status for what in whats} == {"skip"}


# --- room ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "status"), [(1, "fail"), (20, "warn")])
def test_a_full_disk_is_told(examine: Examine, tmp_path: Path, size: int, status: str) -> None:
    assert examine("disk").status == "ok"
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "none", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs a root that may mount")
    try:
        found = examine("disk", state=small / ".hil")
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert found.status == status
    assert f"{size * 1024**2 / 1e6:.0f} MB free" in found.told
    assert "make room" in found.next_step


def test_a_folder_that_cannot_be_written_to_is_told(
    examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    found = examine("disk", state=tmp_path / "new" / ".hil")
    assert (found.status, found.told) == ("fail", f"{tmp_path} cannot be written to")


@pytest.mark.parametrize(("mode", "status"), [(0o777, "ok"), (0o1777, "warn"), (0o755, "warn")])
def test_a_lock_folder_is_for_everybody(
    examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, status: str
) -> None:
    folder = tmp_path / "locks"
    monkeypatch.setenv("HIL_LOCKS", str(folder))
    assert examine("locks").status == "ok", "it is made when it is needed"
    folder.mkdir()
    folder.chmod(mode)
    found = examine("locks")
    assert found.status == status
    assert (f"chmod 0777 {folder}" in found.next_step) == (status == "warn")


def test_a_lock_folder_that_cannot_be_used_is_a_failure(
    examine: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locks").mkdir()
    monkeypatch.setenv("HIL_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert examine("locks").status == "fail"
