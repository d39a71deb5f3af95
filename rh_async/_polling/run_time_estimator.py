"""Estimates the run times of one model: of its jobs as they are, and scaled by the length of their driving videos."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import Final

from attrs import define, field, frozen

from .job_kinds import PRIORS, ModelKind, RunTimePrior
from .survival_table import MEMORY, SurvivalTable

_REFERENCE_SECONDS: Final = 10.0  # of driving video: run times are scaled to it where the length is known
_MIN_SAMPLES: Final = 5  # of jobs with a measured driving video, before its length may decide
_GENERATIONS: Final = 2.0  # the memory holds so many times the running jobs at least: all may end within a minute

RunningInterval = tuple[float, float, float | None]
"""Two ages between which a job ran without ending, and the seconds of its driving video."""


@define(eq=False, repr=False)
class RunTimeEstimator:
    """Learns the run times of one model, in two tables: as they are, and scaled by the length of the driving video.

    The table that needs fewer polls is the better explanation, and decides.

    :param prior: what to expect before any job has settled.
    :ivar default: the estimate for a job whose driving video is not known.
    """

    prior: RunTimePrior = PRIORS[ModelKind.VIDEO]
    unscaled: SurvivalTable = field(init=False)
    scaled: SurvivalTable = field(init=False)
    default: RunTimeEstimate = field(init=False)
    _driving_seconds: float = field(default=0.0, init=False)  #: of all samples together

    def __attrs_post_init__(self) -> None:
        self.unscaled, self.scaled = SurvivalTable(self.prior), SurvivalTable(self.prior)
        self.default = RunTimeEstimate(self.unscaled)

    def learn(
        self,
        run_time: float,
        driving_seconds: float | None,
        running: Iterable[RunningInterval] = (),
        *,
        at_least: float | None = None,
        ran_from: float = 0.0,
    ) -> None:
        """Learn from one job that settled.

        :param run_time: in seconds.  :param driving_seconds: of its driving video, where known.
        :param running: of the model's jobs that have not ended; read only when a table is rebuilt.
        :param at_least: how long it ran for certain, where the run time is only known to lie in a range.
        :param ran_from: the age up to which it is known already that it ran.
        """
        if self.unscaled.rebuild_is_next:
            jobs = 0
            for jobs, (age, until, length) in enumerate(running, 1):  # noqa: B007 - counts them
                self._add_running(age, until, length)
            self.unscaled.memory = self.scaled.memory = max(MEMORY, _GENERATIONS * jobs)
        self.unscaled.learn(run_time, at_least=at_least, ran_from=ran_from)
        if driving_seconds:
            self._driving_seconds += driving_seconds
            scale = _REFERENCE_SECONDS / driving_seconds
            shortest = None if at_least is None else at_least * scale
            self.scaled.learn(run_time * scale, at_least=shortest, ran_from=ran_from * scale)

    def _add_running(self, age: float, until: float, driving_seconds: float | None) -> None:
        self.unscaled.add_running(age, until)
        if driving_seconds:
            self.scaled.add_running(
                age * _REFERENCE_SECONDS / driving_seconds, until * _REFERENCE_SECONDS / driving_seconds
            )

    def estimate(self, driving_seconds: float | None) -> RunTimeEstimate:
        """Estimate the run time of a job.

        :param driving_seconds: of its driving video, where known.
        """
        if driving_seconds and self.scaled.samples >= _MIN_SAMPLES and self._length_matters():
            return RunTimeEstimate(self.scaled, _REFERENCE_SECONDS / driving_seconds)
        return self.default

    def _length_matters(self) -> bool:
        mean_scale = self._driving_seconds / self.scaled.samples / _REFERENCE_SECONDS
        return self.scaled.effort**2 * mean_scale < self.unscaled.effort**2


@frozen
class RunTimeEstimate:
    """The run times to expect of one job; a second of it is ``scale`` seconds of the table."""

    table: SurvivalTable
    scale: float = 1.0

    def survival(self, age: float) -> float:
        """Return the share of such jobs that run longer than this."""
        return self.table.survival(age * self.scale)

    def hazard(self, age: float) -> float:
        """Return how likely such a job of this age is to end, per second."""
        return self.table.hazard(age * self.scale) * self.scale

    def next_poll_age(self, age: float, *, latency_cost: float, interval_factor: float) -> float:
        """Return the age at which to poll next.

        :param latency_cost: how many polls a second of detection latency is worth.
        :param interval_factor: by how much intervals are longer than the optimum.
        """
        step = sqrt(2.0 * self.scale / latency_cost) * interval_factor
        return self.table.next_poll_age(age * self.scale, step) / self.scale

    def remaining(self, age: float) -> float:
        """Return the median of the time that such a job of this age will still run, in seconds."""
        return self.table.remaining(age * self.scale) / self.scale

    def cost(self, latency_cost: float) -> float:
        """Return what such a job costs if it is polled at the optimum, in polls: half for polls, half for latency.

        :param latency_cost: how many polls a second of detection latency is worth.
        """
        return self.table.effort * sqrt(2.0 * latency_cost / self.scale)
