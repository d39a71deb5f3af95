"""The timetable, without an event loop: told the time, it says whom to ask and when."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from math import ceil, inf
from typing import Any

import pytest
from attrs import exceptions
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rh_async import PollingPolicy, TaskId
from rh_async._polling.completion_detector import QueueCounterDetector
from rh_async._polling.counter_evidence import CounterEvidence
from rh_async._polling.poll_queue import QUEUE_COUNTERS, PollTarget
from rh_async._polling.scheduler import PollScheduler
from tests.pure.fleet import (
    MODEL,
    Counts,
    Fleet,
    Frozen,
    Strangers,
    Told,
    drawn,
    learnt,
    lognormal,
    missing,
    often_at_once,
    two_humps,
)

A, B, C, D = (TaskId(name) for name in "abcd")
SAVED_UP = 1.5  # seconds of the budget


def alone(*tasks: TaskId, now: float = 0.0, accepted_at: float | None = 0.0, **policy: Any) -> PollScheduler:
    """A timetable that does not look at the counts."""
    scheduler = PollScheduler(PollingPolicy(**{"queue_counters": False, **policy}))
    for task in tasks:
        scheduler.track(task, now=now, accepted_at=accepted_at)
    return scheduler


def counting(*tasks: TaskId, now: float = 0.0, **policy: Any) -> PollScheduler:
    """A timetable that looks at the counts."""
    return alone(*tasks, now=now, accepted_at=now, queue_counters=True, **policy)


def evidence(scheduler: PollScheduler) -> CounterEvidence:
    """What the scheduler's detector has seen in the counters."""
    assert isinstance(scheduler.detector, QueueCounterDetector)
    return scheduler.detector.evidence


def next_question(scheduler: PollScheduler, *, now: float = 0.0) -> tuple[float, PollTarget]:
    """Wait until the agenda wakes, and take its question."""
    at = scheduler.next_poll_at()
    assert at is not None
    now = max(now, at)
    question = scheduler.next_poll(now=now)
    assert question is not None
    return now, question


def ask_about(scheduler: PollScheduler, task: TaskId) -> float:
    """Take the next question, which is about this job, and say when it was asked."""
    now, question = next_question(scheduler)
    assert question == task
    return now


def burst(scheduler: PollScheduler, *, now: float) -> list[PollTarget]:
    """Take every question that may be asked at one instant."""
    asked: list[PollTarget] = []
    while (question := scheduler.next_poll(now=now)) is not None:
        asked.append(question)
    return asked


# --- policy -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval": 0},
        {"interval": -1},
        {"interval": float("nan")},
        {"polls_per_second": 0},
        {"max_open_polls": 0},
        {"max_interval": 0},
        {"not_found_grace": -1},
        {"results_grace": -1},
        {"max_job_age": 0},
    ],
    ids=str,
)
def test_a_pace_that_could_never_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PollingPolicy(**wrong)


def test_a_pace_is_frozen_and_spreads_its_questions_over_the_second() -> None:
    policy = PollingPolicy(polls_per_second=4)
    assert policy.spacing(1) == policy.spacing(5000) == 0.25
    with pytest.raises(exceptions.FrozenInstanceError):
        policy.interval = 1.0  # type: ignore[misc]


def test_at_the_usual_interval_a_second_of_lateness_is_worth_about_ten_questions() -> None:
    assert PollingPolicy().latency_cost() == pytest.approx(10, abs=1)
    assert PollingPolicy().latency_cost(2000) == pytest.approx(10, abs=1)
    assert PollingPolicy(interval=2.5).latency_cost() == 4 * PollingPolicy().latency_cost()


@pytest.mark.parametrize(
    ("jobs", "per_second", "max_open"), [(1, 20, 8), (50, 20, 8), (96, 38.4, 8), (500, 200, 42), (2000, 800, 167)]
)
def test_unless_it_is_told_a_number_the_budget_follows_the_jobs_in_flight(
    jobs: int, per_second: float, max_open: int
) -> None:
    assert PollingPolicy().spacing(jobs) == pytest.approx(1 / per_second)
    assert PollingPolicy().max_open(jobs) == max_open
    assert PollingPolicy(polls_per_second=2, max_open_polls=3).spacing(jobs) == 0.5
    assert PollingPolicy(polls_per_second=2, max_open_polls=3).max_open(jobs) == 3


def test_waits_double_with_every_failure_up_to_the_ceiling() -> None:
    policy = PollingPolicy(interval=5, max_interval=60)
    assert [policy.backoff(failures) for failures in range(6)] == [5, 10, 20, 40, 60, 60]
    assert policy.backoff(10_000) == 60


def test_an_interval_longer_than_the_ceiling_stands() -> None:
    assert [PollingPolicy(interval=90, max_interval=60).backoff(failures) for failures in (0, 3)] == [90, 90]


# --- when -------------------------------------------------------------------------------------------------------------


def test_a_new_job_is_first_asked_about_when_the_quickest_may_have_ended() -> None:
    scheduler = alone(A, now=100, accepted_at=100)
    at = scheduler.next_poll_at()
    assert at is not None
    assert 1 <= at - 100 <= 60
    assert scheduler.next_poll(now=at - 0.01) is None
    assert scheduler.next_poll(now=at) == A


def test_a_job_of_a_model_that_is_known_is_not_asked_about_before_it_may_have_ended() -> None:
    known = learnt(lognormal(40, 0.05), policy=PollingPolicy(queue_counters=False, max_interval=60))
    known.track(A, now=0, accepted_at=0, endpoint=MODEL)
    at = known.next_poll_at()
    assert at is not None
    assert 25 < at < 45


def test_while_a_job_is_likely_to_end_it_is_asked_about_often_and_before_and_after_seldom() -> None:
    scheduler = learnt(lognormal(200, 0.05), policy=PollingPolicy(queue_counters=False))
    scheduler.track(A, now=0, accepted_at=0, endpoint=MODEL)
    looks = []
    for _ in range(30):
        looks.append(ask_about(scheduler, A))
        scheduler.still_running(A, now=looks[-1])
    likely = [at for at in looks if 180 <= at <= 220]
    assert len(likely) > 5 * len([at for at in looks if at < 160])
    assert max(after - before for before, after in pairwise(likely)) < 7


def test_a_job_submitted_elsewhere_is_asked_about_at_once_and_then_every_interval() -> None:
    scheduler = alone(A, now=100, accepted_at=None, interval=5)
    assert scheduler.next_poll_at() == 100
    assert scheduler.next_poll(now=100) == A
    scheduler.still_running(A, now=101)
    assert scheduler.next_poll_at() == 106


def test_a_job_that_may_have_ended_long_ago_is_asked_about_at_once() -> None:
    scheduler = alone(now=100)
    scheduler.track(A, now=100, accepted_at=20, at_once=True)
    assert scheduler.next_poll_at() == 100


def test_a_job_somebody_says_has_ended_is_asked_about_next() -> None:
    scheduler = alone(A, B)
    scheduler.poll_soon(B, now=1)
    assert scheduler.next_poll_at() == 1
    assert scheduler.next_poll(now=1) == B


def test_whoever_is_woken_twice_is_asked_about_once() -> None:
    scheduler = alone(A)
    scheduler.poll_soon(A, now=1)
    scheduler.poll_soon(A, now=1)
    assert burst(scheduler, now=1) == [A]


def test_waking_a_job_that_is_not_watched_does_no_harm() -> None:
    scheduler = alone(A)
    ask_about(scheduler, A)
    scheduler.poll_soon(B, now=30)
    assert scheduler.next_poll_at() is None
    assert B not in scheduler


def test_a_job_woken_while_its_question_is_open_is_asked_about_again_at_once_if_it_is_said_to_run() -> None:
    scheduler = alone(A)
    now = ask_about(scheduler, A)
    scheduler.poll_soon(A, now=now + 0.1)
    assert scheduler.next_poll_at() is None
    scheduler.still_running(A, now=now + 0.2)
    assert scheduler.next_poll(now=now + 0.2) == A
    scheduler.still_running(A, now=now + 0.3)  # once: the next time is the timetable's
    at = scheduler.next_poll_at()
    assert at is not None
    assert at >= now + 0.3 + scheduler.policy.interval * 0.2


def test_a_job_woken_while_its_question_is_open_is_not_forgotten_if_that_question_fails() -> None:
    scheduler = alone(A, interval=5)
    now = ask_about(scheduler, A)
    scheduler.poll_soon(A, now=now)
    scheduler.poll_failed(A, now=now)
    assert scheduler.next_poll_at() == now + 10
    assert scheduler.next_poll(now=now + 10) == A
    scheduler.still_running(A, now=now + 11)
    assert scheduler.next_poll(now=now + 11) == A


def test_a_job_whose_results_are_missing_is_asked_about_every_interval() -> None:
    scheduler = alone(A, interval=5)
    now = ask_about(scheduler, A)
    scheduler.awaits_results(A, now=now)
    scheduler.still_running(A, now=now)
    assert scheduler.next_poll_at() == now + 5


def test_with_nobody_to_ask_about_there_is_no_waking() -> None:
    scheduler = counting()
    assert scheduler.next_poll_at() is None
    assert scheduler.next_poll(now=1e9) is None


def test_while_its_question_is_open_a_job_is_not_asked_about_again() -> None:
    scheduler = alone(A)
    ask_about(scheduler, A)
    assert scheduler.next_poll_at() is None
    assert scheduler.next_poll(now=1e6) is None


def test_whoever_is_due_first_is_asked_about_first_and_ties_go_to_whoever_came_first() -> None:
    scheduler = alone()
    for task, at in ((C, 2.0), (B, 1.0), (A, 1.0)):
        scheduler.track(task, now=at, accepted_at=None)
    assert burst(scheduler, now=100) == [B, A, C]


def test_no_more_questions_are_open_than_allowed_until_one_is_answered() -> None:
    scheduler = alone(A, B, C, max_open_polls=2)
    assert len(burst(scheduler, now=100)) == 2
    assert scheduler.next_poll_at() is None
    scheduler.still_running(A, now=101)
    assert scheduler.next_poll(now=101) == C


def test_the_question_about_everybody_takes_a_place_like_any_other() -> None:
    scheduler = counting(A, max_open_polls=1)
    assert scheduler.next_poll(now=0) is QUEUE_COUNTERS
    assert scheduler.next_poll(now=100) is None
    scheduler.counters_read(1, now=100)
    assert scheduler.next_poll(now=100) == A


def test_failures_back_off_up_to_the_ceiling_and_an_answer_forgives_them_all() -> None:
    scheduler = alone(A, interval=5, max_interval=30)
    waits, now = [], ask_about(scheduler, A)
    for _ in range(4):
        scheduler.poll_failed(A, now=now)
        waits.append(-now)
        now = ask_about(scheduler, A)
        waits[-1] += now
    assert waits == pytest.approx([10, 20, 30, 30])
    scheduler.still_running(A, now=now)
    now = ask_about(scheduler, A)
    scheduler.poll_failed(A, now=now)
    assert scheduler.next_poll_at() == now + 10


# --- the budget -------------------------------------------------------------------------------------------------------


def test_questions_keep_their_distance_once_what_was_saved_up_is_spent() -> None:
    scheduler = alone(polls_per_second=2, max_open_polls=100)
    for n in range(10):
        scheduler.track(TaskId(f"t{n}"), now=0, accepted_at=None)
    assert len(burst(scheduler, now=100)) == 2 * SAVED_UP + 1
    assert scheduler.next_poll_at() == 100.5
    assert len(burst(scheduler, now=100.5)) == 1
    assert scheduler.next_poll(now=100.9) is None


def test_with_more_jobs_than_the_budget_has_questions_every_gap_is_stretched_alike() -> None:
    scheduler, asked = alone(polls_per_second=1, max_open_polls=100), 0
    tasks = [TaskId(f"t{n}") for n in range(300)]
    for task in tasks:
        scheduler.track(task, now=0, accepted_at=0)
    now, looks = 0.0, dict.fromkeys(tasks, 0)
    while now < 3000:
        now, question = next_question(scheduler)
        assert isinstance(question, str)
        looks[question] += 1
        asked += 1
        scheduler.still_running(question, now=now)
    assert 2500 < asked <= 3000 + SAVED_UP + 1
    assert min(looks.values()) >= max(looks.values()) - 2


def test_gaps_that_are_stretched_leave_room_for_whoever_is_woken() -> None:
    scheduler = alone(*(TaskId(f"t{n}") for n in range(50)), polls_per_second=1, max_open_polls=100)
    now = 0.0
    while now < 600:
        now, question = next_question(scheduler)
        assert isinstance(question, str)
        scheduler.still_running(question, now=now)
    for n in range(20):
        woken, since = TaskId(f"t{n}"), now
        scheduler.poll_soon(woken, now=now)
        while True:
            now, question = next_question(scheduler)
            assert isinstance(question, str)
            scheduler.still_running(question, now=now)
            if question == woken:
                break
        assert now - since <= 10  # unstretched, the whole row would be asked about first: 44 s


@pytest.mark.parametrize("counts", [None, Frozen(), drawn, missing], ids=["true", "frozen", "random", "missing"])
def test_on_a_small_budget_looking_at_the_counts_keeps_nobody_waiting(counts: Counts | None) -> None:
    scheduler = learnt(lognormal(), policy=PollingPolicy(polls_per_second=0.5))
    fleet = Fleet(scheduler) if counts is None else Fleet(scheduler, counts=counts)
    assert max(fleet.run(100).late) < 120 + 15  # twice a minute for fifty jobs: the ceiling is 100 s


# --- who --------------------------------------------------------------------------------------------------------------


def test_a_job_is_watched_once_however_often_it_is_given() -> None:
    scheduler = alone(A)
    at = scheduler.next_poll_at()
    scheduler.track(A, now=3, accepted_at=None)
    assert len(scheduler) == 1
    assert scheduler.next_poll_at() == at


def test_a_forgotten_job_is_never_asked_about() -> None:
    scheduler = alone(A, B)
    scheduler.forget(A, now=1)
    assert A not in scheduler
    assert B in scheduler
    assert len(scheduler) == 1
    assert burst(scheduler, now=1000) == [B]


def test_forgetting_a_job_frees_the_place_of_its_open_question() -> None:
    scheduler = alone(A, B, max_open_polls=1)
    ask_about(scheduler, A)
    scheduler.forget(A, now=100)
    assert scheduler.next_poll(now=100) == B


def test_forgetting_a_job_nobody_watches_does_no_harm() -> None:
    scheduler = alone(A)
    scheduler.forget(B, now=1)
    assert len(scheduler) == 1
    assert burst(scheduler, now=1000) == [A]


@pytest.mark.parametrize("late", [PollScheduler.still_running, PollScheduler.poll_failed, PollScheduler.settled])
def test_an_answer_about_a_forgotten_job_changes_nothing(late: Any) -> None:
    scheduler = alone(A)
    now = ask_about(scheduler, A)
    scheduler.forget(A, now=now)
    late(scheduler, A, now=now + 1)
    assert A not in scheduler
    assert scheduler.next_poll_at() is None
    assert not scheduler.detection_latencies


@pytest.mark.parametrize("late", [PollScheduler.still_running, PollScheduler.poll_failed])
def test_an_answer_from_before_a_job_was_watched_again_does_not_move_its_time(late: Any) -> None:
    scheduler = alone(A)
    ask_about(scheduler, A)
    scheduler.forget(A, now=60)
    scheduler.track(A, now=60, accepted_at=60)
    at = scheduler.next_poll_at()
    late(scheduler, A, now=61)
    assert scheduler.next_poll_at() == at


def test_the_budget_remembers_nothing_of_those_who_are_gone() -> None:
    scheduler = alone(polls_per_second=1)
    for n in range(500):
        scheduler.track(TaskId(f"t{n}"), now=0, accepted_at=0)
    for n in range(500):
        scheduler.forget(TaskId(f"t{n}"), now=1)
    scheduler.track(A, now=1, accepted_at=None)
    scheduler.next_poll(now=1)
    scheduler.still_running(A, now=1)
    assert scheduler.next_poll_at() == pytest.approx(1 + scheduler.policy.interval)


# --- how long ---------------------------------------------------------------------------------------------------------


def test_a_job_is_newborn_for_a_while_after_its_acceptance() -> None:
    scheduler = alone(A, now=50, accepted_at=40, not_found_grace=60)
    assert scheduler.in_not_found_grace(A, now=99.9)
    assert not scheduler.in_not_found_grace(A, now=100)


def test_a_job_submitted_elsewhere_or_not_watched_is_never_newborn() -> None:
    scheduler = alone(A, now=50, accepted_at=None)
    assert not scheduler.in_not_found_grace(A, now=50)
    assert not scheduler.in_not_found_grace(B, now=50)


def test_missing_results_are_awaited_for_a_while_after_they_were_first_missed() -> None:
    scheduler = alone(A, results_grace=60)
    assert scheduler.awaits_results(A, now=10)
    assert scheduler.awaits_results(A, now=69.9)
    assert not scheduler.awaits_results(A, now=70)


def test_nobody_awaits_the_results_of_a_job_that_is_not_watched() -> None:
    assert not alone(A).awaits_results(B, now=0)


def test_with_no_patience_for_results_none_are_awaited() -> None:
    assert not alone(A, results_grace=0).awaits_results(A, now=10)


def test_a_job_is_overdue_from_the_horizon_on_counted_from_when_it_is_watched() -> None:
    scheduler = alone(A, now=100, accepted_at=50, max_job_age=1000)
    assert not scheduler.exceeds_max_age(A, now=1099.9)
    assert scheduler.exceeds_max_age(A, now=1100)
    assert not scheduler.exceeds_max_age(B, now=1e9)


def test_what_was_remembered_of_a_job_is_forgotten_with_it() -> None:
    scheduler = alone(A, results_grace=60, max_job_age=1000)
    assert scheduler.awaits_results(A, now=10)
    scheduler.forget(A, now=20)
    scheduler.track(A, now=2000, accepted_at=2000)
    assert scheduler.awaits_results(A, now=2000)
    assert not scheduler.exceeds_max_age(A, now=2500)
    assert scheduler.in_not_found_grace(A, now=2000)


# --- what is learnt ---------------------------------------------------------------------------------------------------


def test_an_end_is_taken_to_lie_halfway_between_the_last_answer_and_the_one_that_told_it() -> None:
    scheduler = alone()
    scheduler.track(A, now=0, accepted_at=0, endpoint=MODEL)
    scheduler.poll_soon(A, now=100)
    scheduler.next_poll(now=100)
    scheduler.still_running(A, now=100)
    scheduler.settled(A, now=110)
    assert list(scheduler.detection_latencies) == [5]
    assert scheduler.estimator(MODEL).unscaled.samples == 1
    assert scheduler.estimator(MODEL).unscaled.quantile(0.5) < 180


@pytest.mark.parametrize(("ran", "accepted_at"), [(False, 0.0), (True, None)], ids=["cancelled", "elsewhere"])
def test_a_job_that_did_not_run_to_its_end_or_began_nobody_knows_when_teaches_nothing(
    ran: bool, accepted_at: float | None
) -> None:
    scheduler = alone()
    scheduler.track(A, now=0, accepted_at=accepted_at, endpoint=MODEL)
    scheduler.settled(A, now=9, ran=ran)
    assert scheduler.estimator(MODEL).unscaled.samples == 0
    assert A not in scheduler


def test_each_model_has_run_times_of_its_own() -> None:
    scheduler = alone()
    for _ in range(50):
        scheduler.learn("/quick", 20)
        scheduler.learn("/slow", 500)
    assert scheduler.estimator("/quick").unscaled.quantile(0.5) < 25
    assert scheduler.estimator("/slow").unscaled.quantile(0.5) > 400


def test_a_job_that_waits_in_the_queue_has_not_begun_to_run() -> None:
    scheduler = alone()
    scheduler.track(A, now=0, accepted_at=0, endpoint=MODEL)
    for now, queued in ((500.0, True), (510.0, False), (610.0, False)):
        scheduler.poll_soon(A, now=now)
        scheduler.next_poll(now=now)
        scheduler.still_running(A, now=now, queued=queued)
    scheduler.settled(A, now=610)
    assert scheduler.detection_latencies[-1] == 0
    # It began between 500 and 510: it ran for 105 s, and not for 610.
    expected = alone().estimator(MODEL)
    expected.learn(105.0, None)
    assert scheduler.estimator(MODEL).unscaled.quantile(0.5) == expected.unscaled.quantile(0.5)


def test_while_a_job_waits_in_the_queue_what_is_left_of_it_does_not_shrink() -> None:
    scheduler = alone(A)
    first = scheduler.eta(A, now=0)
    for now in (100.0, 200.0, 300.0):
        scheduler.poll_soon(A, now=now)
        scheduler.next_poll(now=now)
        scheduler.still_running(A, now=now, queued=True)
        assert scheduler.eta(A, now=now + 50) == first


def test_what_is_left_of_a_job_shrinks_as_it_runs_and_is_never_less_than_nothing() -> None:
    scheduler = learnt(lognormal(), policy=PollingPolicy(queue_counters=False))
    scheduler.track(A, now=0, accepted_at=0, endpoint=MODEL)
    left = [scheduler.eta(A, now=now) for now in (0.0, 60.0, 120.0, 1e6)]
    assert left[0] == pytest.approx(180, rel=0.1)
    assert all(one is not None and one >= 0 for one in left)
    assert left[0] > left[1] > left[2]  # type: ignore[operator]


def test_nothing_is_known_of_what_is_left_of_a_job_submitted_elsewhere_or_not_watched() -> None:
    scheduler = alone(A, accepted_at=None)
    assert scheduler.eta(A, now=10) is None
    assert scheduler.eta(B, now=10) is None


# --- one question about everybody -------------------------------------------------------------------------------------


def test_the_counts_are_looked_at_once_a_job_is_watched_and_never_twice_at_once() -> None:
    scheduler = counting()
    assert scheduler.next_poll(now=0) is None
    scheduler.track(A, now=1, accepted_at=1)
    assert scheduler.next_poll(now=1) is QUEUE_COUNTERS
    assert scheduler.next_poll(now=1) is None
    assert QUEUE_COUNTERS not in burst(scheduler, now=1000)


def test_a_pace_without_counts_never_looks_at_them() -> None:
    told = Fleet(learnt(lognormal(), policy=PollingPolicy(queue_counters=False))).run(60)
    assert told.questions["counts"] == 0


def until_counts(scheduler: PollScheduler, *, now: float) -> float:
    """Answer that everybody runs, until the counts are asked for, and say when they are."""
    while True:
        now, question = next_question(scheduler, now=now)
        if question is QUEUE_COUNTERS:
            return now
        if isinstance(question, str):
            scheduler.still_running(question, now=now)


def test_when_the_counts_fall_by_one_the_likeliest_is_asked_about_at_once() -> None:
    scheduler = learnt(lognormal(180, 0.1))
    scheduler.track(A, now=0, accepted_at=0, endpoint=MODEL)  # due to end
    scheduler.track(B, now=150, accepted_at=150, endpoint=MODEL)
    now = 150.0
    while now < 175:
        now = until_counts(scheduler, now=now)
        scheduler.counters_read(2, now=now)
    now = until_counts(scheduler, now=now)
    scheduler.counters_read(1, now=now)
    assert scheduler.next_poll(now=now) == A


def fallen_while_asked_about(*, rest: int) -> tuple[PollScheduler, float]:
    """A's question is open, and the counts have fallen by one; so many others are not as likely to have ended."""
    scheduler = learnt(lognormal(100, 0.2))
    scheduler.track(A, now=0, accepted_at=-10, endpoint=MODEL)
    for n in range(rest):
        scheduler.track(TaskId(f"t{n}"), now=0, accepted_at=0, endpoint=MODEL)
    assert scheduler.next_poll(now=0) is QUEUE_COUNTERS
    scheduler.counters_read(1 + rest, now=0)
    evidence(scheduler).next_read_at = 55
    scheduler.poll_soon(A, now=54)
    assert scheduler.next_poll(now=54) == A
    assert scheduler.next_poll(now=55) is QUEUE_COUNTERS
    scheduler.counters_read(rest, now=55)
    assert evidence(scheduler).unaccounted == 1
    return scheduler, 55


def test_an_end_whose_question_was_open_when_the_counts_fell_is_found_and_not_lost() -> None:
    scheduler, now = fallen_while_asked_about(rest=1)
    before = evidence(scheduler).reliability
    scheduler.settled(A, now=now + 0.1)
    assert evidence(scheduler).unaccounted == 0
    assert evidence(scheduler).next_candidate() is None
    assert evidence(scheduler).reliability > before


def test_whoever_is_asked_about_when_the_counts_fall_counts_as_being_asked() -> None:
    scheduler, now = fallen_while_asked_about(rest=20)
    others = burst(scheduler, now=now)
    assert A not in others
    answered, _ = fallen_while_asked_about(rest=20)
    answered.still_running(A, now=now)
    assert len(burst(answered, now=now)) == len(others) + 1


def test_strangers_at_the_very_start_do_not_switch_the_counts_off_for_long_once_ours_are_many() -> None:
    def with_strangers(fleet: Fleet) -> int:
        return fleet.alive + (200 if fleet.now < 30 else 10)

    fleet = Fleet(learnt(lognormal()), counts=with_strangers)
    told = fleet.run(300)
    looks = [at for at, task in fleet.asked if task is None]
    assert looks[0] < 1
    assert 60 <= looks[1] < 65
    assert told.questions["counts"] >= told.jobs
    assert told.mean <= 1.2


@pytest.mark.parametrize("change", ["watched", "forgotten", "submitting", "submitted"])
def test_counts_that_were_asked_for_while_jobs_came_or_went_are_not_believed(change: str) -> None:
    scheduler = counting(A, B)
    assert scheduler.next_poll(now=0) is QUEUE_COUNTERS
    scheduler.counters_read(2, now=0)
    now = 0.0
    if change == "submitted":
        scheduler.adjust_submits_in_flight(1)
    at = scheduler.next_poll_at()
    assert at is not None
    now = at
    assert scheduler.next_poll(now=now) is QUEUE_COUNTERS
    if change == "watched":
        scheduler.track(C, now=now, accepted_at=now)
    if change == "forgotten":
        scheduler.forget(B, now=now)
    if change == "submitting":
        scheduler.adjust_submits_in_flight(1)
    if change == "submitted":
        scheduler.adjust_submits_in_flight(-1)
    scheduler.counters_read(0, now=now)
    assert evidence(scheduler).unaccounted == 0
    assert evidence(scheduler).all_running_at == 0


def test_counts_that_lost_all_trust_while_they_were_on_their_way_are_left_alone_for_five_minutes() -> None:
    scheduler = counting(A, B)
    assert scheduler.next_poll(now=0) is QUEUE_COUNTERS
    scheduler.counters_read(2, now=5)
    now = until_counts(scheduler, now=5)
    evidence(scheduler).read_refused(now=now)
    assert not evidence(scheduler).confidence
    scheduler.counters_read(1, now=now + 1)
    assert evidence(scheduler).next_read_at == now + 300


def test_a_suspect_of_whom_nothing_can_be_learnt_waits_as_long_as_any_other_job() -> None:
    scheduler = counting(A, B, max_open_polls=1)
    now, question = next_question(scheduler)
    while now < 90 or question is not QUEUE_COUNTERS:
        if isinstance(question, str):
            scheduler.still_running(question, now=now)
        else:
            scheduler.counters_read(2, now=now)
        now, question = next_question(scheduler, now=now)
    scheduler.counters_read(1, now=now)
    (suspect,) = burst(scheduler, now=now)
    assert isinstance(suspect, str)
    scheduler.poll_failed(suspect, now=now)
    assert suspect not in burst(scheduler, now=now + 1)


def test_disturbed_counts_that_strangers_crowd_are_not_asked_for_again_at_once() -> None:
    scheduler = counting(A, B)
    assert scheduler.next_poll(now=0) is QUEUE_COUNTERS
    scheduler.counters_read(202, now=0)
    assert not evidence(scheduler).confidence
    now = until_counts(scheduler, now=0)
    scheduler.adjust_submits_in_flight(1)
    scheduler.counters_read(203, now=now)
    assert evidence(scheduler).next_read_at > now


def test_counts_that_nobody_may_read_are_asked_for_once_in_five_minutes_and_then_less_and_less() -> None:
    fleet = Fleet(learnt(lognormal()), counts=missing)
    fleet.run(300)
    looks = [at for at, task in fleet.asked if task is None]
    assert looks == pytest.approx([0, 300, 900], abs=2)


def test_once_the_counts_lose_their_trust_the_gaps_that_were_chosen_in_it_are_shortened() -> None:
    scheduler = counting(A, B)
    evidence(scheduler).reliability = 0.95
    now = until_counts(scheduler, now=0)
    scheduler.counters_read(2, now=now)
    now, question = next_question(scheduler, now=now + 60)
    while question is QUEUE_COUNTERS:
        scheduler.counters_read(2, now=now)
        now, question = next_question(scheduler, now=now)
    assert isinstance(question, str)
    scheduler.still_running(question, now=now)
    trusting = due(scheduler, question)
    evidence(scheduler).reliability = 0.41
    scheduler.settled(B if question == A else A, now=now + 1)
    assert not evidence(scheduler).confidence
    assert due(scheduler, question) < trusting


def due(scheduler: PollScheduler, task: TaskId) -> float:
    entry = scheduler._jobs[task].entry
    assert entry is not None
    return entry[0]


# --- the bars: fifty in flight, three minutes each, within a factor of one and a half ---------------------------------


def told_by(scheduler: PollScheduler, jobs: int = 600, **world: Any) -> Told:
    return Fleet(scheduler, **world).run(jobs)


def test_with_counts_to_read_and_run_times_learnt_twenty_requests_notice_an_end_within_a_second() -> None:
    told = told_by(learnt(lognormal()))
    assert told.jobs == len(told.late) == 600
    assert told.requests <= 20
    assert told.mean <= 0.7


def test_with_answers_that_take_a_tenth_of_a_second_the_search_asks_ahead_of_them() -> None:
    """A dozen questions to a find, each after the answer to the one before: they must not add up to a second.

    Measured over six seeds, asked no more than one ahead: 18.2 requests, 1.18 s late on average. A few ahead, as it is:
    19.8 requests (19.4 to 20.2) and 0.83 s (0.82 to 0.85), of which the way is a tenth. Yet another one ahead would
    cost 0.4 requests and be 0.04 s sooner.
    """
    runs = [told_by(learnt(lognormal(), seed=seed), rtt=0.1, chance=random.Random(seed)) for seed in range(1, 4)]
    assert sum(told.requests for told in runs) / len(runs) <= 20
    assert max(told.mean for told in runs) <= 0.87


@pytest.mark.parametrize("seconds", [0.0, 0.3])
def test_jobs_that_fail_as_soon_as_they_are_accepted_cost_the_counts_no_trust(seconds: float) -> None:
    """A tenth of them, though nobody has ever seen one: half of the seeds used to be 2 s late on average, or more."""
    runs = [
        told_by(learnt(lognormal(), seed=seed), 400, draw=often_at_once(seconds=seconds), chance=random.Random(seed))
        for seed in range(3)
    ]
    assert sum(told.requests for told in runs) / len(runs) <= 21
    assert max(told.mean for told in runs) <= 0.8


@pytest.mark.parametrize(
    "counts",
    [lambda: missing, Frozen, lambda: drawn, lambda: Strangers(lognormal())],
    ids=["missing", "frozen", "random", "shared"],
)
def test_with_counts_that_tell_nothing_it_costs_little_more_and_ends_are_noticed_in_seconds(
    counts: Callable[[], Counts],
) -> None:
    runs = [
        told_by(learnt(lognormal(), seed=seed), 600, counts=counts(), chance=random.Random(seed)) for seed in range(2)
    ]
    late = [one for told in runs for one in told.late]
    assert sum(told.requests for told in runs) / len(runs) <= 28
    assert sum(late) / len(late) <= 2.6
    assert sorted(late)[int(0.99 * len(late))] <= 10


def test_the_first_fifty_jobs_of_all_are_cheap_though_nothing_is_known() -> None:
    runs = [told_by(PollScheduler(PollingPolicy()), 50, chance=random.Random(seed)) for seed in range(5)]
    assert sum(told.requests for told in runs) / len(runs) <= 32
    assert max(told.mean for told in runs) <= 3


def test_jobs_that_are_quick_or_slow_and_nothing_between_cost_less_than_a_broad_hump() -> None:
    broad = told_by(learnt(lognormal()), 300, counts=missing)
    told = told_by(learnt(two_humps()), 300, draw=two_humps(), counts=missing)
    assert told.requests < 0.85 * broad.requests
    assert told.mean <= 2.6


def test_a_model_known_better_needs_fewer_questions() -> None:
    broad, narrow = (told_by(learnt(lognormal(180, sigma)), 300, draw=lognormal(180, sigma)) for sigma in (0.4, 0.2))
    assert narrow.requests < 0.85 * broad.requests


def test_with_many_in_flight_an_explicit_budget_holds_and_the_counts_are_left_alone() -> None:
    fleet = Fleet(learnt(lognormal(), policy=PollingPolicy(polls_per_second=20)), slots=500)
    told = fleet.run(600)
    assert told.requests <= 15
    crowded = [task for at, task in fleet.asked if at < 150]
    assert len(crowded) <= 20 * (150 + SAVED_UP) + 1
    assert crowded.count(None) <= 2


@pytest.mark.parametrize("slots", [200, 600])
def test_with_hundreds_in_flight_it_is_no_later_than_a_question_every_five_seconds_and_asks_two_thirds(
    slots: int,
) -> None:
    """Benchmarks/scale has the exact bar, over many more jobs: 65 %, and not later by anything."""
    fleet = Fleet(learnt(lognormal()), slots=slots)
    fleet.run(5 * slots)
    steady = [TaskId(f"t{n}") for n in range(slots, 4 * slots)]
    asked = Counter(task for _, task in fleet.asked)
    run_times = [fleet.run_times[task] for task in steady]
    naive = [ceil(run_time / 5.0) for run_time in run_times]
    assert sum(asked[task] for task in steady) <= 0.68 * sum(naive)
    late = sum(5.0 * asked - run_time for asked, run_time in zip(naive, run_times, strict=True))
    assert sum(fleet.late[task] for task in steady) <= 1.08 * late


# --- a model that nobody knows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.1, 2.0, 5.0, 10.0, 20.0, 40.0])
def test_a_job_of_an_unknown_model_is_noticed_in_two_seconds_by_the_counts(seconds: float) -> None:
    told = told_by(PollScheduler(PollingPolicy()), 1, slots=1, draw=lambda _: seconds)
    assert told.mean <= 2.0


@pytest.mark.parametrize("seconds", [0.1, 2.0, 5.0, 10.0, 20.0, 40.0])
def test_without_the_counts_it_is_noticed_in_three_or_in_a_quarter_of_its_run_time(seconds: float) -> None:
    told = told_by(PollScheduler(PollingPolicy()), 1, slots=1, draw=lambda _: seconds, counts=missing)
    assert told.mean <= max(3.0, 0.25 * seconds)


@pytest.mark.parametrize("counts", [None, missing], ids=["counts", "missing"])
def test_a_batch_whose_jobs_all_fail_at_once_is_not_silent(counts: Counts | None) -> None:
    world = {} if counts is None else {"counts": counts}
    told = told_by(PollScheduler(PollingPolicy()), 50, rtt=0.1, draw=lambda _: 0.1, **world)
    assert max(told.late) <= 4.0


def test_fifty_jobs_of_ten_seconds_are_soon_replaced_though_their_model_is_unknown() -> None:
    fleet = Fleet(PollScheduler(PollingPolicy()), rtt=0.1, draw=lambda _: 10.0)
    told = fleet.run(200)
    assert fleet.now - told.late[-1] <= 1.15 * 40.0  # until the last job's end


def test_a_model_that_is_known_is_not_asked_about_as_an_unknown_one() -> None:
    told = told_by(
        learnt(lognormal(180, 0.1), samples=30, policy=PollingPolicy(queue_counters=False)),
        1,
        slots=1,
        draw=lambda _: 60.0,
    )
    assert told.questions["query"] <= 2


def test_while_it_waits_in_the_queue_a_job_of_an_unknown_model_is_asked_about_less_and_less() -> None:
    scheduler, asked = alone(A), list[float]()
    while not asked or asked[-1] < 600.0:
        asked.append(ask_about(scheduler, A))
        scheduler.still_running(A, now=asked[-1], queued=True)
    assert asked[0] <= 3.0
    assert len(asked) <= 36  # every 2.5 s would be 240


def test_a_new_job_of_an_unknown_model_hastens_the_next_look_at_the_counts() -> None:
    scheduler = learnt(lognormal(3000, 0.01))
    scheduler.track(A, now=0, accepted_at=0, endpoint=MODEL)
    assert scheduler.next_poll(now=0) is QUEUE_COUNTERS
    scheduler.counters_read(1, now=0)
    assert scheduler.next_poll_at() == 10.0
    scheduler.track(B, now=1, accepted_at=1, endpoint="/new")
    assert scheduler.next_poll_at() == 1.5


def test_an_end_that_a_webhook_told_of_is_not_held_against_the_counts() -> None:
    scheduler = counting(A, B)
    now = until_counts(scheduler, now=0)
    scheduler.counters_read(2, now=now)
    before = evidence(scheduler).reliability
    scheduler.poll_soon(A, now=now + 0.1)
    assert scheduler.next_poll(now=now + 0.1) == A
    scheduler.settled(A, now=now + 0.2)
    assert evidence(scheduler).reliability == before
    assert scheduler.detection_latencies[-1] == pytest.approx(0.05)


def test_a_job_submitted_elsewhere_that_is_gone_from_the_counts_is_asked_about_and_not_laid_to_others() -> None:
    scheduler = alone(A, B, accepted_at=None, queue_counters=True, max_open_polls=1)
    assert scheduler.next_poll(now=0) is QUEUE_COUNTERS
    scheduler.counters_read(1, now=0.1)
    assert evidence(scheduler).unaccounted == 1
    suspect = scheduler.next_poll(now=0.1)
    assert isinstance(suspect, str)
    scheduler.settled(suspect, now=0.2)
    assert evidence(scheduler).unaccounted == 0
    assert evidence(scheduler).reliability > 0.8


# --- any order of events ----------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    jobs=st.integers(1, 70),
    per_second=st.sampled_from([0.5, 1.0, 2.0, 20.0]),
    interval=st.sampled_from([5.0, 20.0]),
    counts=st.sampled_from([None, 0, 1, 50]),
    seed=st.integers(0, 99),
)
def test_every_job_is_asked_about_within_the_ceiling_whatever_the_counts_say(
    jobs: int, per_second: float, interval: float, counts: int | None, seed: int
) -> None:
    """Nobody ever ends; whatever the counts hint at is wrong."""
    scheduler = PollScheduler(PollingPolicy(polls_per_second=per_second, interval=interval))
    chance = random.Random(seed)
    seen = {TaskId(f"t{n}"): 0.0 for n in range(jobs)}
    for task in seen:
        scheduler.track(task, now=0, accepted_at=0)
    ceiling = max(60.0, jobs / per_second)
    # A search may come between, and looks at the counts take their turn among the jobs.
    slack = 5.0 + jobs / per_second + (ceiling / per_second) ** 0.5
    now = 0.0
    while now < 3.0 * ceiling:
        now, question = next_question(scheduler)
        if question is QUEUE_COUNTERS:
            scheduler.counters_read(None if counts is None else chance.randint(0, counts), now=now)
        elif isinstance(question, str):
            assert now - seen[question] <= ceiling + slack
            seen[question] = now
            scheduler.still_running(question, now=now)
    assert all(now - at <= ceiling + slack for at in seen.values())


class Timetable(RuleBasedStateMachine):
    """The agenda beside what anybody may ask of it, whatever happens in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.policy = PollingPolicy(polls_per_second=2, max_open_polls=3, max_interval=20)
        self.scheduler = PollScheduler(self.policy)
        self.now = 0.0
        self.named = 0
        self.watched: set[TaskId] = set()
        self.open: set[TaskId] = set()
        self.counting = False
        self.submitting = 0
        self.asked_at: list[float] = []

    def _one(self, data: st.DataObject, among: set[TaskId]) -> TaskId:
        return data.draw(st.sampled_from(sorted(among)))

    @rule(elsewhere=st.booleans(), age=st.floats(0, 1000), at_once=st.booleans(), model=st.sampled_from(["", MODEL]))
    def watch(self, elsewhere: bool, age: float, at_once: bool, model: str) -> None:
        self.named += 1
        task = TaskId(f"t{self.named}")
        accepted_at = None if elsewhere else self.now - age
        self.scheduler.track(task, now=self.now, accepted_at=accepted_at, endpoint=model, at_once=at_once)
        self.watched.add(task)

    @rule(dt=st.one_of(st.floats(0, 20), st.floats(0, 10_000)))
    def sleep(self, dt: float) -> None:
        self.now += dt

    @precondition(lambda self: self.scheduler.next_poll_at() is not None)
    @rule()
    def sleep_until_woken(self) -> None:
        self.now = max(self.now, self.scheduler.next_poll_at() or 0.0)

    @rule()
    def ask(self) -> None:
        due = self.scheduler.next_poll_at()
        question = self.scheduler.next_poll(now=self.now)
        assert (question is not None) == (due is not None and due <= self.now)
        if question is None:
            return
        self.asked_at.append(self.now)
        if question is QUEUE_COUNTERS:
            assert not self.counting
            self.counting = True
        elif isinstance(question, str):
            assert question in self.watched - self.open
            self.open.add(question)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), queued=st.booleans())
    def answer(self, data: st.DataObject, queued: bool) -> None:
        task = self._one(data, self.open)
        self.open.remove(task)
        self.scheduler.still_running(task, now=self.now, queued=queued)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        task = self._one(data, self.open)
        self.open.remove(task)
        self.scheduler.poll_failed(task, now=self.now)

    @precondition(lambda self: self.watched)
    @rule(data=st.data(), ran=st.booleans())
    def end(self, data: st.DataObject, ran: bool) -> None:
        task = self._one(data, self.watched)
        self.scheduler.settled(task, now=self.now, ran=ran)
        self.watched.discard(task)
        self.open.discard(task)

    @precondition(lambda self: self.watched)
    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        task = self._one(data, self.watched)
        self.scheduler.forget(task, now=self.now)
        self.watched.discard(task)
        self.open.discard(task)

    @precondition(lambda self: self.watched)
    @rule(data=st.data())
    def wake(self, data: st.DataObject) -> None:
        task = self._one(data, self.watched)
        self.scheduler.poll_soon(task, now=self.now)

    @precondition(lambda self: self.watched)
    @rule(data=st.data())
    def answer_out_of_turn(self, data: st.DataObject) -> None:
        task = self._one(data, self.watched)
        if task not in self.open:
            self.scheduler.still_running(task, now=self.now)
            self.scheduler.poll_failed(task, now=self.now)

    @precondition(lambda self: self.counting)
    @rule(total=st.one_of(st.none(), st.integers(0, 12), st.integers(100, 300)))
    def counted(self, total: int | None) -> None:
        self.counting = False
        self.scheduler.counters_read(total, now=self.now)
        self._the_counts_rest()

    @precondition(lambda self: self.counting)
    @rule(gone=st.integers(0, 3))
    def counted_as_many_as_there_are_but_a_few(self, gone: int) -> None:
        self.counting = False
        self.scheduler.counters_read(max(0, len(self.watched) - gone), now=self.now)
        self._the_counts_rest()

    @precondition(lambda self: self.counting)
    @rule(retryable=st.booleans())
    def not_counted(self, retryable: bool) -> None:
        self.counting = False
        self.scheduler.counters_failed(now=self.now, retryable=retryable)
        self._the_counts_rest()

    def _the_counts_rest(self) -> None:
        """For a while, or they would take the budget that the jobs need."""
        assert evidence(self.scheduler).next_read_at > self.now

    @rule()
    def submit(self) -> None:
        self.scheduler.adjust_submits_in_flight(1)
        self.submitting += 1

    @precondition(lambda self: self.submitting)
    @rule()
    def answer_a_submit(self) -> None:
        self.scheduler.adjust_submits_in_flight(-1)
        self.submitting -= 1

    @invariant()
    def never_too_many_questions_are_open(self) -> None:
        assert len(self.open) + self.counting <= self.policy.max_open(len(self.watched))

    @invariant()
    def over_any_stretch_the_budget_holds(self) -> None:
        per_second = 1.0 / self.policy.spacing(len(self.watched))
        for first, at in enumerate(self.asked_at):
            window = self.asked_at[-1] - at if self.asked_at else 0.0
            assert len(self.asked_at) - first <= per_second * (window + SAVED_UP) + 1 + 1e-6

    @invariant()
    def watches_exactly_who_has_not_ended_and_was_not_forgotten(self) -> None:
        assert len(self.scheduler) == len(self.watched)
        assert all(task in self.scheduler for task in self.watched)

    @invariant()
    def wakes_for_anybody_who_is_not_being_asked_about(self) -> None:
        full = len(self.open) + self.counting >= self.policy.max_open(len(self.watched))
        due = self.scheduler.next_poll_at()
        assert (due is None) == (full or not (self.watched - self.open or (self.watched and not self.counting)))

    @invariant()
    def trust_is_a_share(self) -> None:
        assert 0.0 <= evidence(self.scheduler).confidence <= 1.0
        assert evidence(self.scheduler).unaccounted >= 0
        assert evidence(self.scheduler).next_read_at < inf


TestTimetable = Timetable.TestCase
TestTimetable.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
