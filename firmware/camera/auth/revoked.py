"""Tokens that are dead before they expire: by a logout, or because a refresh token was stolen.

A token is dead when its ``jti`` or its ``sid`` is on the list, or when it expires no later than
``_floor``. An entry leaves the list only by raising the floor to the latest date at which a token of
it could expire. So nothing that leaves is forgotten, whatever the clock does:

- Entries whose tokens have expired leave whenever another one comes.
- **A full list** loses its older half. That voids tokens that nobody has logged out of, the oldest
  ones of everybody, who log in again. The other way, to refuse (503), would leave a stolen token
  alive because somebody else has logged out ``_MOST`` times in an hour.
- **A lost list** (both files damaged, or removed) takes all tokens with it: it has a random *era*,
  which every token's ``gen`` depends on.

What identifies a token is what it says, not how it is spelled: auth.base64 leaves it one spelling.
"""

import os
from hashlib import sha256

import clock
from auth.slots import Slots

_MOST = 120  # entries; 16 bytes each in a record of auth.slots
_ID = 11  # bytes of an entry's hash: 88 bits, of values that we have drawn ourselves
_DATE = 5  # bytes
_ERA = 8
_AHEAD = 24 * 3600  # seconds; a date beyond is of a clock that was ahead, and has been set back

_slots = Slots("revoked")
_era = b""
_floor = 0
_entries = {}  # hash → the latest Unix time at which a token of it expires


def load():
    """Takes up the list, or begins an era with an empty one. False when it cannot be kept: then
    there can be no tokens, for none could be revoked."""
    global _era, _floor, _entries
    try:
        record = _slots.load()
        if record is None:
            _era, _floor, _entries = os.urandom(_ERA), 0, {}
            _store(_floor, _entries)
            return True
    except OSError as error:
        print("camera: no tokens, revocations cannot be kept:", error)
        return False
    _era = record[:_ERA]
    _floor = _date(record, _ERA)
    _entries = {}
    at = _ERA + _DATE + 1
    for _ in range(record[at - 1]):
        _entries[record[at : at + _ID]] = _date(record, at + _ID)
        at += _ID + _DATE
    return True


def era():
    """Bytes that change when the list was lost."""
    return _era


def covers(claims, token):
    """Whether a token with these sound claims is dead."""
    # The floor of a clock that was ahead is above every token. Those of its time died with their
    # generation (clock.observe), and so did those of before.
    if claims["exp"] <= _floor <= clock.unix() + _AHEAD:
        return True
    sid = claims.get("sid")
    return _name_of(claims, token) in _entries or (
        isinstance(sid, str) and _hash("sid", sid) in _entries
    )


def revoke(claims, token):
    """Ends one token. ``OSError`` when that cannot be kept; it then lives on."""
    _add(_name_of(claims, token), claims["exp"])


def revoke_session(sid, latest):
    """Ends all access tokens of a log-in, of which none expires after ``latest``. ``OSError``
    likewise."""
    _add(_hash("sid", sid), latest)


def _add(name, until):
    global _floor, _entries
    now = clock.observe()
    floor = _floor if _floor <= now + _AHEAD else 0
    kept = []
    for entry, date in _entries.items():
        if date <= now:
            floor = max(floor, date)
        elif date <= now + _AHEAD:
            kept.append((date, entry))
    if len(kept) >= _MOST:
        kept.sort()
        floor = max(floor, kept[_MOST // 2 - 1][0])
        kept = kept[_MOST // 2 :]
    entries = {entry: date for date, entry in kept}
    entries[name] = max(until, entries.get(name, 0))
    _store(floor, entries)
    _floor, _entries = floor, entries


def _store(floor, entries):
    parts = [_era, floor.to_bytes(_DATE, "big"), bytes([len(entries)])]
    for entry, date in entries.items():
        parts.append(entry + date.to_bytes(_DATE, "big"))
    _slots.store(b"".join(parts))


def _name_of(claims, token):
    jti = claims.get("jti")
    # Of another issuer with our key, and without an id: what is signed identifies it
    return _hash("jti", jti) if isinstance(jti, str) else _hash("jwt", token.rpartition(".")[0])


def _hash(kind, text):
    return sha256((kind + ":" + text).encode()).digest()[:_ID]


def _date(record, at):
    return int.from_bytes(record[at : at + _DATE], "big")
