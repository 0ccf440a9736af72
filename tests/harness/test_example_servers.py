"""The servers under examples/: each does what its document says, and its sound build what it
should. Real processes, a real Redis server, a real OpenID provider."""

from __future__ import annotations

import base64
import contextlib
import html
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from hil.auth.profile import load_profile

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = ("films", "adventures", "users", "get-user")
START_S = 40
"""connexion takes three seconds to import where nothing else runs."""
BUILDS = ("documented", "sound")
SECRET = "0123456789abcdef" * 4
PASSWORD = "correct horse 9"
PUBLISHED_ACCESS = "0f8014e60a33413b8f1ef6c414a5ed86"

both = pytest.mark.parametrize("build", BUILDS)


@dataclass
class Server:
    """A process of ours that listens.

    :ivar url: without a slash at the end
    """

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, authorization: str | None = None) -> httpx.Response:
        headers = {} if authorization is None else {"Authorization": authorization}
        return httpx.get(self.url + path, headers=headers, trust_env=False)

    def post(self, path: str, authorization: str | None = None, **body: object) -> httpx.Response:
        headers = {} if authorization is None else {"Authorization": authorization}
        options = {"headers": headers, "trust_env": False, "timeout": 15, **body}
        return httpx.post(self.url + path, **options)  # type: ignore[arg-type]

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """``serve(folder, *command, **environment)``; ``{port}`` in them is the server's."""
    with contextlib.ExitStack() as stack:

        def start(folder: str, *command: str, **environment: str) -> Server:
            port = free_port()
            own = {name: text.format(port=port) for name, text in environment.items()}
            own.setdefault("PORT", str(port))
            log = tmp_path / f"{port}.log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [part.format(port=port) for part in command],
                    cwd=EXAMPLES / folder,
                    env={**os.environ, **own},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            stack.callback(process.wait)
            stack.callback(process.kill)
            listening(port, process, log)
            return Server(f"http://127.0.0.1:{port}", process, log)

        yield start


def listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Nothing announces that a process listens: it is asked."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, log.read_text()
        time.sleep(0.02)
    pytest.fail(f"nobody listens after {START_S} s:\n{log.read_text()}")


@pytest.mark.parametrize(
    "profile",
    [
        path.relative_to(EXAMPLES).as_posix()
        for folder in FOLDERS
        for path in sorted((EXAMPLES / folder).glob("*.yaml"))
        if path.stem not in ("devices", "openapi")
    ],
)
def test_each_profile_is_sound(profile: str) -> None:
    assert load_profile(EXAMPLES / profile).source


# -- users ----------------------------------------------------------------------------------------


def users(serve: Serve, build: str, **environment: str) -> tuple[Server, dict[str, str]]:
    """The server, and the passwords of its users."""
    own = {"SECRET": SECRET, **environment}
    if build == "documented":
        passwords = {"sergio": "my-password", "bob": "his-password"}
    else:
        passwords = {"sergio": PASSWORD, "bob": PASSWORD[::-1]}
        own |= {f"PASSWORD_{name.upper()}": text for name, text in passwords.items()}
        own |= {"TOKEN_SERGIO": "token-of-sergio-1234", "TOKEN_BOB": "token-of-bob-1234567"}
    return serve("users", sys.executable, f"{build}.py", **own), passwords


@both
def test_users_by_basic_by_a_static_token_and_by_jwt(serve: Serve, build: str) -> None:
    server, passwords = users(serve, build)
    everybody = [{"id": 1, "name": "joe"}, {"id": 2, "name": "bob"}]
    pair = base64.b64encode(f"sergio:{passwords['sergio']}".encode()).decode()
    static = "token-sergio" if build == "documented" else "token-of-sergio-1234"
    login = server.post("/login", json={"username": "sergio", "password": passwords["sergio"]})
    for path, right in {
        "/basic/users": f"Basic {pair}",
        "/tokens/users": f"Bearer {static}",
        "/users": f"Bearer {login.json()['token']}",
    }.items():
        assert server.get(path, right).json() == everybody
        for wrong in (None, right[:-6], "Bearer token-mallory"):
            refused = server.get(path, wrong)
            assert refused.status_code == 401
            assert "WWW-Authenticate" in refused.headers


def test_the_documented_users_server_has_the_articles_defects(serve: Serve) -> None:
    server, passwords = users(serve, "documented")
    for body in (
        {"username": "sergio", "password": "wrong"},
        {"username": "nobody", "password": "wrong"},
        {"username": "sergio"},
    ):
        assert server.post("/login", json=body).status_code == 500
    login = server.post("/login", json={"username": "bob", "password": passwords["bob"]})
    assert jwt.decode(login.json()["token"], options={"verify_signature": False})["name"] == (
        "sergio"
    )
    assert server.get("/users", f"Bearer {jwt.encode({'sub': '1'}, SECRET)}").status_code == 500


def test_todays_pyjwt_takes_no_token_of_the_articles_code(serve: Serve) -> None:
    server, passwords = users(serve, "documented", SUBJECT="as-coded")
    login = server.post("/login", json={"username": "bob", "password": passwords["bob"]})
    assert server.get("/users", f"Bearer {login.json()['token']}").status_code == 401


def test_the_sound_users_server_has_none_of_them(serve: Serve) -> None:
    server, passwords = users(serve, "sound")
    for body, status in (
        ({"username": "sergio", "password": "wrong"}, 401),
        ({"username": "nobody", "password": "wrong"}, 401),
        ({"username": "sergio", "password": passwords["sergio"] + "\0"}, 401),
        ({"username": "sergio"}, 400),
        ([1], 400),
    ):
        assert server.post("/login", json=body).status_code == status
    login = server.post("/login", json={"username": "bob", "password": passwords["bob"]})
    claims = jwt.decode(login.json()["token"], SECRET, algorithms=["HS256"])
    assert (claims["name"], claims["sub"]) == ("bob", "2")
    for changed in ({"exp": str(claims["exp"])}, {"name": "sergio"}, {"kind": "session"}):
        forged = jwt.encode({**claims, **changed}, SECRET)
        assert server.get("/users", f"Bearer {forged}").status_code == 401
    padded = f"Bearer {login.json()['token']}="
    assert server.get("/users", padded).status_code == 401


# -- get-user -------------------------------------------------------------------------------------


def get_user(serve: Serve, build: str, **environment: str) -> tuple[Server, str, str]:
    """The server, its password and its key."""
    if build == "documented":
        server = serve("get-user", sys.executable, "documented.py", **environment)
        return server, "password", "secret"
    own = {"SECRET": SECRET, "PASSWORD": PASSWORD}
    return serve("get-user", sys.executable, "sound.py", **own), PASSWORD, SECRET


@both
def test_get_user_by_a_form_and_a_token_without_a_scheme(serve: Serve, build: str) -> None:
    server, password, _ = get_user(serve, build)
    login = server.post("/login", data={"email": "user@email.com", "password": password})
    token = login.json()["token"]
    exp = jwt.decode(token, options={"verify_signature": False})["exp"]
    assert 18 <= exp - time.time() <= 20
    assert server.get("/get-user", token).json() == {
        "user": "User id=1: <user@email.com, is_admin=False>"
    }
    missing, bad = server.get("/get-user"), server.get("/get-user", token[:-6])
    assert (missing.status_code, missing.json()) == (401, {"message": "Auth required"})
    assert (bad.status_code, bad.json()) == (400, {"message": "Token is invalid"})
    wrong = server.post("/login", data={"email": "user@email.com", "password": "wrong"})
    assert (wrong.status_code, wrong.json()) == (400, {"message": "Wrong credentials"})


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(("build", "status"), [("documented", 500), ("sound", 400)])
def test_what_get_user_makes_of_odd_tokens_and_forms(serve: Serve, build: str, status: int) -> None:
    server, _, key = get_user(serve, build)
    soon = time.time() + 10
    for claims in ({"exp": soon}, {"exp": soon, "user_id": 7}, {"user_id": 1, "nbf": soon}):
        assert server.get("/get-user", jwt.encode(claims, key)).status_code == status
    none = jwt.encode({"user_id": 1}, None, "none")
    assert server.get("/get-user", none).status_code == status
    assert server.post("/login", data={"email": "user@email.com"}).status_code == status
    media = server.post("/login", data={"email": "x", "password": "x"}).headers["Content-Type"]
    assert media.startswith("text/json" if build == "documented" else "application/json")


def test_get_user_is_open_before_the_tutorials_last_step(serve: Serve) -> None:
    server, _, _ = get_user(serve, "documented", LOGIN_REQUIRED="no")
    assert server.get("/get-user").json() == {"user": "None"}


# -- films ----------------------------------------------------------------------------------------


@pytest.fixture
def redis(
    serve: Serve, require_program: Callable[[str, str], Path], tmp_path: Path
) -> Callable[..., Server]:
    """Starts a Redis server, which keeps its data in this test's folder."""

    def start(*options: str) -> Server:
        program = require_program("redis-server", "redis-server")
        own = ("--bind", "127.0.0.1", "--dir", str(tmp_path), *options)
        return serve(".", str(program), "--port", "{port}", *own)

    return start


def films(serve: Serve, build: str, store: Server, **environment: str) -> Server:
    own = {"PASSWORD_luke": PASSWORD, "PASSWORD_leia": PASSWORD[::-1]}
    if build == "sound":
        kinds = ("", "_REFRESH", "_EMAIL", "_PASSWORD")
        own |= {f"JWT{kind}_SECRET": f"{number}{SECRET}" for number, kind in enumerate(kinds)}
    url = store.url.replace("http", "redis") + "/0"
    own |= {"REDIS_URL": url, "TOKEN_IN_PAYLOAD": "yes", **environment}
    return serve("films", sys.executable, "films.py", build, **own)


def bearer(server: Server, user: str = "luke") -> tuple[str, str]:
    """``Authorization`` with a fresh access and with a fresh refresh token."""
    password = PASSWORD if user == "luke" else PASSWORD[::-1]
    answer = server.post("/users/v1/login", json={"username": user, "password": password})
    tokens = answer.json()
    return f"Bearer {tokens['access_token']}", f"Bearer {tokens['refresh_token']}"


@both
def test_films_by_kind_by_role_and_until_logout(
    serve: Serve, redis: Callable[..., Server], build: str
) -> None:
    store = redis()
    server = films(serve, build, store)
    access, refresh = bearer(server)
    assert server.get("/films/v1/", access).json()["count"] == 2
    assert server.get("/films/v1/").status_code == 401
    assert server.get("/films/v1/", refresh).status_code == 401
    email = server.post("/users/v1/email", access).json()["email_token"]
    assert server.get("/films/v1/", f"Bearer {email}").status_code == 401
    assert server.get("/users/v1/", bearer(server, "leia")[0]).status_code == 200
    refused = server.get("/users/v1/", access)
    assert refused.json() == {"message": "authorisation-required"}
    assert refused.status_code == (401 if build == "documented" else 403)
    newer = server.post("/users/v1/refresh", refresh).json()["access_token"]
    assert server.get("/films/v1/", f"Bearer {newer}").status_code == 200
    another = bearer(server)[0]
    assert server.post("/users/v1/logout", access).status_code == 200
    assert server.get("/films/v1/", access).json() == {"message": "token-invalid"}
    assert server.get("/films/v1/", another).status_code == 200
    # The same token in another text: as documented, it was not revoked.
    again = server.get("/films/v1/", f"{access}=").status_code
    assert again == (200 if build == "documented" else 401)
    store.stop()
    down = server.get("/films/v1/", another)
    assert (down.status_code, down.json()) == (503, {"message": "service unavailable"})
    assert server.get("/films/v1/", access).status_code == 503


def test_the_documented_logout_always_fails(serve: Serve, redis: Callable[..., Server]) -> None:
    server = films(serve, "documented", redis(), TOKEN_IN_PAYLOAD="no")
    access, _ = bearer(server)
    assert server.post("/users/v1/logout", access).status_code == 500
    assert server.get("/films/v1/", access).status_code == 200


@pytest.mark.parametrize(("build", "status"), [("documented", 503), ("sound", 200)])
def test_a_logout_while_redis_saves(
    serve: Serve, redis: Callable[..., Server], build: str, status: int
) -> None:
    # Ten seconds a key, so that a save that has begun is still going on: a debug option of Redis.
    store = redis("--rdb-key-save-delay", "10000000")
    server = films(serve, build, store)
    tokens = [bearer(server)[0] for _ in range(2)]
    assert server.post("/users/v1/logout", tokens[0]).status_code == 200
    if build == "sound":
        with socket.create_connection(("127.0.0.1", urlsplit(store.url).port), 5) as client:
            client.sendall(b"BGSAVE\r\n")
            assert client.recv(100).startswith(b"+Background saving started")
    assert server.post("/users/v1/logout", tokens[1]).status_code == status
    assert server.get("/films/v1/", tokens[1]).status_code == 401


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@both
def test_what_films_makes_of_odd_claims(
    serve: Serve, redis: Callable[..., Server], build: str
) -> None:
    server = films(serve, build, redis())
    access, _ = bearer(server)
    key = PUBLISHED_ACCESS if build == "documented" else f"0{SECRET}"
    claims = jwt.decode(access.removeprefix("Bearer "), key, algorithms=["HS256"])
    kind = {name: value for name, value in claims.items() if name != "standard_claim"}
    documented = {
        "an unknown role": ({**claims, "access_role": "emperor"}, 500),
        "another issuer": ({**claims, "iss": "empire.example"}, 200),
        "no expiry": ({name: value for name, value in claims.items() if name != "exp"}, 200),
        "another kind": ({**kind, "email_claim": True}, 200),
        "a kind that it is not": ({**claims, "standard_claim": False}, 200),
    }
    for name, (changed, status) in documented.items():
        answer = server.get("/films/v1/", f"Bearer {jwt.encode(changed, key)}")
        assert answer.status_code == (status if build == "documented" else 401), name


@pytest.mark.parametrize(("build", "reused"), [("documented", 200), ("sound", 401)])
def test_films_refresh_tokens_that_come_twice(
    serve: Serve, redis: Callable[..., Server], build: str, reused: int
) -> None:
    server = films(serve, build, redis("--appendonly", "yes"))
    _, refresh = bearer(server)
    newer = server.post("/users/v1/refresh", refresh).json()
    assert server.post("/users/v1/refresh", refresh).status_code == reused
    family = server.post("/users/v1/refresh", f"Bearer {newer['refresh_token']}")
    assert family.status_code == reused


# -- adventures -----------------------------------------------------------------------------------


def adventure(serve: Serve, build: str, app: str, **environment: str) -> Server:
    command = (sys.executable, "-m", "uvicorn", "--factory", f"{build}:{app}", "--port", "{port}")
    return serve("adventures", *command, **environment)


def challenged(answer: httpx.Response, build: str) -> None:
    assert (answer.status_code, answer.json()) == (401, {"error": "..."})
    assert ("WWW-Authenticate" in answer.headers) == (build == "sound")


@both
def test_the_public_server(serve: Serve, build: str) -> None:
    assert adventure(serve, build, "public").get("/data").json() == {"data": [1, 2, 3]}


@both
def test_an_api_key_by_header_and_by_query(serve: Serve, build: str) -> None:
    server = adventure(serve, build, "single_user", API_KEY="a-long-key")
    for scheme in ("Apikey", "apikey", "APIKEY "):
        assert server.get("/data", f"{scheme} a-long-key").json() == {"data": [1, 2, 3]}
    challenged(server.get("/data"), build)
    challenged(server.get("/data?api_key=a-long-key", "Apikey wrong"), build)
    by_query = server.get("/data?api_key=a-long-key").status_code
    assert by_query == (200 if build == "documented" else 401)


@both
def test_basic(serve: Serve, build: str) -> None:
    password = "password" if build == "documented" else PASSWORD
    server = adventure(serve, build, "http_basic", PASSWORD=password)
    auth = base64.b64encode(f"dallan:{password}".encode()).decode()
    assert server.get("/data", f"Basic {auth}").json() == {
        "data": [1, 2, 3],
        "who_am_i": "dallan",
    }
    for wrong in (None, "Basic", "Basic !!!", f"Basic {auth[:-4]}"):
        challenged(server.get("/data", wrong), build)


@both
def test_basic_into_access_and_refresh_tokens(serve: Serve, build: str) -> None:
    password = "password" if build == "documented" else PASSWORD
    server = adventure(
        serve,
        build,
        "http_basic_into_oauth2",
        PASSWORD=password,
        SECRET_KEYS=f"{SECRET};{SECRET[::-1]}",
    )
    auth = base64.b64encode(f"dallan:{password}".encode()).decode()
    challenged(server.post("/login"), build)
    tokens = server.post("/login", f"Basic {auth}").json()
    extra = set() if build == "documented" else {"token_type", "expires_in"}
    assert tokens.keys() == {"access_token", "refresh_token", *extra}
    assert server.get("/data", f"Bearer {tokens['access_token']}").json()["who_am_i"] == "dallan"
    challenged(server.get("/data", f"Bearer {tokens['refresh_token']}"), build)
    for wrong in ({"refresh_token": tokens["access_token"]}, {"refresh_token": 5}, [1]):
        challenged(server.post("/refresh", json=wrong), build)
    newer = server.post("/refresh", json=tokens).json()
    assert server.get("/data", f"Bearer {newer['access_token']}").status_code == 200
    reused = 200 if build == "documented" else 401
    assert server.post("/refresh", json=tokens).status_code == reused
    assert server.post("/refresh", json=newer).status_code == reused


def provided(serve: Serve, build: str) -> Server:
    """The server, beside an OpenID provider."""
    provider = serve(
        "adventures",
        *(sys.executable, "-m", "oidc_provider_mock", "--port", "{port}"),
        *("--user", "dallan@example.com"),
    )
    return adventure(
        serve,
        build,
        "external_oidc_into_oauth2",
        SECRET_KEYS=SECRET,
        BASE_URL="http://127.0.0.1:{port}",
        WEBAPP_URL="http://127.0.0.1:1/",
        ISSUER=provider.url,
    )


def logged_in(authorization_uri: str, user: str = "dallan@example.com") -> dict[str, str]:
    """What the provider gives a browser on its way back."""
    answer = httpx.post(authorization_uri, data={"sub": user}, trust_env=False)
    query = parse_qs(urlsplit(answer.headers["Location"]).query)
    return {name: values[0] for name, values in query.items()}


@both
def test_the_code_flow(serve: Serve, build: str) -> None:
    server = provided(serve, build)
    at = server.get("/login").headers["Location"]
    asked = parse_qs(urlsplit(at).query)
    assert ({"state", "code_challenge"} <= asked.keys()) == (build == "sound")
    back = logged_in(at)
    used = httpx.get(server.url + "/code", params=back, trust_env=False)
    access = f"Bearer {used.json()['access_token']}"
    assert server.get("/data", access).json()["who_am_i"] == "dallan"
    for bad in (back, {}, {"code": "bogus"}):
        assert httpx.get(server.url + "/code", params=bad, trust_env=False).status_code == 400


@pytest.mark.parametrize(("build", "status"), [("documented", 200), ("sound", 400)])
def test_who_has_the_same_name_elsewhere(serve: Serve, build: str, status: int) -> None:
    server = provided(serve, build)
    back = logged_in(server.get("/login").headers["Location"], "dallan@mallory.example")
    answer = httpx.get(server.url + "/code", params=back, trust_env=False)
    assert answer.status_code == status


@both
def test_the_device_code_flow(serve: Serve, build: str) -> None:
    server = provided(serve, build)
    given = server.post("/authorize").json()
    assert (given["expires_in"], given["interval"]) == (900, 2)
    assert re.fullmatch("[0-9a-f]{64}", given["device_code"])
    assert re.fullmatch("[0-9A-F]{8}", given["user_code"])
    at = server.url + "/token" if build == "documented" else given["authorization_uri"]
    assert given["verification_uri"] == at
    poll = {"device_code": given["device_code"]}
    first, second = (server.post("/token", data=poll) for _ in range(2))
    if build == "documented":
        assert (first.status_code, second.status_code) == (401, 401)
    else:
        assert (first.status_code, first.json()["error"]) == (400, "authorization_pending")
        assert second.json()["error"] == "slow_down"
    back = logged_in(given["authorization_uri"])
    page = httpx.get(server.url + "/device_code_callback", params=back, trust_env=False)
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
    assert fields["code"] == html.escape(back["code"])
    wrong = server.post("/device_code_callback", data={**fields, "user_code": "00000000"})
    assert wrong.status_code == 401
    right = {**fields, "user_code": given["user_code"].lower()}
    assert server.post("/device_code_callback", data=right).status_code == 200
    tokens = server.post("/token", data=poll).json()
    access = f"Bearer {tokens['access_token']}"
    assert server.get("/data", access).json()["who_am_i"] == "dallan"
    assert server.post("/token", data=poll).status_code in (400, 401)
    assert server.post("/token").status_code == 400
    evil = {"code": '"><script>alert(1)</script>'}
    page = httpx.get(server.url + "/device_code_callback", params=evil, trust_env=False)
    assert "<script>" not in page.text
    # As documented, the log holds what the device shows and what it keeps.
    assert (given["device_code"] in server.log.read_text()) == (build == "documented")


def test_user_codes_are_not_guessed(serve: Serve) -> None:
    server = provided(serve, "sound")
    statuses = [
        server.post("/device_code_callback", data={"user_code": f"{guess:08X}"}).status_code
        for guess in range(8)
    ]
    assert statuses == [401] * 5 + [429] * 3
