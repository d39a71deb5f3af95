"""How many jobs may be in flight: never more than the limit, and a door that closes on refusals."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rh_async._admission import Admission


def entered(limit: int, *, times: int, now: float = 0.0) -> Admission:
    admission = Admission(limit)
    assert all(admission.enter(now=now) for _ in range(times))
    return admission


def refusal_wait(admission: Admission, *, now: float) -> float:
    """Enter, be refused, and say for how long the door is closed."""
    assert admission.enter(now=now)
    admission.refused(now=now)
    opens = admission.wake_at(now=now)
    assert opens is not None
    return opens - now


def test_as_many_jobs_enter_as_there_are_places() -> None:
    admission = entered(2, times=2)
    assert not admission.enter(now=1e9)
    assert admission.in_flight == 2


def test_a_job_that_leaves_frees_its_place() -> None:
    admission = entered(1, times=1)
    admission.leave()
    assert admission.in_flight == 0
    assert admission.enter(now=0)


def test_a_refused_job_gives_its_place_back_and_the_door_closes_for_a_while() -> None:
    admission = entered(2, times=1)
    admission.refused(now=10)
    assert admission.in_flight == 0
    assert admission.wake_at(now=10) == 12
    assert not admission.enter(now=11.9)
    assert admission.enter(now=12)


def test_refusals_close_the_door_for_longer_and_longer_up_to_half_a_minute() -> None:
    admission, now, waits = Admission(1), 0.0, []
    for _ in range(7):
        waits.append(refusal_wait(admission, now=now))
        now += waits[-1]
    assert waits == [2, 4, 8, 16, 30, 30, 30]


def test_refusals_without_end_never_overflow() -> None:
    admission, now = Admission(1), 0.0
    for _ in range(2000):
        now += refusal_wait(admission, now=now)
    assert refusal_wait(admission, now=now) == 30


def test_a_burst_of_refusals_counts_as_one() -> None:
    admission = entered(10, times=5)
    for n in range(5):
        admission.refused(now=n * 0.1)
    assert admission.in_flight == 0
    assert admission.wake_at(now=0.4) == 2
    assert refusal_wait(admission, now=2) == 4


def test_an_acceptance_makes_the_next_refusal_the_first_again() -> None:
    admission = Admission(2)
    assert refusal_wait(admission, now=0) == 2
    assert refusal_wait(admission, now=2) == 4
    assert admission.enter(now=6)
    admission.accepted()
    assert refusal_wait(admission, now=6) == 2


def test_an_acceptance_takes_and_frees_no_place() -> None:
    admission = entered(2, times=1)
    admission.accepted()
    assert admission.in_flight == 1


def test_an_open_door_with_a_free_place_opens_now() -> None:
    assert Admission(1).wake_at(now=7) == 7


def test_with_every_place_taken_no_clock_opens_the_door() -> None:
    assert entered(1, times=1).wake_at(now=7) is None


def test_a_place_given_back_opens_a_closed_door() -> None:
    admission = entered(3, times=2)
    admission.refused(now=0)
    assert not admission.enter(now=1)
    admission.leave()
    assert admission.enter(now=1)


class Door(RuleBasedStateMachine):
    """Any order of entering, being accepted or refused, and leaving."""

    @initialize(limit=st.integers(1, 4))
    def open(self, limit: int) -> None:
        self.admission = Admission(limit)
        self.limit = limit
        self.now = 0.0
        self.inside = 0
        self.closed_at: float | None = None

    @rule(dt=st.integers(0, 40).map(lambda halves: halves / 2))
    def sleep(self, dt: float) -> None:
        self.now += dt

    @rule()
    def enter(self) -> None:
        opens = self.admission.wake_at(now=self.now)
        came_in = self.admission.enter(now=self.now)
        assert came_in == (opens == self.now)
        self.inside += came_in

    @precondition(lambda self: self.inside)
    @rule()
    def accepted(self) -> None:
        self.admission.accepted()

    @precondition(lambda self: self.inside)
    @rule()
    def leave(self) -> None:
        self.admission.leave()
        self.inside -= 1

    @precondition(lambda self: self.inside)
    @rule()
    def refused(self) -> None:
        before = self.admission.wake_at(now=self.now)
        self.admission.refused(now=self.now)
        self.inside -= 1
        after = self.admission.wake_at(now=self.now)
        assert after is not None
        assert 0 < after - self.now <= 30
        assert before in {None, self.now, after}

    @invariant()
    def counts_who_is_inside_and_never_more_than_the_limit(self) -> None:
        assert self.admission.in_flight == self.inside
        assert 0 <= self.inside <= self.limit

    @invariant()
    def waits_for_somebody_to_leave_exactly_when_it_is_full(self) -> None:
        opens = self.admission.wake_at(now=self.now)
        assert (opens is None) == (self.inside == self.limit)
        assert opens is None or self.now <= opens <= self.now + 30


TestDoor = Door.TestCase
TestDoor.settings = settings(max_examples=80, stateful_step_count=50, deadline=None)


def test_a_job_that_was_never_bought_frees_its_place_and_leaves_the_door_closed() -> None:
    admission = entered(3, times=2)
    admission.refused(now=0)
    admission.withdraw()
    assert admission.in_flight == 0
    assert not admission.enter(now=1)
    assert admission.enter(now=2)
