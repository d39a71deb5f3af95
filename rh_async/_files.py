"""Opens files off the event loop, and leaks none when the wait for a thread is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, Literal

import anyio
from aiofiles.threadpool import wrap


@asynccontextmanager
async def opened(path: Path, mode: Literal["rb", "wb"]) -> AsyncIterator[Any]:
    """Open a file as aiofiles does; cancelled while a thread is opening it, close it once it is open.

    :raises OSError: it cannot be opened.
    """
    opening: asyncio.Future[IO[bytes]] = asyncio.ensure_future(asyncio.to_thread(path.open, mode))
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        with anyio.CancelScope(shield=True):  # who gives up may next remove a file that is only now being made
            await asyncio.wait({opening})
        raise
    with file:
        yield wrap(file)


def _close(opening: asyncio.Future[IO[bytes]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
