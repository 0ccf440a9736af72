"""A server with token login, of the standard library only, for tests of process targets.

``PORT`` is where it listens; ``SECRET``, ``PASSWORD`` and ``API_KEY`` are what it is given. With a
``STORE`` port, ``/data`` and ``/logout`` are 503 while nobody listens there. ``REFUSES`` is the
status for a token that is none, ``ORIGIN`` the one that may read all answers. With ``PRINTS`` it
prints the credentials that it gets. ``SECRET`` may be a list, with ``;`` between the keys: the
first signs, or that of the number ``SIGNS``, and the first ``VERIFY`` of them verify, or all.
``/crash`` ends it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEYS = os.fsencode(os.environ["SECRET"]).split(b";")
KEY = KEYS[int(os.environ.get("SIGNS", "0"))]
PASSWORD = os.environ["PASSWORD"]
REVOKED: set[str] = set()


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signature(signed: str, key: bytes = KEY) -> str:
    return b64(hmac.digest(key, signed.encode(), hashlib.sha256))


def issued() -> str:
    claims = {"sub": "alice", "exp": int(time.time()) + 600, "jti": secrets.token_hex(8)}
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    signed = ".".join(b64(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{signature(signed)}"


def sound(token: str) -> bool:
    signed, _, told = token.rpartition(".")
    keys = KEYS[: int(os.environ.get("VERIFY", len(KEYS)))]
    if not any(hmac.compare_digest(signature(signed, key), told) for key in keys):
        return False
    payload = signed.rpartition(".")[2]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return bool(claims["exp"] > time.time())


def store_is_up() -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(os.environ.get("STORE", "0"))), 5).close()
    except OSError:
        return "STORE" not in os.environ
    return True


class Handler(BaseHTTPRequestHandler):
    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if origin := os.environ.get("ORIGIN"):
            self.send_header("Access-Control-Allow-Origin", origin)
        self.end_headers()
        self.wfile.write(data)

    @property
    def token(self) -> str:
        scheme, _, token = (self.headers["Authorization"] or "").partition(" ")
        return token if scheme == "Bearer" and token not in REVOKED and sound(token) else ""

    def do_POST(self) -> None:
        if self.path == "/logout":
            self.log_out()
            return
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        right = {"username": "alice", "password": PASSWORD}
        if told == right:
            self.answer(200, {"token": issued()})
        else:
            self.answer(401, {})

    def log_out(self) -> None:
        if not store_is_up():
            self.answer(503, {})
        elif token := self.token:
            REVOKED.add(token)
            self.answer(200, {})
        else:
            self.answer(401, {})

    def do_GET(self) -> None:
        given = self.headers.get("Authorization") or ""
        if "PRINTS" in os.environ:
            sys.stdout.write(f"{given}\n")
        if self.path == "/crash":
            os._exit(3)
        elif self.path == "/basic":
            right = given == "Basic " + base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
            self.answer(200 if right else 401, {"ok": right})
        elif self.path == "/key":
            right = given == f"Apikey {os.environ.get('API_KEY')}"
            self.answer(200 if right else 401, {"ok": right})
        elif not store_is_up():
            self.answer(503, {})
        elif self.token:
            self.answer(200, {"ok": True})
        else:
            self.answer(int(os.environ.get("REFUSES", "401")) if given else 401, {})


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "fails":
        sys.stdout.write(f"my key is {os.environ['SECRET']}\n")
        raise SystemExit(f"cannot open the database, {PASSWORD}")
    if len(sys.argv) > 1 and sys.argv[1] == "lacks":
        import a_package_that_nobody_has  # noqa: F401
    if len(KEY) < int(os.environ.get("LEAST", "0")):
        raise SystemExit("SECRET is too short")
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
