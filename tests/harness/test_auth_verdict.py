"""Findings: what a reader sees when a promise is broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hil.auth import verdict
from hil.auth.raw import Answer, Outcome, request
from hil.errors import Finding

SENT = request("POST", "/api/login", body=b'{"pass": "hunter2"}')


def answer(outcome: Outcome, status: int | None, body: bytes = b"") -> Answer:
    return Answer(outcome, status, "N/A" if status else "", (), body, request=SENT)


REFUSED = answer(Outcome.REFUSED, 401)
ACCEPTED = answer(Outcome.ACCEPTED, 200, b'{"token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.c2ln"}')


def test_a_promise_kept_says_nothing() -> None:
    verdict.refused(REFUSED, "x", status={401})
    verdict.accepted(ACCEPTED, "x")
    verdict.refused_all({"a": REFUSED, "b": REFUSED}, "x", status={400, 401})
    verdict.accepted_all({"a": ACCEPTED}, "x")


@pytest.mark.parametrize(
    ("got", "told"),
    [
        (ACCEPTED, "a hole"),
        (answer(Outcome.SERVER_ERROR, 500), "5xx"),
        (answer(Outcome.NO_ANSWER, None), "no answer"),
        (answer(Outcome.RESET, None), "reset"),
        (answer(Outcome.NOT_HTTP, None), "no HTTP"),
        (answer(Outcome.REFUSED, 403), "refused, but not as promised"),
    ],
)
def test_the_kinds_of_failure_are_told_apart(got: Answer, told: str) -> None:
    with pytest.raises(Finding) as caught:
        verdict.refused(got, "a wrong password gets no token", status={401})
    first_line, sent, came = str(caught.value).splitlines()
    assert told in first_line
    assert "promised: a wrong password gets no token (401)" in first_line
    assert "sent POST /api/login" in sent
    assert came.strip().startswith(f"got {got.outcome.value}")


def test_no_secret_is_in_a_finding() -> None:
    with pytest.raises(Finding) as caught:
        verdict.refused(ACCEPTED, "x", status={401})
    assert "hunter2" not in str(caught.value)
    assert "eyJ" not in str(caught.value)


def test_the_worst_of_several_is_named_and_the_sound_ones_are_not() -> None:
    answers = {"sound": REFUSED, "slow": answer(Outcome.SERVER_ERROR, 500), "hole": ACCEPTED}
    with pytest.raises(Finding) as caught:
        verdict.refused_all(answers, "x", status={401})
    text = str(caught.value)
    assert text.startswith("2 of 3 variants: accepted what must be refused")
    assert "slow: sent" in text
    assert "hole: sent" in text
    assert "sound" not in text


def test_all_of_4xx_are_told_in_one_word() -> None:
    with pytest.raises(Finding, match=r"x \(200 or 4xx\)\n"):
        verdict.refused(answer(Outcome.SERVER_ERROR, 500), "x", status={200, *range(400, 500)})


def test_a_finding_stays_on_a_screen() -> None:
    with pytest.raises(Finding) as caught:
        verdict.refused_all({str(i): ACCEPTED for i in range(100)}, "x", status={401})
    assert len(str(caught.value).splitlines()) < 15


def test_a_refusal_of_a_sound_request_is_told() -> None:
    with pytest.raises(Finding, match="refused what must be accepted"):
        verdict.accepted(REFUSED, "x")


def test_a_sound_answer_says_what_it_should() -> None:
    sound = answer(Outcome.ACCEPTED, 200, b'{"user": "owner", "ok": true}')
    verdict.accepted(sound, "x", json={"ok": True, "user": "owner"})
    with pytest.raises(Finding, match="another answer; promised: x gets"):
        verdict.accepted(sound, "x", json={"ok": True})
    with pytest.raises(Finding, match="another answer"):
        verdict.accepted(answer(Outcome.ACCEPTED, 200, b"hi"), "x", json={"ok": True})


def test_a_refusal_says_what_it_should() -> None:
    refusal = answer(Outcome.REFUSED, 400, b'{"message":"no"}')
    verdict.says(refusal, "x", None)
    verdict.says(refusal, "x", '{"message": "no"}')
    for other in ('{"message": "No"}', "no", "null"):
        with pytest.raises(Finding, match="another answer; promised: x gets"):
            verdict.says(refusal, "x", other)
    verdict.says(answer(Outcome.REFUSED, 401, b"Unauthorized Access"), "x", "Unauthorized Access")
    with pytest.raises(Finding, match="another answer"):
        verdict.says(answer(Outcome.REFUSED, 401, b"Unauthorized"), "x", "Unauthorized Access")


class Replies:
    """A client that gives these answers, one after the other."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)

    def send(self, _: bytes) -> Answer:
        return self.answers.pop(0)


def controlled(*answers: Answer) -> Iterator[None]:
    client = Replies(*answers)
    return verdict.controlled(client, lambda: SENT, lambda got: verdict.accepted(got, "x"))  # type: ignore[arg-type]


def test_a_control_is_made_before_and_after() -> None:
    control = controlled(ACCEPTED, ACCEPTED)
    next(control)
    with pytest.raises(StopIteration):
        next(control)


def test_a_control_that_fails_is_told_with_its_moment() -> None:
    with pytest.raises(Finding, match="control just before the check"):
        next(controlled(REFUSED))
    control = controlled(ACCEPTED, REFUSED)
    next(control)
    with pytest.raises(Finding, match="control just after the check"):
        next(control)


def test_who_lets_everybody_in_fails_the_control() -> None:
    """Otherwise every check that expects acceptance would pass."""
    client = Replies(ACCEPTED, ACCEPTED)
    with pytest.raises(Finding, match="no credentials, no entry"):
        next(verdict.controlled(client, lambda: SENT, unsound=lambda: SENT))  # type: ignore[arg-type]
    sound = verdict.controlled(
        Replies(ACCEPTED, REFUSED, ACCEPTED),  # type: ignore[arg-type]
        lambda: SENT,
        unsound=lambda: SENT,
    )
    next(sound)
    with pytest.raises(StopIteration):
        next(sound)


def test_answers_are_compared_in_all_but_the_time_of_day() -> None:
    first = replace(REFUSED, headers=(("Date", "noon"), ("A", "1")), body=b"no")
    same = replace(first, headers=(("a", "1"), ("date", "midnight")))
    verdict.indistinguishable({"one": first, "another": same}, "alike")
    for changed in (replace(same, body=b"no!"), replace(same, headers=(("a", "2"),))):
        with pytest.raises(Finding, match="another gets another answer"):
            verdict.indistinguishable({"one": first, "another": changed}, "alike")
