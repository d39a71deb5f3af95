"""Runs many requests, and turns each job's end into an outcome; one bad request never stops the rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from attrs import define, field, frozen

from rh_async._job_updates import call_when_done
from rh_async.errors import AuthenticationFailed, BalanceExhausted, RHError, SessionError
from rh_async.job import Job
from rh_async.models.base import Request
from rh_async.types import Result, TaskId

from .outcome_stream import OutcomeStream, StreamHost

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
class BulkRunner(Generic[R]):
    """Submits requests while there is capacity, and puts an outcome into the stream as each job ends.

    Jobs under way and outcomes that were not read yet count together against the session's window.

    :param submit: starts one job.
    :param save: writes a job's result to disk; None where that is not wanted.
    :ivar stream: the outcomes.
    """

    host: StreamHost
    requests: Requests[R]
    submit: Callable[[Request], Job]
    save: Callable[[Job, Result], Awaitable[Result]] | None
    stream: OutcomeStream[Outcome[R]] = field(init=False)
    _open: dict[Job, R] = field(factory=dict, init=False)
    _producer: asyncio.Task[None] | None = field(default=None, init=False)
    _error: BaseException | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.stream = OutcomeStream(self.host, self._start, self._stop)

    # --- submitting --------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        # The producer runs the caller's iterable, so it is a task with the caller's context, not the session's.
        self._producer = asyncio.create_task(self._produce())
        self._producer.add_done_callback(self._produced)
        self.host.tasks.start_soon(self._supervise, self._producer)

    async def _produce(self) -> None:
        async for request in _each(self.requests, self._wait_for_capacity):
            job = self.submit(request)
            self._open[job] = request
            call_when_done(job, self._job_done)

    async def _wait_for_capacity(self) -> None:
        await self.stream.wait_for_capacity(self._has_capacity)

    def _has_capacity(self) -> bool:
        return len(self._open) + self.stream.unread < self.host.window

    async def _supervise(self, producer: asyncio.Task[None]) -> None:
        """End the producer with the session; its own failure is the caller's, and does not crash the session."""
        try:
            await asyncio.wait({producer})
        finally:
            if not producer.done():
                self._error = self._error or self.host.cut_short("the session ended before every request was started")
                producer.cancel()

    def _produced(self, producer: asyncio.Task[None]) -> None:
        if not producer.cancelled() and self._error is None:
            self._error = producer.exception()
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        if self._producer is not None and self._producer.done() and not self._open:
            self.stream.finish(self._error)

    def _stop(self) -> None:
        """Start nothing more, withdraw what has not been sent, and detach what runs."""
        if self._producer is not None:
            self._producer.cancel()
        detached = list(self._open)
        self._open.clear()
        for job in detached:
            self.host.withdraw(job)
        self.stream.finish()

    # --- outcomes ----------------------------------------------------------------------------------------------------

    def _job_done(self, job: Job) -> None:
        if job not in self._open:
            return
        if isinstance(job.error, AuthenticationFailed | BalanceExhausted):
            self._account_refused(job.error)
        if self.save is not None and job.result is not None:
            self.host.tasks.start_soon(self._save, job, job.result, self.save)
        else:
            self._put(job, job.result, job.error)

    def _account_refused(self, error: RHError) -> None:
        """Submit nothing more: each further submit would be refused as well."""
        if self._error is None:
            self._error = error.fresh()
            if self._producer is not None:
                self._producer.cancel()
            for job in list(self._open):
                self.host.withdraw(job)

    async def _save(self, job: Job, result: Result, save: Callable[[Job, Result], Awaitable[Result]]) -> None:
        try:
            self._put(job, await save(job, result), None)
        except RHError as error:
            self._put(job, result, error)
        finally:
            # Cancelled with the session: the job was paid for, so its outcome must not be lost.
            cut = self.host.cut_short("the session ended before the result was saved")
            cut.maybe_billed = True
            self._put(job, result, cut)

    def _put(self, job: Job, result: Result | None, error: RHError | None) -> None:
        """Put the outcome of a job into the stream, unless it has one already or was detached."""
        if job in self._open:
            self.stream.put(_outcome(self._open.pop(job), job.task_id, result, error))
            self._finish_if_done()


def _outcome(request: R, task_id: TaskId | None, result: Result | None, error: RHError | None) -> Outcome[R]:
    if error is None and result is not None:
        return Succeeded(request=request, task_id=result.task_id, result=result)
    why = error or SessionError("the job ended without a result or an error", maybe_billed=True)
    return Failed(request=request, task_id=task_id, error=why, result=result)


async def _each(requests: Requests[R], capacity: Callable[[], Awaitable[None]]) -> AsyncIterator[R]:
    """Yield one request after another; each is taken from the iterable only when there is capacity for it."""
    await capacity()
    if isinstance(requests, AsyncIterable):
        async for request in requests:
            yield request
            await capacity()
    else:
        for request in requests:
            yield request
            await capacity()
