"""Logouts and refresh tokens on a FAT block device: power cuts, a full list, clocks that move."""

from __future__ import annotations

from pathlib import Path

import pytest
from firmware_process import PASSWORD
from firmware_process import run as run_in

from hil.provision import camera_settings

SETTINGS = camera_settings(
    hostname="porch", password=PASSWORD, ntp_host="", iterations=1, features=("logout", "refresh")
)


def run(code: str, directory: Path, timeout: float = 20) -> str:
    """With room for copies of the flash."""
    return run_in(code, directory, arguments="-X heapsize=16m", timeout=timeout)


FLASH = f"""
import os, vfs

class Flash:
    "In RAM. After ``left`` writes the power is gone; a torn block keeps its first half."
    def __init__(self, block=512, torn=False):
        self.block, self.torn = block, torn
        self.data = bytearray(160 * block)
        self.left = 10**6
        self.writes = 0
        self.broken = False
    def readblocks(self, n, buf, offset=0):
        at = n * self.block + offset
        buf[:] = self.data[at:at + len(buf)]
    def writeblocks(self, n, buf, offset=0):
        if self.broken:
            raise OSError(30)
        for i in range(0, len(buf), self.block):
            self.write(n * self.block + offset + i, bytes(buf[i:i + self.block]))
    def write(self, at, part):
        self.writes += 1
        self.left -= 1
        if self.left >= 0:
            self.data[at:at + len(part)] = part
        elif self.left == -1 and self.torn:
            half = len(part) // 2
            self.data[at:at + len(part)] = part[:half] + b"\\xff" * (len(part) - half)
    def ioctl(self, op, arg):
        return {{4: 160, 5: self.block}}.get(op, 0)

def boot(flash, left=10**6):
    os.chdir("/")
    try:
        vfs.umount("/flash")
    except OSError:
        pass
    flash.left = left
    flash.writes = 0
    try:
        vfs.mount(vfs.VfsFat(flash), "/flash")
    except OSError:  # a torn block: a camera formats it
        vfs.VfsFat.mkfs(flash)
        vfs.mount(vfs.VfsFat(flash), "/flash")
    os.chdir("/flash")

def camera(block=512, torn=False):
    flash = Flash(block, torn)
    vfs.VfsFat.mkfs(flash)
    boot(flash)
    with open("settings.json", "wb") as file:
        file.write({SETTINGS!r})
    return flash

def image(flash, data):
    flash.data[:] = data

flash = camera()
import clock
from auth import jwt, refresh, revoked, tokens
NOW = clock.unix()

def log_out(token):
    "As routes/logout.py does it."
    claims = tokens.read(token)
    sid = claims.get("sid")
    if sid:
        refresh.end(sid)
        tokens.revoked.revoke_session(sid, tokens.latest())
    else:
        tokens.revoked.revoke(claims, token)

def kept(work, *arguments):
    "Whether it says that it is done."
    try:
        work(*arguments)
        return True
    except OSError:
        return False
"""


@pytest.mark.parametrize("torn", [False, True], ids=["whole", "torn"])
@pytest.mark.parametrize("block", [512, 4096])
@pytest.mark.parametrize("earlier", [0, 1, 2, 3])
@pytest.mark.parametrize("login", ["alone", "with refresh"])
def test_a_power_cut_at_any_block_write_revives_nothing(
    tmp_path: Path, login: str, earlier: int, block: int, torn: bool
) -> None:
    """The logouts of before hold; this one holds if it was answered; where no block was torn, the
    other log-ins go on. And the camera can log out again."""
    printed = run(
        FLASH
        + f"""
def logged_in():
    return refresh.granted("owner")[0] if {login == "with refresh"} else tokens.issue("owner")

flash = camera({block}, {torn})
tokens.start()
dead = [logged_in() for _ in range({earlier})]
ending, other = logged_in(), logged_in()
for token in dead:
    log_out(token)
before = bytes(flash.data)
cuts = 0
while True:
    image(flash, before)
    boot(flash)
    tokens.start()
    assert tokens.verify(other) == tokens.verify(ending) == "owner"
    boot(flash, cuts)
    done = kept(log_out, ending) and flash.left >= 0  # without power nothing is answered
    needed = flash.writes
    boot(flash)  # the power is back
    tokens.start()
    assert not any(tokens.verify(token) for token in dead), cuts
    assert not (done and tokens.verify(ending)), cuts
    if not {torn}:
        assert tokens.verify(other) == "owner", cuts
        assert done == (cuts >= needed), cuts
    mine = logged_in()
    log_out(mine)
    boot(flash)
    tokens.start()
    assert not any(tokens.verify(token) for token in dead + [mine]), cuts
    if cuts >= needed:
        break
    cuts += 1
print(cuts)
""",
        tmp_path,
        timeout=60,
    )
    assert int(printed.split()[-1]) >= (4 if block == 4096 else 10)


@pytest.mark.parametrize("torn", [False, True], ids=["whole", "torn"])
def test_a_power_cut_while_refreshing_leaves_one_good_token_or_none(
    tmp_path: Path, torn: bool
) -> None:
    run(
        FLASH
        + f"""
flash = camera(512, {torn})
tokens.start()
access, first = refresh.granted("owner")
second = refresh.exchanged(first)[1]
before = bytes(flash.data)
cuts = 0
while True:
    image(flash, before)
    boot(flash)
    tokens.start()
    boot(flash, cuts)
    try:
        third = refresh.exchanged(second)[1]
    except OSError:
        third = None
    if flash.left < 0:
        third = None  # without power nothing is answered
    needed = flash.writes
    boot(flash)
    tokens.start()
    assert third is None or cuts >= needed
    after = bytes(flash.data)
    if third:
        assert refresh.exchanged(third)
    elif not {torn}:
        # What the client has is good, unless the exchange was kept and only its answer was not
        good = refresh.exchanged(second)
        assert good or not refresh._families, cuts
    image(flash, after)
    boot(flash)
    tokens.start()
    assert refresh.exchanged(first) is None, cuts  # used long ago
    assert refresh.exchanged(second) is None, cuts  # its family is over by that
    if cuts >= needed:
        break
    cuts += 1
""",
        tmp_path,
    )


def test_a_flash_that_cannot_be_written_says_so_and_forgets_nothing(tmp_path: Path) -> None:
    printed = run(
        FLASH
        + """
tokens.start()
dead, alive = tokens.issue("owner"), tokens.issue("owner")
access, first = refresh.granted("owner")
log_out(dead)
flash.broken = True
assert not kept(log_out, alive)
assert tokens.verify(alive) == "owner" and not tokens.verify(dead)
assert not kept(refresh.exchanged, first)
assert refresh.granted("owner")[1] is None  # no refresh token that could not be kept
assert tokens.verify(refresh.granted("owner")[0]) == "owner"
flash.broken = False
boot(flash)
tokens.start()
assert tokens.verify(alive) == "owner" and not tokens.verify(dead)
assert kept(log_out, alive) and not tokens.verify(alive)
assert refresh.exchanged(first)
""",
        tmp_path,
    )
    assert "no refresh token" in printed


def test_a_flash_that_keeps_something_else_is_found_out(tmp_path: Path) -> None:
    run(
        FLASH
        + """
tokens.start()
token = tokens.issue("owner")
write = flash.write
def flip(at, part):
    if revoked.era() in part:
        part = part[:40] + bytes([part[40] ^ 1]) + part[41:]
    write(at, part)
flash.write = flip
assert not kept(log_out, token)
flash.write = write
boot(flash)
tokens.start()
assert tokens.verify(token) == "owner"
assert kept(log_out, token)
boot(flash)
tokens.start()
assert not tokens.verify(token)
""",
        tmp_path,
    )


@pytest.mark.parametrize(
    "harm",
    ["os.remove(name)", "write(name, 'r+b', b'x')", "write(name, 'wb', b'')",
     "write(name, 'wb', bytes(2048))", "write(name, 'ab', b'x')"],
    ids=["removed", "changed", "empty", "zeros", "longer"],
)  # fmt: skip
def test_a_lost_list_takes_all_tokens_with_it(tmp_path: Path, harm: str) -> None:
    run(
        FLASH
        + f"""
def write(name, mode, data):
    with open(name, mode) as file:
        file.write(data)

tokens.start()
dead, alive = tokens.issue("owner"), tokens.issue("owner")
log_out(dead)
names = [name for name in os.listdir() if name.startswith("revoked.")]
assert sorted(names) == ["revoked.a", "revoked.b"]
for name in names:
    {harm}
boot(flash)
tokens.start()
assert not tokens.verify(dead) and not tokens.verify(alive)
assert tokens.verify(tokens.issue("owner")) == "owner"
""",
        tmp_path,
    )


def test_without_a_place_for_the_list_there_are_no_tokens(tmp_path: Path) -> None:
    printed = run(
        FLASH
        + """
os.mkdir("revoked.a")
os.mkdir("revoked.b")
tokens.start()
assert not tokens.available()
""",
        tmp_path,
    )
    assert "revocations cannot be kept" in printed


def test_a_full_list_voids_older_tokens_and_no_newer_ones(tmp_path: Path) -> None:
    run(
        FLASH
        + """
tokens.start()
now = NOW
clock.unix = lambda: now
issued = []
for _ in range(200):
    now += 10
    issued.append(tokens.issue("owner"))
for token in issued[1::2]:
    log_out(token)
last = tokens.issue("owner")
for _ in range(2):
    assert not any(tokens.verify(token) for token in issued[1::2])
    assert tokens.verify(issued[198]) == tokens.verify(last) == "owner"
    assert len(revoked._entries) <= 120
    boot(flash)
    tokens.start()
assert tokens.verify(issued[0]) == "owner"  # 100 entries are no full list

for _ in range(100):
    now += 1
    token = tokens.issue("owner")
    log_out(token)
    issued.append(token)
assert len(revoked._entries) <= 120
boot(flash)
tokens.start()
assert not any(tokens.verify(token) for token in issued[1:200:2] + issued[200:])
assert not tokens.verify(issued[0])  # the price
now += 1
assert tokens.verify(tokens.issue("owner")) == "owner"
""",
        tmp_path,
        timeout=60,
    )


def test_entries_leave_when_their_tokens_have_expired(tmp_path: Path) -> None:
    """And a clock that goes back a little then revives nothing."""
    run(
        FLASH
        + """
tokens.start()
now = NOW
clock.unix = lambda: now
first = tokens.issue("owner")
log_out(first)
now += 3600  # it has expired
second = tokens.issue("owner")
log_out(second)
assert len(revoked._entries) == 1
now -= 30  # less than what counts as set back
assert not tokens.verify(first) and not tokens.verify(second)
boot(flash)
tokens.start()
assert not tokens.verify(first) and not tokens.verify(second)
""",
        tmp_path,
    )


def test_a_clock_that_was_ahead_locks_nobody_out(tmp_path: Path) -> None:
    printed = run(
        FLASH
        + """
tokens.start()
now = NOW
clock.unix = lambda: now
old = tokens.issue("owner")
log_out(old)
now += 366 * 86400
for _ in range(3):
    token = tokens.issue("owner")
    log_out(token)
    now += 4000  # so that it has expired, and leaves
now = NOW + 60
assert not tokens.verify(old) and not tokens.verify(token)
fresh, other = tokens.issue("owner"), tokens.issue("owner")
assert tokens.verify(fresh) == "owner"
log_out(fresh)
assert not tokens.verify(fresh) and tokens.verify(other) == "owner"
boot(flash)
tokens.start()
assert not tokens.verify(fresh) and tokens.verify(other) == "owner"
now += 3601
log_out(tokens.issue("owner"))  # with which the other's entry leaves
now -= 30
assert not tokens.verify(fresh)
""",
        tmp_path,
    )
    assert "the clock went back" in printed


def test_what_was_revoked_by_a_clock_that_was_ahead_takes_no_room(tmp_path: Path) -> None:
    run(
        FLASH
        + """
tokens.start()
now = NOW + 366 * 86400
clock.unix = lambda: now
for _ in range(119):
    log_out(tokens.issue("owner"))
now = NOW
tokens.verify("")
first, second, third = [tokens.issue("owner") for _ in range(3)]
log_out(first)
log_out(second)
assert len(revoked._entries) == 2
assert not tokens.verify(first) and not tokens.verify(second) and tokens.verify(third) == "owner"
""",
        tmp_path,
    )


def test_what_counts_is_never_written_over(tmp_path: Path) -> None:
    """Also where the second file could not be written, so that there is one only."""
    run(
        FLASH
        + """
from auth.slots import SIZE, Slots
def record(letter):
    return letter * SIZE
before = bytes(flash.data)
for fails in range(12, 40):
    for cut in range(12):
        image(flash, before)
        boot(flash)
        slots = Slots("x")
        assert slots.load() is None
        slots.store(record(b"A"))
        write, left = flash.write, [fails - 12]
        def failing(at, part):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(30)
            write(at, part)
        flash.write = failing
        kept(slots.store, record(b"B"))
        flash.write = write
        now = slots.load()
        flash.left = cut
        done = kept(slots.store, record(b"C")) and flash.left >= 0
        boot(flash)
        found = Slots("x").load()
        assert found == record(b"C") or not done and found == now, (fails, cut)
""",
        tmp_path,
    )


def test_a_token_of_another_issuer_is_revoked_alone(tmp_path: Path) -> None:
    """Without ``jti``, with one that is no text, and two with the same ``jti``."""
    run(
        FLASH
        + """
tokens.start()
def minted(**more):
    claims = {"sub": "owner", "exp": NOW + 600}
    claims.update(more)
    return jwt.encode(claims, tokens._key)
plain, later, number, one = minted(), minted(exp=NOW + 601), minted(jti=5), minted(jti="a")
log_out(plain)
assert not tokens.verify(plain)
assert tokens.verify(later) == tokens.verify(number) == tokens.verify(one) == "owner"
log_out(number)
log_out(one)
assert not tokens.verify(number) and not tokens.verify(one)
assert not tokens.verify(minted(jti="a", exp=NOW + 700))
assert tokens.verify(later) == tokens.verify(minted(jti="b")) == "owner"
assert tokens.verify(minted(use="refresh")) is None
""",
        tmp_path,
    )


def test_a_user_has_eight_log_ins_that_can_be_refreshed(tmp_path: Path) -> None:
    """The one that was refreshed longest ago goes; its access token stays good."""
    run(
        FLASH
        + """
tokens.start()
pairs = [refresh.granted("owner") for _ in range(8)]
pairs[0] = refresh.exchanged(pairs[0][1])
pairs.append(refresh.granted("owner"))
assert tokens.verify(pairs[1][0]) == "owner"
boot(flash)
tokens.start()
assert refresh.exchanged(pairs[1][1]) is None
for at in (0, 2, 3, 4, 5, 6, 7, 8):
    assert refresh.exchanged(pairs[at][1]), at
""",
        tmp_path,
    )


def test_a_log_in_ends_after_thirty_days_however_often_it_is_refreshed(tmp_path: Path) -> None:
    run(
        FLASH
        + """
tokens.start()
now = NOW
clock.unix = lambda: now
token = refresh.granted("owner")[1]
unused = refresh.granted("owner")[1]
DAY = 86400
for _ in range(5):
    now += 6 * DAY - 1
    token = refresh.exchanged(token)[1]
assert jwt.decode(token, tokens.key("refresh token"))["exp"] == NOW + 30 * DAY
assert refresh.exchanged(unused) is None  # 14 days
now += 5
assert refresh.exchanged(token) is None
""",
        tmp_path,
    )


def test_only_an_authentic_old_token_ends_a_family(tmp_path: Path) -> None:
    """Whoever has read ``sid`` in an access token cannot end the log-in with it."""
    run(
        FLASH
        + """
tokens.start()
access, token = refresh.granted("owner")
sid = tokens.read(access)["sid"]
def made(key, **more):
    claims = {"sub": "owner", "exp": NOW + 600, "sid": sid, "seq": 1, "use": "refresh"}
    claims.update(more)
    return jwt.encode(claims, key)
access, token = refresh.exchanged(token)
key = tokens.key("refresh token")
for junk in (made(tokens._key), made(b"x" * 32), "", "..", access, made(key, use="access"),
             made(key, seq=3), made(key, seq="2"), made(key, seq=0), made(key, seq=-1),
             made(key, seq=True), made(key, sid="x"), made(key, sid=5), made(key, sub="guest"),
             made(key, exp=NOW - 1), made(key, exp=NOW + 15 * 86400), made(key, aud="x")):
    assert refresh.exchanged(junk) is None, junk
assert tokens.verify(access) == "owner"
access, token = refresh.exchanged(token)
assert refresh.exchanged(made(key)) is None  # authentic, and used
assert refresh.exchanged(token) is None and tokens.verify(access) is None
""",
        tmp_path,
    )
