"""POST /api/refresh: the next pair of tokens for a refresh token (RFC 6749 §6)."""

from auth import refresh, tokens
from microdot import abort
from routes.answers import granted, not_kept
from web import strictjson
from web.media import media_type


def login_answer(user):
    """What /api/login says: as ever, and a refresh token beside it."""
    return granted(refresh.granted(user), "token")


def add(app):
    @app.post("/api/refresh")
    async def exchange(request):
        shown = _refresh_token(request)
        if not shown or not isinstance(shown, str):
            return {"error": "invalid_request"}, 400
        if not tokens.available():
            abort(503, "no tokens yet")
        try:
            pair = refresh.exchanged(shown)
        except OSError as error:
            print("camera: a refresh token cannot be exchanged:", error)
            return not_kept()
        if pair is None:
            # RFC 6749 §5.2 has 400 for it; 401 is for clients that authenticate in a header
            return {"error": "invalid_grant"}, 400
        return granted(pair, "token")


def _refresh_token(request):
    if media_type(request) != "application/json":
        return None
    try:
        body = strictjson.parse(request.body)
    except ValueError:
        return None
    return body.get("refresh_token") if isinstance(body, dict) else None
