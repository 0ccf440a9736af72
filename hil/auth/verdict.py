"""Verdicts: what a check says when a promise is broken.

A finding keeps apart *accepted* (a hole), *5xx* (not robust), *no answer* and *reset* (not
available), and tells what was promised, what was sent (redacted) and what came back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NoReturn

from ..errors import Finding
from .raw import Answer, Outcome, RawClient, Request

_SHOWN = 4

_MEANING = {
    Outcome.ACCEPTED: "accepted what must be refused: a hole",
    Outcome.SERVER_ERROR: "5xx: the application failed on what a client may send",
    Outcome.NO_ANSWER: "no answer: the application hangs, or is down",
    Outcome.RESET: "reset without an answer: the application gave up on the connection",
    Outcome.NOT_HTTP: "what came back is no HTTP answer",
    Outcome.REDIRECTED: "neither accepted nor refused",
    Outcome.REFUSED: "refused, but not as promised",
}


def probe(client: RawClient, variants: Mapping[str, Request]) -> dict[str, Answer]:
    """Send independent requests, several at once; the answers under the same names."""
    return dict(zip(variants, client.send_all(variants.values()), strict=True))


def refused(answer: Answer, promise: str, *, status: Collection[int]) -> None:
    """:raises Finding: the answer has none of these statuses"""
    __tracebackhide__ = True
    refused_all({"": answer}, promise, status=status)


def refused_all(answers: Mapping[str, Answer], promise: str, *, status: Collection[int]) -> None:
    """:raises Finding: an answer has none of these statuses; tells all that have not"""
    __tracebackhide__ = True
    _judge(answers, promise, status, _MEANING)


def accepted(answer: Answer, promise: str, *, status: int = 200, json: object = None) -> None:
    """:param json: what the body says, compared as JSON: MicroPython keeps no order of keys
    :raises Finding: the answer has another status, or another body
    """
    __tracebackhide__ = True
    accepted_all({"": answer}, promise, status=status)
    if json is not None:
        try:
            got = answer.json()
        except ValueError:
            got = None
        if got != json:
            broken(f"{promise} gets {json}", answer, "another answer")


def accepted_all(answers: Mapping[str, Answer], promise: str, *, status: int = 200) -> None:
    """:raises Finding: an answer has another status"""
    __tracebackhide__ = True
    meaning = {
        **_MEANING,
        Outcome.REFUSED: "refused what must be accepted",
        Outcome.ACCEPTED: "accepted, but not as promised",
    }
    _judge(answers, promise, {status}, meaning)


def controlled(
    client: RawClient, sound: Callable[[], Request], judge: Callable[[Answer], object]
) -> Iterator[None]:
    """The positive control around a check: the unmutated request is accepted before and after.

    Without it, a dead server would pass every check that expects a refusal.

    :param sound: composes the request anew each time, since tokens die with a rotation
    :param judge: raises a finding unless the answer is all that it should be
    :raises Finding: the control failed
    """
    __tracebackhide__ = True
    for moment in ("before", "after"):
        try:
            judge(client.send(sound()))
        except Finding as finding:
            raise Finding(f"positive control just {moment} the check: {finding}") from None
        if moment == "before":
            yield


def broken(promise: str, answer: Answer, got: str) -> NoReturn:
    """The answer's status is right and something else is not.

    :param got: what it is, no secrets
    :raises Finding: always
    """
    __tracebackhide__ = True
    raise Finding(_text(promise, {"": answer}, got))


def _judge(
    answers: Mapping[str, Answer],
    promise: str,
    status: Collection[int],
    meaning: Mapping[Outcome, str],
) -> None:
    __tracebackhide__ = True
    wrong = {name: answer for name, answer in answers.items() if answer.status not in status}
    if wrong:
        worst = min((answer.outcome for answer in wrong.values()), key=_severity)
        expected = " or ".join(str(one) for one in sorted(status))
        if len(answers) > 1:
            got = f"{len(wrong)} of {len(answers)} variants: {meaning[worst]}"
        else:
            got = meaning[worst]
        raise Finding(_text(f"{promise} ({expected})", wrong, got))


def _severity(outcome: Outcome) -> int:
    return list(_MEANING).index(outcome)


def _text(promise: str, answers: Mapping[str, Answer], got: str) -> str:
    lines = [f"{got}; promised: {promise}"]
    for name, answer in list(answers.items())[:_SHOWN]:
        told = f"{name}: " if name else ""
        lines += [f"  {told}sent {answer.request!r}", f"    got {answer!r}"]
    if len(answers) > _SHOWN:
        lines.append(f"  and {len(answers) - _SHOWN} more: {', '.join(list(answers)[_SHOWN:])}")
    return "\n".join(lines)
