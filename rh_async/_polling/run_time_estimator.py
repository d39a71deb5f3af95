"""The run times of one model: of its jobs as they are, and scaled by the length of their driving videos."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import Final

from attrs import define, field, frozen

from .job_kinds import USUAL, Kind, Usual
from .survival_table import MEMORY, SurvivalTable

_GENERATIONS: Final = 2.0  # or after so many times as many samples as jobs run: that many may end within a minute
_USUAL: Final = 10.0  # seconds of driving video, to which run times are scaled where those are known
_ENOUGH: Final = 5  # ends of jobs whose driving video was measured, before its length is believed to matter

Running = tuple[float, float, float | None]
"""A job that went from one age to another without ending, and the seconds of its driving video."""


@define(eq=False, repr=False)
class RunTimeEstimator:
    """The run times of one model: of its jobs as they are, and scaled by the length of their driving videos.

    Whichever needs fewer questions is the one to go by.

    :param guess: what to expect while none has ended.
    """

    guess: Usual = USUAL[Kind.VIDEO]
    plain: SurvivalTable = field(init=False)
    scaled: SurvivalTable = field(init=False)
    usual: RunTimeEstimate = field(init=False)
    _seconds: float = field(default=0.0, init=False)  #: of driving video, all that was learnt from

    def __attrs_post_init__(self) -> None:
        self.plain, self.scaled = SurvivalTable(self.guess), SurvivalTable(self.guess)
        self.usual = RunTimeEstimate(self.plain)

    def learn(
        self,
        run_time: float,
        driving: float | None,
        running: Iterable[Running] = (),
        *,
        at_least: float | None = None,
        ran_from: float = 0.0,
    ) -> None:
        """Take one job that ended.

        :param run_time: in seconds.  :param driving: seconds of driving video, where known.
        :param running: those that have not ended; looked at only where a table is made.
        :param at_least: how long it ran for certain, where the run time is only known to lie between.
        :param ran_from: the age until which it has been learnt that it ran.
        """
        if self.plain.about_to_change:
            jobs = 0
            for jobs, (age, until, long) in enumerate(running, 1):  # noqa: B007 - counts them
                self._ran(age, until, long)
            self.plain.memory = self.scaled.memory = max(MEMORY, _GENERATIONS * jobs)
        self.plain.learn(run_time, at_least=at_least, ran_from=ran_from)
        if driving:
            self._seconds += driving
            scale = _USUAL / driving
            surely = None if at_least is None else at_least * scale
            self.scaled.learn(run_time * scale, at_least=surely, ran_from=ran_from * scale)

    def _ran(self, age: float, until: float, driving: float | None) -> None:
        self.plain.ran(age, until)
        if driving:
            self.scaled.ran(age * _USUAL / driving, until * _USUAL / driving)

    def of(self, driving: float | None) -> RunTimeEstimate:
        """What to expect of a job.

        :param driving: seconds of driving video, where known.
        """
        if driving and self.scaled.ends >= _ENOUGH and self._length_matters():
            return RunTimeEstimate(self.scaled, _USUAL / driving)
        return self.usual

    def _length_matters(self) -> bool:
        usual = self._seconds / self.scaled.ends / _USUAL
        return self.scaled.effort**2 * usual < self.plain.effort**2


@frozen
class RunTimeEstimate:
    """The run times to expect of one job, of whose seconds the table has ``scale``."""

    times: SurvivalTable
    scale: float = 1.0

    def survival(self, age: float) -> float:
        """The share of such jobs that run longer than this."""
        return self.times.survival(age * self.scale)

    def hazard(self, age: float) -> float:
        """How likely such a job of this age is to end, per second."""
        return self.times.hazard(age * self.scale) * self.scale

    def next_look(self, age: float, *, worth: float, stretch: float) -> float:
        """The age at which to look next.

        :param worth: how many questions a second of lateness is worth.  :param stretch: by how much gaps are longer.
        """
        step = sqrt(2.0 * self.scale / worth) * stretch
        return self.times.next_look(age * self.scale, step) / self.scale

    def remaining(self, age: float) -> float:
        """The median of what is left of such a job of this age, in seconds."""
        return self.times.remaining(age * self.scale) / self.scale

    def cost(self, worth: float) -> float:
        """What such a job costs, looked at so: its questions, and its lateness in questions, which are as many.

        :param worth: how many questions a second of lateness is worth.
        """
        return self.times.effort * sqrt(2.0 * worth / self.scale)
