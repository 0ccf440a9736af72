"""The camera with what settings.json can switch on: refresh tokens, logout, API keys, users."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from firmware_process import FIRMWARE, PASSWORD, Answer, Camera

from hil.provision import password_entry

KEY = "Zx8-4n_Q7wW2yq0vT5mJ1kL6"
GUEST = {
    "name": "guest", "role": "basic", "password": password_entry("a guest's", b"0" * 16, 50)
}  # fmt: skip
API_KEY = {"name": "ci", "hash": hashlib.sha256(KEY.encode()).hexdigest()}
EVERYTHING: dict[str, Any] = {
    "refresh": True, "logout": True, "device": True, "api_keys": [API_KEY], "users": [GUEST],
}  # fmt: skip
ROUTES = (
    ("POST", "/api/refresh"), ("POST", "/api/logout"), ("GET", "/api/me"), ("GET", "/api/users"),
    ("POST", "/api/device"), ("POST", "/api/token"), ("GET", "/device"), ("POST", "/device"),
)  # fmt: skip


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    """It has every feature."""
    camera = Camera(tmp_path)
    camera.provision(**EVERYTHING)
    camera.start()
    yield camera
    camera.stop()
    assert "Traceback" not in camera.console()
    assert KEY not in camera.console()


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Camera]:
    """It has none."""
    camera = Camera(tmp_path)
    yield camera
    camera.stop()
    assert "Traceback" not in camera.console()


def bearer(token: str) -> str:
    return f"Bearer {token}"


def pair(camera: Camera) -> tuple[str, str]:
    got = camera.login().json()
    return got["token"], got["refresh_token"]


def refresh(camera: Camera, token: Any) -> Answer:
    return camera.post("/api/refresh", {"refresh_token": token})


def me(camera: Camera, authorization: str) -> Answer:
    return camera.ask("GET", "/api/me", authorization=authorization)


def change(camera: Camera, **changes: Any) -> None:
    """Other settings, and the owner's password as it was."""
    file = camera.directory / "settings.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


# --- off by default ---


def test_what_is_not_switched_on_is_not_there(plain: Camera) -> None:
    plain.start()
    for method, path in ROUTES:
        assert plain.ask(method, path, b"").status == 404, path
    answer = plain.login().json()
    assert answer.keys() == {"token"}
    claims = jwt.decode(answer["token"], options={"verify_signature": False})
    assert claims.keys() == {"sub", "exp", "jti", "gen"}
    assert plain.ack(answer["token"]).fields.keys() == {
        "content-type", "content-length", "cache-control", "date", "connection",
    }  # fmt: skip
    challenge = plain.ask("POST", "/api/ack", authorization=f"Apikey {KEY}")
    assert challenge.fields["www-authenticate"] == 'Bearer realm="Backyard cam"'
    assert {path.name for path in plain.directory.iterdir()} == {
        "settings.json", "secret.bin", "clock.json", "offset", "console.txt", "lib",
    }  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        {name: value}
        for name in ("refresh", "logout", "device")
        for value in (False, None, 1, "true", "yes", {}, [], [True])
    ]
    + [{name: value} for name in ("api_keys", "users") for value in (True, None, {}, "guest", 1)],
    ids=str,
)
def test_only_a_clear_yes_switches_something_on(plain: Camera, settings: dict[str, Any]) -> None:
    plain.provision(**settings)
    plain.start()
    for method, path in ROUTES:
        assert plain.ask(method, path, b"").status == 404, path
    assert plain.login().json().keys() == {"token"}


def test_what_is_off_is_not_imported() -> None:
    """It would take memory. The list is what the firmware's own sources import at the top level."""
    always = {"main.py", "app.py", "boot.py", "settings.py"}
    optional = {"revoked", "refresh", "slots", "api_keys", "accounts", "roles", "device"}
    names = [path for path in FIRMWARE.rglob("*.py") if path.stem not in optional]
    for path in names:
        if path.parent.name == "routes" and path.stem != "__init__":
            continue
        for line in path.read_text().splitlines():
            if line.startswith(("import ", "from ")):  # not indented: whatever is switched on
                assert not optional & set(line.replace(",", " ").replace(".", " ").split()), path
    assert always <= {path.name for path in names}


# --- refresh ---


def test_a_refresh_token_gives_the_next_pair_once(camera: Camera) -> None:
    access, first = pair(camera)
    answer = refresh(camera, first)
    assert answer.status == 200
    assert answer.fields["cache-control"] == "no-store"
    got = answer.json()
    assert (got["token_type"], got["expires_in"]) == ("Bearer", 3600)
    assert camera.ack(got["token"]).status == camera.ack(access).status == 200
    for spelling in first, first + "=", first[:-1], " " + first:
        again = refresh(camera, spelling)
        assert (again.status, again.json()) == (400, {"error": "invalid_grant"})


def test_a_stolen_refresh_token_ends_its_login_and_no_other(camera: Camera) -> None:
    other, other_refresh = pair(camera)
    access, first = pair(camera)
    newer = refresh(camera, first).json()
    assert refresh(camera, first).status == 400
    assert refresh(camera, newer["refresh_token"]).status == 400
    assert camera.ack(access).status == camera.ack(newer["token"]).status == 401
    assert camera.ack(other).status == 200
    camera.reboot()
    assert camera.ack(access).status == camera.ack(newer["token"]).status == 401
    assert refresh(camera, newer["refresh_token"]).status == 400
    assert refresh(camera, other_refresh).status == 200


def test_each_kind_of_token_is_good_for_its_own_use(camera: Camera) -> None:
    access, token = pair(camera)
    assert camera.ack(token).status == 401
    assert camera.ask("POST", "/api/logout", authorization=bearer(token)).status == 401
    assert refresh(camera, access).json() == {"error": "invalid_grant"}
    key = (camera.directory / "secret.bin").read_bytes()
    claims = jwt.decode(token, options={"verify_signature": False})
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, key, algorithms=["HS256"])
    short = {**claims, "role": "admin", "exp": claims["exp"] - 14 * 86400 + 600}
    under_the_access_key = jwt.encode(short, key)
    assert camera.ack(under_the_access_key).status == 401  # "use" tells
    assert refresh(camera, under_the_access_key).status == 400  # the key tells
    assert refresh(camera, token).status == 200


def test_a_login_is_refreshed_for_its_own_user(camera: Camera) -> None:
    """Whoever has the key can sign anything: but a family stays its user's."""
    token = pair(camera)[1]
    secret = (camera.directory / "secret.bin").read_bytes()
    key = hmac.digest(secret, b"refresh token\x01", "sha256")
    claims = jwt.decode(token, key, algorithms=["HS256"])
    assert claims.keys() == {"sub", "use", "exp", "sid", "seq", "gen"}
    assert claims["exp"] == pytest.approx(time.time() + 14 * 86400, abs=5)
    del claims["gen"]
    assert refresh(camera, jwt.encode({**claims, "sub": "guest"}, key)).status == 400
    assert refresh(camera, jwt.encode({**claims, "sid": "x"}, key)).status == 400
    assert refresh(camera, jwt.encode(claims, key)).status == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"5", b"{}", b'{"refresh_token":null}', b'{"refresh_token":""}',
     b'{"refresh_token":5}', b'{"refresh_token":["x"]}', b'{"refresh_token":"a","x":1,"x":2}'],
)  # fmt: skip
def test_what_is_no_request_for_a_refresh(camera: Camera, body: bytes) -> None:
    answer = camera.ask("POST", "/api/refresh", body, content_type="application/json")
    assert (answer.status, answer.json()) == (400, {"error": "invalid_request"})
    sound = json.dumps({"refresh_token": pair(camera)[1]}).encode()
    assert camera.ask("POST", "/api/refresh", sound, content_type="text/plain").status == 400
    assert camera.ask("POST", "/api/refresh", sound, content_type="application/json").status == 200


def test_a_changed_password_and_a_rotation_end_refreshing(camera: Camera) -> None:
    token = pair(camera)[1]
    camera.provision("another one", **EVERYTHING)
    assert refresh(camera, token).status == 400
    camera.provision(**EVERYTHING)
    token = pair(camera)[1]
    (camera.directory / "secret.bin").unlink()
    camera.reboot()
    assert refresh(camera, token).status == 400


def test_without_a_clock_nothing_is_refreshed(camera: Camera) -> None:
    token = pair(camera)[1]
    camera.skew(-(10**9) - 500_000_000)
    answer = refresh(camera, token)
    assert (answer.status, answer.fields["retry-after"]) == (503, "5")
    camera.skew(0)
    assert refresh(camera, token).status == 200


# --- logout ---


def test_a_logout_ends_its_login_and_no_other(camera: Camera) -> None:
    other, other_refresh = pair(camera)
    access, token = pair(camera)
    access_2 = refresh(camera, token).json()
    answer = camera.ask("POST", "/api/logout", b"", authorization=bearer(access))
    assert answer.status == 204
    assert answer.body == b""
    assert not {"content-length", "content-type"} & answer.fields.keys()  # RFC 9110 section 8.6
    for _ in range(2):
        assert camera.ack(access).status == camera.ack(access_2["token"]).status == 401
        assert refresh(camera, access_2["refresh_token"]).status == 400
        assert camera.ask("POST", "/api/logout", authorization=bearer(access)).status == 401
        assert camera.ack(other).status == 200
        camera.reboot()
    assert refresh(camera, other_refresh).status == 200


def test_a_logout_alone_ends_one_token(plain: Camera) -> None:
    plain.provision(logout=True)
    plain.start()
    one, other = plain.token(), plain.token()
    assert plain.login().json().keys() == {"token"}
    assert plain.ask("POST", "/api/logout", authorization=bearer(one)).status == 204
    plain.reboot()
    assert plain.ack(one).status == 401
    assert plain.ack(other).status == 200
    minted = jwt.encode(
        {"sub": "owner", "exp": jwt.decode(other, options={"verify_signature": False})["exp"]},
        (plain.directory / "secret.bin").read_bytes(),
    )
    assert plain.ask("POST", "/api/logout", authorization=bearer(minted)).status == 204
    assert plain.ack(minted).status == 401
    assert plain.ack(other).status == 200


@pytest.mark.parametrize("list_of", ["revoked", "refresh"])
def test_a_logout_that_cannot_be_kept_is_no_logout(camera: Camera, list_of: str) -> None:
    """And can be asked for again. Who runs the tests may write read-only files: so folders stand in
    the way."""
    token, refresh_token = pair(camera)
    files = f"{list_of}.a", f"{list_of}.b"
    for name in files:
        (camera.directory / name).unlink()
        (camera.directory / name).mkdir()
    answer = camera.ask("POST", "/api/logout", authorization=bearer(token))
    assert answer.status == 503
    assert int(answer.fields["retry-after"]) > 0
    assert camera.ack(token).status == 200
    for name in files:
        (camera.directory / name).rmdir()
    assert camera.ask("POST", "/api/logout", authorization=bearer(token)).status == 204
    assert camera.ack(token).status == 401
    assert refresh(camera, refresh_token).status == 400


def test_a_refresh_that_cannot_be_kept_is_none(camera: Camera) -> None:
    token = pair(camera)[1]
    for name in ("refresh.a", "refresh.b"):
        (camera.directory / name).unlink()
        (camera.directory / name).mkdir()
    assert refresh(camera, token).status == 503
    answer = camera.login()
    assert answer.status == 200  # nobody is kept out
    assert answer.json().keys() == {"token", "token_type", "expires_in"}


# --- API keys ---


def test_an_api_key_stands_for_its_holder(camera: Camera) -> None:
    for scheme in ("Apikey ", "apikey ", "APIKEY   "):
        answer = me(camera, scheme + KEY)
        assert (answer.status, answer.json()) == (200, {"user": "ci", "role": "basic"})
    answer = camera.post("/api/ack", {"count": 1}, authorization=f"Apikey {KEY}")
    assert answer.json() == {"ok": True, "user": "ci"}


@pytest.mark.parametrize(
    "authorization",
    ["", "Apikey", "Apikey ", f"Apikey {KEY[:-1]}", f"Apikey {KEY[1:]}", f"Apikey {KEY}x",
     f"Apikey {KEY.swapcase()}", f"Apikey {KEY} x", f"Apikey\t{KEY}", KEY, f"Bearer {KEY}",
     f"Basic {KEY}", "Apikey schlüssel", f"Apikey {API_KEY['hash']}"],
)  # fmt: skip
def test_what_is_no_api_key(camera: Camera, authorization: str) -> None:
    answer = me(camera, authorization)
    assert answer.status == 401, answer
    assert 'Apikey realm="' in answer.fields["www-authenticate"]
    assert answer.fields["www-authenticate"].startswith("Bearer ")


def test_an_api_key_is_not_read_from_the_url(camera: Camera) -> None:
    assert camera.ask("GET", f"/api/me?api_key={KEY}").status == 401


def test_an_api_key_logs_nobody_out_and_sees_no_users(camera: Camera) -> None:
    for method, path in ("POST", "/api/logout"), ("GET", "/api/users"), ("GET", "/admin"):
        assert camera.ask(method, path, authorization=f"Apikey {KEY}").status == 401


def test_an_api_key_that_is_taken_out_is_out_at_once(camera: Camera) -> None:
    change(camera, api_keys=[])
    assert me(camera, f"Apikey {KEY}").status == 401


BAD_KEYS: list[Any] = [
    [API_KEY, {**API_KEY, "hash": "0" * 63}],
    [API_KEY, {**API_KEY, "name": "b", "hash": "0" * 63 + "G"}],
    [API_KEY, API_KEY],
    [{**API_KEY, "name": "owner"}],
    [{**API_KEY, "name": ""}],
    [{**API_KEY, "name": 5}],
    [{**API_KEY, "name": "a\n"}],
    [{**API_KEY, "hash": API_KEY["hash"].upper()}],
    [{**API_KEY, "hash": None}],
    [{**API_KEY, "key": KEY}],
    [{"name": "ci"}],
    [API_KEY, 5],
    [API_KEY, None],
    [{**API_KEY, "name": f"k{n}"} for n in range(8)],
]


@pytest.mark.parametrize("keys", BAD_KEYS, ids=range(len(BAD_KEYS)))
def test_a_list_with_a_bad_key_lets_nobody_in(plain: Camera, keys: list[Any]) -> None:
    plain.provision(api_keys=keys)
    plain.start()
    assert me(plain, f"Apikey {KEY}").status == 401
    assert me(plain, bearer(plain.token())).json() == {"user": "owner", "role": "admin"}


# --- users and roles ---


def test_each_user_is_who_they_are(camera: Camera) -> None:
    guest = camera.login("a guest's", "guest").json()["token"]
    owner = camera.token()
    for token, name, role in (guest, "guest", "basic"), (owner, "owner", "admin"):
        assert me(camera, bearer(token)).json() == {"user": name, "role": role}
        assert camera.ack(token).json() == {"ok": True, "user": name}
        claims = jwt.decode(token, options={"verify_signature": False})
        assert (claims["sub"], claims["role"]) == (name, role)
    for password, user in (
        (PASSWORD, "guest"), ("a guest's", "owner"), ("a guest's", "Guest"),
        ("a guest's", "nobody"), ("", "guest"), (PASSWORD, "ci"),
    ):  # fmt: skip
        assert camera.login(password, user).status == 401, user


def users(camera: Camera, token: str) -> Answer:
    return camera.ask("GET", "/api/users", authorization=bearer(token))


def test_only_an_admin_sees_the_users(camera: Camera) -> None:
    answer = users(camera, camera.token())
    assert answer.json() == {"users": {"owner": "admin", "guest": "basic"}}
    answer = users(camera, camera.login("a guest's", "guest").json()["token"])
    assert answer.status == 403
    assert answer.fields["www-authenticate"] == (
        'Bearer realm="Backyard cam", error="insufficient_scope", scope="admin"'
    )
    assert camera.ask("GET", "/api/users").status == 401


def test_the_admin_page_is_for_admins(camera: Camera) -> None:
    def page(user_pass: bytes) -> Answer:
        value = "Basic " + base64.b64encode(user_pass).decode()
        return camera.ask("GET", "/admin", authorization=value)

    assert page(b"guest:a guest's").status == 403
    assert page(b"guest:wrong").status == 401
    change(camera, users=[{**GUEST, "role": "admin"}])
    assert page(b"guest:a guest's").body == b"hi guest"


def test_a_lesser_role_holds_at_once_and_a_greater_one_with_the_next_token(camera: Camera) -> None:
    token = camera.login("a guest's", "guest").json()["token"]
    change(camera, users=[{**GUEST, "role": "admin"}])
    assert users(camera, token).status == 403
    admin = camera.login("a guest's", "guest").json()["token"]
    assert users(camera, admin).status == 200
    change(camera, users=[GUEST])
    assert users(camera, admin).status == 403
    assert camera.ack(admin).status == 200


@pytest.mark.parametrize("role", [None, "", "ADMIN", "root", 2, True, ["admin"], "no claim"])
def test_a_role_that_there_is_not_is_no_role(camera: Camera, role: Any) -> None:
    claims = jwt.decode(camera.token(), options={"verify_signature": False})
    claims = {**claims, "role": role}
    if role == "no claim":
        del claims["role"]
    token = jwt.encode(claims, (camera.directory / "secret.bin").read_bytes())
    assert users(camera, token).status == camera.ack(token).status == 401


def test_who_is_taken_out_or_has_a_new_password_is_out_at_once(camera: Camera) -> None:
    got = camera.login("a guest's", "guest").json()
    owner = camera.token()
    changed = {**GUEST, "password": password_entry("another", b"0" * 16, 50)}
    for guests in [], [changed], [{**GUEST, "name": "other"}]:
        change(camera, users=guests)
        assert camera.ack(got["token"]).status == 401
        assert refresh(camera, got["refresh_token"]).status == 400
        assert camera.login("a guest's", "guest").status == 401
    assert camera.ack(owner).status == 200


BAD_USERS: list[Any] = [
    [{**GUEST, "name": "owner"}], [{**GUEST, "name": "a:b"}], [{**GUEST, "name": "x" * 33}],
    [GUEST, GUEST], [{**GUEST, "role": "root"}], [{**GUEST, "role": ["admin"]}],
    [{**GUEST, "role": None}], [{**GUEST, "password": PASSWORD}],
    [{**GUEST, "password": {**GUEST["password"], "iterations": 0}}],  # type: ignore[dict-item]
    [{"name": "guest", "role": "basic"}], [GUEST, 5], [{**GUEST, "admin": True}], [[GUEST]],
    [GUEST, *({**GUEST, "name": f"g{n}"} for n in range(7))],
]  # fmt: skip


@pytest.mark.parametrize("entries", BAD_USERS, ids=range(len(BAD_USERS)))
def test_a_list_with_a_bad_user_lets_the_owner_in_and_nobody_else(
    plain: Camera, entries: list[Any]
) -> None:
    plain.provision(users=entries)
    plain.start()
    assert plain.login("a guest's", "guest").status == 401
    assert plain.login(PASSWORD, "guest").status == 401
    assert users(plain, plain.token()).json() == {"users": {"owner": "admin"}}


def test_memory_stays_level_with_everything_on(camera: Camera) -> None:
    for _ in range(40):
        access, token = pair(camera)
        got = refresh(camera, token).json()
        assert camera.ask("POST", "/api/logout", authorization=bearer(got["token"])).status == 204
        assert camera.ask("POST", "/api/device", b"").status == 200
        assert camera.ack(access).status == 401
    assert camera.ack(camera.token()).status == 200
