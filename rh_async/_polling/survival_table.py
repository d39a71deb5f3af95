"""How long jobs of one kind run: a survival table, learnt from those that ended, on top of a broad prior.

The table is kept over the logarithm of the run time, so that it is as fine at ten seconds as at ten minutes, and
smoothed by no more than a handful of samples allows; two humps stay two. Told everything, it reads no clock.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import accumulate, pairwise
from math import erf, exp, inf, log, sqrt
from typing import Final

from attrs import define, field

from .job_kinds import USUAL, Kind, Usual

_STEP: Final = 0.05  # of the logarithm: a bin is 5 % wide
_EDGES: Final = (0.0, *(exp(_STEP * n) for n in range(round(log(86400.0) / _STEP) + 1)))  # seconds
_WIDTHS: Final = tuple(after - before for before, after in pairwise(_EDGES))
_BINS: Final = len(_WIDTHS)

_PRIOR: Final = 2.0  # how many samples it is worth
MEMORY: Final = 256.0  # after so many samples the first counts for a third: servers change
_LARGEST: Final = 1e12  # what the newest job may count for, before all are scaled down
_FINEST: Final = 0.03  # the least smoothing, of the logarithm


def _bin(seconds: float) -> int:
    return bisect_right(_EDGES, seconds, 1, _BINS) - 1


def _spread(low: float, high: float) -> Iterator[tuple[int, float]]:
    """The bins between two run times, each with its share of an end that may be anywhere between them."""
    first, last = _bin(low), _bin(high)
    if first == last:
        yield first, 1.0
        return
    for spot in range(first, last + 1):
        yield spot, (min(high, _EDGES[spot + 1]) - max(low, _EDGES[spot])) / (high - low)


def _normal(value: float) -> float:
    return 0.5 * (1.0 + erf(value / sqrt(2.0)))


@cache
def _prior(usual: Usual) -> tuple[tuple[float, float], ...]:
    """Of each bin: the ends in it, and how many jobs came through it, of as many samples as the prior is worth."""
    alive = [1.0, *(1.0 - _normal(log(edge / usual.median) / usual.spread) for edge in _EDGES[1:-1]), 0.0]
    return tuple((_PRIOR * (before - after), _PRIOR * (before + after) / 2.0) for before, after in pairwise(alive))


@define(eq=False, repr=False)
class SurvivalTable:
    """The run times of one kind of job, in seconds.

    Looks at a job are spread as the square root of its hazard, which is best possible (Barlow, Hunter, Proschan 1963;
    Keller 1974).

    :param usual: what to expect while none has ended.
    :ivar ends: how many were learnt from.
    :ivar memory: after how many samples more the first counts for a third.
    :ivar effort: the integral of that density over a job's life; it falls as more is known.
    """

    usual: Usual = USUAL[Kind.VIDEO]
    ends: int = field(default=0, init=False)
    memory: float = field(default=MEMORY, init=False)
    effort: float = field(default=1.0, init=False)
    _tabulate_at: int = field(default=1, init=False)  #: ends; as more is known, less changes with each
    _counts: list[float] = field(factory=lambda: [0.0] * _BINS, init=False)
    _spent: list[float] = field(factory=lambda: [0.0] * _BINS, init=False)  #: seconds, by jobs that may have ended
    _weight: float = field(default=0.0, init=False)
    _latest: float = field(default=1.0, init=False)  #: what the newest end counts for
    _survival: list[float] = field(factory=list, init=False)
    _hazards: list[float] = field(factory=list, init=False)
    _looks: list[float] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._tabulate()

    def learn(self, seconds: float, *, at_least: float | None = None, ran_from: float = 0.0) -> None:
        """Take one job that ended.

        :param at_least: how long it ran for certain, if it may have ended at any moment between that and ``seconds``.
        :param ran_from: the age until which it has been learnt that it ran.
        """
        surely = seconds if at_least is None else at_least
        self._latest *= (
            1.0 + 1.0 / self.memory
        )  # the newest counts for more, not all others for less: the same, and cheap
        for spot, share in _spread(surely, seconds):
            self._counts[spot] += share * self._latest
        self.ran(ran_from, (surely + seconds) / 2.0)
        self._weight += self._latest
        self.ends += 1
        if self._latest > _LARGEST:
            self._scale_down()
        if self.ends >= self._tabulate_at:
            self._tabulate_at = self.ends + min(1 + self.ends // 8, 12)
            self._tabulate()

    def ran(self, age: float, until: float) -> None:
        """Take that a job went from one age to another without ending: the first to end are not the measure of all."""
        for spot in range(_bin(age), _bin(until) + 1):
            self._spent[spot] += max(min(until, _EDGES[spot + 1]) - max(age, _EDGES[spot]), 0.0) * self._latest

    @property
    def about_to_change(self) -> bool:
        """Whether the next end makes a new table."""
        return self.ends + 1 >= self._tabulate_at

    def _scale_down(self) -> None:
        self._counts = [count / self._latest for count in self._counts]
        self._spent = [seconds / self._latest for seconds in self._spent]
        self._weight, self._latest = self._weight / self._latest, 1.0

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

    def _tabulate(self) -> None:
        """Tell the hazard of each bin: the ends in it for each job that came through it, lately."""
        alive, looks, self.effort = 1.0, 0.0, 0.0
        self._survival, self._looks, self._hazards = [1.0], [0.0], []
        for (ends, jobs), wide in zip(self._smoothed(), _WIDTHS, strict=True):
            hazard = ends / max(jobs * wide, 1e-9)
            left = alive * exp(-hazard * wide) if len(self._hazards) < _BINS - 1 else alive * 1e-9
            density = sqrt(hazard)
            looks += density * wide
            self.effort += density * wide * (alive + left) / 2.0
            self._hazards.append(hazard)
            self._survival.append(left)
            self._looks.append(looks)
            alive = left

    def _smoothed(self) -> Iterable[tuple[float, float]]:
        """Of each bin: the ends in it, and how many jobs came through it, both blurred alike."""
        kernel = self._kernel()
        reach = len(kernel) - 1
        bell = [(away, kernel[abs(away)] / self._latest) for away in range(-reach, reach + 1)]
        ends, jobs = map(list, zip(*_prior(self.usual), strict=True))
        for spot, (count, seconds) in enumerate(zip(self._counts, self._spent, strict=True)):
            if count or seconds:
                through = seconds / _WIDTHS[spot]
                for away, part in bell:
                    near = min(max(spot + away, 0), _BINS - 1)
                    ends[near] += count * part
                    jobs[near] += through * part
        return zip(ends, jobs, strict=True)

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
            return self.usual.spread
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
