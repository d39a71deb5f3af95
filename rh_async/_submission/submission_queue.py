"""Queue the jobs that wait to be submitted, and run one submit task for each job whose turn it is.

A job starts its submit task when there is room in the `SubmissionQueue.window`: as many jobs as may be in flight, and a
few more. So a freed concurrency slot finds a job whose media are uploaded already, while ten thousand waiting jobs do
not upload all their media at once.

The tasks belong to the session, and a caller only waits for them: a caller that is cancelled cannot stop a POST
half-way, where its answer, and with it the task id of a paid job, would be lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import anyio
from attrs import define, field

from rh_async._concurrency.defects import unexpected
from rh_async._concurrency.session_tasks import DeferredCancelScope, SessionTasks
from rh_async._journal.records import SubmitOptions
from rh_async._polling.poller import Poller
from rh_async.errors import JobCancelled, RHError, SessionError, SubmitUnknown, UnexpectedError
from rh_async.job import Job

from .deduplication import SubmissionRegistry
from .job_log import log_job
from .slots import ConcurrencySlots
from .submission import Submitter

log = logging.getLogger(__name__)

_UPLOAD_AHEAD = 8
"""How many jobs may upload before there is a concurrency slot for them."""


@define(eq=False, kw_only=True, repr=False)
class SubmissionQueue:
    """The waiting jobs of one session, and its submit tasks.

    :param tasks: the session's task group, which runs the submit tasks.
    :param on_not_accepted: called with a job that ends without being accepted, and why.
    :param is_closing: whether the session is being closed in order.
    :ivar on_capacity: the capacity listeners, called whenever another job could start its submit task.
    """

    tasks: SessionTasks
    slots: ConcurrencySlots
    submitter: Submitter
    registry: SubmissionRegistry
    poller: Poller
    on_not_accepted: Callable[[Job, RHError], None]
    is_closing: Callable[[], bool]
    on_capacity: list[Callable[[], object]] = field(factory=list, init=False)
    _waiting: dict[Job, SubmitOptions] = field(factory=dict, init=False)  #: in order of arrival
    _submitting: dict[Job, DeferredCancelScope] = field(
        factory=dict, init=False
    )  #: jobs with a submit task, and what cancels it
    _withdrawal_error: RHError | None = field(default=None, init=False)  #: why all jobs are withdrawn; None if no fault
    _broken: bool = field(default=False, init=False)
    _task_ended: anyio.Event = field(factory=anyio.Event, init=False)

    @property
    def window(self) -> int:
        """How many jobs may be between the start of their upload and their settlement."""
        return self.slots.limiter.window + _UPLOAD_AHEAD

    @property
    def not_accepted(self) -> int:
        """How many jobs wait, or are being submitted."""
        return len(self._waiting) + len(self._submitting)

    def put(self, job: Job, options: SubmitOptions) -> None:
        """Queue a job; its submit task starts as soon as there is room in the window."""
        self._waiting[job] = options
        log_job("queued", job)
        self._dispatch()

    def set_limit(self, limit: int) -> None:
        """Set the limit that the account reports, and start the submit tasks that it allows."""
        if self.slots.set_limit(limit):
            self._dispatch()

    def release_slot(self, job: Job) -> None:
        """Release the slot of a settled job to the next one; harmless for a job without a slot."""
        if self.slots.release(job):
            self._dispatch()

    def withdraw(self, job: Job) -> bool:
        """Withdraw a job whose POST has not been sent; harmless for any other.

        :return: whether the job is withdrawn, and nothing was sent.
        """
        if job in self._submitting:
            self._submitting[job].cancel()  # the task ends the job, once it has stopped
            return not self.submitter.may_be_billed(job)
        if job in self._waiting:
            del self._waiting[job]
            self._end_withdrawn(job)
            return True
        return False

    def withdraw_all(self, error: RHError | None = None) -> None:
        """Withdraw every job whose POST has not been sent.

        :param error: what the jobs end with; by default, that they were withdrawn.
        """
        self._withdrawal_error = error
        while self._waiting:
            self._end_withdrawn(self._waiting.popitem()[0])
        for scope in self._submitting.values():
            scope.cancel()  # a task whose POST was sent finishes that first

    async def wait_tasks_done(self) -> None:
        """Wait until no submit task runs: then every POST that was sent is answered, and its job is polled."""
        while self._submitting and not self._broken:
            self._task_ended = anyio.Event()
            await self._task_ended.wait()

    def break_all(self, error: RHError) -> None:
        """End every job that waits or is being submitted, because the session's task group has crashed or closed."""
        for job in [job for job in (*self._waiting, *self._submitting) if not job.done]:
            own = error.fresh()
            own.maybe_billed = job in self.submitter.posts_awaiting_response
            self.on_not_accepted(job, own)
        self._waiting.clear()
        self._broken = True
        self._task_ended.set()

    def _dispatch(self) -> None:
        """Start as many submit tasks as there is room for, then call the capacity listeners if there is room left."""
        while self._waiting and self._capacity_left > 0 and not self.tasks.ending:
            job = next(iter(self._waiting))
            self._submitting[job] = DeferredCancelScope()
            self.tasks.start_soon(self._run_task, job, self._waiting.pop(job))
        if self._capacity_left > 0:
            for listener in self.on_capacity:
                listener()

    @property
    def _capacity_left(self) -> int:
        return self.window - len(self._submitting) - len(self.slots.holders)

    # --- the submit task ---------------------------------------------------------------------------------------------

    async def _run_task(self, job: Job, options: SubmitOptions) -> None:
        """Submit one job, and end it with whatever keeps it from being accepted."""
        scope = self._submitting[job]
        try:
            with scope:
                await self.submitter.submit(job, options)
        except RHError as error:
            if scope.cancel_called:  # the caller that would have seen the error may be gone
                log.warning("rh_async.given_up %s", error, extra={"error": error})
            self.on_not_accepted(job, error)
        except asyncio.CancelledError:
            # The whole task group is cancelled. If it crashed, instead of closing, `break_all` ends the jobs.
            if self.is_closing():
                await self._clean_up(job)
            raise
        except Exception as defect:  # noqa: BLE001 - the seam: a defect in one job's submit ends that job, and no other
            await self._end_with_defect(job, unexpected(defect))
        if scope.cancel_called and job in self.slots.holders:
            log.warning("rh_async.given_up %s goes on", job.task_id, extra={"task_ids": [job.task_id]})
        await self._clean_up(job)

    async def _end_with_defect(self, job: Job, error: UnexpectedError) -> None:
        """End a job whose submit met a defect of this package, and say whether the job may be billed."""
        error.phase = "submit"
        if job.task_id is not None:
            if job.task_id not in self.poller.jobs:  # else it is polled, and settles as if nothing had happened
                error.task_id, error.maybe_billed = job.task_id, True
                self.release_slot(job)
                self.on_not_accepted(job, error)
        elif job in self.submitter.posts_awaiting_response:
            words = f"the submit was sent, and its answer was not processed: {error.message}"
            unknown = SubmitUnknown(words, phase="submit")
            unknown.__cause__ = error.__cause__
            with anyio.CancelScope(shield=True):  # recorded even if the session is closed now: it may be billed
                await self.submitter.record_failure(job, unknown)
            self.on_not_accepted(job, unknown)
        else:
            self.on_not_accepted(job, error)

    async def _clean_up(self, job: Job) -> None:
        """Clean up after a submit task: if nothing was submitted, release the journal claim and end the job."""
        del self._submitting[job]
        self._task_ended.set()
        self._dispatch()
        if job in self.slots.holders:
            return  # accepted, and polled
        waits_for_other = self.registry.waits_for_other_session(job)
        if job.task_id is None or job.done or waits_for_other:  # else this session has taken an earlier task over
            with anyio.CancelScope(shield=True):  # a claim that is not released blocks its key until this process ends
                await self.registry.release(job)
        if job.task_id is None:
            self._end_withdrawn(job)
        elif waits_for_other and not job.done:
            own = SessionError("the wait for another session's job was given up; it goes on there")
            error = own if self._withdrawal_error is None else self._withdrawal_error.fresh()
            error.task_id, error.key, error.maybe_billed = job.task_id, job.key, True
            self.on_not_accepted(job, error)

    def _end_withdrawn(self, job: Job) -> None:
        if job.done:
            return
        if job in self.submitter.posts_awaiting_response:
            # A cancelled task finishes its POST and records the answer. Here the wait itself was cut off, from outside.
            self.submitter.posts_awaiting_response.discard(job)
            words = "the wait for the submit's answer was cut off from outside"
            self.on_not_accepted(job, SubmitUnknown(words, phase="submit"))
        elif self._withdrawal_error is not None:
            self.on_not_accepted(job, self._withdrawal_error.fresh())
        else:
            why = "the job was withdrawn before it was sent"
            self.on_not_accepted(job, JobCancelled(why, phase="submit", maybe_billed=False))
