"""What a target has answered in this run, as far as the checks of the whole run ask for it.

Every answer of the raw client and of the api is told to :meth:`Record.observe`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .answer import Answer, Outcome

_KEPT = 200
_BODY = 4096


@dataclass(frozen=True)
class ServerError:
    """One 5xx.

    :ivar check: the check under way, empty before the first
    :ivar request: what was sent, redacted
    :ivar answer: what came back, redacted
    :ivar failed: not a deliberate refusal (:attr:`hil.auth.answer.Answer.server_failed`), nor
        promised at that time
    """

    check: str
    status: int
    request: str
    answer: str
    failed: bool


class Record:
    """Counts of all answers, and the server errors among them. Any thread may tell it.

    :ivar counts: answers by outcome
    :ivar server_errors: the first of them, of failures and of deliberate refusals each
    :ivar bodies: the bodies of those, with the error they came with; the first 4096 bytes
    :ivar tell: whoever else wants to know of each answer
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._check = ""
        self._promised: frozenset[int] = frozenset()
        self._kept: dict[bool, int] = Counter()
        self.counts: Counter[Outcome] = Counter()
        self.server_errors: list[ServerError] = []
        self.bodies: list[tuple[ServerError, bytes]] = []
        self.tell: Callable[[Answer], None] | None = None

    def __repr__(self) -> str:
        told = ", ".join(f"{count} {outcome.value}" for outcome, count in self.counts.items())
        return f"Record({told})"

    def begin(self, check_id: str) -> None:
        """The answers from now on belong to this check."""
        self._check = check_id

    @contextmanager
    def promised(self, status: int) -> Iterator[None]:
        """Inside, the bench has taken from the target what it needs, and this 5xx is the right
        answer."""
        before = self._promised
        self._promised = before | {status}
        try:
            yield
        finally:
            self._promised = before

    def observe(self, answer: Answer) -> None:
        """One answer came, or none did."""
        if self.tell:
            self.tell(answer)
        with self._lock:
            self.counts[answer.outcome] += 1
            failed = answer.server_failed and answer.status not in self._promised
            if answer.outcome.name != "SERVER_ERROR" or self._kept[failed] >= _KEPT:
                return
            self._kept[failed] += 1
            error = ServerError(
                self._check,
                answer.status or 500,
                repr(answer.request),
                repr(answer),
                failed,
            )
            self.server_errors.append(error)
            self.bodies.append((error, answer.body[:_BODY]))
