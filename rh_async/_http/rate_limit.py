"""How fast calls may leave, as plain data that is told the time: learnt from refusals, forgotten when there are none.

The vendor documents no rate limit, so none is assumed: until the first refusal every call leaves at once. A refusal
cuts the rate to a share of what was getting through; then it grows steadily until the next refusal, or for ever.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from math import inf
from typing import Final

from attrs import define, field

_CUT: Final = 0.8  # of what was getting through: enough to let the server's bucket fill a little again
_GROWTH: Final = 0.3  # calls per second, each second: a limit is met again every ten seconds or so, not all the time
_RELATIVE_GROWTH: Final = 0.02  # of the rate, each second or, at less than one call a second, each call: where less
_MEASURED: Final = 1.0  # seconds before the call that was refused left: what left then and got through is counted
_MEASURED_CALLS: Final = 5.0  # how many calls may leave in that time, at least: at a slow rate it is longer
_REMEMBERED: Final = 1024  # calls that got through
_LEAST_KNOWN: Final = 5.0  # calls per second: fewer than that say that little was asked, not that little is allowed
_SLOWEST: Final = 0.02  # calls per second: how slow the slowest limit is that is learnt
_FORGOTTEN_AFTER: Final = 600.0  # seconds without a refusal: the limit is gone, or far above what is needed


class Priority(IntEnum):
    """Which call leaves first where calls wait for the rate limit."""

    SUBMIT = 0  #: a free slot that stays empty costs the most
    WORK = 1  #: an upload, a price, a cancellation: the caller waits for it
    POLL = 2  #: the status of one task
    QUEUE_COUNTERS = 3  #: of the whole account


_PATIENCE: Final = (0.0, 1.0, 4.0, 6.0)
"""Seconds after which a waiting call is as urgent as a submit that comes now: none waits for ever."""


def rank(priority: Priority, *, now: float) -> float:
    """The place of a call that begins to wait now: the least goes first."""
    return now + _PATIENCE[priority]


@define(eq=False, repr=False)
class RateGate:
    """The rate of one session's calls.

    A call's departure is noted, and told again with its answer: refusals of calls that left before the last cut belong
    to the burst that caused it, and cut nothing more.

    :ivar failures: how many cuts followed one another without a call that got through between them.
    """

    failures: int = field(default=0, init=False)
    _rate: float = field(default=inf, init=False)  #: right after the last cut; it has grown since
    _rate_before: float = field(default=inf, init=False)  #: right before it
    _cut_at: float = field(default=-inf, init=False)
    _resumes_at: float = field(default=-inf, init=False)
    _next_at: float = field(default=-inf, init=False)
    _measured_to: float = field(default=-inf, init=False)  #: when the call left that caused the cut
    _through: int = field(default=0, init=False)  #: calls that had left in the measured time and passed
    _passed: deque[float] = field(factory=lambda: deque(maxlen=_REMEMBERED), init=False)  #: when calls left that passed

    def rate(self, *, now: float) -> float:
        """How many calls may leave per second; infinity where no limit is known."""
        if self._rate == inf:
            return inf
        if now - self._cut_at >= _FORGOTTEN_AFTER:
            self._rate = inf
            return inf
        growth = min(_GROWTH, _RELATIVE_GROWTH * self._rate * min(1.0, self._rate))
        return self._rate + growth * max(0.0, now - self._resumes_at)

    def opens_at(self, *, now: float) -> float:
        """When the next call may leave."""
        if now < self._resumes_at:
            return max(self._resumes_at, self._next_at)
        return -inf if self.rate(now=now) == inf else self._next_at

    def depart(self, *, now: float) -> None:
        """A call leaves."""
        rate = self.rate(now=now)
        if rate != inf:
            # A timer that is a little late must not make all that follow later.
            self._next_at = max(self._next_at, now - 1.0 / rate) + 1.0 / rate

    def passed(self, departed: float) -> None:
        """A call that left at an instant was answered, and not refused for its rate."""
        if departed > self._cut_at:
            self.failures = 0
            self._passed.append(departed)
        elif self._counts(departed):  # of the burst that was cut, answered late
            self._through += 1
            self._set_rate()

    def refused(self, departed: float, *, pause: float, now: float) -> bool:
        """A call that left at an instant was refused for its rate.

        :param pause: how long nothing more leaves.
        :return: whether that was news, and not of the burst that has been dealt with.
        """
        news = departed > self._cut_at
        if news:
            self._rate_before, self._cut_at = self.rate(now=now), now
            self._measured_to = departed
            self._through = sum(map(self._counts, self._passed))
            self._passed.clear()
            self.failures += 1
        self._resumes_at = max(self._resumes_at, now + pause)
        self._set_rate()
        return news

    def _counts(self, departed: float) -> bool:
        return self._measured_to - self._measured <= departed <= self._measured_to

    @property
    def _measured(self) -> float:
        return max(_MEASURED, _MEASURED_CALLS / self._rate_before)

    def _set_rate(self) -> None:
        known = max(self._through / self._measured, min(self._rate_before, _LEAST_KNOWN))
        self._rate = max(_SLOWEST, _CUT * known)
