"""What the account's queue counters show, and how far they are believed, over many reads."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rh_async import TaskId
from rh_async._polling.candidate_search import Candidate
from rh_async._polling.counter_evidence import CounterEvidence

A, B, C = (TaskId(name) for name in "abc")
JOBS = 3


def candidates() -> list[Candidate]:
    return [(0.9, 100.0, A), (0.5, 100.0, B), (0.1, 100.0, C)]


def read(*totals: int, jobs: int = JOBS, first: float = 0.0) -> CounterEvidence:
    """Read these totals, one a second, while every job is still tracked."""
    evidence = tracking(jobs)
    for second, total in enumerate(totals):
        read_total(evidence, total, now=first + second)
    return evidence


def tracking(jobs: int = JOBS) -> CounterEvidence:
    """Return the evidence about so many tracked jobs, before the first read."""
    evidence = CounterEvidence()
    evidence.job_count = jobs
    return evidence


def read_total(evidence: CounterEvidence, total: int, *, now: float) -> None:
    evidence.read_started()
    evidence.counters_read(total, candidates, now=now)


def search(evidence: CounterEvidence, *, now: float, ended: set[TaskId]) -> list[TaskId]:
    """Poll every candidate that is worth it, and return which were polled."""
    polled = []
    while (task := evidence.next_candidate()) is not None:
        polled.append(task)
        evidence.poll_started(task)
        if task in ended:
            evidence.confirmed_done(task, missed=0.0, now=now)
        evidence.confirmed_running(task, now=now)
    return polled


# --- candidates -------------------------------------------------------------------------------------------------------


def test_while_the_total_stays_there_is_no_candidate() -> None:
    evidence = read(3, 3, 3)
    assert evidence.next_candidate() is None
    assert evidence.unaccounted == 0
    assert evidence.all_running_at == 2


def test_when_the_total_falls_the_likeliest_are_polled_until_every_unaccounted_completion_is_confirmed() -> None:
    evidence = read(3, 1)
    assert evidence.unaccounted == 2
    assert search(evidence, now=1, ended={A, C}) == [A, B, C]
    assert evidence.unaccounted == 0
    assert evidence.next_candidate() is None


@pytest.mark.parametrize(("unaccounted", "most"), [(1, 5), (2, 6)])
def test_a_search_keeps_a_few_more_polls_open_than_there_are_completions(unaccounted: int, most: int) -> None:
    evidence, polled = tracking(20), 0
    for total in (20, 20 - unaccounted):
        evidence.counters_read(total, lambda: ((0.5, 100.0, TaskId(f"t{n}")) for n in range(20)), now=0)
    while (task := evidence.next_candidate()) is not None:
        evidence.poll_started(task)
        polled += 1
    assert polled == most


def test_once_the_unaccounted_completion_is_confirmed_no_other_job_is_polled() -> None:
    evidence = read(3, 2)
    assert search(evidence, now=1, ended={A}) == [A]
    assert evidence.next_candidate() is None


def test_a_poll_that_failed_is_not_repeated_at_once_and_confirms_nothing() -> None:
    evidence = read(3, 2)
    evidence.poll_started(A)
    evidence.poll_failed(A)
    assert evidence.next_candidate() != A
    evidence.confirmed_running(B, now=2)
    evidence.confirmed_running(C, now=2)
    assert evidence.unaccounted == 1


def test_foreign_tasks_are_not_searched_for() -> None:
    evidence = read(5, 5, 5)
    assert evidence.unaccounted == 0
    read_total(evidence, 6, now=3)
    assert evidence.unaccounted == 0
    read_total(evidence, 5, now=4)
    assert evidence.unaccounted == 1


# --- foreign tasks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("foreign", [50, 8])
def test_where_most_tasks_are_foreign_the_counters_rest_for_a_minute_and_stay_reliable(
    foreign: int,
) -> None:
    evidence = read(JOBS + foreign)
    assert not evidence.confidence
    assert evidence.next_candidate() is None
    assert evidence.next_read_at == 60
    assert evidence.reliability == 0.8


def test_however_often_foreign_tasks_crowd_ours_the_wait_stays_a_minute() -> None:
    evidence, now, waits = tracking(), 0.0, []
    for total in (53, 60, 70, 80, 53, 43):
        read_total(evidence, total, now=now)
        waits.append(evidence.next_read_at - now)
        now = evidence.next_read_at
    assert waits == [60] * 6
    assert evidence.reliability == 0.8


def test_foreign_tasks_at_the_very_start_are_outnumbered_once_our_jobs_are_many() -> None:
    evidence = tracking(1)
    read_total(evidence, 31, now=0)
    assert not evidence.confidence
    evidence.job_count = 100
    read_total(evidence, 130, now=60)
    assert evidence.confidence == pytest.approx(0.8 * 100 / 130)
    read_total(evidence, 129, now=61)
    assert evidence.unaccounted == 1
    assert evidence.next_candidate() is not None


def test_foreign_tasks_that_are_gone_after_the_minute_are_not_searched_for() -> None:
    evidence = read(53)
    read_total(evidence, 3, now=60)
    assert evidence.confidence == pytest.approx(0.8)
    assert evidence.unaccounted == 0
    assert evidence.next_candidate() is None
    read_total(evidence, 2, now=61)
    assert evidence.next_candidate() is not None


def test_crowded_counters_do_not_show_that_every_job_runs() -> None:
    evidence = read(53)
    read_total(evidence, 53, now=60)
    assert evidence.all_running_at == -inf


def test_confidence_is_reliability_times_our_share_of_all_tasks() -> None:
    assert read(4).confidence == pytest.approx(0.8 * 3 / 4)
    assert read(JOBS).confidence == pytest.approx(0.8)
    assert CounterEvidence().confidence == 0.0


def test_an_end_that_the_counters_have_shown_is_not_counted_again() -> None:
    evidence = read(3, 2)
    first = search(evidence, now=1, ended={A})
    evidence.job_count = 2
    read_total(evidence, 2, now=2)
    assert first == [A]
    assert evidence.unaccounted == 0
    assert evidence.all_running_at == 2


# --- reliability ------------------------------------------------------------------------------------------------------


def test_every_end_that_the_counters_showed_raises_reliability_which_never_becomes_certainty() -> None:
    evidence, before = tracking(), 0.0
    for second in range(100):
        read_total(evidence, 3, now=3.0 * second)
        read_total(evidence, 2, now=3.0 * second + 1)
        search(evidence, now=3.0 * second + 1, ended={A})
        assert evidence.reliability >= before
        before = evidence.reliability
    assert 0.95 < evidence.reliability < 1


def test_an_exhausted_search_costs_reliability_and_the_tasks_that_are_gone_were_foreign() -> None:
    evidence = read(5, 4)
    before = evidence.reliability
    polled = search(evidence, now=1, ended=set())
    assert set(polled) <= {A, B, C}
    for task in (A, B, C):
        evidence.confirmed_running(task, now=1)
    assert evidence.reliability < before
    assert evidence.unaccounted == 0
    read_total(evidence, 4, now=2)
    assert evidence.unaccounted == 0


def test_a_total_that_rises_again_by_itself_costs_reliability() -> None:
    evidence = read(3, 2)
    before = evidence.reliability
    read_total(evidence, 3, now=2)
    assert evidence.reliability < before
    assert evidence.unaccounted == 0


def test_an_end_that_the_counters_concealed_costs_reliability() -> None:
    evidence = read(3, 3, 3)
    before = evidence.reliability
    evidence.confirmed_done(A, missed=0.8, now=2.5)
    assert evidence.reliability < before


def test_an_end_since_the_last_read_or_reported_by_a_webhook_is_not_held_against_the_counters() -> None:
    evidence = read(3, 3, 3)
    before = evidence.reliability
    evidence.confirmed_done(A, missed=0.0, now=9.0)
    assert evidence.reliability == before


@pytest.mark.parametrize("jobs", [3, 40])
def test_the_more_reliable_the_counters_were_the_less_one_end_says_against_them(jobs: int) -> None:
    little, much = read(jobs, jobs=jobs), read(jobs, jobs=jobs)
    little.reliability, much.reliability = 0.5, 0.95
    for evidence in (little, much):
        evidence.confirmed_done(A, missed=0.5, now=1.0)
    assert 0.5 - little.reliability > 3 * (0.95 - much.reliability)


def test_a_total_below_our_jobs_at_the_first_read_shows_ends_of_ours_and_not_less_than_no_foreign_tasks() -> None:
    evidence = read(0)
    assert evidence.unaccounted == JOBS
    assert evidence.all_running_at == -inf
    assert search(evidence, now=0, ended={A, B, C}) == [A, B, C]


def test_counters_that_stay_below_the_running_jobs_lose_confidence_and_show_no_foreign_tasks() -> None:
    evidence, now = read(3), 0.0
    while evidence.confidence:
        now += 1.0
        read_total(evidence, 2, now=now)
        assert evidence.unaccounted == 1
        for task in (A, B, C):
            evidence.confirmed_running(task, now=now)
    assert now <= 4.0
    assert evidence.next_read_at == now + 300.0


def test_a_read_is_brought_forward_but_not_while_reads_are_paused() -> None:
    evidence = read(3)
    evidence.next_read_at = 10.0
    evidence.read_by(5.0)
    assert evidence.next_read_at == 5.0
    evidence.read_by(7.0)
    assert evidence.next_read_at == 5.0
    evidence.read_failed(now=5.0)
    evidence.read_by(6.0)
    assert evidence.next_read_at == 65.0


def test_counters_whose_read_failed_say_nothing_until_one_succeeds() -> None:
    evidence = read(3)
    evidence.read_failed(now=1.0)
    assert evidence.confidence == 0.0
    evidence.read_started()
    assert evidence.confidence > 0.5


def test_a_search_that_took_too_many_polls_is_tried_again_after_many_ends_without_one() -> None:
    evidence = read(3)
    first, evidence.polled_share = evidence.polled_share, 0.6
    for _ in range(300):
        evidence.confirmed_done(A, missed=0.0, now=1.0)
    assert evidence.polled_share == pytest.approx(first, abs=0.05)


@pytest.mark.parametrize("fault", ["frozen", "falling and rising"])
def test_counters_that_mislead_are_not_believed_after_a_few_ends(fault: str) -> None:
    evidence, now = tracking(), 0.0
    while evidence.confidence and now < 50:
        now += 1
        read_total(evidence, 3 if fault == "frozen" or now % 2 else 2, now=now)
        if fault == "frozen":
            evidence.confirmed_done(A, missed=0.9, now=now + 0.1)
    assert not evidence.confidence
    assert now <= 10
    assert evidence.next_read_at - now == pytest.approx(300, abs=1)


def test_counters_that_are_not_believed_yield_no_candidate() -> None:
    evidence = read(3, 2)
    evidence.read_refused(now=1)
    assert evidence.next_candidate() is None
    assert evidence.unaccounted == 0
    assert evidence.confidence == 0


def test_refused_counters_are_tried_again_after_five_minutes_then_ten_and_at_most_an_hour() -> None:
    evidence, now, waits = CounterEvidence(), 0.0, []
    for _ in range(6):
        evidence.read_started()
        evidence.read_refused(now=now)
        waits.append(evidence.next_read_at - now)
        now = evidence.next_read_at
    assert waits == [300, 600, 1200, 2400, 3600, 3600]


def test_a_second_chance_starts_at_half_and_a_confirmed_end_resets_the_cool_down() -> None:
    evidence = tracking()
    for now in (0.0, 300.0):
        evidence.read_started()
        evidence.read_refused(now=now)
    evidence.read_started()
    assert evidence.confidence == 0.5
    evidence.counters_read(3, candidates, now=900)
    read_total(evidence, 2, now=901)
    search(evidence, now=901, ended={A})
    evidence.read_refused(now=902)
    assert evidence.next_read_at == 902 + 300


def test_reliability_comes_back_slowly() -> None:
    evidence, ends = tracking(), 0
    evidence.read_refused(now=0)
    now = 300.0
    while evidence.reliability < 0.9:
        read_total(evidence, 3, now=now)
        read_total(evidence, 2, now=now + 1)
        search(evidence, now=now + 1, ended={A})
        ends, now = ends + 1, now + 3
    assert 5 < ends < 30


def test_the_number_of_foreign_tasks_before_a_cool_down_is_forgotten() -> None:
    evidence = read(53)
    evidence.read_refused(now=1)
    read_total(evidence, 23, now=301)
    assert evidence.unaccounted == 0


# --- any sequence -----------------------------------------------------------------------------------------------------


@given(
    events=st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from(["nothing", "running", "done", "refused"])), max_size=40
    )
)
def test_whatever_the_counters_show_confidence_is_a_probability_and_unaccounted_completions_have_candidates(
    events: list[tuple[int, str]],
) -> None:
    evidence = tracking()
    for second, (total, then) in enumerate(events):
        read_total(evidence, total, now=second)
        if (task := evidence.next_candidate()) is not None and then != "nothing":
            evidence.poll_started(task)
            if then == "done":
                evidence.confirmed_done(task, missed=0.5, now=second)
            evidence.confirmed_running(task, now=second)
        if then == "refused":
            evidence.read_refused(now=second)
        assert 0.0 <= evidence.confidence <= 0.98
        assert evidence.unaccounted >= 0
        assert evidence.unaccounted or evidence.next_candidate() is None


def test_a_failed_read_costs_some_reliability_and_a_minute() -> None:
    evidence = CounterEvidence()
    evidence.job_count = 5
    before = evidence.reliability
    evidence.read_failed(now=100.0)
    assert evidence.next_read_at == 160.0
    assert before * 0.7 < evidence.reliability < before
    for now in (160.0, 220.0):
        evidence.read_failed(now=now)
    assert evidence.confidence == 0.0
    assert evidence.next_read_at == 220.0 + 300.0
