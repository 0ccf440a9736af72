"""settings.json: what differs from camera to camera.

    {"hostname": "porch", "port": 80, "ntp_host": "pool.ntp.org",
     "wifi": {"ssid": "...", "key": "..."},
     "user": "owner",
     "password": {"salt": HEX, "iterations": 2000, "hash": HEX},
     "throttle_ms": 2000,
     "refresh": true, "logout": true, "device": true,
     "api_keys": [{"name": "ci", "hash": HEX}],
     "users": [{"name": "guest", "role": "basic", "password": {...}}]}

The password itself is not in it: ``hash`` is PBKDF2-HMAC-SHA256 of it (RFC 8018 §5.2).

A file that is missing or broken is no reason to stay dark: the camera comes up and answers, and
refuses every login. There are no default credentials to fall back to.

The last two lines are features that are off where they are left out; README.md tells of each. They
are switched at boot. Keys and users are looked up at each request: one taken out is out at once.
"""

from web.strictjson import parse

FILE = "settings.json"
_LONGEST = 4096  # bytes; a broken file system may offer more
_DEFAULTS = {"hostname": "", "ntp_host": "pool.ntp.org", "user": "owner"}

_raw = None
_parsed = {}


def get(name):
    """The setting, or its default where the file has none of that type."""
    value = _read().get(name)
    default = _DEFAULTS[name]
    return value if type(value) is type(default) else default


def port():
    """The TCP port to listen on, 80 where none is set or it is out of range."""
    value = _read().get("port")
    return value if type(value) is int and 0 < value < 65536 else 80


def wifi():
    """``(ssid, key)``, empty where none is set."""
    entry = _read().get("wifi")
    if not isinstance(entry, dict):
        return "", ""
    ssid, key = entry.get("ssid"), entry.get("key")
    return ssid if isinstance(ssid, str) else "", key if isinstance(key, str) else ""


def throttle_ms():
    """The longest that a guess of a password is held up, in milliseconds."""
    value = _read().get("throttle_ms")
    return value if type(value) is int and 0 <= value <= 60000 else 2000


def on(feature):
    """Whether "refresh", "logout", "device", "api_keys" or "users" is switched on."""
    value = _read().get(feature)
    return isinstance(value, list) if feature in ("api_keys", "users") else value is True


def listed(feature):
    """The list of "api_keys" or "users", as it stands in the file; auth.accounts checks it."""
    value = _read().get(feature)
    return value if isinstance(value, list) else []


def role(user):
    """The role of a user: the owner is an admin; None where there is no such user."""
    if user == get("user"):
        return "admin"
    return _account(user).get("role")


def password(user=None):
    """``(salt, iterations, hash)`` of the owner's password, or of another user's; None where there
    is none: then nobody logs in."""
    return stretched((_read() if user in (None, get("user")) else _account(user)).get("password"))


def stretched(entry):
    """The same of a "password" in the file; None where it is not sound."""
    try:
        salt, hashed = bytes.fromhex(entry["salt"]), bytes.fromhex(entry["hash"])
        iterations = entry["iterations"]
    except (TypeError, KeyError, ValueError):
        return None
    if type(iterations) is not int or not 1 <= iterations <= 1000000:
        return None
    return (salt, iterations, hashed) if len(salt) >= 8 and len(hashed) == 32 else None


def _account(user):
    if not on("users"):
        return {}
    from auth import accounts

    return accounts.user(user)


def _read():
    # Read each time, for a new password holds at once. Neither the file's time (2 s steps on FAT)
    # nor its size would tell that it has changed; its few hundred bytes do, and parsing them is
    # what takes long.
    global _raw, _parsed
    try:
        with open(FILE, "rb") as file:
            raw = file.read(_LONGEST)
    except OSError:
        raw = b""
    if raw != _raw:
        try:
            parsed = parse(raw)
        except ValueError:
            parsed = None
        _parsed = parsed if isinstance(parsed, dict) else {}
        _raw = raw
        if not _parsed:
            print("camera: settings.json is missing or broken; every login is refused")
    return _parsed
