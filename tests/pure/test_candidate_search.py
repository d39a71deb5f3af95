"""Which jobs are polled first when the counters show an end: the likeliest, while that is worth a poll."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rh_async import TaskId
from rh_async._polling.candidate_search import Candidate, CandidateSearch

A, B, C = (TaskId(name) for name in "abc")
VALUE = 100.0  # polls that finding a settled job is worth


def candidates(*weights: float, value: float = VALUE) -> list[Candidate]:
    return [(weight, value, TaskId(name)) for name, weight in zip("abcdefgh", weights, strict=False)]


def polled(search: CandidateSearch, *, unaccounted: int = 1, ended: TaskId | None = None) -> list[TaskId]:
    """Poll one candidate after the other until one has ended or no poll is worth it; return which were polled."""
    order = []
    while (task := search.next_candidate(unaccounted)) is not None:
        search.poll_started(task)
        order.append(task)
        if task == ended:
            search.confirmed_done(task)
            break
        search.confirmed_running(task)
    return order


def test_the_likeliest_candidate_is_polled_first() -> None:
    assert polled(CandidateSearch.among(candidates(0.2, 0.9, 0.5), probability=0.9)) == [B, C, A]


def test_a_candidate_is_not_polled_twice_while_its_poll_is_open() -> None:
    search = CandidateSearch.among(candidates(0.9, 0.2), probability=0.9)
    assert search.next_candidate(2) == A
    search.poll_started(A)
    assert search.next_candidate(2) == B
    search.poll_started(B)
    assert search.next_candidate(2) is None
    assert not search.exhausted


def test_a_confirmed_end_resets_the_count_of_polls_it_took() -> None:
    search = CandidateSearch.among(candidates(0.2, 0.9), probability=0.9)
    assert polled(search, ended=A) == [B, A]
    assert search.polls == 0
    assert A not in search


def test_a_candidate_that_runs_makes_the_rest_likelier_and_the_whole_search_less() -> None:
    search = CandidateSearch.among(candidates(0.5, 0.5, 0.5, 0.5), probability=0.8)
    before = search._probability_of(A)
    search.confirmed_running(B)
    assert search._probability_of(A) > before
    assert search.probability < 0.8


def test_a_search_is_exhausted_when_every_candidate_was_polled_and_runs() -> None:
    search = CandidateSearch.among(candidates(0.5, 0.4), probability=0.9)
    assert not search.exhausted
    polled(search)
    assert search.exhausted
    assert search.probability == pytest.approx(0.0, abs=1e-6)


def test_a_search_without_candidates_is_exhausted_from_the_start() -> None:
    search = CandidateSearch.among([], probability=0.9)
    assert search.exhausted
    assert search.next_candidate(1) is None


def test_a_candidate_that_is_hardly_likely_is_not_worth_a_poll() -> None:
    assert polled(CandidateSearch.among(candidates(0.9, 1e-6, value=2.0), probability=0.9)) == [A]


def test_counters_that_are_hardly_believed_are_not_worth_a_poll() -> None:
    assert polled(CandidateSearch.among(candidates(0.5, 0.5, value=10.0), probability=0.1)) == []


def test_the_more_completions_are_unaccounted_the_more_a_poll_is_worth() -> None:
    search = CandidateSearch.among(candidates(0.5, 0.5, value=10.0), probability=0.1)
    assert search.next_candidate(1) is None
    assert search.next_candidate(3) is not None


def test_an_end_that_the_run_times_did_not_expect_is_found_at_last() -> None:
    search = CandidateSearch.among(candidates(0.9, 0.8, 0.0), probability=0.98)
    assert polled(search, ended=C) == [A, B, C]


def test_a_job_that_is_no_candidate_does_not_change_the_search() -> None:
    search = CandidateSearch.among(candidates(0.9), probability=0.9)
    search.confirmed_running(B)
    assert search.probability == 0.9
    assert B not in search


@given(
    weights=st.lists(st.floats(0, 1), max_size=8),
    probability=st.floats(0, 1),
    unaccounted=st.integers(1, 5),
    data=st.data(),
)
def test_each_candidate_is_polled_at_most_once_and_the_probability_stays_within_0_and_1(
    weights: list[float], probability: float, unaccounted: int, data: st.DataObject
) -> None:
    search, seen = CandidateSearch.among(candidates(*weights), probability=probability), set()
    while (task := search.next_candidate(unaccounted)) is not None:
        assert task not in seen
        seen.add(task)
        search.poll_started(task)
        (search.confirmed_done if data.draw(st.booleans()) else search.confirmed_running)(task)
        assert 0.0 <= search.probability <= 1.0
    assert not search.open_polls
    assert len(seen) <= len(weights)
