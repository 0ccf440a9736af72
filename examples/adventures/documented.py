"""The five servers. As documented: ``uvicorn --factory documented:SERVER``."""

from __future__ import annotations

import html
import logging
import os
import time
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
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse
from starlette.routing import Route

log = logging.getLogger("uvicorn.error")

PASSWORDS = {"dallan": "password"}


def unauthorized():
    return JSONResponse({"error": "..."}, status_code=401)


def public():
    async def get(request):
        return data()

    return Starlette(routes=[Route("/data", get)])


def single_user():
    key = os.environ["API_KEY"]

    async def get(request):
        given = credentials(request, "Apikey")
        if given is None and "Authorization" not in request.headers:
            keys = request.query_params.getlist("api_key")
            given = keys[0] if len(keys) == 1 else None
        return data() if given == key else unauthorized()

    return Starlette(routes=[Route("/data", get)])


def http_basic():
    async def get(request):
        user, password = basic(request)
        return data(user) if PASSWORDS.get(user) == password else unauthorized()

    return Starlette(routes=[Route("/data", get)])


class Tokens:
    """Access and refresh tokens, and the two routes that take them."""

    def __init__(self, users=None):
        self.keys = Keys()
        self.users = users  # None: those of the provider

    def pair(self, user):
        def signed(type_, lifetime_s):
            claims = {"sub": user, "type": type_, "exp": int(time.time()) + lifetime_s}
            return self.keys.sign(claims)

        tokens = {
            "refresh_token": signed("refresh", REFRESH_S),
            "access_token": signed("access", ACCESS_S),
        }
        return JSONResponse(tokens)

    def claims(self, token, type_):
        claims = self.keys.claims(token, type_, set())
        if claims is None or not isinstance(claims["sub"], str):
            return None
        return claims if self.users is None or claims["sub"] in self.users else None

    async def get_data(self, request):
        claims = self.claims(credentials(request, "Bearer"), "access")
        return data(claims["sub"]) if claims else unauthorized()

    async def refresh(self, request):
        token = await json_field(request, "refresh_token")
        claims = self.claims(token, "refresh")
        return self.pair(claims["sub"]) if claims else unauthorized()

    def routes(self):
        return [
            Route("/data", self.get_data),
            Route("/refresh", self.refresh, methods=["POST"]),
        ]


def http_basic_into_oauth2():
    tokens = Tokens(PASSWORDS)

    async def login(request):
        user, password = basic(request)
        return tokens.pair(user) if PASSWORDS.get(user) == password else unauthorized()

    return Starlette(routes=[Route("/login", login, methods=["POST"]), *tokens.routes()])


@dataclass
class PendingSession:
    user_code: str
    device_code: str
    deadline: float
    username: str | None = None


def external_oidc_into_oauth2():
    tokens = Tokens()
    base = os.environ.get("BASE_URL", "http://localhost:8000")
    webapp = os.environ.get("WEBAPP_URL", "http://localhost:8001")
    provider = Provider(os.environ.get("ISSUER", "http://localhost:9000"))
    callback = f"{base}/device_code_callback"
    pending: list[PendingSession] = []

    def username(code, redirect_uri):
        return provider.identity(code, redirect_uri).partition("@")[0]

    def find(**field):
        ((name, value),) = field.items()
        now = time.time()
        found = (one for one in pending if getattr(one, name) == value and now < one.deadline)
        return next(found, None)

    async def link(request):
        return RedirectResponse(provider.authorization_uri(webapp), status_code=303)

    def code(request):
        try:
            return tokens.pair(username(request.query_params.get("code", ""), webapp))
        except Refused:
            return JSONResponse({"error": "..."}, status_code=400)

    async def authorize(request):
        session = PendingSession(user_code(), device_code(), time.time() + DEVICE_CODE_S)
        pending.append(session)
        log.info("Created %s", session)
        return JSONResponse(
            {
                "authorization_uri": provider.authorization_uri(callback),
                "verification_uri": f"{base}/token",
                "interval": INTERVAL_S,
                "device_code": session.device_code,
                "expires_in": DEVICE_CODE_S,
                "user_code": session.user_code,
            }
        )

    async def ask(request):
        given = html.escape(request.query_params.get("code", ""))
        return HTMLResponse(
            '<form method="post"><label>Enter code <input name="user_code"></label>'
            f'<input type="hidden" name="code" value="{given}"><button>OK</button></form>'
        )

    async def verify(request):
        form = await request.form()
        session = find(user_code=str(form.get("user_code", "")).upper())
        if session is None:
            return HTMLResponse("No such code.", status_code=401)
        try:
            code = str(form.get("code", ""))
            session.username = await run_in_threadpool(username, code, callback)
        except Refused:
            return HTMLResponse("Not logged in.", status_code=401)
        log.info("Verified %s", session)
        return HTMLResponse("You are logged in. You may close this window.")

    async def token(request):
        given = (await request.form()).get("device_code")
        if given is None:
            return JSONResponse({"error": "..."}, status_code=400)
        session = find(device_code=given)
        if session is None or session.username is None:
            return unauthorized()
        pending.remove(session)
        log.info("Used %s", session)
        return tokens.pair(session.username)

    routes = [
        Route("/login", link),
        Route("/code", code),
        Route("/authorize", authorize, methods=["POST"]),
        Route("/device_code_callback", ask),
        Route("/device_code_callback", verify, methods=["POST"]),
        Route("/token", token, methods=["POST"]),
    ]
    return Starlette(routes=[*routes, *tokens.routes()])
