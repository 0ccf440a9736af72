"""The routes of the device grant (RFC 8628): /api/device and /api/token for the device, /device for
the person. The page asks for the password itself, so it needs no session and no CSRF token.
"""

import settings
from auth import device, throttle, tokens
from auth.guards import BEARER_REALM, password_is_right, turn
from microdot import abort
from routes.answers import granted
from web.form import form

GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_HOST = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:[]"
_PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Connect a device</title>
<h1>Connect a device</h1>
<p>%s</p>
<form method="post" action="/device">
<p><label>Code on the device <input name="user_code" value="%s" autocomplete="off"></label></p>
<p><label>User <input name="user" value="%s" autocomplete="username"></label></p>
<p><label>Password <input name="password" type="password"></label></p>
<p>Connect only a device that is in front of you.</p>
<p><button>Connect</button></p>
</form>
</html>
"""
_HEADERS = {
    "Content-Type": "text/html; charset=UTF-8",
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}

refresh = None
if settings.on("refresh"):
    from auth import refresh


def add(app):
    @app.post("/api/device")
    async def authorize(request):
        if not tokens.available():
            abort(503, "no tokens yet")
        try:
            device_code, user_code = device.begin(request.client_addr[0])
        except device.Busy:
            request.g.retry_after = device.EXPIRES
            abort(429)
        return {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": "http://%s/device" % _authority(request),
            "expires_in": device.EXPIRES,
            "interval": device.INTERVAL,
        }

    @app.get("/device")
    async def ask(request):
        return page("A device shows a code. Type it here to let the device in.")

    @app.post("/device")
    async def approve(request):
        typed = form(request) or {}
        user_code, user = typed.get("user_code", ""), typed.get("user", "")
        password = typed.get("password", "")
        if not (user_code and user and password):
            return page("Code, user and password are wanted.", user_code, user, 400)
        # The password first: without one, nobody learns which codes there are.
        if not await password_is_right(request, user, password):
            return page("User or password is wrong.", user_code, user, 401)
        # RFC 8628 §5.1. A right password clears the count of an address, hence another count.
        guesser = "user code " + request.client_addr[0]
        await turn(request, guesser)
        if not device.approve(user_code, user):
            throttle.failed(guesser)
            return page("No device waits for this code.", user_code, user, 400)
        throttle.succeeded(guesser)
        return page("The device is connected.")

    @app.post("/api/token")
    async def token(request):
        shown = form(request) or {}
        # RFC 6749 §3.2: a parameter without a value counts as one that is not there
        if not shown.get("grant_type"):
            return {"error": "invalid_request"}, 400
        if shown["grant_type"] != GRANT:
            return {"error": "unsupported_grant_type"}, 400
        if not shown.get("device_code"):
            return {"error": "invalid_request"}, 400
        if not tokens.available():
            abort(503, "no tokens yet")
        try:
            user = device.collect(shown["device_code"])
        except device.Refused as refused:
            return {"error": refused.code}, 400
        pair = refresh.granted(user) if refresh else (tokens.issue(user), None)
        return granted(pair, "access_token")


def page(text, user_code="", user="", status=200):
    headers = dict(_HEADERS)
    if status == 401:
        headers["WWW-Authenticate"] = BEARER_REALM  # RFC 9110 §15.5.2: it MUST carry one
    return _PAGE % (text, escaped(user_code), escaped(user)), status, headers


def escaped(text):
    """Text for HTML, also within a quoted attribute."""
    for character, entity in (
        ("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;"),
    ):  # fmt: skip
        text = text.replace(character, entity)
    return text


def _authority(request):
    """As the device has reached us: it alone is told, so a forged one deceives nobody else."""
    host = request.headers.get("host", "")
    if host and all(c in _HOST for c in host):
        return host
    return settings.get("hostname") + ".local"
