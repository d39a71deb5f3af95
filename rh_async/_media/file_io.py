"""Opens files off the event loop, leaks none when the wait for a thread is cancelled, and waits out a shortage.

A machine that has no descriptor, thread or memory left has them again a moment later. Neither the file nor the disk is
at fault then, and nobody is to be told so.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

import anyio
from aiofiles.threadpool import wrap

from rh_async.errors import OutOfResources

T = TypeVar("T")

_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_FIRST_WAIT, _LONGEST_WAIT, _PATIENCE = 0.25, 5.0, 300.0  # seconds


def is_shortage(error: BaseException) -> bool:
    """Whether an error only says that this machine lacks descriptors, threads or memory."""
    if isinstance(error, OSError):
        return error.errno in _SHORTAGES
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "start new thread" in str(error))


def out_of_resources(error: BaseException, phase: str = "") -> OutOfResources:
    """What a shortage is called once it has been waited for long enough."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return OutOfResources(f"this machine has too little left of what it takes to go on ({words})", phase=phase)


async def in_thread(act: Callable[[], T]) -> T:
    """Work on the disk in a thread; again after a while, where the machine lacks what that takes.

    :raises OutOfResources: it still does after five minutes.
    """
    wait, until = _FIRST_WAIT, anyio.current_time() + _PATIENCE
    while True:
        try:
            return await asyncio.to_thread(act)
        except (OSError, MemoryError, RuntimeError) as error:
            if not is_shortage(error):
                raise
            if anyio.current_time() >= until:
                raise out_of_resources(error) from error
        await anyio.sleep(wait)
        wait = min(_LONGEST_WAIT, wait * 2)


@asynccontextmanager
async def open_file(path: Path, mode: Literal["rb", "wb"]) -> AsyncIterator[Any]:
    """Open a file as aiofiles does; cancelled while a thread is opening it, close it once it is open.

    :raises OSError: it cannot be opened.
    """
    # No task of its own: a loop that ends cancels every task, and what the thread opened then would be lost.
    opening: asyncio.Future[IO[bytes]] = asyncio.get_running_loop().run_in_executor(None, path.open, mode)
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
