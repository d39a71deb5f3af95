"""How eagerly jobs are polled: the caller's settings as one value, and the figures the scheduler derives from them."""

from __future__ import annotations

from math import ceil
from typing import Final

from attrs import field, frozen
from attrs.validators import ge, gt, optional

_LATENCY_COST: Final = 260.0  # polls per second of detection latency, at an interval of one second (POLLING.md 1)
_MANY_JOBS, _COST_AMONG_MANY = 150, 0.93  # from so many jobs in flight on, latency may cost a little more
_MIN_POLLS_PER_SECOND, _POLLS_PER_SECOND_PER_JOB = 20.0, 0.4
_MIN_OPEN_POLLS, _JOBS_PER_OPEN_POLL = 8, 12  # so that responses that take a second do not hold up the budget


@frozen(kw_only=True)
class PollingPolicy:
    """How eagerly jobs are polled. All durations are seconds.

    :param interval: about how far apart polls of one job are while it is likely to end. A usual job, of three minutes,
        is noticed half of it late on average; earlier where the account's queue counters can be read.
    :param polls_per_second: of all jobs together, at most; all intervals grow by one factor to meet it. None lets it
        follow the jobs in flight: 0.4 for each, and never less than 20.
    :param max_open_polls: how many may await a response at once. None lets it follow the jobs in flight: one for every
        twelve, and never less than 8.
    :param max_interval: the longest wait between polls of a job, unless there are more jobs than polls in that time.
    :param not_found_grace: how long after its acceptance "no such task" is not believed (contract 4.3).
    :param results_grace: how long after success the results of a job may be missing.
    :param max_job_age: when a job that never settles is given up; its links are dead then too (contract 4.5).
    :param queue_counters: whether the account's queue counters may advance polls (contract 9).
    """

    interval: float = field(default=5.0, validator=gt(0))
    polls_per_second: float | None = field(default=None, validator=optional(gt(0)))
    max_open_polls: int | None = field(default=None, validator=optional(ge(1)))
    max_interval: float = field(default=60.0, validator=gt(0))
    not_found_grace: float = field(default=60.0, validator=ge(0))
    results_grace: float = field(default=60.0, validator=ge(0))
    max_job_age: float = field(default=86400.0, validator=gt(0))
    queue_counters: bool = True

    def spacing(self, jobs: int) -> float:
        """Return the average time between any two polls, in seconds, with so many jobs in flight."""
        return 1.0 / (self.polls_per_second or max(_MIN_POLLS_PER_SECOND, _POLLS_PER_SECOND_PER_JOB * jobs))

    def max_open(self, jobs: int) -> int:
        """Return how many polls may await a response at once, with so many jobs in flight."""
        return self.max_open_polls or max(_MIN_OPEN_POLLS, ceil(jobs / _JOBS_PER_OPEN_POLL))

    def latency_cost(self, jobs: int = 1) -> float:
        """Return how many polls one second of detection latency is worth: about ten at the usual interval."""
        return _LATENCY_COST / self.interval**2 * (1.0 if jobs < _MANY_JOBS else _COST_AMONG_MANY)

    def backoff(self, failures: int) -> float:
        """Return the wait before a job is polled again, after so many failed polls in a row."""
        longest = max(self.interval, self.max_interval)
        return min(self.interval * 2.0 ** min(failures, 32), longest)
