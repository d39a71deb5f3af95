"""Simulates many jobs against one scheduler in virtual time: no sockets, no loop, each slot refilled when it frees.

What a server would count is counted here: each poll that the scheduler sends, and how late it notices each end.
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

RunTimes = Callable[[random.Random], float]
"""Draws a run time, in seconds."""

MODEL: Final = "/model"


def lognormal(median: float = 180.0, sigma: float = 0.4) -> RunTimes:
    """Run times whose logarithm is normally distributed."""
    return lambda rng: rng.lognormvariate(log(median), sigma)


def some_end_at_once(share: float = 0.1, seconds: float = 0.0, otherwise: RunTimes | None = None) -> RunTimes:
    """Run times of which some are next to nothing: moderation refuses a job as soon as it is accepted."""
    run_time = otherwise or lognormal()
    return lambda rng: seconds if rng.random() < share else run_time(rng)


def bimodal(short: float = 60.0, long: float = 300.0, sigma: float = 0.1) -> RunTimes:
    """Run times of a model that has a fast path and a slow one."""
    return lambda rng: rng.choice((short, long)) * exp(rng.gauss(0.0, sigma))


def trained(
    run_time: RunTimes, *, samples: int = 200, seed: int = 7, policy: PollingPolicy | None = None
) -> PollScheduler:
    """Return a scheduler that has learnt the run times of earlier jobs."""
    scheduler, rng = PollScheduler(policy or PollingPolicy()), random.Random(seed)
    for _ in range(samples):
        scheduler.learn(MODEL, run_time(rng))
    return scheduler


@frozen
class FleetResult:
    """What the simulation counted.

    :ivar jobs: how many settled.  :ivar polls: by kind.
    :ivar latencies: from the end of each job to its detection, in seconds.
    """

    jobs: int
    polls: Counter[str]
    latencies: tuple[float, ...]

    @property
    def requests_per_job(self) -> float:
        """The submit of a job, its polls, and its share of the reads of the counters."""
        return 1.0 + self.polls.total() / self.jobs

    @property
    def mean_latency(self) -> float:
        """In seconds."""
        return sum(self.latencies) / len(self.latencies)

    @property
    def p99_latency(self) -> float:
        """The 99th percentile, in seconds."""
        return sorted(self.latencies)[int(0.99 * (len(self.latencies) - 1))]


Counters = Callable[["Fleet"], int | None]
"""The account's total of unsettled tasks, as the server tells it; None if it refuses."""


@define(eq=False)
class Fleet:
    """The server's side of many jobs, and a caller that refills each slot as soon as an end is noticed.

    :param slots: how many jobs are in flight at once.  :param run_time: draws their run times.
    :param counters: the total that the account tells; the truth by default.
    :param rtt: the round-trip time of a request, in seconds; the server reads it halfway.
    """

    scheduler: PollScheduler
    slots: int = 50
    run_time: RunTimes = field(factory=lognormal)
    counters: Counters = field(default=lambda fleet: fleet.unsettled)
    rtt: float = 0.0
    rng: random.Random = field(factory=lambda: random.Random(1))
    now: float = field(default=0.0, init=False)
    settles_at: dict[TaskId, float] = field(factory=dict, init=False)
    run_times: dict[TaskId, float] = field(factory=dict, init=False)
    polls: list[tuple[float, TaskId | None]] = field(factory=list, init=False)  #: None for a read of the counters
    latencies: dict[TaskId, float] = field(factory=dict, init=False)  #: between each end and its detection, in seconds
    _to_submit: int = field(default=0, init=False)
    _wire: list[tuple[float, int, Callable[[], object]]] = field(factory=list, init=False)  #: what arrives, and when
    _ids: Iterator[int] = field(factory=count, init=False)
    _sequence: Iterator[int] = field(factory=count, init=False)

    @property
    def unsettled(self) -> int:
        """How many jobs have not ended."""
        return sum(end > self.now for end in self.settles_at.values())

    def run(self, jobs: int) -> FleetResult:
        """Submit so many jobs, and poll until the end of each is noticed."""
        self._to_submit = jobs
        for _ in range(self.slots):
            self._submit()
        while self._to_submit or self.settles_at or self._wire:
            self._step()
        polls = Counter("queue_status" if task is None else "query" for _, task in self.polls)
        return FleetResult(jobs, polls, tuple(self.latencies.values()))

    def _step(self) -> None:
        """Advance to what comes first: an arrival, or the scheduler's next poll."""
        poll_at = self.scheduler.next_poll_at()
        arrives_at = self._wire[0][0] if self._wire else inf
        if poll_at is None or arrives_at <= max(self.now, poll_at):
            assert self._wire, "a job is in flight and will never be polled"
            self.now, _, arrive = heapq.heappop(self._wire)
            arrive()
        else:
            self.now = max(self.now, poll_at)
            self._poll()

    def _poll(self) -> None:
        target = self.scheduler.next_poll(now=self.now)
        assert target is not None, "there is no poll at the instant the scheduler named"
        if isinstance(target, str):
            self.polls.append((self.now, target))
            self._send(lambda: self._answer_query(target))
        else:
            self.polls.append((self.now, None))
            self._send(self._answer_read)

    def _send(self, arrive: Callable[[], object]) -> None:
        heapq.heappush(self._wire, (self.now + self.rtt / 2.0, next(self._sequence), arrive))

    def _answer_read(self) -> None:
        total = self.counters(self)
        self._send(lambda: self.scheduler.counters_read(total, now=self.now))

    def _answer_query(self, task: TaskId) -> None:
        runs = self.settles_at[task] > self.now
        self._send(lambda: self.scheduler.still_running(task, now=self.now) if runs else self._detect(task))

    def _detect(self, task: TaskId) -> None:
        self.latencies[task] = self.now - self.settles_at.pop(task)
        self.scheduler.settled(task, now=self.now)
        self._submit()

    def _submit(self) -> None:
        if self._to_submit:
            self._to_submit -= 1
            self.scheduler.adjust_submits_in_flight(1)
            self._send(self._accept)

    def _accept(self) -> None:
        task = TaskId(f"t{next(self._ids)}")
        self.run_times[task] = self.run_time(self.rng)
        self.settles_at[task] = self.now + self.run_times[task]
        self._send(lambda: self._track(task))

    def _track(self, task: TaskId) -> None:
        self.scheduler.track(task, now=self.now, accepted_at=self.now, endpoint=MODEL)
        self.scheduler.adjust_submits_in_flight(-1)


# --- what an account may tell of itself -------------------------------------------------------------------------------


def refused(_: Fleet) -> None:
    """Refuse to tell the total."""


def random_total(fleet: Fleet) -> int:
    """Tell any number up to the slots."""
    return fleet.rng.randrange(fleet.slots + 1)


@define(eq=False)
class FrozenCounters:
    """Tells the first total for ever."""

    _total: int | None = None

    def __call__(self, fleet: Fleet) -> int:
        """Return the total of the first call."""
        self._total = fleet.unsettled if self._total is None else self._total
        return self._total


@define(eq=False)
class ForeignTasks:
    """Tells the truth, which includes tasks of other programs: each starts its next a moment after the last ended."""

    run_time: RunTimes
    rng: random.Random = field(factory=lambda: random.Random(5))
    _tasks: list[tuple[float, float]] = field(init=False)  #: the start and the end of each

    def __attrs_post_init__(self) -> None:
        self._tasks = [(-1.0, self.run_time(self.rng) * self.rng.random()) for _ in range(50)]

    def __call__(self, fleet: Fleet) -> int:
        """Return the number of all unsettled tasks."""
        self._tasks = [self._current(task, fleet.now) for task in self._tasks]
        return fleet.unsettled + sum(start <= fleet.now for start, _ in self._tasks)

    def _current(self, task: tuple[float, float], now: float) -> tuple[float, float]:
        start, end = task
        while end <= now:
            start = end + 5.0 * self.rng.random()
            end = start + self.run_time(self.rng)
        return start, end
