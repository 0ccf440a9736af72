"""What a camera is given: its application's files, microdot beside them, and settings.json.

Everything here is data for the deployer (:mod:`hil.link.files`); nothing talks to a board.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import secrets
from collections.abc import Collection, Mapping
from pathlib import Path

from hil.errors import BenchError

# PBKDF2 iterations: estimated at 50 us each on a 500 MHz Cortex-M (3.5 us on a desktop CPU), so
# 0.1 s for a login. OWASP's 600 000 would take such a board half a minute.
ITERATIONS = 2000

# The longest that the camera holds up a guess of its password after 20 wrong ones in a row, in
# milliseconds. On a bench, guesses by the hundred are the daily work: a visible delay is enough.
BENCH_THROTTLE_MS = 100

# What the reference application makes itself or is given per board.
_STATE = frozenset(
    {"settings.json", "secret.bin", "clock.json", "revoked.a", "revoked.b"}
    | {"refresh.a", "refresh.b"}
)

# The modules that OpenMV freezes into its firmware (scripts/libraries/microdot-lib/manifest.py).
# The others of the package are for CPython (asgi, wsgi, jinja, test_client) or need more of it.
_MICRODOT = (
    "__init__", "microdot", "helpers", "auth", "cors", "csrf", "login", "multipart", "session",
    "sse", "websocket",
)  # fmt: skip


def reference() -> Path:
    """The folder of the reference application: in the installed package, or in a source tree."""
    packaged = Path(__file__).parent / "firmware" / "camera"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "firmware" / "camera"


def application(path: Path, own: Collection[str] = _STATE) -> dict[str, bytes]:
    """The files of a camera application, by their path from the board's root.

    Left out: hidden files, bytecode of CPython, notes (``*.md``), and what is the board's own.

    :param path: the application's folder, with ``main.py`` in it
    :param own: the files that each board makes itself or is given: never part of an application
    :raises BenchError: when that is not what it is
    """
    if not (path / "main.py").is_file():
        raise BenchError(
            f"no main.py in {path}",
            hint="'firmware:' in devices.yaml names the folder that becomes the board's root",
        )
    tree = {}
    for file in sorted(path.rglob("*")):
        inside = file.relative_to(path)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
        if not file.is_file() or hidden or inside.suffix in {".pyc", ".md"}:
            continue
        if inside.as_posix() not in own:
            tree[inside.as_posix()] = file.read_bytes()
    return tree


def sha256_of(tree: Mapping[str, bytes]) -> str:
    """Of all files and their paths, in hex: the same for the same application."""
    whole = hashlib.sha256()
    for path, data in sorted(tree.items()):
        whole.update(path.encode() + b"\0" + hashlib.sha256(data).digest())
    return whole.hexdigest()


def microdot_tree() -> dict[str, bytes]:
    """microdot, as ``lib/microdot/…``, from the installed PyPI package.

    For boards that do not have it frozen into their firmware.

    :raises BenchError: when microdot is not installed
    """
    found = importlib.util.find_spec("microdot")
    if found is None or not found.submodule_search_locations:
        raise BenchError("microdot is not installed", hint="python3 -m pip install microdot")
    folder = Path(found.submodule_search_locations[0])
    files = (folder / f"{name}.py" for name in _MICRODOT)
    return {f"lib/microdot/{file.name}": file.read_bytes() for file in files if file.is_file()}


def microdot_version() -> str:
    """The version of what :func:`microdot_tree` returns."""
    return importlib.metadata.version("microdot")


def camera_settings(
    *,
    hostname: str,
    password: str,
    user: str = "owner",
    wifi_ssid: str = "",
    wifi_key: str = "",
    ntp_host: str = "pool.ntp.org",
    port: int = 80,
    iterations: int = ITERATIONS,
    throttle_ms: int = BENCH_THROTTLE_MS,
    salt: bytes | None = None,
    features: Collection[str] = (),
    others: Mapping[str, str] | None = None,
    api_key: str | None = None,
) -> bytes:
    """settings.json for ``firmware/camera``.

    It holds a hash of the password, but the Wi-Fi key in clear: treat it as a secret.

    :param hostname: announced as ``<hostname>.local``; 1 to 32 characters (MicroPython's limit)
    :param ntp_host: ``""`` switches NTP off: then whoever sets the clock owns it
    :param iterations: of PBKDF2-HMAC-SHA256 (RFC 8018 §5.2)
    :param throttle_ms: the longest hold-up of a guess, 0 to 60000 milliseconds
    :param salt: 16 random bytes when left out
    :param features: those of :data:`hil.settings_file.FEATURES` that are switched on
    :param others: further users and their passwords, for the feature ``users``: all of role
        ``basic``
    :param api_key: for the feature ``api_keys``
    """
    if not 1 <= len(hostname) <= 32:
        raise BenchError(f"host name {hostname!r}: a MicroPython board takes 1 to 32 characters")
    salt = secrets.token_bytes(16) if salt is None else salt
    settings: dict[str, object] = {
        "hostname": hostname,
        "port": port,
        "ntp_host": ntp_host,
        "wifi": {"ssid": wifi_ssid, "key": wifi_key},
        "user": user,
        "password": password_entry(password, salt, iterations),
        "throttle_ms": throttle_ms,
    }
    settings |= dict.fromkeys(sorted({"refresh", "logout", "device"} & set(features)), True)
    if "api_keys" in features:
        hashed = hashlib.sha256(api_key.encode()).hexdigest() if api_key else None
        settings["api_keys"] = [{"name": "bench", "hash": hashed}] if hashed else []
    if "users" in features:
        settings["users"] = [
            {
                "name": name,
                "role": "basic",
                "password": password_entry(text, secrets.token_bytes(16), iterations),
            }
            for name, text in (others or {}).items()
        ]
    return json.dumps(settings, indent=1, ensure_ascii=False).encode() + b"\n"


def password_entry(password: str, salt: bytes, iterations: int = ITERATIONS) -> dict[str, object]:
    """The ``password`` object of settings.json: a changed password is another one of these."""
    hashed = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    return {"salt": salt.hex(), "iterations": iterations, "hash": hashed.hex()}


def with_password(settings: bytes, password: str) -> bytes:
    """The same settings.json with another password.

    :raises ValueError: it is not JSON
    """
    changed = json.loads(settings)
    changed["password"] = password_entry(password, secrets.token_bytes(16))
    return json.dumps(changed, indent=1, ensure_ascii=False).encode() + b"\n"


def wifi_of(settings: bytes | None) -> tuple[str, str]:
    """SSID and key of a settings.json that a board already has; empty where it names none."""
    try:
        wifi = json.loads(settings or b"{}").get("wifi") or {}
        return str(wifi.get("ssid", "")), str(wifi.get("key", ""))
    except (ValueError, AttributeError):
        return "", ""
