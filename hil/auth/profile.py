"""The contract of an auth system: what the checks hold a target to. One YAML file for each.

The checks name no route, status, text or lifetime themselves: they ask the profile.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ..document import Document
from ..errors import ConfigError

PACKAGED = Path(__file__).parent.parent / "profiles"


def _json_object(value: object) -> object:
    """Bodies stand in the YAML as JSON text: so they are what goes over the wire."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None


JsonObject = Annotated[dict[str, Any], BeforeValidator(_json_object)]
Status = Annotated[int, Field(ge=100, le=599)]
Path_ = Annotated[str, Field(pattern=r"^/[!-~]*$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Login(_Part):
    """Trading a password for a token: a JSON object there, a JSON object back.

    :ivar token_field: where the token is in the answer
    """

    method: str = "POST"
    path: Path_
    user_field: str
    password_field: str
    token_field: str


class Token(_Part):
    """:ivar lifetime_s: ``exp`` minus the time of issue, seconds
    :ivar leeway_s: seconds after ``exp`` for which a token may still be accepted
    :ivar algorithms: the only ones that sign
    :ivar claims: those with a fixed value, and the value
    :ivar optional_claims: what else may be in a token, besides ``exp``
    """

    lifetime_s: int = Field(gt=0)
    leeway_s: int = Field(default=0, ge=0, le=300)
    algorithms: tuple[str, ...]
    type: str = "JWT"
    claims: Mapping[str, str]
    optional_claims: tuple[str, ...] = ()


class Ack(_Part):
    """The route that demands a token.

    :ivar body: a sound request
    :ivar answer: what a sound request gets, compared as JSON
    :ivar required_field: a body without it gets ``missing_status`` and ``missing_text``
    """

    method: str = "POST"
    path: Path_
    body: JsonObject
    answer: JsonObject
    required_field: str
    missing_status: Status = 400
    missing_text: str


class Admin(_Part):
    """The route that demands Basic credentials."""

    method: str = "GET"
    path: Path_
    realm: str
    answer: str


class Files(_Part):
    """Paths relative to the application's working directory; None: there is no such file.

    :ivar secret: the signing key
    :ivar settings: where the password's hash is kept
    """

    secret: str | None = None
    settings: str | None = None


class Known(_Part):
    """A deviation that the target's makers have declared."""

    check: str
    reason: str
    link: str = ""


class Profile(_Part):
    """:ivar name: the packaged profile's name, or the file's without its suffix
    :ivar title: whose contract this is
    :ivar source: the document that promises it
    :ivar user: user to log in as, unless devices.yaml names another
    :ivar unauthorized_status: for missing and wrong credentials
    :ivar throttled_status: what a target may answer instead after many wrong passwords; None: it
        never does
    :ivar secret_bytes: length of the signing key
    :ivar body_limit: the largest request body that is read, bytes
    :ivar boot_timeout_s: seconds from a reset to the first answer
    :ivar idle_timeout_s: seconds after which a silent connection is closed
    :ivar connections: connections at once that a target serves of which the board model, and so
        its socket pool, is not known
    :ivar known: declared deviations
    """

    name: str
    title: str
    source: str
    user: str
    login: Login
    token: Token
    ack: Ack
    admin: Admin
    files: Files = Files()
    unauthorized_status: Status = 401
    throttled_status: Status | None = None
    secret_bytes: int = Field(default=32, ge=1)
    body_limit: int = Field(default=16 * 1024, ge=1)
    boot_timeout_s: float = Field(default=30.0, gt=0)
    idle_timeout_s: float = Field(default=30.0, gt=0)
    connections: int = Field(default=4, ge=1)
    known: tuple[Known, ...] = ()

    @property
    def unauthorized(self) -> frozenset[int]:
        """Statuses that refuse a missing or an unsound credential."""
        return frozenset({self.unauthorized_status})

    @property
    def wrong_password(self) -> frozenset[int]:
        """Statuses that refuse a wrong password: a guess may be throttled."""
        throttled = {self.throttled_status} if self.throttled_status else set()
        return self.unauthorized | throttled

    @property
    def hidden_fields(self) -> tuple[str, ...]:
        """Fields whose text is never shown."""
        from .redaction import HIDDEN_FIELDS

        return (*HIDDEN_FIELDS, self.login.password_field, self.login.token_field)


def load_profile(name_or_path: str | Path) -> Profile:
    """A packaged profile (``camera``), or the file at this path.

    :raises ConfigError: it cannot be read or has mistakes: all of them at once
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = PACKAGED / f"{name_or_path}.yaml"
        if not path.exists():
            known = sorted(file.stem for file in PACKAGED.glob("*.yaml"))
            close = difflib.get_close_matches(str(name_or_path), known, n=1)
            meant = f" (did you mean '{close[0]}'?)" if close else ""
            raise ConfigError(
                f"{path}:1:1: no packaged profile {str(name_or_path)!a}{meant}",
                hint=f"packaged are {', '.join(known)}",
            )
    return _load(path.resolve())


@lru_cache
def _load(path: Path) -> Profile:
    document = Document.read(path)
    given = document.value
    if not isinstance(given, dict):
        document.mistake((), "a profile is a mapping: 'title: …' and so on")
    elif not document.mistakes:
        try:
            return Profile.model_validate({"name": path.stem, **given})
        except ValidationError as error:
            for details in error.errors(include_url=False, include_input=False):
                place = tuple(str(part) for part in details["loc"])
                _mistake(document, place, details["type"], details["msg"])
    raise document.error()


def _mistake(document: Document, place: tuple[str, ...], kind: str, message: str) -> None:
    if kind == "extra_forbidden":
        known = _fields(place[:-1])
        close = difflib.get_close_matches(place[-1], known, n=1)
        meant = f" (did you mean '{close[0]}'?)" if close else f"; known are {', '.join(known)}"
        document.mistake(place, f"unknown key {place[-1]!a}{meant}", key=True)
    elif kind == "missing":
        document.mistake(place, f"'{place[-1]}' is missing")
    else:
        document.mistake(place, f"'{place[-1]}': {message.removeprefix('Value error, ')}")


def _fields(place: tuple[str, ...]) -> list[str]:
    model: type[BaseModel] = Profile
    for part in place:
        field = model.model_fields.get(part)
        kind: Any = field.annotation if field else None
        # In Python 3.10 a tuple[Known, ...] counts as a class too.
        if not isinstance(kind, type) or get_origin(kind):
            return sorted(Known.model_fields)
        model = kind
    return sorted(model.model_fields)
