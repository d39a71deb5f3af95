"""Ends what takes too long, but looks once more first: the answer may be here already, and not read yet.

A process that was stopped, or a machine that slept, wakes with its timers due and its answers lying unread in the
sockets. A paid call that was ended then would be in doubt for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import define, field

_LATE = 0.25  # seconds: a timer that is called so much too late tells of a gap in the time
_GRACE = 5.0  # seconds after a gap: what was on its way may be repeated by the other side's network
_LOOK = 0.05  # seconds in any case: a turn of the loop to read the sockets, and a few to hand on what was read


@define(eq=False, repr=False)
class Deadline:
    """When to give up."""

    _limit: asyncio.Timeout
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.get_running_loop, init=False)
    _at: float = field(default=0.0, init=False)
    _timer: asyncio.Handle | None = field(default=None, init=False)

    def restart(self, seconds: float) -> None:
        """Give up so many seconds from now."""
        self.stop()
        self._at = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._at, self._due)

    def stop(self) -> None:
        """Never give up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        late = self._loop.time() - self._at
        self._timer = self._loop.call_later(_GRACE if late >= _LATE else _LOOK, self._over)

    def _over(self) -> None:
        self._limit.reschedule(self._loop.time())


@asynccontextmanager
async def deadline(seconds: float | None) -> AsyncIterator[Deadline]:
    """Let the body take so many seconds; None for any number.

    :raises TimeoutError: it took longer.
    """
    async with asyncio.timeout(None) as limit:
        end = Deadline(limit)
        if seconds is not None:
            end.restart(seconds)
        try:
            yield end
        finally:
            end.stop()
