"""What the account's counts hint at, and how far they are trusted: told everything, over many looks."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rh_async import TaskId
from rh_async._polling.candidate_search import Candidate
from rh_async._polling.counter_evidence import CounterEvidence, best_period

A, B, C = (TaskId(name) for name in "abc")
OURS = 3


def suspects() -> list[Candidate]:
    return [(0.9, 100.0, A), (0.5, 100.0, B), (0.1, 100.0, C)]


def looked(*totals: int, ours: int = OURS, first: float = 0.0) -> CounterEvidence:
    """Look once a second, while every job of ours is still watched."""
    detector = watching(ours)
    for second, total in enumerate(totals):
        look(detector, total, now=first + second)
    return detector


def watching(ours: int = OURS) -> CounterEvidence:
    """Hints beside so many jobs that are watched."""
    detector = CounterEvidence()
    detector.ours = ours
    return detector


def look(detector: CounterEvidence, total: int, *, now: float) -> None:
    detector.look()
    detector.counted(total, suspects, now=now)


def ask(detector: CounterEvidence, *, now: float, ended: set[TaskId]) -> list[TaskId]:
    """Ask about every suspect that is worth it, and say who was asked about."""
    asked = []
    while (task := detector.suspect()) is not None:
        asked.append(task)
        detector.ask(task)
        if task in ended:
            detector.found(task, unheard=0.0, now=now)
        detector.cleared(task, now=now)
    return asked


# --- whom to ask ------------------------------------------------------------------------------------------------------


def test_while_the_counts_stay_nobody_is_suspected() -> None:
    detector = looked(3, 3, 3)
    assert detector.suspect() is None
    assert detector.unaccounted == 0
    assert detector.all_running_at == 2


def test_when_the_counts_fall_the_likeliest_are_suspected_until_all_that_are_missing_are_found() -> None:
    detector = looked(3, 1)
    assert detector.unaccounted == 2
    assert ask(detector, now=1, ended={A, C}) == [A, B, C]
    assert detector.unaccounted == 0
    assert detector.suspect() is None


@pytest.mark.parametrize(("missing", "most"), [(1, 5), (2, 6)])
def test_who_is_missing_is_sought_with_a_few_questions_open_beyond_one_for_each(missing: int, most: int) -> None:
    detector, asked = watching(20), 0
    for total in (20, 20 - missing):
        detector.counted(total, lambda: ((0.5, 100.0, TaskId(f"t{n}")) for n in range(20)), now=0)
    while (task := detector.suspect()) is not None:
        detector.ask(task)
        asked += 1
    assert asked == most


def test_once_the_missing_one_is_found_nobody_else_is_asked_about() -> None:
    detector = looked(3, 2)
    assert ask(detector, now=1, ended={A}) == [A]
    assert detector.suspect() is None


def test_a_question_that_failed_is_not_asked_again_at_once_and_clears_nobody() -> None:
    detector = looked(3, 2)
    detector.ask(A)
    detector.unanswered(A)
    assert detector.suspect() != A
    detector.cleared(B, now=2)
    detector.cleared(C, now=2)
    assert detector.unaccounted == 1


def test_the_jobs_of_others_are_not_looked_for() -> None:
    detector = looked(5, 5, 5)
    assert detector.unaccounted == 0
    look(detector, 6, now=3)
    assert detector.unaccounted == 0
    look(detector, 5, now=4)
    assert detector.unaccounted == 1


# --- crowded ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [50, 8])
def test_where_most_jobs_are_others_the_counts_are_left_alone_for_a_minute_and_keep_their_trust(others: int) -> None:
    detector = looked(OURS + others)
    assert not detector.confidence
    assert detector.suspect() is None
    assert detector.next_read_at == 60
    assert detector.reliability == 0.8


def test_however_often_it_is_crowded_the_wait_stays_a_minute() -> None:
    detector, now, waits = watching(), 0.0, []
    for total in (53, 60, 70, 80, 53, 43):
        look(detector, total, now=now)
        waits.append(detector.next_read_at - now)
        now = detector.next_read_at
    assert waits == [60] * 6
    assert detector.reliability == 0.8


def test_strangers_at_the_very_start_are_outnumbered_once_ours_are_many() -> None:
    detector = watching(1)
    look(detector, 31, now=0)
    assert not detector.confidence
    detector.ours = 100
    look(detector, 130, now=60)
    assert detector.confidence == pytest.approx(0.8 * 100 / 130)
    look(detector, 129, now=61)
    assert detector.unaccounted == 1
    assert detector.suspect() is not None


def test_strangers_that_are_gone_after_the_minute_crowd_nobody_and_are_not_looked_for() -> None:
    detector = looked(53)
    look(detector, 3, now=60)
    assert detector.confidence == pytest.approx(0.8)
    assert detector.unaccounted == 0
    assert detector.suspect() is None
    look(detector, 2, now=61)
    assert detector.suspect() is not None


def test_counts_that_are_crowded_vouch_for_nobody() -> None:
    detector = looked(53)
    look(detector, 53, now=60)
    assert detector.all_running_at == -inf


def test_what_is_believed_is_the_share_of_ours_among_all_tasks() -> None:
    assert looked(4).confidence == pytest.approx(0.8 * 3 / 4)
    assert looked(OURS).confidence == pytest.approx(0.8)
    assert CounterEvidence().confidence == 0.0


def test_an_end_that_the_counts_have_told_of_is_not_counted_again() -> None:
    detector = looked(3, 2)
    first = ask(detector, now=1, ended={A})
    detector.ours = 2
    look(detector, 2, now=2)
    assert first == [A]
    assert detector.unaccounted == 0
    assert detector.all_running_at == 2


# --- trust ------------------------------------------------------------------------------------------------------------


def test_every_end_that_was_hinted_at_earns_trust_and_it_never_becomes_certainty() -> None:
    detector, before = watching(), 0.0
    for second in range(100):
        look(detector, 3, now=3.0 * second)
        look(detector, 2, now=3.0 * second + 1)
        ask(detector, now=3.0 * second + 1, ended={A})
        assert detector.reliability >= before
        before = detector.reliability
    assert 0.95 < detector.reliability < 1


def test_a_search_in_vain_costs_trust_and_whoever_is_gone_was_not_ours() -> None:
    detector = looked(5, 4)
    before = detector.reliability
    asked = ask(detector, now=1, ended=set())
    assert set(asked) <= {A, B, C}
    for task in (A, B, C):
        detector.cleared(task, now=1)
    assert detector.reliability < before
    assert detector.unaccounted == 0
    look(detector, 4, now=2)
    assert detector.unaccounted == 0


def test_somebody_who_seemed_to_be_gone_and_was_not_costs_trust() -> None:
    detector = looked(3, 2)
    before = detector.reliability
    look(detector, 3, now=2)
    assert detector.reliability < before
    assert detector.unaccounted == 0


def test_an_end_that_the_counts_kept_quiet_about_costs_trust() -> None:
    detector = looked(3, 3, 3)
    before = detector.reliability
    detector.found(A, unheard=0.8, now=2.5)
    assert detector.reliability < before


def test_an_end_since_the_last_look_or_told_by_others_is_not_held_against_the_counts() -> None:
    detector = looked(3, 3, 3)
    before = detector.reliability
    detector.found(A, unheard=0.0, now=9.0)
    assert detector.reliability == before


@pytest.mark.parametrize("ours", [3, 40])
def test_the_better_the_counts_are_believed_the_less_one_end_says_against_them(ours: int) -> None:
    little, much = looked(ours, ours=ours), looked(ours, ours=ours)
    little.reliability, much.reliability = 0.5, 0.95
    for detector in (little, much):
        detector.found(A, unheard=0.5, now=1.0)
    assert 0.5 - little.reliability > 3 * (0.95 - much.reliability)


def test_fewer_tasks_than_ours_at_the_first_look_are_ends_of_ours_and_not_less_than_no_others() -> None:
    detector = looked(0)
    assert detector.unaccounted == OURS
    assert detector.all_running_at == -inf
    assert ask(detector, now=0, ended={A, B, C}) == [A, B, C]


def test_counts_that_stay_below_what_is_known_to_run_lose_their_trust_and_are_not_laid_to_others() -> None:
    detector, now = looked(3), 0.0
    while detector.confidence:
        now += 1.0
        look(detector, 2, now=now)
        assert detector.unaccounted == 1
        for task in (A, B, C):
            detector.cleared(task, now=now)
    assert now <= 4.0
    assert detector.next_read_at == now + 300.0


def test_a_look_is_hastened_but_not_while_the_counts_rest() -> None:
    detector = looked(3)
    detector.next_read_at = 10.0
    detector.hasten(5.0)
    assert detector.next_read_at == 5.0
    detector.hasten(7.0)
    assert detector.next_read_at == 5.0
    detector.unread(now=5.0)
    detector.hasten(6.0)
    assert detector.next_read_at == 65.0


def test_counts_that_are_not_answered_tell_nothing_until_they_are() -> None:
    detector = looked(3)
    detector.unread(now=1.0)
    assert detector.confidence == 0.0
    detector.look()
    assert detector.confidence > 0.5


def test_a_search_that_was_too_dear_is_tried_again_after_many_ends_without_one() -> None:
    detector = looked(3)
    first, detector.share = detector.share, 0.6
    for _ in range(300):
        detector.found(A, unheard=0.0, now=1.0)
    assert detector.share == pytest.approx(first, abs=0.05)


@pytest.mark.parametrize("lie", ["frozen", "falling and rising"])
def test_counts_that_mislead_are_not_believed_after_a_few_ends(lie: str) -> None:
    detector, now = watching(), 0.0
    while detector.confidence and now < 50:
        now += 1
        look(detector, 3 if lie == "frozen" or now % 2 else 2, now=now)
        if lie == "frozen":
            detector.found(A, unheard=0.9, now=now + 0.1)
    assert not detector.confidence
    assert now <= 10
    assert detector.next_read_at - now == pytest.approx(300, abs=1)


def test_counts_that_are_not_believed_suspect_nobody() -> None:
    detector = looked(3, 2)
    detector.refused(now=1)
    assert detector.suspect() is None
    assert detector.unaccounted == 0
    assert detector.confidence == 0


def test_counts_that_cannot_be_had_are_tried_again_after_five_minutes_then_ten_and_at_most_an_hour() -> None:
    detector, now, waits = CounterEvidence(), 0.0, []
    for _ in range(6):
        detector.look()
        detector.refused(now=now)
        waits.append(detector.next_read_at - now)
        now = detector.next_read_at
    assert waits == [300, 600, 1200, 2400, 3600, 3600]


def test_a_second_chance_is_half_believed_and_a_find_shortens_the_next_doubt_again() -> None:
    detector = watching()
    for now in (0.0, 300.0):
        detector.look()
        detector.refused(now=now)
    detector.look()
    assert detector.confidence == 0.5
    detector.counted(3, suspects, now=900)
    look(detector, 2, now=901)
    ask(detector, now=901, ended={A})
    detector.refused(now=902)
    assert detector.next_read_at == 902 + 300


def test_trust_comes_back_slowly() -> None:
    detector, ends = watching(), 0
    detector.refused(now=0)
    now = 300.0
    while detector.reliability < 0.9:
        look(detector, 3, now=now)
        look(detector, 2, now=now + 1)
        ask(detector, now=now + 1, ended={A})
        ends, now = ends + 1, now + 3
    assert 5 < ends < 30


def test_what_was_known_of_others_before_the_doubt_is_forgotten() -> None:
    detector = looked(53)
    detector.refused(now=1)
    look(detector, 23, now=301)
    assert detector.unaccounted == 0


# --- how often to look ------------------------------------------------------------------------------------------------


def test_the_more_jobs_end_the_oftener_it_pays_to_look_but_never_without_pause() -> None:
    periods = [best_period(ends, 10.0, longest=10.0) for ends in (0.0, 0.001, 0.01, 0.1, 0.3, 3.0, 100.0)]
    assert periods[0] == 10
    assert periods[-1] == 0.5
    assert periods == sorted(periods, reverse=True)


@pytest.mark.parametrize("ends", [0.05, 0.1, 0.3])
def test_the_best_period_costs_least_in_looks_and_lateness_together(ends: float) -> None:
    def cost(period: float) -> float:
        return 1.0 / period + 10.0 * ends * period / 2.0

    best = best_period(ends, 10.0, longest=60.0)
    assert cost(best) < cost(best * 1.2)
    assert cost(best) < cost(best / 1.2)


# --- whatever is said -------------------------------------------------------------------------------------------------


@given(
    said=st.lists(
        st.tuples(st.integers(0, 8), st.sampled_from(["nothing", "cleared", "found", "refused"])), max_size=40
    )
)
def test_whatever_the_counts_say_trust_is_a_share_and_nobody_is_missing_who_was_never_there(
    said: list[tuple[int, str]],
) -> None:
    detector = watching()
    for second, (total, then) in enumerate(said):
        look(detector, total, now=second)
        if (task := detector.suspect()) is not None and then != "nothing":
            detector.ask(task)
            if then == "found":
                detector.found(task, unheard=0.5, now=second)
            detector.cleared(task, now=second)
        if then == "refused":
            detector.refused(now=second)
        assert 0.0 <= detector.confidence <= 0.98
        assert detector.unaccounted >= 0
        assert detector.unaccounted or detector.suspect() is None


def test_a_look_that_was_not_answered_costs_some_trust_and_a_minute() -> None:
    detector = CounterEvidence()
    detector.ours = 5
    before = detector.reliability
    detector.unread(now=100.0)
    assert detector.next_read_at == 160.0
    assert before * 0.7 < detector.reliability < before
    for now in (160.0, 220.0):
        detector.unread(now=now)
    assert detector.confidence == 0.0
    assert detector.next_read_at == 220.0 + 300.0
