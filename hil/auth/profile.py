"""The contract of an auth system: what the checks hold a target to. One YAML file for each.

The checks name no route, status, text or lifetime themselves: they ask the profile. What a system
does not have (a login, a Basic route, a body to its resource) its profile leaves out; asking for it
raises :class:`~hil.auth.contract.NotPromised`, and the check is skipped with that reason.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo

from ..clock.rtc import EPOCH_2000
from ..document import Document
from ..errors import ConfigError
from .contract import (
    ApiKey,
    Basic,
    Device,
    Files,
    Known,
    Login,
    Logout,
    NotPromised,
    Oidc,
    Part,
    Published,
    Refresh,
    Refusals,
    Resource,
    Roles,
    Token,
    Whose,
    promised,
)

PACKAGED = Path(__file__).parent.parent / "profiles"
CATALOGUE = Path(__file__).parent.parent / "checks.csv"

# YAML's values come as texts; pydantic makes numbers of them where any number will do.
Epoch = Annotated[
    Literal[1970, 2000],
    BeforeValidator(lambda told: int(told) if str(told).isdecimal() else told),
]


class Profile(Part):
    """:ivar name: the packaged profile's name, or the file's without its suffix
    :ivar title: whose contract this is
    :ivar source: the document that promises it
    :ivar user: user to log in as, unless devices.yaml names another
    :ivar second_user: another one; None: there is one user
    :ivar other_tokens: further kinds of tokens, by name, that open nothing here
    :ivar epoch: the year from whose begin the dates of its tokens count. RFC 7519 section 2 demands
        1970, and so does LOG-04; with 2000, the other checks mean the same moments as the target
    :ivar secret_bytes: length of the signing key
    :ivar body_limit: the largest request body that is read, bytes; None: no limit is promised
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
    second_user: str | None = None
    other_tokens: Mapping[str, Token] = {}
    given_login: Login | None = Field(default=None, alias="login")
    given_token: Token | None = Field(default=None, alias="token")
    given_resource: Resource | None = Field(default=None, alias="resource")
    given_basic: Basic | None = Field(default=None, alias="basic")
    given_refresh: Refresh | None = Field(default=None, alias="refresh")
    given_logout: Logout | None = Field(default=None, alias="logout")
    given_api_key: ApiKey | None = Field(default=None, alias="api_key")
    given_roles: Roles | None = Field(default=None, alias="roles")
    given_device: Device | None = Field(default=None, alias="device")
    given_oidc: Oidc | None = Field(default=None, alias="oidc")
    given_whose: Whose | None = Field(default=None, alias="whose")
    published: Published = Published()
    files: Files = Files()
    refusals: Refusals = Refusals()
    epoch: Epoch = 1970
    secret_bytes: int = Field(default=32, ge=1)
    given_body_limit: Annotated[int, Field(ge=1)] | None = Field(
        default=16 * 1024, alias="body_limit"
    )
    boot_timeout_s: float = Field(default=30.0, gt=0)
    idle_timeout_s: float = Field(default=30.0, gt=0)
    connections: int = Field(default=4, ge=1)
    line_limit: int = Field(default=8000, ge=256)
    open_ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = ()
    known: tuple[Known, ...] = ()

    @property
    def login(self) -> Login:
        """:raises NotPromised: nothing trades a password for a token"""
        return promised(self.given_login, "login")

    @property
    def json_login(self) -> Login:
        """:raises NotPromised: there is no login, or its request is not JSON"""
        if self.login.encoding != "json":
            raise NotPromised(f"its login is no JSON, but {self.login.encoding}")
        return self.login

    @property
    def basic_login(self) -> Login:
        """:raises NotPromised: there is no login, or it is not by Basic credentials"""
        if self.login.encoding != "basic":
            raise NotPromised(f"its login is not by Basic credentials, but {self.login.encoding}")
        return self.login

    @property
    def token(self) -> Token:
        """:raises NotPromised: there are no tokens"""
        return promised(self.given_token, "token")

    @property
    def resource(self) -> Resource:
        """:raises NotPromised: no route demands a token"""
        return promised(self.given_resource, "resource that demands a token")

    @property
    def token_kinds(self) -> tuple[str, ...]:
        """The kinds of tokens that are signed."""
        access = ("access",) if self.given_token else ()
        refresh = ("refresh",) if self.given_refresh and self.given_refresh.token else ()
        return (*access, *refresh, *self.other_tokens)

    @property
    def scheme(self) -> str:
        """The scheme before a token. :raises NotPromised: there is none"""
        return promised(self.resource.scheme or None, "scheme before a token")

    @property
    def basic(self) -> Basic:
        """:raises NotPromised: no route demands Basic credentials"""
        return promised(self.given_basic, "route that demands Basic credentials")

    @property
    def refresh(self) -> Refresh:
        """:raises NotPromised: there are no refresh tokens"""
        return promised(self.given_refresh, "refresh tokens")

    @property
    def logout(self) -> Logout:
        """:raises NotPromised: there is no logout"""
        return promised(self.given_logout, "logout")

    @property
    def api_key(self) -> ApiKey:
        """:raises NotPromised: no route demands an API key"""
        return promised(self.given_api_key, "API keys")

    @property
    def key_scheme(self) -> str:
        """The scheme before an API key. :raises NotPromised: there is none, or are no keys"""
        return promised(self.api_key.scheme or None, "scheme before an API key")

    @property
    def roles(self) -> Roles:
        """:raises NotPromised: all users may the same"""
        return promised(self.given_roles, "roles")

    @property
    def device(self) -> Device:
        """:raises NotPromised: no device code grant"""
        return promised(self.given_device, "device code grant")

    @property
    def device_token_field(self) -> str:
        """Where a device finds its access token. :raises NotPromised: no device code grant"""
        usual = self.given_login.token_field if self.given_login else "access_token"
        return self.device.token_field or usual

    @property
    def oidc(self) -> Oidc:
        """:raises NotPromised: nobody logs in at another server"""
        return promised(self.given_oidc, "login at an OpenID provider")

    @property
    def whose(self) -> Whose:
        """:raises NotPromised: nothing tells whose token it is"""
        return promised(self.given_whose, "way to tell whose token it is")

    def date(self, unix: float) -> float:
        """What a token of it says for a moment, Unix seconds."""
        return unix - self._epoch_s

    def unix(self, date: float) -> float:
        """The moment that a date in a token of it means, Unix seconds."""
        return date + self._epoch_s

    @property
    def _epoch_s(self) -> int:
        return EPOCH_2000 if self.epoch == 2000 else 0

    @property
    def key_labels(self) -> dict[str, str]:
        """By kind of tokens, from what its key is made of the access tokens'."""
        refresh = self.given_refresh.token if self.given_refresh else None
        kinds = {**self.other_tokens, **({"refresh": refresh} if refresh else {})}
        return {kind: token.key_label for kind, token in kinds.items() if token.key_label}

    @property
    def users(self) -> frozenset[str]:
        """All that it names."""
        roles = self.given_roles
        named = (
            self.user,
            self.second_user,
            roles and roles.basic_user,
            roles and roles.admin_user,
        )
        return frozenset(name for name in named if name)

    @property
    def routes(self) -> tuple[Login | Resource | Basic, ...]:
        """Those that there are, an API key's among them."""
        parts = (self.given_login, self.given_resource, self.given_basic, self.given_api_key)
        return tuple(part for part in parts if part)

    def demand_challenge(self) -> None:
        """:raises NotPromised: a 401 comes without one"""
        promised(self.refusals.challenge or None, "challenge in a 401")

    @property
    def no_credentials(self) -> frozenset[int]:
        """Statuses that refuse a request without credentials."""
        return frozenset({self.refusals.missing})

    @property
    def bad_token(self) -> frozenset[int]:
        """Statuses that refuse a token that is malformed, forged or expired."""
        return frozenset({self.refusals.token})

    @property
    def bad_refresh(self) -> frozenset[int]:
        """Statuses that refuse a refresh token: RFC 6749 section 5.2 has 400, documents 401."""
        return self.bad_token | {400}

    @property
    def no_token(self) -> frozenset[int]:
        """Statuses for credentials of which it is open whether there are any: ``Bearer`` alone."""
        return self.no_credentials | self.bad_token

    @property
    def bad_password(self) -> frozenset[int]:
        """Statuses that refuse a wrong password."""
        return frozenset({self.refusals.password})

    @property
    def malformed(self) -> frozenset[int]:
        """Statuses that refuse a body which is not what it must be."""
        return frozenset({400, self.refusals.malformed})

    @property
    def wrong_method(self) -> frozenset[int]:
        """Statuses that refuse another method at the login."""
        return frozenset({405, self.refusals.method})

    @property
    def wrong_password(self) -> frozenset[int]:
        """The same after others: a guess may be throttled."""
        throttled = {self.refusals.throttled} if self.refusals.throttled else set()
        return self.bad_password | throttled

    @property
    def body_limit(self) -> int:
        """:raises NotPromised: a body may be of any size"""
        return promised(self.given_body_limit, "limit for a request's body")

    @property
    def hidden_fields(self) -> tuple[str, ...]:
        """Fields whose text is never shown."""
        from .redaction import HIDDEN_FIELDS

        login = self.given_login
        fields = (login.password_field, login.token_field) if login else ()
        refresh = (self.given_refresh.field,) if self.given_refresh else ()
        query = self.given_api_key.query if self.given_api_key else None
        device = ("device_code", "user_code") if self.given_device else ()
        oidc = ("code", "state") if self.given_oidc else ()
        return (*HIDDEN_FIELDS, *fields, *refresh, *((query,) if query else ()), *device, *oidc)


def load_profile(name_or_path: str | Path) -> Profile:
    """A packaged profile (``camera``), or the file at this path.

    :raises ConfigError: it cannot be read or has mistakes: all of them at once
    """
    return _load(path_of(name_or_path))


def path_of(name_or_path: str | Path) -> Path:
    """The file of a profile.

    :raises ConfigError: there is no packaged one of that name
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
    return path.resolve()


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
        else:
            _published_kinds(document, profile)
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


def _published_kinds(document: Document, profile: Profile) -> None:
    """Each published key is that of a kind of token that there is."""
    for kind in profile.published.secrets:
        if kind not in profile.token_kinds:
            known = profile.token_kinds
            close = difflib.get_close_matches(kind, known, n=1)
            meant = f" (did you mean '{close[0]}'?)" if close else f"; known are {', '.join(known)}"
            place = ("published", "secrets", kind)
            document.mistake(place, f"there are no tokens of the kind {kind!a}{meant}", key=True)


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
    """The keys that there are at this place, as they are written."""
    model: type[BaseModel] = Profile
    for part in place:
        field = _named(model).get(part)
        inside = [kind for kind in _kinds(field.annotation if field else None) if _is_part(kind)]
        model = inside[0] if inside else Known
    return sorted(_named(model))


def _named(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _kinds(annotation: Any) -> tuple[Any, ...]:
    """``Login | None`` is two of them."""
    return get_args(annotation) or (annotation,)


def _is_part(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
