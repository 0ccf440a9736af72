"""The article's Flask backend: Basic, then static tokens, then JWT. As documented.

The article replaces one stage by the next. Here they stand side by side, the last one where the
article has it: ``/basic/users``, ``/tokens/users``, ``/login`` and ``/users``.
"""

from __future__ import annotations

import datetime
import os

import jwt
from flask import Flask, jsonify, request
from flask_httpauth import HTTPBasicAuth, HTTPTokenAuth
from werkzeug.security import check_password_hash, generate_password_hash

# The default is werkzeug's own; a cheap one is for tests that log in all the time.
METHOD = os.environ.get("PASSWORD_HASH", "scrypt")

allowed_users = {
    "sergio": generate_password_hash("my-password", METHOD),
    "bob": generate_password_hash("his-password", METHOD),
}
allowed_tokens = {"token-sergio": "sergio", "token-bob": "bob"}
# The article uses it, and nowhere sets it.
secret_token = os.environ["SECRET"]
# Its code says 1, its sample token "1". PyJWT 2.10 and later take no number for a subject.
SUBJECT = 1 if os.environ.get("SUBJECT") == "as-coded" else "1"

app = Flask(__name__)
basic_auth = HTTPBasicAuth()
token_auth = HTTPTokenAuth(scheme="Bearer")
jwt_auth = HTTPTokenAuth(scheme="Bearer")


def all_users():
    return jsonify([{"id": 1, "name": "joe"}, {"id": 2, "name": "bob"}])


# -- Basic ------------------------------------------------------------------------------------


@basic_auth.verify_password
def verify_basic_password(username, password):
    if username not in allowed_users:
        return None
    if check_password_hash(allowed_users[username], password):
        return username
    return None


@app.get("/basic/users")
@basic_auth.login_required
def users_by_basic():
    return all_users()


# -- static tokens ------------------------------------------------------------------------------


@token_auth.verify_token
def verify_static_token(token):
    if token not in allowed_tokens:
        return None
    return allowed_tokens[token]


@app.get("/tokens/users")
@token_auth.login_required
def users_by_token():
    return all_users()


# -- JWT ----------------------------------------------------------------------------------------


@app.post("/login")
def login():
    d = request.json
    if "username" not in d or "password" not in d:
        raise Exception("Unable to authenticate")
    if not check_password_hash(allowed_users[d["username"]], d["password"]):
        raise Exception("Invalid password")

    now = datetime.datetime.now(tz=datetime.timezone.utc)
    encoded_jwt = jwt.encode(
        {"sub": SUBJECT, "name": "sergio", "exp": now + datetime.timedelta(minutes=30)},
        secret_token,
        algorithm="HS256",
    )
    return jsonify({"token": encoded_jwt})


@jwt_auth.verify_token
def verify_jwt(token):
    try:
        decoded_jwt = jwt.decode(token, secret_token, algorithms=["HS256"])
    except Exception:
        return None
    if decoded_jwt["name"] in allowed_users:
        return decoded_jwt["name"]
    return None


@app.get("/users")
@jwt_auth.login_required
def users_by_jwt():
    return all_users()


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")))
