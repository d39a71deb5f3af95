"""The handle of one job: await it, read its status, iterate over its status updates, cancel it.

Waiting does not own the job: a cancelled wait changes neither the job nor any other wait for it. The session's packages
update a job through `rh_async._job_updates`, so that this class holds only what a caller uses.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from datetime import datetime
from typing import Any, Protocol

import anyio
from attrs import define, field

from .errors import RHError
from .models.base import Request
from .types import Result, Snapshot, TaskId


class JobController(Protocol):
    """What a job asks of the session that runs it."""

    def cancel(self, job: Job) -> Awaitable[Snapshot | None]:
        """Cancel the job, and return its status afterwards."""

    def eta(self, job: Job) -> float | None:
        """Estimate how many seconds the job will still take."""


@define(eq=False, kw_only=True, repr=False)
class Job:
    """One submitted job, or one that waits to be submitted. The session makes it.

    :ivar request: what is submitted; None for a task submitted elsewhere.
    :ivar key: the idempotency key: the caller's, or the one derived from the inputs; None without either.
    :ivar task_id: the server's id; None until the server has accepted the job.
    :ivar snapshot: the last server answer that differed from the one before; None before the first.
    :ivar submitted_utc: when the server accepted the job, as far as known.
    :ivar driving: how many seconds the driving video lasts, as far as known.
    :ivar flaw: what the server found wrong with the workflow when it accepted the job; "" if nothing.
    """

    request: Request | None
    key: str | None = None
    task_id: TaskId | None = None
    snapshot: Snapshot | None = None
    submitted_utc: datetime | None = None
    driving: float | None = None
    flaw: str = ""
    _controller: JobController | None = None
    _outcome: Result | RHError | None = field(default=None, init=False)
    _updated: anyio.Event | None = field(default=None, init=False)  # made at the first wait: an event costs 900 bytes
    _duplicates: tuple[Job, ...] = field(default=(), init=False)  #: jobs with the same key, which mirror this one
    _done_callbacks: tuple[Callable[[Job], None], ...] = field(default=(), init=False)

    @property
    def status(self) -> str:
        """The server's status word, in capitals; ``waiting`` before the job is accepted, ``ended`` if it never was."""
        if self.snapshot is not None:
            return self.snapshot.status
        return "waiting" if self._outcome is None else "ended"

    @property
    def done(self) -> bool:
        """Whether awaiting the job returns or raises at once."""
        return self._outcome is not None

    @property
    def error(self) -> RHError | None:
        """Why the job ended without a result; None while it runs, and after it has succeeded."""
        return self._outcome if isinstance(self._outcome, RHError) else None

    @property
    def result(self) -> Result | None:
        """The outputs and the usage; None until the job has succeeded."""
        return self._outcome if isinstance(self._outcome, Result) else None

    @property
    def eta(self) -> float | None:
        """Estimate how many seconds an accepted job will still take, from the run times of its model's earlier jobs.

        None before the job is accepted, after it is done, and where no run time is known.
        """
        return None if self._controller is None or self.done else self._controller.eta(self)

    def __await__(self) -> Generator[Any, Any, Result]:
        return self._wait_done().__await__()

    async def accepted(self) -> TaskId:
        """Wait until the server has accepted the job.

        :raises RHError: the job ended without being accepted.
        """
        await self._wait_until(lambda: self.task_id is not None or self._outcome is not None)
        if self.task_id is None:
            await self._wait_done()
        assert self.task_id is not None  # noqa: S101 - for the type checker: without an id, _wait_done has raised
        return self.task_id

    async def cancel(self) -> Snapshot | None:
        """Ask the server to cancel the job, and return its status afterwards; the job may have been done already.

        :return: as `Session.cancel`; for a job that is done, its last answer. None where the server does not have the
            job: if its submit has not been sent, it is withdrawn and nothing is billed; if the submit is being sent, it
            is finished, and the job can be cancelled after that.
        :raises RHError: the server did not answer; the job is polled as before.
        """
        if self._controller is None or self.done:
            return self.snapshot
        return await self._controller.cancel(self)

    def status_updates(self) -> AsyncIterator[Snapshot]:
        """Iterate over the server's answers that differ from the one before, from the present one until the job ends.

        An update that is replaced by the next before it is read is skipped; the last one never is.
        """
        return _StatusStream(self)

    async def _wait_done(self) -> Result:
        await self._wait_until(lambda: self._outcome is not None)
        if isinstance(self._outcome, RHError):
            # A copy: one exception that is raised by several waits would grow its traceback and share its notes.
            raise self._outcome.fresh()
        assert self._outcome is not None  # noqa: S101 - for the type checker
        return self._outcome

    async def _wait_until(self, reached: Callable[[], bool]) -> None:
        # An event, not a shared future: a future that a cancelled wait has cancelled raises when its result is set,
        # and that would stop the poller.
        while not reached():
            self._updated = self._updated or anyio.Event()
            try:
                await self._updated.wait()
            except asyncio.CancelledError as error:
                unless = "" if self.task_id is not None else " unless it is withdrawn"
                error.add_note(f"The wait was cancelled, not the job: {self!r} goes on{unless}.")
                raise

    def __repr__(self) -> str:
        name = "not yet submitted" if self.task_id is None else f"task {self.task_id}"
        about = "" if self.request is None else f" {self.request.endpoint}"
        key = "" if self.key is None else f", key {self.key}"
        return f"<Job{about}, {name}{key}, {self.status}>"


@define(eq=False, repr=False)
class _StatusStream(AsyncIterator[Snapshot]):
    """Iterates over a job's status updates: each read returns the newest snapshot that was not read yet."""

    _job: Job
    _seen: Snapshot | None = field(default=None, init=False)

    async def __anext__(self) -> Snapshot:
        job = self._job
        await job._wait_until(lambda: job.snapshot is not self._seen or job.done)  # noqa: SLF001 - one class in two
        if job.snapshot is None or job.snapshot is self._seen:
            raise StopAsyncIteration
        self._seen = job.snapshot
        return job.snapshot
