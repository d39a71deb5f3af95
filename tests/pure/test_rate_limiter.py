"""The rate limiter: no limit before a refusal, one cut per burst, and the rate grows again."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf
from random import Random

import pytest
from attrs import define, field

from rh_async import RetryPolicy
from rh_async._http.rate_limit import Priority, RateLimiter, rank


@define
class Bucket:
    """A server's token bucket: some calls per second, and as many in a burst."""

    rate: float
    tokens: float = field(init=False)
    at: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.tokens = max(1.0, self.rate)

    def admits(self, now: float) -> bool:
        self.tokens = min(max(1.0, self.rate), self.tokens + (now - self.at) * self.rate)
        self.at = now
        admitted = self.tokens >= 1.0
        self.tokens -= admitted
        return admitted


def burst(limiter: RateLimiter, *, calls: int, through: int, now: float = 0.0) -> None:
    """Send calls at one instant, of which the first few pass."""
    for _ in range(calls):
        limiter.record_sent(now=now)
    for number in range(calls):
        if number < through:
            limiter.record_passed(now)
        else:
            limiter.record_limited(now, pause=1.0, now=now)


def departures(limiter: RateLimiter, *, start: float, until: float) -> list[float]:
    """Return when calls leave, if there is always one waiting and each passes."""
    left, now = [], start
    while (now := max(now, limiter.opens_at(now=now))) < until:
        limiter.record_sent(now=now)
        limiter.record_passed(now)
        left.append(now)
    return left


def test_before_the_first_refusal_every_call_leaves_at_once() -> None:
    limiter = RateLimiter()
    for _ in range(10_000):
        assert limiter.opens_at(now=5.0) == -inf
        limiter.record_sent(now=5.0)
        limiter.record_passed(5.0)
    assert limiter.rate(now=5.0) == inf


def test_a_refusal_cuts_the_rate_to_a_share_of_the_calls_that_passed() -> None:
    limiter = RateLimiter()
    burst(limiter, calls=200, through=20)
    assert limiter.rate(now=0.0) == pytest.approx(16.0)
    assert limiter.opens_at(now=0.0) == 1.0


def test_calls_that_passed_count_in_whatever_order_their_responses_come() -> None:
    limiter = RateLimiter()
    for _ in range(50):
        limiter.record_sent(now=0.0)
    limiter.record_limited(0.0, pause=1.0, now=0.1)
    for _ in range(20):
        limiter.record_passed(0.0)
    assert limiter.rate(now=0.1) == pytest.approx(16.0)


def test_one_burst_of_refusals_is_one_cut() -> None:
    limiter = RateLimiter()
    limiter.record_passed(0.0)
    cuts = [limiter.record_limited(0.0, pause=1.0, now=0.01 * number) for number in range(50)]
    assert cuts == [True] + [False] * 49
    assert limiter.cuts_in_a_row == 1
    assert limiter.record_limited(5.0, pause=1.0, now=5.1)
    assert limiter.cuts_in_a_row == 2


def test_the_longest_pause_that_a_refusal_asks_for_is_kept() -> None:
    limiter = RateLimiter()
    limiter.record_limited(0.0, pause=1.0, now=0.0)
    limiter.record_limited(0.0, pause=30.0, now=0.0)
    limiter.record_limited(0.0, pause=2.0, now=0.0)
    assert limiter.opens_at(now=0.0) == 30.0


def test_after_a_cut_calls_leave_one_by_one_at_a_growing_rate() -> None:
    limiter = RateLimiter()
    burst(limiter, calls=200, through=20)
    left = departures(limiter, start=0.0, until=61.0)
    assert left[0] == 1.0
    assert 15 <= sum(at < 2.0 for at in left) <= 18
    assert 32 <= sum(at >= 60.0 for at in left) <= 36  # 16 + 0.3 x 59.5


def test_a_limit_that_is_gone_is_forgotten() -> None:
    limiter = RateLimiter()
    burst(limiter, calls=5, through=0)
    assert limiter.rate(now=599.0) < inf
    assert limiter.rate(now=600.0) == inf
    assert limiter.opens_at(now=600.0) == -inf
    for _ in range(1000):
        limiter.record_sent(now=600.0)
    assert limiter.opens_at(now=600.0) == -inf


def test_a_call_that_passes_resets_the_number_of_cuts() -> None:
    limiter = RateLimiter()
    for second in range(4):
        limiter.record_limited(float(second), pause=0.1, now=second + 0.1)
    assert limiter.cuts_in_a_row == 4
    limiter.record_passed(10.0)
    assert limiter.cuts_in_a_row == 0


def test_a_timer_that_fires_late_delays_no_later_call() -> None:
    limiter = RateLimiter()
    burst(limiter, calls=200, through=20)
    limiter.record_sent(now=1.03)
    assert limiter.opens_at(now=1.03) <= 1.0 + 2 / 16


@pytest.mark.parametrize("rate", [0.2, 1.0, 5.0, 20.0, 100.0])
@pytest.mark.parametrize("latency", [0.0, 0.3, 2.0])
def test_any_limit_is_used_well_and_hit_seldom(rate: float, latency: float) -> None:
    bucket, limiter, retry, rng = Bucket(rate), RateLimiter(), RetryPolicy(), Random(7)
    calls = 4000 if rate > 1 else 400
    answers: list[tuple[float, int, float, bool]] = []
    passed = refused = sent = 0
    now = 0.0
    while passed < calls:
        opens = max(now, limiter.opens_at(now=now))
        if (answers and answers[0][0] <= opens) or (sent > 10 * calls):
            now, _, sent_at, fine = heapq.heappop(answers)
            passed += fine
            refused += not fine
            if fine:
                limiter.record_passed(sent_at)
            else:
                limiter.record_limited(sent_at, pause=retry.delay(limiter.cuts_in_a_row + 1, rng), now=now)
        elif len(answers) < 300:  # as many as want something at once
            now, sent = opens, sent + 1
            limiter.record_sent(now=now)
            heapq.heappush(answers, (now + latency, sent, now, bucket.admits(now)))
        else:
            now = answers[0][0]
    assert now <= 1.25 * calls / rate + 60
    assert refused <= 0.2 * calls + 300  # the first burst is not to be helped


def test_a_submit_goes_first_and_no_call_waits_for_ever() -> None:
    order: Callable[[float], list[Priority]] = lambda since: sorted(  # noqa: E731
        Priority, key=lambda priority: rank(priority, now=0.0 if priority is not Priority.SUBMIT else since)
    )
    assert order(0.5) == [Priority.SUBMIT, Priority.WORK, Priority.POLL, Priority.QUEUE_COUNTERS]
    assert order(5.0) == [Priority.WORK, Priority.POLL, Priority.SUBMIT, Priority.QUEUE_COUNTERS]
    assert order(7.0)[-1] is Priority.SUBMIT


def test_back_off_delays_are_random_so_that_many_sessions_do_not_come_back_together() -> None:
    retry, rng = RetryPolicy(initial_delay=1.0, max_delay=30.0), Random(3)
    for cuts_in_a_row, nominal in ((1, 1.0), (3, 4.0), (20, 30.0)):
        waits = [retry.delay(cuts_in_a_row, rng) for _ in range(400)]
        assert all(nominal / 2 <= wait <= nominal for wait in waits)
        assert min(waits) < nominal * 0.55
        assert max(waits) > nominal * 0.95
