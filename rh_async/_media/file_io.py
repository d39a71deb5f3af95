"""Opens files off the event loop, closes them if the wait is cancelled, and waits out a shortage of resources.

A machine that has no descriptor, thread or memory left usually has them again a moment later. Neither the file nor the
disk is at fault then, and no error may say so.
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
_FIRST_DELAY, _MAX_DELAY, _GIVE_UP_AFTER = 0.25, 5.0, 300.0  # seconds


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that this machine lacks descriptors, threads or memory."""
    if isinstance(error, OSError):
        return error.errno in _SHORTAGES
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "start new thread" in str(error))


def out_of_resources(error: BaseException, phase: str = "") -> OutOfResources:
    """Make the error for a shortage that did not end."""
    message = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return OutOfResources(f"this machine has too little left of what it takes to go on ({message})", phase=phase)


async def in_thread(act: Callable[[], T]) -> T:
    """Run a disk operation in a thread; while this machine lacks resources, back off and repeat it.

    :raises OutOfResources: the shortage lasted five minutes.
    """
    wait, until = _FIRST_DELAY, anyio.current_time() + _GIVE_UP_AFTER
    while True:
        try:
            return await asyncio.to_thread(act)
        except (OSError, MemoryError, RuntimeError) as error:
            if not is_shortage(error):
                raise
            if anyio.current_time() >= until:
                raise out_of_resources(error) from error
        await anyio.sleep(wait)
        wait = min(_MAX_DELAY, wait * 2)


@asynccontextmanager
async def open_file(path: Path, mode: Literal["rb", "wb"]) -> AsyncIterator[Any]:
    """Open a file as aiofiles does. If the caller is cancelled while a thread opens it, close it once it is open.

    :raises OSError: it cannot be opened.
    """
    # Not a task: a loop that ends cancels every task, and the file that the thread opened then would leak.
    opening: asyncio.Future[IO[bytes]] = asyncio.get_running_loop().run_in_executor(None, path.open, mode)
    try:
        file = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        with anyio.CancelScope(shield=True):  # the caller may next remove the file, which must exist by then
            await asyncio.wait({opening})
        raise
    with file:
        yield wrap(file)


def _close(opening: asyncio.Future[IO[bytes]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
