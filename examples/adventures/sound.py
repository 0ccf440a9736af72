"""The five servers. Sound: ``uvicorn --factory sound:SERVER``."""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import os
import secrets
import sqlite3
import time
import uuid
from dataclasses import dataclass

from adventures import (
    ACCESS_S,
    DEVICE_CODE_S,
    INTERVAL_S,
    REFRESH_S,
    Keys,
    Provider,
    Refused,
    basic,
    credentials,
    data,
    device_code,
    json_field,
    user_code,
)
from body_limit import BodyLimit
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.routing import Route

# A session ends at last, however often it is refreshed.
SESSION_S = 90 * 86_400
KEY_BYTES = 32
# Five wrong user codes a minute, of 2**32 that there are.
GUESSES, GUESSES_S = 5, 60
# Who the provider's users are here. Two of one name at two domains are not one.
USERNAMES = {"dallan@example.com": "dallan"}


def application(routes):
    return BodyLimit(Starlette(routes=routes))


def same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())


def unauthorized(scheme, error=None):
    told = f', error="{error}"' if error else ""
    challenge = {"WWW-Authenticate": f'{scheme} realm="adventures"{told}'}
    return JSONResponse({"error": "..."}, status_code=401, headers=challenge)


def oauth_error(error, status_code=400):
    """RFC 6749 section 5.2."""
    return JSONResponse({"error": error}, status_code=status_code)


def public():
    async def get(request):
        return data()

    return application([Route("/data", get)])


def single_user():
    key = os.environ["API_KEY"]
    # By the header only; a URL stands in logs and histories.
    by_query = os.environ.get("API_KEY_IN_QUERY") == "yes"

    async def get(request):
        given = credentials(request, "Apikey")
        if given is None and by_query and "Authorization" not in request.headers:
            keys = request.query_params.getlist("api_key")
            given = keys[0] if len(keys) == 1 else None
        return data() if same(given or "", key) else unauthorized("Apikey")

    return application([Route("/data", get)])


class Passwords:
    def __init__(self):
        self._passwords = {"dallan": os.environ["PASSWORD"]}

    def user(self, request):
        """Whose password the request has; None: nobody's."""
        user, password = basic(request)
        # An unknown user's password is compared, too: that takes as long.
        right = self._passwords.get(user)
        matches = same(password, right if right is not None else secrets.token_hex(16))
        return user if matches and right is not None else None


def http_basic():
    passwords = Passwords()

    async def get(request):
        user = passwords.user(request)
        return data(user) if user else unauthorized("Basic")

    return application([Route("/data", get)])


class Sessions:
    """Of each: its user, the refresh token that may be used next, and when it ends. A restart ends
    none."""

    def __init__(self):
        folder = os.environ.get("STATE")
        self._db = sqlite3.connect(f"{folder}/sessions.db" if folder else ":memory:")
        self._db.execute("CREATE TABLE IF NOT EXISTS session (id PRIMARY KEY, user, refresh, ends)")

    def get(self, session):
        """User, refresh token and end; three times None: there is no such session."""
        found = self._db.execute(
            "SELECT user, refresh, ends FROM session WHERE id = ?", (str(session),)
        )
        return found.fetchone() or (None, None, None)

    def put(self, session, user, refresh, ends):
        with self._db:
            self._db.execute("DELETE FROM session WHERE ends <= ?", (time.time(),))
            row = (session, user, refresh, ends)
            self._db.execute("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?)", row)

    def end(self, session):
        with self._db:
            self._db.execute("DELETE FROM session WHERE id = ?", (str(session),))


class Tokens:
    """Access and refresh tokens, and the two routes that take them."""

    def __init__(self):
        self.keys = Keys()
        self.sessions = Sessions()
        # RFC 7518 section 3.2.
        if any(len(key.encode()) < KEY_BYTES for key in os.environ["SECRET_KEYS"].split(";")):
            raise SystemExit(f"SECRET_KEYS: a key has {KEY_BYTES} bytes or more")

    def pair(self, user, session=None):
        now = int(time.time())
        ends = self.sessions.get(session)[2] or now + SESSION_S
        session = session or uuid.uuid4().hex
        refresh = uuid.uuid4().hex
        self.sessions.put(session, user, refresh, ends)

        def signed(type_, lifetime_s, jti):
            exp = min(now + lifetime_s, ends)
            return self.keys.sign(
                {"sub": user, "type": type_, "exp": exp, "sid": session, "jti": jti}
            )

        tokens = {
            "refresh_token": signed("refresh", REFRESH_S, refresh),
            "access_token": signed("access", ACCESS_S, uuid.uuid4().hex),
            "token_type": "Bearer",
            "expires_in": ACCESS_S,
        }
        return JSONResponse(tokens)

    async def get_data(self, request):
        given = credentials(request, "Bearer")
        if given is None:
            return unauthorized("Bearer")
        claims = self.keys.claims(given, "access", {"sid", "jti"})
        user = claims and self.sessions.get(claims["sid"])[0]
        if user is None or claims["sub"] != user:
            return unauthorized("Bearer", "invalid_token")
        return data(claims["sub"])

    async def refresh(self, request):
        token = await json_field(request, "refresh_token")
        claims = self.keys.claims(token, "refresh", {"sid", "jti"})
        if claims is None:
            return unauthorized("Bearer", "invalid_token")
        user, current, ends = self.sessions.get(claims["sid"])
        if user is None or (user, current) != (claims["sub"], claims["jti"]) or time.time() >= ends:
            # It comes a second time: somebody has stolen it, and nobody knows who (RFC 9700
            # section 4.14.2).
            self.sessions.end(claims["sid"])
            return unauthorized("Bearer", "invalid_token")
        return self.pair(claims["sub"], claims["sid"])

    def routes(self):
        return [
            Route("/data", self.get_data),
            Route("/refresh", self.refresh, methods=["POST"]),
        ]


def http_basic_into_oauth2():
    tokens, passwords = Tokens(), Passwords()

    async def login(request):
        user = passwords.user(request)
        return tokens.pair(user) if user else unauthorized("Basic")

    return application([Route("/login", login, methods=["POST"]), *tokens.routes()])


class Authorization:
    """One visit to the provider: its state, and the secret of its code (RFC 7636)."""

    def __init__(self):
        self.state = secrets.token_urlsafe(16)
        self.verifier = secrets.token_urlsafe(32)
        self.deadline = time.time() + DEVICE_CODE_S

    def parameters(self):
        digest = hashlib.sha256(self.verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return {
            "state": self.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }


@dataclass
class PendingSession:
    user_code: str
    device_code: str
    authorization: Authorization
    polled: float = 0.0
    username: str | None = None


def external_oidc_into_oauth2():
    tokens = Tokens()
    base = os.environ.get("BASE_URL", "http://localhost:8000")
    webapp = os.environ.get("WEBAPP_URL", "http://localhost:8001")
    provider = Provider(os.environ.get("ISSUER", "http://localhost:9000"))
    callback = f"{base}/device_code_callback"
    visits: dict[str, Authorization] = {}
    pending: list[PendingSession] = []
    guesses: list[float] = []

    def username(code, redirect_uri, authorization):
        subject = provider.identity(code, redirect_uri, code_verifier=authorization.verifier)
        if subject not in USERNAMES:
            raise Refused
        return USERNAMES[subject]

    def find(**field):
        ((name, value),) = field.items()
        now = time.time()
        pending[:] = [one for one in pending if now < one.authorization.deadline]
        return next((one for one in pending if same(getattr(one, name), value)), None)

    async def link(request):
        now = time.time()
        for old in [state for state, visit in visits.items() if now >= visit.deadline]:
            del visits[old]
        visit = Authorization()
        visits[visit.state] = visit
        at = provider.authorization_uri(webapp, **visit.parameters())
        return RedirectResponse(at, status_code=303)

    async def code(request):
        visit = visits.pop(request.query_params.get("state", ""), None)
        try:
            if visit is None or time.time() >= visit.deadline:
                raise Refused
            given = request.query_params.get("code", "")
            return tokens.pair(await run_in_threadpool(username, given, webapp, visit))
        except Refused:
            return oauth_error("invalid_grant")

    async def authorize(request):
        session = PendingSession(user_code(), device_code(), Authorization())
        pending.append(session)
        at = provider.authorization_uri(callback, **session.authorization.parameters())
        return JSONResponse(
            {
                "authorization_uri": at,
                "verification_uri": at,
                "interval": INTERVAL_S,
                "device_code": session.device_code,
                "expires_in": DEVICE_CODE_S,
                "user_code": session.user_code,
            }
        )

    async def ask(request):
        hidden = "".join(
            f'<input type="hidden" name="{name}" value="'
            f'{html.escape(request.query_params.get(name, ""))}">'
            for name in ("code", "state")
        )
        return HTMLResponse(
            '<form method="post"><label>Enter code <input name="user_code"></label>'
            f"{hidden}<button>OK</button></form>"
        )

    async def verify(request):
        form = await request.form()
        now = time.time()
        guesses[:] = [at for at in guesses if now - at < GUESSES_S]
        if len(guesses) >= GUESSES:
            return HTMLResponse("Too many wrong codes.", status_code=429)
        session = find(user_code=str(form.get("user_code", "")).upper())
        state = str(form.get("state", ""))
        if session is None or not same(session.authorization.state, state):
            guesses.append(now)
            return HTMLResponse("No such code.", status_code=401)
        try:
            session.username = await run_in_threadpool(
                username, str(form.get("code", "")), callback, session.authorization
            )
        except Refused:
            return HTMLResponse("Not logged in.", status_code=401)
        return HTMLResponse("You are logged in. You may close this window.")

    async def token(request):
        given = (await request.form()).get("device_code")
        if not isinstance(given, str):
            return oauth_error("invalid_request")
        session = find(device_code=given)
        if session is None:
            return oauth_error("expired_token")
        since, session.polled = time.time() - session.polled, time.time()
        if session.username is None:
            return oauth_error("slow_down" if since < INTERVAL_S else "authorization_pending")
        pending.remove(session)
        return tokens.pair(session.username)

    routes = [
        Route("/login", link),
        Route("/code", code),
        Route("/authorize", authorize, methods=["POST"]),
        Route("/device_code_callback", ask),
        Route("/device_code_callback", verify, methods=["POST"]),
        Route("/token", token, methods=["POST"]),
    ]
    return application([*routes, *tokens.routes()])
