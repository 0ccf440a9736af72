"""Requests and answers as they may be shown: without passwords, keys and tokens.

Built into the ``repr`` of :class:`hil.auth.raw.Request` and :class:`hil.auth.raw.Answer`, so that
no assertion message and no ``--showlocals`` tells a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ..secrets import SecretStr

HIDDEN_FIELDS = ("pass", "password", "passwd", "secret", "token", "access_token", "refresh_token")
"""Fields of JSON and form bodies whose text is hidden; a profile adds its own names."""

SHOWN = 240
"""Characters of a body that are shown: enough for an error text, little enough for a screen."""

_ANYWHERE = 4
"""Characters from which on a secret is hidden inside of words, too."""

_LONGEST = 4096
"""Characters of a secret, at most."""

# A line of which some is left out for the redaction, and what stands at its end then.
_LONG = re.compile(rf"([^\r\n]{{{4 * _LONGEST}}})[^\r\n]+")
_CUT = "\ue000"

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
    forms = _forms(secrets)
    if forms is None or not forms.perhaps_in(text):
        return text

    def told(match: re.Match[str]) -> str:
        return f"<secret: {forms.lengths[(match.lastindex or 1) - 1]} chars>"

    return forms.pattern.sub(told, text)


@dataclass(frozen=True)
class _Forms:
    """The forms in which some secrets may be written.

    :ivar pattern: any of them, with a group for each
    :ivar lengths: how long the secret is, for each group
    :ivar low: those that are ASCII, in lower case
    :ivar others: any of the others; None: there is none
    """

    pattern: re.Pattern[str]
    lengths: list[int]
    low: tuple[str, ...]
    others: re.Pattern[str] | None

    def perhaps_in(self, text: str) -> bool:
        """False: the pattern would find nothing. Most texts hold no secret, and to look for each
        takes microseconds; the pattern tries all of them at each character, milliseconds."""
        low = _low(text)
        return any(form in low for form in self.low) or bool(
            self.others and not text.isascii() and self.others.search(text)
        )


# Beyond ASCII, these are an ASCII letter for a pattern that ignores case.
_AS_ASCII = str.maketrans({"\u0130": "i", "\u0131": "i", "\u017f": "s", "\u212a": "k"})


def _low(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_AS_ASCII).lower()


@lru_cache(maxsize=64)
def _forms(secrets: tuple[str, ...]) -> _Forms | None:
    lengths = {
        form: len(secret)
        for secret in secrets
        if len(secret) > 1
        for form in (secret, *(json.dumps(secret, ensure_ascii=a)[1:-1] for a in (True, False)))
    }
    if not lengths:
        return None
    forms = sorted(lengths, key=len, reverse=True)
    low = {form: _low(form) for form in forms}
    others = [re.escape(form) for form in forms if not low[form].isascii()]
    # All in one pass: a secret may be a word of what stands for another one.
    pattern = "|".join(f"({_pattern(form, alone=lengths[form] < _ANYWHERE)})" for form in forms)
    return _Forms(
        re.compile(pattern, re.IGNORECASE),
        [lengths[form] for form in forms],
        tuple(one for one in low.values() if one.isascii()),
        re.compile("|".join(others), re.IGNORECASE) if others else None,
    )


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
    lines = _shortly(text, names) or _redacted(text, names)
    return [
        "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line[:SHOWN])
        + ("…" if len(line) > SHOWN else "")
        for line in lines
    ]


def _redacted(text: str, names: tuple[str, ...]) -> list[str]:
    text = _CREDENTIALS.sub(lambda match: match["name"] + credentials(match["value"]), text)
    return re.split(r"\r?\n", fields(text, names))


def _shortly(text: str, names: tuple[str, ...]) -> list[str] | None:
    """The same of lines of megabytes, in milliseconds instead of seconds: without their ends, of
    which nothing is shown. None: a secret may have been cut in two near to what is shown, or a
    length would be told that is not the whole one."""
    if _CUT in text or not _LONG.search(text):
        return None
    text, cuts = _LONG.subn(lambda match: match[1] + _CUT, text)
    lines = _redacted(text, names)
    far_away = [line for line in lines if line.find(_CUT) > SHOWN + _LONGEST]
    return lines if len(far_away) == cuts else None
