"""Lets calls wait for their turn: each leaves when the gate opens, the most urgent first.

Turns are dealt when a call leaves, never when it begins to wait: what the gate has learnt meanwhile counts for all. No
task and no timer per call: one timer for the next turn.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterator
from itertools import count

from attrs import define, field

from .rate_limit import Priority, RateGate, rank

_Waiting = tuple[float, int, "asyncio.Future[float]"]


@define(eq=False, repr=False)
class CallQueue:
    """The calls of one session that wait for their turn."""

    gate: RateGate = field(factory=RateGate)
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False)
    _waiting: list[_Waiting] = field(factory=list, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)
    _ticket: Iterator[int] = field(factory=count, init=False)

    def now(self) -> float:
        """The time that turns are told in."""
        return self._loop.time()

    async def turn(self, priority: Priority) -> float:
        """Wait until a call may leave; when that is, which its answer is judged by."""
        now = self._loop.time()
        if not self._waiting and self.gate.opens_at(now=now) <= now:
            self.gate.depart(now=now)
            return now
        turn: asyncio.Future[float] = self._loop.create_future()
        heapq.heappush(self._waiting, (rank(priority, now=now), next(self._ticket), turn))
        self._deal()
        return await turn

    def _deal(self) -> None:
        """Let those go for whom the gate is open, and be called again when it opens for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        while self._waiting:
            if self._waiting[0][2].done():  # given up
                heapq.heappop(self._waiting)
            elif (opens_at := self.gate.opens_at(now=now)) > now:
                self._timer = self._loop.call_at(opens_at, self._deal)
                return
            else:
                self.gate.depart(now=now)
                heapq.heappop(self._waiting)[2].set_result(now)
