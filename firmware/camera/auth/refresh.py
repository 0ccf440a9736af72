"""Refresh tokens: each can be used once, and one that is used twice ends its log-in.

A log-in is a *family* of tokens (RFC 9700 §4.14.2): its access tokens and its refresh tokens say
``sid``, and the refresh tokens a number ``seq`` that grows by one. The camera keeps, for each
family, the number that counts. A lower one is a token that was used before, so somebody has a copy,
and nobody knows who: the family ends, its access tokens too.

The list says what is alive, not what is dead: if it is lost, everybody logs in again. A user has
``_PER_USER`` families; the next log-in ends the one that was refreshed longest ago.
"""

import os
from hashlib import sha256

import clock
from auth import jwt, tokens
from auth.base64 import url_encode
from auth.slots import Slots

LIFETIME = 14 * 24 * 3600  # seconds; unused for so long, a family is over
ABSOLUTE = 30 * 24 * 3600  # seconds from the log-in (ASVS 10.4.8): however often it is refreshed
_PER_USER = 8  # 8 users with 8 families of 24 bytes fit in a record of auth.slots
_SID = 9  # bytes
_USER = 6  # bytes of a user's hash
_SEQ = 4
_DATE = 5

_slots = Slots("refresh")
_families = []  # (sid, user, seq, until), as bytes and numbers; the one used longest ago first


def load():
    """Takes up what was alive before the reboot."""
    global _families
    _families = []
    try:
        record = _slots.load() or b"\0"
    except OSError as error:
        print("camera: refresh tokens cannot be read:", error)
        return
    at = 1
    for _ in range(record[0]):
        user, seq, until = at + _SID, at + _SID + _USER, at + _SID + _USER + _SEQ
        at = until + _DATE
        _families.append(
            (
                record[user - _SID : user],
                record[user:seq],
                int.from_bytes(record[seq:until], "big"),
                int.from_bytes(record[until:at], "big"),
            )
        )


def granted(user):
    """Access token and refresh token of a new log-in; the latter is None when it cannot be kept:
    a full flash must not keep anybody out."""
    now = clock.observe()
    name = _hash(user)
    alive = [family for family in _families if family[3] > now]
    own = [family for family in alive if family[1] == name]
    for family in own[: max(0, len(own) + 1 - _PER_USER)]:
        alive.remove(family)
    family = os.urandom(_SID), name, 1, now + ABSOLUTE
    try:
        _keep(alive + [family])
    except OSError as error:
        print("camera: no refresh token, it cannot be kept:", error)
        return tokens.issue(user), None
    return _pair(user, family, now)


def exchanged(token):
    """The next access token and refresh token; None when this one is not good. ``OSError`` when
    its use cannot be kept: then it stays unused."""
    try:
        claims = jwt.decode(token, _key())
    except jwt.Invalid:
        return None
    if not tokens.sound(claims, LIFETIME) or claims.get("use") != "refresh":
        return None
    user, now = claims["sub"], clock.observe()
    family = _find(claims.get("sid"))
    if family is None or family[1] != _hash(user) or family[3] <= now:
        return None
    seq = claims.get("seq")
    if type(seq) is not int or seq != family[2]:
        if type(seq) is int and 0 < seq < family[2]:
            print("camera: a refresh token was used twice; its log-in is over")
            end(claims["sid"])
            tokens.revoked.revoke_session(claims["sid"], tokens.latest())
        return None
    others = [one for one in _families if one is not family]
    family = family[0], family[1], family[2] + 1, family[3]
    _keep(others + [family])
    return _pair(user, family, now)


def end(sid):
    """Ends a family, if it is alive. ``OSError`` when that cannot be kept."""
    family = _find(sid)
    if family:
        _keep([one for one in _families if one is not family])


def _pair(user, family, now):
    sid = url_encode(family[0]).decode()
    claims = {
        "sub": user,
        "use": "refresh",
        "exp": min(now + LIFETIME, family[3]),
        "sid": sid,
        "seq": family[2],
        "gen": tokens.generation(user),
    }
    return tokens.issue(user, sid), jwt.encode(claims, _key())


def _key():
    return tokens.key("refresh token")


def _find(sid):
    for family in _families:
        if url_encode(family[0]).decode() == sid:
            return family
    return None


def _keep(families):
    global _families
    record = bytes([len(families)])
    for sid, user, seq, until in families:
        record += sid + user + seq.to_bytes(_SEQ, "big") + until.to_bytes(_DATE, "big")
    _slots.store(record)
    _families = families


def _hash(user):
    return sha256(user.encode()).digest()[:_USER]
