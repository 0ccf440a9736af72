"""An OpenID provider of the bench's own, for servers that log their users in at another one.

It lets its one user in without asking, and it can be told to issue ID tokens that a client must
refuse (OpenID Connect Core 1.0 section 3.1.3.7). Its key is :mod:`hil.auth.rsa`'s, which everybody
has: no server but one under test may trust it.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from . import rsa
from .tokens import encode_segment, mac

KID = "hil-1"
CODE_S = 60.0
"""For which a code is good; RFC 6749 section 4.1.2 recommends ten minutes at most."""
ID_TOKEN_S = 300

Claims = dict[str, Any]


def _expired(claims: Claims) -> Claims:
    return {**claims, "iat": claims["iat"] - 7200, "exp": claims["exp"] - 7200}


# What is wrong with an ID token, by the rule of section 3.1.3.7 that a client would have to skip.
SPOILED: Mapping[str, tuple[Callable[[Claims], Claims], dict[str, Any]]] = {
    "iss is another provider (2)": (lambda c: {**c, "iss": "https://other.example"}, {}),
    "aud is another client (3)": (lambda c: {**c, "aud": "another-client"}, {}),
    "aud is missing (3)": (lambda c: {k: v for k, v in c.items() if k != "aud"}, {}),
    "kid is unknown (6)": (dict, {"kid": "nobody's"}),
    "the signature is another's (6)": (dict, {"forged": True}),
    "alg is none (7)": (dict, {"alg": "none"}),
    "alg is HS256, by the public key (7)": (dict, {"alg": "HS256"}),
    "exp is past (9)": (_expired, {}),
}


class Provider:
    """Listens on an ephemeral port while it is entered.

    :param user: whom it lets in: ``sub``, and ``email``, with ``@example.com`` where it has none
    :ivar url: its issuer
    """

    def __init__(self, user: str, address: str = "127.0.0.1") -> None:
        self._user = user
        self._spoiled: str | None = None
        self._codes: dict[str, tuple[dict[str, str], float]] = {}
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"provider": self})
        self._server = ThreadingHTTPServer((address, 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://{address}:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="hil-provider", daemon=True
        )

    def __enter__(self) -> Provider:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @contextmanager
    def spoiling(self, what: str) -> Iterator[None]:
        """Its ID tokens are wrong in this way (a key of :data:`SPOILED`)."""
        if what not in SPOILED:
            raise KeyError(what)
        self._spoiled = what
        try:
            yield
        finally:
            self._spoiled = None

    # --- what its routes do ---

    def configuration(self) -> dict[str, Any]:
        """OpenID Connect Discovery 1.0 section 3."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/certs",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    @staticmethod
    def keys() -> dict[str, Any]:
        """RFC 7517 section 5."""
        return {"keys": [{**rsa.public_jwk(), "kid": KID, "alg": "RS256", "use": "sig"}]}

    def authorized(self, query: Mapping[str, str]) -> str | None:
        """Where the browser goes, with a new code; None: the request lacks what it must have."""
        if (
            not {"client_id", "redirect_uri"} <= query.keys()
            or query.get("response_type") != "code"
        ):
            return None
        code = secrets.token_urlsafe(24)
        with self._lock:
            self._codes[code] = (dict(query), time.monotonic() + CODE_S)
        back = {"code": code, **({"state": query["state"]} if "state" in query else {})}
        joint = "&" if urlsplit(query["redirect_uri"]).query else "?"
        return f"{query['redirect_uri']}{joint}{urlencode(back)}"

    def traded(self, form: Mapping[str, str]) -> dict[str, Any] | None:
        """The tokens for a code, once; None: it is none (RFC 6749 section 5.2)."""
        with self._lock:
            asked, until = self._codes.pop(form.get("code", ""), ({}, 0.0))
        if not asked or time.monotonic() > until:
            return None
        if form.get("redirect_uri", asked["redirect_uri"]) != asked["redirect_uri"]:
            return None
        return {
            "access_token": secrets.token_urlsafe(24),
            "token_type": "Bearer",
            "expires_in": ID_TOKEN_S,
            "id_token": self._id_token(asked),
        }

    def _id_token(self, asked: Mapping[str, str]) -> str:
        now = int(time.time())
        claims: Claims = {
            "iss": self.url,
            "sub": self._user,
            "aud": asked["client_id"],
            "iat": now,
            "exp": now + ID_TOKEN_S,
            "email": self._user if "@" in self._user else f"{self._user}@example.com",
            **({"nonce": asked["nonce"]} if "nonce" in asked else {}),
        }
        change, how = SPOILED[self._spoiled] if self._spoiled else (dict, {})
        alg = how.get("alg", "RS256")
        header = {"alg": alg, "typ": "JWT", "kid": how.get("kid", KID)}
        signed = ".".join(
            encode_segment(json.dumps(part).encode()) for part in (header, change(claims))
        )
        return f"{signed}.{encode_segment(_signature(signed, alg, forged='forged' in how))}"


def _signature(signed: str, alg: str, *, forged: bool) -> bytes:
    if alg == "none":
        return b""
    if alg == "HS256":
        # CVE-2016-10555: the public key, which everybody knows, taken for an HMAC key.
        return mac(signed, json.dumps(rsa.public_jwk()).encode())
    signature = bytearray(rsa.sign(signed.encode()))
    signature[-1] ^= forged
    return bytes(signature)


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def log_message(self, *_: object) -> None:
        """Silent."""

    def do_GET(self) -> None:
        path, query = urlsplit(self.path).path, urlsplit(self.path).query
        if path == "/.well-known/openid-configuration":
            self._answer(200, self.provider.configuration())
        elif path == "/certs":
            self._answer(200, self.provider.keys())
        elif path == "/auth":
            address = self.provider.authorized(_single(query))
            if address is None:
                self._answer(400, {"error": "invalid_request"})
            else:
                self._answer(302, {}, location=address)
        else:
            self._answer(404, {})

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "0")
        form = self.rfile.read(int(length) if length.isdigit() else 0).decode("utf-8", "replace")
        found = self.provider.traded(_single(form)) if self.path == "/token" else None
        self._answer(200 if found else 400, found or {"error": "invalid_grant"})

    def _answer(self, status: int, body: dict[str, Any], *, location: str | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(data)


def _single(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}
