"""What a profile leaves out, and how requests look under another contract than the camera's."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.auth.client import Api, Credentials, basic
from hil.auth.contract import NotPromised
from hil.auth.grants import Grants
from hil.auth.profile import Profile, load_profile
from hil.auth.raw import RawClient
from hil.errors import ConfigError
from hil.secrets import SecretStr

LOGIN = """
login:
  path: /login
  encoding: {encoding}
  user_field: email
  password_field: pw
  token_field: token
"""
RESOURCE = """
resource:
  method: GET
  path: /get-user
  scheme: "{scheme}"
  answer: '["any", "JSON"]'
"""


def profile(folder: Path, *parts: str) -> Profile:
    path = folder / "made.yaml"
    path.write_text("title: made\nsource: here\nuser: ada@example.com\n" + "".join(parts))
    return load_profile(path)


def api(made: Profile) -> Api:
    return Api("http://127.0.0.1:1", made, Credentials(made.user, SecretStr("pä ss")))


@pytest.mark.parametrize("part", ["login", "json_login", "token", "resource", "scheme", "basic"])
def test_a_part_that_is_left_out_is_told_by_name(tmp_path: Path, part: str) -> None:
    with pytest.raises(NotPromised, match="its profile has no "):
        getattr(profile(tmp_path), part)


@pytest.mark.parametrize("part", ["{path: /me, field: user}", "{claim: name}"])
def test_whose_token_it_is_tells_a_route_or_the_token(tmp_path: Path, part: str) -> None:
    whose = profile(tmp_path, f"whose: {part}\n").whose
    assert (whose.route.path if whose.route else whose.claim) in part


@pytest.mark.parametrize(
    "part", ["{path: /me}", "{field: user}", "{}", "{path: /me, field: user, claim: name}"]
)
def test_whose_token_it_is_tells_one_of_the_two(tmp_path: Path, part: str) -> None:
    with pytest.raises(ConfigError, match=r"made\.yaml:4:8: 'whose': is a route, 'path' and"):
        _ = profile(tmp_path, f"whose: {part}\n")


DEVICE = "device: {path: /codes, token_path: /token, approval: {path: /device}"


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ((f"{DEVICE}}}\n",), "access_token"),
        ((f"{DEVICE}}}\n", LOGIN.format(encoding="form")), "token"),
        ((f"{DEVICE}, token_field: pass}}\n", LOGIN.format(encoding="form")), "pass"),
    ],
)
def test_a_device_finds_its_token_where_there_is_no_login_too(
    tmp_path: Path, parts: tuple[str, ...], field: str
) -> None:
    assert profile(tmp_path, *parts).device_token_field == field


def test_a_login_by_form(tmp_path: Path) -> None:
    sent = bytes(api(profile(tmp_path, LOGIN.format(encoding="form"))).compose_login())
    assert b"Content-Type: application/x-www-form-urlencoded\r\n" in sent
    assert sent.endswith(b"\r\n\r\nemail=ada%40example.com&pw=p%C3%A4+ss")


@pytest.mark.parametrize(
    ("encoding", "told"),
    [
        ("json", b'{"email": "ada@example.com", "exp": 1, "pw": "p\xc3\xa4 ss"}'),
        ("form", b"email=ada%40example.com&exp=1&pw=p%C3%A4+ss"),
    ],
)
def test_what_a_login_brings_is_beside_the_right_user_and_password(
    tmp_path: Path, encoding: str, told: bytes
) -> None:
    made = profile(tmp_path, LOGIN.format(encoding=encoding))
    sent = api(made).compose_login(more={"email": "mallory", "exp": 1})
    assert bytes(sent).endswith(b"\r\n\r\n" + told)


def test_a_login_by_basic_has_no_body(tmp_path: Path) -> None:
    sent = bytes(api(profile(tmp_path, LOGIN.format(encoding="basic"))).compose_login())
    assert f"Authorization: Basic {basic('ada@example.com', 'pä ss')}\r\n".encode() in sent
    assert b"Content-Type" not in sent
    assert sent.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("encoding", ["form", "basic"])
def test_what_only_json_can_say_is_not_sent_otherwise(tmp_path: Path, encoding: str) -> None:
    other = api(profile(tmp_path, LOGIN.format(encoding=encoding)))
    for unsound in ({"body": b"{"}, {"password": None}, {"content_type": "text/plain"}):
        with pytest.raises(NotPromised, match=f"no JSON, but {encoding}"):
            other.compose_login(**unsound)


def test_a_resource_without_a_body(tmp_path: Path) -> None:
    made = profile(tmp_path, RESOURCE.format(scheme="Apikey"))
    assert made.resource.answer == ["any", "JSON"]
    sent = bytes(api(made).compose_resource(token="t0"))
    assert sent.startswith(b"GET /get-user HTTP/1.1\r\n")
    assert b"Authorization: Apikey t0\r\n" in sent
    assert b"Content-" not in sent
    with pytest.raises(NotPromised, match="its profile has no body"):
        api(made).compose_resource(token="t0", body=b"{}")


def test_a_token_may_stand_alone(tmp_path: Path) -> None:
    made = profile(tmp_path, RESOURCE.format(scheme=""))
    assert b"Authorization: t0\r\n" in bytes(api(made).compose_resource(token="t0"))
    with pytest.raises(NotPromised, match="no scheme before a token"):
        _ = made.scheme


def test_each_kind_of_refusal_has_its_status(tmp_path: Path) -> None:
    made = profile(tmp_path, "refusals: {token: 400, password: 403, throttled: 429}\n")
    assert made.no_credentials == {401}
    assert made.bad_token == {400}
    assert made.no_token == {400, 401}
    assert made.bad_password == {403}
    assert made.wrong_password == {403, 429}


def test_a_challenge_is_demanded_unless_the_profile_has_none(tmp_path: Path) -> None:
    load_profile("camera").demand_challenge()
    with pytest.raises(NotPromised, match="challenge in a 401"):
        profile(tmp_path, "refusals: {challenge: false}").demand_challenge()


def test_what_is_sent_where_only_a_body_or_none_matters(tmp_path: Path) -> None:
    resource = RESOURCE.format(scheme="")
    other = api(profile(tmp_path, LOGIN.format(encoding="form"), resource))
    plain = bytes(other.compose_plain("t0", [("X-A", "1")]))
    assert plain.startswith(b"GET /get-user ")
    assert b"Authorization: t0\r\nX-A: 1\r\n" in plain
    assert b"Authorization" not in bytes(other.compose_plain())
    assert bytes(other.compose_bodied("t0")).endswith(
        b"\r\n\r\nemail=ada%40example.com&pw=p%C3%A4+ss"
    )
    assert bytes(other.compose_bodied("t0", b"x", [b"Content-Length: 9"])).endswith(
        b"Content-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 9\r\nConnection: close\r\n\r\nx"
    )
    (tmp_path / "basic").mkdir()
    without = api(profile(tmp_path / "basic", LOGIN.format(encoding="basic"), resource))
    with pytest.raises(NotPromised, match="no request with a body"):
        without.compose_bodied("t0")


def test_a_claim_that_is_no_text_stands_as_json(tmp_path: Path) -> None:
    token = "token: {lifetime_s: 20, algorithms: [HS256], claims: '{\"user_id\": 1}'}\n"
    assert profile(tmp_path, token).token.claims == {"user_id": 1}


def test_a_refresh_token_in_authorization(tmp_path: Path) -> None:
    made = profile(tmp_path, "refresh: {path: /refresh, encoding: bearer}\n")
    grants = Grants(api(made), RawClient("127.0.0.1", 1))
    sent = bytes(grants.compose_refresh("t0"))
    assert b"Authorization: Bearer t0\r\n" in sent
    assert sent.endswith(b"\r\n\r\n")
    assert b"Authorization" not in bytes(grants.compose_refresh())
    for unsound in ((None,), ()):
        with pytest.raises(NotPromised, match="in 'Authorization'"):
            grants.compose_refresh(*unsound, **({} if unsound else {"body": b"{"}))


def test_a_providers_code_is_shown_nowhere(tmp_path: Path) -> None:
    """Whoever has it gets the tokens: it stands in addresses, and in forms."""
    made = profile(tmp_path, "oidc: {callback: /back}\n")
    sent = api(made).compose("POST", "/back?code=c0ffee17&state=5ecre7", (), b"code=c0ffee17")
    assert "/back?code=" in repr(sent)
    assert "c0ffee17" not in repr(sent)
    assert "5ecre7" not in repr(sent)
