"""One holder per board, across threads, processes and users."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil import lock
from hil.config import TargetSpec
from hil.deadline import Deadline
from hil.discovery import usb
from hil.errors import BenchError
from hil.lock import HeldError, Holder, hold, holder
from hil.process_entry import ProcessSpec

SERIAL = "346534563033"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    path = tmp_path / "locks"
    monkeypatch.setenv("HIL_LOCKS", str(path))
    return path


@pytest.fixture
def other_process():
    """Another process that holds a board until it is killed or its input is closed."""
    started = []

    def start(key, purpose="checks on porch"):
        code = (
            "import sys; from hil.lock import hold; from hil.deadline import Deadline\n"
            "with hold(sys.argv[1], sys.argv[2], Deadline.after(10)):\n"
            "    print('held', flush=True); sys.stdin.read()\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, key, purpose],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_board_is_held_for_the_block_and_free_after_it():
    assert holder(SERIAL) is None
    with hold(SERIAL, "checks on porch", Deadline.after(1)):
        who = holder(SERIAL)
        assert (who.pid, who.purpose) == (os.getpid(), "checks on porch")
        assert who.since.endswith("+00:00")
    assert holder(SERIAL) is None


def test_it_is_free_after_an_error_too():
    with pytest.raises(ZeroDivisionError), hold(SERIAL, "x", Deadline.after(1)):
        raise ZeroDivisionError
    assert holder(SERIAL) is None


def test_whoever_waits_in_vain_is_told_for_whom(other_process):
    process = other_process(SERIAL)
    waited_for = []
    begun = time.monotonic()
    with (
        pytest.raises(HeldError) as caught,
        hold(SERIAL, "x", Deadline.after(0.3), on_wait=waited_for.append),
    ):
        pytest.fail("two holders")
    assert 0.25 < time.monotonic() - begun < 2
    message = str(caught.value)
    assert f"{SERIAL} is held by " in message
    assert f"(pid {process.pid}) since 20" in message
    assert "UTC for checks on porch" in message
    assert f"end process {process.pid}" in message
    assert [who.pid for who in waited_for] == [process.pid]


def test_whoever_waits_is_told_when_it_is_for_somebody_else(other_process):
    process = other_process(SERIAL, "the first")
    told = []

    def on_wait(who):
        told.append(who.purpose)
        if len(told) == 1:
            process.kill()
            process.wait()
            other_process(SERIAL, "the second")

    with pytest.raises(HeldError), hold(SERIAL, "x", Deadline.after(2), on_wait=on_wait):
        pytest.fail("two holders")
    assert told == ["the first", "the second"]


def test_waiting_ends_when_it_is_given_up(other_process):
    other_process(SERIAL)
    begun = time.monotonic()
    with (
        pytest.raises(HeldError),
        hold(SERIAL, "x", Deadline.after(60), given_up=lambda: time.monotonic() > begun + 0.3),
    ):
        pytest.fail("two holders")
    assert time.monotonic() - begun < 10


def test_boards_are_held_one_by_one(other_process):
    other_process("another board")
    with hold(SERIAL, "x", Deadline.after(1)):
        pass


def test_the_case_of_a_serial_number_does_not_count(other_process):
    other_process("AABBcc")
    with pytest.raises(HeldError), hold("aabbCC", "x", Deadline.after(0)):
        pytest.fail("two holders")


def test_a_killed_holder_has_let_go(other_process):
    process = other_process(SERIAL)
    threading.Timer(0.2, process.send_signal, [signal.SIGKILL]).start()
    with hold(SERIAL, "the next run", Deadline.after(10)):
        assert holder(SERIAL).purpose == "the next run"


def test_the_record_of_a_dead_process_is_not_believed(other_process, folder):
    process = other_process(SERIAL, "what it was killed in")
    process.send_signal(signal.SIGKILL)
    process.wait()
    (record,) = folder.glob("*.json")
    left_behind = record.read_text()
    assert "what it was killed in" in left_behind
    assert holder(SERIAL) is None
    # Nor if somebody else holds the lock by now and has not yet written who it is.
    with hold(SERIAL, "x", Deadline.after(1)):
        record.write_text(left_behind)
        assert holder(SERIAL) == Holder()
        assert str(holder(SERIAL)) == "another process, which has left no record"


def test_it_may_be_given_back_by_another_thread():
    block = hold(SERIAL, "x", Deadline.after(1))
    with ThreadPoolExecutor(1) as taker, ThreadPoolExecutor(1) as giver:
        taker.submit(block.__enter__).result()
        giver.submit(block.__exit__, None, None, None).result()
        assert holder(SERIAL) is None
        taker.submit(int).result()  # that thread still lives


def test_two_threads_never_hold_it_together():
    inside, most = [], []

    def work():
        for _ in range(5):
            with hold(SERIAL, "x", Deadline.after(30)):
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (max(most), len(most)) == (1, 20)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_all_users_share_the_folder_and_its_files(folder):
    before = os.umask(0o077)
    try:
        with hold(SERIAL, "x", Deadline.after(1)):
            modes = {path.suffix: path.stat().st_mode & 0o7777 for path in folder.iterdir()}
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o7777 == 0o777
    assert modes == {".lock": 0o666, ".json": 0o666}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root")
def test_a_board_goes_from_one_user_to_another():
    """Also after a crash, which leaves files that belong to the first user."""
    code = (
        "import os, sys, filelock; from hil.lock import hold, holder\n"
        "from hil.deadline import Deadline\n"
        "os.setuid(int(sys.argv[1]))\n"
        "with hold('board', sys.argv[1], Deadline.after(1)):\n"
        "    print(holder('board').purpose, flush=True)\n"
        "    if sys.argv[2] == 'dies': os.kill(os.getpid(), 9)\n"
    )
    with tempfile.TemporaryDirectory(dir="/tmp") as reachable:  # pytest's own is root's alone
        folder = Path(reachable, "locks")
        folder.mkdir()
        folder.chmod(0o777)
        Path(reachable).chmod(0o755)
        for user, end in (("12345", "dies"), ("23456", "ends"), ("12345", "ends")):
            ran = subprocess.run(
                [sys.executable, "-c", code, user, end],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "HIL_LOCKS": str(folder)},
            )
            assert ran.stdout == f"{user}\n", ran.stderr


@pytest.mark.parametrize("key", ["rfc2217://bench:4000", "/dev/serial/by-path/a:b", "ü", "..", ""])
def test_any_key_makes_a_file_in_the_folder(folder, key):
    with hold(key, "x", Deadline.after(1)):
        assert holder(key) is not None
        assert len(list(folder.iterdir())) == 2


def target(**listed):
    return TargetSpec(name="porch", where="", kind="board", model="openmv-n6", **listed)


@pytest.fixture
def attached(monkeypatch):
    """What is on USB."""
    ports = []
    monkeypatch.setattr(usb, "usb_ports", lambda: list(ports))
    return ports


def device(path, serial, location):
    return usb.UsbPort(str(path), 0x37C5, 0x1206, serial, None, location, "openmv-n6", "run")


def both_held(one, other):
    """Whether two who list these hold their boards at the same time."""
    with hold(lock.key_of(one), "x", Deadline.after(1)):
        told = holder(lock.key_of(other))
        try:
            with hold(lock.key_of(other), "y", Deadline.after(0)):
                assert told is None
                return True
        except HeldError:
            # Of several names, each is taken in its own moment: not always in the same second.
            own = holder(lock.key_of(one))
            assert told
            assert own
            assert replace(told, since="") == replace(own, since="")
            return False


def test_one_board_under_several_names_has_one_holder(attached, tmp_path):
    tty, link = tmp_path / "ttyACM0", tmp_path / "by-path"
    tty.touch()
    link.symlink_to(tty)
    by_link, by_tty = target(port=str(link)), target(port=str(tty))
    by_number = target(usb_serial=SERIAL.lower())

    attached[:] = [device(tty, SERIAL, "1-2")]
    assert not both_held(by_link, by_number)
    assert not both_held(by_number, by_link)
    assert not both_held(by_link, by_tty)
    attached[:] = [device(tty, None, "1-2")]
    assert not both_held(by_link, by_tty)
    attached.clear()  # no USB behind it
    assert not both_held(by_link, by_tty)
    assert not both_held(by_link, by_link)


def test_a_server_is_that_of_its_folder_or_of_its_url():
    def started(name, folder):
        process = ProcessSpec(("serve", "{port}"), {}, folder, None, {})
        return TargetSpec(name=name, where="", kind="process", process=process)

    def at(url, name):
        return TargetSpec(name=name, where="", kind="url", url=url)

    assert both_held(started("films", "/one"), started("films", "/another"))
    assert both_held(started("films", "/one"), started("users", "/one"))
    assert not both_held(started("films", "/one"), started("films", "/one"))
    assert both_held(at("http://a", "shop"), at("http://b", "shop"))
    assert not both_held(at("http://a", "shop"), at("http://a", "till"))


def test_two_boards_with_one_number_are_held_one_by_one(attached, tmp_path):
    ttys = [tmp_path / "ttyACM0", tmp_path / "ttyACM1"]
    attached[:] = [device(tty, "0001", f"1-{at}") for at, tty in enumerate(ttys)]
    assert both_held(*(target(port=str(tty)) for tty in ttys))


def test_a_board_that_is_away_for_a_moment_stays_held(attached, tmp_path):
    tty = tmp_path / "ttyACM0"
    attached[:] = [device(tty, SERIAL, "1-2")]
    with hold(lock.key_of(target(port=str(tty))), "x", Deadline.after(1)):
        attached.clear()
        assert holder(lock.key_of(target(port=str(tty))))
        assert holder(SERIAL)


def test_keys_that_look_alike_are_two_boards():
    with hold("a/b", "x", Deadline.after(1)), hold("a:b", "x", Deadline.after(0)):
        pass


def test_a_folder_that_cannot_be_used_is_the_bench_s_fault(folder):
    folder.write_text("a file")
    with (
        pytest.raises(BenchError, match="locks cannot be used"),
        hold(SERIAL, "x", Deadline.after(1)),
    ):
        pytest.fail("held")


def test_a_folder_that_cannot_be_read_is_the_bench_s_fault(folder, monkeypatch):
    folder.mkdir()

    def denied(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "lstat", denied)  # root may read all
    with pytest.raises(BenchError, match=r"locks cannot be used: .*locks: Permission denied"):
        holder(SERIAL)


@given(st.one_of(st.binary(max_size=50), st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["pid", "user", "host", "since", "purpose"]), inner),
).map(lambda value: json.dumps(value).encode())))  # fmt: skip
def test_any_record_is_read_or_not_believed(tmp_path_factory, content):
    record = tmp_path_factory.getbasetemp() / f"record-{os.getpid()}.json"
    record.write_bytes(content)
    assert str(lock._read(record))
