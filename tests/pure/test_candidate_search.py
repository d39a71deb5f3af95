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


def asked(hunt: CandidateSearch, *, missing: int = 1, ended: TaskId | None = None) -> list[TaskId]:
    """Ask one after the other until somebody has ended or no question is worth it; whom was asked."""
    order = []
    while (task := hunt.likeliest(missing)) is not None:
        hunt.ask(task)
        order.append(task)
        if task == ended:
            hunt.found(task)
            break
        hunt.cleared(task)
    return order


def test_the_likeliest_is_asked_about_first() -> None:
    assert asked(CandidateSearch.among(suspects(0.2, 0.9, 0.5), chance=0.9)) == [B, C, A]


def test_nobody_is_asked_twice_while_the_answer_is_awaited() -> None:
    hunt = CandidateSearch.among(suspects(0.9, 0.2), chance=0.9)
    assert hunt.likeliest(2) == A
    hunt.ask(A)
    assert hunt.likeliest(2) == B
    hunt.ask(B)
    assert hunt.likeliest(2) is None
    assert not hunt.in_vain


def test_who_is_found_ends_the_count_of_the_questions_it_took() -> None:
    hunt = CandidateSearch.among(suspects(0.2, 0.9), chance=0.9)
    assert asked(hunt, ended=A) == [B, A]
    assert hunt.asked == 0
    assert A not in hunt


def test_whoever_runs_makes_the_others_likelier_and_the_whole_search_less() -> None:
    hunt = CandidateSearch.among(suspects(0.5, 0.5, 0.5, 0.5), chance=0.8)
    before = hunt._likely(A)
    hunt.cleared(B)
    assert hunt._likely(A) > before
    assert hunt.chance < 0.8


def test_when_everybody_was_asked_about_and_runs_it_was_in_vain() -> None:
    hunt = CandidateSearch.among(suspects(0.5, 0.4), chance=0.9)
    assert not hunt.in_vain
    asked(hunt)
    assert hunt.in_vain
    assert hunt.chance == pytest.approx(0.0, abs=1e-6)


def test_a_search_among_nobody_is_in_vain_from_the_start() -> None:
    hunt = CandidateSearch.among([], chance=0.9)
    assert hunt.in_vain
    assert hunt.likeliest(1) is None


def test_a_suspect_that_is_hardly_likely_is_not_worth_a_question() -> None:
    assert asked(CandidateSearch.among(suspects(0.9, 1e-6, worth=2.0), chance=0.9)) == [A]


def test_a_hint_that_is_hardly_believed_is_not_worth_a_question() -> None:
    assert asked(CandidateSearch.among(suspects(0.5, 0.5, worth=10.0), chance=0.1)) == []


def test_the_more_are_missing_the_more_it_is_worth_to_ask() -> None:
    hunt = CandidateSearch.among(suspects(0.5, 0.5, worth=10.0), chance=0.1)
    assert hunt.likeliest(1) is None
    assert hunt.likeliest(3) is not None


def test_an_end_that_nobody_expected_is_found_at_last() -> None:
    hunt = CandidateSearch.among(suspects(0.9, 0.8, 0.0), chance=0.98)
    assert asked(hunt, ended=C) == [A, B, C]


def test_a_job_that_was_no_suspect_is_nobody_s_news() -> None:
    hunt = CandidateSearch.among(suspects(0.9), chance=0.9)
    hunt.cleared(B)
    assert hunt.chance == 0.9
    assert B not in hunt


@given(
    weights=st.lists(st.floats(0, 1), max_size=8),
    chance=st.floats(0, 1),
    missing=st.integers(1, 5),
    data=st.data(),
)
def test_whatever_the_suspects_each_is_asked_about_at_most_once_and_the_chance_is_a_share(
    weights: list[float], chance: float, missing: int, data: st.DataObject
) -> None:
    hunt, seen = CandidateSearch.among(suspects(*weights), chance=chance), set()
    while (task := hunt.likeliest(missing)) is not None:
        assert task not in seen
        seen.add(task)
        hunt.ask(task)
        (hunt.found if data.draw(st.booleans()) else hunt.cleared)(task)
        assert 0.0 <= hunt.chance <= 1.0
    assert not hunt.open
    assert len(seen) <= len(weights)
