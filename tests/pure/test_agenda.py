"""The timetable, without an event loop: told the time, it says whom to ask and when."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from attrs import exceptions
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from rh_async import Pace, TaskId
from rh_async._agenda import Agenda

A, B, C = TaskId("a"), TaskId("b"), TaskId("c")


def watching(*tasks: TaskId, now: float = 0.0, accepted_at: float | None = 0.0, **pace: Any) -> Agenda:
    agenda = Agenda(Pace(**pace))
    for task in tasks:
        agenda.watch(task, now=now, accepted_at=accepted_at)
    return agenda


# --- pace -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"interval": 0},
        {"interval": -1},
        {"interval": float("nan")},
        {"questions_per_second": 0},
        {"open_questions": 0},
        {"ceiling": 0},
        {"newborn": -1},
        {"results_within": -1},
        {"horizon": 0},
    ],
    ids=str,
)
def test_a_pace_that_could_never_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Pace(**wrong)


def test_a_pace_is_frozen_and_spreads_its_questions_over_the_second() -> None:
    pace = Pace(questions_per_second=4)
    assert pace.spacing == 0.25
    with pytest.raises(exceptions.FrozenInstanceError):
        pace.interval = 1.0  # type: ignore[misc]


def test_waits_double_with_every_failure_up_to_the_ceiling() -> None:
    pace = Pace(interval=5, ceiling=60)
    assert [pace.after(failures) for failures in range(6)] == [5, 10, 20, 40, 60, 60]
    assert pace.after(10_000) == 60


def test_an_interval_longer_than_the_ceiling_stands() -> None:
    assert [Pace(interval=90, ceiling=60).after(failures) for failures in (0, 3)] == [90, 90]


# --- when -------------------------------------------------------------------------------------------------------------


def test_a_new_job_is_asked_about_one_interval_after_it_is_watched() -> None:
    agenda = watching(A, now=100, accepted_at=40, interval=5)
    assert agenda.wake_at() == 105
    assert agenda.ask(now=104.9) is None
    assert agenda.ask(now=105) == A


def test_a_job_submitted_elsewhere_is_asked_about_at_once() -> None:
    agenda = watching(A, now=100, accepted_at=None)
    assert agenda.wake_at() == 100
    assert agenda.ask(now=100) == A


def test_with_nobody_to_ask_about_there_is_no_waking() -> None:
    agenda = watching()
    assert agenda.wake_at() is None
    assert agenda.ask(now=1e9) is None


def test_while_its_question_is_open_a_job_is_not_asked_about_again() -> None:
    agenda = watching(A)
    assert agenda.ask(now=5) == A
    assert agenda.wake_at() is None
    assert agenda.ask(now=1e6) is None


def test_an_answered_job_is_asked_about_again_one_interval_later() -> None:
    agenda = watching(A, interval=5)
    agenda.ask(now=5)
    agenda.answered(A, now=7)
    assert agenda.wake_at() == 12


def test_whoever_is_due_first_is_asked_about_first_and_ties_go_to_whoever_came_first() -> None:
    agenda = watching(interval=5, questions_per_second=1000)
    agenda.watch(C, now=2, accepted_at=2)
    agenda.watch(B, now=1, accepted_at=1)
    agenda.watch(A, now=1, accepted_at=1)
    assert [agenda.ask(now=100 + n) for n in range(3)] == [B, A, C]


def test_questions_keep_their_distance_whoever_they_are_about() -> None:
    agenda = watching(A, B, interval=5, questions_per_second=2)
    assert agenda.ask(now=5) == A
    assert agenda.wake_at() == 5.5
    assert agenda.ask(now=5.49) is None
    assert agenda.ask(now=5.5) == B


def test_no_more_questions_are_open_than_allowed_until_one_is_answered() -> None:
    agenda = watching(A, B, C, open_questions=2, questions_per_second=1000)
    assert agenda.ask(now=10) == A
    assert agenda.ask(now=11) == B
    assert agenda.wake_at() is None
    assert agenda.ask(now=12) is None
    agenda.answered(A, now=12)
    assert agenda.ask(now=12) == C


def test_failures_back_off_up_to_the_ceiling_and_an_answer_forgives_them_all() -> None:
    agenda = watching(A, interval=5, ceiling=30)
    waits, now = [], 0.0
    for _ in range(5):
        at = agenda.wake_at()
        assert at is not None
        waits.append(at - now)
        now = at
        agenda.ask(now=now)
        agenda.unanswered(A, now=now)
    agenda.ask(now=now + 30)
    agenda.answered(A, now=now + 30)
    assert waits == [5, 10, 20, 30, 30]
    assert agenda.wake_at() == now + 35


# --- who --------------------------------------------------------------------------------------------------------------


def test_a_job_is_watched_once_however_often_it_is_given() -> None:
    agenda = watching(A, interval=5)
    agenda.watch(A, now=3, accepted_at=None)
    assert len(agenda) == 1
    assert agenda.wake_at() == 5


def test_a_forgotten_job_is_never_asked_about() -> None:
    agenda = watching(A, B, interval=5)
    agenda.forget(A)
    assert A not in agenda
    assert B in agenda
    assert len(agenda) == 1
    assert agenda.ask(now=5) == B


def test_forgetting_a_job_frees_the_place_of_its_open_question() -> None:
    agenda = watching(A, B, open_questions=1)
    agenda.ask(now=5)
    agenda.forget(A)
    assert agenda.ask(now=6) == B


def test_forgetting_a_job_nobody_watches_does_no_harm() -> None:
    agenda = watching(A)
    agenda.forget(B)
    assert len(agenda) == 1
    assert agenda.ask(now=5) == A


@pytest.mark.parametrize("late", [Agenda.answered, Agenda.unanswered])
def test_an_answer_about_a_forgotten_job_changes_nothing(late: Any) -> None:
    agenda = watching(A)
    agenda.ask(now=5)
    agenda.forget(A)
    late(agenda, A, now=6)
    assert A not in agenda
    assert agenda.wake_at() is None


def test_a_job_forgotten_and_watched_again_starts_anew_and_is_asked_about_once() -> None:
    agenda = watching(A, interval=5)
    agenda.ask(now=5)
    agenda.unanswered(A, now=5)
    agenda.forget(A)
    agenda.watch(A, now=6, accepted_at=6)
    assert agenda.wake_at() == 11
    assert agenda.ask(now=15) == A
    agenda.unanswered(A, now=15)
    assert agenda.wake_at() == 25


@pytest.mark.parametrize("late", [Agenda.answered, Agenda.unanswered])
def test_an_answer_from_before_a_job_was_watched_again_does_not_move_its_time(late: Any) -> None:
    agenda = watching(A, interval=5)
    agenda.ask(now=5)
    agenda.forget(A)
    agenda.watch(A, now=6, accepted_at=6)
    late(agenda, A, now=9)
    assert agenda.wake_at() == 11


# --- how long ---------------------------------------------------------------------------------------------------------


def test_a_job_is_newborn_for_a_while_after_its_acceptance() -> None:
    agenda = watching(A, now=50, accepted_at=40, newborn=60)
    assert agenda.newborn(A, now=99.9)
    assert not agenda.newborn(A, now=100)


def test_a_job_submitted_elsewhere_or_not_watched_is_never_newborn() -> None:
    agenda = watching(A, now=50, accepted_at=None)
    assert not agenda.newborn(A, now=50)
    assert not agenda.newborn(B, now=50)


def test_missing_results_are_awaited_for_a_while_after_they_were_first_missed() -> None:
    agenda = watching(A, results_within=60)
    assert agenda.awaits_results(A, now=10)
    assert agenda.awaits_results(A, now=69.9)
    assert not agenda.awaits_results(A, now=70)


def test_nobody_awaits_the_results_of_a_job_that_is_not_watched() -> None:
    assert not watching(A).awaits_results(B, now=0)


def test_with_no_patience_for_results_none_are_awaited() -> None:
    assert not watching(A, results_within=0).awaits_results(A, now=10)


def test_a_job_is_overdue_from_the_horizon_on_counted_from_when_it_is_watched() -> None:
    agenda = watching(A, now=100, accepted_at=50, horizon=1000)
    assert not agenda.overdue(A, now=1099.9)
    assert agenda.overdue(A, now=1100)
    assert not agenda.overdue(B, now=1e9)


def test_what_was_remembered_of_a_job_is_forgotten_with_it() -> None:
    agenda = watching(A, results_within=60, horizon=1000)
    assert agenda.awaits_results(A, now=10)
    agenda.forget(A)
    agenda.watch(A, now=2000, accepted_at=2000)
    assert agenda.awaits_results(A, now=2000)
    assert not agenda.overdue(A, now=2500)
    assert agenda.newborn(A, now=2000)


# --- any order of events ----------------------------------------------------------------------------------------------


class Timetable(RuleBasedStateMachine):
    """The agenda beside a model that remembers, for every job, when it may be asked about at the earliest."""

    jobs = Bundle("jobs")
    asked = Bundle("asked")

    def __init__(self) -> None:
        super().__init__()
        self.pace = Pace(interval=5, questions_per_second=2, open_questions=3, ceiling=20)
        self.agenda = Agenda(self.pace)
        self.now = 0.0
        self.jobs_seen = 0
        self.earliest: dict[TaskId, float] = {}
        self.failures: dict[TaskId, int] = {}
        self.open: dict[TaskId, int] = {}
        self.question = 0
        self.last_any = -inf

    def start(self, task: TaskId, *, elsewhere: bool, age: float) -> None:
        self.agenda.watch(task, now=self.now, accepted_at=None if elsewhere else self.now - age)
        if task not in self.earliest:
            self.earliest[task] = self.now if elsewhere else self.now + self.pace.interval
            self.failures[task] = 0

    def expected_wake(self) -> float | None:
        waiting = [at for task, at in self.earliest.items() if task not in self.open]
        if not waiting or len(self.open) >= self.pace.open_questions:
            return None
        return max(min(waiting), self.last_any + self.pace.spacing)

    @rule(target=jobs, elsewhere=st.booleans(), age=st.floats(0, 100))
    def watch(self, elsewhere: bool, age: float) -> TaskId:
        self.jobs_seen += 1
        task = TaskId(f"t{self.jobs_seen}")
        self.start(task, elsewhere=elsewhere, age=age)
        return task

    @rule(task=jobs, elsewhere=st.booleans(), age=st.floats(0, 100))
    def watch_again(self, task: TaskId, elsewhere: bool, age: float) -> None:
        self.start(task, elsewhere=elsewhere, age=age)

    @rule(dt=st.floats(0, 20))
    def sleep(self, dt: float) -> None:
        self.now += dt

    @precondition(lambda self: self.agenda.wake_at() is not None)
    @rule()
    def sleep_until_woken(self) -> None:
        self.now = max(self.now, self.agenda.wake_at() or 0.0)

    @rule(target=asked)
    def ask(self) -> tuple[TaskId, int] | None:
        due = self.expected_wake()
        task = self.agenda.ask(now=self.now)
        assert (task is not None) == (due is not None and due <= self.now)
        if task is None:
            return None
        assert task not in self.open
        assert self.now >= self.earliest[task]
        assert self.now - self.last_any >= self.pace.spacing - 1e-9
        assert self.earliest[task] == min(at for other, at in self.earliest.items() if other not in self.open)
        self.last_any = self.now
        self.question += 1
        self.open[task] = self.question
        return task, self.question

    def close(self, question: tuple[TaskId, int] | None) -> TaskId | None:
        """The task whose open question this is; one that was forgotten is nobody's any more."""
        if question is None or self.open.get(question[0]) != question[1]:
            return None
        del self.open[question[0]]
        return question[0]

    @rule(question=consumes(asked))
    def answer(self, question: tuple[TaskId, int] | None) -> None:
        if task := self.close(question):
            self.failures[task] = 0
            self.earliest[task] = self.now + self.pace.interval
            self.agenda.answered(task, now=self.now)

    @rule(question=consumes(asked))
    def fail(self, question: tuple[TaskId, int] | None) -> None:
        if task := self.close(question):
            self.failures[task] += 1
            self.earliest[task] = self.now + min(5.0 * 2 ** self.failures[task], 20.0)
            self.agenda.unanswered(task, now=self.now)

    @rule(task=jobs)
    def answer_out_of_turn(self, task: TaskId) -> None:
        if task not in self.open:
            self.agenda.answered(task, now=self.now)
            self.agenda.unanswered(task, now=self.now)

    @rule(task=jobs)
    def forget(self, task: TaskId) -> None:
        self.agenda.forget(task)
        for known in (self.earliest, self.failures, self.open):
            known.pop(task, None)

    @invariant()
    def never_too_many_questions(self) -> None:
        assert len(self.open) <= self.pace.open_questions

    @invariant()
    def wakes_exactly_when_somebody_may_be_asked_about(self) -> None:
        assert self.agenda.wake_at() == self.expected_wake()

    @invariant()
    def watches_exactly_what_was_not_forgotten(self) -> None:
        assert len(self.agenda) == len(self.earliest)
        assert all(task in self.agenda for task in self.earliest)


TestTimetable = Timetable.TestCase
TestTimetable.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
