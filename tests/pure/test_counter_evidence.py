"""What the account's counts hint at, and how far they are trusted: told everything, over many looks."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rh_async import TaskId
from rh_async._polling.candidate_search import Candidate
from rh_async._polling.counter_evidence import CounterEvidence

A, B, C = (TaskId(name) for name in "abc")
OURS = 3


def suspects() -> list[Candidate]:
    return [(0.9, 100.0, A), (0.5, 100.0, B), (0.1, 100.0, C)]


def looked(*totals: int, ours: int = OURS, first: float = 0.0) -> CounterEvidence:
    """Look once a second, while every job of ours is still watched."""
    evidence = watching(ours)
    for second, total in enumerate(totals):
        look(evidence, total, now=first + second)
    return evidence


def watching(ours: int = OURS) -> CounterEvidence:
    """Hints beside so many jobs that are watched."""
    evidence = CounterEvidence()
    evidence.job_count = ours
    return evidence


def look(evidence: CounterEvidence, total: int, *, now: float) -> None:
    evidence.read_started()
    evidence.counters_read(total, suspects, now=now)


def ask(evidence: CounterEvidence, *, now: float, ended: set[TaskId]) -> list[TaskId]:
    """Ask about every suspect that is worth it, and say who was asked about."""
    asked = []
    while (task := evidence.next_candidate()) is not None:
        asked.append(task)
        evidence.poll_started(task)
        if task in ended:
            evidence.confirmed_done(task, missed=0.0, now=now)
        evidence.confirmed_running(task, now=now)
    return asked


# --- whom to ask ------------------------------------------------------------------------------------------------------


def test_while_the_counts_stay_nobody_is_suspected() -> None:
    evidence = looked(3, 3, 3)
    assert evidence.next_candidate() is None
    assert evidence.unaccounted == 0
    assert evidence.all_running_at == 2


def test_when_the_counts_fall_the_likeliest_are_suspected_until_all_that_are_missing_are_found() -> None:
    evidence = looked(3, 1)
    assert evidence.unaccounted == 2
    assert ask(evidence, now=1, ended={A, C}) == [A, B, C]
    assert evidence.unaccounted == 0
    assert evidence.next_candidate() is None


@pytest.mark.parametrize(("missing", "most"), [(1, 5), (2, 6)])
def test_who_is_missing_is_sought_with_a_few_questions_open_beyond_one_for_each(missing: int, most: int) -> None:
    evidence, asked = watching(20), 0
    for total in (20, 20 - missing):
        evidence.counters_read(total, lambda: ((0.5, 100.0, TaskId(f"t{n}")) for n in range(20)), now=0)
    while (task := evidence.next_candidate()) is not None:
        evidence.poll_started(task)
        asked += 1
    assert asked == most


def test_once_the_missing_one_is_found_nobody_else_is_asked_about() -> None:
    evidence = looked(3, 2)
    assert ask(evidence, now=1, ended={A}) == [A]
    assert evidence.next_candidate() is None


def test_a_question_that_failed_is_not_asked_again_at_once_and_clears_nobody() -> None:
    evidence = looked(3, 2)
    evidence.poll_started(A)
    evidence.poll_failed(A)
    assert evidence.next_candidate() != A
    evidence.confirmed_running(B, now=2)
    evidence.confirmed_running(C, now=2)
    assert evidence.unaccounted == 1


def test_the_jobs_of_others_are_not_looked_for() -> None:
    evidence = looked(5, 5, 5)
    assert evidence.unaccounted == 0
    look(evidence, 6, now=3)
    assert evidence.unaccounted == 0
    look(evidence, 5, now=4)
    assert evidence.unaccounted == 1


# --- crowded ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [50, 8])
def test_where_most_jobs_are_others_the_counts_are_left_alone_for_a_minute_and_keep_their_trust(others: int) -> None:
    evidence = looked(OURS + others)
    assert not evidence.confidence
    assert evidence.next_candidate() is None
    assert evidence.next_read_at == 60
    assert evidence.reliability == 0.8


def test_however_often_it_is_crowded_the_wait_stays_a_minute() -> None:
    evidence, now, waits = watching(), 0.0, []
    for total in (53, 60, 70, 80, 53, 43):
        look(evidence, total, now=now)
        waits.append(evidence.next_read_at - now)
        now = evidence.next_read_at
    assert waits == [60] * 6
    assert evidence.reliability == 0.8


def test_strangers_at_the_very_start_are_outnumbered_once_ours_are_many() -> None:
    evidence = watching(1)
    look(evidence, 31, now=0)
    assert not evidence.confidence
    evidence.job_count = 100
    look(evidence, 130, now=60)
    assert evidence.confidence == pytest.approx(0.8 * 100 / 130)
    look(evidence, 129, now=61)
    assert evidence.unaccounted == 1
    assert evidence.next_candidate() is not None


def test_strangers_that_are_gone_after_the_minute_crowd_nobody_and_are_not_looked_for() -> None:
    evidence = looked(53)
    look(evidence, 3, now=60)
    assert evidence.confidence == pytest.approx(0.8)
    assert evidence.unaccounted == 0
    assert evidence.next_candidate() is None
    look(evidence, 2, now=61)
    assert evidence.next_candidate() is not None


def test_counts_that_are_crowded_vouch_for_nobody() -> None:
    evidence = looked(53)
    look(evidence, 53, now=60)
    assert evidence.all_running_at == -inf


def test_what_is_believed_is_the_share_of_ours_among_all_tasks() -> None:
    assert looked(4).confidence == pytest.approx(0.8 * 3 / 4)
    assert looked(OURS).confidence == pytest.approx(0.8)
    assert CounterEvidence().confidence == 0.0


def test_an_end_that_the_counts_have_told_of_is_not_counted_again() -> None:
    evidence = looked(3, 2)
    first = ask(evidence, now=1, ended={A})
    evidence.job_count = 2
    look(evidence, 2, now=2)
    assert first == [A]
    assert evidence.unaccounted == 0
    assert evidence.all_running_at == 2


# --- trust ------------------------------------------------------------------------------------------------------------


def test_every_end_that_was_hinted_at_earns_trust_and_it_never_becomes_certainty() -> None:
    evidence, before = watching(), 0.0
    for second in range(100):
        look(evidence, 3, now=3.0 * second)
        look(evidence, 2, now=3.0 * second + 1)
        ask(evidence, now=3.0 * second + 1, ended={A})
        assert evidence.reliability >= before
        before = evidence.reliability
    assert 0.95 < evidence.reliability < 1


def test_a_search_in_vain_costs_trust_and_whoever_is_gone_was_not_ours() -> None:
    evidence = looked(5, 4)
    before = evidence.reliability
    asked = ask(evidence, now=1, ended=set())
    assert set(asked) <= {A, B, C}
    for task in (A, B, C):
        evidence.confirmed_running(task, now=1)
    assert evidence.reliability < before
    assert evidence.unaccounted == 0
    look(evidence, 4, now=2)
    assert evidence.unaccounted == 0


def test_somebody_who_seemed_to_be_gone_and_was_not_costs_trust() -> None:
    evidence = looked(3, 2)
    before = evidence.reliability
    look(evidence, 3, now=2)
    assert evidence.reliability < before
    assert evidence.unaccounted == 0


def test_an_end_that_the_counts_kept_quiet_about_costs_trust() -> None:
    evidence = looked(3, 3, 3)
    before = evidence.reliability
    evidence.confirmed_done(A, missed=0.8, now=2.5)
    assert evidence.reliability < before


def test_an_end_since_the_last_look_or_told_by_others_is_not_held_against_the_counts() -> None:
    evidence = looked(3, 3, 3)
    before = evidence.reliability
    evidence.confirmed_done(A, missed=0.0, now=9.0)
    assert evidence.reliability == before


@pytest.mark.parametrize("ours", [3, 40])
def test_the_better_the_counts_are_believed_the_less_one_end_says_against_them(ours: int) -> None:
    little, much = looked(ours, ours=ours), looked(ours, ours=ours)
    little.reliability, much.reliability = 0.5, 0.95
    for evidence in (little, much):
        evidence.confirmed_done(A, missed=0.5, now=1.0)
    assert 0.5 - little.reliability > 3 * (0.95 - much.reliability)


def test_fewer_tasks_than_ours_at_the_first_look_are_ends_of_ours_and_not_less_than_no_others() -> None:
    evidence = looked(0)
    assert evidence.unaccounted == OURS
    assert evidence.all_running_at == -inf
    assert ask(evidence, now=0, ended={A, B, C}) == [A, B, C]


def test_counts_that_stay_below_what_is_known_to_run_lose_their_trust_and_are_not_laid_to_others() -> None:
    evidence, now = looked(3), 0.0
    while evidence.confidence:
        now += 1.0
        look(evidence, 2, now=now)
        assert evidence.unaccounted == 1
        for task in (A, B, C):
            evidence.confirmed_running(task, now=now)
    assert now <= 4.0
    assert evidence.next_read_at == now + 300.0


def test_a_look_is_hastened_but_not_while_the_counts_rest() -> None:
    evidence = looked(3)
    evidence.next_read_at = 10.0
    evidence.read_by(5.0)
    assert evidence.next_read_at == 5.0
    evidence.read_by(7.0)
    assert evidence.next_read_at == 5.0
    evidence.read_failed(now=5.0)
    evidence.read_by(6.0)
    assert evidence.next_read_at == 65.0


def test_counts_that_are_not_answered_tell_nothing_until_they_are() -> None:
    evidence = looked(3)
    evidence.read_failed(now=1.0)
    assert evidence.confidence == 0.0
    evidence.read_started()
    assert evidence.confidence > 0.5


def test_a_search_that_was_too_dear_is_tried_again_after_many_ends_without_one() -> None:
    evidence = looked(3)
    first, evidence.polled_share = evidence.polled_share, 0.6
    for _ in range(300):
        evidence.confirmed_done(A, missed=0.0, now=1.0)
    assert evidence.polled_share == pytest.approx(first, abs=0.05)


@pytest.mark.parametrize("lie", ["frozen", "falling and rising"])
def test_counts_that_mislead_are_not_believed_after_a_few_ends(lie: str) -> None:
    evidence, now = watching(), 0.0
    while evidence.confidence and now < 50:
        now += 1
        look(evidence, 3 if lie == "frozen" or now % 2 else 2, now=now)
        if lie == "frozen":
            evidence.confirmed_done(A, missed=0.9, now=now + 0.1)
    assert not evidence.confidence
    assert now <= 10
    assert evidence.next_read_at - now == pytest.approx(300, abs=1)


def test_counts_that_are_not_believed_suspect_nobody() -> None:
    evidence = looked(3, 2)
    evidence.read_refused(now=1)
    assert evidence.next_candidate() is None
    assert evidence.unaccounted == 0
    assert evidence.confidence == 0


def test_counts_that_cannot_be_had_are_tried_again_after_five_minutes_then_ten_and_at_most_an_hour() -> None:
    evidence, now, waits = CounterEvidence(), 0.0, []
    for _ in range(6):
        evidence.read_started()
        evidence.read_refused(now=now)
        waits.append(evidence.next_read_at - now)
        now = evidence.next_read_at
    assert waits == [300, 600, 1200, 2400, 3600, 3600]


def test_a_second_chance_is_half_believed_and_a_find_shortens_the_next_doubt_again() -> None:
    evidence = watching()
    for now in (0.0, 300.0):
        evidence.read_started()
        evidence.read_refused(now=now)
    evidence.read_started()
    assert evidence.confidence == 0.5
    evidence.counters_read(3, suspects, now=900)
    look(evidence, 2, now=901)
    ask(evidence, now=901, ended={A})
    evidence.read_refused(now=902)
    assert evidence.next_read_at == 902 + 300


def test_trust_comes_back_slowly() -> None:
    evidence, ends = watching(), 0
    evidence.read_refused(now=0)
    now = 300.0
    while evidence.reliability < 0.9:
        look(evidence, 3, now=now)
        look(evidence, 2, now=now + 1)
        ask(evidence, now=now + 1, ended={A})
        ends, now = ends + 1, now + 3
    assert 5 < ends < 30


def test_what_was_known_of_others_before_the_doubt_is_forgotten() -> None:
    evidence = looked(53)
    evidence.read_refused(now=1)
    look(evidence, 23, now=301)
    assert evidence.unaccounted == 0


# --- whatever is said -------------------------------------------------------------------------------------------------


@given(
    said=st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from(["nothing", "cleared", "found", "refused"])), max_size=40
    )
)
def test_whatever_the_counts_say_trust_is_a_share_and_nobody_is_missing_who_was_never_there(
    said: list[tuple[int, str]],
) -> None:
    evidence = watching()
    for second, (total, then) in enumerate(said):
        look(evidence, total, now=second)
        if (task := evidence.next_candidate()) is not None and then != "nothing":
            evidence.poll_started(task)
            if then == "found":
                evidence.confirmed_done(task, missed=0.5, now=second)
            evidence.confirmed_running(task, now=second)
        if then == "refused":
            evidence.read_refused(now=second)
        assert 0.0 <= evidence.confidence <= 0.98
        assert evidence.unaccounted >= 0
        assert evidence.unaccounted or evidence.next_candidate() is None


def test_a_look_that_was_not_answered_costs_some_trust_and_a_minute() -> None:
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
