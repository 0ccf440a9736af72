"""The camera's routes: a token for a password, an acknowledgement for a token, an admin page."""

import clock
import routes
import settings
from auth import tokens
from auth.guards import BEARER_REALM, basic, client, password_is_right
from microdot import Microdot, abort
from web import strictjson
from web.media import media_type

refresh = None
if settings.on("refresh"):
    from routes import refresh

app = Microdot()


@app.post("/api/login")
async def login(request):
    if media_type(request) != "application/json":
        abort(415, "application/json wanted")
    try:
        body = strictjson.parse(request.body)
    except ValueError:
        abort(400, "malformed JSON")
    if not isinstance(body, dict):
        abort(400, "object wanted")
    user, password = body.get("user"), body.get("pass")
    if not isinstance(user, str) or not isinstance(password, str):
        abort(400, "user and pass wanted")
    if not tokens.available():
        # No key that could be kept, or no time to count an hour from: nothing wrong with the client
        abort(503, "no tokens yet")
    if not await password_is_right(request, user, password):
        abort(401)
    if refresh:
        return refresh.login_answer(user)
    return {"token": tokens.issue(user)}


@app.post("/api/ack")
@client
async def ack(request):
    body = None
    if media_type(request) == "application/json" and request.body:
        try:
            body = strictjson.parse(request.body)
        except ValueError:
            abort(400, "malformed JSON")
    if not isinstance(body, dict) or "count" not in body:
        abort(400, "missing count")
    if type(body["count"]) is not int or body["count"] < 0:
        abort(400, "count must be a whole number")
    return {"ok": True, "user": request.g.current_user}


@app.get("/admin")
@basic
async def admin(request):
    return "hi " + request.g.current_user


@app.errorhandler(401)
async def unauthorized(request):
    # RFC 9110 §15.5.2: a 401 MUST carry a challenge, also where the password came in a body
    return "401 error", 401, {"WWW-Authenticate": BEARER_REALM}


@app.errorhandler(405)
async def method_not_allowed(request):
    return "Method not allowed", 405, {"Allow": allowed(request)}  # RFC 9110 §15.5.6


@app.errorhandler(429)
async def too_many(request):
    return "Too many attempts", 429, {"Retry-After": str(request.g.retry_after)}


@app.errorhandler(503)
async def unavailable(request):
    return "No tokens yet", 503, {"Retry-After": "5" if not clock.is_set() else "60"}


def allowed(request):
    return app.default_options_handler(request)["Allow"]


@app.after_request
async def keep_private(request, response):
    response.headers["Cache-Control"] = "no-store"  # RFC 6749 §5.1: tokens; and what they protect
    return response


app.after_error_request(keep_private)
routes.add(app)
