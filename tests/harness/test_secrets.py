"""A secret prints as its length, wherever pytest or a log would print it."""

from __future__ import annotations

import pytest

from hil.secrets import SecretBytes, SecretStr


@pytest.mark.parametrize("shown", [repr, lambda s: f"{s!r}", lambda s: repr([s]), ascii])
def test_the_repr_of_a_secret_does_not_show_it(shown) -> None:  # type: ignore[no-untyped-def]
    assert "hunter2" not in shown(SecretStr("hunter2"))
    assert "hunter2" not in shown(SecretBytes(b"hunter2"))


@pytest.mark.parametrize(
    "failing",
    [
        'SecretStr("hunter" + "2") == SecretStr("correct" + "horse")',
        'SecretStr("hunter" + "2") == "".join(["correct", "horse"]) [:3]',
        'SecretBytes(b"hunter" + b"2") == SecretBytes(b"correct" + b"horse")',
        '[SecretStr("hunter" + "2")] == [SecretStr("correct" + "horse")]',
        '{"a": SecretStr("hunter" + "2")} == {"a": SecretStr("correct" + "horse")}',
        'SecretStr("hunter" + "2") not in "body: hunter" + "2"',
    ],
)
def test_a_failed_assertion_does_not_show_it(pytester: pytest.Pytester, failing: str) -> None:
    pytester.makepyfile(
        f"""
        from hil.secrets import SecretBytes, SecretStr
        def test_compare():
            assert {failing}
        """
    )
    result = pytester.runpytest_inprocess("--showlocals", "-vv")
    result.assert_outcomes(failed=1)
    assert "hunter2" not in result.stdout.str()
    assert "correcthorse" not in result.stdout.str()


def test_a_secret_works_as_what_it_is() -> None:
    assert SecretStr("a.b").split(".") == ["a", "b"]
    assert SecretBytes(b"key").hex() == "6b6579"
