"""ROMFS through the real mpremote, onto a virtual board.

MicroPython's unix port has no ``vfs.rom_ioctl``, so ``boot.py`` gives the board one: its partitions
are files on the flash. mpremote, the REPL, the deploying and the reading back are real.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from jobs import CONSENT, Seen, job
from mpremote.romfs import make_romfs

from hil.deadline import Deadline
from hil.errors import BenchError
from hil.flash import flow, romfs
from hil.flash.method import FlashError, Image, Reason, RefusedError, Step, method, quiet
from hil.link import files
from hil.link.board import BoardLink
from hil.virtual.board import VirtualBoard

SIZE = 64 * 1024

# Partition 0 is memory, as on boards with mapped flash; 1 is a block device, as behind SPI.
BOOT = """\
import sys, vfs as real
SIZE, BLOCK, FAULT = 65536, 4096, {fault!r}
class V: pass
for name in dir(real):
    if not name.startswith('__'): setattr(V, name, getattr(real, name))
def load(n):
    try:
        with open('rom%d' % n, 'rb') as f: return bytearray(f.read())
    except OSError: return bytearray(SIZE)
def save(n, data):
    with open('rom%d' % n, 'wb') as f: f.write(data)
memory = load(0)
def store(data, at, buf):
    if FAULT == 'raises' and at: raise OSError(5)
    data[at:at + len(buf)] = buf
    if FAULT == 'spoils': data[at] ^= 1
class Device:
    def __init__(self): self.data = load(1)
    def ioctl(self, op, arg):
        if op == 4: return SIZE // BLOCK
        if op == 5: return BLOCK
        if op == 6: self.data[arg * BLOCK:(arg + 1) * BLOCK] = b'\\xff' * BLOCK
    def readblocks(self, n, buf, off=0): buf[:] = self.data[n * BLOCK + off:][:len(buf)]
    def writeblocks(self, n, buf, off=0):
        store(self.data, n * BLOCK + off, buf)
        save(1, self.data)
device = Device()
def rom_ioctl(op, n=0, *args):
    if op == 1: return 2
    if op == 2: return (memory, device)[n] if n < 2 else -22
    if op == 6: return BLOCK
    if op == 3: memory[args[0]:args[0] + args[1]] = b'\\xff' * args[1]; return 4
    if op == 4: store(memory, *args)
    if op == 5: save(0, memory)
    return 0
V.rom_ioctl = rom_ioctl
sys.modules['vfs'] = V
"""


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("romfs")
    with VirtualBoard.start("romfs", state=folder / "state", bus=folder / "bus") as board:
        yield board


@pytest.fixture
def link(board: VirtualBoard) -> Iterator[BoardLink]:
    with BoardLink("porch", board.device, consent=board.consent) as link:
        yield link


def offer(link: BoardLink, fault: str | None = None) -> None:
    """Have the board offer partitions from its next boot on."""
    deadline = Deadline.after(20)
    with link.repl(deadline) as repl:
        files.write_file(repl, "boot.py", BOOT.format(fault=fault).encode(), deadline)
        repl.soft_reset(deadline)


@pytest.fixture(scope="module")
def rom(tmp_path_factory) -> Image:
    """As ``mpremote romfs build`` makes it, of a few files."""
    folder = tmp_path_factory.mktemp("content")
    (folder / "lib").mkdir()
    (folder / "lib" / "words.txt").write_text("in the ROM\n")
    (folder / "noise.bin").write_bytes(random.Random(1).randbytes(9000))
    return Image("ROMFS0", make_romfs(str(folder), mpy_cross=False), "romfs0.img")


def work(link: BoardLink, *images: Image, **more):
    return job("openmv-n6", "romfs", *images, **{"link": link, **more})


def on_board(link: BoardLink, code: str) -> str:
    deadline = Deadline.after(20)
    with link.repl(deadline) as repl:
        return repl.exec(code, deadline).decode().strip()


def test_it_is_in_the_registry():
    assert method("romfs") is romfs


@pytest.mark.parametrize("number", [0, 1])
def test_an_image_is_deployed_and_the_board_reads_its_files(link, rom, number):
    offer(link)
    image, seen = Image(f"ROMFS{number}", rom.content, rom.path), Seen()
    assert romfs.supports(work(link, image)) is None
    romfs.flash(work(link, image), seen, Deadline.after(60))
    seen.assert_complete(image.partition, len(rom.content))
    link.come_back(Deadline.after(20))
    told = on_board(
        link,
        f"import vfs\nd=open('rom{number}','rb').read()\n"
        "vfs.mount(vfs.VfsRom(d),'/new')\nprint(open('/new/lib/words.txt').read())",
    )
    assert told == "in the ROM"


def test_the_board_is_reset_at_the_end(board, link, rom):
    offer(link)
    before = board.control("status")["boots"]
    romfs.flash(work(link, rom), quiet, Deadline.after(60))
    link.come_back(Deadline.after(20))
    assert board.control("status")["boots"] == before + 1


def test_the_flow_deploys_once_what_a_board_has_not(link, rom, tmp_path):
    offer(link)
    asked = work(link, rom)
    assert flow.flash(asked, tmp_path).written == ("ROMFS0",)
    assert flow.flash(asked, tmp_path).written == ()


@pytest.mark.parametrize("number", [0, 1])
def test_a_partition_that_holds_something_else_is_told(link, rom, number):
    offer(link, "spoils")
    with pytest.raises(FlashError) as failed:
        romfs.flash(work(link, Image(f"ROMFS{number}", rom.content)), quiet, Deadline.after(60))
    assert failed.value.step is Step.VERIFY
    assert "does not hold what was written" in str(failed.value)
    assert "deploy again" in failed.value.hint


def test_what_the_board_raises_while_it_writes_is_told(link, rom):
    offer(link, "raises")
    with pytest.raises(FlashError) as failed:
        romfs.flash(work(link, rom), quiet, Deadline.after(60))
    assert failed.value.step is Step.DOWNLOAD
    assert "mpremote said" in str(failed.value)
    assert "EIO" in failed.value.said


@pytest.mark.parametrize(
    ("name", "size", "reason", "told"),
    [
        ("ROMFS2", 100, Reason.UNKNOWN_PARTITION, "knows no partition ROMFS2"),
        ("ROMFS1", SIZE + 1, Reason.TOO_LARGE, f"holds {SIZE} bytes"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(link, name, size, reason, told):
    offer(link)
    with pytest.raises(RefusedError) as refused:
        romfs.flash(
            work(link, Image(name, b"\xd2\xcd1".ljust(size, b"\0"))), quiet, Deadline.after(60)
        )
    assert refused.value.reason is reason
    assert told in str(refused.value)


def test_a_second_image_that_is_refused_leaves_the_first_unwritten(link, rom):
    offer(link)
    other = Image("ROMFS2", rom.content)
    with pytest.raises(RefusedError, match="knows no partition ROMFS2"):
        romfs.flash(
            work(link, Image("ROMFS0", b"\xd2\xcd1 anew"), other), quiet, Deadline.after(60)
        )
    head = "import vfs\nprint(bytes(vfs.rom_ioctl(2, 0)[:8]))"
    assert b"anew" not in on_board(link, head).encode()


def test_firmware_that_cannot_write_it_is_refused(link, rom):
    """The unix port as it is."""
    deadline = Deadline.after(20)
    with link.repl(deadline) as repl:
        files.remove_file(repl, "boot.py", deadline, missing_ok=True)
        repl.soft_reset(deadline)
    with pytest.raises(RefusedError) as refused:
        romfs.flash(work(link, rom), quiet, Deadline.after(60))
    assert refused.value.reason is Reason.NO_METHOD
    assert "no vfs.rom_ioctl" in str(refused.value)


def test_a_held_port_is_the_bench_s_fault(board, link, rom, monkeypatch):
    offer(link)
    closed = link.close

    def close() -> None:
        closed()
        held.append(serial.Serial(board.device, exclusive=True))

    held: list[serial.Serial] = []
    monkeypatch.setattr(link, "close", close)
    with pytest.raises(BenchError, match=f"mpremote cannot open {board.device}"):
        romfs.flash(work(link, rom), quiet, Deadline.after(60))
    for port in held:
        port.close()


@pytest.mark.parametrize(
    ("image", "more", "reason"),
    [
        (Image("FIRMWARE", b"\xd2\xcd1"), {}, Reason.UNKNOWN_PARTITION),
        (Image("ROMFS0", b"PK\x03\x04"), {}, Reason.NOT_AN_IMAGE),
        (Image("ROMFS0", b"\xd2\xcd1"), {"in_bootloader": True}, Reason.NO_METHOD),
        (
            Image("ROMFS0", b"\xd2\xcd1"),
            {"link": BoardLink("porch", "", consent=CONSENT)},
            Reason.NO_PORT,
        ),
    ],
)
def test_what_cannot_be_done_is_said_before_the_board_is_touched(image, more, reason):
    answer = romfs.supports(job("openmv-n6", "romfs", image, **more))
    assert answer.reason is reason
    assert answer.why
    assert answer.hint


def test_no_bootloader_waits(rom):
    assert romfs.waiting(job("openmv-n6", "romfs", rom), Deadline.after(1)) is None


def test_the_image_reaches_mpremote_under_a_name_that_it_takes_for_an_image(
    rom, tmp_path: Path, monkeypatch
):
    """It builds one of anything else: of a folder that is not there."""
    argvs = []
    monkeypatch.setattr(romfs, "_ask", lambda *_: romfs._Partition(1, SIZE))
    monkeypatch.setattr(romfs, "_verify", lambda *_: None)
    monkeypatch.setattr(romfs, "run_tool", lambda argv, *_, **__: argvs.append(argv) or OK)
    work_ = job("openmv-n6", "romfs", Image("ROMFS1", rom.content, "build/out.bin"))
    monkeypatch.setattr(work_.link, "send_away", lambda *_: True)
    romfs.flash(work_, quiet, Deadline.after(5))
    (argv,) = argvs
    assert argv[-1].endswith(".romfs")
    assert argv[argv.index("--partition") + 1] == "1"


OK = romfs.Ran(0, "")
