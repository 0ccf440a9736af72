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
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from hil.auth import tokens, verdict
from hil.auth.client import basic
from hil.auth.malformed import bad_requests
from hil.auth.redaction import hidden
from hil.check import check, must, should
from hil.errors import Finding
from hil.secrets import SecretStr
from hil.target import Absent

if TYPE_CHECKING:
    from hil.auth.client import Api
    from hil.auth.profile import Profile
    from hil.auth.raw import Answer, RawClient, Request
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

pytestmark = pytest.mark.usefixtures("entry_control")


@pytest.fixture
def token(api: Api, profile: Profile) -> SecretStr | None:
    """A fresh token; None: no login gives any."""
    return api.token() if profile.given_login and profile.given_resource else None


@pytest.fixture
def issued(api: Api, profile: Profile) -> SecretStr:
    """A fresh token, which the check is about."""
    _ = profile.token  # else there are none
    return api.token()


def entries(
    api: Api, token: SecretStr | None, headers: Iterable[tuple[str, str]] = ()
) -> dict[str, Request]:
    """A sound request with each kind of credentials that there is."""
    profile = api.profile
    sent = {}
    if profile.given_login:
        sent["login"] = api.compose_login(headers=headers)
    if token is not None:
        sent["ack"] = api.compose_resource(token=token, headers=headers)
    if profile.given_basic:
        sent["admin"] = api.compose_basic(f"Basic {api.credentials.basic}", headers=headers)
    if profile.given_api_key and api.api_key:
        sent["key"] = api.compose_key(key=api.api_key, headers=headers)
    return sent


def strangers(
    api: Api, token: SecretStr | None, headers: Iterable[tuple[str, str]] = ()
) -> dict[str, Request]:
    """The same without any."""
    sent = {}
    if token is not None:
        sent["ack without a token"] = api.compose_resource(headers=headers)
    if api.profile.given_basic:
        sent["admin without credentials"] = api.compose_basic(headers=headers)
    if api.profile.given_api_key:
        sent["key without one"] = api.compose_key(headers=headers)
    return sent


def documented(api: Api, token: SecretStr | None) -> dict[str, Request]:
    """Every documented request, and the usual refusals."""
    login, first = api.profile.given_login, api.profile.routes[0]
    sent = {
        **entries(api, token),
        **strangers(api, token),
        "no such path": api.compose("GET", "/hil-no-such-path"),
        "not allowed": api.compose("DELETE", first.path),
        "options": api.compose("OPTIONS", first.path),
        "a bad request": api.compose("GET", "/", [b"nonsense"]),
    }
    if login and login.encoding == "json":
        sent["a login of no JSON"] = api.compose_login(body=b"{")
    return sent


@check("LEAK-01", must, "ASVS 16.5.1")
def test_no_server_error_tells_how_the_server_is_made(
    target: Target, api: Api, raw: RawClient, token: SecretStr | None
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
    target: Target, api: Api, raw: RawClient, token: SecretStr | None
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
def test_files_are_not_served(
    api: Api, raw: RawClient, profile: Profile, token: SecretStr | None
) -> None:
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
        {
            "": "",
            **({"token": api.authorization(token)} if token is not None else {}),
            **({"Basic": f"Basic {api.credentials.basic}"} if api.credentials.password else {}),
        }
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
    target: Target,
    console: Console,
    api: Api,
    raw: RawClient,
    profile: Profile,
    token: SecretStr | None,
) -> None:
    """What the application has printed in the whole run, and during sound requests, wrong ones.

    A password may be a word that stands in any log: the user's name, that of a form's field, or of
    a file that another check asks for. Such a one is not looked for.

    Usual cause: ``print(request.headers)``; a print left over from debugging.
    """
    password, key = api.credentials.password, api.api_key
    typo = SecretStr(f"{password[::-1]}x7")
    sent = [*entries(api, token).values(), *bad_requests(api, token).values()]
    if profile.given_login:
        sent.append(api.compose_login(password=typo))
    if profile.given_basic:
        sent.append(api.compose_basic(f"Basic {basic(api.credentials.user, typo)}"))
    if token is not None:
        sent.append(api.compose_resource(token=tokens.forge(token)))
    raw.send_all(sent)
    if not isinstance(target.controls.files, Absent):
        # A pause: what was printed before it has arrived.
        target.controls.files.exists(profile.files.settings or "main.py")
    elif not isinstance(target.controls.reboot, Absent):
        target.controls.reboot()  # a process, whose output is read to its end
    text = SecretStr(console.text)
    secrets = {
        "the password": _written(password),
        "a mistyped password": _written(typo) if password else [],
        "Basic credentials": [api.credentials.basic] if password else [],
        "a token": [token, SecretStr(token.rpartition(".")[2])] if token is not None else [],
        "the API key": _written(key) if key else [],
    }
    words = {api.credentials.user, *FILES, *(file.partition(".")[0] for file in FILES)}
    if profile.given_login:
        words.add(profile.login.password_field)
    found = [
        what
        for what, forms in secrets.items()
        if any(form and form in text and form not in words for form in forms)
        or (what == "a token" and re.search(TOKEN, text))
    ]
    if found:
        raise Finding(f"the console has shown {', '.join(found)}; promised: no password, no token")


def _written(secret: SecretStr) -> list[SecretStr]:
    """As it is, as JSON has it, and as Python and MicroPython show it, as text and as bytes."""
    text = str(secret)
    shown = (json.dumps(text)[1:-1], repr(text)[1:-1], ascii(text)[1:-1], repr(text.encode())[2:-1])
    return [secret, *(SecretStr(form) for form in shown)]


@check("LEAK-05", should, "ASVS 13.4.6")
def test_no_header_tells_a_version(api: Api, raw: RawClient, token: SecretStr | None) -> None:
    """Usual cause: the framework's default."""
    for name, answer in verdict.probe(raw, documented(api, token)).items():
        for field in ("Server", "X-Powered-By"):
            if re.search(VERSION, value := answer.header(field) or ""):
                told = f"{name}: {field}: {value}"
                verdict.broken("no version in Server and X-Powered-By", answer, told)


@check("LEAK-06", should, "ASVS 14.3.2")
def test_what_credentials_protect_is_not_stored(
    api: Api, raw: RawClient, token: SecretStr | None
) -> None:
    """Usual cause: nobody thought of the browser's cache, and of the proxy in between."""
    for name, answer in verdict.probe(raw, entries(api, token)).items():
        value = (answer.header("Cache-Control") or "").lower()
        if "no-store" not in re.split(r"[\s,]+", value):
            told = f"{name}: Cache-Control is {value!r}"
            verdict.broken("an authenticated answer is no-store", answer, told)


@check("LEAK-07", must, "ASVS 14.2.6")
def test_a_token_tells_nothing_personal(api: Api, profile: Profile, issued: SecretStr) -> None:
    """Everybody can read a token's claims: they are encoded, not encrypted.

    Usual cause: the whole user record is put into the token.
    """
    try:
        decoded = tokens.decode(issued)
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
    target: Target, api: Api, raw: RawClient, profile: Profile, issued: SecretStr
) -> None:
    """A token that is not valid has told nothing: what is in it does not come back.

    Usual cause: ``repr(error)`` as the answer, with the claims in it.
    """
    now = round(time.time())
    exp, later = profile.date(now - 4711), profile.date(now + 60)
    claims = {**profile.token.claims, "exp": exp, "hil": "claim-of-the-check"}
    bad = {
        "forged": tokens.forge(issued),
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
    api: Api, raw: RawClient, profile: Profile, token: SecretStr | None
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
        for kind in (entries, strangers):
            named = kind(api, token, foreign).items()
            sent |= {f"{name}, from {origin}": request for name, request in named}
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
