"""Keeps what is due to be polled and how fast: a heap of jobs by time, limited by the policy's budget of polls."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import count
from math import inf
from typing import Final

from attrs import define, field

from rh_async.types import TaskId

from .policy import PollingPolicy
from .tracked_job import QueueEntry, TrackedJob

_SAVED_SECONDS: Final = 1.5  # of the budget that may be saved up: a search polls in a burst


class AccountPoll(Enum):
    """The poll that is about the whole account and not about one job."""

    QUEUE_COUNTERS = "queue_counters"


QUEUE_COUNTERS: Final = AccountPoll.QUEUE_COUNTERS
PollTarget = TaskId | AccountPoll


@define(eq=False, repr=False)
class PollQueue:
    """The polls to come of all jobs, and the budget that they share (POLLING.md 6).

    :param jobs: all that are tracked; an entry of the heap counts only while its job names it as its own.
    :ivar spacing: the average time between any two polls, in seconds.
    :ivar max_open: how many polls may await a response at once.
    :ivar latency_cost: how many polls a second of detection latency is worth.
    """

    _policy: PollingPolicy
    _jobs: Mapping[TaskId, TrackedJob]
    spacing: float = field(init=False)  # computed when the number of jobs changes, for it is read at every poll
    max_open: int = field(init=False)
    latency_cost: float = field(init=False)
    _heap: list[QueueEntry] = field(factory=list, init=False)
    _sequence: Iterator[int] = field(factory=count, init=False)
    _ideal_rate: float = field(default=0.0, init=False)  #: of polls of all jobs, per second, if there were no budget
    _spent_until: float = field(default=-inf, init=False)  #: the budget

    def __attrs_post_init__(self) -> None:
        self.resize()

    # --- what is due -------------------------------------------------------------------------------------------------

    def schedule(self, task: TaskId, job: TrackedJob, at: float) -> None:
        """Have a job polled at an instant, and not when it was due before."""
        # The entry before stays in the heap until it comes up: to find and remove it would take a search.
        job.entry = (at, next(self._sequence), task)
        heapq.heappush(self._heap, job.entry)

    def next_due(self) -> float:
        """Return when the first job is due; infinite if none is."""
        while self._heap and not self._is_current(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else inf

    def first(self) -> TaskId:
        """Return the job that `next_due` was about."""
        return self._heap[0][2]

    def _is_current(self, entry: QueueEntry) -> bool:
        job = self._jobs.get(entry[2])
        return job is not None and job.entry is entry

    # --- how fast ----------------------------------------------------------------------------------------------------

    def resize(self) -> None:
        """Compute again what depends on the number of jobs."""
        jobs = len(self._jobs)
        self.spacing, self.max_open = self._policy.spacing(jobs), self._policy.max_open(jobs)
        self.latency_cost = self._policy.latency_cost(jobs)

    def remove(self, job: TrackedJob) -> None:
        """Drop a job that is no longer among the tracked ones."""
        self._ideal_rate -= job.ideal_rate
        self.resize()

    @property
    def budget_free_at(self) -> float:
        """When the budget allows the next poll."""
        return self._spent_until - _SAVED_SECONDS

    def spend(self, now: float) -> None:
        """Take one poll from the budget."""
        self._spent_until = max(self._spent_until, now) + self.spacing

    def affordable_interval(self, job: TrackedJob, ideal: float, *, shortest: float) -> float:
        """Return the interval between polls of a job that the budget allows, and count the job towards the load.

        The load factor is the same for every job, so that none starves while the budget is short (POLLING.md 2).
        """
        longest = max(self._policy.max_interval, len(self._jobs) * self.spacing)
        interval = min(max(ideal, shortest), longest)
        rate = 1.0 / interval
        self._ideal_rate += rate - job.ideal_rate
        job.ideal_rate = rate
        load_factor = self._ideal_rate * self.spacing
        return interval if load_factor <= 1.0 else min(interval * load_factor, longest)
