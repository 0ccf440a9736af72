"""The tutorial's aiohttp application. As documented, for today's aiohttp and PyJWT."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone

import jwt
from aiohttp import web
from users import DoesNotExist, PasswordDoesNotMatch, Users

JWT_SECRET = "secret"
JWT_ALGORITHM = "HS256"
JWT_EXP_DELTA_SECONDS = 20

users = Users()
users.create(email="user@email.com", password="password")


def match_password(user, password):
    if user.password != password:
        raise PasswordDoesNotMatch


def json_response(body="", **kwargs):
    kwargs["body"] = json.dumps(body or kwargs["body"]).encode("utf-8")
    kwargs["content_type"] = "text/json"
    return web.Response(**kwargs)


async def login(request):
    post_data = await request.post()

    try:
        user = users.get(email=post_data["email"])
        match_password(user, post_data["password"])
    except (DoesNotExist, PasswordDoesNotMatch):
        return json_response({"message": "Wrong credentials"}, status=400)

    payload = {
        "user_id": user.id,
        "exp": datetime.now(timezone.utc) + timedelta(seconds=JWT_EXP_DELTA_SECONDS),
    }
    return json_response({"token": jwt.encode(payload, JWT_SECRET, JWT_ALGORITHM)})


def login_required(func):
    async def wrapper(request):
        if not request["user"]:
            return json_response({"message": "Auth required"}, status=401)
        return await func(request)

    return wrapper


async def get_user(request):
    return json_response({"user": str(request["user"])})


@web.middleware
async def auth_middleware(request, handler):
    request["user"] = None
    jwt_token = request.headers.get("authorization", None)
    if jwt_token:
        try:
            payload = jwt.decode(jwt_token, JWT_SECRET, algorithms=[JWT_ALGORITHM])
        except (jwt.DecodeError, jwt.ExpiredSignatureError):
            return json_response({"message": "Token is invalid"}, status=400)

        request["user"] = users.get(id=payload["user_id"])
    return await handler(request)


app = web.Application(middlewares=[auth_middleware])
app.router.add_route("POST", "/login", login)
# The decorator is the article's last step. LOGIN_REQUIRED=no is the application before it.
guarded = os.environ.get("LOGIN_REQUIRED") != "no"
app.router.add_route("GET", "/get-user", login_required(get_user) if guarded else get_user)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
