"""The tutorial's aiohttp application. Sound, with the same routes, texts and statuses."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import os
import sys
import time
import uuid

import jwt
from aiohttp import HttpVersion10, web
from aiohttp.http_exceptions import HttpProcessingError
from users import DoesNotExist, PasswordDoesNotMatch, User, Users

JWT_SECRET = os.environ["SECRET"]
if len(JWT_SECRET) < 32:  # RFC 7518 section 3.2
    sys.exit("SECRET must have 32 characters or more")
JWT_ALGORITHM = "HS256"
JWT_EXP_DELTA_SECONDS = 20

SALT = os.urandom(16)
# 50 ms; a cheap one is for tests that log in all the time.
SCRYPT_COST = int(os.environ.get("SCRYPT_COST", str(2**14)))


def hashed(password: str) -> str:
    return hashlib.scrypt(password.encode(), salt=SALT, n=SCRYPT_COST, r=8, p=1).hex()


users = Users()
users.create(email="user@email.com", password=hashed(os.environ["PASSWORD"]))

# An unknown user's password is compared with this one: that takes as long.
NOBODY = User(0, "", hashed(uuid.uuid4().hex))


async def match_password(user, password):
    # scrypt begins with HMAC, which fills a short key up with NUL: "x" and "x\0" hash alike.
    if not isinstance(password, str) or "\0" in password:
        raise PasswordDoesNotMatch
    given = await asyncio.to_thread(hashed, password)
    if not hmac.compare_digest(user.password, given) or user is NOBODY:
        raise PasswordDoesNotMatch


def json_response(body, **kwargs):
    return web.json_response(body, **kwargs)


async def login(request):
    form = request.content_type == "application/x-www-form-urlencoded"
    if not form or (request.charset or "utf-8").lower() != "utf-8":
        return json_response({"message": "A form is required, in UTF-8"}, status=415)
    try:
        post_data = await request.post()
    except ValueError:
        return json_response({"message": "Malformed form"}, status=400)
    if len(post_data) != len(set(post_data)):
        return json_response({"message": "A field is there twice"}, status=400)

    try:
        user = users.get(email=post_data.get("email"))
    except DoesNotExist:
        user = NOBODY
    try:
        await match_password(user, post_data.get("password", ""))
    except PasswordDoesNotMatch:
        return json_response({"message": "Wrong credentials"}, status=400)

    payload = {
        "user_id": user.id,
        "exp": int(time.time()) + JWT_EXP_DELTA_SECONDS,
        "jti": uuid.uuid4().hex,
    }
    return json_response({"token": jwt.encode(payload, JWT_SECRET, JWT_ALGORITHM)})


def login_required(func):
    async def wrapper(request):
        if not request["user"]:
            challenge = {"WWW-Authenticate": 'Token realm="get-user"'}
            return json_response({"message": "Auth required"}, status=401, headers=challenge)
        return await func(request)

    return wrapper


async def get_user(request):
    return json_response({"user": str(request["user"])})


def user_of(jwt_token):
    """:raises jwt.InvalidTokenError: it is no token of ours; so does ValueError, for a header that
        PyJWT reads and that is not JSON in UTF-8 (RFC 7515 section 5.2)
    :raises DoesNotExist: it is, of nobody whom we know
    """
    if "=" in jwt_token:
        # Base64url without padding (RFC 7515 section 2); PyJWT reads it with padding, too.
        raise jwt.InvalidTokenError
    json.loads(jwt.utils.base64url_decode(jwt_token.partition(".")[0]).decode("utf-8"))
    decoded = jwt.decode_complete(jwt_token, JWT_SECRET, algorithms=[JWT_ALGORITHM])
    header, payload = decoded["header"], decoded["payload"]
    # One with less is of another kind, though signed with this key; one with more may be, too.
    if header.get("typ") != "JWT" or payload.keys() - {"iat", "nbf"} != {"user_id", "exp", "jti"}:
        raise jwt.InvalidTokenError
    if type(payload["exp"]) not in (int, float) or type(payload["user_id"]) is not int:
        raise jwt.InvalidTokenError
    if payload["exp"] > time.time() + JWT_EXP_DELTA_SECONDS:
        raise jwt.InvalidTokenError
    return users.get(id=payload["user_id"])


@web.middleware
async def http_1(request, handler):
    """aiohttp takes a request line without a version for HTTP/0.9, and answers it with a status
    line, which that has not (RFC 9112 section 2.3)."""
    if request.version < HttpVersion10:
        request.transport.abort()
    return await handler(request)


@web.middleware
async def auth_middleware(request, handler):
    request["user"] = None
    given = request.headers.getall("authorization", [])
    if given:
        try:
            (jwt_token,) = given
            request["user"] = user_of(jwt_token)
        except (ValueError, jwt.InvalidTokenError, DoesNotExist):
            return json_response({"message": "Token is invalid"}, status=400)
    return await handler(request)


async def anonymous(request, response):
    """No cache keeps an answer, and no header field tells what made it."""
    response.headers.update({"Cache-Control": "no-store", "Server": "get-user"})


def untold(record):
    """What is no HTTP is logged with the bytes that were no HTTP: a token, a password."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


logging.getLogger("aiohttp.server").addFilter(untold)

app = web.Application(middlewares=[http_1, auth_middleware], client_max_size=16 * 1024)
app.on_response_prepare.append(anonymous)
app.router.add_route("POST", "/login", login)
app.router.add_route("GET", "/get-user", login_required(get_user))

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
