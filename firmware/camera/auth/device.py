"""The device authorization grant (RFC 8628): a screen without a keyboard gets a token because a
person types its code elsewhere.

What is pending is in memory only: a reboot ends it, and the device asks for another code.
"""

import os
import time
from hashlib import sha256

import clock
from auth import passwords
from auth.base64 import url_encode
from auth.mac import equal

EXPIRES = 900  # seconds
INTERVAL = 2  # seconds between two polls
_JITTER_MS = 500  # by which two polls may come closer together than they were sent
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # §6.1: no vowels, so no words; 8 of them have 34 bits
_LENGTH = 8
_MOST = 16  # pending at once
_PER_ADDRESS = 8  # of one client; its next one ends its oldest

_pending = []  # the oldest first


class Busy(Exception):
    """Too many are pending; they have ``EXPIRES`` seconds at most."""


class Refused(Exception):
    """``code``: what RFC 8628 §3.5 or RFC 6749 §5.2 calls it."""

    def __init__(self, code):
        super().__init__()
        self.code = code


class _Session:
    def __init__(self, address, device_code, user_code):
        self.address = address
        self.device = sha256(device_code.encode()).digest()
        self.user_code = user_code
        self.began = clock.unix()
        self.polled = None
        self.user = None  # who has approved, and the password's fingerprint at that time
        self.password = None

    def expired(self):
        # A clock that was set back would make it longer, so that ends it too.
        return not self.began <= clock.unix() < self.began + EXPIRES


def begin(address):
    """``(device_code, user_code)`` of a new session. ``Busy`` when there are too many."""
    own = [session for session in _pending if session.address == address]
    if len(own) >= _PER_ADDRESS:
        _pending.remove(own[0])
    elif len(_pending) >= _MOST:
        # Those that have expired are kept while there is room, to be told apart from unknown ones.
        gone = [session for session in _pending if session.expired()]
        if not gone:
            raise Busy
        _pending.remove(gone[0])
    device_code = url_encode(os.urandom(24)).decode()
    user_code = _user_code()
    _pending.append(_Session(address, device_code, user_code))
    return device_code, user_code[:4] + "-" + user_code[4:]


def approve(user_code, user):
    """Whether a session waits for this code; it is then the user's. §6.1: case does not count, nor
    what is none of the letters."""
    typed = "".join([c for c in user_code[:64].upper() if c in _LETTERS]).encode()
    for session in _pending:
        if session.user is None and not session.expired():
            if equal(typed, session.user_code.encode()):
                session.user, session.password = user, passwords.fingerprint(user)
                return True
    return False


def collect(device_code):
    """The user who has approved, once. ``Refused`` otherwise."""
    shown = sha256(device_code.encode()).digest()
    for session in _pending:
        if equal(shown, session.device):
            break
    else:
        raise Refused("invalid_grant")
    if session.expired():
        raise Refused("expired_token")
    if session.user is None:
        now = time.ticks_ms()
        last, session.polled = session.polled, now
        early = last is not None and time.ticks_diff(now, last) < INTERVAL * 1000 - _JITTER_MS
        raise Refused("slow_down" if early else "authorization_pending")
    _pending.remove(session)
    if passwords.fingerprint(session.user) != session.password:
        raise Refused("invalid_grant")  # the password was changed since
    return session.user


def _user_code():
    letters = ""
    while len(letters) < _LENGTH:
        byte = os.urandom(1)[0]
        if byte < 240:  # else the first letters would come up more often
            letters += _LETTERS[byte % 20]
    return letters
