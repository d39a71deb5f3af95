"""Whom to ask first when somebody has ended: the likeliest, one after the other, while that is worth a question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rh_async import TaskId
from rh_async._polling.candidate_search import Candidate, CandidateSearch

A, B, C = (TaskId(name) for name in "abc")
WORTH = 100.0  # questions that a find is worth


def suspects(*weights: float, worth: float = WORTH) -> list[Candidate]:
    return [(weight, worth, TaskId(name)) for name, weight in zip("abcdefgh", weights, strict=False)]


def asked(search: CandidateSearch, *, missing: int = 1, ended: TaskId | None = None) -> list[TaskId]:
    """Ask one after the other until somebody has ended or no question is worth it; whom was asked."""
    order = []
    while (task := search.next_candidate(missing)) is not None:
        search.poll_started(task)
        order.append(task)
        if task == ended:
            search.confirmed_done(task)
            break
        search.confirmed_running(task)
    return order


def test_the_likeliest_is_asked_about_first() -> None:
    assert asked(CandidateSearch.among(suspects(0.2, 0.9, 0.5), probability=0.9)) == [B, C, A]


def test_nobody_is_asked_twice_while_the_answer_is_awaited() -> None:
    search = CandidateSearch.among(suspects(0.9, 0.2), probability=0.9)
    assert search.next_candidate(2) == A
    search.poll_started(A)
    assert search.next_candidate(2) == B
    search.poll_started(B)
    assert search.next_candidate(2) is None
    assert not search.exhausted


def test_who_is_found_ends_the_count_of_the_questions_it_took() -> None:
    search = CandidateSearch.among(suspects(0.2, 0.9), probability=0.9)
    assert asked(search, ended=A) == [B, A]
    assert search.polls == 0
    assert A not in search


def test_whoever_runs_makes_the_others_likelier_and_the_whole_search_less() -> None:
    search = CandidateSearch.among(suspects(0.5, 0.5, 0.5, 0.5), probability=0.8)
    before = search._probability_of(A)
    search.confirmed_running(B)
    assert search._probability_of(A) > before
    assert search.probability < 0.8


def test_when_everybody_was_asked_about_and_runs_it_was_in_vain() -> None:
    search = CandidateSearch.among(suspects(0.5, 0.4), probability=0.9)
    assert not search.exhausted
    asked(search)
    assert search.exhausted
    assert search.probability == pytest.approx(0.0, abs=1e-6)


def test_a_search_among_nobody_is_in_vain_from_the_start() -> None:
    search = CandidateSearch.among([], probability=0.9)
    assert search.exhausted
    assert search.next_candidate(1) is None


def test_a_suspect_that_is_hardly_likely_is_not_worth_a_question() -> None:
    assert asked(CandidateSearch.among(suspects(0.9, 1e-6, worth=2.0), probability=0.9)) == [A]


def test_a_hint_that_is_hardly_believed_is_not_worth_a_question() -> None:
    assert asked(CandidateSearch.among(suspects(0.5, 0.5, worth=10.0), probability=0.1)) == []


def test_the_more_are_missing_the_more_it_is_worth_to_ask() -> None:
    search = CandidateSearch.among(suspects(0.5, 0.5, worth=10.0), probability=0.1)
    assert search.next_candidate(1) is None
    assert search.next_candidate(3) is not None


def test_an_end_that_nobody_expected_is_found_at_last() -> None:
    search = CandidateSearch.among(suspects(0.9, 0.8, 0.0), probability=0.98)
    assert asked(search, ended=C) == [A, B, C]


def test_a_job_that_was_no_suspect_is_nobody_s_news() -> None:
    search = CandidateSearch.among(suspects(0.9), probability=0.9)
    search.confirmed_running(B)
    assert search.probability == 0.9
    assert B not in search


@given(
    weights=st.lists(st.floats(0, 1), max_size=8),
    probability=st.floats(0, 1),
    missing=st.integers(1, 5),
    data=st.data(),
)
def test_whatever_the_suspects_each_is_asked_about_at_most_once_and_the_chance_is_a_share(
    weights: list[float], probability: float, missing: int, data: st.DataObject
) -> None:
    search, seen = CandidateSearch.among(suspects(*weights), probability=probability), set()
    while (task := search.next_candidate(missing)) is not None:
        assert task not in seen
        seen.add(task)
        search.poll_started(task)
        (search.confirmed_done if data.draw(st.booleans()) else search.confirmed_running)(task)
        assert 0.0 <= search.probability <= 1.0
    assert not search.open_polls
    assert len(seen) <= len(weights)
