"""What a running server shows of its auth system: a draft of a profile, for a person to finish.

Asked is what a curious client would ask: its OpenAPI description, the usual routes, a login with
the right password in the usual ways, one with a wrong password and one without, the resource
without, with a sound and with a forged token. What was not seen is not guessed. Nothing but GET is
sent to a described route, unless its name is that of a login: ``POST /shutdown`` is a route, too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..errors import BenchError
from ..secrets import SecretStr
from . import tokens
from .challenge import challenge

if TYPE_CHECKING:
    import httpx

_NAME_OF_LOGIN = re.compile(r"log-?in|sign-?in|session|token|jwt|auth(?!ors?\b)", re.IGNORECASE)
_NO_LOGIN = re.compile(
    r"log-?out|sign-?(?:out|up)|regist|reset|revo|refresh|delet|chang|confirm", re.IGNORECASE
)
_DESCRIPTIONS = ("/openapi.json", "/swagger.json", "/api/openapi.json")
_LOGINS = (
    *("/api/login", "/login", "/auth/login", "/api/auth/login", "/token", "/api/token"),
    *("/auth/token", "/api/v1/login", "/api/auth", "/auth", "/oauth/token", "/sessions"),
)
_RESOURCES = (
    *("/me", "/api/me", "/users/me", "/api/users/me", "/api/ack", "/data", "/api/user"),
    *("/user", "/users", "/api/users", "/get-user", "/profile", "/api/"),
)
_BASIC = ("/admin", "/", "/metrics")
_USERS = ("username", "user", "email", "login", "name", "identity")
_PASSWORDS = ("password", "pass", "passwd")
_SCHEMES = ("Bearer", "JWT", "Token", "")
_TIMEOUT_S = 5.0
_WHOLE = (1, 10, 15, 20, 30, 60, 300, 600, 900, 1800, 3600)


@dataclass
class Learned:
    """What was seen; what was not is None.

    :ivar title: what it calls itself
    :ivar login: method, path, encoding, user_field, password_field, token_field
    :ivar token: lifetime_s, algorithms, type, claims, required_claims
    :ivar resource: method, path, scheme, answer
    :ivar whose: path, field: a route that tells the user's name
    :ivar basic: path, realm, answer
    :ivar refresh: the name of the refresh token in the login's answer
    :ivar refusals: statuses, by kind
    :ivar tried: what was looked for in vain
    """

    title: str | None = None
    login: dict[str, Any] | None = None
    token: dict[str, Any] | None = None
    resource: dict[str, Any] | None = None
    whose: dict[str, str] | None = None
    basic: dict[str, Any] | None = None
    refresh: str | None = None
    refusals: dict[str, int] = field(default_factory=dict)
    tried: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Described:
    """What its OpenAPI description says; paths without parameters only.

    :ivar logins: those that take a POST and are called like a login
    :ivar reads: those that take a GET
    """

    title: str | None = None
    logins: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


def learn(
    url: str,
    user: str,
    password: str,
    *,
    login: str | None = None,
    resource: str | None = None,
) -> Learned:
    """Ask the server at ``url``.

    :param login: the login's path, where it is known; likewise ``resource``
    :raises BenchError: nothing answers there
    """
    import httpx

    with httpx.Client(
        base_url=url.rstrip("/"),
        timeout=_TIMEOUT_S,
        trust_env=False,
        verify=False,  # noqa: S501 - a camera signs its certificate itself
        follow_redirects=False,
    ) as client:
        try:
            client.get("/")
        except httpx.HTTPError as error:
            raise BenchError(
                f"nothing answers at {url}: {type(error).__name__}",
                hint="is the server running, and is the URL its base?",
            ) from None
        told = _described(client)
        found = Learned(title=told.title)
        logins = [login] if login else [*told.logins, *_LOGINS]
        token = _login(client, found, user, password, logins)
        if token:
            paths = [resource] if resource else [*told.reads, *_RESOURCES]
            _resource(client, found, token, paths)
            _whose(client, found, token, user, [*told.reads, *_RESOURCES])
        _basic(client, found, user, password, [*told.reads, *_BASIC])
        return found


def _described(client: httpx.Client) -> _Described:
    """Its OpenAPI description; where there is none, nothing."""
    for path in _DESCRIPTIONS:
        answer = _ask(client, "GET", path)
        if answer is None or answer.status_code != 200:
            continue
        try:
            document = answer.json()
        except ValueError:
            continue
        if not isinstance(document, dict) or not isinstance(document.get("paths"), dict):
            continue
        routes = {
            path: operations
            for path, operations in document["paths"].items()
            if "{" not in path and isinstance(operations, dict)
        }
        logins = [
            path
            for path, operations in routes.items()
            if "post" in operations and _NAME_OF_LOGIN.search(path) and not _NO_LOGIN.search(path)
        ]
        reads = [path for path, operations in routes.items() if "get" in operations]
        about = document.get("info")
        title = about.get("title") if isinstance(about, dict) else None
        return _Described(
            title if isinstance(title, str) else None, tuple(logins[:40]), tuple(reads[:40])
        )
    return _Described()


def _ask(client: httpx.Client, method: str, path: str, **more: Any) -> httpx.Response | None:
    import httpx

    try:
        return client.request(method, path, **more)
    except httpx.HTTPError:
        return None


def _login(
    client: httpx.Client, found: Learned, user: str, password: str, paths: list[str]
) -> SecretStr | None:
    for path in dict.fromkeys(paths):
        for sent, how in _attempts(user, password):
            answer = _ask(client, "POST", path, **sent)
            if answer is None or answer.status_code in (404, 405, 501):
                break  # no such route: the other ways need not be tried
            token = _token_in(answer)
            if token is None:
                continue
            name, text, others = token
            found.login = {"path": path, **how, "token_field": name}
            found.refresh = next((one for one in others if "refresh" in one), None)
            found.token = _described_token(text)
            wrong = _ask(client, "POST", path, **_with_wrong_password(sent, how))
            if wrong is not None:
                found.refusals["password"] = wrong.status_code
            _other_refusals(client, found, path, sent, how)
            return SecretStr(text)
    found.tried.append(f"a login: a token for {user!r}'s password at {', '.join(paths[:6])} …")
    return None


def _attempts(user: str, password: str) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Each way to log in, and what it is called in a profile."""
    for encoding, key in (("json", "json"), ("form", "data")):
        for user_field in _USERS:
            for password_field in _PASSWORDS:
                names = {"user_field": user_field, "password_field": password_field}
                fields = {user_field: user, password_field: password}
                yield {key: fields}, {"encoding": encoding, **names}
    yield {"auth": (user.encode(), password.encode())}, {"encoding": "basic"}


def _other_refusals(
    client: httpx.Client, found: Learned, path: str, sent: dict[str, Any], how: Mapping[str, str]
) -> None:
    """Those of a login without a password, and by GET, where they are not the usual ones."""
    if how["encoding"] != "basic":
        key = "json" if how["encoding"] == "json" else "data"
        rest = {name: text for name, text in sent[key].items() if name != how["password_field"]}
        lacking = _ask(client, "POST", path, **{key: rest})
        usual = (400, found.refusals.get("password"))
        if lacking is not None and lacking.is_client_error and lacking.status_code not in usual:
            found.refusals["malformed"] = lacking.status_code
    other = _ask(client, "GET", path)
    if other is not None and other.status_code in (401, 403):
        found.refusals["method"] = other.status_code


def _with_wrong_password(sent: dict[str, Any], how: Mapping[str, str]) -> dict[str, Any]:
    if how["encoding"] == "basic":
        return {"auth": (sent["auth"][0], b"not-the-password")}
    key = "json" if how["encoding"] == "json" else "data"
    return {key: {**sent[key], how["password_field"]: "not-the-password"}}


def _token_in(answer: httpx.Response) -> tuple[str, str, list[str]] | None:
    """Name and text of the access token, and the names of the other texts."""
    try:
        body = answer.json()
    except ValueError:
        return None
    if not answer.is_success or not isinstance(body, dict):
        return None
    texts = {name: text for name, text in body.items() if isinstance(text, str) and len(text) > 15}
    likely = sorted(texts, key=lambda name: ("refresh" in name, "token" not in name))
    if not likely or ("token" not in likely[0] and "jwt" not in likely[0].lower()):
        return None
    return likely[0], texts[likely[0]], likely[1:]


def _described_token(text: str) -> dict[str, Any] | None:
    try:
        decoded = tokens.decode(text)
    except ValueError:
        return None
    claims = dict(decoded.claims)
    exp = claims.pop("exp", None)
    began = claims.get("iat", time.time())
    numbers = isinstance(exp, int | float) and isinstance(began, int | float)
    fixed = {name: value for name, value in claims.items() if isinstance(value, str | bool)}
    fixed = {name: value for name, value in fixed.items() if name not in ("jti", "sid")}
    return {
        "lifetime_s": _rounded(exp - began) if numbers else None,
        "algorithms": [decoded.header.get("alg")],
        "type": decoded.header.get("typ"),
        "claims": fixed,
        "required_claims": sorted(claims.keys() - fixed.keys()),
    }


def _rounded(seconds: float) -> int:
    """A lifetime was chosen by a person; between the login and now there was a second at most."""
    near = [whole * n for whole in _WHOLE[::-1] for n in [round(seconds / whole)] if n]
    return next((one for one in near if abs(one - seconds) <= 1.5), round(seconds))


def _resource(client: httpx.Client, found: Learned, token: SecretStr, paths: list[str]) -> None:
    for path in dict.fromkeys(paths):
        without = _ask(client, "GET", path)
        if without is None or without.status_code in (404, 405) or without.is_redirect:
            continue
        for scheme in _SCHEMES:
            shown = f"{scheme} {token}".lstrip()
            answer = _ask(client, "GET", path, headers={"Authorization": shown})
            if answer is None or not answer.is_success or answer.content == without.content:
                continue
            found.resource = {"method": "GET", "path": path, "scheme": scheme}
            try:
                found.resource["answer"] = answer.json()
            except ValueError:
                found.resource["answer"] = None
            found.refusals["missing"] = without.status_code
            forged = f"{scheme} {tokens.forge(token)}".lstrip() if "." in token else "x"
            refused = _ask(client, "GET", path, headers={"Authorization": forged})
            if refused is not None:
                found.refusals["token"] = refused.status_code
            return
    found.tried.append(f"a resource that the token opens by GET: {', '.join(paths[:6])} …")


def _whose(
    client: httpx.Client, found: Learned, token: SecretStr, user: str, paths: list[str]
) -> None:
    if not found.resource:
        return
    shown = f"{found.resource['scheme']} {token}".lstrip()
    for path in dict.fromkeys(paths):
        if not re.search(r"\bme\b|user|who|profile", path, re.IGNORECASE):
            continue
        answer = _ask(client, "GET", path, headers={"Authorization": shown})
        try:
            body = answer.json() if answer is not None and answer.is_success else None
        except ValueError:
            continue
        if not isinstance(body, dict):
            continue
        names = [name for name, value in body.items() if value == user]
        if names:
            found.whose = {"path": path, "field": names[0]}
            return
    found.tried.append(f"a route that tells {user!r} whose token it is")


def _basic(
    client: httpx.Client, found: Learned, user: str, password: str, paths: list[str]
) -> None:
    for path in dict.fromkeys(paths):
        without = _ask(client, "GET", path)
        if without is None or without.status_code != 401:
            continue
        asked = challenge(without.headers.get_list("www-authenticate"), "Basic")
        if asked is None:
            continue
        answer = _ask(client, "GET", path, auth=(user.encode(), password.encode()))
        found.basic = {"path": path, "realm": asked.parameters.get("realm", "")}
        if answer is not None and answer.is_success:
            found.basic["answer"] = answer.text
        found.refusals.setdefault("missing", 401)
        return
    found.tried.append(f"a route for Basic: {', '.join(chain(paths[:4]))} …")
