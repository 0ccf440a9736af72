"""The tutorial's authentication: its configuration, ``auth/core.py``, ``auth/endpoints.py`` and
``database/redis/rd_utils.py``. Sound."""

from __future__ import annotations

import json
import os
import time
import uuid

import jwt
import redis
from connexion.exceptions import OAuthProblem
from connexion.lifecycle import ConnexionResponse
from films import FILMS, REDIS_URL, ApiError, told, users
from front import Front
from redis import RedisError

# -- configuration ------------------------------------------------------------------------------

JWT_ISSUER = "fathat.org"
JWT_ALGORITHM = "HS256"

# By the claim that marks a token's kind: its secret, and how long it lives.
SECRETS = {
    "standard_claim": os.environ["JWT_SECRET"],
    "refresh_claim": os.environ["JWT_REFRESH_SECRET"],
    "email_claim": os.environ["JWT_EMAIL_SECRET"],
    "password_claim": os.environ["JWT_PASSWORD_SECRET"],
}
# RFC 7518 section 3.2: a key is as long as the hash.
if short := [kind for kind, secret in SECRETS.items() if len(secret) < 32]:
    raise SystemExit(f"the secrets of {', '.join(short)} have fewer than 32 characters")
HOURS = {"standard_claim": 10, "refresh_claim": 24, "email_claim": 1, "password_claim": 1}

ROLES = {"basic": 1, "admin": 2}


# -- the store of revoked tokens ------------------------------------------------------------------


class Revoked:
    """Ids of tokens, and of the sessions that they belong to. Each is kept for as long as a token
    of that id can live. That Redis saves it is Redis's own business: ``appendonly``."""

    def __init__(self):
        # Redis is on this computer: what does not answer in a second is down.
        self.connection = redis.Redis.from_url(REDIS_URL, socket_timeout=1)

    def add(self, name: str) -> bool:
        """:returns: whether it is new"""
        try:
            longest = max(HOURS.values()) * 3600
            return bool(self.connection.set(name, 1, ex=longest, nx=True))
        except RedisError:
            raise ApiError("service unavailable", status_code=503) from None

    def __contains__(self, names: list[str]) -> bool:
        try:
            return bool(self.connection.exists(*names))
        except RedisError:
            raise ApiError("service unavailable", status_code=503) from None


revoked = Revoked()


# -- tokens ---------------------------------------------------------------------------------------


def generate_jwt(kind: str, user: dict, session: str) -> str:
    now = int(time.time())
    payload = {
        kind: True,
        "iss": JWT_ISSUER,
        "exp": now + HOURS[kind] * 3600,
        "iat": now,
        "sub": str(uuid.uuid4()),
        "session": session,
        "access_role": user["access_role"],
        "user_id": user["user_id"],
    }
    return jwt.encode(payload, SECRETS[kind], algorithm=JWT_ALGORITHM)


def decode_auth_token(token: str, kind: str) -> dict:
    payload = signed(token, kind)
    if ids(payload) in revoked:
        raise ApiError("token-invalid", status_code=401)
    return payload


def signed(token: str, kind: str) -> dict:
    """The payload of a token of this kind that is valid, were it not for revocation."""
    try:
        # Base64url without padding (RFC 7515 section 2); PyJWT reads it with padding, too.
        if "=" in token:
            raise jwt.InvalidTokenError
        # JSON in UTF-8 (RFC 7515 section 4); PyJWT reads UTF-16, and a byte order mark, too.
        for segment in token.split(".")[:2]:
            json.loads(jwt.utils.base64url_decode(segment).decode())
        decoded = jwt.decode_complete(
            token, SECRETS[kind], algorithms=[JWT_ALGORITHM], issuer=JWT_ISSUER
        )
    except jwt.ExpiredSignatureError:
        raise ApiError("token-expired", status_code=401) from None
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise ApiError("token-invalid", status_code=401) from None
    payload = decoded["payload"]
    payload.pop("nbf", None)  # PyJWT has seen to it
    claims = {kind, "iss", "exp", "iat", "sub", "session", "access_role", "user_id"}
    if (
        decoded["header"].get("typ") != "JWT"
        or payload.keys() != claims
        or payload[kind] is not True
        or type(payload["exp"]) not in (int, float)
        or payload["exp"] > time.time() + HOURS[kind] * 3600
        or not isinstance(payload["session"], str)
        or not isinstance(payload["access_role"], str)
        or type(payload["user_id"]) is not int
        or users.get(payload["user_id"]) is None
    ):
        raise ApiError("token-invalid", status_code=401)
    return payload


def ids(payload: dict) -> list[str]:
    return [f"token:{payload['sub']}", f"session:{payload['session']}"]


def decode_token(token: str) -> dict:
    return decode_auth_token(token, "standard_claim")


def decode_refresh_token(token: str) -> dict:
    """A refresh token that comes a second time has been stolen: its session ends."""
    payload = signed(token, "refresh_claim")
    spent, session = ids(payload)
    if [session] in revoked:
        raise ApiError("token-invalid", status_code=401)
    if not revoked.add(spent):
        revoked.add(session)
        raise ApiError("token-invalid", status_code=401)
    return payload


def permission(payload: dict, access_role: str) -> None:
    given = ROLES.get(payload["access_role"])
    if given is None:
        raise ApiError("token-invalid", status_code=401)
    if given < ROLES[access_role]:
        raise ApiError("authorisation-required", status_code=403)


# -- endpoints ------------------------------------------------------------------------------------


def get_films(**kwargs):
    permission(kwargs["token_info"], access_role="basic")
    return {"results": FILMS, "count": len(FILMS)}


def get_users(**kwargs):
    permission(kwargs["token_info"], access_role="admin")
    return {"results": users.names()}


def tokens(user: dict, session: str) -> dict:
    return {
        "access_token": generate_jwt("standard_claim", user, session),
        "refresh_token": generate_jwt("refresh_claim", user, session),
        "token_type": "Bearer",
        "expires_in": HOURS["standard_claim"] * 3600,
    }


def login(body: dict):
    if body.keys() != {"username", "password"}:
        raise ApiError("username and password, and no more", status_code=400)
    return tokens(users.with_password(body["username"], body["password"]), str(uuid.uuid4()))


def refresh(**kwargs):
    permission(kwargs["token_info"], access_role="basic")
    return tokens(kwargs["token_info"], kwargs["token_info"]["session"])


def logout(**kwargs):
    permission(kwargs["token_info"], access_role="basic")
    revoked.add(f"session:{kwargs['token_info']['session']}")
    return {"message": "logged out"}


def of_kind(kind: str, token_info: dict) -> dict:
    permission(token_info, access_role="basic")
    token = generate_jwt(f"{kind}_claim", token_info, token_info["session"])
    return {f"{kind}_token": token}


def email(**kwargs):
    return of_kind("email", kwargs["token_info"])


def password(**kwargs):
    return of_kind("password", kwargs["token_info"])


# -- what every answer has ------------------------------------------------------------------------


def challenged(request, error: ApiError) -> ConnexionResponse:
    """RFC 6750 section 3: a refused token is told so, and why."""
    response = told(request, error)
    if error.status_code == 503:
        response.headers["Retry-After"] = "1"
    if error.status_code in (401, 403):
        kind = "invalid_token" if error.status_code == 401 else "insufficient_scope"
        response.headers["WWW-Authenticate"] = f'Bearer realm="films", error="{kind}"'
    return response


def unauthenticated(request, error: OAuthProblem) -> ConnexionResponse:
    response = told(request, ApiError(error.detail, status_code=401))
    response.headers["WWW-Authenticate"] = 'Bearer realm="films"'
    return response


def hardened(app):
    app.add_error_handler(ApiError, challenged)
    app.add_error_handler(OAuthProblem, unauthenticated)
    return Front(app)
