"""How long jobs of one kind run: a survival table, learnt from jobs that settled, on top of a broad prior.

The table is kept over the logarithm of the run time, so that it is as fine at ten seconds as at ten minutes. It is
smoothed no more than the number of samples asks for: a distribution with two modes keeps both. No clock is read here.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import accumulate, pairwise
from math import erf, exp, inf, log, sqrt
from typing import Final

from attrs import define, field

from .job_kinds import PRIORS, ModelKind, RunTimePrior

_STEP: Final = 0.05  # of the logarithm: a bin is 5 % wide
_EDGES: Final = (0.0, *(exp(_STEP * n) for n in range(round(log(86400.0) / _STEP) + 1)))  # seconds
_WIDTHS: Final = tuple(after - before for before, after in pairwise(_EDGES))
_BINS: Final = len(_WIDTHS)

_PRIOR_WEIGHT: Final = 2.0  # how many samples the prior counts for
MEMORY: Final = 256.0  # after so many samples the first counts for a third: servers change
_MAX_WEIGHT: Final = 1e12  # of the newest sample, before all are scaled down
_MIN_SMOOTHING: Final = 0.03  # of the logarithm


def _bin(seconds: float) -> int:
    return bisect_right(_EDGES, seconds, 1, _BINS) - 1


def _spread(low: float, high: float) -> Iterator[tuple[int, float]]:
    """Yield the bins between two run times, each with its share of an end that may lie anywhere between them."""
    first, last = _bin(low), _bin(high)
    if first == last:
        yield first, 1.0
        return
    for index in range(first, last + 1):
        yield index, (min(high, _EDGES[index + 1]) - max(low, _EDGES[index])) / (high - low)


def _normal_cdf(value: float) -> float:
    return 0.5 * (1.0 + erf(value / sqrt(2.0)))


@cache
def _prior_bins(prior: RunTimePrior) -> tuple[tuple[float, float], ...]:
    """Return, for each bin, the ends in it and the jobs that ran through it, of as many samples as the prior counts."""
    alive = [1.0, *(1.0 - _normal_cdf(log(edge / prior.median) / prior.spread) for edge in _EDGES[1:-1]), 0.0]
    return tuple(
        (_PRIOR_WEIGHT * (before - after), _PRIOR_WEIGHT * (before + after) / 2.0) for before, after in pairwise(alive)
    )


@define(eq=False, repr=False)
class SurvivalTable:
    """The run times of one kind of job, in seconds.

    Polls of a job are spread as the square root of its hazard, which is the optimum (POLLING.md 2; Barlow, Hunter,
    Proschan 1963; Keller 1974).

    :param prior: what to expect before any job has settled.
    :ivar samples: how many settled jobs were learnt from.
    :ivar memory: after how many further samples the first counts for a third.
    :ivar effort: the integral of the density of polls over a job's life; it falls as more is known.
    """

    prior: RunTimePrior = PRIORS[ModelKind.VIDEO]
    samples: int = field(default=0, init=False)
    memory: float = field(default=MEMORY, init=False)
    effort: float = field(default=1.0, init=False)
    _rebuild_at: int = field(default=1, init=False)  #: samples; the more are known, the less one more changes
    _ends: list[float] = field(factory=lambda: [0.0] * _BINS, init=False)  #: weighted
    _exposure: list[float] = field(factory=lambda: [0.0] * _BINS, init=False)  #: weighted seconds that jobs ran in it
    _total_weight: float = field(default=0.0, init=False)
    _newest_weight: float = field(default=1.0, init=False)
    _survival: list[float] = field(factory=list, init=False)
    _hazards: list[float] = field(factory=list, init=False)
    _density: list[float] = field(factory=list, init=False)  #: of polls, integrated from age 0 to each edge

    def __attrs_post_init__(self) -> None:
        self._rebuild()

    def learn(self, seconds: float, *, at_least: float | None = None, ran_from: float = 0.0) -> None:
        """Learn from one job that settled.

        :param at_least: how long it ran for certain, if it may have ended at any moment between that and ``seconds``.
        :param ran_from: the age up to which `add_running` has recorded that it ran.
        """
        shortest = seconds if at_least is None else at_least
        # Giving the newest sample more weight equals giving every older one less, and touches one bin, not all.
        self._newest_weight *= 1.0 + 1.0 / self.memory
        for index, share in _spread(shortest, seconds):
            self._ends[index] += share * self._newest_weight
        self.add_running(ran_from, (shortest + seconds) / 2.0)
        self._total_weight += self._newest_weight
        self.samples += 1
        if self._newest_weight > _MAX_WEIGHT:
            self._scale_down()
        if self.samples >= self._rebuild_at:
            self._rebuild_at = self.samples + min(1 + self.samples // 8, 12)
            self._rebuild()

    def add_running(self, age: float, until: float) -> None:
        """Record that a job ran from one age to another without ending.

        Without this the table would be learnt from the first jobs to end, which are the shortest (POLLING.md 2).
        """
        for index in range(_bin(age), _bin(until) + 1):
            seconds = max(min(until, _EDGES[index + 1]) - max(age, _EDGES[index]), 0.0)
            self._exposure[index] += seconds * self._newest_weight

    @property
    def rebuild_is_next(self) -> bool:
        """Whether the next sample rebuilds the table."""
        return self.samples + 1 >= self._rebuild_at

    def _scale_down(self) -> None:
        self._ends = [count / self._newest_weight for count in self._ends]
        self._exposure = [seconds / self._newest_weight for seconds in self._exposure]
        self._total_weight, self._newest_weight = self._total_weight / self._newest_weight, 1.0

    def quantile(self, share: float) -> float:
        """Return the run time that this share of all jobs does not exceed."""
        return self._age_at(1.0 - share)

    def remaining(self, age: float) -> float:
        """Return the median of the time that a job of this age will still run."""
        return max(0.0, self._age_at(self.survival(age) / 2.0) - age)

    def survival(self, age: float) -> float:
        """Return the share of jobs that run longer than this."""
        return self._interpolate(self._survival, age)

    def hazard(self, age: float) -> float:
        """Return how likely a job of this age is to end, per second."""
        return self._hazards[_bin(age)]

    def next_poll_age(self, age: float, step: float) -> float:
        """Return the age at which to poll a job next.

        :param step: how much of the integrated density lies between two polls.
        """
        target = self._interpolate(self._density, age) + step
        index = bisect_right(self._density, target) - 1
        if index >= _BINS:
            return inf
        share = (target - self._density[index]) / (self._density[index + 1] - self._density[index])
        return _EDGES[index] + share * (_EDGES[index + 1] - _EDGES[index])

    # --- building the table ------------------------------------------------------------------------------------------

    def _rebuild(self) -> None:
        """Compute the hazard of each bin, the ends in it for each job that ran through it, and what follows from it."""
        alive, density, self.effort = 1.0, 0.0, 0.0
        self._survival, self._density, self._hazards = [1.0], [0.0], []
        for (ends, jobs), width in zip(self._smoothed(), _WIDTHS, strict=True):
            hazard = ends / max(jobs * width, 1e-9)
            # No job outlives the last bin, or a quantile could be beyond the table.
            left = alive * exp(-hazard * width) if len(self._hazards) < _BINS - 1 else alive * 1e-9
            root = sqrt(hazard)
            density += root * width
            self.effort += root * width * (alive + left) / 2.0
            self._hazards.append(hazard)
            self._survival.append(left)
            self._density.append(density)
            alive = left

    def _smoothed(self) -> Iterable[tuple[float, float]]:
        """Return, for each bin, the ends in it and the jobs that ran through it, both smoothed alike."""
        kernel = self._kernel()
        reach = len(kernel) - 1
        weights = [(offset, kernel[abs(offset)] / self._newest_weight) for offset in range(-reach, reach + 1)]
        ends, jobs = map(list, zip(*_prior_bins(self.prior), strict=True))
        for index, (count, seconds) in enumerate(zip(self._ends, self._exposure, strict=True)):
            if count or seconds:
                through = seconds / _WIDTHS[index]
                for offset, weight in weights:
                    near = min(max(index + offset, 0), _BINS - 1)
                    ends[near] += count * weight
                    jobs[near] += through * weight
        return zip(ends, jobs, strict=True)

    def _kernel(self) -> list[float]:
        """Return half of a Gaussian kernel, as wide as Silverman's rule says for the densest half of the samples."""
        samples = max(self._total_weight / self._newest_weight, 1.0)
        width = max(_MIN_SMOOTHING, 0.9 * self._robust_spread() * samples**-0.2)
        kernel = [exp(-0.5 * (offset * _STEP / width) ** 2) for offset in range(int(3.0 * width / _STEP) + 1)]
        total = 2.0 * sum(kernel) - kernel[0]
        return [weight / total for weight in kernel]

    def _robust_spread(self) -> float:
        """Return the spread of the samples' logarithm, by the shortest range that holds half of the samples.

        Neither an outlier nor a second mode widens it. With too few samples it is the prior's.
        """
        if self.samples < 4:
            return self.prior.spread
        below = [0.0, *accumulate(self._ends)]
        half, last, shortest = self._total_weight / 2.0, 0, _BINS
        for first, under in enumerate(below):
            while last < _BINS and below[last] - under < half:
                last += 1
            if below[last] - under >= half:
                shortest = min(shortest, last - first)
        return shortest * _STEP / 1.349

    def _interpolate(self, table: list[float], age: float) -> float:
        index = _bin(age)
        share = min(1.0, (age - _EDGES[index]) / (_EDGES[index + 1] - _EDGES[index]))
        return table[index] + share * (table[index + 1] - table[index])

    def _age_at(self, survival: float) -> float:
        index = bisect_right(self._survival, -survival, key=lambda share: -share) - 1
        if index >= _BINS:
            return _EDGES[-1]
        first, last = self._survival[index], self._survival[index + 1]
        return _EDGES[index] + (first - survival) / max(first - last, 1e-12) * (_EDGES[index + 1] - _EDGES[index])
