"""What the camera gives away unasked: error texts, files, header fields, console, open ports."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from hil.auth import tokens, verdict
from hil.auth.malformed import bad_requests
from hil.auth.redaction import hidden
from hil.check import check, must, should
from hil.errors import Finding
from hil.secrets import SecretStr
from hil.target import Absent

if TYPE_CHECKING:
    from hil.auth.client import Api
    from hil.auth.profile import Profile
    from hil.auth.raw import Answer, RawClient
    from hil.link.console import Console
    from hil.target import Target

FOREIGN = "https://evil.example"
PORT_S = 0.7
SERVICES = {
    "FTP": (20, 21),
    "SSH": (22, 2222),
    "telnet": (23, 2323),
    "WebREPL": (8266,),
    "OTA update": (3232,),
    "ESPHome": (6053,),
    "a debugger": (3333, 4242, 5555, 6666, 7777),
    "a video stream": (554, 8554),
    "MQTT": (1883, 8883),
    "Modbus": (502,),
    "HTTP": (80, 443, 3000, 5000, 8000, 8080, 8081, 8443, 8888, 9000, 9001),
}
PORTS = {port: service for service, ports in SERVICES.items() for port in ports}
ELSEWHERE = "127.1.2.3"
"""No virtual board has this address: who answers here is the host, on all of its addresses."""

FILES = ("secret.bin", "password.txt", "settings.json", "main.py", "boot.py", "config.py")

# In JSON, a quotation mark has a backslash before it.
SOURCE_LINE = r"Traceback|File \\?\"[^\"]*\", line \d"
BETRAYED = {
    "a traceback": rf"{SOURCE_LINE}|\b[A-Z]\w*(?:Error|Exception)\b(?:\(|: ?)",
    "a path": r"[\w-]+\.m?py\b|(?<![\w.])/(?:flash|sdcard|rom|lib|home|usr|opt|var|tmp)/",
    "a version": r"(?<![\d.])\d+\.\d+\.\d+(?![\d.])|\b(?:Micro)?Python[ /]\d|\bmicrodot[ /]\d",
}
TOKEN = r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{2,}\.[A-Za-z0-9_-]*"
VERSION = r"\d+\.\d|/\s*v?\d"
# OpenID Connect Core 1.0 section 5.1: the claims about a person, but for sub; and passwords.
PERSONAL = re.compile(
    r"pass(?:word|wd)?|pwd|secret|pin|name|(?:given|family|middle|nick)_?name|preferred_username|"
    r"e?-?mail|phone(?:_number)?|address|birth(?:date|day)|gender|picture|ssn|iban",
    re.IGNORECASE,
)

pytestmark = pytest.mark.usefixtures("bearer_control")


@pytest.fixture
def token(api: Api) -> SecretStr:
    """A fresh token."""
    return api.token()


def documented(api: Api, token: str) -> dict[str, Any]:
    """Every documented request, and the usual refusals."""
    sent = {
        "login": api.compose_login(),
        "ack": api.compose_resource(token=token),
        "ack without a token": api.compose_resource(),
        "no such path": api.compose("GET", "/hil-no-such-path"),
        "not allowed": api.compose("DELETE", api.profile.login.path),
        "options": api.compose("OPTIONS", api.profile.resource.path),
        "a bad request": api.compose("GET", "/", [b"nonsense"]),
    }
    if api.profile.login.encoding == "json":
        sent["a login of no JSON"] = api.compose_login(body=b"{")
    if api.profile.given_basic:
        sent["admin"] = api.compose_basic(f"Basic {api.credentials.basic}")
        sent["admin without credentials"] = api.compose_basic()
    return sent


@check("LEAK-01", must, "ASVS 16.5.1")
def test_no_server_error_tells_how_the_server_is_made(
    target: Target, api: Api, raw: RawClient, token: SecretStr
) -> None:
    """Every 5xx of the run, and of a battery of malformed requests; and no refusal of that battery
    tells where in its source it was decided.

    Usual cause: ``sys.print_exception()`` into the answer, from the days of debugging.
    """
    for answer in raw.send_all(bad_requests(api, token).values()):
        if answer.outcome is answer.outcome.REFUSED and re.search(SOURCE_LINE, answer.text):
            verdict.broken("a refusal tells nothing of the source", answer, "a line of it")
    for error, body in target.record.bodies:
        found = [
            what
            for what, pattern in BETRAYED.items()
            if re.search(pattern, body.decode("utf-8", "replace"))
        ]
        if found:
            raise Finding(
                f"the body of a {error.status} tells {', '.join(found)}; promised: none of that\n"
                f"  in {error.check or 'no check'}: sent {error.request}\n    got {error.answer}"
            )


@check("LEAK-02", must, "schemathesis not_a_server_error")
def test_nothing_that_was_sent_made_the_server_fail(
    target: Target, api: Api, raw: RawClient, token: SecretStr
) -> None:
    """No 5xx in the whole run, nor to a battery of malformed requests.

    501 and 505 are refusals, and so is 503 with Retry-After (RFC 9110 section 15.6): they are not
    counted.

    Usual cause: an exception that nobody catches.
    """
    raw.send_all(bad_requests(api, token).values())
    failed = [error for error in target.record.server_errors if error.failed]
    if failed:
        shown = [
            f"  in {error.check or 'no check'}: sent {error.request}\n    got {error.answer}"
            for error in failed[:4]
        ]
        checks = sorted({error.check or "no check" for error in failed})
        raise Finding(
            f"{len(failed)} server errors, in {', '.join(checks)}; promised: none\n"
            + "\n".join(shown)
        )


@check("LEAK-03", must, "ASVS 13.4.7")
def test_files_are_not_served(api: Api, raw: RawClient, profile: Profile, token: SecretStr) -> None:
    """Key, settings, source: by name and by every way out of a folder; with a token, too.

    Usual cause: a route ``/<path:path>`` for the web page's files, over the whole flash.
    """
    files = dict.fromkeys(
        [
            *(path for path in (profile.files.secret, profile.files.settings) if path),
            *profile.files.state,
            *FILES,
        ]
    )
    paths = [f"/{file}" for file in files]
    for file in (next(iter(files)), "main.py"):
        paths += [f"{folder}/{file}" for folder in ("/flash", "/sdcard", "/rom", "/static", "/lib")]
        paths += [
            f"{way}{file}"
            for way in (
                *("/../", "/../../", "/./", "//", "/\\", "/..\\", "/%2e%2e/", "/..%2f", "/%2f"),
                *("/static/../", "/static/%2e%2e/", "/static/..%2f", "/....//", "/%252e%252e/"),
                *("/%5c", "/.%00/", f"http://{urlsplit(api.base_url).netloc}/", "../", ""),
            )
        ]
        paths += [f"/{file}%00", f"/{file}?", f"/{file}/"]
    credentials = hidden(
        {"": "", "token": api.authorization(token), "Basic": f"Basic {api.credentials.basic}"}
    )
    sent = {
        f"{path} {name}".rstrip(): api.compose(
            "GET", path, [("Authorization", value)] if value else []
        )
        for path in [*paths, "/flash/", "/sdcard/", "/.git/config", "/.env"]
        for name, value in credentials.items()
    }
    verdict.refused_all(
        verdict.probe(raw, sent), "no file of the board is served", status=range(300, 500)
    )


@check("LEAK-04", must, "ASVS 16.2.5")
def test_the_console_tells_no_secret(
    target: Target, console: Console, api: Api, raw: RawClient, profile: Profile
) -> None:
    """What the application has printed in the whole run, and during a login, an ack, wrong ones.

    A published password may be a word that stands in any log, as the name of a form's field or of
    a file that another check asks for: such a one is not looked for.

    Usual cause: ``print(request.headers)``; a print left over from debugging.
    """
    token = api.token()
    typo = SecretStr(f"{api.credentials.password[::-1]}x7")
    raw.send_all(
        [
            api.compose_login(password=typo),
            api.compose_resource(token=token),
            api.compose_resource(token=tokens.forge(token)),
            api.compose_plain(token),
            *bad_requests(api, token).values(),
        ]
    )
    if not isinstance(target.controls.files, Absent):
        # A pause: what was printed before it has arrived.
        target.controls.files.exists(profile.files.settings or "main.py")
    elif not isinstance(target.controls.reboot, Absent):
        target.controls.reboot()  # a process, whose output is read to its end
    text = SecretStr(console.text)
    password = api.credentials.password
    secrets = {
        "the password": []
        if password == api.credentials.user  # a name may be shown
        else [
            password,
            SecretStr(json.dumps(password)[1:-1]),
            SecretStr(repr(str(password))[1:-1]),
        ],
        "a mistyped password": [typo],
        "Basic credentials": [api.credentials.basic],
        "a token": [token, SecretStr(token.rpartition(".")[2])],
    }
    usual = {profile.login.password_field, *(file.partition(".")[0] for file in FILES)}
    if password in usual and password in profile.published.passwords.values():
        del secrets["the password"]
    found = [
        what
        for what, forms in secrets.items()
        if any(form and form in text for form in forms)
        or (what == "a token" and re.search(TOKEN, text))
    ]
    if found:
        raise Finding(f"the console has shown {', '.join(found)}; promised: no password, no token")


@check("LEAK-05", should, "ASVS 13.4.6")
def test_no_header_tells_a_version(api: Api, raw: RawClient, token: SecretStr) -> None:
    """Usual cause: the framework's default."""
    for name, answer in verdict.probe(raw, documented(api, token)).items():
        for field in ("Server", "X-Powered-By"):
            if re.search(VERSION, value := answer.header(field) or ""):
                told = f"{name}: {field}: {value}"
                verdict.broken("no version in Server and X-Powered-By", answer, told)


@check("LEAK-06", should, "ASVS 14.3.2")
def test_what_credentials_protect_is_not_stored(api: Api, raw: RawClient, token: SecretStr) -> None:
    """Usual cause: nobody thought of the browser's cache, and of the proxy in between."""
    sent = documented(api, token)
    authenticated = {name: sent[name] for name in ("login", "ack", "admin") if name in sent}
    for name, answer in verdict.probe(raw, authenticated).items():
        value = (answer.header("Cache-Control") or "").lower()
        if "no-store" not in re.split(r"[\s,]+", value):
            told = f"{name}: Cache-Control is {value!r}"
            verdict.broken("an authenticated answer is no-store", answer, told)


@check("LEAK-07", must, "ASVS 14.2.6")
def test_a_token_tells_nothing_personal(api: Api, profile: Profile, token: SecretStr) -> None:
    """Everybody can read a token's claims: they are encoded, not encrypted.

    Usual cause: the whole user record is put into the token.
    """
    try:
        decoded = tokens.decode(token)
    except ValueError as error:
        pytest.skip(f"needs claims to look at, but the token has none: {error}")
    allowed = {"exp", *profile.token.claims, *profile.token.optional_claims}
    password = api.credentials.password
    secrets = [
        # Whose token it is may stand in it, also where that is the password.
        *([] if password == api.credentials.user else [password]),
        SecretStr(base64.b64encode(password.encode()).decode().rstrip("=")),
        SecretStr(password.encode().hex()),
        SecretStr(api.credentials.basic.rstrip("=")),
    ]
    found = []
    for name, value in leaves({**decoded.header, **decoded.claims}):
        last = name.rpartition(".")[2]
        if last not in allowed and PERSONAL.fullmatch(last):
            found.append(f"{name!r} by its name")
        if any(form.lower() in str(value).lower() for form in secrets):
            found.append(f"{name!r} has the password in it")
        elif last not in profile.token.claims and re.search(r"[^@\s]+@[^@\s]+\.\w", str(value)):
            found.append(f"{name!r} looks like an e-mail address")
    if found:
        raise Finding(f"the token's claims: {'; '.join(found)}; promised: nothing personal")


def leaves(value: object, name: str = "") -> Iterable[tuple[str, object]]:
    """What is in a JSON value, with its path in dots."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, name)
    else:
        yield name, value


@check("LEAK-08", must, "ASVS 16.5.1")
def test_a_refusal_tells_nothing_of_the_token(
    target: Target, api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """A token that is not valid has told nothing: what is in it does not come back.

    Usual cause: ``repr(error)`` as the answer, with the claims in it.
    """
    now = round(time.time())
    exp, later = profile.date(now - 4711), profile.date(now + 60)
    claims = {**profile.token.claims, "exp": exp, "hil": "claim-of-the-check"}
    bad = {
        "forged": tokens.forge(token),
        "signed with another key": tokens.mint({**claims, "exp": later}, b"another key"),
        "expired": tokens.mint(claims, b"another key"),
    }
    if not isinstance(target.controls.mint, Absent):
        bad["expired, of the right key"] = target.controls.mint(only=claims)
    usual = _told(raw.send(api.compose_resource()))
    answers = verdict.probe(
        raw, {name: api.compose_resource(token=value) for name, value in bad.items()}
    )
    for name, answer in answers.items():
        if answer.outcome is answer.outcome.ACCEPTED:
            continue  # no refusal: other checks' business
        inside = dict(leaves(tokens.decode(bad[name]).claims))
        found = [
            claim
            for claim, value in inside.items()
            if len(str(value)) >= 4 and str(value) in _told(answer) and str(value) not in usual
        ]
        if found:
            told = f"a token that is {name}: the answer tells its {', '.join(found)}"
            verdict.broken("no decoded claims", answer, told)


def _told(answer: Answer) -> str:
    """All that a client reads, but for what differs by itself."""
    own = ("date", "content-length")
    return "\n".join([*(v for k, v in answer.headers if k.lower() not in own), answer.text])


@check("LEAK-09", must, "common sense")
def test_no_foreign_page_may_read_the_answers(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr
) -> None:
    """Preflights of a foreign origin, and its requests: no ``Access-Control-Allow-Origin`` for it.

    Usual cause: ``*`` from a tutorial; the request's Origin sent back.
    """
    sent = {}
    for origin in (FOREIGN, "null"):
        for route in profile.routes:
            headers = [
                ("Origin", origin),
                ("Access-Control-Request-Method", route.method),
                ("Access-Control-Request-Headers", "authorization, content-type"),
            ]
            sent[f"preflight, {route.path}"] = api.compose("OPTIONS", route.path, headers)
        foreign = [("Origin", origin)]
        sent[f"login from {origin}"] = api.compose_login(headers=foreign)
        sent[f"ack from {origin}"] = api.compose_resource(token=token, headers=foreign)
        sent[f"ack without a token from {origin}"] = api.compose_resource(headers=foreign)
        if profile.given_basic:
            basic = SecretStr(f"Basic {api.credentials.basic}")
            sent[f"admin from {origin}"] = api.compose_basic(basic, headers=foreign)
    for name, answer in verdict.probe(raw, sent).items():
        allowed = {value.strip().lower() for value in answer.all("Access-Control-Allow-Origin")}
        if allowed & {"*", FOREIGN, "null"}:
            told = f"{name}: Access-Control-Allow-Origin: {', '.join(sorted(allowed))}"
            verdict.broken("no foreign origin is allowed", answer, told)


@check("LEAK-10", should, "ASVS 13.4.2, 15.2.3")
def test_no_other_port_is_open(
    raw: RawClient,
    profile: Profile,
    remark: Callable[[str, object], None],
) -> None:
    """WebREPL, telnet, FTP and what else boards leave open; the profile declares what may be.

    Usual cause: ``import webrepl`` in boot.py.
    """
    ports = [port for port in PORTS if port not in {raw.port, *profile.open_ports}]
    if raw.address in ("127.0.0.1", "localhost", "::1"):
        pytest.skip(f"needs an address of its own, but {raw.address} is the host's")
    open_ports = listening(raw.address, ports)
    if open_ports and _is_loopback(raw.address):
        hosts = listening(ELSEWHERE, open_ports)
        remark("not judged", f"open on every address of the host: {sorted(hosts)}")
        open_ports -= hosts
    if open_ports:
        told = ", ".join(f"{port} ({PORTS[port]})" for port in sorted(open_ports))
        raise Finding(
            f"open besides {raw.port}: {told}; promised: closed, or declared in the profile's "
            f"'open_ports'"
        )


def listening(address: str, ports: Iterable[int]) -> set[int]:
    """Those on which a TCP connection is taken."""

    def taken(port: int) -> bool:
        try:
            with socket.create_connection((address, port), PORT_S):
                return True
        except OSError:
            return False

    asked = list(ports)
    with ThreadPoolExecutor(len(PORTS)) as pool:
        return {
            port for port, is_open in zip(asked, pool.map(taken, asked), strict=True) if is_open
        }


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
