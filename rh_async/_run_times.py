"""How long jobs of one kind run: a survival table, learnt from those that ended, on top of a broad prior.

The table is kept over the logarithm of the run time, so that it is as fine at ten seconds as at ten minutes, and
smoothed by no more than a handful of samples allows; two humps stay two. Told everything, it reads no clock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate, pairwise, tee
from math import erf, exp, inf, log, sqrt
from typing import Final

from attrs import define, field, frozen

_STEP: Final = 0.05  # of the logarithm: a bin is 5 % wide
_EDGES: Final = (0.0, *(exp(_STEP * n) for n in range(round(log(86400.0) / _STEP) + 1)))  # seconds
_BINS: Final = len(_EDGES) - 1

_MEDIAN, _SPREAD = 180.0, 0.8  # of the prior: video jobs take minutes, within a factor of two or so
_PRIOR: Final = 2.0  # how many samples it is worth
_MEMORY: Final = 256.0  # after so many samples the first counts for a third: servers change
_LARGEST: Final = 1e12  # what the newest end may count for, before all are scaled down
_FINEST: Final = 0.03  # the least smoothing, of the logarithm


def _bin(seconds: float) -> int:
    return bisect_right(_EDGES, seconds, 1, _BINS) - 1


def _normal(value: float) -> float:
    return 0.5 * (1.0 + erf(value / sqrt(2.0)))


def _continued(shares: list[float], still: Iterable[float]) -> list[float]:
    """The same shares, with each job that still runs shared out over what may come after its age (Efron 1967)."""
    running = Counter(map(_bin, still))
    left, factor, grown = sum(shares), 1.0, []
    for spot, share in enumerate(shares):
        grown.append(share * factor)
        left = max(left - share, 1e-9)
        factor += running[spot] / left
    return grown


def _prior() -> list[float]:
    below = [0.0, *(_normal(log(edge / _MEDIAN) / _SPREAD) for edge in _EDGES[1:-1]), 1.0]
    return [after - before for before, after in pairwise(below)]


@define(eq=False, repr=False)
class RunTimes:
    """The run times of one kind of job, in seconds.

    Looks at a job are spread as the square root of its hazard, which is best possible (Barlow, Hunter, Proschan 1963;
    Keller 1974).

    :ivar ends: how many were learnt from.
    :ivar effort: the integral of that density over a job's life; it falls as more is known.
    """

    ends: int = field(default=0, init=False)
    effort: float = field(default=1.0, init=False)
    _tabulate_at: int = field(default=1, init=False)  #: ends; as more is known, less changes with each
    _counts: list[float] = field(factory=lambda: [0.0] * _BINS, init=False)
    _weight: float = field(default=0.0, init=False)
    _latest: float = field(default=1.0, init=False)  #: what the newest end counts for
    _survival: list[float] = field(factory=list, init=False)
    _hazards: list[float] = field(factory=list, init=False)
    _looks: list[float] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._tabulate()

    def learn(self, seconds: float, still: Iterable[float] = ()) -> None:
        """Take one job that ended.

        :param still: the ages of those that have not: the first to end are the shortest, and not the measure of all.
        """
        self._latest *= 1.0 + 1.0 / _MEMORY  # the newest counts for more, not all others for less: the same, and cheap
        self._counts[_bin(seconds)] += self._latest
        self._weight += self._latest
        self.ends += 1
        if self._latest > _LARGEST:
            self._counts = [count / _LARGEST for count in self._counts]
            self._weight, self._latest = self._weight / _LARGEST, self._latest / _LARGEST
        if self.ends >= self._tabulate_at:
            self._tabulate_at = self.ends + min(1 + self.ends // 8, 12)
            self._tabulate(still)

    def quantile(self, share: float) -> float:
        """The run time that this share of all jobs does not exceed."""
        return self._when(1.0 - share)

    def remaining(self, age: float) -> float:
        """The median of what is left of a job of this age."""
        return max(0.0, self._when(self.survival(age) / 2.0) - age)

    def survival(self, age: float) -> float:
        """The share of jobs that run longer than this."""
        return self._at(self._survival, age)

    def hazard(self, age: float) -> float:
        """How likely a job of this age is to end, per second."""
        return self._hazards[_bin(age)]

    def next_look(self, age: float, step: float) -> float:
        """The age at which to look next.

        :param step: how much of the density, integrated, lies between two looks.
        """
        wanted = self._at(self._looks, age) + step
        spot = bisect_right(self._looks, wanted) - 1
        if spot >= _BINS:
            return inf
        share = (wanted - self._looks[spot]) / (self._looks[spot + 1] - self._looks[spot])
        return _EDGES[spot] + share * (_EDGES[spot + 1] - _EDGES[spot])

    # --- the table ---------------------------------------------------------------------------------------------------

    def _tabulate(self, still: Iterable[float] = ()) -> None:
        shares = _continued(self._smoothed(), still)
        below = [0.0, *accumulate(shares)]
        total = below[-1] * (1.0 + 1e-9)  # so that the last logarithm is finite
        self._survival = [1.0 - one / total for one in below]
        looks, self.effort, self._looks, self._hazards = 0.0, 0.0, [0.0], []
        for spot in range(_BINS):
            wide = _EDGES[spot + 1] - _EDGES[spot]
            first, last = self._survival[spot], self._survival[spot + 1]
            self._hazards.append(log(first / last) / wide)
            density = sqrt(self._hazards[-1])
            looks += density * wide
            self._looks.append(looks)
            self.effort += density * wide * (first + last) / 2.0

    def _smoothed(self) -> list[float]:
        kernel = self._kernel()
        reach = len(kernel) - 1
        shares = [_PRIOR * share for share in _PRIOR_SHARES]
        bell = [(away, kernel[abs(away)] / self._latest) for away in range(-reach, reach + 1)]
        for spot, count in enumerate(self._counts):
            if count:
                for away, part in bell:
                    shares[min(max(spot + away, 0), _BINS - 1)] += count * part
        return shares

    def _kernel(self) -> list[float]:
        """Half a bell, as wide as Silverman's rule says of half of the samples."""
        width = max(_FINEST, 0.9 * self._middle() * max(self._weight / self._latest, 1.0) ** -0.2)
        bell = [exp(-0.5 * (away * _STEP / width) ** 2) for away in range(int(3.0 * width / _STEP) + 1)]
        whole = 2.0 * sum(bell) - bell[0]
        return [part / whole for part in bell]

    def _middle(self) -> float:
        """The spread of the samples' logarithm, by the shortest stretch that holds half of them: neither a stray sample
        nor a second hump widens it. The prior's while there are too few."""
        if self.ends < 4:
            return _SPREAD
        below = [0.0, *accumulate(self._counts)]
        half, last, shortest = self._weight / 2.0, 0, _BINS
        for first, under in enumerate(below):
            while last < _BINS and below[last] - under < half:
                last += 1
            if below[last] - under >= half:
                shortest = min(shortest, last - first)
        return shortest * _STEP / 1.349

    def _at(self, table: list[float], age: float) -> float:
        spot = _bin(age)
        share = min(1.0, (age - _EDGES[spot]) / (_EDGES[spot + 1] - _EDGES[spot]))
        return table[spot] + share * (table[spot + 1] - table[spot])

    def _when(self, survival: float) -> float:
        spot = bisect_right(self._survival, -survival, key=lambda share: -share) - 1
        if spot >= _BINS:
            return _EDGES[-1]
        first, last = self._survival[spot], self._survival[spot + 1]
        return _EDGES[spot] + (first - survival) / max(first - last, 1e-12) * (_EDGES[spot + 1] - _EDGES[spot])


_PRIOR_SHARES: Final = tuple(_prior())

_USUAL: Final = 10.0  # seconds of driving video, to which run times are scaled where those are known
_ENOUGH: Final = 5  # ends of jobs whose driving video was measured, before its length is believed to matter


@define(eq=False, repr=False)
class Experience:
    """The run times of one model: of its jobs as they are, and scaled by the length of their driving videos.

    Whichever needs fewer questions is the one to go by.
    """

    plain: RunTimes = field(factory=RunTimes, init=False)
    scaled: RunTimes = field(factory=RunTimes, init=False)
    usual: Expectation = field(init=False)
    _seconds: float = field(default=0.0, init=False)  #: of driving video, all that was learnt from

    def __attrs_post_init__(self) -> None:
        self.usual = Expectation(self.plain)

    def learn(self, run_time: float, driving: float | None, still: Iterable[tuple[float, float | None]] = ()) -> None:
        """Take one job that ended.

        :param run_time: in seconds.  :param driving: seconds of driving video, where known.
        :param still: the same of those that have not ended.
        """
        running, again = tee(still)  # looked at only where a table is made
        self.plain.learn(run_time, (age for age, _ in running))
        if driving:
            self._seconds += driving
            self.scaled.learn(run_time * _USUAL / driving, (age * _USUAL / long for age, long in again if long))

    def of(self, driving: float | None) -> Expectation:
        """What to expect of a job.

        :param driving: seconds of driving video, where known.
        """
        if driving and self.scaled.ends >= _ENOUGH and self._length_matters():
            return Expectation(self.scaled, _USUAL / driving)
        return self.usual

    def _length_matters(self) -> bool:
        usual = self._seconds / self.scaled.ends / _USUAL
        return self.scaled.effort**2 * usual < self.plain.effort**2


@frozen
class Expectation:
    """The run times to expect of one job, of whose seconds the table has ``scale``."""

    times: RunTimes
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
