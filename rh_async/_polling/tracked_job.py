"""What the scheduler knows of one job, and the probabilities and the poll interval that follow from it."""

from __future__ import annotations

from math import inf, sqrt
from typing import Final

from attrs import define

from rh_async.types import TaskId

from .run_time_estimator import RunningInterval, RunTimeEstimate

QueueEntry = tuple[float, int, TaskId]
"""A place in the heap of due polls: when, a sequence number that breaks ties, and the job."""

_FIRST_INTERVAL, _SHARE_OF_AGE = 2.5, 0.22
"""Seconds, and a share of the job's age: a job of an unknown model is polled within the longer of the two, so that a
fast model is not noticed late (POLLING.md 2)."""
_FIRST_READ, _READ_SHARE, _LATER_READS = 0.5, 0.5, 1.8
"""The same for reads of the queue counters, which all jobs share: from half a second to 1.8."""
_SLOW_FROM, _SLOW_SHARE = 40.0, 0.1
"""Seconds: a job that has run for so long is not a fast one, and from there on that share of its age is added."""
_FAILS_AT_ONCE: Final = 0.03  # at least this share of jobs is assumed to end on acceptance: moderation refuses them
_AT_ONCE: Final = 1.0  # second


@define(eq=False, repr=False)
class TrackedJob:
    """What is known of one job. All instants are on the caller's clock.

    :ivar tracked_since: when the scheduler began to track it.
    :ivar started_at: since when it runs, as far as known; None if that is unknown.
    :ivar last_running_at: the latest instant at which it was known not to have ended.
    :ivar reported_done_at: when a webhook said that it has ended; None if none has since the last response.
    """

    tracked_since: float
    accepted_at: float
    started_at: float | None
    last_running_at: float
    endpoint: str
    driving_seconds: float | None
    estimate: RunTimeEstimate
    ideal_rate: float = 0.0  #: of polls, per second, if there were no budget
    failures: int = 0  #: of polls, in a row
    queued: bool = False
    no_results_since: float | None = None
    poll_again: bool = False  #: reported done while a poll was open, which may have been answered before
    reported_done_at: float | None = None
    learnt_until: float = 0.0  #: the age up to which its model's estimator knows that it ran
    entry: QueueEntry | None = None  #: its place in the heap; None while a poll of it is open

    def age(self, at: float) -> float:
        """Return how long the job has run, as far as known."""
        return 0.0 if self.started_at is None or at < self.started_at else at - self.started_at

    def ideal_interval(self, at: float, *, latency_cost: float, confidence: float, default: float) -> float:
        """Return the best wait from an instant until the next poll, if there were no budget.

        :param latency_cost: how many polls a second of detection latency is worth.
        :param confidence: how likely the queue counters are to reveal its end first.
        :param default: the interval where the run time of the job says nothing.
        """
        if self.started_at is None or self.no_results_since is not None:
            return default
        age = self.age(at)
        # An end that the counters reveal needs no poll: intervals may be longer while the counters are believed.
        factor = 1.0 / sqrt(1.0 - confidence) if confidence else 1.0
        interval = self.estimate.next_poll_age(age, latency_cost=latency_cost, interval_factor=factor) - age
        return min(interval, self._longest_interval(at) * factor * factor)

    def counters_due_within(self, now: float) -> float:
        """Return how soon the queue counters should be read for this job's sake, while its model is hardly known."""
        elapsed = self._elapsed(now)
        soon = min(max(_FIRST_READ, _READ_SHARE * elapsed), _LATER_READS) + _SLOW_SHARE * max(elapsed - _SLOW_FROM, 0.0)
        return soon * (1 + self.estimate.table.samples)

    def _longest_interval(self, at: float) -> float:
        """Return the longest wait until the next poll: it grows with the job's age and with what is learnt."""
        return max(_FIRST_INTERVAL, _SHARE_OF_AGE * self._elapsed(at)) * (1 + self.estimate.table.samples)

    def _elapsed(self, at: float) -> float:
        return at - self.tracked_since if self.queued else self.age(at)

    def take_unlearnt_run(self, now: float) -> RunningInterval | None:
        """Return the ages between which the job ran and its estimator does not know it yet; once for each age."""
        if self.started_at is None or self.queued:
            return None
        age = self.age(now)
        known, self.learnt_until = min(self.learnt_until, age), age
        return known, age, self.driving_seconds

    # --- probabilities -----------------------------------------------------------------------------------------------

    def probability_ended_since(self, at: float, now: float) -> float:
        """Return how likely the job has ended since an instant at which it had not (POLLING.md 3)."""
        if self.queued:
            return 0.0
        before = self.estimate.survival(self.age(at))
        return 1.0 - self.estimate.survival(self.age(now)) / before if before > 0.0 else 1.0

    def probability_done(self, all_running_at: float, now: float) -> float:
        """Return how likely the job is one of those whose end the queue counters have just shown.

        :param all_running_at: when the counters last showed that no job had ended.
        """
        if self.started_at is None:
            return 0.5  # nothing is known: it may have ended long before it was tracked
        since = max(self.last_running_at, all_running_at)
        return max(self.probability_ended_since(since, now), self._probability_of_failing_at_once(all_running_at))

    def probability_of_end_within(self, seconds: float, now: float, all_running_at: float) -> float:
        """Return how likely the job ends so soon, or has ended already if it was never seen running."""
        ends = self.probability_ended_since(now, now + seconds)
        return max(ends, self._probability_of_failing_at_once(all_running_at))

    def _probability_of_failing_at_once(self, all_running_at: float) -> float:
        if self.last_running_at > self.tracked_since or all_running_at >= self.tracked_since:
            return 0.0
        return max(_FAILS_AT_ONCE, 1.0 - self.estimate.survival(_AT_ONCE))

    def probability_counters_missed_end(self, all_running_at: float, now: float) -> float:
        """Return how likely the job, which has ended, had done so when the counters showed that none had.

        It is 0 where a webhook reported the end before the counters could show it: they are not to blame then.
        """
        if self.reported_done_at is not None or all_running_at <= self.last_running_at:
            return 0.0
        if (whole := self.probability_ended_since(self.last_running_at, now)) > 0.0:
            return self.probability_ended_since(self.last_running_at, all_running_at) / whole
        return (all_running_at - self.last_running_at) / (now - self.last_running_at)

    def last_known_running(self, all_running_at: float, now: float) -> float:
        """Return the latest instant at which the job, which has ended by now, can have been running for all we know."""
        reported = -inf if self.reported_done_at is None else self.reported_done_at
        return max(self.last_running_at, min(all_running_at, now), reported)
