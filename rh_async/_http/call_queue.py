"""Queues calls while a rate limit holds them back: the call with the highest priority leaves first.

A call is given its time when it leaves, not when it begins to wait, so that a refusal in between delays all waiting
calls. There is no task and no timer per call: one timer wakes the next.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator
from itertools import count

from attrs import define, field

from .rate_limit import Priority, RateLimiter, rank

_Waiting = tuple[float, int, "asyncio.Future[float]"]


@define(eq=False, repr=False)
class CallQueue:
    """The calls of one session that wait for the rate limit."""

    limiter: RateLimiter = field(factory=RateLimiter)
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False)
    _waiting: list[_Waiting] = field(factory=list, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)
    _sequence: Iterator[int] = field(factory=count, init=False)

    def now(self) -> float:
        """Return the time on the loop's clock, which all times of the rate limiter are on."""
        return self._loop.time()

    async def wait(self, priority: Priority) -> float:
        """Wait until a call may leave.

        :return: the time at which it leaves, which its response is recorded under.
        """
        now = self._loop.time()
        if not self._waiting and self.limiter.opens_at(now=now) <= now:
            self.limiter.record_sent(now=now)
            return now
        released: asyncio.Future[float] = self._loop.create_future()
        heapq.heappush(self._waiting, (rank(priority, now=now), next(self._sequence), released))
        self._release()
        return await released

    def _release(self) -> None:
        """Release the calls that may leave now, and set the timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        while self._waiting:
            if self._waiting[0][2].done():  # its caller was cancelled
                heapq.heappop(self._waiting)
            elif (opens_at := self.limiter.opens_at(now=now)) > now:
                self._timer = self._loop.call_at(opens_at, self._release)
                return
            else:
                self.limiter.record_sent(now=now)
                heapq.heappop(self._waiting)[2].set_result(now)
