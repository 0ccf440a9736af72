"""The camera's tokens: what they say, how long they hold, and when they die before that.

Claims: ``sub`` the user, ``exp`` Unix seconds, ``jti`` random (two logins in one second differ) and
``gen``, a MAC of what the token depends on: the stored password and the clock's generation. When
either changes, ``gen`` no longer fits and the token is void. Nothing in it is personal.
"""

import os

import clock
import settings
from auth import jwt, passwords, secret
from auth.base64 import url_encode
from auth.mac import equal, hmac

LIFETIME = 3600  # seconds; RFC 6750 §5.3: an hour or less
_SLACK = 60  # seconds by which a token of another issuer with our key may exceed the lifetime
_SKEW = 5  # seconds by which that issuer's clock may be ahead of ours (iat)

_key = None


def start():
    """Loads the secret. It is kept until the next boot, also when the file goes away."""
    global _key
    _key = secret.load()
    clock.restore()


def available():
    """Whether tokens can be issued: the key is kept safe, and the clock is set."""
    return _key is not None and clock.is_set()


def issue(user):
    now = clock.observe()
    token = jwt.encode(
        {
            "sub": user,
            "exp": now + LIFETIME,
            "jti": url_encode(os.urandom(9)).decode(),
            "gen": _generation(),
        },
        _key,
    )
    clock.token_issued()
    return token


def verify(token):
    """The user whom the token names, or None. Forged and expired look alike from outside."""
    if not available():
        return None
    try:
        claims = jwt.decode(token, _key)
    except jwt.Invalid:
        return None
    user = claims.get("sub")
    if not user or not isinstance(user, str) or user != settings.get("user"):
        return None
    # No audience and no issuer is ours (RFC 7519 §4.1.3: then the token MUST be refused).
    if "aud" in claims or "iss" in claims:
        return None
    if not _timely(claims, clock.observe()):
        return None
    generation = claims.get("gen", _generation())
    if not isinstance(generation, str) or not equal(generation.encode(), _generation().encode()):
        return None
    return user


def _timely(claims, now):
    exp, nbf, iat = claims.get("exp"), claims.get("nbf", 0), claims.get("iat", 0)
    for date in (exp, nbf, iat):
        if type(date) is not int:  # not isinstance: True is no date
            return False
    # RFC 7519 §4.1.4: "on or after" exp it MUST NOT be accepted; §4.1.5: nor before nbf.
    return now < exp <= now + LIFETIME + _SLACK and nbf <= now and iat <= now + _SKEW


def _generation():
    depends_on = b"token generation" + clock.generation() + passwords.fingerprint()
    return url_encode(hmac(_key, depends_on)[:9]).decode()
