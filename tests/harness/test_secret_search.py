"""The search for secrets finds one in whatever form it is, and nothing where none is."""

from __future__ import annotations

import base64
import gzip
import html
import json
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import secret_search
import secret_spy
from hypothesis import given
from hypothesis import strategies as st
from secret_search import PIECE, Needles

PASSWORD = 'Tr0ub4dor&3 "Ünï" <b>%20'
KEY = bytes(range(150, 182))
TOKEN = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJvd25lciIsImV4cCI6MTc5NTkzNTk1NH0."
    "Kq3vZ0hV8mWc1Yb-4RrN_xTq9oUe7LsA2dFgHjKlPzE"
)
NEEDLES = Needles({PASSWORD.encode(): "password", KEY: "key", TOKEN.encode(): "token"})
DATA = PASSWORD.encode()

FORMS = {
    "plain": DATA,
    "JSON": json.dumps({"pass": PASSWORD}).encode(),
    "JSON in UTF-8": json.dumps(PASSWORD, ensure_ascii=False).encode(),
    "JSON in a line of JSON": json.dumps(json.dumps({"pass": PASSWORD})).encode(),
    "repr": repr(PASSWORD).encode(),
    "ascii": ascii(PASSWORD).encode(),
    "repr of bytes": repr(DATA).encode(),
    "URL": quote(PASSWORD).encode(),
    "form": quote_plus(PASSWORD).encode(),
    "HTML": html.escape(PASSWORD).encode(),
    "hex": DATA.hex().encode(),
    "HEX": DATA.hex().upper().encode(),
    "Basic": base64.b64encode(b"owner:" + DATA),
    "Basic of ada": base64.b64encode(b"ada:" + DATA),
    "Basic of guest": base64.urlsafe_b64encode(b"guest:" + DATA + b"!"),
    "gzip": gzip.compress(b"a page with " + DATA),
    "a page's gzip": b'"' + base64.b64encode(gzip.compress(bytes(range(256)) + DATA)) + b'"',
    "key": KEY,
    "key as repr": repr(KEY).encode(),
    "key in hex": KEY.hex().encode(),
    "a piece of the key in hex": KEY.hex()[9 : 9 + 2 * PIECE - 1].encode(),
    "token": TOKEN.encode(),
    "its signature": TOKEN.rpartition(".")[2].encode(),
    "its payload": TOKEN.split(".")[1].encode(),
    "a piece of its signature": TOKEN[-2 * PIECE + 1 :].encode(),
    "a token as the password": base64.b64encode(b"owner:" + TOKEN.encode()),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found(form: str) -> None:
    whole = FORMS[form] if form == "gzip" else b"some text, " + FORMS[form] + b" and more"
    hits = list(NEEDLES.search("file", whole))
    assert hits
    assert PASSWORD not in repr(hits)


def test_where_none_is_none_is_found() -> None:
    header = TOKEN.partition(".")[0]
    text = f"Tr0ub4dor {header} owner <secret: 24 chars> {KEY[:3].hex()} {'0123456789abcdef' * 9}"
    assert list(NEEDLES.search("file", text.encode())) == []
    assert list(NEEDLES.search("file", Path(secret_search.__file__).read_bytes())) == []


@given(
    secret=st.binary(min_size=4, max_size=40),
    before=st.binary(max_size=5),
    after=st.binary(max_size=5),
    encode=st.sampled_from([bytes, base64.b64encode, base64.urlsafe_b64encode, bytes.hex]),
)
def test_any_secret_is_found_wherever_it_begins(
    secret: bytes, before: bytes, after: bytes, encode: object
) -> None:
    made = encode(before + secret + after)  # type: ignore[operator]
    data = made.encode() if isinstance(made, str) else made
    assert list(Needles({secret: "any"}).search("file", data))


def test_what_is_too_short_is_told() -> None:
    needles = Needles({b"abc": "key", b"abcd": "key"})
    assert needles.skipped == {b"abc"}


def test_the_spy_reads_tokens_out_of_anything() -> None:
    text = f'{{"token": "{TOKEN}"}} Bearer {TOKEN}x version 1.28.0'.encode()
    assert list(secret_spy.tokens_in(text)) == [TOKEN.encode(), f"{TOKEN}x".encode()]
    assert list(secret_spy.tokens_in(b"a" * 1_000_000)) == []
