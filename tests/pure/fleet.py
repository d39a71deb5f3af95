"""Many jobs against one timetable, told the time: no sockets, no loop, and every slot refilled as soon as it frees.

What the server would have counted is counted here: each question the agenda asks, and how late it learns of each end.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from math import exp, log
from typing import Final

from attrs import define, field, frozen

from rh_async import Pace, TaskId
from rh_async._agenda import COUNTS, Agenda

Draw = Callable[[random.Random], float]
"""Draws a run time, in seconds."""

MODEL: Final = "/model"


def lognormal(median: float = 180.0, sigma: float = 0.4) -> Draw:
    """Run times spread evenly, in their logarithm, about a median."""
    return lambda chance: chance.lognormvariate(log(median), sigma)


def two_humps(short: float = 60.0, long: float = 300.0, sigma: float = 0.1) -> Draw:
    """Run times of a model that has a quick path and a slow one."""
    return lambda chance: chance.choice((short, long)) * exp(chance.gauss(0.0, sigma))


def learnt(draw: Draw, *, samples: int = 200, seed: int = 7, pace: Pace | None = None) -> Agenda:
    """A timetable that has seen jobs of this kind end."""
    agenda, chance = Agenda(pace or Pace()), random.Random(seed)
    for _ in range(samples):
        agenda.learn(MODEL, draw(chance))
    return agenda


@frozen
class Told:
    """What the fleet saw.

    :ivar jobs: how many ended.  :ivar questions: of each kind.  :ivar late: how late each end was noticed, in seconds.
    """

    jobs: int
    questions: Counter[str]
    late: tuple[float, ...]

    @property
    def requests(self) -> float:
        """Per job: its submit, the questions about it, and its share of the looks at the counts."""
        return 1.0 + self.questions.total() / self.jobs

    @property
    def mean(self) -> float:
        """How late an end is noticed on average, in seconds."""
        return sum(self.late) / len(self.late)

    @property
    def p99(self) -> float:
        """What one in a hundred exceeds."""
        return sorted(self.late)[int(0.99 * (len(self.late) - 1))]


Counts = Callable[["Fleet"], int | None]
"""What the account says when it is asked how many tasks it has."""


@define(eq=False)
class Fleet:
    """The server's side of many jobs, and a caller who refills each slot as soon as its end is noticed.

    :param slots: how many jobs are in flight at once.  :param draw: their run times.
    :param counts: what the account says of itself; the truth, unless told otherwise.
    """

    agenda: Agenda
    slots: int = 50
    draw: Draw = field(factory=lognormal)
    counts: Counts = field(default=lambda fleet: fleet.alive)
    chance: random.Random = field(factory=lambda: random.Random(1))
    now: float = field(default=0.0, init=False)
    ends: dict[TaskId, float] = field(factory=dict, init=False)
    asked: list[tuple[float, TaskId | None]] = field(factory=list, init=False)
    _late: list[float] = field(factory=list, init=False)
    _names: Iterator[int] = field(factory=count, init=False)

    @property
    def alive(self) -> int:
        """How many jobs have not ended."""
        return sum(end > self.now for end in self.ends.values())

    def run(self, jobs: int) -> Told:
        """Carry so many jobs from their submit to the notice of their end."""
        for _ in range(min(self.slots, jobs)):
            self._submit()
        left = jobs - len(self.ends)
        while self.ends:
            left -= self._turn(refill=left > 0)
        questions = Counter("counts" if task is None else "query" for _, task in self.asked)
        return Told(jobs, questions, tuple(self._late))

    def _turn(self, *, refill: bool) -> bool:
        """Ask one question when the agenda wakes; whether a job was submitted after it."""
        wake_at = self.agenda.wake_at()
        assert wake_at is not None, "a job is in flight and nobody will ask about it"
        self.now = max(self.now, wake_at)
        question = self.agenda.ask(now=self.now)
        assert question is not None, "woken for nothing"
        if question is COUNTS:
            self.asked.append((self.now, None))
            self.agenda.counted(self.counts(self), now=self.now)
            return False
        self.asked.append((self.now, question))
        return self._answer(question) and refill and self._submit()

    def _answer(self, task: TaskId) -> bool:
        if self.ends[task] > self.now:
            self.agenda.answered(task, now=self.now)
            return False
        self._late.append(self.now - self.ends.pop(task))
        self.agenda.ended(task, now=self.now)
        return True

    def _submit(self) -> bool:
        task = TaskId(f"t{next(self._names)}")
        self.ends[task] = self.now + self.draw(self.chance)
        self.agenda.watch(task, now=self.now, accepted_at=self.now, endpoint=MODEL)
        return True


# --- what an account may say of itself --------------------------------------------------------------------------------


def missing(_: Fleet) -> None:
    """The call is refused."""


def drawn(fleet: Fleet) -> int:
    """Any number up to the slots."""
    return fleet.chance.randrange(fleet.slots + 1)


@define(eq=False)
class Frozen:
    """The first number, for ever."""

    _said: int | None = None

    def __call__(self, fleet: Fleet) -> int:
        """Say it."""
        self._said = fleet.alive if self._said is None else self._said
        return self._said


@define(eq=False)
class Strangers:
    """The truth, and the jobs of other programs on the same key: each starts its next a moment after the last ended."""

    draw: Draw
    chance: random.Random = field(factory=lambda: random.Random(5))
    _jobs: list[tuple[float, float]] = field(init=False)  #: from when to when each stranger's job runs

    def __attrs_post_init__(self) -> None:
        self._jobs = [(-1.0, self.draw(self.chance) * self.chance.random()) for _ in range(50)]

    def __call__(self, fleet: Fleet) -> int:
        """Count everybody's."""
        self._jobs = [self._current(job, fleet.now) for job in self._jobs]
        return fleet.alive + sum(start <= fleet.now for start, _ in self._jobs)

    def _current(self, job: tuple[float, float], now: float) -> tuple[float, float]:
        start, end = job
        while end <= now:
            start = end + 5.0 * self.chance.random()
            end = start + self.draw(self.chance)
        return start, end
