"""Pairs of tokens: what a login gives where it gives two, and what becomes of the second.

The routes of :class:`hil.auth.client.Api` are a password's and an access token's; this one is a
refresh token's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..secrets import SecretStr
from . import verdict
from .client import JSON, UNSET
from .contract import NotPromised
from .raw import Answer, Header, RawClient, Request

if TYPE_CHECKING:
    from .client import Api


@dataclass(frozen=True)
class Grant:
    """:ivar access: the access token; ``refresh`` likewise
    :ivar answer: with which they came
    """

    access: SecretStr
    refresh: SecretStr
    answer: Answer


class Grants:
    """Pairs of tokens of one target.

    :param api: whose profile has refresh tokens
    """

    def __init__(self, api: Api, raw: RawClient) -> None:
        self._api = api
        self._raw = raw

    def login(self) -> Grant:
        """A new pair for the right password.

        :raises Finding: there is none in the answer
        """
        return self.pair(self._raw.send(self._api.compose_login()))

    def refreshed(self, token: str) -> Grant:
        """A new pair for a refresh token that is sound.

        :raises Finding: there is none in the answer
        """
        answer = self.refresh(token)
        verdict.accepted(answer, "a sound refresh token gets new tokens")
        return self.pair(answer)

    def refresh(self, token: str) -> Answer:
        """What a refresh token gets."""
        return self._raw.send(self.compose_refresh(token))

    def use(self, grant: Grant) -> Answer:
        """What its access token gets at the resource."""
        return self._raw.send(self._api.compose_resource(token=grant.access))

    def compose_refresh(
        self, token: Any = UNSET, *, body: Any = UNSET, headers: Iterable[Header] = ()
    ) -> Request:
        """A request for new tokens.

        :param token: the refresh token, or any other JSON value in its place; not given: no field
        :param body: bytes, or a JSON value, in place of the object with the token
        :raises NotPromised: the token is no text, or a body is given, and the profile has it in
            ``Authorization``
        """
        refresh = self._api.profile.refresh
        if refresh.encoding == "bearer":
            if not (token is UNSET or isinstance(token, str)) or body is not UNSET:
                raise NotPromised("it takes refresh tokens in 'Authorization', which holds texts")
            shown = [] if token is UNSET else [("Authorization", SecretStr(f"Bearer {token}"))]
            return self._api.compose(refresh.method, refresh.path, [*shown, *headers])
        data = ({} if token is UNSET else {refresh.field: token}) if body is UNSET else body
        content = data if isinstance(data, bytes) else json.dumps(data).encode()
        fields: list[Header] = [("Content-Type", JSON), *headers]
        return self._api.compose(refresh.method, refresh.path, fields, content)

    def pair(self, answer: Answer) -> Grant:
        """Both tokens of an answer. :raises Finding: they are not there"""
        profile = self._api.profile
        access = verdict.token_in(answer, profile.login.token_field)
        return Grant(access, verdict.token_in(answer, profile.refresh.field), answer)
