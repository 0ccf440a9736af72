"""The camera application over time: clock, reboots, rotation, settings, Ctrl-C."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest
from firmware_process import PASSWORD, Camera

from hil.provision import password_entry


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    camera = Camera(tmp_path)
    camera.start()
    yield camera
    camera.stop()
    assert "Traceback" not in camera.console()


def secret(camera: Camera) -> bytes:
    return (camera.directory / "secret.bin").read_bytes()


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"owner:{password}".encode()).decode()


def test_ctrl_c_and_run_forever_resume_everything(camera: Camera) -> None:
    token = camera.token()
    for _ in range(10):
        camera.interrupt()
        assert camera.ack(token).status == 200
    camera.provision(iterations=200_000)  # keeps the camera busy: the Ctrl-C hits a request
    with ThreadPoolExecutor(4) as pool:
        attempts = [pool.submit(camera.login, "wrong") for _ in range(4)]
        for _ in range(5):
            time.sleep(0.02)  # somewhere in the middle of it
            camera.interrupt()
        camera.provision()
        assert {attempt.result().status for attempt in attempts} <= {401, None}
    assert camera.login().status == 200


def test_tokens_are_true_to_unix_time_and_differ(camera: Camera) -> None:
    one, other = camera.token(), camera.token()
    assert one != other
    claims = jwt.decode(one, secret(camera), algorithms=["HS256"])
    assert claims["sub"] == "owner"
    assert abs(claims["exp"] - 3600 - time.time()) < 2
    assert claims.keys() == {"sub", "exp", "jti", "gen"}
    assert jwt.get_unverified_header(one) == {"alg": "HS256", "typ": "JWT"}


def test_exp_is_the_first_second_that_is_too_late(camera: Camera) -> None:
    now = int(time.time())
    minted = jwt.encode({"sub": "owner", "exp": now + 300}, secret(camera))
    for skew, status in (0, 200), (290, 200), (300, 401), (310, 401):
        camera.skew(skew)
        assert camera.ack(minted).status == status


def test_a_clock_set_back_revives_nothing_and_locks_nobody_out(camera: Camera) -> None:
    token = camera.token()
    camera.skew(3605)
    assert camera.ack(token).status == 401
    camera.skew(0)
    assert camera.ack(token).status == 401
    again = camera.token()
    assert camera.ack(again).status == 200
    camera.reboot()  # with the clock kept: neither comes back
    assert camera.ack(token).status == 401
    assert camera.ack(again).status == 200


def test_a_clock_set_back_over_a_reboot_revives_nothing(camera: Camera) -> None:
    camera.skew(86400)
    token = camera.token()
    camera.stop()
    camera.skew(0)
    camera.start()
    assert camera.ack(token).status == 401
    camera.skew(86400)
    assert camera.ack(token).status == 401
    camera.skew(0)
    assert camera.ack(camera.token()).status == 200


@pytest.mark.parametrize("year", [2038, 2099, 2106])
def test_far_years(camera: Camera, year: int) -> None:
    camera.skew(int((year - 1970.1) * 365.25 * 86400 - time.time()))
    assert camera.ack(camera.token()).status == 200


def test_no_token_before_the_clock_is_set(camera: Camera) -> None:
    token = camera.token()
    camera.skew(-int(time.time()))  # 1970
    answer = camera.login()
    assert answer.status == 503
    assert int(answer.fields["retry-after"]) > 0
    assert "date" not in answer.fields
    assert camera.ack(token).status == 401
    camera.skew(0)
    assert camera.ack(token).status == 200  # unset is not set back


def test_a_reboot_keeps_the_secret(camera: Camera) -> None:
    token, before = camera.token(), secret(camera)
    assert len(before) == 32
    camera.reboot()
    assert secret(camera) == before
    assert camera.ack(token).status == 200


def test_rotation(camera: Camera) -> None:
    token, before = camera.token(), secret(camera)
    (camera.directory / "secret.bin").unlink()
    assert camera.ack(token).status == 200  # the old one serves until the reboot
    between = camera.token()
    camera.reboot()
    assert len(secret(camera)) == 32
    assert secret(camera) != before
    assert camera.ack(token).status == camera.ack(between).status == 401
    assert camera.ack(camera.token()).status == 200
    assert camera.ask("GET", "/admin", authorization=basic(PASSWORD)).status == 200
    (camera.directory / "secret.bin").write_bytes(before)
    camera.reboot()
    assert camera.ack(token).status == 200  # whoever restores the old key revives its tokens


@pytest.mark.filterwarnings("ignore::jwt.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    "content",
    [b"", b"x", bytes(range(31)), bytes(range(32)) + b"\n", bytes(range(32)) + b"\0", bytes(32)],
    ids=len,
)
def test_a_secret_that_is_not_ours_is_replaced(camera: Camera, content: bytes) -> None:
    (camera.directory / "secret.bin").write_bytes(content)
    camera.reboot()
    assert len(secret(camera)) == 32
    assert secret(camera) != content
    for key in {content, content[:32]} - {b""}:  # PyJWT will not sign with the empty one
        forged = jwt.encode({"sub": "owner", "exp": int(time.time()) + 60}, key)
        assert camera.ack(forged).status == 401
    assert camera.ack(camera.token()).status == 200


def test_without_a_place_for_the_secret_there_are_no_tokens(camera: Camera) -> None:
    token = camera.token()
    (camera.directory / "secret.bin").unlink()
    (camera.directory / "secret.bin").mkdir()
    camera.reboot()
    assert camera.login().status == 503
    assert camera.login("wrong").status == 503
    assert camera.ack(token).status == 401
    assert camera.ask("GET", "/admin", authorization=basic(PASSWORD)).status == 200


def test_a_changed_password_holds_at_once_and_ends_the_tokens(camera: Camera) -> None:
    token = camera.token()
    assert camera.ask("GET", "/admin", authorization=basic(PASSWORD)).status == 200
    camera.provision("another one")
    assert camera.login().status == 401
    assert camera.ask("GET", "/admin", authorization=basic(PASSWORD)).status == 401
    assert camera.ack(token).status == 401
    assert camera.login("another one").status == 200
    assert camera.ask("GET", "/admin", authorization=basic("another one")).status == 200


def test_a_changed_user_holds_at_once(camera: Camera) -> None:
    token = camera.token()
    camera.provision(user="keeper")
    assert camera.login().status == 401
    assert camera.ack(token).status == 401
    assert camera.login(user="keeper").status == 200


# A sound hash of the right password, but of so short a salt that a table of hashes would serve.
SHORT_SALT = json.dumps(
    {"user": "owner", "password": password_entry(PASSWORD, b"salt", 1)}
).encode()


@pytest.mark.parametrize(
    "settings",
    [None, SHORT_SALT, b"", b"{", b"[]", b"\xff\xfe", b"[" * 3000,
     b'{"user": "owner", "password": ""}',
     b'{"user": "owner", "password": {"salt": "", "iterations": 1, "hash": ""}}',
     b'{"user": "owner", "password": {"salt": "3031323334353637", "iterations": 0, "hash": ""}}'],
)  # fmt: skip
def test_without_a_password_every_login_is_refused(camera: Camera, settings: bytes | None) -> None:
    file = camera.directory / "settings.json"
    if settings is None:
        file.unlink()
    else:
        file.write_bytes(settings)
    for password in "", "admin", PASSWORD:
        assert camera.login(password).status == 401
        assert camera.ask("GET", "/admin", authorization=basic(password)).status == 401
    camera.provision()
    assert camera.login().status == 200


def test_many_wrong_tokens_do_not_slow_a_right_one(camera: Camera) -> None:
    token = camera.token()
    for _ in range(100):
        assert camera.ack(token[:-2]).status == 401
    assert camera.ack(token).status == 200


def test_memory_stays_level(camera: Camera) -> None:
    """300 KB of heap, with pointers twice as wide as a board's, for as long as one cares to ask."""
    body = json.dumps({"user": "owner", "pass": "x" * 16000}).encode()
    for _ in range(30):
        assert camera.ask("POST", "/api/login", body, content_type="application/json").status == 401
    assert camera.login().status == 200
