"""The device code grant (RFC 8628), seen from both sides: the device that asks, and the user who
lets it in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

from ..errors import Finding
from ..secrets import SecretStr
from . import verdict
from .client import FORM
from .forms import Form, forms
from .raw import Answer, Header, RawClient, Request

if TYPE_CHECKING:
    import httpx

    from .client import Api

_STEPS = 12
"""Pages and redirections between the first address and the form for the code: a login and a consent
at a provider are six."""


@dataclass(frozen=True)
class Waiting:
    """A device that has its codes and waits for its user.

    :ivar answer: with which they came
    """

    device_code: SecretStr
    user_code: SecretStr
    answer: Answer


class DeviceFlow:
    """The routes of one target's device code grant."""

    def __init__(self, api: Api, raw: RawClient) -> None:
        self._api = api
        self._raw = raw
        self._device = api.profile.device

    def compose_start(self) -> Request:
        """A device asks for its codes (section 3.1)."""
        device = self._device
        return self._api.compose(device.method, device.path, [("Content-Type", FORM)], b"")

    def start(self) -> Waiting:
        """:raises Finding: it gets none"""
        answer = self._raw.send(self.compose_start())
        verdict.accepted(answer, "a device gets its codes")
        device, user = (verdict.text_in(answer, name) for name in ("device_code", "user_code"))
        return Waiting(device, user, answer)

    def compose_poll(self, device_code: str | None = None, **more: str) -> Request:
        """A device asks for its tokens (section 3.4); None: without its code."""
        fields = {"grant_type": self._device.grant_type, "device_code": device_code, **more}
        body = urlencode({name: value for name, value in fields.items() if value is not None})
        return self._api.compose(
            "POST", self._device.token_path, [("Content-Type", FORM)], body.encode()
        )

    def poll(self, waiting: Waiting) -> Answer:
        """What the device gets now."""
        return self._raw.send(self.compose_poll(waiting.device_code))

    def approve(
        self, waiting: Waiting, user_code: str | None = None, *, password: str | None = None
    ) -> Answer:
        """The user goes the way to the page for the code, logs in, and writes it there.

        :param user_code: another code than the device shows
        :param password: another one than the user's
        :returns: the answer to the form with the code
        :raises Finding: the way does not lead to such a page
        """
        wanted = self._wanted(user_code or waiting.user_code, password)
        path = self._device.approval.path
        if path is not None:
            return self._raw.send(self._compose_form(path, wanted))
        with _browser() as browser:
            page, form = self._page_for_the_code(browser, waiting, wanted)
            target = urljoin(str(page.url), form.action)
            cookies = browser.build_request("POST", target).headers.get("Cookie")
            shown: list[Header] = [("Cookie", SecretStr(cookies))] if cookies else []
            return self._raw.send(self._compose_form(target, form.filled(wanted), shown))

    def approve_without_login(self, waiting: Waiting) -> Answer:
        """Whoever has seen the code sends it where the user would: alone, without user, password,
        cookies, and what else the way to the page would have given them.

        :raises Finding: no way leads to such a page
        """
        field = self._device.approval.user_code_field
        target = self._device.approval.path
        if target is None:
            with _browser() as browser:
                wanted = self._wanted(waiting.user_code)
                page, form = self._page_for_the_code(browser, waiting, wanted)
                target = urljoin(str(page.url), form.action)
        return self._raw.send(self._compose_form(target, {field: waiting.user_code}))

    def provider_code(self, waiting: Waiting) -> SecretStr:
        """The code with which the provider has sent the browser back, used by that.

        :raises Finding: the way does not lead back from a provider
        """
        with _browser() as browser:
            pages = self._pages(browser, waiting, self._wanted(waiting.user_code))
            seen = [str(page.url) for page in pages]
        for address in seen:
            code = parse_qs(urlsplit(address).query).get("code")
            if code and self._is_ours(address):
                return SecretStr(code[0])
        raise Finding(
            "promised: the provider sends the browser back with a code\n"
            f"got: the way ends at {_shown(seen[-1])}"
        )

    def _wanted(self, user_code: str, password: str | None = None) -> dict[str, str]:
        approval, credentials = self._device.approval, self._api.credentials
        wanted = {**approval.fill, approval.user_code_field: user_code}
        if approval.user_field:
            wanted[approval.user_field] = credentials.user
        if approval.password_field:
            wanted[approval.password_field] = password or credentials.password
        return wanted

    def _page_for_the_code(
        self, browser: httpx.Client, waiting: Waiting, wanted: Mapping[str, str]
    ) -> tuple[httpx.Response, Form]:
        """:raises Finding: the user's way does not lead there"""
        field = self._device.approval.user_code_field
        page = None
        for page in self._pages(browser, waiting, wanted):
            form = next((one for one in forms(page.text) if field in one.values), None)
            if form is not None:
                return page, form
        assert page is not None, "there is a first page"
        raise Finding(
            "promised: the user comes to a page for the code\n"
            f"got: the way ends at {_shown(str(page.url))} ({page.status_code})"
        )

    def _pages(
        self, browser: httpx.Client, waiting: Waiting, wanted: Mapping[str, str]
    ) -> Iterator[httpx.Response]:
        """The pages on the user's way, each first form filled in and sent, at whatever servers the
        way leads to."""
        address = verdict.text_in(waiting.answer, self._device.approval.start)
        page = _send(browser, address, {}, post=False)
        for _ in range(_STEPS):
            yield page
            found = forms(page.text)
            if not found:
                return
            target = urljoin(str(page.url), found[0].action)
            filled = found[0].filled(wanted)
            page = _send(browser, target, filled, post=found[0].method == "post")

    def _is_ours(self, address: str) -> bool:
        return urlsplit(address).netloc == urlsplit(self._api.base_url).netloc

    def _compose_form(
        self, address: str, fields: Mapping[str, str], headers: Iterable[Header] = ()
    ) -> Request:
        """:param address: a URL, or a path of the target
        :raises Finding: the form does not lead to the target
        """
        parts = urlsplit(address)
        if parts.netloc and not self._is_ours(address):
            raise Finding(
                f"promised: the form for the code leads to {self._api.base_url}\n"
                f"got: it leads to {_shown(address)}"
            )
        target = SecretStr(f"{parts.path}?{parts.query}" if parts.query else parts.path)
        body = urlencode(fields).encode()
        return self._api.compose("POST", target, [("Content-Type", FORM), *headers], body)


def _browser() -> httpx.Client:
    """It follows redirections and keeps cookies."""
    import httpx

    return httpx.Client(follow_redirects=True, trust_env=False, timeout=10.0)


def _shown(address: str) -> str:
    """Without the query: it holds codes."""
    parts = urlsplit(address)
    return f"{parts.netloc}{parts.path}"


def _send(
    browser: httpx.Client, address: str, fields: Mapping[str, str], *, post: bool
) -> httpx.Response:
    """:raises Finding: nobody answers there"""
    import httpx

    options: dict[str, Any] = {"data" if post else "params": dict(fields)} if fields else {}
    try:
        return browser.request("POST" if post else "GET", address, **options)
    except httpx.HTTPError as error:
        raise Finding(
            f"promised: the user can go to {_shown(address)}\n"
            f"got: no answer ({type(error).__name__})"
        ) from None
