"""Requests and answers as they may be shown: without passwords, keys and tokens.

Built into the ``repr`` of :class:`hil.auth.raw.Request` and :class:`hil.auth.raw.Answer`, so that
no assertion message and no ``--showlocals`` tells a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache

from ..secrets import SecretStr

HIDDEN_FIELDS = ("pass", "password", "passwd", "secret", "token", "access_token", "refresh_token")
"""Fields of JSON and form bodies whose text is hidden; a profile adds its own names."""

SHOWN = 240
"""Characters of a body that are shown: enough for an error text, little enough for a screen."""

_ANYWHERE = 4
"""Characters from which on a secret is hidden inside of words, too."""

# Three segments as in RFC 7519 section 3; a JSON object in base64url begins with "eyJ" or "ew".
_TOKEN = re.compile(r"\be[yw][A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_=-]*){1,4}")
_CREDENTIALS = re.compile(
    r"^(?P<name>[ \t]*(?:proxy-|x-)?(?:authorization|cookie|api-key|access-token)[ \t]*:[ \t]*)"
    r"(?P<value>[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)",
    re.IGNORECASE | re.MULTILINE,
)
_SCHEMES = re.compile(r"[\s]*(?:(?:bearer|basic|digest|token|jwt|apikey)\b[:=\s]*)*", re.IGNORECASE)


def hidden(values: Mapping[str, str]) -> dict[str, SecretStr]:
    """Variants of a secret, none of which ``--showlocals`` may show either."""
    return {name: SecretStr(value) for name, value in values.items()}


def known(text: str, secrets: tuple[str, ...]) -> str:
    """Hide these secrets wherever they are, in any case of letters, and as JSON writes them.

    Two or three characters are hidden where they stand alone, and a single one nowhere: it would
    be hidden in every word, and whoever wants it tries all there are. ROT-10 gives such a key.
    """
    pattern, lengths, lowered = _any_of(secrets)
    if pattern is None:
        return text
    # Most texts hold none of them. Looking for each takes microseconds, the pattern milliseconds:
    # it tries all of them at every character. Beyond ASCII letters have more than two cases.
    if lowered and text.isascii():
        low = text.lower()
        if not any(form in low for form in lowered):
            return text
    return pattern.sub(lambda match: f"<secret: {lengths[(match.lastindex or 1) - 1]} chars>", text)


@lru_cache(maxsize=64)
def _any_of(
    secrets: tuple[str, ...],
) -> tuple[re.Pattern[str] | None, list[int], tuple[str, ...]]:
    """A pattern with a group for each form of each secret, how long that secret is, and the forms
    in lower case; none of these where one is not ASCII."""
    lengths = {
        form: len(secret)
        for secret in secrets
        if len(secret) > 1
        for form in (secret, *(json.dumps(secret, ensure_ascii=a)[1:-1] for a in (True, False)))
    }
    if not lengths:
        return None, [], ()
    forms = sorted(lengths, key=len, reverse=True)
    # All in one pass: a secret may be a word of what stands for another one.
    pattern = "|".join(f"({_pattern(form, alone=lengths[form] < _ANYWHERE)})" for form in forms)
    lowered = tuple(form.lower() for form in forms) if all(map(str.isascii, forms)) else ()
    return re.compile(pattern, re.IGNORECASE), [lengths[form] for form in forms], lowered


def _pattern(form: str, *, alone: bool) -> str:
    return rf"(?<!\w){re.escape(form)}(?!\w)" if alone else re.escape(form)


def credentials(value: str) -> str:
    """``Bearer eyJ…`` -> ``'Bearer ' + <97 chars>``: the scheme is the point of many checks."""
    matched = _SCHEMES.match(value)
    scheme = matched[0] if matched else ""
    rest = len(value) - len(scheme)
    return f"{scheme!r} + <{rest} chars>" if rest else repr(scheme)


def fields(text: str, names: tuple[str, ...] = HIDDEN_FIELDS) -> str:
    """Hide the text of these fields, in JSON and in form encoding, and everything like a token."""
    in_json, in_form = _any_field(names)

    def hide_json(match: re.Match[str]) -> str:
        return (
            f"{match['key']}<{len(match['value']) - 2} chars>"
            if len(match["value"]) > 2
            else (match[0])
        )

    # An unterminated string (malformed on purpose) is hidden up to the end.
    text = in_json.sub(hide_json, text)
    text = in_form.sub(lambda match: f"{match['key']}<{len(match['value'])} chars>", text)
    return _TOKEN.sub(lambda match: f"<token: {len(match[0])} chars>", text)


@lru_cache(maxsize=64)
def _any_field(names: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Such a field with its text, in JSON and in form encoding."""
    any_name = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return (
        re.compile(
            rf'(?P<key>"(?:{any_name})"\s*:\s*)(?P<value>"(?:[^"\\]|\\.)*(?:"|$))',
            re.IGNORECASE | re.DOTALL,
        ),
        re.compile(rf"(?P<key>\b(?:{any_name})=)(?P<value>[^&\s\"]+)", re.IGNORECASE),
    )


def body(data: bytes, names: tuple[str, ...] = HIDDEN_FIELDS) -> str:
    """A body in one line, shortened. What is not plain text is told by its length only."""
    if not data:
        return ""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"<{len(data)} bytes that are not UTF-8>"
    if "\0" in text and "\\" not in text:
        return f"<{len(data)} bytes with NUL>"
    text = fields(text, names)
    more = f"… ({len(data)} bytes)" if len(text) > SHOWN else ""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:SHOWN]) + more


def head(data: bytes, names: tuple[str, ...] = HIDDEN_FIELDS) -> list[str]:
    """The request line and the header lines, one string each, shortened."""
    text = data.decode("utf-8", "backslashreplace")
    text = _CREDENTIALS.sub(lambda match: match["name"] + credentials(match["value"]), text)
    lines = re.split(r"\r?\n", fields(text, names))
    return [
        "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line[:SHOWN])
        + ("…" if len(line) > SHOWN else "")
        for line in lines
    ]
