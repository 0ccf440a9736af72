"""The decorators of protected routes: ``@bearer`` and ``@basic``, as microdot.auth has them, with
what that lacks: scheme names in any case for both, a challenge in every 401, canonical base64.

The handler finds the user in ``request.g.current_user``.
"""

import settings
from auth import passwords, throttle, tokens
from auth.base64 import decode
from microdot import abort
from web.strictjson import check_utf8

BEARER_REALM = 'Bearer realm="Backyard cam"'
BASIC_REALM = 'Basic realm="Backyard cam admin", charset="UTF-8"'
_TOKEN68 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="


def bearer(handler):
    """Lets a request in whose ``Authorization: Bearer`` token is valid (RFC 6750 §2.1)."""

    async def guarded(request):
        scheme, token = credentials(request)
        user = tokens.verify(token) if scheme == "bearer" and token else None
        if user is None:
            # RFC 6750 §3.1: no error code where no token was shown
            shown = ', error="invalid_token"' if scheme == "bearer" and token else ""
            return "401 error", 401, {"WWW-Authenticate": BEARER_REALM + shown}
        request.g.current_user = user
        return await handler(request)

    return guarded


def client(handler):
    """``@bearer``; where they are switched on, an API key will do too."""
    if not settings.on("api_keys"):
        return bearer(handler)
    from auth import api_keys

    return api_keys.also(handler, bearer(handler))


def basic(handler):
    """Lets a request in that has ``Authorization: Basic`` credentials of an admin (RFC 7617)."""

    async def guarded(request):
        user_pass = _user_pass(request)
        if user_pass is None or not await password_is_right(request, *user_pass):
            return "", 401, {"WWW-Authenticate": BASIC_REALM}
        if settings.role(user_pass[0]) != "admin":
            return "403 error", 403
        request.g.current_user = user_pass[0]
        return await handler(request)

    return guarded


async def password_is_right(request, user, password):
    """One attempt at a password; 429 when this client has too many under way."""
    address = request.client_addr[0]
    await turn(request, address)
    if await passwords.accepts(user, password):
        throttle.succeeded(address)
        return True
    throttle.failed(address)
    return False


async def turn(request, who):
    """Waits until ``who`` may guess again; 429 where too many of its guesses wait already."""
    try:
        await throttle.turn(who, settings.throttle_ms())
    except throttle.Busy as busy:
        request.g.retry_after = busy.seconds
        abort(429, "Too many attempts")


def credentials(request):
    """Scheme in lower case and token68 (RFC 9110 §11.4): 1*SP between them, no TAB, no second one.

    The token is "" when there is none, and "?" (never valid) when it is not one.
    """
    field = request.headers.get("authorization", "")
    scheme, _, rest = field.partition(" ")
    rest = rest.lstrip(" ")
    return scheme.lower(), rest if all(c in _TOKEN68 for c in rest) else "?"


def _user_pass(request):
    scheme, token = credentials(request)
    if scheme != "basic":
        return None
    try:
        user_pass = decode(token.encode())
        check_utf8(user_pass)
    except ValueError:
        return None
    # RFC 7617 §2: the first colon separates; a user-id has none, a password may
    user, colon, password = user_pass.decode().partition(":")
    return (user, password) if colon else None
