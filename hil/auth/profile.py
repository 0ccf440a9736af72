"""The contract of an auth system: what the checks hold a target to. One YAML file for each.

The checks name no route, status, text or lifetime themselves: they ask the profile.
"""

from __future__ import annotations

import csv
import difflib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from ..document import Document
from ..errors import ConfigError
from ..settings_file import SettingsFormat, settings_format

PACKAGED = Path(__file__).parent.parent / "profiles"
CATALOGUE = Path(__file__).parent.parent / "checks.csv"


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
    :ivar settings: where the password is kept. None: the bench cannot write it, and takes the
        password from devices.yaml
    :ivar settings_format: ``camera``, ``plain`` or a template (:mod:`hil.settings_file`)
    :ivar state: what else the application writes by itself. Like the two above, it is never
        deployed, should it lie in the application's folder
    """

    secret: str | None = None
    settings: str | None = None
    settings_format: str | None = None
    state: tuple[str, ...] = ()

    @field_validator("settings_format")
    @classmethod
    def _sound_format(cls, text: str | None) -> str | None:
        if text is not None:
            settings_format(text)
        return text

    @model_validator(mode="after")
    def _both_or_neither(self) -> Files:
        if (self.settings is None) != (self.settings_format is None):
            raise ValueError(
                "'settings' and 'settings_format' go together: a file, and how to write it"
            )
        return self

    @property
    def format(self) -> SettingsFormat | None:
        """How to write ``settings``."""
        return settings_format(self.settings_format) if self.settings_format else None

    @property
    def written_by_the_application(self) -> frozenset[str]:
        """What is the board's own and no part of the application."""
        return frozenset(path for path in (self.secret, self.settings, *self.state) if path)


class Known(_Part):
    """A deviation that the target's makers have declared.

    :ivar check: its id in the catalogue
    :ivar reason: why it is so, in the report beside it
    :ivar link: where it is discussed: an issue, a line of source, a document
    """

    check: str
    reason: Annotated[str, Field(pattern=r"\S")]
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
    :ivar line_limit: bytes of a header line that are read; a longer one must be refused. RFC 9112
        section 3 recommends 8000 for the request line
    :ivar open_ports: TCP ports that are meant to be open, besides that of the target's URL
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
    line_limit: int = Field(default=8000, ge=256)
    open_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = ()
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
        _known_checks(document, given.get("known"))
        try:
            profile = Profile.model_validate({"name": path.stem, **given})
        except ValidationError as error:
            for details in error.errors(include_url=False, include_input=False):
                place = tuple(str(part) for part in details["loc"])
                _mistake(document, place, details["type"], details["msg"])
        if not document.mistakes:
            return profile
    raise document.error()


@lru_cache
def _check_ids() -> tuple[str, ...]:
    with CATALOGUE.open(encoding="utf-8", newline="") as file:
        return tuple(row["id"] for row in csv.DictReader(file))


def _known_checks(document: Document, entries: object) -> None:
    """Each names a check of the catalogue, and no two the same."""
    ids, seen = _check_ids(), set()
    for at, entry in enumerate(entries if isinstance(entries, list) else ()):
        check = entry.get("check") if isinstance(entry, dict) else None
        if not isinstance(check, str):
            continue  # told by the type check
        place = ("known", str(at), "check")
        if check not in ids:
            close = difflib.get_close_matches(check.upper(), ids, n=1)
            meant = f" (did you mean '{close[0]}'?)" if close else "; 'hil checks' lists them"
            document.mistake(place, f"there is no check {check!a}{meant}")
        elif check in seen:
            document.mistake(place, f"{check} is declared twice")
        seen.add(check)


def _mistake(document: Document, place: tuple[str, ...], kind: str, message: str) -> None:
    if kind == "extra_forbidden":
        known = _fields(place[:-1])
        close = difflib.get_close_matches(place[-1], known, n=1)
        meant = f" (did you mean '{close[0]}'?)" if close else f"; known are {', '.join(known)}"
        document.mistake(place, f"unknown key {place[-1]!a}{meant}", key=True)
    elif kind == "missing":
        in_list = len(place) > 1 and place[-2].isdigit()
        document.mistake(place[:-1] if in_list else place, f"'{place[-1]}' is missing")
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
