"""How eagerly to ask: what a caller can say about it, as one value that the timetable obeys."""

from __future__ import annotations

from math import ceil
from typing import Final

from attrs import field, frozen
from attrs.validators import ge, gt, optional

_USUAL_WORTH: Final = 260.0  # questions per second of lateness, at an interval of one second
_MANY, _WORTH_AMONG_MANY = 150, 0.93  # jobs in flight, from which on questions are a little dearer
_LEAST_BUDGET, _BUDGET_PER_JOB = 20.0, 0.4  # questions per second
_LEAST_OPEN, _JOBS_PER_OPEN = 8, 12  # so that answers which take a second do not hold up the budget


@frozen(kw_only=True)
class PollingPolicy:
    """How eagerly to ask. All durations are seconds.

    :param interval: about how far apart questions about one job are while it is likely to end: a usual one, of three
        minutes, is noticed half of it late on average; where the account's counts can be read, earlier.
    :param polls_per_second: about all jobs together, at most; the gaps stretch alike to meet it. None lets it
        follow the jobs in flight: 0.4 for each, and never less than 20.
    :param max_open_polls: how many may await an answer at once. None lets it follow the jobs in flight: one for every
        twelve, and never less than 8.
    :param max_interval: the longest wait for a job, unless there are more jobs than questions in it.
    :param not_found_grace: how long after its acceptance "no such task" is not believed (contract 4.3).
    :param results_grace: how long after success its results may be missing.
    :param max_job_age: when a job that never settles is given up; links die then too (contract 4.5).
    :param queue_counters: whether the account's own counts may hint at ends (contract 9).
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
        """How far apart any two questions are on average, with so many jobs in flight."""
        return 1.0 / (self.polls_per_second or max(_LEAST_BUDGET, _BUDGET_PER_JOB * jobs))

    def max_open(self, jobs: int) -> int:
        """How many questions may await an answer at once, with so many jobs in flight."""
        return self.max_open_polls or max(_LEAST_OPEN, ceil(jobs / _JOBS_PER_OPEN))

    def worth(self, jobs: int = 1) -> float:
        """How many questions a second of lateness is worth, with so many jobs in flight; ten, at the usual interval."""
        return _USUAL_WORTH / self.interval**2 * (1.0 if jobs < _MANY else _WORTH_AMONG_MANY)

    def after(self, failures: int) -> float:
        """The wait before a job is asked about again, after so many unanswered questions in a row."""
        longest = max(self.interval, self.max_interval)
        return min(self.interval * 2.0 ** min(failures, 32), longest)
