"""The handle in the caller's hand: awaitable, watchable, never changed by waiting.

Waiting is not owning: a cancelled wait disturbs neither the job nor anybody else who waits for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from datetime import datetime
from typing import Any, Protocol

import anyio
from attrs import define, field

from ._api.error_codes import advice_for, was_busy
from .errors import JobCancelled, JobError, JobFailed, RHError
from .models.base import Request
from .types import Result, Snapshot, TaskId


class JobController(Protocol):
    """What a job can ask of the session that carries it."""

    def cancel(self, job: Job) -> Awaitable[Snapshot | None]:
        """Stop it, and tell what became of it."""

    def eta(self, job: Job) -> float | None:
        """Say how long it will take."""


@define(eq=False, kw_only=True, repr=False)
class Job:
    """One thing the caller wants done. Made by the session, never by hand.

    :ivar request: what was asked for; None for a task submitted elsewhere.
    :ivar key: the caller's name for the submission, or the derived one; None without either.
    :ivar task_id: the server's id; None until it has accepted the job.
    :ivar snapshot: the last answer that brought news; None before the first.
    :ivar submitted_utc: when the server accepted it, as far as known.
    :ivar driving: seconds of its driving video, as far as known.
    :ivar flaw: what the server found wrong with the workflow when it accepted the job; "" where it found nothing.
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
    _news: anyio.Event | None = field(default=None, init=False)  # made at the first wait: it costs 900 bytes
    _followers: tuple[Job, ...] = field(default=(), init=False)  #: which are told what this one is
    _on_end: tuple[Callable[[Job], None], ...] = field(default=(), init=False)

    @property
    def status(self) -> str:
        """The server's word, in capitals; ``waiting`` before it has accepted the job, ``ended`` if it never did."""
        if self.snapshot is not None:
            return self.snapshot.status
        return "waiting" if self._outcome is None else "ended"

    @property
    def done(self) -> bool:
        """Whether awaiting the job returns or raises at once."""
        return self._outcome is not None

    @property
    def error(self) -> RHError | None:
        """Why the job ended without a result; None if it did not."""
        return self._outcome if isinstance(self._outcome, RHError) else None

    @property
    def result(self) -> Result | None:
        """What the job made; None until it has succeeded."""
        return self._outcome if isinstance(self._outcome, Result) else None

    @property
    def eta(self) -> float | None:
        """How many seconds it will probably still take, once the server has it, by what its model's jobs took before.

        None before, after, and where nothing is known.
        """
        return None if self._controller is None or self.done else self._controller.eta(self)

    def __await__(self) -> Generator[Any, Any, Result]:
        return self._ended().__await__()

    async def accepted(self) -> TaskId:
        """Wait until the server has accepted the job.

        :raises RHError: it never did.
        """
        await self._until(lambda: self.task_id is not None or self._outcome is not None)
        if self.task_id is None:
            await self._ended()
        assert self.task_id is not None  # noqa: S101 - for the type checker: without an id, _ended has raised
        return self.task_id

    async def cancel(self) -> Snapshot | None:
        """Ask that the job be stopped, and tell what became of it: it may have been over already.

        :return: as `Session.cancel`; of a job that was over, the last answer. None where the server never had the job:
            one whose submit has not left is taken back, and nothing is paid; one whose submit is on its way is
            finished, and can be cancelled then.
        :raises RHError: nothing could be learnt; the job is watched as before.
        """
        if self._controller is None or self.done:
            return self.snapshot
        return await self._controller.cancel(self)

    def status_updates(self) -> AsyncIterator[Snapshot]:
        """The answers that bring news, from the present one on, until the job ends."""
        return _StatusStream(self)

    async def _ended(self) -> Result:
        await self._until(lambda: self._outcome is not None)
        if isinstance(self._outcome, RHError):
            # Raised twice, one exception would grow its traceback and share its notes.
            raise self._outcome.fresh()
        assert self._outcome is not None  # noqa: S101 - for the type checker
        return self._outcome

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._news = self._news or anyio.Event()
            try:
                await self._news.wait()
            except asyncio.CancelledError as error:
                unless = "" if self.task_id is not None else " unless it is taken back"
                error.add_note(f"The wait was given up, not the job: {self!r} goes on{unless}.")
                raise

    def __repr__(self) -> str:
        name = "not yet submitted" if self.task_id is None else f"task {self.task_id}"
        about = "" if self.request is None else f" {self.request.endpoint}"
        key = "" if self.key is None else f", key {self.key}"
        return f"<Job{about}, {name}{key}, {self.status}>"

    # --- for the rooms that carry the job; not for callers -----------------------------------------------------------

    def notice(self, snapshot: Snapshot) -> bool:
        """Take an answer; whether it brings news."""
        if self.snapshot is not None and _news_of(self.snapshot) == _news_of(snapshot):
            return False
        self.snapshot, self.task_id = snapshot, snapshot.task_id
        self.flaw = self.flaw or snapshot.flaw
        self._tell()
        for follower in self._followers:
            follower.notice(snapshot)
        return True

    def bought(self, task_id: TaskId, submitted_utc: datetime | None) -> None:
        """Know the task that was bought for it, by whatever job."""
        self.task_id, self.submitted_utc = task_id, submitted_utc
        self._tell()

    def end(self, outcome: Result | RHError) -> None:
        """Let everybody who waits know how it ended; the first end stands."""
        if self._outcome is None:
            if isinstance(outcome, RHError):
                outcome.key = outcome.key or self.key
            self._outcome = outcome
            self._tell()
            for call in self._on_end:
                call(self)

    def when_ended(self, call: Callable[[Job], None]) -> None:
        """Call this, once, when the job ends; at once if it has."""
        if self.done:
            call(self)
        else:
            self._on_end = (*self._on_end, call)

    async def followed_by(self, other: Job) -> None:
        """Let another job that asks for the same go the way of this one; return once that is accepted, or over."""
        await self._until(lambda: self.task_id is not None or self.done)
        if self.task_id is not None:
            other.bought(self.task_id, self.submitted_utc)
        if self.snapshot is not None:
            other.notice(self.snapshot)
        self._followers = (*self._followers, other)
        self.when_ended(other.end_like)

    def end_like(self, other: Job) -> None:
        """End as another job did."""
        if other.snapshot is not None:
            self.notice(other.snapshot)
        if other._outcome is not None:
            self.end(other._outcome)

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


@define(eq=False, repr=False)
class _StatusStream(AsyncIterator[Snapshot]):
    """Skips what nobody looked at in time; the last answer is never skipped."""

    _job: Job
    _seen: Snapshot | None = field(default=None, init=False)

    async def __anext__(self) -> Snapshot:
        job = self._job
        await job._until(lambda: job.snapshot is not self._seen or job.done)  # noqa: SLF001 - the two are one
        if job.snapshot is None or job.snapshot is self._seen:
            raise StopAsyncIteration
        self._seen = job.snapshot
        return job.snapshot


def _news_of(snapshot: Snapshot) -> tuple[str, str, bool]:
    return snapshot.status, snapshot.code, bool(snapshot.outputs)


def outcome_of(job: Job, snapshot: Snapshot, *, noticed_utc: datetime) -> Result | JobError:
    """What a settled snapshot means for the caller."""
    if snapshot.succeeded and snapshot.outputs:
        return Result(
            task_id=snapshot.task_id,
            outputs=snapshot.outputs,
            usage=snapshot.usage,
            submitted_utc=job.submitted_utc,
            noticed_utc=noticed_utc,
            raw=snapshot.raw,
        )
    if snapshot.cancelled:
        return JobCancelled("the job was cancelled", task_id=snapshot.task_id, snapshot=snapshot)
    if snapshot.succeeded:
        return JobFailed("the job succeeded without results", task_id=snapshot.task_id, snapshot=snapshot)
    return _failure(job, snapshot)


def _failure(job: Job, snapshot: Snapshot) -> JobFailed:
    """What a job that failed raises: the code, the message, and the reason where that says more."""
    said = dict.fromkeys(filter(None, [snapshot.message, snapshot.reason]))
    failure = JobFailed(
        f"the job failed with code {snapshot.code or 'none'}: {': '.join(said) or 'no message'}",
        task_id=snapshot.task_id,
        snapshot=snapshot,
        reason=snapshot.reason,
        code=snapshot.code,
        may_resubmit=was_busy(snapshot.code),
        advice=advice_for(snapshot.code),
    )
    if flaw := job.flaw or snapshot.flaw:
        failure.add_note(f"When the server accepted the job, it said of the workflow: {flaw}")
    return failure
