"""Estimates the server's rate limit from its refusals: how many calls may leave per second. Pure: times are arguments.

The vendor documents no rate limit, so none is assumed: until the first refusal every call leaves at once. A refusal
cuts the rate to a share of what was getting through; then the rate grows steadily until the next refusal.
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
_LEAST_KNOWN: Final = (
    5.0  # calls per second: a lower measured rate says that few calls were made, not that few are allowed
)
_SLOWEST: Final = 0.02  # calls per second: the slowest limit that is learnt
_FORGOTTEN_AFTER: Final = 600.0  # seconds without a refusal: the limit is gone, or far above what is needed


class Priority(IntEnum):
    """Which call leaves first where calls wait for the rate limit."""

    SUBMIT = 0  #: a free slot that stays empty costs the most
    WORK = 1  #: an upload, a price, a cancellation: the caller waits for it
    POLL = 2  #: the status of one task
    QUEUE_COUNTERS = 3  #: of the whole account


_PATIENCE: Final = (0.0, 1.0, 4.0, 6.0)
"""Seconds after which a waiting call goes before a submit that comes now, by priority: none waits for ever."""


def rank(priority: Priority, *, now: float) -> float:
    """Rank a call that begins to wait now: the lowest rank leaves first."""
    return now + _PATIENCE[priority]


@define(eq=False, repr=False)
class RateLimiter:
    """The rate of one session's calls.

    Each call is recorded when it leaves, and once more, with the time at which it left, when its response has come: a
    refusal of a call that left before the last cut belongs to the burst that caused the cut, and does not cut again.

    :ivar cuts_in_a_row: how many cuts followed one another without a call that passed between them.
    """

    cuts_in_a_row: int = field(default=0, init=False)
    _rate: float = field(default=inf, init=False)  #: right after the last cut; it has grown since
    _rate_before: float = field(default=inf, init=False)  #: right before it
    _cut_at: float = field(default=-inf, init=False)
    _resumes_at: float = field(default=-inf, init=False)
    _next_at: float = field(default=-inf, init=False)
    _measured_to: float = field(default=-inf, init=False)  #: when the call that caused the cut left
    _through: int = field(default=0, init=False)  #: calls that left in the measured time, and passed
    _passed: deque[float] = field(
        factory=lambda: deque(maxlen=_REMEMBERED), init=False
    )  #: when the calls that passed had left

    def rate(self, *, now: float) -> float:
        """Return how many calls may leave per second; infinity where no limit is known."""
        if self._rate == inf:
            return inf
        if now - self._cut_at >= _FORGOTTEN_AFTER:
            self._rate = inf
            return inf
        growth = min(_GROWTH, _RELATIVE_GROWTH * self._rate * min(1.0, self._rate))
        return self._rate + growth * max(0.0, now - self._resumes_at)

    def opens_at(self, *, now: float) -> float:
        """Return when the next call may leave."""
        if now < self._resumes_at:
            return max(self._resumes_at, self._next_at)
        return -inf if self.rate(now=now) == inf else self._next_at

    def record_sent(self, *, now: float) -> None:
        """Record that a call leaves."""
        rate = self.rate(now=now)
        if rate != inf:
            # A timer that fires a little late must not delay all later calls.
            self._next_at = max(self._next_at, now - 1.0 / rate) + 1.0 / rate

    def record_passed(self, sent_at: float) -> None:
        """Record that a call got a response that is not a rate limit.

        :param sent_at: when the call left.
        """
        if sent_at > self._cut_at:
            self.cuts_in_a_row = 0
            self._passed.append(sent_at)
        elif self._was_measured(sent_at):  # of the burst that was cut, answered late
            self._through += 1
            self._set_rate()

    def record_limited(self, sent_at: float, *, pause: float, now: float) -> bool:
        """Record that a call was refused for its rate.

        :param sent_at: when the call left.
        :param pause: seconds for which no call leaves.
        :return: whether the rate was cut; not for a call of the burst that caused the last cut.
        """
        cut = sent_at > self._cut_at
        if cut:
            self._rate_before, self._cut_at = self.rate(now=now), now
            self._measured_to = sent_at
            self._through = sum(map(self._was_measured, self._passed))
            self._passed.clear()
            self.cuts_in_a_row += 1
        self._resumes_at = max(self._resumes_at, now + pause)
        self._set_rate()
        return cut

    def _was_measured(self, sent_at: float) -> bool:
        return self._measured_to - self._measured <= sent_at <= self._measured_to

    @property
    def _measured(self) -> float:
        return max(_MEASURED, _MEASURED_CALLS / self._rate_before)

    def _set_rate(self) -> None:
        known = max(self._through / self._measured, min(self._rate_before, _LEAST_KNOWN))
        self._rate = max(_SLOWEST, _CUT * known)
