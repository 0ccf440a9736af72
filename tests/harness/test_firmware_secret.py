"""secret.bin on a FAT block device, as on the cameras, power cut after every block write."""

from __future__ import annotations

from pathlib import Path

import pytest
from firmware_process import run

DEVICE = """
import os, vfs
from auth import secret

class Flash:
    "64 KB in RAM. After ``left`` writes the power is gone: nothing more arrives."
    def __init__(self):
        self.data = bytearray(128 * 512)
        self.left = 10**6
        self.writes = 0
        self.broken = False
    def readblocks(self, n, buf, offset=0):
        buf[:] = self.data[n * 512 + offset:n * 512 + offset + len(buf)]
    def writeblocks(self, n, buf, offset=0):
        if self.broken:
            raise OSError(30)
        self.writes += 1
        self.left -= 1
        if self.left >= 0:
            self.data[n * 512 + offset:n * 512 + offset + len(buf)] = buf
    def ioctl(self, op, arg):
        return {4: 128, 5: 512}.get(op, 0)

def boot(flash, left=10**6):
    os.chdir("/")
    try:
        vfs.umount("/flash")
    except OSError:
        pass
    flash.left = left
    flash.writes = 0
    vfs.mount(vfs.VfsFat(flash), "/flash")
    os.chdir("/flash")

def stored():
    try:
        with open("secret.bin", "rb") as file:
            return file.read()
    except OSError:
        return None

def camera():
    flash = Flash()
    vfs.VfsFat.mkfs(flash)
    boot(flash)
    return flash
"""


@pytest.mark.parametrize("rotation", [False, True])
def test_a_power_cut_after_any_block_write(tmp_path: Path, rotation: bool) -> None:
    printed = run(
        DEVICE
        + f"""
cut = 0
while True:
    flash = camera()
    old = None
    if {rotation}:
        old = secret.load()
        os.remove("secret.bin")
    boot(flash, cut)
    secret.load()
    needed = flash.writes
    boot(flash)  # the power is back
    found = stored()
    # Never 32 bytes that are not random, and never the key that was rotated away
    assert found is None or len(found) < 32 or found not in (old, bytes(32)), (cut, found)
    if found and len(found) == 32 and old:
        assert found[:31] != old[:31]
    key = secret.load()
    assert len(key) == 32 and stored() == key != old, cut
    assert found == key or found is None or len(found) < 32
    boot(flash)
    assert secret.load() == key  # and it stays
    assert os.listdir() == ["secret.bin"]
    if cut >= needed:
        break
    cut += 1
print("cuts", cut)
""",
        tmp_path,
    )
    assert int(printed.split()[-1]) >= 4  # a file on FAT takes at least that many block writes


def test_its_length_is_reached_last(tmp_path: Path) -> None:
    """Whatever the order in which a flash cache lets blocks through: 31 bytes are synced before a
    directory entry exists that says 32."""
    run(
        DEVICE
        + """
flash = camera()
sizes = []
write = flash.writeblocks
def watch(n, buf, offset=0):
    at = bytes(buf).find(b"SECRET  BIN")
    if at >= 0:
        sizes.append(int.from_bytes(bytes(buf)[at + 28:at + 32], "little"))
    write(n, buf, offset)
flash.writeblocks = watch
boot(flash)
secret.load()
assert 31 in sizes and sizes.index(31) < sizes.index(32), sizes
""",
        tmp_path,
    )


def test_a_flash_that_cannot_be_written_gives_no_key(tmp_path: Path) -> None:
    printed = run(
        DEVICE
        + """
flash = camera()
flash.broken = True
assert secret.load() is None
flash.broken = False
boot(flash)
assert len(secret.load()) == 32

flash = camera()
try:
    with open("full", "wb") as file:
        while True:
            file.write(bytes(512))
except OSError:
    pass
assert secret.load() is None
assert os.listdir() == ["full"], os.listdir()  # no stump
os.remove("full")
assert len(secret.load()) == 32

flash = camera()
os.mkdir("secret.bin")
assert secret.load() is None
""",
        tmp_path,
    )
    assert printed.count("no tokens") == 3


def test_ten_secrets_are_ten(tmp_path: Path) -> None:
    run(
        DEVICE
        + """
camera()
keys = set()
for _ in range(10):
    keys.add(secret.load())
    os.remove("secret.bin")
assert len(keys) == 10
""",
        tmp_path,
    )


CARD = (
    DEVICE
    + """
def put_in(watch=lambda card: None):
    card = Flash()
    vfs.VfsFat.mkfs(card)
    watch(card)
    vfs.mount(vfs.VfsFat(card), "/sdcard")
    os.chdir("/sdcard")

def take_out(flash):
    os.chdir("/")
    vfs.umount("/sdcard")
    boot(flash)
"""
)


def test_a_boot_from_a_card_voids_the_secret_on_flash(tmp_path: Path) -> None:
    printed = run(
        CARD
        + """
flash = camera()
old = secret.load()
put_in()
key = secret.load()
assert key != old and len(key) == 32 and stored() == key
assert os.listdir("/flash") == []
assert secret.load() == key  # and it stays
take_out(flash)
assert secret.load() not in (old, key)
assert os.listdir() == ["secret.bin"]
""",
        tmp_path,
    )
    assert printed.count("is void") == 1


def test_where_the_secret_on_flash_cannot_be_voided_there_are_no_tokens(tmp_path: Path) -> None:
    printed = run(
        CARD
        + """
flash = camera()
old = secret.load()
put_in()
flash.broken = True
assert secret.load() is None
flash.broken = False
assert secret.load() is not None
""",
        tmp_path,
    )
    assert printed.count("no tokens") == 1


def test_the_secret_on_flash_is_void_before_the_card_has_one(tmp_path: Path) -> None:
    """So that a power cut in between leaves none, and not both."""
    run(
        CARD
        + """
order = []
def watch(device, name):
    write = device.writeblocks
    def writeblocks(n, buf, offset=0):
        order.append(name)
        write(n, buf, offset)
    device.writeblocks = writeblocks

flash = camera()
secret.load()
watch(flash, "flash")
boot(flash)
put_in(lambda card: watch(card, "card"))
secret.load()
assert set(order) == {"flash", "card"} and order == sorted(order, reverse=True), order
""",
        tmp_path,
    )
