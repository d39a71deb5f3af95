"""How often the detector reads the queue counters, and the form of it that leaves them alone."""

from __future__ import annotations

from math import inf

import pytest

from rh_async import PollingPolicy, TaskId
from rh_async._polling.completion_detector import (
    CompletionDetector,
    NoDetector,
    QueueCounterDetector,
    best_read_period,
)
from rh_async._polling.scheduler import PollScheduler

A = TaskId("a")


def detector_of(policy: PollingPolicy) -> CompletionDetector:
    return PollScheduler(policy).detector


def test_the_policy_selects_the_detector() -> None:
    assert isinstance(detector_of(PollingPolicy()), QueueCounterDetector)
    assert isinstance(detector_of(PollingPolicy(queue_counters=False)), NoDetector)


def test_without_a_detector_nothing_that_is_notified_makes_it_read_the_counters_or_name_a_candidate() -> None:
    scheduler = PollScheduler(PollingPolicy(queue_counters=False))
    scheduler.adjust_submits_in_flight(1)
    scheduler.track(A, now=0.0, accepted_at=0.0)
    scheduler.counters_read(0, now=1.0)
    scheduler.counters_failed(now=2.0, retryable=True)
    detector = scheduler.detector
    assert (detector.next_read_at, detector.next_candidate, detector.all_running_at) == (inf, None, -inf)
    assert (detector.confidence, detector.interval_confidence, detector.reading) == (0.0, 0.0, False)


def test_polls_without_a_detector_are_those_of_a_detector_that_may_not_read_the_counters() -> None:
    """Until a refused read is tried again, after five minutes, a job is polled at the same instants by both."""

    def polls(policy: PollingPolicy) -> list[float]:
        scheduler, instants = PollScheduler(policy), list[float]()
        scheduler.track(A, now=0.0, accepted_at=0.0)
        while (at := scheduler.next_poll_at()) is not None and at < 290.0:
            if scheduler.next_poll(now=max(at, 0.0)) == A:
                instants.append(at)
                scheduler.still_running(A, now=at)
            else:
                scheduler.counters_failed(now=0.0, retryable=False)
        return instants

    alone = polls(PollingPolicy(queue_counters=False))
    assert len(alone) > 10
    assert polls(PollingPolicy()) == alone


def test_the_more_jobs_end_the_oftener_it_pays_to_look_but_never_without_pause() -> None:
    periods = [best_read_period(ends, 10.0, longest=10.0) for ends in (0.0, 0.001, 0.01, 0.1, 0.3, 3.0, 100.0)]
    assert periods[0] == 10
    assert periods[-1] == 0.5
    assert periods == sorted(periods, reverse=True)


@pytest.mark.parametrize("ends", [0.05, 0.1, 0.3])
def test_the_best_period_costs_least_in_counter_reads_and_latency_together(ends: float) -> None:
    def cost(period: float) -> float:
        return 1.0 / period + 10.0 * ends * period / 2.0

    best = best_read_period(ends, 10.0, longest=60.0)
    assert cost(best) < cost(best * 1.2)
    assert cost(best) < cost(best / 1.2)
