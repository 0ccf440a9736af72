"""The camera's tokens: what they say, how long they hold, and when they die before that.

Claims: ``sub`` the user, ``exp`` Unix seconds, ``jti`` random (two logins in one second differ) and
``gen``, a MAC of what the token depends on: the stored password and the clock's generation. When
either changes, ``gen`` no longer fits and the token is void. Nothing in it is personal.

Where they are switched on: ``role`` (auth.roles), and ``sid``, which log-in it came from
(auth.refresh). The kinds of token have a key each (RFC 8725 §3.12): the secret itself for these,
one derived from it for others. So none is taken for another, whatever check is forgotten.
"""

import os

import clock
import settings
from auth import jwt, passwords, secret
from auth.base64 import url_encode
from auth.mac import equal, hmac

LIFETIME = 3600  # seconds; RFC 6750 §5.3: an hour or less
SLACK = 60  # seconds by which a token of another issuer with our key may exceed the lifetime
_SKEW = 5  # seconds by which that issuer's clock may be ahead of ours (iat)

_key = None
revoked = None
if settings.on("logout") or settings.on("refresh"):
    from auth import revoked


def start():
    """Loads the secret. It is kept until the next boot, also when the file goes away."""
    global _key
    _key = secret.load()
    clock.restore()
    if revoked and not revoked.load():
        _key = None
    if settings.on("refresh"):
        from auth import refresh

        refresh.load()


def available():
    """Whether tokens can be issued: the key is kept safe, and the clock is set."""
    return _key is not None and clock.is_set()


def issue(user, sid=None):
    now = clock.observe()
    claims = {
        "sub": user,
        "exp": now + LIFETIME,
        "jti": url_encode(os.urandom(9)).decode(),
        "gen": generation(user),
    }
    if settings.on("users"):
        claims["role"] = settings.role(user)
    if sid:
        claims["sid"] = sid
    token = jwt.encode(claims, _key)
    clock.token_issued()
    return token


def verify(token):
    """The user whom the token names, or None. Forged and expired look alike from outside."""
    claims = read(token)
    return claims["sub"] if claims else None


def read(token):
    """The claims of a token that is accepted, or None."""
    if not available():
        return None
    try:
        claims = jwt.decode(token, _key)
    except jwt.Invalid:
        return None
    if not sound(claims) or (settings.on("refresh") and "use" in claims):
        return None
    if settings.on("users") and claims.get("role") not in ("basic", "admin"):
        return None
    if revoked and revoked.covers(claims, token):
        return None
    return claims


def sound(claims, lifetime=LIFETIME):
    """Whether the claims of a signed token hold now: whose it is, and from when to when."""
    user = claims.get("sub")
    if not user or not isinstance(user, str) or settings.role(user) is None:
        return False
    # No audience and no issuer is ours (RFC 7519 §4.1.3: then the token MUST be refused).
    if "aud" in claims or "iss" in claims:
        return False
    if not _timely(claims, clock.observe(), lifetime):
        return False
    shown = claims.get("gen", generation(user))
    return isinstance(shown, str) and equal(shown.encode(), generation(user).encode())


def latest():
    """The last date at which a token that is accepted now may expire."""
    return clock.unix() + LIFETIME + SLACK


def key(kind):
    """The key for another kind of token, derived from the secret (RFC 5869 §2.3, one block)."""
    return hmac(_key, kind.encode() + b"\x01")


def _timely(claims, now, lifetime):
    exp, nbf, iat = claims.get("exp"), claims.get("nbf", 0), claims.get("iat", 0)
    for date in (exp, nbf, iat):
        if type(date) is not int:  # not isinstance: True is no date
            return False
    # RFC 7519 §4.1.4: "on or after" exp it MUST NOT be accepted; §4.1.5: nor before nbf.
    return now < exp <= now + lifetime + SLACK and nbf <= now and iat <= now + _SKEW


def generation(user):
    """What ``gen`` is in a token of this user, as long as the token holds."""
    depends_on = b"token generation" + clock.generation() + passwords.fingerprint(user)
    if revoked:
        depends_on += revoked.era()
    return url_encode(hmac(_key, depends_on)[:9]).decode()
