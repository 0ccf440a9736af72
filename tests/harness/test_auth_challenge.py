"""WWW-Authenticate, as RFC 9110 section 11.6.1 writes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.auth.challenge import Challenge, challenge, challenges


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            'Basic realm="Backyard cam admin", charset="UTF-8"',
            [("basic", {"realm": "Backyard cam admin", "charset": "UTF-8"})],
        ),
        ("Bearer", [("bearer", {})]),
        ("bearer REALM=x", [("bearer", {"realm": "x"})]),
        ('Bearer realm="a", error="x"', [("bearer", {"realm": "a", "error": "x"})]),
        (
            # The RFC's own example.
            'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\""',
            [("basic", {"realm": "simple"}),
             ("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'})],
        ),
        ("Negotiate YWJj==, Basic realm=x", [("negotiate", {}), ("basic", {"realm": "x"})]),
        ('Basic realm="a, b=c"', [("basic", {"realm": "a, b=c"})]),
        ("", []),
        ('"', []),
    ],
)  # fmt: skip
def test_challenges_are_read(value: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert challenges([value]) == [Challenge(*one) for one in expected]


def test_the_scheme_is_found_on_any_line_in_any_case() -> None:
    found = challenge(["Negotiate", 'BASIC realm="x"'], "Basic")
    assert found == Challenge("basic", {"realm": "x"})
    assert challenge(["Negotiate"], "Basic") is None


@given(st.text(alphabet='Basic realm="x",=\\ \t', max_size=60))
def test_nothing_makes_it_raise_or_hang(value: str) -> None:
    challenges([value])
