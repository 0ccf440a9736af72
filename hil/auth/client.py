"""The documented routes as a well-behaved client uses them, and the same requests as raw bytes.

``login``, ``resource`` and ``basic`` go through httpx, one connection a request, as microdot serves
them. ``compose_*`` build the bytes of the same requests, with one thing changed: what the checks
send through :class:`hil.auth.raw.RawClient`.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from ..deadline import Deadline
from ..errors import BoardError, Finding
from ..secrets import SecretStr
from .answer import Answer, outcome
from .raw import Header, RawClient, Request, request

if TYPE_CHECKING:
    import httpx

    from .profile import Profile

# How long to wait before asking again whether the application answers, seconds. Nothing announces
# that: a refused connection is all there is to see. An embedded board boots in about 300 ms.
_ASK_AGAIN_S = 0.01

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
UNSET: Any = object()
"""Leave it out; None is a value that can be sent."""


@dataclass(frozen=True)
class Credentials:
    """A user name and its password."""

    user: str
    password: SecretStr

    def with_password(self, password: SecretStr) -> Credentials:
        return replace(self, password=password)

    @property
    def basic(self) -> SecretStr:
        """Base64 of ``user:password`` (RFC 7617 section 2)."""
        return basic(self.user, self.password)


def basic(user: str | bytes, password: str | bytes) -> SecretStr:
    """The credentials of an ``Authorization: Basic`` field."""
    parts = [part.encode() if isinstance(part, str) else part for part in (user, password)]
    return SecretStr(base64.b64encode(b":".join(parts)).decode("ascii"))


class Api:
    """One target's routes.

    :param base_url: ``http://ADDRESS:PORT``
    :param timeout: seconds for one request
    :param observe: is told every answer
    :ivar credentials: what ``login`` and ``basic`` use unless told otherwise; may be replaced
    :ivar others: the passwords of other users
    :ivar api_key: None: the bench knows none
    :ivar hidden: further secrets that no request and no answer shows
    """

    def __init__(
        self,
        base_url: str,
        profile: Profile,
        credentials: Credentials,
        timeout: float = 10.0,
        *,
        observe: Callable[[Answer], None] | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.profile = profile
        self.credentials = credentials
        self.timeout = timeout
        self.observe = observe
        self.others: Mapping[str, SecretStr] = {}
        self.api_key: SecretStr | None = None
        self.hidden: Collection[SecretStr] = ()
        self._host = urlsplit(self.base_url).netloc
        self._client: httpx.Client | None = None

    def __repr__(self) -> str:
        return f"Api({self.base_url})"

    def of(self, user: str) -> Api:
        """The same routes for another user.

        :raises Unavailable: the bench has no password of theirs
        """
        from ..errors import Unavailable

        known = {self.credentials.user: self.credentials.password, **self.others}
        if user not in known:
            raise Unavailable(f"the bench has no password of the user {user!r}")
        other = Api(
            self.base_url,
            self.profile,
            Credentials(user, known[user]),
            self.timeout,
            observe=self.observe,
        )
        other.others, other.api_key, other.hidden = known, self.api_key, self.hidden
        return other

    # -- as a client would -------------------------------------------------------------------

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request on a connection of its own. ``options`` are httpx's.

        :raises Finding: no answer came, or nothing that is HTTP: a sound request gets one
        """
        import httpx

        if self._client is None:
            # A bench's HTTP_PROXY must not stand between it and its boards. A camera
            # signs its certificate itself: the raw client does not verify it either.
            self._client = httpx.Client(
                transport=httpx.HTTPTransport(
                    verify=False,
                    limits=httpx.Limits(max_keepalive_connections=0),
                ),
                timeout=self.timeout,
                trust_env=False,
            )
        sent_at = time.time()
        try:
            response = self._client.request(method, self.base_url + path, **options)
        except httpx.TransportError as error:
            raise Finding(
                f"promised: an answer to {method} {path}\n"
                f"got: none from {self.base_url} within {self.timeout:.0f} s"
                f" ({type(error).__name__})"
            ) from None
        if self.observe:
            self.observe(replace(self._answer(response), sent_at=sent_at))
        return response

    def _answer(self, response: httpx.Response) -> Answer:
        """The same as the raw client would tell it."""
        sent = response.request
        return Answer(
            outcome(response.status_code),
            response.status_code,
            response.reason_phrase,
            tuple(response.headers.multi_items()),
            response.content,
            request=self.compose(
                sent.method,
                sent.url.raw_path.decode(),
                [(k.decode(), v) for k, v in sent.headers.raw],
                sent.content,
            ),
            took_s=response.elapsed.total_seconds(),
        )

    def login(self, *, user: Any = UNSET, password: Any = UNSET) -> httpx.Response:
        """Trade the password for a token."""
        login = self.profile.login
        fields = self._fields(user, password)
        if login.encoding == "json":
            return self.request(login.method, login.path, json=fields)
        if login.encoding == "form":
            return self.request(login.method, login.path, data=fields)
        user, password = (str(fields[name]) for name in (login.user_field, login.password_field))
        return self.request(login.method, login.path, auth=(user.encode(), password.encode()))

    def token(self, field: str | None = None) -> SecretStr:
        """A fresh token.

        :param field: of the login's answer; None: the profile's for access tokens
        :raises Finding: the target gives none for the right password
        """
        response = self.login()
        field = field or self.profile.login.token_field
        try:
            token = response.json()[field] if response.status_code == 200 else None
        except (ValueError, KeyError, TypeError):
            token = None
        if not isinstance(token, str):
            raise Finding(
                f"promised: the right password gets a token\n"
                f"got: {response.status_code} and no text in the field {field!r}"
            )
        return SecretStr(token)

    def authorization(self, token: str) -> SecretStr:
        """What stands in ``Authorization`` for this token: ``Bearer TOKEN``, where that is the
        profile's scheme."""
        return SecretStr(f"{self.profile.resource.scheme} {token}".lstrip(" "))

    def resource(
        self, token: str | None = None, *, json: Any = UNSET, headers: Any = None
    ) -> httpx.Response:
        """Use a token; None: a fresh one."""
        resource = self.profile.resource
        body = resource.given_body.sound if resource.given_body else None
        shown = self.authorization(self.token() if token is None else token)
        return self.request(
            resource.method,
            resource.path,
            json=body if json is UNSET else json,
            headers={"Authorization": shown, **(headers or {})},
        )

    def basic(self, credentials: Credentials | None = None) -> httpx.Response:
        """Use Basic credentials; None: the right ones."""
        route = self.profile.basic
        sent = credentials or self.credentials
        auth = (sent.user.encode(), sent.password.encode())
        return self.request(route.method, route.path, auth=auth)

    def alive(
        self,
        deadline: Deadline,
        *,
        path: str | None = None,
        given_up: Callable[[], bool] = lambda: False,
    ) -> bool:
        """True as soon as the application answers: any status that is not 5xx. False: too late.

        :param path: what is asked for; None: a route of the profile
        :param given_up: asked between two tries whether there is nobody any more to answer
        """
        while not deadline.expired and not given_up():
            answer = self.ask(path, max(0.05, deadline.sooner(2.0).remaining()))
            if answer.status is not None and answer.status < 500:
                return True
            time.sleep(min(_ASK_AGAIN_S, deadline.remaining()))
        return False

    def ask(self, path: str | None = None, timeout: float = 2.0) -> Answer:
        """What a GET without credentials gets; nobody is told of it.

        :param path: None: a route of the profile
        :param timeout: seconds
        """
        part = self.profile.given_basic or self.profile.given_resource
        probe = self.compose("GET", path or (part.path if part else "/"))
        return RawClient.to(self.base_url, timeout).send(probe)

    def wait_alive(self, deadline: Deadline) -> None:
        """:raises BoardError: the application does not answer in time"""
        if not self.alive(deadline):
            raise BoardError(f"no answer at {self.base_url} within the time for a boot")

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    # -- the same requests as bytes ------------------------------------------------------------

    def compose(
        self, method: str, target: str, headers: Iterable[Header] = (), body: bytes = b""
    ) -> Request:
        """Any request to this target."""
        return request(
            method,
            target,
            headers,
            body,
            host=self._host,
            hidden=self.profile.hidden_fields,
            secrets=(
                self.credentials.password,
                *self.others.values(),
                *([self.api_key] if self.api_key else []),
                *self.hidden,
            ),
        )

    def compose_login(
        self,
        *,
        user: Any = UNSET,
        password: Any = UNSET,
        more: Mapping[str, str | int] | None = None,
        body: Any = UNSET,
        content_type: str | None = UNSET,
        method: str | None = None,
        target: str | None = None,
        headers: Iterable[Header] = (),
    ) -> Request:
        """A login, sound but for what is given.

        :param user: another JSON value; likewise ``password``; ``...`` leaves the field out
        :param more: further fields beside those two; none by Basic, nor with ``body``
        :param body: bytes as they are, or a JSON value; ``b""``: none
        :param content_type: None: none
        :raises NotPromised: a body or a media type is given, and the login is not JSON; or a value
            that no form can hold
        """
        login = self.profile.login
        if body not in (UNSET, b"") or content_type not in (UNSET, None):
            login = self.profile.json_login
        sent = list(headers)
        if body is not UNSET or login.encoding == "json":
            kind = JSON if content_type is UNSET else content_type
            data = {**(more or {}), **self._fields(user, password)} if body is UNSET else body
        else:
            fields = _texts(self._fields(user, password), login.encoding)
            if login.encoding == "basic":
                pair = [fields.get(name, "") for name in (login.user_field, login.password_field)]
                sent.append(("Authorization", f"Basic {basic(*pair)}"))
                kind, data = None, b""
            else:
                kind = FORM if content_type is UNSET else content_type
                data = urlencode({**(more or {}), **fields}).encode()
        return self.compose(method or login.method, target or login.path, *_sent(data, kind, sent))

    def compose_resource(
        self,
        authorization: str | bytes | None = None,
        *,
        token: str | None = None,
        body: Any = UNSET,
        content_type: str | None = JSON,
        method: str | None = None,
        target: str | None = None,
        headers: Iterable[Header] = (),
    ) -> Request:
        """A request for the resource, sound but for what is given; with neither of the first two
        without credentials.

        :param authorization: the whole value of the field
        :param token: short for its :meth:`authorization`
        :raises NotPromised: a body is given, and the resource takes none
        """
        resource = self.profile.resource
        if token is not None:
            authorization = self.authorization(token)
        fields: list[Header] = [] if authorization is None else [("Authorization", authorization)]
        fields += headers
        if body is UNSET and resource.given_body is None:
            return self.compose(method or resource.method, target or resource.path, fields)
        sound = resource.body.sound
        data = sound if body is UNSET else body
        return self.compose(
            method or resource.method, target or resource.path, *_sent(data, content_type, fields)
        )

    def compose_basic(
        self,
        authorization: str | bytes | None = None,
        *,
        method: str | None = None,
        headers: Iterable[Header] = (),
    ) -> Request:
        """A visit to the route for Basic; ``authorization`` is the whole value of the field."""
        route = self.profile.basic
        fields: list[Header] = []
        if authorization is not None:
            fields.append(("Authorization", authorization))
        return self.compose(method or route.method, route.path, [*fields, *headers])

    def compose_key(
        self,
        authorization: str | bytes | None = None,
        *,
        key: str | None = None,
        query: Iterable[tuple[str, str]] = (),
        headers: Iterable[Header] = (),
    ) -> Request:
        """A request for what an API key opens; with none of the arguments without credentials.

        :param authorization: the whole value of the field
        :param key: short for the profile's scheme and this key
        :param query: fields of the query, and their values
        """
        route = self.profile.api_key
        if key is not None:
            authorization = f"{route.scheme} {key}".lstrip(" ")
        fields: list[Header] = [] if authorization is None else [("Authorization", authorization)]
        fields += headers
        pairs = list(query)
        target = SecretStr(f"{route.path}?{urlencode(pairs)}" if pairs else route.path)
        if route.given_body is None:
            return self.compose(route.method, target, fields)
        return self.compose(route.method, target, *_sent(route.body.sound, JSON, fields))

    def compose_plain(self, token: str | None = None, headers: Iterable[Header] = ()) -> Request:
        """A sound request, without a body where the profile has one of that kind: what the checks
        of the transport send where it matters only that it is a request.

        :param token: None: without credentials
        """
        if self.profile.given_basic:
            shown = None if token is None else f"Basic {self.credentials.basic}"
            return self.compose_basic(shown, headers=headers)
        if self.profile.given_resource is None and self.profile.given_api_key:
            return self.compose_key(key=None if token is None else self.api_key, headers=headers)
        return self.compose_resource(token=token, headers=headers)

    def compose_bodied(
        self, token: str, body: bytes = UNSET, headers: Iterable[Header] = ()
    ) -> Request:
        """A sound request with a body, or with this one: for the resource, or, if that takes none,
        the login.

        :raises NotPromised: neither has a body
        """
        from .contract import NotPromised

        if self.profile.resource.given_body:
            return self.compose_resource(token=token, body=body, headers=headers)
        login = self.profile.login
        if login.encoding == "basic":
            raise NotPromised("its profile has no request with a body")
        sound = bytes(self.compose_login()).partition(b"\r\n\r\n")[2]
        kind = JSON if login.encoding == "json" else FORM
        fields = [("Content-Type", kind), *headers]
        return self.compose(login.method, login.path, fields, sound if body is UNSET else body)

    def _fields(self, user: Any, password: Any) -> dict[str, Any]:
        login = self.profile.login
        fields = {
            login.user_field: self.credentials.user if user is UNSET else user,
            login.password_field: self.credentials.password if password is UNSET else password,
        }
        return {name: value for name, value in fields.items() if value is not ...}


def _texts(fields: dict[str, Any], encoding: str) -> dict[str, Any]:
    """:raises NotPromised: a value is no text"""
    from .contract import NotPromised

    if not all(isinstance(value, str | bytes) for value in fields.values()):
        raise NotPromised(f"its login is no JSON, but {encoding}, which holds texts only")
    return fields


def _sent(
    data: Any, content_type: str | None, headers: Iterable[Header]
) -> tuple[list[Header], bytes]:
    """Header fields and body."""
    fields: list[Header] = list(headers)
    if content_type is not None:
        fields.append(("Content-Type", content_type))
    # In UTF-8 as it is: the escapes of JSON are what one check is about.
    body = data if isinstance(data, bytes) else json.dumps(data, ensure_ascii=False).encode()
    return fields, body
