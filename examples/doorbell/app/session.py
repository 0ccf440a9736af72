# Sessions: JSON Web Tokens by HS256, under a key that the doorbell makes itself.

import hashlib
import json
import os
import time
from binascii import a2b_base64, b2a_base64, hexlify

LIFETIME = 900  # seconds
KEY_FILE = "signing.key"
KEY_BYTES = 48
YEAR_2000 = 946684800 if time.gmtime(0)[0] == 2000 else 0
YEAR_2024 = 1704067200

_key = None


def now():
    """Unix time, whichever year this port counts from."""
    return time.time() + YEAR_2000


def ready():
    return _key is not None and now() > YEAR_2024


def load_key():
    """48 random bytes that outlive a reboot. Whoever deletes the file makes all sessions void.

    With an SD card in, they are on the card; those on flash must not come back when it is out.
    """
    global _key
    try:
        if os.getcwd() != "/flash" and KEY_FILE in os.listdir("/flash"):
            os.remove("/flash/" + KEY_FILE)
        try:
            with open(KEY_FILE, "rb") as f:
                key = f.read(KEY_BYTES + 1)
        except OSError as error:
            if error.errno != 2:  # ENOENT: the first boot
                raise
            key = b""
        if len(key) != KEY_BYTES:  # also what a power cut has left
            key = os.urandom(KEY_BYTES)
            with open(KEY_FILE, "wb") as f:
                f.write(key)
            if hasattr(os, "sync"):
                os.sync()
        _key = key
    except OSError as error:
        print("doorbell: no sessions, the key cannot be kept:", error)


def same(a, b):
    """Equal, in a time that does not tell how nearly."""
    a, b = hashlib.sha256(a).digest(), hashlib.sha256(b).digest()
    return sum(x ^ y for x, y in zip(a, b)) == 0


def mac(message):
    inner = hashlib.sha256(bytes(b ^ 0x36 for b in _key) + b"\x36" * (64 - KEY_BYTES) + message)
    outer = bytes(b ^ 0x5C for b in _key) + b"\x5c" * (64 - KEY_BYTES)
    return hashlib.sha256(outer + inner.digest()).digest()


def b64url(data):
    return b2a_base64(data)[:-1].rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")


def unb64url(text):
    data = a2b_base64(text.replace(b"-", b"+").replace(b"_", b"/") + b"=" * (-len(text) % 4))
    if b64url(data) != text:  # binascii takes many spellings of the same bytes
        raise ValueError
    return data


HEADER = b64url(b'{"alg":"HS256","typ":"JWT"}')


def issue(resident):
    claims = {
        "iss": "doorbell",
        "sub": resident,
        "exp": now() + LIFETIME,
        "jti": hexlify(os.urandom(8)).decode(),
    }
    signed = HEADER + b"." + b64url(json.dumps(claims).encode())
    return (signed + b"." + b64url(mac(signed))).decode()


def check(token):
    """The claims of a token that holds; None for any other."""
    try:
        header, payload, signature = token.encode().split(b".")
        # One header is ours and no other: there is nothing in it to be talked into.
        if not ready() or header != HEADER:
            return None
        if not same(unb64url(signature), mac(header + b"." + payload)):
            return None
        claims = json.loads(unb64url(payload).decode())
        return claims if isinstance(claims, dict) and timely(claims) else None
    except (ValueError, TypeError, OverflowError):
        return None


def timely(claims):
    if claims.get("iss") != "doorbell" or "aud" in claims or not isinstance(claims.get("sub"), str):
        return False
    for name, default in (("exp", None), ("nbf", 0), ("iat", 0)):
        if type(claims.get(name, default)) not in (int, float):
            return False
    if int(claims.get("nbf", 0)) > now() or int(claims.get("iat", 0)) > now() + 5:
        return False
    return now() < int(claims["exp"]) <= now() + LIFETIME


def basic_pair(text):
    """User and password of Basic credentials, or None."""
    try:
        raw = a2b_base64(text)
        if b2a_base64(raw)[:-1] != text.encode():
            return None
        user, colon, password = raw.decode().partition(":")
        return (user, password) if colon else None
    except ValueError:
        return None
