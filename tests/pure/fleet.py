"""Many jobs against one timetable, told the time: no sockets, no loop, and every slot refilled as soon as it frees.

What the server would have counted is counted here: each question the agenda asks, and how late it learns of each end.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from math import exp, inf, log
from typing import Final

from attrs import define, field, frozen

from rh_async import PollingPolicy, TaskId
from rh_async._polling.scheduler import PollScheduler

Draw = Callable[[random.Random], float]
"""Draws a run time, in seconds."""

MODEL: Final = "/model"


def lognormal(median: float = 180.0, sigma: float = 0.4) -> Draw:
    """Run times spread evenly, in their logarithm, about a median."""
    return lambda chance: chance.lognormvariate(log(median), sigma)


def often_at_once(share: float = 0.1, seconds: float = 0.0, otherwise: Draw | None = None) -> Draw:
    """Run times of which some share is next to nothing: moderation refuses a job as soon as it is accepted."""
    draw = otherwise or lognormal()
    return lambda chance: seconds if chance.random() < share else draw(chance)


def two_humps(short: float = 60.0, long: float = 300.0, sigma: float = 0.1) -> Draw:
    """Run times of a model that has a quick path and a slow one."""
    return lambda chance: chance.choice((short, long)) * exp(chance.gauss(0.0, sigma))


def learnt(draw: Draw, *, samples: int = 200, seed: int = 7, policy: PollingPolicy | None = None) -> PollScheduler:
    """A timetable that has seen jobs of this kind end."""
    scheduler, chance = PollScheduler(policy or PollingPolicy()), random.Random(seed)
    for _ in range(samples):
        scheduler.learn(MODEL, draw(chance))
    return scheduler


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
    :param rtt: how long an answer is on its way, there and back, in seconds; the server reads a call halfway.
    """

    scheduler: PollScheduler
    slots: int = 50
    draw: Draw = field(factory=lognormal)
    counts: Counts = field(default=lambda fleet: fleet.alive)
    rtt: float = 0.0
    chance: random.Random = field(factory=lambda: random.Random(1))
    now: float = field(default=0.0, init=False)
    ends: dict[TaskId, float] = field(factory=dict, init=False)
    run_times: dict[TaskId, float] = field(factory=dict, init=False)
    asked: list[tuple[float, TaskId | None]] = field(factory=list, init=False)
    late: dict[TaskId, float] = field(factory=dict, init=False)  #: how late each end was noticed, in seconds
    _left: int = field(default=0, init=False)  #: how many jobs are still to be submitted
    _wire: list[tuple[float, int, Callable[[], object]]] = field(factory=list, init=False)  #: what arrives, and when
    _names: Iterator[int] = field(factory=count, init=False)
    _ticket: Iterator[int] = field(factory=count, init=False)

    @property
    def alive(self) -> int:
        """How many jobs have not ended."""
        return sum(end > self.now for end in self.ends.values())

    def run(self, jobs: int) -> Told:
        """Carry so many jobs from their submit to the notice of their end."""
        self._left = jobs
        for _ in range(self.slots):
            self._submit()
        while self._left or self.ends or self._wire:
            self._turn()
        questions = Counter("counts" if task is None else "query" for _, task in self.asked)
        return Told(jobs, questions, tuple(self.late.values()))

    def _turn(self) -> None:
        """Go on to what comes first: something arrives, or the agenda wakes."""
        wake_at = self.scheduler.next_poll_at()
        arrives_at = self._wire[0][0] if self._wire else inf
        if wake_at is None or arrives_at <= max(self.now, wake_at):
            assert self._wire, "a job is in flight and nobody will ask about it"
            self.now, _, arrive = heapq.heappop(self._wire)
            arrive()
        else:
            self.now = max(self.now, wake_at)
            self._ask()

    def _ask(self) -> None:
        question = self.scheduler.next_poll(now=self.now)
        assert question is not None, "woken for nothing"
        if isinstance(question, str):
            self.asked.append((self.now, question))
            self._on_wire(lambda: self._read(question))
        else:
            self.asked.append((self.now, None))
            self._on_wire(self._count)

    def _on_wire(self, arrive: Callable[[], object]) -> None:
        heapq.heappush(self._wire, (self.now + self.rtt / 2.0, next(self._ticket), arrive))

    def _count(self) -> None:
        total = self.counts(self)
        self._on_wire(lambda: self.scheduler.counters_read(total, now=self.now))

    def _read(self, task: TaskId) -> None:
        runs = self.ends[task] > self.now
        self._on_wire(lambda: self.scheduler.still_running(task, now=self.now) if runs else self._notice(task))

    def _notice(self, task: TaskId) -> None:
        self.late[task] = self.now - self.ends.pop(task)
        self.scheduler.settled(task, now=self.now)
        self._submit()

    def _submit(self) -> None:
        if self._left:
            self._left -= 1
            self.scheduler.adjust_submits_in_flight(1)
            self._on_wire(self._accept)

    def _accept(self) -> None:
        task = TaskId(f"t{next(self._names)}")
        self.run_times[task] = self.draw(self.chance)
        self.ends[task] = self.now + self.run_times[task]
        self._on_wire(lambda: self._watch(task))

    def _watch(self, task: TaskId) -> None:
        self.scheduler.track(task, now=self.now, accepted_at=self.now, endpoint=MODEL)
        self.scheduler.adjust_submits_in_flight(-1)


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
