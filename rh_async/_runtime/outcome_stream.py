"""Many requests in, outcomes out as they come: bounded memory, and one bad clip never stops the rest.

It is an object with ``__aiter__`` and ``aclose``, not an async generator: one of those that holds tasks dies badly when
its loop is left with ``break``.
"""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

import anyio
from attrs import define, field, frozen

from rh_async._concurrency.session_tasks import SessionTasks
from rh_async._job_updates import call_when_done
from rh_async.errors import AuthenticationFailed, BalanceExhausted, RHError, SessionError
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.types import Result, TaskId

R = TypeVar("R", bound=Request)
"""The type of the requests, so that an outcome's request has the fields of the caller's own class."""

R_co = TypeVar("R_co", bound=Request, covariant=True)


@frozen(kw_only=True)
class Succeeded(Generic[R_co]):
    """One request of many that ended with a result, which is saved where that was asked for.

    :param task_id: the server's id.
    :param result: what it made.
    :param error: None, which tells a type checker this class from `Failed`.
    """

    request: R_co
    task_id: TaskId
    result: Result
    error: None = field(default=None, init=False)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The saved files."""
        return self.result.paths


@frozen(kw_only=True)
class Failed(Generic[R_co]):
    """One request of many that ended without a result, or whose result could not be saved.

    :param task_id: the server's id; None if it was never accepted.
    :param error: why.
    :param result: what it made, if only saving failed.
    """

    request: R_co
    task_id: TaskId | None
    error: RHError
    result: Result | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The saved files: none."""
        return ()


Outcome = Succeeded[R] | Failed[R]
"""How one request of many ended: ``outcome.error is None``, ``isinstance`` and ``match`` tell which."""

Requests = Iterable[R] | AsyncIterable[R]


@define(eq=False, kw_only=True, repr=False)
class Feed(Generic[R]):
    """Starts requests while there is room, and gathers how they ended.

    Room is what is under way and what nobody has read yet together: who stops reading stops submission.

    :param start: starts one job.  :param withdraw: stops one whose POST has not left.
    :param save: brings a result to disk, where it is wanted.
    :param window: how many may be under way or unread, now.
    :param hungry: where to be called when it may have grown.
    :param check: raises where the session is not to be used.
    :param cut_short: makes the error that tells that the session ended, and why it crashed if it did.
    """

    requests: Requests[R]
    start: Callable[[Request], Job]
    withdraw: Callable[[Job], object]
    save: Callable[[Result], Awaitable[Result]] | None
    window: Callable[[], int]
    on_capacity: list[Callable[[], object]]
    tasks: SessionTasks
    check: Callable[[], object]
    cut_short: Callable[[str], SessionError]
    _unread: deque[Outcome[R]] = field(factory=deque, init=False)
    _open: dict[Job, R] = field(factory=dict, init=False)
    _news: anyio.Event = field(factory=anyio.Event, init=False)
    _room: anyio.Event = field(factory=anyio.Event, init=False)
    _puller: asyncio.Task[None] | None = field(default=None, init=False)
    _error: BaseException | None = field(default=None, init=False)
    _over: bool = field(default=False, init=False)

    async def next(self) -> Outcome[R]:
        """The next outcome.

        :raises StopAsyncIteration: there will be no more.
        :raises BaseException: the caller's iterable failed, or the account was refused; all that ran was told before.
        """
        if self._puller is None and not self._over:
            self.check()
            self.on_capacity.append(self._look_again)
            self._puller = asyncio.create_task(self._pull())
            self._puller.add_done_callback(self._pulled)
            self.tasks.start_soon(self._mind, self._puller)
        while not self._unread:
            if self._over and not self._open:
                self._raise()
            if self._news.is_set():
                self._news = anyio.Event()
            await self._news.wait()
        self._room.set()
        return self._unread.popleft()

    def close(self) -> None:
        """Start nothing more, withdraw what has not been sent, let go of what runs."""
        self._over = True
        if self._puller is not None:
            self._puller.cancel()
        detached = list(self._open)
        self._open.clear()
        for job in detached:
            self.withdraw(job)
        self._unread.clear()
        self._news.set()

    def _raise(self) -> None:
        error, self._error = self._error, None
        raise StopAsyncIteration if error is None else error

    async def _mind(self, puller: asyncio.Task[None]) -> None:
        """Keep the puller inside the session's lifetime, and its failure out of the session's services."""
        try:
            await asyncio.wait({puller})
        finally:
            if not puller.done():
                self._error = self._error or self.cut_short("the session ended before every request was started")
                puller.cancel()

    async def _pull(self) -> None:
        async for request in _each(self.requests, self._roomy):
            job = self.start(request)
            self._open[job] = request
            call_when_done(job, self._ended)

    def _look_again(self) -> None:
        self._room.set()

    def _pulled(self, puller: asyncio.Task[None]) -> None:
        self._over = True
        self.on_capacity.remove(self._look_again)
        if not puller.cancelled() and self._error is None:
            self._error = puller.exception()
        self._news.set()

    async def _roomy(self) -> None:
        while len(self._open) + len(self._unread) >= self.window():
            self._room = anyio.Event()
            await self._room.wait()

    def _ended(self, job: Job) -> None:
        if job not in self._open:
            return
        if isinstance(job.error, AuthenticationFailed | BalanceExhausted):
            self._refused(job.error)
        if self.save is not None and job.result is not None:
            self.tasks.start_soon(self._save, job, job.result, self.save)
        else:
            self._tell(job, job.result, job.error)

    def _refused(self, error: RHError) -> None:
        """The account will not buy: what has not been sent stays here."""
        if self._error is None:
            self._error = error.fresh()
            if self._puller is not None:
                self._puller.cancel()
            for job in list(self._open):
                self.withdraw(job)

    async def _save(self, job: Job, result: Result, save: Callable[[Result], Awaitable[Result]]) -> None:
        try:
            self._tell(job, await save(result), None)
        except RHError as error:
            self._tell(job, result, error)
        finally:
            cut = self.cut_short("the session ended before the result was saved")
            cut.maybe_billed = True
            self._tell(job, result, cut)

    def _tell(self, job: Job, result: Result | None, error: RHError | None) -> None:
        if job in self._open:
            self._unread.append(_outcome(self._open.pop(job), job.task_id, result, error))
            self._news.set()


def _outcome(request: R, task_id: TaskId | None, result: Result | None, error: RHError | None) -> Outcome[R]:
    if error is None and result is not None:
        return Succeeded(request=request, task_id=result.task_id, result=result)
    why = error or SessionError("the job ended without a result or an error", maybe_billed=True)
    return Failed(request=request, task_id=task_id, error=why, result=result)


@define(eq=False, repr=False)
class Outcomes(AsyncIterable[Outcome[R]]):
    """The outcomes of many requests, as they come; iterate it once.

    Leaving the loop stops starting and detaches what runs, as `aclose` does.
    """

    _feed: Feed[R]

    def __aiter__(self) -> AsyncIterator[Outcome[R]]:
        return _Cursor(self._feed)

    async def aclose(self) -> None:
        """Start nothing more, withdraw what has not been sent; what runs goes on remotely."""
        self._feed.close()


class _Cursor(AsyncIterator[Outcome[R]]):
    """A place in the outcomes: a loop that is left drops it, and that is how leaving is noticed."""

    def __init__(self, feed: Feed[R]) -> None:
        self._feed = feed
        weakref.finalize(self, _close_soon, asyncio.get_running_loop(), feed.close).atexit = False

    async def __anext__(self) -> Outcome[R]:
        return await self._feed.next()


def _close_soon(loop: asyncio.AbstractEventLoop, close: Callable[[], None]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(close)


async def _each(requests: Requests[R], roomy: Callable[[], Awaitable[None]]) -> AsyncIterator[R]:
    """One request after another, each asked for only when there is room for it."""
    await roomy()
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
            await roomy()
    else:
        for request in requests:
            yield request
            await roomy()
