"""What the account's counts hint at, and how far they are trusted: told everything, over many looks."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rh_async import TaskId
from rh_async._polling.candidate_search import Suspect
from rh_async._polling.completion_detector import Hints, best_period

A, B, C = (TaskId(name) for name in "abc")
OURS = 3


def suspects() -> list[Suspect]:
    return [(0.9, 100.0, A), (0.5, 100.0, B), (0.1, 100.0, C)]


def looked(*totals: int, ours: int = OURS, first: float = 0.0) -> Hints:
    """Look once a second, while every job of ours is still watched."""
    hints = watching(ours)
    for second, total in enumerate(totals):
        look(hints, total, now=first + second)
    return hints


def watching(ours: int = OURS) -> Hints:
    """Hints beside so many jobs that are watched."""
    hints = Hints()
    hints.ours = ours
    return hints


def look(hints: Hints, total: int, *, now: float) -> None:
    hints.look()
    hints.counted(total, suspects, now=now)


def ask(hints: Hints, *, now: float, ended: set[TaskId]) -> list[TaskId]:
    """Ask about every suspect that is worth it, and say who was asked about."""
    asked = []
    while (task := hints.suspect()) is not None:
        asked.append(task)
        hints.ask(task)
        if task in ended:
            hints.found(task, unheard=0.0, now=now)
        hints.cleared(task, now=now)
    return asked


# --- whom to ask ------------------------------------------------------------------------------------------------------


def test_while_the_counts_stay_nobody_is_suspected() -> None:
    hints = looked(3, 3, 3)
    assert hints.suspect() is None
    assert hints.missing == 0
    assert hints.quiet_at == 2


def test_when_the_counts_fall_the_likeliest_are_suspected_until_all_that_are_missing_are_found() -> None:
    hints = looked(3, 1)
    assert hints.missing == 2
    assert ask(hints, now=1, ended={A, C}) == [A, B, C]
    assert hints.missing == 0
    assert hints.suspect() is None


@pytest.mark.parametrize(("missing", "most"), [(1, 5), (2, 6)])
def test_who_is_missing_is_sought_with_a_few_questions_open_beyond_one_for_each(missing: int, most: int) -> None:
    hints, asked = watching(20), 0
    for total in (20, 20 - missing):
        hints.counted(total, lambda: ((0.5, 100.0, TaskId(f"t{n}")) for n in range(20)), now=0)
    while (task := hints.suspect()) is not None:
        hints.ask(task)
        asked += 1
    assert asked == most


def test_once_the_missing_one_is_found_nobody_else_is_asked_about() -> None:
    hints = looked(3, 2)
    assert ask(hints, now=1, ended={A}) == [A]
    assert hints.suspect() is None


def test_a_question_that_failed_is_not_asked_again_at_once_and_clears_nobody() -> None:
    hints = looked(3, 2)
    hints.ask(A)
    hints.unanswered(A)
    assert hints.suspect() != A
    hints.cleared(B, now=2)
    hints.cleared(C, now=2)
    assert hints.missing == 1


def test_the_jobs_of_others_are_not_looked_for() -> None:
    hints = looked(5, 5, 5)
    assert hints.missing == 0
    look(hints, 6, now=3)
    assert hints.missing == 0
    look(hints, 5, now=4)
    assert hints.missing == 1


# --- crowded ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("others", [50, 8])
def test_where_most_jobs_are_others_the_counts_are_left_alone_for_a_minute_and_keep_their_trust(others: int) -> None:
    hints = looked(OURS + others)
    assert not hints.believed
    assert hints.suspect() is None
    assert hints.due == 60
    assert hints.trust == 0.8


def test_however_often_it_is_crowded_the_wait_stays_a_minute() -> None:
    hints, now, waits = watching(), 0.0, []
    for total in (53, 60, 70, 80, 53, 43):
        look(hints, total, now=now)
        waits.append(hints.due - now)
        now = hints.due
    assert waits == [60] * 6
    assert hints.trust == 0.8


def test_strangers_at_the_very_start_are_outnumbered_once_ours_are_many() -> None:
    hints = watching(1)
    look(hints, 31, now=0)
    assert not hints.believed
    hints.ours = 100
    look(hints, 130, now=60)
    assert hints.believed == pytest.approx(0.8 * 100 / 130)
    look(hints, 129, now=61)
    assert hints.missing == 1
    assert hints.suspect() is not None


def test_strangers_that_are_gone_after_the_minute_crowd_nobody_and_are_not_looked_for() -> None:
    hints = looked(53)
    look(hints, 3, now=60)
    assert hints.believed == pytest.approx(0.8)
    assert hints.missing == 0
    assert hints.suspect() is None
    look(hints, 2, now=61)
    assert hints.suspect() is not None


def test_counts_that_are_crowded_vouch_for_nobody() -> None:
    hints = looked(53)
    look(hints, 53, now=60)
    assert hints.quiet_at == -inf


def test_what_is_believed_is_the_share_of_ours_among_all_tasks() -> None:
    assert looked(4).believed == pytest.approx(0.8 * 3 / 4)
    assert looked(OURS).believed == pytest.approx(0.8)
    assert Hints().believed == 0.0


def test_an_end_that_the_counts_have_told_of_is_not_counted_again() -> None:
    hints = looked(3, 2)
    first = ask(hints, now=1, ended={A})
    hints.ours = 2
    look(hints, 2, now=2)
    assert first == [A]
    assert hints.missing == 0
    assert hints.quiet_at == 2


# --- trust ------------------------------------------------------------------------------------------------------------


def test_every_end_that_was_hinted_at_earns_trust_and_it_never_becomes_certainty() -> None:
    hints, before = watching(), 0.0
    for second in range(100):
        look(hints, 3, now=3.0 * second)
        look(hints, 2, now=3.0 * second + 1)
        ask(hints, now=3.0 * second + 1, ended={A})
        assert hints.trust >= before
        before = hints.trust
    assert 0.95 < hints.trust < 1


def test_a_search_in_vain_costs_trust_and_whoever_is_gone_was_not_ours() -> None:
    hints = looked(5, 4)
    before = hints.trust
    asked = ask(hints, now=1, ended=set())
    assert set(asked) <= {A, B, C}
    for task in (A, B, C):
        hints.cleared(task, now=1)
    assert hints.trust < before
    assert hints.missing == 0
    look(hints, 4, now=2)
    assert hints.missing == 0


def test_somebody_who_seemed_to_be_gone_and_was_not_costs_trust() -> None:
    hints = looked(3, 2)
    before = hints.trust
    look(hints, 3, now=2)
    assert hints.trust < before
    assert hints.missing == 0


def test_an_end_that_the_counts_kept_quiet_about_costs_trust() -> None:
    hints = looked(3, 3, 3)
    before = hints.trust
    hints.found(A, unheard=0.8, now=2.5)
    assert hints.trust < before


def test_an_end_since_the_last_look_or_told_by_others_is_not_held_against_the_counts() -> None:
    hints = looked(3, 3, 3)
    before = hints.trust
    hints.found(A, unheard=0.0, now=9.0)
    assert hints.trust == before


@pytest.mark.parametrize("ours", [3, 40])
def test_the_better_the_counts_are_believed_the_less_one_end_says_against_them(ours: int) -> None:
    little, much = looked(ours, ours=ours), looked(ours, ours=ours)
    little.trust, much.trust = 0.5, 0.95
    for hints in (little, much):
        hints.found(A, unheard=0.5, now=1.0)
    assert 0.5 - little.trust > 3 * (0.95 - much.trust)


def test_fewer_tasks_than_ours_at_the_first_look_are_ends_of_ours_and_not_less_than_no_others() -> None:
    hints = looked(0)
    assert hints.missing == OURS
    assert hints.quiet_at == -inf
    assert ask(hints, now=0, ended={A, B, C}) == [A, B, C]


def test_counts_that_stay_below_what_is_known_to_run_lose_their_trust_and_are_not_laid_to_others() -> None:
    hints, now = looked(3), 0.0
    while hints.believed:
        now += 1.0
        look(hints, 2, now=now)
        assert hints.missing == 1
        for task in (A, B, C):
            hints.cleared(task, now=now)
    assert now <= 4.0
    assert hints.due == now + 300.0


def test_a_look_is_hastened_but_not_while_the_counts_rest() -> None:
    hints = looked(3)
    hints.due = 10.0
    hints.hasten(5.0)
    assert hints.due == 5.0
    hints.hasten(7.0)
    assert hints.due == 5.0
    hints.unread(now=5.0)
    hints.hasten(6.0)
    assert hints.due == 65.0


def test_counts_that_are_not_answered_tell_nothing_until_they_are() -> None:
    hints = looked(3)
    hints.unread(now=1.0)
    assert hints.believed == 0.0
    hints.look()
    assert hints.believed > 0.5


def test_a_search_that_was_too_dear_is_tried_again_after_many_ends_without_one() -> None:
    hints = looked(3)
    first, hints.share = hints.share, 0.6
    for _ in range(300):
        hints.found(A, unheard=0.0, now=1.0)
    assert hints.share == pytest.approx(first, abs=0.05)


@pytest.mark.parametrize("lie", ["frozen", "falling and rising"])
def test_counts_that_mislead_are_not_believed_after_a_few_ends(lie: str) -> None:
    hints, now = watching(), 0.0
    while hints.believed and now < 50:
        now += 1
        look(hints, 3 if lie == "frozen" or now % 2 else 2, now=now)
        if lie == "frozen":
            hints.found(A, unheard=0.9, now=now + 0.1)
    assert not hints.believed
    assert now <= 10
    assert hints.due - now == pytest.approx(300, abs=1)


def test_counts_that_are_not_believed_suspect_nobody() -> None:
    hints = looked(3, 2)
    hints.refused(now=1)
    assert hints.suspect() is None
    assert hints.missing == 0
    assert hints.believed == 0


def test_counts_that_cannot_be_had_are_tried_again_after_five_minutes_then_ten_and_at_most_an_hour() -> None:
    hints, now, waits = Hints(), 0.0, []
    for _ in range(6):
        hints.look()
        hints.refused(now=now)
        waits.append(hints.due - now)
        now = hints.due
    assert waits == [300, 600, 1200, 2400, 3600, 3600]


def test_a_second_chance_is_half_believed_and_a_find_shortens_the_next_doubt_again() -> None:
    hints = watching()
    for now in (0.0, 300.0):
        hints.look()
        hints.refused(now=now)
    hints.look()
    assert hints.believed == 0.5
    hints.counted(3, suspects, now=900)
    look(hints, 2, now=901)
    ask(hints, now=901, ended={A})
    hints.refused(now=902)
    assert hints.due == 902 + 300


def test_trust_comes_back_slowly() -> None:
    hints, ends = watching(), 0
    hints.refused(now=0)
    now = 300.0
    while hints.trust < 0.9:
        look(hints, 3, now=now)
        look(hints, 2, now=now + 1)
        ask(hints, now=now + 1, ended={A})
        ends, now = ends + 1, now + 3
    assert 5 < ends < 30


def test_what_was_known_of_others_before_the_doubt_is_forgotten() -> None:
    hints = looked(53)
    hints.refused(now=1)
    look(hints, 23, now=301)
    assert hints.missing == 0


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
    hints = watching()
    for second, (total, then) in enumerate(said):
        look(hints, total, now=second)
        if (task := hints.suspect()) is not None and then != "nothing":
            hints.ask(task)
            if then == "found":
                hints.found(task, unheard=0.5, now=second)
            hints.cleared(task, now=second)
        if then == "refused":
            hints.refused(now=second)
        assert 0.0 <= hints.believed <= 0.98
        assert hints.missing >= 0
        assert hints.missing or hints.suspect() is None


def test_a_look_that_was_not_answered_costs_some_trust_and_a_minute() -> None:
    hints = Hints()
    hints.ours = 5
    before = hints.trust
    hints.unread(now=100.0)
    assert hints.due == 160.0
    assert before * 0.7 < hints.trust < before
    for now in (160.0, 220.0):
        hints.unread(now=now)
    assert hints.believed == 0.0
    assert hints.due == 220.0 + 300.0
