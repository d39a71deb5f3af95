"""Infers from the account's queue counters which jobs have probably settled, before their next poll would tell.

It only ever advances polls: the scheduler works without it, on run times alone (POLLING.md 4). `NoDetector` is the form
for a policy that leaves the counters alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from math import inf, sqrt
from typing import Final, Protocol

from attrs import define, field

from rh_async.types import TaskId

from .candidate_search import Candidate
from .counter_evidence import CounterEvidence
from .policy import PollingPolicy
from .tracked_job import TrackedJob

_MIN_PERIOD: Final = 0.5  # seconds between two reads of the counters
_MIN_LOOKAHEAD: Final = 1.0  # second: at least the ends within it decide how often the counters are read
_PERIOD_VALID: Final = 5.0  # seconds, at most, until the best period between reads is computed again
_MAX_SEARCH_POLLS: Final = 38.0  # per job found: a search that takes more asks an account of hundreds for too much
_MAX_SHARING: Final = 4.0  # where many jobs share the price of a read, reads are closer by this factor at most


class CompletionDetector(Protocol):
    """Tells the scheduler when to read the queue counters, and which job to poll because of them.

    The scheduler reads the properties, and notifies the detector of what happens to jobs and polls.
    """

    @property
    def confidence(self) -> float:
        """How likely the counters are to show the end of one of our jobs, from 0 to 1."""

    @property
    def interval_confidence(self) -> float:
        """How far poll intervals may rely on the counters: 0 while they are not read."""

    @property
    def all_running_at(self) -> float:
        """When the counters last showed that none of our jobs had ended."""

    @property
    def reading(self) -> bool:
        """Whether a read of the counters awaits its response."""

    @property
    def next_read_at(self) -> float:
        """When to read the counters; infinite if not before something else happens."""

    @property
    def next_candidate(self) -> TaskId | None:
        """The job to poll now because of the counters, if any."""

    def job_added(self, job: TrackedJob, *, now: float) -> None:
        """Note that a job is tracked."""

    def job_removed(self, task: TaskId, *, now: float) -> None:
        """Note that a job is tracked no longer."""

    def submits_in_flight_changed(self, change: int) -> None:
        """Note that so many more, or fewer, submits await their response."""

    def read_started(self) -> None:
        """Note that the counters are being read."""

    def counters_read(self, total: int, *, now: float) -> None:
        """Take the account's total of unsettled tasks."""

    def read_failed(self, *, retryable: bool, now: float) -> None:
        """Note that a read failed, and whether the next may succeed."""

    def poll_started(self, task: TaskId) -> None:
        """Note that a candidate is being polled."""

    def poll_failed(self, task: TaskId) -> None:
        """Note that a poll told nothing of a job."""

    def confirmed_running(self, task: TaskId, *, now: float) -> None:
        """Note that a poll found a job running."""

    def confirmed_done(self, task: TaskId, job: TrackedJob, *, now: float) -> None:
        """Note that a job has settled; it is still tracked."""


class NoDetector:
    """Detects nothing: jobs are polled by their run times alone, and the counters are never read.

    Every notification is ignored.
    """

    confidence = interval_confidence = 0.0
    all_running_at = -inf
    reading = False
    next_read_at = inf
    next_candidate = None

    def job_added(self, job: TrackedJob, *, now: float) -> None:
        """Do nothing."""

    def job_removed(self, task: TaskId, *, now: float) -> None:
        """Do nothing."""

    def submits_in_flight_changed(self, change: int) -> None:
        """Do nothing."""

    def read_started(self) -> None:
        """Do nothing."""

    def counters_read(self, total: int, *, now: float) -> None:
        """Do nothing."""

    def read_failed(self, *, retryable: bool, now: float) -> None:
        """Do nothing."""

    def poll_started(self, task: TaskId) -> None:
        """Do nothing."""

    def poll_failed(self, task: TaskId) -> None:
        """Do nothing."""

    def confirmed_running(self, task: TaskId, *, now: float) -> None:
        """Do nothing."""

    def confirmed_done(self, task: TaskId, job: TrackedJob, *, now: float) -> None:
        """Do nothing."""


@define(eq=False, repr=False)
class QueueCounterDetector:
    """Reads the counters as often as that pays, and searches for the jobs whose end they show.

    :param jobs: all that the scheduler tracks.
    :ivar evidence: what the counters have shown, and how far to rely on them.
    """

    _policy: PollingPolicy
    _jobs: Mapping[TaskId, TrackedJob]
    evidence: CounterEvidence = field(factory=CounterEvidence, init=False)
    _read_at_change: int | None = field(default=None, init=False)  #: `_changes` when the open read was sent
    _changes: int = field(default=0, init=False)  #: of the number of tasks that the counters should show
    _submits_in_flight: int = field(default=0, init=False)
    _period: float = field(default=0.0, init=False)
    _period_valid_until: float = field(default=-inf, init=False)
    _cost_without: float = field(default=inf, init=False)  #: of one job, in polls, if the counters are left alone

    @property
    def confidence(self) -> float:
        """How likely the counters are to show the end of one of our jobs, from 0 to 1."""
        return self.evidence.confidence

    @property
    def interval_confidence(self) -> float:
        """How far poll intervals may rely on the counters: 0 while a search would not pay."""
        return self.evidence.confidence if self._search_pays() else 0.0

    @property
    def all_running_at(self) -> float:
        """When the counters last showed that none of our jobs had ended."""
        return self.evidence.all_running_at

    @property
    def reading(self) -> bool:
        """Whether a read of the counters awaits its response."""
        return self._read_at_change is not None

    @property
    def next_read_at(self) -> float:
        """When to read the counters; infinite while a read is open, or a search would not pay."""
        due = self._jobs and self._read_at_change is None and self._search_pays()
        return self.evidence.next_read_at if due else inf

    @property
    def next_candidate(self) -> TaskId | None:
        """The job to poll now because of the counters, if any."""
        while (task := self.evidence.next_candidate()) is not None and self._jobs[task].entry is None:
            self.evidence.poll_started(task)  # a poll of it is open anyway, and one about a job is the limit
        return task

    def job_added(self, job: TrackedJob, *, now: float) -> None:
        """Note that a job is tracked, and read the counters soon if its model is hardly known."""
        self._jobs_changed()
        self._period_valid_until = -inf
        self.evidence.read_by(now + job.counters_due_within(now))

    def job_removed(self, task: TaskId, *, now: float) -> None:
        """Note that a job is tracked no longer."""
        self._jobs_changed()
        self.evidence.confirmed_running(task, now=now)

    def _jobs_changed(self) -> None:
        self._changes += 1
        self.evidence.job_count = len(self._jobs)

    def submits_in_flight_changed(self, change: int) -> None:
        """Note that so many more, or fewer, submits await their response: the counters may show untracked tasks."""
        self._submits_in_flight += change
        self._changes += 1

    def read_started(self) -> None:
        """Note that the counters are being read."""
        self._read_at_change = self._changes
        self.evidence.read_started()

    def counters_read(self, total: int, *, now: float) -> None:
        """Compare the account's total of unsettled tasks with our jobs, and decide when to read it again."""
        # A total that was taken while jobs came or went, or while the server may have accepted one that no response
        # has told us of yet, cannot be compared with anything: a submit would look like a foreign task.
        comparable = self._read_at_change == self._changes and not self._submits_in_flight
        self._read_at_change = None
        if comparable:
            self.evidence.counters_read(total, lambda: self._candidates(now), now=now)
        # Never earlier than the evidence says: after a loss of confidence the counters are left alone for longer.
        self.evidence.next_read_at = max(self.evidence.next_read_at, now + self._best_period(now))

    def read_failed(self, *, retryable: bool, now: float) -> None:
        """Note that a read failed, and whether the next may succeed."""
        self._read_at_change = None
        if retryable:
            self.evidence.read_failed(now=now)
        else:
            self.evidence.read_refused(now=now)

    def poll_started(self, task: TaskId) -> None:
        """Note that a candidate is being polled."""
        self.evidence.poll_started(task)

    def poll_failed(self, task: TaskId) -> None:
        """Note that a poll told nothing of a job."""
        self.evidence.poll_failed(task)

    def confirmed_running(self, task: TaskId, *, now: float) -> None:
        """Note that a poll found a job running."""
        self.evidence.confirmed_running(task, now=now)

    def confirmed_done(self, task: TaskId, job: TrackedJob, *, now: float) -> None:
        """Note that a job has settled; it is still tracked."""
        missed = job.probability_counters_missed_end(self.evidence.all_running_at, now)
        self.evidence.confirmed_done(task, missed=missed, now=now)

    # --- what a read and a search cost -------------------------------------------------------------------------------

    def _search_pays(self) -> bool:
        """Whether finding a settled job costs fewer polls than run times alone would; among many jobs it does not."""
        return self.evidence.polled_share * len(self._jobs) < min(self._cost_without, _MAX_SEARCH_POLLS)

    def _best_period(self, now: float) -> float:
        """Return how often to read the counters; computed now and then only, because every job has a say in it."""
        if now >= self._period_valid_until:
            jobs, latency_cost = self._jobs.values(), self._policy.latency_cost(len(self._jobs))
            longest = min(2.0 * self._policy.interval, self._policy.max_interval)
            lookahead = min(max(2.0 * self._period, _MIN_LOOKAHEAD), longest)  # a fast job may end before the next read
            ends = sum(job.probability_of_end_within(lookahead, now, self.evidence.all_running_at) for job in jobs)
            self._cost_without = max((job.estimate.cost(latency_cost) for job in islice(jobs, 1)), default=inf)
            sharing = min(max(sqrt(len(jobs)), 1.0), _MAX_SHARING)
            longest = min([longest, *(job.counters_due_within(now) / sharing for job in jobs)])
            self._period = best_read_period(ends / lookahead, latency_cost, longest=longest)
            self._period_valid_until = now + min(2.0 * self._period, _PERIOD_VALID)
        return self._period

    def _candidates(self, now: float) -> Iterator[Candidate]:
        latency_cost, all_running_at = self._policy.latency_cost(len(self._jobs)), self.evidence.all_running_at
        for task, job in self._jobs.items():
            yield job.probability_done(all_running_at, now), latency_cost / job.ideal_rate, task


def best_read_period(ends_per_second: float, latency_cost: float, *, longest: float) -> float:
    """Return how often to read the counters, in seconds: a read's price against the latency it saves (POLLING.md 3).

    :param latency_cost: how many polls a second of detection latency is worth.
    """
    if ends_per_second <= 0.0:
        return longest
    return min(max(sqrt(2.0 / (latency_cost * ends_per_second)), _MIN_PERIOD), longest)
