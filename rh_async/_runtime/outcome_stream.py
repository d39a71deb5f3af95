"""Hands outcomes from a producer to their reader as they come, with bounded memory.

A stream is an object with ``__aiter__`` and ``aclose``, not an async generator: a generator that holds tasks fails at
shutdown when its loop is left with ``break``.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Protocol, TypeVar

import anyio
from attrs import define, field

from rh_async._concurrency.session_tasks import SessionTasks
from rh_async.errors import SessionError
from rh_async.job import Job

T = TypeVar("T")


class StreamHost(Protocol):
    """What the producer of a stream needs of an open session."""

    tasks: SessionTasks

    @property
    def window(self) -> int:
        """How many jobs may be under way at once, from upload to settlement."""

    @property
    def on_capacity(self) -> list[Callable[[], object]]:
        """The functions that are called when the window may have grown or a job has left it."""

    def check(self, *, asking: bool = True) -> None:
        """Raise if the session cannot be used.

        :param asking: whether the caller wants to send requests; a session whose key was refused sends none.
        """

    def cut_short(self, words: str) -> SessionError:
        """Make the error which says that the session ended, and why it crashed if it did."""

    def withdraw(self, job: Job) -> object:
        """Take back a job whose POST has not left; any other goes on."""


@define(eq=False, repr=False)
class OutcomeStream(AsyncIterable[T]):
    """The outcomes of many jobs, as they come; iterate it once. Nothing starts before the first is asked for.

    Leaving the loop starts nothing more, withdraws what has not been sent and detaches what runs, as `aclose` does.

    :param start: starts the producer, which calls `put` for each outcome, and `finish` after the last.
    :param stop: tells the producer to stop; it calls `finish` once it has stopped.
    """

    _host: StreamHost
    _start: Callable[[], object]
    _stop: Callable[[], object]
    _unread: deque[T] = field(factory=deque, init=False)
    _arrived: anyio.Event = field(factory=anyio.Event, init=False)
    _capacity: anyio.Event = field(factory=anyio.Event, init=False)
    _finished: anyio.Event = field(factory=anyio.Event, init=False)
    _started: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)
    _error: BaseException | None = field(default=None, init=False)

    def __aiter__(self) -> AsyncIterator[T]:
        return _Iterator(self)

    async def aclose(self) -> None:
        """Start nothing more and withdraw what has not been sent; return once the producer has stopped.

        What runs goes on remotely.
        """
        self.close()
        if self._started:
            await self._finished.wait()

    # --- the reader's side -------------------------------------------------------------------------------------------

    async def next(self) -> T:
        """Return the next outcome.

        :raises StopAsyncIteration: there will be no more.
        :raises BaseException: what ended the producer early; every outcome before was returned first.
        """
        self._begin()
        while not self._unread:
            if self._closed or self._finished.is_set():
                self._raise()
            if self._arrived.is_set():  # else another reader waits for this very event
                self._arrived = anyio.Event()
            await self._arrived.wait()
        self.wake()
        return self._unread.popleft()

    def _begin(self) -> None:
        if self._started or self._closed:
            return
        self._host.check()
        self._started = True
        self._host.on_capacity.append(self.wake)
        self._start()

    def _raise(self) -> None:
        error, self._error = self._error, None
        raise StopAsyncIteration if error is None or self._closed else error

    def close(self) -> None:
        """Tell the producer to stop, and drop the outcomes that will not be read."""
        self._closed = True
        self._unread.clear()
        self._arrived.set()
        self._stop()

    # --- the producer's side -----------------------------------------------------------------------------------------

    @property
    def unread(self) -> int:
        """How many outcomes wait for the reader."""
        return len(self._unread)

    @property
    def closed(self) -> bool:
        """Whether the reader has left."""
        return self._closed

    def put(self, outcome: T) -> None:
        """Hand an outcome to the reader."""
        if not self._closed:
            self._unread.append(outcome)
            self._arrived.set()

    async def wait_for_capacity(self, has_capacity: Callable[[], bool]) -> None:
        """Wait until there is capacity for one more job.

        Outcomes that wait for the reader must count against the capacity: then a reader that stops reading stops
        submission, and with it spending, and the memory of unread outcomes is bounded.

        :param has_capacity: asked again whenever an outcome was read, a job ended or the session's window grew.
        """
        while not has_capacity():
            self._capacity = anyio.Event()
            await self._capacity.wait()

    def wake(self) -> None:
        """Look again whether there is capacity."""
        self._capacity.set()

    def finish(self, error: BaseException | None = None) -> None:
        """End the stream after the outcomes that were put; a second call changes nothing.

        :param error: raised to the reader after the last outcome.
        """
        if self._finished.is_set():
            return
        self._error = error
        if self._started:
            self._host.on_capacity.remove(self.wake)
        self._finished.set()
        self._arrived.set()


class _Iterator(AsyncIterator[T]):
    """Closes the stream when it is collected: a loop that is left drops its iterator, and says so in no other way."""

    def __init__(self, stream: OutcomeStream[T]) -> None:
        self._stream = stream
        weakref.finalize(self, _close_soon, asyncio.get_running_loop(), stream.close).atexit = False

    async def __anext__(self) -> T:
        return await self._stream.next()


def _close_soon(loop: asyncio.AbstractEventLoop, close: Callable[[], None]) -> None:
    """Close in the loop's thread: garbage may be collected in any other."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(close)
