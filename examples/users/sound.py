"""The article's Flask backend: Basic, then static tokens, then JWT. Sound.

The article replaces one stage by the next. Here they stand side by side, the last one where the
article has it: ``/basic/users``, ``/tokens/users``, ``/login`` and ``/users``.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import sys
import time
import uuid

import jwt
import uvicorn
from a2wsgi import WSGIMiddleware
from flask import Flask, abort, jsonify, request
from flask_httpauth import HTTPBasicAuth, HTTPTokenAuth
from werkzeug.security import check_password_hash, generate_password_hash

# The default is werkzeug's own; a cheap one is for tests that log in all the time.
METHOD = os.environ.get("PASSWORD_HASH", "scrypt")

allowed_users = {
    "sergio": generate_password_hash(os.environ["PASSWORD_SERGIO"], METHOD),
    "bob": generate_password_hash(os.environ["PASSWORD_BOB"], METHOD),
}
subjects = {"sergio": "1", "bob": "2"}
allowed_tokens = {os.environ["TOKEN_SERGIO"]: "sergio", os.environ["TOKEN_BOB"]: "bob"}
secret_token = os.environ["SECRET"]
if len(secret_token) < 32:  # RFC 7518 section 3.2
    sys.exit("SECRET must have 32 characters or more")
LIFETIME_S = 30 * 60
# h11 has the same for a head that is not there as a whole; one that is may be longer.
LINE_LIMIT = 64 * 1024

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 16 * 1024
basic_auth = HTTPBasicAuth()
token_auth = HTTPTokenAuth(scheme="Bearer")
jwt_auth = HTTPTokenAuth(scheme="Bearer")

# An unknown user's password is compared with this one: that takes as long.
NOBODY = generate_password_hash(uuid.uuid4().hex, METHOD)


def all_users():
    return jsonify([{"id": 1, "name": "joe"}, {"id": 2, "name": "bob"}])


def allowed(username, password) -> bool:
    # scrypt begins with HMAC, which fills a short key up with NUL: "x" and "x\0" hash alike.
    if "\0" in password:
        return False
    matches = check_password_hash(allowed_users.get(username, NOBODY), password)
    return matches and username in allowed_users


@app.before_request
def well_formed():
    """Flask-HTTPAuth splits at any white space; RFC 9110 section 11.4 has blanks."""
    if any(len(f"{name}: {value}") > LINE_LIMIT for name, value in request.headers):
        abort(431)
    scheme, tab, _ = request.headers.get("Authorization", "").partition("\t")
    if tab and scheme.strip(" ").lower() == "bearer":
        abort(400)


@app.after_request
def no_store(response):
    response.headers["Cache-Control"] = "no-store"
    return response


# -- Basic ------------------------------------------------------------------------------------


@basic_auth.verify_password
def verify_basic_password(username, password):
    # Flask-HTTPAuth splits at any white space, skips what is no base64, and reads what is no UTF-8
    # as Latin-1.
    given = request.headers.get("Authorization", "")
    if not re.fullmatch(r"basic +[a-z0-9+/]+=*", given, re.IGNORECASE):
        return None
    try:
        base64.b64decode(given.split()[1], validate=True).decode("utf-8")
    except ValueError:
        return None
    return username if allowed(username, password) else None


@app.get("/basic/users")
@basic_auth.login_required
def users_by_basic():
    return all_users()


# -- static tokens ------------------------------------------------------------------------------


@token_auth.verify_token
def verify_static_token(token):
    for known, username in allowed_tokens.items():
        if hmac.compare_digest(known.encode(), token.encode()):
            return username
    return None


@app.get("/tokens/users")
@token_auth.login_required
def users_by_token():
    return all_users()


# -- JWT ----------------------------------------------------------------------------------------


def once(pairs) -> dict:
    """:raises ValueError: an object has a name twice"""
    if len(pairs) != len(d := dict(pairs)):
        raise ValueError
    return d


@app.post("/login")
def login():
    if request.mimetype != "application/json":
        abort(415)
    try:
        d = json.loads(request.get_data().decode("utf-8"), object_pairs_hook=once)
    except (ValueError, RecursionError):
        abort(400)
    if not isinstance(d, dict) or d.keys() != {"username", "password"}:
        abort(400)
    username, password = d["username"], d["password"]
    if not isinstance(username, str) or not isinstance(password, str):
        abort(400)
    if not allowed(username, password):
        return jsonify({"error": "wrong username or password"}), 401

    exp = int(time.time()) + LIFETIME_S
    claims = {"sub": subjects[username], "name": username, "exp": exp, "jti": uuid.uuid4().hex}
    return jsonify({"token": jwt.encode(claims, secret_token, algorithm="HS256")})


@jwt_auth.verify_token
def verify_jwt(token):
    try:
        # Base64url without padding (RFC 7515 section 2); PyJWT reads it with padding, too.
        if "=" in token:
            return None
        # JSON in UTF-8 (RFC 7515 section 4); PyJWT reads UTF-16, too, and takes a mark before it.
        head = base64.urlsafe_b64decode(token.partition(".")[0] + "==").decode("utf-8")
        if not head.startswith("{") or "\0" in head:
            return None
        decoded_jwt = jwt.decode_complete(token, secret_token, algorithms=["HS256"])
    except (ValueError, jwt.InvalidTokenError):
        return None
    header, claims = decoded_jwt["header"], decoded_jwt["payload"]
    # One with less is of another kind, though signed with this key; one with more may be, too.
    if header.get("typ") != "JWT" or claims.keys() - {"iat", "nbf"} != {
        "sub",
        "name",
        "exp",
        "jti",
    }:
        return None
    if type(claims["exp"]) not in (int, float) or claims["exp"] > time.time() + LIFETIME_S:
        return None
    name = claims["name"]
    return name if isinstance(name, str) and subjects.get(name) == claims["sub"] else None


@app.get("/users")
@jwt_auth.login_required
def users_by_jwt():
    return all_users()


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "5000"))
    uvicorn.run(WSGIMiddleware(app), port=port, log_level="warning", server_header=False)
