"""The tutorial's authentication: its configuration, ``auth/core.py``, ``auth/endpoints.py`` and
``database/redis/rd_utils.py``. As documented."""

from __future__ import annotations

import datetime
import logging
import os
import uuid

import jwt
import redis
from films import FILMS, REDIS_URL, ApiError, users
from redis import ConnectionError, ResponseError

# -- configuration ------------------------------------------------------------------------------

JWT_ISSUER = "fathat.org"
JWT_ALGORITHM = "HS256"

JWT_SECRET = "0f8014e60a33413b8f1ef6c414a5ed86"
JWT_REFRESH_SECRET = "0f8014e60a33413b8f1ef6c414a7ab21"
JWT_EMAIL_SECRET = "0h1014e60a33313b8f1ef6c414a5ed19"
JWT_PASSWORD_SECRET = "0f8014e60a33413b8f1ef6c414a1de15"

JWT_BASIC_PAYLOAD_CLAIM = ["user_id", "standard_claim"]
JWT_EMAIL_PAYLOAD_CLAIM = ["user_id", "email_claim"]
JWT_PASSWORD_PAYLOAD_CLAIM = ["user_id", "password_claim"]
JWT_REFRESH_PAYLOAD_CLAIM = ["user_id", "refresh_claim"]

JWT_ACCESS_HOURS = 10
JWT_REFRESH_HOURS = 24
JWT_PASSWORD_HOURS = 1
JWT_EMAIL_HOURS = 1

# permission(logout=True) reads payload['token'], and nothing puts it there. With "yes", the payload
# has it, as the author must have meant.
TOKEN_IN_PAYLOAD = os.environ.get("TOKEN_IN_PAYLOAD") == "yes"


def access_roles() -> dict:
    return {"basic": 1, "admin": 2}


# -- the store of revoked tokens ------------------------------------------------------------------


class RedisConnect:
    def __init__(self):
        self.connection = redis.Redis.from_url(REDIS_URL)
        self.check_connection()

    def check_connection(self):
        try:
            self.connection.randomkey()
        except ConnectionError:
            logging.error("Cannot connect to Redis")

    def bgsave(self):
        if not self.connection.bgsave():
            logging.error("Redis was NOT saved successfully")

    def set(self, k):
        try:
            self.connection.set(k, 1)
            self.bgsave()
        except ResponseError:
            logging.error("Redis did not save the key %s", k)
            raise ApiError(message="service unavailable", status_code=503) from None

    def get(self, k):
        try:
            return self.connection.get(k)
        except Exception:
            raise ApiError(message="service unavailable", status_code=503) from None


redis_connection = RedisConnect()


def revoke_auth_token(token: str):
    redis_connection.set(token)


def is_revoked(token: str) -> bool:
    return bool(redis_connection.get(token))


# -- tokens ---------------------------------------------------------------------------------------


def select_secret(payload: dict) -> str | bool:
    if payload.get("email_claim"):
        return JWT_EMAIL_SECRET
    if payload.get("password_claim"):
        return JWT_PASSWORD_SECRET
    if payload.get("refresh_claim"):
        return JWT_REFRESH_SECRET
    if payload.get("standard_claim"):
        return JWT_SECRET
    return False


def generate_jwt(payload_claim: dict, access_role: str, user_id: int) -> str:
    if payload_claim.get("standard_claim"):
        hours = JWT_ACCESS_HOURS
    elif payload_claim.get("refresh_claim"):
        hours = JWT_REFRESH_HOURS
    elif payload_claim.get("email_claim"):
        hours = JWT_EMAIL_HOURS
    elif payload_claim.get("password_claim"):
        hours = JWT_PASSWORD_HOURS
    else:
        raise ApiError("token-generation-failure", status_code=401)
    now = datetime.datetime.now(datetime.timezone.utc)
    payload = {
        **payload_claim,
        "iss": JWT_ISSUER,
        "exp": now + datetime.timedelta(hours=hours),
        "iat": now,
        "sub": str(uuid.uuid4()),
        "access_role": access_role,
        "user_id": user_id,
    }
    return jwt.encode(payload, select_secret(payload), algorithm=JWT_ALGORITHM)


def decode_auth_token(token: str, secret: str) -> dict:
    try:
        return jwt.decode(token, secret, algorithms=[JWT_ALGORITHM])
    except jwt.ExpiredSignatureError:
        raise ApiError("token-expired", status_code=401) from None
    except jwt.InvalidTokenError:
        raise ApiError("token-invalid", status_code=401) from None


def decode_token(token: str) -> dict:
    if is_revoked(token):
        raise ApiError("token-invalid", status_code=401)
    payload = decode_auth_token(token, JWT_SECRET)
    return {**payload, "token": token} if TOKEN_IN_PAYLOAD else payload


def decode_refresh_token(token: str) -> dict:
    if is_revoked(token):
        raise ApiError("token-invalid", status_code=401)
    return decode_auth_token(token, JWT_REFRESH_SECRET)


def verify_payload(payload: dict, access_role: str) -> bool:
    if not payload:
        raise ApiError("token-invalid", status_code=401)
    if "standard_claim" in payload:
        claims = JWT_BASIC_PAYLOAD_CLAIM
    elif "email_claim" in payload:
        claims = JWT_EMAIL_PAYLOAD_CLAIM
    elif "password_claim" in payload:
        claims = JWT_PASSWORD_PAYLOAD_CLAIM
    elif "refresh_claim" in payload:
        claims = JWT_REFRESH_PAYLOAD_CLAIM
    else:
        raise ApiError("token-invalid", status_code=401)

    if len(set(claims) - set(payload.keys())):
        raise ApiError("token-invalid", status_code=401)

    roles = access_roles()
    if roles[payload["access_role"]] < roles[access_role]:
        raise ApiError("authorisation-required", status_code=401)
    return True


def permission(payload: dict, access_role: str, logout=False) -> bool:
    verify_payload(payload, access_role)
    if logout:
        revoke_auth_token(payload["token"])
    return True


# -- endpoints ------------------------------------------------------------------------------------


def get_films(**kwargs):
    permission(kwargs["token_info"], access_role="basic")
    return {"results": FILMS, "count": len(FILMS)}


def get_users(**kwargs):
    permission(kwargs["token_info"], access_role="admin")
    return {"results": users.names()}


def tokens(user: dict) -> dict:
    of = {"access_role": user["access_role"], "user_id": user["user_id"]}
    return {
        "access_token": generate_jwt(payload_claim={"standard_claim": True}, **of),
        "refresh_token": generate_jwt(payload_claim={"refresh_claim": True}, **of),
    }


def login(body: dict):
    return tokens(users.with_password(body["username"], body["password"]))


def refresh(**kwargs):
    permission(kwargs["token_info"], access_role="basic")
    return tokens(kwargs["token_info"])


def logout(**kwargs):
    permission(kwargs["token_info"], access_role="basic", logout=True)
    return {"message": "logged out"}


def of_kind(kind: str, token_info: dict) -> dict:
    permission(token_info, access_role="basic")
    of = {"access_role": token_info["access_role"], "user_id": token_info["user_id"]}
    return {f"{kind}_token": generate_jwt(payload_claim={f"{kind}_claim": True}, **of)}


def email(**kwargs):
    return of_kind("email", kwargs["token_info"])


def password(**kwargs):
    return of_kind("password", kwargs["token_info"])
