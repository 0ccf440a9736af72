"""Requests that no client should send: each whole, and wrong in one way.

What they get is the business of many checks; here they are the load of those that ask what all of
them have in common: no 5xx, nothing given away, and a server that goes on.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from . import tokens
from .client import FORM

if TYPE_CHECKING:
    from ..secrets import SecretStr
    from .client import Api
    from .raw import Request


def bad_requests(api: Api, token: SecretStr | None) -> dict[str, Request]:
    """None of them guesses a password, since guesses are held up.

    :param token: a sound one, to get past the guard; None: there are no tokens
    """
    profile = api.profile
    made = _heads(api)
    if token is not None:
        made |= _acks(api, token)
    if profile.given_login and profile.given_login.encoding == "json":
        made |= _logins(api)
    elif profile.given_login and profile.given_login.encoding == "form":
        made |= _forms(api)
    if profile.given_basic:
        made |= _admins(api)
    if profile.given_api_key:
        made |= _keys(api, profile.given_api_key.scheme)
    return made


def _logins(api: Api) -> dict[str, Request]:
    user, password = api.profile.login.user_field, api.profile.login.password_field
    bodies: dict[str, object] = {
        "empty": b"",
        "not JSON": b"user=a&pass=b",
        "cut": b'{"' + user.encode(),
        "invalid UTF-8": b'{"' + user.encode() + b'": "\xff\xfe"}',
        "NUL": b"\0" * 20,
        "deep": b"[" * 2000,
        "null": None,
        "a list": [],
        "a number": 1e308,
        "an object without fields": {},
        "numbers in the fields": {user: 1, password: 2},
        "null in the fields": {user: None, password: None},
        "lists in the fields": {user: ["a"], password: [1]},
        "objects in the fields": {user: {"a": 1}, password: {}},
        "no password": {user: "a"},
        "no user": {password: "a"},
        "true": {user: True, password: True},
    }
    made = {f"login: {name}": api.compose_login(body=body) for name, body in bodies.items()}
    made["login: no content type"] = api.compose_login(content_type=None)
    made["login: another content type"] = api.compose_login(content_type="text/plain; charset=x")
    made["login: no such charset"] = api.compose_login(content_type="application/json; charset=\0")
    made["login: another method"] = api.compose_login(method="GET")
    return made


def _forms(api: Api) -> dict[str, Request]:
    login = api.profile.login
    user, password = login.user_field, login.password_field
    bodies = {
        "empty": "",
        "JSON": "{}",
        "no escape": f"{user}=%&{password}=%zz",
        "invalid UTF-8": f"{user}=%ff%fe",
        "NUL": "\0" * 20,
        "an empty name": "=&=&",
        "no password": f"{user}=a",
        "no user": f"{password}=a",
        "a thousand fields": "a=1&" * 1000,
    }
    types = {
        "no such charset": f"{FORM}; charset=nonsense",
        "a charset of another kind": f"{FORM}; charset=base64",
        "UTF-16": f"{FORM}; charset=utf-16",
        "parts without a boundary": "multipart/form-data",
        "another content type": "text/plain",
    }
    sent = {name: (FORM, body) for name, body in bodies.items()}
    sent |= {name: (kind, f"{user}=a") for name, kind in types.items()}
    return {
        f"login: {name}": api.compose(
            login.method, login.path, [("Content-Type", kind)], body.encode()
        )
        for name, (kind, body) in sent.items()
    }


def _acks(api: Api, token: SecretStr) -> dict[str, Request]:
    head, payload, signature = token.split(".") if token.count(".") == 2 else (token, "", "")
    bad = {
        "no token": "",
        "dots": "..",
        "one segment": head,
        "two segments": f"{head}.{payload}",
        "five segments": f"{token}.{payload}.{signature}",
        "no base64": "a!.b$.c%",
        "a length that no base64 has": "a.b.c",
        "a token of no JSON": _token(b"\xff\xfe", b"{"),
        "a token of lists": _token(b"[]", b"[]"),
        "a token of nulls": _token(b"null", b"null"),
        "claims of odd types": _token(
            b'{"alg": "HS256"}', json.dumps({"exp": {}, "sub": []}).encode()
        ),
        "alg is a list": _token(b'{"alg": ["HS256"]}', b"{}"),
        "a forged signature": tokens.forge(token) if signature else "a.b.c",
        "a long token": "a" * 1500,
    }
    made = {f"ack: {name}": api.compose_resource(token=value) for name, value in bad.items()}
    made["ack: no value"] = api.compose_resource("")
    made["ack: Basic"] = api.compose_resource("Basic b3duZXI6eA==")
    made["ack: not UTF-8"] = api.compose_resource(
        f"{api.profile.resource.scheme} ".lstrip().encode() + b"\xff\xfe\x80"
    )
    if api.profile.resource.given_body is None:
        return made
    bodies: dict[str, object] = {
        "empty": b"",
        "cut": b'{"',
        "invalid UTF-8": b"\xff",
        "null": None,
        "a list": [1],
        "null in it": {api.profile.resource.body.required_field: None},
        "an object in it": {api.profile.resource.body.required_field: {}},
        "infinity": b'{"%b": 1e999}' % api.profile.resource.body.required_field.encode(),
    }
    for name, body in bodies.items():
        made[f"ack: body {name}"] = api.compose_resource(token=token, body=body)
    return made


def _token(header: bytes, payload: bytes) -> str:
    segments = (tokens.encode_segment(part) for part in (header, payload, bytes(32)))
    return ".".join(segments)


def _admins(api: Api) -> dict[str, Request]:
    values = {
        "no credentials": "Basic",
        "no base64": "Basic !!!",
        "half base64": "Basic YQ",
        "no colon": "Basic " + base64.b64encode(b"owner").decode(),
        "invalid UTF-8": "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "another scheme": "Digest username=a",
        "commas": "Basic ,,,,",
    }
    made = {f"admin: {name}": api.compose_basic(value) for name, value in values.items()}
    made["admin: another method"] = api.compose_basic(method="DELETE")
    return made


def _keys(api: Api, scheme: str) -> dict[str, Request]:
    values: dict[str, str | bytes] = {
        "nothing": "",
        "no value": scheme,
        "another scheme": "Digest username=a",
        "two values": f"{scheme} a b".lstrip(),
        "commas": f"{scheme} ,,,,".lstrip(),
        "a long one": f"{scheme} {'a' * 1500}".lstrip(),
        "not UTF-8": f"{scheme} ".lstrip().encode() + b"\xff\xfe\x80",
    }
    made = {f"key: {name}": api.compose_key(value) for name, value in values.items()}
    query = api.profile.api_key.query or "key"
    made["key: an odd query"] = api.compose_key(query=[(query, "\0\xff"), (query, "")])
    return made


def _heads(api: Api) -> dict[str, Request]:
    sound = api.compose_plain()
    line = bytes(sound).partition(b"\r\n")[0]
    lines = {
        "garbage": b"GARBAGE",
        "no version": line.rpartition(b" ")[0],
        "no such version": line[:-1] + b"x",
        "HTTP/2.0": line[:-3] + b"2.0",
        "a method that nobody has": b"BREW" + line[3:],
        "a bad escape": b"GET /%zz?%zz=%zz HTTP/1.1",
        "a cut escape": b"GET /?a=%f HTTP/1.1",
        "no such path": b"GET /no/such/path HTTP/1.1",
        "asterisk": b"OPTIONS * HTTP/1.1",
        "authority": b"CONNECT board:80 HTTP/1.1",
        "trace": b"TRACE / HTTP/1.1",
        "a long target": b"GET /" + b"a" * 3000 + b" HTTP/1.1",
        "not UTF-8": b"GET /\xff\xfe HTTP/1.1",
    }
    made = {f"request line: {name}": sound.changed(line, bad) for name, bad in lines.items()}
    for name, headers in {
        "no colon": [b"no colon"],
        "no name": [b": x"],
        "a fold": [b"X-A: 1", b" folded"],
        "not UTF-8": [b"X-A: \xff\xfe"],
        "control characters": [b"X-A: \x01\x02\x7f"],
        "a bad length": [b"Content-Length: abc"],
        "a negative length": [b"Content-Length: -1"],
        "a huge length": [b"Content-Length: 99999999999999999999"],
        "two lengths": [b"Content-Length: 1", b"Content-Length: 2"],
        "another coding": [b"Transfer-Encoding: gzip"],
        "another expectation": [b"Expect: a-miracle"],
        "a bad cookie": [b"Cookie: ;;==;"],
        "a bad range": [b"Range: bytes=z"],
        "a hundred": [b"X-%d: 1" % i for i in range(100)],
    }.items():
        made[f"header: {name}"] = api.compose_plain(headers=headers)
    return made
