"""What both builds share: films, users, errors, and the server. ``python films.py BUILD``.

The tutorial leaves users and login to its next stage. The two here have the roles of this one.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import uuid
from pathlib import Path

import connexion
from connexion.lifecycle import ConnexionResponse
from werkzeug.security import check_password_hash, generate_password_hash

FILMS = [{"episode": 4, "title": "A New Hope"}, {"episode": 5, "title": "The Empire Strikes Back"}]

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")


class ApiError(Exception):
    def __init__(self, message: str, status_code: int) -> None:
        super().__init__(message)
        self.message = message
        self.status_code = status_code


class Users:
    """In memory. Luke has the role ``basic``, Leia ``admin``.

    ``PASSWORD_HASH`` is a method of werkzeug's: a cheap one is for tests that log in all the time.
    """

    def __init__(self) -> None:
        self._all = [
            {"user_id": 1, "username": "luke", "access_role": "basic"},
            {"user_id": 2, "username": "leia", "access_role": "admin"},
        ]
        method = os.environ.get("PASSWORD_HASH", "scrypt")
        self._hashes = {
            name: generate_password_hash(os.environ[f"PASSWORD_{name}"], method)
            for name in self.names()
        }
        self._nobody = generate_password_hash(uuid.uuid4().hex, method)

    def names(self) -> list[str]:
        return [user["username"] for user in self._all]

    def get(self, user_id: object) -> dict | None:
        return next((user for user in self._all if user["user_id"] == user_id), None)

    def with_password(self, username: str, password: str) -> dict:
        """:raises ApiError: no user has this name and this password"""
        # An unknown user's password is compared, too: that takes as long.
        right = check_password_hash(self._hashes.get(username, self._nobody), password)
        # scrypt and PBKDF2 use HMAC, which fills a short key up with NUL: "x" and "x\0" hash alike.
        right = right and "\0" not in password
        for user in self._all:
            if right and user["username"] == username:
                return user
        raise ApiError("authorisation-required", status_code=401)


users = Users()


def told(request, error: ApiError) -> ConnexionResponse:
    return ConnexionResponse(
        status_code=error.status_code,
        content_type="application/json",
        body=json.dumps({"message": error.message}),
    )


def application(build: str):
    app = connexion.FlaskApp(__name__, specification_dir=Path(__file__).parent)
    app.add_error_handler(ApiError, told)
    app.add_api("openapi.yaml", arguments={"build": build})
    return getattr(importlib.import_module(build), "hardened", lambda app: app)(app)


if __name__ == "__main__":
    # The builds import this module by its name: it is to be there once.
    sys.modules["films"] = sys.modules["__main__"]
    import uvicorn

    uvicorn.run(
        application(sys.argv[1]),
        port=int(os.environ.get("PORT", "8080")),
        log_level="warning",
        server_header=False,
    )
