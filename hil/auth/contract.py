"""The parts of a profile: one class for each thing that an auth system may promise.

:class:`hil.auth.profile.Profile` puts them together; what a system does not have is left out there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    JsonValue,
    field_validator,
    model_validator,
)
from pydantic_core import core_schema

from ..errors import Unavailable
from ..secrets import SecretStr
from ..settings_file import SettingsFormat, settings_format


class NotPromised(Unavailable):
    """The profile says nothing of this: what would check it is skipped."""


_P = TypeVar("_P")


def promised(part: _P | None, what: str) -> _P:
    if part is None:
        raise NotPromised(f"its profile has no {what}")
    return part


def _json(value: object) -> object:
    """Bodies stand in the YAML as JSON text: so they are what goes over the wire."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from None


Json = Annotated[JsonValue, BeforeValidator(_json)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_json)]
Status = Annotated[int, Field(ge=100, le=599)]
Hidden = Annotated[
    SecretStr,
    GetPydanticSchema(
        lambda _, __: core_schema.no_info_after_validator_function(
            SecretStr, core_schema.str_schema()
        )
    ),
]
_SCHEME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]*$"
Path_ = Annotated[str, Field(pattern=r"^/[!-~]*$")]


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Login(Part):
    """Trading a password for a token. The answer is a JSON object.

    :ivar encoding: how user and password travel: as a JSON object, as a form (``application/
        x-www-form-urlencoded``), or as ``Authorization: Basic`` without a body
    :ivar user_field: the user's name in the object or form
    :ivar password_field: the password's
    :ivar token_field: where the token is in the answer
    """

    method: str = "POST"
    path: Path_
    encoding: Literal["json", "form", "basic"] = "json"
    user_field: str = "username"
    password_field: str = "password"  # noqa: S105 - a name
    token_field: str


class Token(Part):
    """A JSON Web Token (RFC 7519), signed.

    :ivar lifetime_s: ``exp`` minus the time of issue, seconds
    :ivar leeway_s: seconds after ``exp`` for which a token may still be accepted
    :ivar algorithms: the only ones that sign
    :ivar type: what ``typ`` in its header says
    :ivar claims: those with a fixed value, and the value; as JSON text, where one is no text
    :ivar required_claims: those that must be there, whatever their value, besides ``exp``
    :ivar user_claim: the one that says whose token it is
    :ivar optional_claims: what else may be in a token
    :ivar key_label: its key is HMAC-SHA256 of this text under the access tokens' key; None: it is
        that key, or one of its own
    :ivar key_separator: what it is given is a list of keys with this text between them, of which
        the first signs and all verify; None: it is one key
    """

    lifetime_s: int = Field(gt=0)
    leeway_s: int = Field(default=0, ge=0, le=300)
    algorithms: tuple[str, ...]
    type: str = "JWT"
    claims: JsonObject
    required_claims: tuple[str, ...] = ()
    user_claim: str = "sub"
    optional_claims: tuple[str, ...] = ()
    key_label: str | None = None
    key_separator: str | None = Field(default=None, min_length=1)


class Body(Part):
    """What a request to the resource must hold.

    :ivar sound: the JSON object of a sound request
    :ivar required_field: a body without it gets ``missing_status`` and ``missing_text``
    :ivar missing_status: what the status is then
    :ivar missing_text: what the answer says then
    """

    sound: JsonObject
    required_field: str
    missing_status: Status = 400
    missing_text: str


class Resource(Part):
    """The route that demands a token: RFC 6750's protected resource.

    :ivar answer: what a sound request gets, compared as JSON
    :ivar scheme: the authentication scheme before the token in ``Authorization``; empty: the token
        stands there alone
    :ivar body: what its request must hold; None: it has none
    """

    method: str = "POST"
    path: Path_
    answer: Json
    scheme: Annotated[str, Field(pattern=_SCHEME)] = "Bearer"
    given_body: Body | None = Field(default=None, alias="body")

    @property
    def body(self) -> Body:
        """:raises NotPromised: a request has none"""
        return promised(self.given_body, "body for its resource")


class Basic(Part):
    """The route that demands Basic credentials (RFC 7617).

    :ivar realm: what its challenge calls it
    :ivar answer: the body that the right ones get, as text
    """

    method: str = "GET"
    path: Path_
    realm: str
    answer: str


class Refusals(Part):
    """The status that refuses, for each kind of refusal; the source documents differ.

    :ivar missing: no credentials at all
    :ivar token: a token that is malformed, forged or expired
    :ivar password: a wrong password, or a user that there is not
    :ivar malformed: a body that is no sound JSON, lacks a field or has one of another kind; 400 is
        in order, too, as the general one (RFC 9110 section 15.5)
    :ivar method: another method at the login. 405, unless a further route, which takes it, has a
        pattern that matches the login's path: then that route's own refusal is in order, too
    :ivar throttled: what a target may answer instead after many wrong passwords; None: it never
        does
    :ivar challenge: a 401 says how to come in (RFC 9110 section 15.5.2); false: nothing of that is
        promised. What Basic's says to a browser is checked all the same
    :ivar bodies: what the answer to ``missing``, ``token`` or ``password`` says, as text; one that
        is JSON is compared as JSON
    """

    missing: Status = 401
    token: Status = 401
    password: Status = 401
    malformed: Status = 400
    method: Status = 405
    throttled: Status | None = None
    challenge: bool = True
    bodies: Mapping[Literal["missing", "token", "password"], str] = {}


class Refresh(Part):
    """Trading a refresh token for new tokens (RFC 6749 section 6).

    :ivar encoding: how it travels: in a JSON object, or as ``Authorization: Bearer`` without a body
    :ivar field: the refresh token's name: in the answer to a login, in the JSON object of the
        request, and in the answer to that
    :ivar token: what a refresh token holds; None: it is opaque
    :ivar absolute_lifetime_s: seconds from the login to the end of all refreshing; None: the source
        promises none
    """

    method: str = "POST"
    path: Path_
    encoding: Literal["json", "bearer"] = "json"
    field: str = "refresh_token"
    token: Token | None = None
    absolute_lifetime_s: int | None = Field(default=None, gt=0)


class Logout(Part):
    """Ending a login, by its access token in ``Authorization``.

    :ivar statuses: of a logout that has succeeded
    :ivar store: the service of devices.yaml that keeps what was revoked; None: the target itself
    :ivar store_down: the status of every request with a token while that service is down
    :ivar survives_restart: what was revoked stays so
    """

    method: str = "POST"
    path: Path_
    statuses: tuple[Status, ...] = (200, 204)
    store: str | None = None
    store_down: Status = 503
    survives_restart: bool = True


class ApiKey(Resource):
    """The route that demands an API key.

    :ivar query: the query's field that takes the key, too; None: none does
    """

    method: str = "GET"
    scheme: Annotated[str, Field(pattern=_SCHEME)] = "Apikey"
    query: str | None = None


class Guarded(Part):
    """A route that a token opens, of which only the status matters."""

    method: str = "GET"
    path: Path_


class Whose(Part):
    """What tells whose token it is: a route, or the token itself.

    :ivar path: the route that tells it; ``method`` likewise
    :ivar field: where in that route's JSON object the user's name is
    :ivar claim: where in the token it is, if no route tells it
    """

    method: str = "GET"
    path: Path_ | None = None
    field: str = ""
    claim: str = ""

    @model_validator(mode="after")
    def _a_route_or_a_claim(self) -> Whose:
        given = tuple(map(bool, (self.path, self.field, self.claim)))
        if given not in ((True, True, False), (False, False, True)):
            raise ValueError("is a route, 'path' and 'field', or a 'claim' in the token")
        return self

    @property
    def route(self) -> Guarded | None:
        """None: the token tells it."""
        return Guarded(method=self.method, path=self.path) if self.path else None


class Roles(Part):
    """Who may what.

    :ivar claim: the token's claim with the role; None: the token has none
    :ivar basic_user: a user who may use the resource and not ``admin``
    :ivar admin_user: one who may use both
    :ivar admin: the route for admins
    :ivar refused: the status for a sound token of a user who may not (RFC 9110 section 15.5.4)
    """

    claim: str | None = "role"
    basic_user: str
    admin_user: str
    admin: Guarded
    refused: Status = 403


class Approval(Part):
    """How the user lets a waiting device in.

    :ivar path: the page that takes the user code, as a form; None: the user's way begins at
        ``start``
    :ivar start: the member of the authorization's answer with the address at which the way begins
    :ivar user_code_field: the form's field for the code
    :ivar user_field: its field for the user, where it asks for one
    :ivar password_field: its field for the password, likewise
    :ivar fill: what else the user writes into the forms on the way, by the name of the field
    """

    path: Path_ | None = None
    start: str = "verification_uri"
    user_code_field: str = "user_code"
    user_field: str | None = None
    password_field: str | None = None
    fill: Mapping[str, str] = {}


class Device(Part):
    """A device without a keyboard gets its tokens (RFC 8628).

    :ivar path: where it asks for its codes; ``method`` likewise
    :ivar token_path: where it asks for its tokens, by a form
    :ivar token_field: where the access token is in the answer to that; None: as in a login's, and
        where there is no login, ``access_token`` (RFC 6749 section 5.1)
    :ivar grant_type: the form's ``grant_type``; None: it has none
    :ivar lifetime_s: for which the codes are good, seconds; ``expires_in``
    :ivar interval_s: between two questions for tokens, seconds; ``interval``
    :ivar refused: the status while the user has not let it in, and of codes that are none
    :ivar pending_error: what ``error`` says while it waits; None: nothing is promised
    :ivar approval: how the user lets it in
    """

    method: str = "POST"
    path: Path_
    token_path: Path_
    token_field: str | None = None
    grant_type: str | None = "urn:ietf:params:oauth:grant-type:device_code"
    lifetime_s: int = Field(default=900, gt=0)
    interval_s: int = Field(default=5, gt=0)
    refused: Status = 400
    pending_error: str | None = "authorization_pending"
    approval: Approval


class Oidc(Part):
    """Logging in at another server (OpenID Connect, code flow).

    :ivar callback: where that server sends the browser back to, with ``code`` in the query
    :ivar code_path: where a client hands a code in for tokens; None: the callback does it
    """

    callback: Path_
    code_path: Path_ | None = None


class Files(Part):
    """Paths relative to the application's working directory; None: there is no such file.

    :ivar secret: the signing key
    :ivar settings: where the password is kept. None: the bench cannot write it, and takes the
        password from devices.yaml
    :ivar settings_format: ``camera`` (with features: ``camera+all``), ``plain`` or a template
        (:mod:`hil.settings_file`)
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


class Published(Part):
    """What the source document itself gives away, as a constant in its code. It is used where
    devices.yaml has nothing else in its place.

    :ivar passwords: by user
    :ivar secrets: signing keys by kind of token: ``access``, ``refresh``, those of
        ``other_tokens``
    :ivar api_key: what opens the route for API keys
    """

    passwords: Mapping[str, Hidden] = {}
    secrets: Mapping[str, Hidden] = {}
    api_key: Hidden | None = None


class Known(Part):
    """A deviation that the target's makers have declared.

    :ivar check: its id in the catalogue
    :ivar reason: why it is so, in the report beside it
    :ivar link: where it is discussed: an issue, a line of source, a document
    """

    check: str
    reason: Annotated[str, Field(pattern=r"\S")]
    link: str = ""
