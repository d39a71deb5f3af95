"""Ends an exchange that takes too long, but reads the sockets once more first: the response may have arrived already.

A process that was stopped, or a machine that slept, wakes with its timers due and responses unread in its sockets. A
submit that was ended then would be unconfirmed though its response was there, and it cannot safely be repeated: it may
be billed twice (contract 3).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import define, field

_LATE = 0.25  # seconds: a timer that is called so much too late shows that the process was suspended
_GRACE_AFTER_SUSPENSION = 5.0  # seconds: packets that were lost meanwhile may be sent again by the other side
_GRACE = 0.05  # seconds in any case: a turn of the loop to read the sockets, and a few to process what was read


@define(eq=False, repr=False)
class Deadline:
    """A timeout that can be restarted, and expires only after the sockets were read once more."""

    _limit: asyncio.Timeout
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False)
    _at: float = field(default=0.0, init=False)
    _timer: asyncio.Handle | None = field(default=None, init=False)

    def restart(self, seconds: float) -> None:
        """Expire so many seconds from now."""
        self.stop()
        self._at = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._at, self._on_timer)

    def stop(self) -> None:
        """Do not expire, until restarted."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        late = self._loop.time() - self._at
        self._timer = self._loop.call_later(_GRACE_AFTER_SUSPENSION if late >= _LATE else _GRACE, self._expire)

    def _expire(self) -> None:
        self._limit.reschedule(self._loop.time())


@asynccontextmanager
async def deadline(seconds: float | None) -> AsyncIterator[Deadline]:
    """Limit the body to so many seconds; None for no limit. The body may restart or stop the deadline.

    :raises TimeoutError: the body took longer.
    """
    async with asyncio.timeout(None) as limit:
        running = Deadline(limit)
        if seconds is not None:
            running.restart(seconds)
        try:
            yield running
        finally:
            running.stop()
