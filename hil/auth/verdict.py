"""Verdicts: what a check says when a promise is broken.

A finding keeps apart *accepted* (a hole), *5xx* (not robust), *no answer* and *reset* (not
available), and tells what was promised, what was sent (redacted) and what came back.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from json import loads
from typing import NoReturn

from ..errors import Finding
from ..secrets import SecretStr
from . import tokens
from .raw import Answer, Outcome, RawClient, Request

_SHOWN, _NAMED = 4, 12

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
    if json is not None and _json(answer.body) != json:
        broken(f"{promise} gets {json}", answer, "another answer")


def says(answer: Answer, promise: str, body: str | None) -> None:
    """:param body: what the answer says, as text, or as JSON where it is that; None: nothing is
        promised
    :raises Finding: it says something else
    """
    __tracebackhide__ = True
    if body is None or answer.body == body.encode():
        return
    promised = _json(body)
    if promised is None or _json(answer.body) != promised:
        broken(f"{promise} gets {body}", answer, "another answer")


def _json(text: str | bytes) -> object:
    """None: it is no JSON."""
    try:
        return loads(text)
    except ValueError:
        return None


def accepted_all(answers: Mapping[str, Answer], promise: str, *, status: int = 200) -> None:
    """:raises Finding: an answer has another status"""
    __tracebackhide__ = True
    meaning = {
        **_MEANING,
        Outcome.REFUSED: "refused what must be accepted",
        Outcome.ACCEPTED: "accepted, but not as promised",
    }
    _judge(answers, promise, {status}, meaning)


def token_in(answer: Answer, field: str) -> SecretStr:
    """The token of a login's answer: the text in this field of a JSON object.

    :raises Finding: the login was refused, or there is none in its answer
    """
    __tracebackhide__ = True
    accepted(answer, "the right password gets a token")
    return text_in(answer, field)


def text_in(answer: Answer, field: str) -> SecretStr:
    """The text in this field of an answer's JSON object.

    :raises Finding: there is none
    """
    __tracebackhide__ = True
    try:
        text = answer.json()[field]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        broken(f"the answer is JSON with {field!r}", answer, f"no text in {field!r}")
    return SecretStr(text)


def decoded(token: str) -> tokens.Decoded:
    """Header and claims of a token that a login gave, unverified.

    :raises Finding: it is none
    """
    __tracebackhide__ = True
    try:
        return tokens.decode(token)
    except ValueError as error:
        raise Finding(f"promised: a JSON Web Token\ngot: {error} (see LOG-01)") from None


def controlled(
    client: RawClient,
    sound: Callable[[], Request],
    judge: Callable[[Answer], object] = lambda answer: accepted(answer, "a sound request"),
    *,
    unsound: Callable[[], Request] | None = None,
) -> Iterator[None]:
    """The controls around a check: a sound request is accepted before and after, and one without
    credentials is not.

    Without the first, a dead server would pass every check that expects a refusal; without the
    second, one that lets everybody in would pass every check that expects to be let in. They look
    at no more than that: what an answer says is the business of one check, not of all.

    :param sound: composes the request anew each time, since tokens die with a rotation
    :param judge: raises a finding unless the sound request got what it should
    :param unsound: the same request without credentials
    :raises Finding: a control failed
    """
    __tracebackhide__ = True
    for moment in ("before", "after"):
        try:
            judge(client.send(sound()))
            if unsound and moment == "before":
                answer = client.send(unsound())
                if answer.outcome is Outcome.ACCEPTED:
                    broken("no credentials, no entry", answer, "accepted without credentials")
        except Finding as finding:
            raise Finding(f"control just {moment} the check: {finding}") from None
        if moment == "before":
            yield


def indistinguishable(answers: Mapping[str, Answer], promise: str) -> None:
    """The answers differ in nothing that a client sees, but for the time of day.

    :raises Finding: one differs from the first
    """
    __tracebackhide__ = True
    (name, first), *others = answers.items()
    for other_name, other in others:
        if _seen(other) != _seen(first):
            got = f"{other_name} gets another answer"
            raise Finding(_text(promise, {name: first, other_name: other}, got))


def _seen(answer: Answer) -> object:
    fields = sorted((k.lower(), v) for k, v in answer.headers if k.lower() != "date")
    return answer.status, answer.reason, fields, answer.body


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
        expected = " or ".join(_shown(status))
        if len(answers) > 1:
            got = f"{len(wrong)} of {len(answers)} variants: {meaning[worst]}"
        else:
            got = meaning[worst]
        raise Finding(_text(f"{promise} ({expected})", wrong, got))


def _shown(status: Collection[int]) -> list[str]:
    """``4xx`` for all of those."""
    any_4xx = set(range(400, 500))
    if any_4xx <= set(status):
        return [*_shown(set(status) - any_4xx), "4xx"]
    return [str(one) for one in sorted(status)]


def _severity(outcome: Outcome) -> int:
    return list(_MEANING).index(outcome)


def _text(promise: str, answers: Mapping[str, Answer], got: str) -> str:
    lines = [f"{got}; promised: {promise}"]
    for name, answer in list(answers.items())[:_SHOWN]:
        told = f"{name}: " if name else ""
        lines += [f"  {told}sent {answer.request!r}", f"    got {answer!r}"]
    if len(answers) > _SHOWN:
        names = list(answers)[_SHOWN:]
        dots = ", ..." if len(names) > _NAMED else ""
        lines.append(f"  and {len(names)} more: {', '.join(names[:_NAMED])}{dots}")
    return "\n".join(lines)
