"""Concurrency slots: how many jobs of one session may be in flight, and which jobs hold a slot.

A job acquires a slot before its POST and holds it until it settles: above its limit, an account refuses submits
(contract 0.6). The `ConcurrencyLimiter` decides how many slots there are; this module waits for them.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
from attrs import define, field

from rh_async.events import Event, Waiting
from rh_async.job import Job

from .concurrency import ConcurrencyLimiter


@define(eq=False, kw_only=True, repr=False)
class ConcurrencySlots:
    """The slots of one session.

    :ivar holders: jobs that were accepted, or taken over from an earlier session, and have not settled.
    """

    limiter: ConcurrencyLimiter
    emit: Callable[[Event], None]
    holders: set[Job] = field(factory=set, init=False)
    _account_limit: int | None = field(default=None, init=False)
    _lock: anyio.Lock = field(factory=anyio.Lock, init=False)
    _changed: anyio.Event = field(factory=anyio.Event, init=False)

    def set_limit(self, limit: int) -> bool:
        """Set the limit that the account reports.

        Every poll of the queue counters reports it. Between two of them, refusals may have shown that the true limit
        is another, so a report that repeats the last one changes nothing.

        :return: whether the report differs from the last one.
        """
        if limit == self._account_limit:
            return False
        self._account_limit = limit
        self.limiter.set_limit(limit, now=anyio.current_time())
        self._changed.set()
        return True

    async def acquire(self) -> None:
        """Wait for a slot.

        One task at a time waits for the limiter, so that jobs get their slots in the order in which they ask.
        """
        async with self._lock:
            while not self.limiter.acquire(now=anyio.current_time()):
                self._changed = anyio.Event()
                wake_at = self.limiter.wake_at(now=anyio.current_time())
                with anyio.move_on_after(None if wake_at is None else wake_at - anyio.current_time()):
                    await self._changed.wait()

    def keep(self, job: Job) -> None:
        """Keep an acquired slot for a job that the server has accepted, until `release`."""
        self.limiter.accepted(now=anyio.current_time())
        self._changed.set()  # an accepted job may show that the account takes more jobs than the limit so far
        self.holders.add(job)

    def cancel(self) -> None:
        """Give an acquired slot back: its submit was neither accepted nor refused for want of capacity."""
        self.limiter.cancel()
        self._changed.set()

    def refused(self) -> None:
        """Give an acquired slot back, and let the next submit wait: the server has no capacity."""
        now = anyio.current_time()
        self.limiter.refused(now=now)
        self._changed.set()
        self.emit(Waiting(reason="capacity", seconds=(self.limiter.wake_at(now=now) or now) - now))

    def adopt(self, job: Job) -> None:
        """Count a job that an earlier session submitted: it occupies one of the account's slots."""
        self.holders.add(job)
        self.limiter.adopt()

    def release(self, job: Job) -> bool:
        """Release the slot of a settled job.

        :return: whether the job held one.
        """
        if job not in self.holders:
            return False
        self.holders.remove(job)
        self.limiter.release()
        self._changed.set()
        return True
