"""Whether two requests take the same time, in a way that never cries wolf.

Both are sent in pairs, one right after the other, which one first is drawn. If the target makes no
difference between them, the drawing alone decides the sign of each pair's difference, whatever the
noise: drift, autocorrelation, garbage collection, outliers and a loaded host only set its size.
Wilcoxon's signed-rank test is made of just that [1], so its error rate holds without any
assumption on the noise. The effect is the Hodges-Lehmann estimate with its confidence interval [2].

A difference is a finding when two batches, the second drawn anew, both say so: p below
:data:`ALPHA`, the same direction, and as large as ``least``. By chance that happens once in
2 / ALPHA² = 2·10⁸ checks; with the catalogue's three on 30 targets once in two million runs.

A plain difference ends its batch at a quarter or at half of the pairs. Each of these two looks has
a tenth of ALPHA, and the last one the rest: the chance that one of the three errs is their sum at
most, however they hang together. No difference ends no batch: what a link resolves is a matter of
how many pairs there are, and the catalogue promises 200.

[1] F. Wilcoxon, "Individual Comparisons by Ranking Methods", Biometrics Bulletin 1, 1945
[2] M. Hollander, D. A. Wolfe, "Nonparametric Statistical Methods", 2nd ed., sections 3.1 to 3.3
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from statistics import NormalDist

from ..deadline import Deadline
from . import verdict
from .raw import Answer, Outcome, RawClient, parse

ALPHA = 1e-4
"""Two-sided error rate of one batch, and of its confidence interval."""

EARLY = ALPHA / 10
"""Of this, the share of each look before all pairs are there: 26 can show it, fewer cannot."""

PAIRS = 200

LEAST_S = 20e-6
"""What can be told apart over the Internet: S. A. Crosby, D. S. Wallach, R. H. Riedi,
"Opportunities and Limits of Remote Timing Attacks", ACM TISSEC 12(3), 2009."""

LEAST_LOCAL_S = 100e-9
"""Likewise in a local network."""

BUDGET_S = 240.0
"""For both batches. A real board takes 0.1 s for a password: 800 of them 80 s."""

TIMEOUT_S = BUDGET_S + 60
"""For a check that compares times."""

# Wrong passwords between two right ones. A camera has 20 free, as many applications have 5: where
# this is too many, the answer that says so halves it.
_FAILURES = 16

_PIECE = 1 << 14
_Z = NormalDist().inv_cdf(1 - ALPHA / 2)


class Unmeasurable(Exception):  # noqa: N818 - not an error: the check is skipped with this reason
    """The times of this target cannot be compared. Completes "needs X, but …"."""


@dataclass(frozen=True)
class Batch:
    """What one batch of pairs says on the difference *first minus second*, in seconds.

    :ivar p: two-sided, of the signed-rank test
    :ivar effect: Hodges-Lehmann estimate
    :ivar low: of the confidence interval of 1 - ALPHA; likewise ``high``
    """

    pairs: int
    p: float
    effect: float
    low: float
    high: float

    @property
    def resolves(self) -> float:
        """Half the width of the confidence interval, seconds: a larger difference shows more often
        than not, twice as large a one nearly always."""
        return (self.high - self.low) / 2

    def shows(self, least: float) -> bool:
        """Whether there is a difference, and one of at least ``least`` seconds."""
        last = ALPHA - 2 * EARLY
        return self.p < last and not self.low <= 0 <= self.high and abs(self.effect) >= least

    def shows_plainly(self, least: float) -> bool:
        """Whether more pairs would not matter: the whole interval is beyond ``least``, too."""
        return self.p < EARLY and max(self.low, -self.high) >= least


@dataclass(frozen=True)
class Comparison:
    """:ivar names: of the two requests
    :ivar batches: one; two where the first one showed a difference
    :ivar seed: of the drawing, to be told
    :ivar least: seconds; what is smaller is no finding
    """

    names: tuple[str, str]
    batches: tuple[Batch, ...]
    seed: int
    least: float

    @property
    def differs(self) -> bool:
        """Whether the target makes a difference: shown twice, in the same direction."""
        return (
            len(self.batches) == 2
            and all(batch.shows(self.least) for batch in self.batches)
            and self.batches[0].effect * self.batches[1].effect > 0
        )

    def __str__(self) -> str:
        first, second = self.names
        if self.differs and self.batches[0].effect < 0:
            swapped = tuple(
                replace(batch, effect=-batch.effect, low=-batch.high, high=-batch.low)
                for batch in self.batches
            )
            return str(replace(self, names=(second, first), batches=swapped))
        told = "; again ".join(_told(batch) for batch in self.batches)
        link = f"this link resolves >= {_ms(max(batch.resolves for batch in self.batches))}"
        if self.differs:
            what = f"{first} takes {_ms(self.batches[0].effect)} longer than {second}"
        elif len(self.batches) == 2:
            what = f"no lasting difference found between {first} and {second}"
        else:
            what = f"no difference found between {first} and {second}"
        return f"{what}; {link} ({told}; seed {self.seed})"


def _told(batch: Batch) -> str:
    p = f"p = {batch.p:.2g}" if batch.p >= 1e-16 else "p < 1e-16"
    return (
        f"{_ms(batch.effect)}, {1 - ALPHA:.2%} interval {_ms(batch.low)} to {_ms(batch.high)},"
        f" {p}, {batch.pairs} pairs"
    )


def _ms(seconds: float) -> str:
    """Milliseconds, of two digits after a leading zero: ``0.012 ms``, ``7.12 ms``."""
    ms = seconds * 1000
    digits = 2 if not ms else max(0, min(6, 1 - math.floor(math.log10(abs(ms)))))
    return f"{ms:.{max(digits, 2)}f} ms"


# --- statistics -----------------------------------------------------------------------------------


def signed_rank(differences: Sequence[float]) -> tuple[float, float]:
    """Wilcoxon's signed-rank test, by the normal approximation.

    Zeros are left out, ties get their middle rank and reduce the variance (Hollander and Wolfe,
    section 3.1).

    :returns: the sum of the positive ranks, and the two-sided p; 1 where all are zero
    """
    sizes = sorted((abs(one), one > 0) for one in differences if one)
    n = len(sizes)
    if not n:
        return 0.0, 1.0
    positive, ties, below = 0.0, 0, 0
    for _, group in groupby(sizes, key=lambda one: one[0]):
        signs = [sign for _, sign in group]
        count = len(signs)
        positive += sum(signs) * (below + (count + 1) / 2)
        ties += count**3 - count
        below += count
    variance = n * (n + 1) * (2 * n + 1) / 24 - ties / 48
    z = (positive - n * (n + 1) / 4) / math.sqrt(variance)
    return positive, math.erfc(abs(z) / math.sqrt(2))


def hodges_lehmann(differences: Sequence[float]) -> tuple[float, float, float]:
    """The median of the means of all pairs of differences, each with itself too; and the interval
    that belongs to the signed-rank test (Hollander and Wolfe, sections 3.2 and 3.3).

    :returns: estimate, low, high
    """
    means = sorted((a + b) / 2 for i, a in enumerate(differences) for b in differences[: i + 1])
    n, count = len(differences), len(means)
    middle = (means[(count - 1) // 2] + means[count // 2]) / 2
    spread = _Z * math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    low = max(0, math.floor(count / 2 - spread))
    return middle, means[low], means[count - 1 - low]


def judged(differences: Sequence[float]) -> Batch:
    """What these differences, first minus second, say."""
    _, p = signed_rank(differences)
    effect, low, high = hodges_lehmann(differences)
    return Batch(len(differences), p, effect, low, high)


# --- measuring ------------------------------------------------------------------------------------


def order(pairs: int, draw: random.Random) -> list[bool]:
    """For each pair, whether the second request goes first: in half of them, which ones is drawn.

    Half of them exactly, so that what the place in the pair does cancels out, and not just nearly.
    """
    flags = [i % 2 == 1 for i in range(pairs)]
    draw.shuffle(flags)
    return flags


def compare(
    ask: Callable[[int], float],
    names: tuple[str, str],
    *,
    pairs: int = PAIRS,
    least: float = LEAST_S,
    seed: int | None = None,
) -> Comparison:
    """Compare two requests; a second batch follows where the first one shows a difference.

    :param ask: sends the first (0) or the second (1) request, and returns its seconds
    :param least: seconds; a smaller difference is no finding
    :param seed: of the drawing; None: a fresh one, so that no periodic noise keeps step with it
    """
    if seed is None:
        seed = random.SystemRandom().getrandbits(32)
    draw = random.Random(seed)  # noqa: S311 - the order is no secret
    batches: list[Batch] = []
    while not batches or (len(batches) < 2 and batches[0].shows(least)):
        batches.append(_batch(ask, pairs, least, draw))
    return Comparison(names, tuple(batches), seed, least)


def _batch(ask: Callable[[int], float], pairs: int, least: float, draw: random.Random) -> Batch:
    differences: list[float] = []
    for size in (pairs // 4, pairs // 2):
        differences += _differences(ask, order(size - len(differences), draw))
        batch = judged(differences)
        if batch.shows_plainly(least):
            return batch
    return judged(differences + _differences(ask, order(pairs - len(differences), draw)))


def _differences(ask: Callable[[int], float], swaps: Sequence[bool]) -> list[float]:
    """First minus second, of each pair."""
    found = []
    for swapped in swaps:
        early = ask(swapped)
        late = ask(not swapped)
        found.append(late - early if swapped else early - late)
    return found


def compare_requests(
    client: RawClient,
    requests: Mapping[str, bytes],
    promise: str,
    *,
    status: Collection[int],
    throttled: int | None = None,
    right: bytes | None = None,
    pairs: int = PAIRS,
    least: float = LEAST_S,
) -> Comparison:
    """Compare the times of two requests from sending to the first byte of the answer.

    :param promise: what both get, for the finding that one does not
    :param status: that both get
    :param throttled: the status of a guess that came too fast
    :param right: a request that is accepted, and by which the target forgets the failures before:
        sent, untimed, before failures could slow the target down
    :raises Finding: an answer is not the expected one
    :raises Unmeasurable: the target throttles the guesses, or is too slow for so many
    """
    asking = _Asking(client, requests, promise, status, throttled, right)
    first, second = requests
    return compare(asking.time, (first, second), pairs=pairs, least=least)


class _Asking:
    def __init__(
        self,
        client: RawClient,
        requests: Mapping[str, bytes],
        promise: str,
        status: Collection[int],
        throttled: int | None,
        right: bytes | None,
    ) -> None:
        self._client = client
        self._requests = list(requests.items())
        self._promise = promise
        self._status = status
        self._throttled = throttled
        self._right = right
        self._every = _FAILURES
        self._failures = 0
        self._deadline = Deadline.after(BUDGET_S)
        self._sent = 0

    def time(self, which: int) -> float:
        """Seconds that one request takes."""
        __tracebackhide__ = True
        if self._deadline.expired:
            raise Unmeasurable(f"{self._sent} requests took {BUDGET_S:.0f} s")
        # An even number of failures in between: seldom between the two of a pair.
        if self._right is not None and (not self._sent or self._failures >= self._every):
            self._forget(self._right)
        seconds, answer = self._guess(which)
        while answer.status == self._throttled is not None:
            if self._right is None or self._every <= 2:
                raise Unmeasurable(
                    f"wrong password {self._failures} in a row is answered {self._throttled}"
                )
            self._every = self._every // 4 * 2
            self._forget(self._right)
            seconds, answer = self._guess(which)
        name, _ = self._requests[which]
        verdict.refused_all({name: answer}, self._promise, status=self._status)
        return seconds

    def _guess(self, which: int) -> tuple[float, Answer]:
        self._failures += 1
        self._sent += 1
        return exchange(self._client, self._requests[which][1])

    def _forget(self, right: bytes) -> None:
        __tracebackhide__ = True
        answer = self._client.send(right)
        if answer.status == self._throttled is not None:
            raise Unmeasurable(f"also a right password is {answer.status} after wrong ones")
        verdict.accepted(answer, "a right password, after a few wrong ones")
        self._failures = 0


def exchange(client: RawClient, data: bytes) -> tuple[float, Answer]:
    """One request on a connection of its own. Never raises for what the network or the board does.

    :returns: seconds from sending to the first byte of the answer, and the answer
    """
    deadline = Deadline.after(client.timeout)
    took, received, trouble = 0.0, b"", ""
    try:
        with client.connect(deadline) as connection:
            began = time.perf_counter()
            connection.sendall(data)
            more = connection.recv(_PIECE)
            took = time.perf_counter() - began
            while more:
                received += more
                if parse(received, ended=False):
                    break
                connection.settimeout(max(0.001, deadline.remaining()))
                more = connection.recv(_PIECE)
    except OSError as error:
        trouble = (error.strerror or str(error) or type(error).__name__).lower()
    if trouble and not received:
        return took, Answer(Outcome.NO_ANSWER, detail=trouble, request=data)
    answer = parse(received)
    assert answer is not None, "what has ended is parsed to an answer"
    return took, replace(answer, request=data)


def another_name(user: str) -> str:
    """A user name that is not this one, and as long on the wire."""
    other = "x" * len(user.encode())
    return other if other != user else "y" * len(other)


def same(compared: Comparison, promise: str, requests: Mapping[str, bytes]) -> None:
    """:raises Finding: the target makes a difference"""
    from ..errors import Finding

    __tracebackhide__ = True
    if compared.differs:
        sent = [f"  {name}: sent {data!r}" for name, data in requests.items()]
        raise Finding("\n".join([f"{compared}; promised: {promise}", *sent]))
