"""A virtual clock for asyncio: time moves only when every task is blocked.

Sockets stay real and so do executor jobs; the clock never runs ahead of either. What it cannot see (anyio's worker
threads, subprocesses) must not be used under it.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

Select = Callable[[float | None], list[Any]]


class DeadlockError(RuntimeError):
    """Every task is blocked and nothing in sight can wake one."""


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop that jumps to its next timer instead of waiting for it."""

    def __init__(self, *, patience: float = 20.0) -> None:
        self._now = 0.0
        self._patience = patience  #: real seconds of silence that count as a deadlock
        self._jobs: set[asyncio.Future[Any]] = set()
        super().__init__(_VirtualSelector(self._idle))

    def time(self) -> float:
        return self._now

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        job = super().run_in_executor(executor, func, *args)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        return job

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - inherited
        # Joining threads is real work; from 3.12 on the runner's deadline would pass in virtual time meanwhile.
        await super().shutdown_default_executor()

    def _idle(self, select: Select, timeout: float | None) -> list[Any]:
        if (ready := select(0)) or timeout == 0:
            return ready
        if self._jobs or timeout is None:
            if ready := select(self._patience):
                return ready
            msg = f"nothing happened for {self._patience} real seconds"
            raise DeadlockError(msg)
        self._now += timeout
        return []


class _VirtualSelector(selectors.DefaultSelector):
    """The real selector, with the loop deciding what a wait means."""

    def __init__(self, idle: Callable[[Select, float | None], list[Any]]) -> None:
        super().__init__()
        self._decide = idle

    def select(self, timeout: float | None = None) -> list[Any]:
        return self._decide(super().select, timeout)
