"""The API keys and the users besides the owner that settings.json lists.

A list with anything wrong in it counts as empty: what nobody has meant lets nobody in.
"""

import settings

ROLES = ("basic", "admin")  # the later one may do all that the earlier one may
_MOST = 7  # of each
_HEX = "0123456789abcdef"


def users():
    """``name``, ``role`` and ``password`` of each, as settings.json has them."""
    return _entries("users", _sound_user)


def api_keys():
    """``name`` and ``hash`` of each."""
    return _entries("api_keys", _sound_key)


def user(name):
    """The entry of one user; an empty one where there is none of that name."""
    for entry in users():
        if entry["name"] == name:
            return entry
    return {}


def _entries(feature, sound):
    entries = settings.listed(feature)
    names = [settings.get("user")]
    for entry in entries:
        if not isinstance(entry, dict) or not _sound_name(entry.get("name")) or not sound(entry):
            return ()
        names.append(entry["name"])
    return entries if len(entries) <= _MOST and len(set(names)) == len(names) else ()


def _sound_name(name):
    # RFC 7617 §2: a user-id has no colon and no control characters
    if not isinstance(name, str) or not 1 <= len(name) <= 32:
        return False
    return all(ord(c) >= 0x20 and c not in "\x7f:" for c in name)


def _sound_user(entry):
    return set(entry) == {"name", "role", "password"} and (
        entry["role"] in ROLES and settings.stretched(entry["password"]) is not None
    )


def _sound_key(entry):
    hashed = entry.get("hash")
    return set(entry) == {"name", "hash"} and (
        isinstance(hashed, str) and len(hashed) == 64 and all(c in _HEX for c in hashed)
    )
