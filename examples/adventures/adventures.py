"""What both builds share: the data, the tokens, what requests hold, and the provider's side.

The keys are those of the environment, as in the source: ``SECRET_KEYS="new;old"``: the first signs,
all verify.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
import time
from typing import Any
from urllib.parse import urlencode

import httpx
import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse

ACCESS_S = 10
REFRESH_S = 14 * 86_400
DEVICE_CODE_S = 900
INTERVAL_S = 2
CLIENT_ID = "example_client_id"
CLOCKS_DIFFER_S = 5


def data(who_am_i: str | None = None) -> JSONResponse:
    return JSONResponse({"data": [1, 2, 3], **({"who_am_i": who_am_i} if who_am_i else {})})


# -- what a request holds -------------------------------------------------------------------------


def credentials(request: Request, scheme: str) -> str | None:
    """What stands behind the scheme in ``Authorization``; None: no or other credentials."""
    fields = request.headers.getlist("Authorization")
    given, _, rest = fields[0].partition(" ") if len(fields) == 1 else ("", "", "")
    return rest.strip(" ") if given.lower() == scheme.lower() else None


def basic(request: Request) -> tuple[str, str]:
    """User and password; two empty texts where there are none."""
    try:
        pair = base64.b64decode(credentials(request, "Basic") or "", validate=True).decode()
    except (binascii.Error, ValueError):
        return "", ""
    user, _, password = pair.partition(":")
    return user, password


async def json_field(request: Request, name: str) -> str | None:
    """A text of the JSON object in the body; None: there is none."""
    try:
        value = await request.json()
    except (ValueError, RecursionError):
        return None
    field = value.get(name) if isinstance(value, dict) else None
    return field if isinstance(field, str) else None


# -- tokens ---------------------------------------------------------------------------------------


class Keys:
    def __init__(self) -> None:
        self._keys = os.environ["SECRET_KEYS"].split(";")

    def sign(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._keys[0], algorithm="HS256")

    def claims(self, token: str | None, type_: str, names: set[str]) -> dict[str, Any] | None:
        """Those of a token of this type that is signed and has not expired; else None."""
        # Base64url without padding (RFC 7515 section 2); PyJWT reads it with padding, too.
        for key in self._keys if token and "=" not in token else ():
            try:
                decoded = jwt.decode_complete(token, key, algorithms=["HS256"])
                for part in token.split(".")[:2]:
                    # UTF-8 (RFC 7515 section 5.2); PyJWT takes UTF-16 and a byte order mark, too.
                    json.loads(jwt.utils.base64url_decode(part).decode())
            except (jwt.InvalidTokenError, ValueError):
                continue
            claims = decoded["payload"]
            if (
                decoded["header"].get("typ") == "JWT"
                and claims.keys() >= {"sub", "type", "exp", *names}
                and "iss" not in claims  # ours name none
                and claims["type"] == type_
                and type(claims["exp"]) in (int, float)
                and claims["exp"] <= time.time() + REFRESH_S
            ):
                return claims
        return None


# -- the provider ---------------------------------------------------------------------------------


class Refused(Exception):
    """The provider gives nothing for this code, or its ID token is none for us."""


class Provider:
    """An OpenID provider as its client sees it (OpenID Connect Core 1.0 section 3.1).

    What it is and which keys it has is asked once: after a restart of the provider, restart this.
    """

    def __init__(self, issuer: str) -> None:
        self._configuration = _json(issuer.rstrip("/") + "/.well-known/openid-configuration")
        self._keys = jwt.PyJWKSet.from_dict(_json(self._configuration["jwks_uri"]))

    def authorization_uri(self, redirect_uri: str, **more: str) -> str:
        asked = {"client_id": CLIENT_ID, "response_type": "code", "scope": "openid"}
        query = urlencode({**asked, "redirect_uri": redirect_uri, **more})
        return f"{self._configuration['authorization_endpoint']}?{query}"

    def identity(self, code: str, redirect_uri: str, **more: str) -> str:
        """Trade a code for an ID token, and that for the user's name at the provider.

        :raises Refused: the provider refuses the code, or the ID token is none of its for us
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": CLIENT_ID,
            "client_secret": os.environ.get("CLIENT_SECRET", "example_client_secret"),
            **more,
        }
        answer = httpx.post(self._configuration["token_endpoint"], data=form, trust_env=False)
        if answer.status_code != 200:
            raise Refused
        return self._verified(answer.json().get("id_token", ""))["sub"]

    def _verified(self, id_token: str) -> dict[str, Any]:
        """The claims, by the rules of section 3.1.3.7."""
        try:
            # Section 10.1: no kid is needed where there is one key.
            kid = jwt.get_unverified_header(id_token).get("kid")
            (key,) = (key for key in self._keys.keys if kid in (None, key.key_id))
            claims = jwt.decode(
                id_token,
                key,
                algorithms=["RS256"],
                audience=CLIENT_ID,
                issuer=self._configuration["issuer"],
                # The provider's clock may be ahead of ours: its iat is then in our future.
                leeway=CLOCKS_DIFFER_S,
                options={"require": ["sub", "exp", "iat"]},
            )
        except (jwt.PyJWTError, ValueError):
            raise Refused from None
        if claims["aud"] not in (CLIENT_ID, [CLIENT_ID]):
            raise Refused  # for others, too, whom nobody here trusts
        return claims


def _json(url: str) -> dict[str, Any]:
    return httpx.get(url, trust_env=False).raise_for_status().json()


# -- the device code grant ------------------------------------------------------------------------


def device_code() -> str:
    return secrets.token_hex(32)


def user_code() -> str:
    return secrets.token_hex(4).upper()
