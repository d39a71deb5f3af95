"""Run a coroutine from code that is not asynchronous, also where an event loop runs already."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_CHECK_EVERY = 0.2
"""Seconds between two checks whether the caller was cancelled."""


def run_blocking(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in an event loop of its own, and return its value.

    Where the calling thread runs an event loop already, as in a notebook, the new loop runs in another thread. Ctrl-C
    cancels the coroutine and waits until it has ended.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    return _run_in_thread(main)


def _run_in_thread(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    done: Future[T] = Future()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def run() -> T:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - for the type checker: a coroutine runs in a task
        started.set_result((asyncio.get_running_loop(), task))
        return await main()

    def work() -> None:
        try:
            done.set_result(asyncio.run(run()))
        except BaseException as error:  # noqa: BLE001 - raised in the calling thread, with its traceback
            done.set_exception(error)

    # Not a daemon: what the coroutine finishes after a second Ctrl-C, such as a POST that was sent, is still finished.
    threading.Thread(target=work, name="rh_async run").start()
    caller = asyncio.current_task()
    try:
        while not done.done():
            wait((done,), _CHECK_EVERY)
            if caller is not None and caller.cancelling():
                # A loop made by asyncio.run turns the first Ctrl-C into a cancellation of its task, which this call
                # blocks: it is seen here, or not at all.
                raise asyncio.CancelledError  # noqa: TRY301 - handled as the other way to be interrupted
        return done.result()
    except (KeyboardInterrupt, asyncio.CancelledError):
        loop, task = started.result()
        if not done.done():
            with suppress(RuntimeError):  # the loop was closed meanwhile: the coroutine has ended
                loop.call_soon_threadsafe(task.cancel)
            wait((done,))  # a second Ctrl-C ends the wait
        raise
