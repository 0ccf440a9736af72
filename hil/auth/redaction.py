"""Requests and answers as they may be shown: without passwords, keys and tokens.

Built into the ``repr`` of :class:`hil.auth.raw.Request` and :class:`hil.auth.raw.Answer`, so that
no assertion message and no ``--showlocals`` tells a secret.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import quote, quote_plus

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

# Three segments as in RFC 7519 section 3; a JSON object in base64url begins with "eyJ" or "ew". In
# a repr, the "t" of a TAB stands before it. Without a limit, a body of "-eyJ-eyJ…" takes minutes.
_TOKEN = re.compile(r"(?:\b|(?<=\\[tnr]))e[yw][A-Za-z0-9_-]{6,1024}(?:\.[A-Za-z0-9_=-]*){1,4}")
_CREDENTIALS = re.compile(
    r"^(?P<name>[ \t]*(?:proxy-|x-)?(?:authorization|cookie|api-key|access-token)[ \t]*:[ \t]*)"
    r"(?P<value>[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)",
    re.IGNORECASE | re.MULTILINE,
)
# What an application prints of a request: a header field, in a dict or not; what follows a scheme.
_PRINTED_FIELD = re.compile(
    r"(?P<name>[\"']?\b(?:proxy-|x-)?(?:authorization|cookie|api-key|access-token)[\"']?"
    r"\s*[:=,]\s*(?:b(?=[\"']))?)"
    r"(?:(?P<quote>[\"'])(?P<quoted>(?:(?!(?P=quote))[^\\]|\\.)*)(?:(?P=quote)|$)"
    r"|(?P<bare>[^\s\"'][^\r\n]*))",
    re.IGNORECASE,
)
_PRINTED_SCHEME = re.compile(
    r"\b(?P<scheme>basic|bearer|apikey|token)(?P<between>[ \t]+)(?P<value>[\w+/=.~-]{12,})",
    re.IGNORECASE,
)
# What may be a key: hex, base64, or a repr of bytes.
_PRINTED_KEY = re.compile(
    r"(?<![\w+/-])(?P<word>[\w+/-]{22,}={0,2})"
    r"|(?<!\w)b(?P<quote>[\"'])(?:(?!(?P=quote))[^\\]|\\.)*(?:(?P=quote)|$)"
)
_ESCAPES = 6
"""Bytes in a repr that are no text from which on it is taken for a key."""

_HIDDEN = re.compile(r"<(?:secret|token): \d+ chars>")
_SCHEMES = re.compile(r"[\s]*(?:(?:bearer|basic|digest|token|jwt|apikey)\b[:=\s]*)*", re.IGNORECASE)


def hidden(values: Mapping[str, str]) -> dict[str, SecretStr]:
    """Variants of a secret, none of which ``--showlocals`` may show either."""
    return {name: SecretStr(value) for name, value in values.items()}


def known(text: str, secrets: tuple[str, ...]) -> str:
    """Hide these secrets wherever they are, in any case of letters, and as JSON, URLs, HTML and
    MicroPython's ``print`` write them.

    Two or three characters are hidden where they stand alone, and a single one nowhere: it would
    be hidden in every word, and whoever wants it tries all there are. ROT-10 gives such a key.
    """
    low = _low(text)
    # By far most texts have none of them, and a search for each is much faster than one for all.
    found = tuple((form, length) for folded, form, length in _all_forms(secrets) if folded in low)
    if not found:
        return text
    return _any_of(found).sub(
        lambda match: f"<secret: {found[(match.lastindex or 1) - 1][1]} chars>", text
    )


@lru_cache(maxsize=64)
def _all_forms(secrets: tuple[str, ...]) -> list[tuple[str, str, int]]:
    """Each form of each secret, with its cases folded and as it is, and how long that secret is.
    The longest form first."""
    lengths = {
        form: len(secret) for secret in secrets if len(secret) > 1 for form in _forms(secret)
    }
    forms = ((_low(form), form, length) for form, length in lengths.items())
    return sorted(forms, key=lambda one: len(one[1]), reverse=True)


@lru_cache(maxsize=64)
def _any_of(forms: tuple[tuple[str, int], ...]) -> re.Pattern[str]:
    """A group for each; all in one pass: a secret may be a word of what stands for another one."""
    pattern = "|".join(f"({_pattern(form, alone=length < _ANYWHERE)})" for form, length in forms)
    return re.compile(pattern, re.IGNORECASE)


# Beyond ASCII, these are an ASCII letter for a pattern that ignores case.
_AS_ASCII = str.maketrans({"\u0130": "i", "\u0131": "i", "\u017f": "s", "\u212a": "k"})


def _low(text: str) -> str:
    """Alike where a pattern that ignores case takes them for alike."""
    return text.lower() if text.isascii() else text.translate(_AS_ASCII).casefold()


@lru_cache(maxsize=1024)
def _forms(secret: str) -> set[str]:
    """How it is written; most secrets are written the same way everywhere."""
    text = str(secret)
    plain = {text, *(json.dumps(text, ensure_ascii=a)[1:-1] for a in (True, False))}
    shown = {
        shown[1 + len(before) : -1]
        for form in plain
        # A quotation mark before it makes the apostrophes in it be escaped.
        for before in ("", '"')
        for shown in (repr(before + form), ascii(before + form), repr(_utf8(before + form))[1:])
    }
    return {
        *plain,
        *shown,
        quote(text, "", errors="replace"),
        quote_plus(text, "", errors="replace"),
        html.escape(text),
    }


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _pattern(form: str, *, alone: bool) -> str:
    return rf"(?<!\w){re.escape(form)}(?!\w)" if alone else re.escape(form)


def credentials(value: str) -> str:
    """``Bearer eyJ…`` -> ``'Bearer ' + <97 chars>``: the scheme is the point of many checks."""
    matched = _SCHEMES.match(value)
    scheme = matched[0] if matched else ""
    rest = len(value) - len(scheme)
    return f"{scheme!r} + <{rest} chars>" if rest else repr(scheme)


def fields(text: str, names: tuple[str, ...] = HIDDEN_FIELDS) -> str:
    """Hide the text of these fields, in JSON, in form encoding and in a repr of a dict, and all
    that is like a token."""
    in_json, in_form, in_html = _any_field(names)

    def hide_json(match: re.Match[str]) -> str:
        inside = len(match["value"]) - 2
        if inside <= 0 or _HIDDEN.fullmatch(match["value"][1:-1]):
            return match[0]
        return f"{match['key']}<{inside} chars>"

    # An unterminated string (malformed on purpose) is hidden up to the end.
    text = in_json.sub(hide_json, text)
    for pattern in (in_form, in_html):
        text = pattern.sub(lambda match: f"{match['key']}<{len(match['value'])} chars>", text)
    return _TOKEN.sub(lambda match: f"<token: {len(match[0])} chars>", text)


@lru_cache(maxsize=64)
def _any_field(names: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Such a field with its text, in JSON or a repr, in form encoding, and in an HTML form."""
    any_name = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return (
        re.compile(
            rf"(?P<key>(?P<q>[\"'])(?:{any_name})(?P=q)\s*:\s*[bu]?)"
            r"(?P<value>(?P<quote>[\"'])(?:(?!(?P=quote))[^\\]|\\.)*(?:(?P=quote)|$))",
            re.IGNORECASE | re.DOTALL,
        ),
        re.compile(rf"(?P<key>\b(?:{any_name})=)(?P<value>[^&\s\"]+)", re.IGNORECASE),
        re.compile(
            rf"(?P<key>\bname=[\"']?(?:{any_name})\b[^<>]{{0,200}}?\bvalue=[\"']?)"
            r"(?P<value>[^\s\"'>]+)",
            re.IGNORECASE,
        ),
    )


def printed(line: str) -> str:
    """What an application has printed, without what looks like credentials or a key: a board may
    print its key before the bench has read it, and a request that no check has sent."""

    def hide_field(match: re.Match[str]) -> str:
        value = match["bare"] if match["bare"] is not None else match["quoted"]
        if _HIDDEN.fullmatch(_SCHEMES.sub("", value, count=1)):
            return match[0]
        return match["name"] + credentials(value)

    def hide_scheme(match: re.Match[str]) -> str:
        return f"{match['scheme']}{match['between']}<{len(match['value'])} chars>"

    line = _PRINTED_FIELD.sub(hide_field, line)
    line = _PRINTED_SCHEME.sub(hide_scheme, line)
    return _PRINTED_KEY.sub(_hide_key, line)


def _hide_key(match: re.Match[str]) -> str:
    word = match["word"]
    if word is None:
        key = match[0].count("\\x") >= _ESCAPES
    elif re.fullmatch("[0-9a-fA-F]+", word):
        key = len(word) >= 32  # 128 bits
    else:
        key = all(re.search(some, word) for some in ("[0-9]", "[a-z]", "[A-Z]"))
    return f"<like a key: {len(match[0])} chars>" if key else match[0]


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
