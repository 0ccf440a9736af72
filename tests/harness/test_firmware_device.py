"""The camera's device grant (RFC 8628), and the forms that it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from firmware_process import PASSWORD, Answer, Camera, Worker, run, worker
from hypothesis import given
from hypothesis import strategies as st

GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Camera]:
    camera = Camera(tmp_path)
    camera.provision(device=True, throttle_ms=300)
    camera.start()
    yield camera
    camera.stop()
    assert "Traceback" not in camera.console()
    assert PASSWORD not in camera.console()


def start(camera: Camera) -> dict[str, str]:
    answer = camera.ask("POST", "/api/device", b"")
    assert answer.status == 200
    return answer.json()


def poll(camera: Camera, device_code: str) -> Answer:
    return camera.form("/api/token", grant_type=GRANT, device_code=device_code)


def approve(camera: Camera, user_code: str, password: str = PASSWORD) -> Answer:
    return camera.form("/device", user_code=user_code, user="owner", password=password)


def error(answer: Answer) -> tuple[int | None, str]:
    assert answer.fields["cache-control"] == "no-store"
    return answer.status, answer.json()["error"]


def test_the_devices_way(camera: Camera) -> None:
    codes = start(camera)
    assert codes.keys() == {
        "device_code", "user_code", "verification_uri", "expires_in", "interval",
    }  # fmt: skip
    assert re.fullmatch("[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", codes["user_code"])
    assert re.fullmatch("[A-Za-z0-9_-]{32}", codes["device_code"])  # 192 bits
    assert codes["verification_uri"] == "http://porch.local/device"
    assert (codes["expires_in"], codes["interval"]) == (900, 2)
    assert error(poll(camera, codes["device_code"])) == (400, "authorization_pending")
    assert error(poll(camera, codes["device_code"])) == (400, "slow_down")
    assert approve(camera, codes["user_code"]).status == 200
    answer = poll(camera, codes["device_code"])
    got = answer.json()
    assert got.keys() == {"access_token", "token_type", "expires_in"}
    assert (got["token_type"], got["expires_in"]) == ("Bearer", 3600)
    assert answer.fields["cache-control"] == "no-store"
    assert camera.ack(got["access_token"]).json() == {"ok": True, "user": "owner"}
    for _ in range(2):
        assert error(poll(camera, codes["device_code"])) == (400, "invalid_grant")
    assert approve(camera, codes["user_code"]).status == 400  # it waits no longer


def test_a_device_gets_a_refresh_token_where_there_are_any(tmp_path: Path) -> None:
    camera = Camera(tmp_path)
    camera.provision(device=True, refresh=True)
    camera.start()
    try:
        codes = start(camera)
        approve(camera, codes["user_code"])
        token = poll(camera, codes["device_code"]).json()["refresh_token"]
        assert camera.post("/api/refresh", {"refresh_token": token}).status == 200
    finally:
        camera.stop()


def test_each_device_has_its_own_codes(camera: Camera) -> None:
    one, other = start(camera), start(camera)
    assert approve(camera, other["user_code"]).status == 200
    assert error(poll(camera, one["device_code"])) == (400, "authorization_pending")
    assert poll(camera, other["device_code"]).status == 200


@pytest.mark.parametrize(
    "spelled", ["{0}{1}", "{0}-{1}", "{0} {1}", " {0}--{1} ", "-{0}.{1}/", "{0}\u2013{1}"]
)
def test_a_user_code_may_be_spelled_as_one_likes(camera: Camera, spelled: str) -> None:
    code = start(camera)["user_code"].lower()
    assert approve(camera, spelled.format(*code.split("-"))).status == 200


def test_what_is_no_user_code(camera: Camera) -> None:
    codes = start(camera)
    code = codes["user_code"]
    for wrong in (
        code[:-1], code[1:], code + "B", code[::-1], "BBBB-BBBB", codes["device_code"], "0", "-",
        "B" * 5000, "ü",
    ):  # fmt: skip
        if wrong != code:
            assert approve(camera, wrong).status == 400, wrong
    assert error(poll(camera, codes["device_code"])) == (400, "authorization_pending")
    assert approve(camera, code).status == 200


def test_the_password_comes_first(camera: Camera) -> None:
    """Without it nobody learns which codes there are."""
    code = start(camera)["user_code"]
    one, other = approve(camera, code, "wrong"), approve(camera, "BBBB-BBBB", "wrong")
    assert one.status == other.status == 401
    assert "www-authenticate" in one.fields
    assert one.body.replace(code.encode(), b"") == other.body.replace(b"BBBB-BBBB", b"")


def test_guessing_user_codes_gets_slow_in_spite_of_a_right_password(camera: Camera) -> None:
    import time

    def guess(n: int) -> float:
        began = time.monotonic()
        assert approve(camera, "BCDFGHJK"[n % 8] * 8).status == 400
        return time.monotonic() - began

    first = min(guess(n) for n in range(10))
    for n in range(28):
        guess(n)
    assert guess(0) > first + 0.09  # 18 failures over the free ones: 25 ms, three times doubled
    code = start(camera)["user_code"]
    assert approve(camera, code).status == 200  # whoever types the right one only waits


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "invalid_request"),
        ({"device_code": "x"}, "invalid_request"),
        ({"grant_type": "", "device_code": "x"}, "invalid_request"),
        ({"grant_type": "password", "device_code": "x"}, "unsupported_grant_type"),
        ({"grant_type": GRANT}, "invalid_request"),
        ({"grant_type": GRANT, "device_code": ""}, "invalid_request"),
        ({"grant_type": GRANT, "device_code": "x"}, "invalid_grant"),
        ({"grant_type": GRANT, "device_code": "größe\0"}, "invalid_grant"),
        ({"grant_type": GRANT, "device_code": "a" * 4000}, "invalid_grant"),
    ],
)
def test_errors_of_the_token_route(camera: Camera, values: dict[str, str], told: str) -> None:
    assert error(camera.form("/api/token", **values)) == (400, told)


def test_the_token_route_takes_forms_only(camera: Camera) -> None:
    values = {"grant_type": GRANT, "device_code": "x"}
    answer = camera.post("/api/token", values)
    assert error(answer) == (400, "invalid_request")
    twice = urlencode(values) + "&device_code=x"
    media = "application/x-www-form-urlencoded"
    answer = camera.ask("POST", "/api/token", twice.encode(), content_type=media)
    assert error(answer) == (400, "invalid_request")
    answer = camera.ask("POST", "/api/token", twice[:-14].encode(), content_type=media + ";x=y")
    assert error(answer) == (400, "invalid_grant")


def test_codes_expire(camera: Camera) -> None:
    waiting, let_in = start(camera), start(camera)
    assert approve(camera, let_in["user_code"]).status == 200
    camera.skew(899)
    assert error(poll(camera, waiting["device_code"])) == (400, "authorization_pending")
    camera.skew(901)
    assert approve(camera, waiting["user_code"]).status == 400
    for codes in waiting, let_in:
        assert error(poll(camera, codes["device_code"])) == (400, "expired_token")


def test_a_clock_that_is_set_back_makes_no_code_live_longer(camera: Camera) -> None:
    codes = start(camera)
    camera.skew(-60)
    assert approve(camera, codes["user_code"]).status == 400
    assert error(poll(camera, codes["device_code"])) == (400, "expired_token")


def test_a_reboot_and_a_new_password_end_what_is_pending(camera: Camera) -> None:
    codes = start(camera)
    assert approve(camera, codes["user_code"]).status == 200
    camera.provision("another one", device=True)
    assert error(poll(camera, codes["device_code"])) == (400, "invalid_grant")
    camera.provision(device=True)
    codes = start(camera)
    camera.reboot()
    assert error(poll(camera, codes["device_code"])) == (400, "invalid_grant")


def test_one_client_has_eight_devices_at_most(camera: Camera) -> None:
    """Its next one ends its oldest, so it keeps nobody else out, nor itself."""
    codes = [start(camera) for _ in range(9)]
    assert error(poll(camera, codes[0]["device_code"])) == (400, "invalid_grant")
    for one in codes[1:]:
        assert error(poll(camera, one["device_code"])) == (400, "authorization_pending")


def test_sixteen_devices_wait_at_once_and_no_more(tmp_path: Path) -> None:
    run(
        """
import clock
from auth import device
now = 1795364850
clock.unix = lambda: now
codes = [device.begin("10.0.0.%d" % n) for n in range(16)]
try:
    device.begin("10.0.0.99")
    assert False
except device.Busy:
    pass
now += 900
assert device.begin("10.0.0.99")  # what has expired makes room
assert len(device._pending) == 16
""",
        tmp_path,
    )


def test_user_codes_use_all_letters_alike(tmp_path: Path) -> None:
    """The bytes up to 239 give each of the 20 twelve times; the others are drawn again."""
    printed = run(
        """
from auth import device
class Random:
    left = [bytes([n]) for n in list(range(240, 256)) * 2 + list(range(240))]
    def urandom(size):
        return Random.left.pop(0)
device.os = Random
print("".join([device._user_code() for _ in range(30)]))
""",
        tmp_path,
    )
    letters = printed.strip()
    assert {letters.count(letter) for letter in set(letters)} == {12}
    assert len(set(letters)) == 20


def test_the_page(camera: Camera) -> None:
    answer = camera.ask("GET", "/device?user_code=%3Cscript%3E")
    assert answer.status == 200
    assert answer.fields["content-type"] == "text/html; charset=UTF-8"
    assert "default-src 'none'" in answer.fields["content-security-policy"]
    assert b"script" not in answer.body
    assert b'name="user_code"' in answer.body


def test_what_the_page_shows_again_is_escaped_and_the_password_is_not_shown(camera: Camera) -> None:
    script = "<script>alert('x')</script>\"'&"
    answer = camera.form("/device", user_code=script, user=script, password="hunter22")
    assert answer.status == 401
    assert b"<script" not in answer.body
    assert b'"\'&"' not in answer.body
    assert (
        answer.body.count(b"&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&#39;&amp;") == 2
    )
    assert b"hunter22" not in answer.body
    for values in {}, {"user_code": "x"}, {"user": "owner", "password": "x"}:
        assert camera.form("/device", **values).status == 400


@pytest.mark.parametrize(
    ("host", "told"),
    [("192.168.1.5:8080", "192.168.1.5:8080"), ("[fe80::1]", "[fe80::1]"),
     ("evil/..", "porch.local"), ("a@b", "porch.local"), ("ü", "porch.local")],
)  # fmt: skip
def test_where_the_user_goes(camera: Camera, host: str, told: str) -> None:
    head = f"POST /api/device HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n"
    assert camera.talk(head.encode()).json()["verification_uri"] == f"http://{told}/device"


def test_without_a_clock_no_device_begins(camera: Camera) -> None:
    camera.skew(-1_500_000_000)
    assert camera.ask("POST", "/api/device", b"").status == 503


# --- forms ---

FORM = """
from web.form import fields
def call(data):
    return fields(data)
"""


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with worker(FORM, tmp_path_factory.mktemp("form")) as process:
        yield process


@given(values=st.dictionaries(st.text(max_size=8), st.text(max_size=20), min_size=1, max_size=16))
def test_what_was_encoded_is_read(fields: Worker, values: dict[str, str]) -> None:
    data = urlencode(values, errors="surrogatepass").encode()
    sound = not any("\ud800" <= c <= "\udfff" for pair in values.items() for c in "".join(pair))
    assert fields(data) == ({"ok": values} if sound else {"refused": True})


@given(data=st.binary(max_size=60) | st.text("a=&%+41fFzZ", max_size=40).map(str.encode))
def test_whatever_is_read_the_standard_library_reads_too(fields: Worker, data: bytes) -> None:
    answer = fields(data)
    assert "crashed" not in answer
    if "ok" in answer:
        expected = parse_qsl(data.decode(), keep_blank_values=True, errors="strict")
        # An empty pair is a field without a name here, and nothing there
        got = {name: value for name, value in answer["ok"].items() if name or value}
        assert got == {name: value for name, value in expected if name or value}


@pytest.mark.parametrize(
    "data",
    [b"a=1&a=2", b"a=%", b"a=%4", b"a=%4 1", b"a=%4+", b"a=%zz", b"a=%4g", b"a=% 1",
     b"a=\xff", b"a=%ff", b"a=%c0%80",
     b"&".join(b"%d=" % n for n in range(17)), b"a&a", b"&&"],
)  # fmt: skip
def test_what_is_no_form(fields: Worker, data: bytes) -> None:
    assert fields(data) == {"refused": True}
