"""Whether a user name and a password belong together.

PBKDF2-HMAC-SHA256 (RFC 8018 §5.2) with the iterations of settings.json. A microcontroller buys few
of them: at an estimated 50 µs each on a 500 MHz Cortex-M, the 2000 that hil provisions take a tenth
of a second, where OWASP asks 600 000 of a server. So the hash slows down whoever steals
settings.json, and does not stop him: choose a long password. Online guessing is auth.throttle's.
"""

import asyncio
import os
from hashlib import sha256

import settings
from auth.mac import equal, hmac, pads

_DUMMY = b"no password is stored", 2000, bytes(32)
_LONGEST = 1024  # bytes of a password; what is longer is refused after the same work
_SLICE = 100  # iterations between two looks at the other connections

_ram_key = os.urandom(32)
_last_good = b""  # a keyed hash, never the password: of use to nobody without this boot's RAM


async def accepts(user, password):
    """True when both are right. A wrong user costs as much time as a wrong password.

    The last accepted pair is recognised by one keyed hash instead of thousands, so that a client
    that sends Basic credentials with every request does not wait for them every time.
    """
    global _last_good
    account = user if settings.role(user) else settings.get("user")
    stored = settings.password(account)
    salt, iterations, expected = stored or _DUMMY
    name, secret = user.encode(), password.encode()
    owner = sha256(account.encode()).digest()
    # What is stored is part of what is remembered: a new password or user forgets the old one.
    seen = hmac(_ram_key, expected + owner + hmac(_ram_key, name) + hmac(_ram_key, secret))
    if stored and equal(seen, _last_good):
        return True
    derived = await pbkdf2(secret[:_LONGEST], salt, iterations)
    right = equal(derived, expected) & equal(sha256(name).digest(), owner)
    if not (stored and right and name and 1 <= len(secret) <= _LONGEST):
        return False
    if not (speakable(user) and speakable(password)):
        return False
    _last_good = seen
    return True


def fingerprint(user):
    """Bytes that change with the user's stored password: tokens carry a MAC of them."""
    stored = settings.password(user)
    return stored[0] + stored[2] if stored else b""


def speakable(text):
    """Whether the text is without control characters (RFC 7617 §2, for users and passwords)."""
    for byte in text.encode():
        if byte < 0x20 or byte == 0x7F:
            return False
    return True


async def pbkdf2(password, salt, iterations):
    """32 bytes, one block of PBKDF2-HMAC-SHA256. Gives way to other tasks as it goes."""
    inner_pad, outer_pad = pads(password)
    block = salt + b"\x00\x00\x00\x01"
    result = 0
    for i in range(iterations):
        inner = sha256(inner_pad)
        inner.update(block)
        outer = sha256(outer_pad)
        outer.update(inner.digest())
        block = outer.digest()
        result ^= int.from_bytes(block, "big")
        if i % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
    return result.to_bytes(32, "big")
