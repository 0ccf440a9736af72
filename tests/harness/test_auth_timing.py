"""Comparing times: no false alarm whatever the noise, and no real difference missed for long."""

from __future__ import annotations

import bisect
import math
import random
import socket
import socketserver
import statistics
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.auth import timing
from hil.auth.raw import Outcome, RawClient, Request, request
from hil.errors import Finding

MS = 1e-3
# Of a batch's pairs: the first look at a difference.
QUARTER = timing.PAIRS // 4
NAMES = "one", "other"

# --- against others' figures ----------------------------------------------------------------------

# Hamilton depression scale of nine patients, before and after a tranquilizer: Hollander and Wolfe,
# "Nonparametric Statistical Methods", table 3.1; T+ = 5 in example 3.1, estimate -0.46 in 3.3.
DEPRESSION = [-0.952, 0.147, -1.022, -0.430, -0.620, -0.590, -0.490, 0.080, -0.010]
# Darwin's maize in 1/8 inch (R. A. Fisher, "The Design of Experiments", 1935, section 17); W- = 24.
MAIZE = [6, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]
# Zeros and ties.
TIED = [1, 1, -1, 2, 2, 2, -3, 3, 0, 0, 4, -4, 4, 4, 5, 5, -2, 6, 6, 7]


@pytest.mark.parametrize(
    ("differences", "positive", "p"),
    [
        # p: scipy 1.17.1, wilcoxon(method="approx", correction=False, zero_method="wilcox")
        (DEPRESSION, 5.0, 0.038151710173415135),
        (MAIZE, 120 - 24.0, 0.04088813291185591),
        (TIED, 171 - 27.5, 0.011275456309589748),
    ],
)
def test_the_test_is_wilcoxons(differences: list[float], positive: float, p: float) -> None:
    assert timing.signed_rank(differences) == (positive, pytest.approx(p, rel=1e-9))


def test_the_estimate_is_hodges_and_lehmanns() -> None:
    assert timing.hodges_lehmann(DEPRESSION)[0] == pytest.approx(-0.46)


def test_nothing_but_zeros_is_no_difference() -> None:
    assert timing.signed_rank([0.0] * 200) == (0.0, 1.0)
    assert not timing.judged([0.0] * 200).shows(0.0)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=60))
def test_swapping_the_two_turns_the_sign_and_nothing_else(differences: list[int]) -> None:
    turned = [-one for one in differences]
    assert timing.signed_rank(turned)[1] == pytest.approx(timing.signed_rank(differences)[1])
    effect, low, high = timing.hodges_lehmann(differences)
    assert timing.hodges_lehmann(turned) == (-effect, -high, -low)
    assert min(differences) <= low <= effect <= high <= max(differences)


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=60), st.integers(-(10**6), 10**6))
def test_the_estimate_moves_with_the_difference(differences: list[int], shift: int) -> None:
    moved = timing.hodges_lehmann([one + shift for one in differences])
    assert moved == tuple(one + shift for one in timing.hodges_lehmann(differences))


def test_the_interval_holds_the_true_difference() -> None:
    """Skew and heavy tails included: the difference of two alike is symmetric."""
    draw = random.Random(1)
    for _ in range(60):
        batch = timing.judged([3.0 + _tail(draw) - _tail(draw) for _ in range(200)])
        assert batch.low <= 3.0 <= batch.high
        assert batch.resolves == pytest.approx((batch.high - batch.low) / 2)


def test_the_interval_is_not_wider_than_it_must_be() -> None:
    """For a normal distribution the estimate is nearly as good as the mean: 3/pi of it."""
    draw = random.Random(2)
    widths = [timing.judged([draw.gauss(0, 1) for _ in range(200)]).resolves for _ in range(20)]
    ideal = statistics.NormalDist().inv_cdf(1 - timing.ALPHA / 2) / math.sqrt(200 * 3 / math.pi)
    assert statistics.mean(widths) == pytest.approx(ideal, rel=0.08)


def _tail(draw: random.Random) -> float:
    return draw.paretovariate(1.2)


# --- the order ------------------------------------------------------------------------------------


@given(st.integers(0, 300), st.integers(0, 2**32))
def test_each_goes_first_in_half_of_the_pairs(pairs: int, seed: int) -> None:
    order = timing.order(pairs, random.Random(seed))
    assert len(order) == pairs
    assert sum(order) == pairs // 2
    assert order == timing.order(pairs, random.Random(seed))


def test_the_order_is_drawn_anew_for_each_batch() -> None:
    asked: list[int] = []

    def ask(which: int) -> float:
        asked.append(which)
        return 2.0 if which else 1.0

    timing.compare(ask, NAMES, seed=1)
    assert {sum(asked[i : i + 2]) for i in range(0, len(asked), 2)} == {1}
    assert asked[: len(asked) // 2] != asked[len(asked) // 2 :]


@given(st.integers(0, 2**32))
def test_each_goes_first_in_half_of_the_pairs_at_each_look(seed: int) -> None:
    asked: list[int] = []

    def ask(which: int) -> float:
        asked.append(which)
        return 0.0

    timing.compare(ask, NAMES, seed=seed)
    firsts = asked[::2]
    assert len(firsts) == timing.PAIRS
    for look in (timing.PAIRS // 4, timing.PAIRS // 2, timing.PAIRS):
        assert sum(firsts[:look]) == look // 2


def test_the_order_is_another_each_time_and_can_be_had_again_by_its_seed() -> None:
    def asked(seed: int | None) -> tuple[list[int], int]:
        found: list[int] = []

        def ask(which: int) -> float:
            found.append(which)
            return 1.0

        compared = timing.compare(ask, NAMES, seed=seed)
        return found, compared.seed

    first, seed = asked(None)
    assert asked(seed) == (first, seed)
    assert asked(None)[0] != first


# --- noise ----------------------------------------------------------------------------------------

Noise = Callable[[random.Random], Iterator[float]]


def gaussian(draw: random.Random) -> Iterator[float]:
    while True:
        yield draw.gauss(8, 0.1)


def heavy_tail(draw: random.Random) -> Iterator[float]:
    while True:
        yield 8 + 0.1 * _tail(draw)


def drifting(draw: random.Random) -> Iterator[float]:
    """A processor that gets hot."""
    at = 8.0
    while True:
        at += 0.01
        yield at + draw.gauss(0, 0.02)


def autocorrelated(draw: random.Random) -> Iterator[float]:
    at = 0.0
    while True:
        at = 0.99 * at + draw.gauss(0, 0.1)
        yield 8 + at


def scheduled(draw: random.Random) -> Iterator[float]:
    """A second program takes the processor for whole time slices, now and then for a while."""
    busy = False
    while True:
        busy ^= draw.random() < 0.03
        yield draw.gauss(8, 0.05) + (draw.choice((0, 4, 10)) if busy else 0)


def collected(draw: random.Random) -> Iterator[float]:
    """Every second request meets a garbage collection, and every 16th a login before it."""
    for i in range(10**9):
        yield draw.gauss(8, 0.02) + (i % 2) * 1.5 + (i % 16 == 0) * 3


def coarse(draw: random.Random) -> Iterator[float]:
    """A clock of whole milliseconds: ties and zeros."""
    while True:
        yield float(round(draw.gauss(8, 1)))


NOISES = [gaussian, heavy_tail, drifting, autocorrelated, scheduled, collected, coarse]


def link(noise: Noise, seed: int, difference: float = 0.0) -> Callable[[int], float]:
    """A target behind noise; the other request takes ``difference`` ms longer."""
    times = noise(random.Random(f"noise {seed}"))  # another sequence than the order's
    return lambda which: (next(times) + which * difference) * MS


@pytest.mark.parametrize("noise", NOISES)
def test_noise_raises_no_alarm(noise: Noise) -> None:
    """Not one batch of 60: that each is wrong once in 10 000 is the promise of a single one."""
    for seed in range(60):
        compared = timing.compare(link(noise, seed), NAMES, seed=seed, least=0.0)
        assert len(compared.batches) == 1, str(compared)
        assert not compared.differs


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(NOISES), st.integers(0, 2**32), st.integers(0, 2**32))
def test_noise_raises_no_alarm_whatever_the_drawing(noise: Noise, seed: int, order: int) -> None:
    assert not timing.compare(link(noise, seed), NAMES, seed=order, least=0.0).differs


@pytest.mark.parametrize("noise", [gaussian, heavy_tail, autocorrelated, scheduled])
def test_p_is_as_likely_small_as_it_says(noise: Noise) -> None:
    """Uniform: the largest distance from the diagonal stays below that of Kolmogorov's test at
    one in 10 000 (1.63 is 1 %, 2.23 is 0.01 %)."""
    runs = 400
    found = []
    for seed in range(runs):
        ask, draw = link(noise, seed), random.Random(seed)
        first_places = timing.order(100, draw)
        differences = []
        for swapped in first_places:
            early, late = ask(swapped), ask(not swapped)
            differences.append(late - early if swapped else early - late)
        found.append(timing.signed_rank(differences)[1])
    distance = max(abs(p - (i + 0.5) / runs) for i, p in enumerate(sorted(found)))
    assert distance < 2.23 / math.sqrt(runs)


@pytest.mark.parametrize("pairs", [QUARTER, 2 * QUARTER, timing.PAIRS])
def test_no_look_is_wrong_more_often_than_its_share(pairs: int) -> None:
    """Exactly, by counting: of the 2^n equally likely signs of n ranks, those that the look takes
    for a difference. Out there the normal approximation errs on the safe side."""
    ways = [1] + [0] * (pairs * (pairs + 1) // 2)
    for rank in range(1, pairs + 1):
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    share = timing.EARLY if pairs < timing.PAIRS else timing.ALPHA - 2 * timing.EARLY
    taken = range(len(ways) // 2 + 1, len(ways))
    first = bisect.bisect(taken, -share, key=lambda total: -_p_of(total, pairs))
    assert 0.2 * share < 2 * sum(ways[taken[first] :]) / 2**pairs <= share


def _p_of(total: int, pairs: int) -> float:
    """The p of differences of which the positive ranks have this sum."""
    differences = []
    for rank in range(pairs, 0, -1):
        positive = rank <= total
        total -= rank * positive
        differences.append(rank if positive else -rank)
    return timing.signed_rank(differences)[1]


@pytest.mark.parametrize("noise", [gaussian, heavy_tail, autocorrelated, scheduled])
def test_three_looks_are_wrong_no_more_often_than_one(
    noise: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 1 in 20 in place of 1 in 10 000, which shows in 1000 batches: 50, and up to four standard
    deviations more. Three looks with 1 in 20 each would be wrong in about 100."""
    monkeypatch.setattr(timing, "ALPHA", 0.05)
    monkeypatch.setattr(timing, "EARLY", 0.005)
    monkeypatch.setattr(timing, "_Z", statistics.NormalDist().inv_cdf(1 - 0.05 / 2))
    wrong = 0
    for seed in range(1000):
        compared = timing.compare(link(noise, seed), NAMES, seed=seed, pairs=40, least=0.0)
        wrong += compared.batches[0].shows(0.0)
    assert 20 < wrong < 50 + 4 * math.sqrt(1000 * 0.05 * 0.95)


def test_a_plain_difference_takes_a_quarter_of_the_pairs() -> None:
    """An unknown user's password that is not hashed: 8 ms, for a hash of 8 ms."""
    for noise in (gaussian, drifting, heavy_tail, collected):
        compared = timing.compare(link(noise, 1, difference=8), NAMES, seed=1)
        assert compared.differs
        assert [batch.pairs for batch in compared.batches] == [QUARTER, QUARTER]


def test_a_difference_that_is_just_large_enough_takes_all_pairs() -> None:
    """A quarter of them does not tell it from one that is too small to matter."""
    compared = timing.compare(link(gaussian, 1, difference=0.2), NAMES, seed=1, least=0.18 * MS)
    assert compared.differs
    assert [batch.pairs for batch in compared.batches] == [timing.PAIRS] * 2


@pytest.mark.parametrize("noise", [gaussian, heavy_tail, drifting, scheduled, collected])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_that_can_be_resolved_is_found(noise: Noise, sign: int) -> None:
    """Twice what the link resolves, as the docstring of ``resolves`` promises."""
    quiet = [timing.compare(link(noise, s), NAMES, seed=s, least=0).batches[0] for s in range(8)]
    difference = sign * 2.2 * max(batch.resolves for batch in quiet) / MS
    found = 0
    for seed in range(8):
        compared = timing.compare(link(noise, seed, difference), NAMES, seed=seed, least=0)
        found += compared.differs
        if compared.differs:
            assert compared.batches[0].effect == pytest.approx(-difference * MS, rel=0.6)
    assert found >= 7


def test_what_is_too_small_to_matter_is_no_finding() -> None:
    ask = link(gaussian, 1, difference=0.2)
    assert timing.compare(ask, NAMES, seed=1, least=0.1 * MS).differs
    assert not timing.compare(ask, NAMES, seed=1, least=0.3 * MS).differs


def test_a_difference_that_does_not_come_again_is_no_finding() -> None:
    """Something went on beside the first batch, and kept step with one request; then it ended."""
    asked = 0

    def ask(which: int) -> float:
        nonlocal asked
        asked += 1
        return which * MS if asked <= 2 * QUARTER else 0.0

    compared = timing.compare(ask, NAMES, seed=1)
    assert len(compared.batches) == 2
    assert not compared.differs
    assert str(compared).startswith("no lasting difference found between one and other;")


def test_a_difference_that_turns_around_is_no_finding() -> None:
    asked = 0

    def ask(which: int) -> float:
        nonlocal asked
        asked += 1
        return (which if asked <= 2 * QUARTER else 1 - which) * MS

    assert not timing.compare(ask, NAMES, seed=1).differs


# --- what is told ---------------------------------------------------------------------------------


def test_no_difference_is_told_with_what_the_link_resolves() -> None:
    batch = timing.Batch(200, 0.31, -0.004 * MS, -0.124 * MS, 0.116 * MS)
    assert str(timing.Comparison(NAMES, (batch,), 5, timing.LEAST_S)) == (
        "no difference found between one and other; this link resolves >= 0.12 ms"
        " (-0.0040 ms, 99.99% interval -0.12 ms to 0.12 ms, p = 0.31, 200 pairs; seed 5)"
    )


def test_a_difference_is_told_with_its_size_and_which_is_slower() -> None:
    batch = timing.Batch(200, 1e-34, -7.12 * MS, -7.20 * MS, -7.05 * MS)
    assert str(timing.Comparison(NAMES, (batch, batch), 5, timing.LEAST_S)) == (
        "other takes 7.12 ms longer than one; this link resolves >= 0.075 ms"
        " (7.12 ms, 99.99% interval 7.05 ms to 7.20 ms, p < 1e-16, 200 pairs;"
        " again 7.12 ms, 99.99% interval 7.05 ms to 7.20 ms, p < 1e-16, 200 pairs; seed 5)"
    )


def test_a_finding_shows_the_requests_without_their_secrets() -> None:
    batch = timing.Batch(200, 1e-34, 7 * MS, 6 * MS, 8 * MS)
    compared = timing.Comparison(NAMES, (batch, batch), 5, timing.LEAST_S)
    requests = {name: _login(b"hunter2") for name in NAMES}
    with pytest.raises(Finding) as caught:
        timing.same(compared, "no difference", requests)
    told = str(caught.value)
    assert told.startswith("one takes 7.00 ms longer than other; this link resolves")
    assert "promised: no difference" in told
    assert told.count("POST /login") == 2
    assert "hunter2" not in told


def test_another_name_is_another_and_as_long() -> None:
    for user in ("owner", "x", "xxx", "Jörg"):
        other = timing.another_name(user)
        assert other != user
        assert len(other.encode()) == len(user.encode())


# --- on a link ------------------------------------------------------------------------------------


class _Server(socketserver.ThreadingTCPServer):
    """Answers as told: ``right`` in a request is a right password, ``slow`` takes a while."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.free = 10**9
        self.failures = 0
        self.rights = 0
        self.right_status = 200
        self.wrong_status = 401


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        got = self.request.recv(1 << 16)
        server = self.server
        if b"right" in got:
            server.rights += 1
            server.failures, status = 0, server.right_status
        elif server.failures >= server.free:
            status = 429
        else:
            server.failures += 1
            status = server.wrong_status
        if b"slow" in got:
            time.sleep(0.02)  # the work that this request takes: more than a loaded host's jitter
        self.request.sendall(b"HTTP/1.1 %d N/A\r\nContent-Length: 2\r\n\r\nno" % status)


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _login(word: bytes) -> Request:
    return request("POST", "/login", body=b'{"pass": "%s"}' % word)


def _compared(server: _Server, first: bytes, second: bytes, **options: object) -> timing.Comparison:
    host, port = server.server_address[:2]
    options = {"status": {401, 429}, "throttled": 429, "right": _login(b"right"), **options}
    return timing.compare_requests(
        RawClient(str(host), int(port), timeout=2.0),
        {"one": _login(first), "other": _login(second)},
        "both are refused",
        **options,  # type: ignore[arg-type]
    )


def test_a_slow_answer_is_found(server: _Server) -> None:
    compared = _compared(server, b"fast", b"slow", pairs=30)
    assert compared.differs
    assert -0.2 < compared.batches[0].effect < -0.015


def test_failures_are_cleared_before_they_are_many(server: _Server) -> None:
    server.free = 20
    compared = _compared(server, b"fast", b"last")
    assert not compared.differs
    assert server.rights == 2 * timing.PAIRS / 16


@pytest.mark.parametrize("free", [2, 3, 5, 9])
def test_a_target_that_throttles_sooner_is_asked_more_carefully(server: _Server, free: int) -> None:
    server.free = free
    assert not _compared(server, b"fast", b"last").differs
    assert server.rights <= 2 * timing.PAIRS / 2 + 8


def test_a_target_that_throttles_at_once_cannot_be_measured(server: _Server) -> None:
    server.free = 1
    with pytest.raises(timing.Unmeasurable, match="wrong password 2 in a row is answered 429"):
        _compared(server, b"fast", b"last")


def test_a_target_that_never_forgets_cannot_be_measured(server: _Server) -> None:
    server.free = 20
    with pytest.raises(timing.Unmeasurable, match="wrong password 21 in a row is answered 429"):
        _compared(server, b"fast", b"last", right=None)


def test_a_target_that_throttles_the_right_password_cannot_be_measured(server: _Server) -> None:
    server.right_status = 429
    with pytest.raises(timing.Unmeasurable, match="also a right password is 429"):
        _compared(server, b"fast", b"last")


def test_a_right_password_that_is_refused_is_the_finding(server: _Server) -> None:
    server.right_status = 403
    with pytest.raises(Finding, match="a right password, after a few wrong ones"):
        _compared(server, b"fast", b"last")


@pytest.mark.parametrize(("status", "told"), [(200, "a hole"), (500, "5xx"), (429, "refused, but")])
def test_an_unexpected_answer_is_the_finding(server: _Server, status: int, told: str) -> None:
    server.wrong_status = status
    with pytest.raises(Finding, match=rf"(?s){told}.*both are refused \(401\)"):
        _compared(server, b"fast", b"last", throttled=None, status={401})


def test_a_target_that_is_too_slow_cannot_be_measured(
    server: _Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "BUDGET_S", 0.05)
    with pytest.raises(timing.Unmeasurable, match="requests took 0 s"):
        _compared(server, b"fast", b"last")


def test_no_answer_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
        _, silent = timing.exchange(RawClient("127.0.0.1", port, timeout=0.05), _login(b"x"))
    _, refused = timing.exchange(RawClient("127.0.0.1", port, timeout=1), _login(b"x"))
    assert silent.outcome is refused.outcome is Outcome.NO_ANSWER
    assert silent.detail
    assert refused.detail
