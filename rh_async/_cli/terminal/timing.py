"""The clock of a command, and work that is repeated while something else runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio


def now() -> float:
    """Return the running loop's time, in seconds.

    Signal handlers and event callbacks call this outside any task, where anyio's clock is not available.
    """
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def run_periodically(seconds: float, action: Callable[[], object]) -> AsyncIterator[None]:
    """Call an action every so many seconds while the body runs.

    A plain task does it: no cancel scope wraps the body (rule 6), whose own cancellation stays its own.
    """

    async def repeat() -> None:
        while True:
            await anyio.sleep(seconds)
            action()

    task = asyncio.create_task(repeat())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
