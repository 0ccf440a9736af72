"""A pytest plugin, ``-p secret_spy``: what a run uses of passwords, keys and tokens, as it uses it.

It listens where the product gets hold of them, and not where it hides them: at the credentials of
its client, at the signing keys that it reads and writes, at every token that it makes, and at every
request and answer, of which it takes all that is a secret, by a reading of its own; and at the
serial line, on which the camera of ``test_secrecy`` prints each key that it makes. ``$HIL_SPY``
names the file, outside of the artifacts: one JSON object a line, ``{"kind": …, "value": base64}``.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# What an answer gives away under these names is a secret, whatever it looks like.
_ISSUED = re.compile(
    rb'"((?:access_|refresh_|id_)?token|device_code|user_code|code)"\s*:\s*"((?:[^"\\]|\\.)+)"'
)
# RFC 7519: three segments. The lookbehind: a megabyte of filler is not tried at each place.
_TOKEN = re.compile(rb"(?<![\w-])[\w-]{4,}\.[\w-]{8,}\.[\w-]{8,}")

_PRINTED_KEY = re.compile(r"camera: key .* ([0-9a-f]{64})\r?\n")
_UNREAD = 4096

told: set[tuple[str, bytes]] = set()


def tell(kind: str, value: str | bytes) -> None:
    """Once each."""
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else bytes(value)
    if data and (kind, data) not in told:
        told.add((kind, data))
        line = json.dumps({"kind": kind, "value": base64.b64encode(data).decode()})
        with Path(os.environ["HIL_SPY"]).open("a") as file:
            file.write(line + "\n")


def tokens_in(data: bytes) -> Iterator[bytes]:
    """Every JSON Web Token in there."""
    yield from _TOKEN.findall(data)


def pytest_configure() -> None:
    """Before any target is brought up."""
    from hil import control, secrets
    from hil.auth import client, record
    from hil.report import secrecy

    _before(client.Credentials, "__init__", lambda _, user, password: tell("password", password))
    _before(control.SecretFile, "write", lambda _, data: tell("signing key", data))
    _after(control.SecretFile, "read", lambda key: tell("signing key", key))
    _after(control.SecretFile, "held", lambda key: tell("key of a kind", key))
    _before(record.Record, "observe", lambda _, answer: _observed(answer))

    serial = ""

    def printed(_: Any, text: str) -> None:
        nonlocal serial
        serial = serial[-_UNREAD:] + text
        for key in _PRINTED_KEY.findall(serial):
            tell("printed key", bytes.fromhex(key))

    _before(secrecy.ConsoleFile, "add", printed)

    new = secrets.SecretStr.__new__

    def __new__(cls: type[str], *arguments: Any) -> Any:  # noqa: N807 - Python's name
        made = new(cls, *arguments)
        for token in tokens_in(made.encode("utf-8", "surrogatepass")):
            tell("token", token)
        return made

    secrets.SecretStr.__new__ = __new__  # type: ignore[assignment, method-assign]


def _observed(answer: Any) -> None:
    for data in (bytes(answer.request), bytes(answer.body)):
        for token in tokens_in(data):
            tell("token", token)
    for name, value in _ISSUED.findall(answer.body):
        tell(name.decode(), value)


def _before(owner: Any, name: str, listen: Callable[..., None]) -> None:
    method = getattr(owner, name)

    def listened(*arguments: Any, **named: Any) -> Any:
        listen(*arguments, **named)
        return method(*arguments, **named)

    setattr(owner, name, listened)


def _after(owner: Any, name: str, listen: Callable[[Any], None]) -> None:
    method = getattr(owner, name)

    def listened(*arguments: Any, **named: Any) -> Any:
        result = method(*arguments, **named)
        listen(result)
        return result

    setattr(owner, name, listened)
