"""What happens to a job after the server has accepted it: it is polled, settles or is lost, and its outputs are saved.

Each end is recorded in the journal before a caller sees it: a process that is killed in between asks the server again,
and never believes that a finished job still has to be submitted.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from attrs import define, evolve, field

from rh_async._concurrency.defects import unexpected
from rh_async._concurrency.session_tasks import SessionTasks
from rh_async._job_updates import apply_snapshot, outcome_of, set_outcome
from rh_async._polling.poller import Poller
from rh_async._submission.deduplication import SubmissionRegistry
from rh_async._submission.job_log import log_job
from rh_async._submission.submission_queue import SubmissionQueue
from rh_async.errors import JournalError, RHError, SessionError
from rh_async.events import Changed, Event, Settled
from rh_async.job import Job
from rh_async.types import Account, Result, Snapshot, TaskId

log = logging.getLogger(__name__)

_SAVE_LATER = "It is done and paid: session.recovery.resume saves it, and so does the same submission again."


@define(eq=False, kw_only=True, repr=False)
class Settlement:
    """Ends the jobs of one session.

    The poller, the registry and the queue report to it, so they are made after it, and set then.

    :param save: writes a result's outputs to a folder, and records that.
    :param utc_now: the clock for times that are stored.
    :ivar output_dirs: where a job's outputs are saved before it ends, for jobs that are taken over.
    :ivar saving: jobs that have settled, and whose outputs are being saved.
    :ivar settled: how many jobs the server has settled or lost.
    """

    tasks: SessionTasks
    emit: Callable[[Event], None]
    save: Callable[[Result, Path], Awaitable[tuple[Path, ...]]]
    utc_now: Callable[[], datetime]
    poller: Poller = field(init=False)
    registry: SubmissionRegistry = field(init=False)
    queue: SubmissionQueue = field(init=False)
    output_dirs: dict[Job, Path] = field(factory=dict, init=False)
    saving: set[Job] = field(factory=set, init=False)
    settled: int = field(default=0, init=False)

    # --- accepted ----------------------------------------------------------------------------------------------------

    async def on_accepted(self, job: Job, snapshot: Snapshot) -> None:
        """Poll a job that the server has accepted; settle it, if its first answer says that it is over."""
        # A success without outputs is asked about once more: results may appear a little after the status.
        if snapshot.settled and (snapshot.outputs or not snapshot.succeeded):
            await self.on_settled(job, snapshot)
        else:
            assert job.request is not None  # noqa: S101 - for the type checker: only jobs with a request are submitted
            await self.poll(job, snapshot.task_id, job.request.endpoint)

    async def poll(self, job: Job, task_id: TaskId, endpoint: str, *, age: float = 0.0) -> None:
        """Poll a job until it settles.

        :param age: how many seconds ago the server accepted it; 0 for a job of this session, which holds its slot.
        """
        scheduler, now = self.poller.scheduler, asyncio.get_running_loop().time()
        is_new_model = endpoint not in scheduler.estimators
        self.poller.track(job, task_id, accepted_at=now - age, endpoint=endpoint, at_once=age > 0.0)
        if age > 0.0:
            self.queue.slots.adopt(job)
        if is_new_model:
            for run_time, driving in await self.registry.run_times(endpoint):
                scheduler.learn(endpoint, run_time, driving)

    def on_changed(self, snapshot: Snapshot) -> None:
        """Report and record a status that differs from the one before."""
        self.emit(Changed(snapshot=snapshot))
        for job in self.poller.jobs.get(snapshot.task_id, ()):
            log_job("status", job, says=snapshot.status)
            if self.registry.notice_status(job, snapshot):
                self.tasks.start_soon(self._record_status, job)

    async def _record_status(self, job: Job) -> None:
        try:
            await self.registry.record_status(job)
        except JournalError as error:  # the status is a courtesy to other processes: the job does not depend on it
            log.error("rh_async.journal_failed %s", error)  # noqa: TRY400 - one line; the error says it all

    def on_account(self, account: Account) -> None:
        """Follow the concurrency limit that the account reports."""
        if account.limit is not None:
            self.queue.set_limit(account.limit)

    # --- ended -------------------------------------------------------------------------------------------------------

    async def on_settled(self, job: Job, snapshot: Snapshot) -> None:
        """End a job with the server's last answer."""
        noticed = self.utc_now()
        await self.registry.mark_settled(job, snapshot, noticed)
        if apply_snapshot(job, snapshot):
            self.emit(Changed(snapshot=snapshot))
        await self._end(job, outcome_of(job, snapshot, noticed_utc=noticed))

    async def on_lost(self, job: Job, error: RHError) -> None:
        """End a job that the server no longer knows, or that did not settle within its maximum age."""
        await self.registry.mark_lost(job, error)
        await self._end(job, error)

    async def _end(self, job: Job, outcome: Result | RHError) -> None:
        self.settled += 1
        await self.registry.release(job)
        self.queue.release_slot(job)
        output_dir = self.output_dirs.pop(job, None)
        if output_dir is None or not isinstance(outcome, Result):
            self.report_end(job, outcome)
        else:
            log_job("settled", job, says=job.status)
            self.emit(Settled(task_id=job.task_id, result=outcome, error=None))
            self.saving.add(job)
            self.tasks.start_soon(self._save_and_end, job, outcome, output_dir)

    async def _save_and_end(self, job: Job, result: Result, output_dir: Path) -> None:
        """Save a job's outputs, and only then end it, so that a caller that awaits the job finds the files."""
        try:
            set_outcome(job, evolve(result, paths=await self.save(result, output_dir)))
        except RHError as error:
            set_outcome(job, error)
        except Exception as defect:  # noqa: BLE001 - the seam: a defect in one save ends that job, and no other
            set_outcome(job, unexpected(defect))
        self.saving.discard(job)

    def report_end(self, job: Job, outcome: Result | RHError) -> None:
        """End a job, log it, and emit its event."""
        set_outcome(job, outcome)
        log_job("settled", job, says=job.error or job.status)
        self.emit(Settled(task_id=job.task_id, result=job.result, error=job.error))

    # --- detached: the wait ends, and the job goes on remotely -------------------------------------------------------

    def on_defect(self, job: Job, error: RHError) -> None:
        """End the wait for a job that cannot be polled further; its record stays, and the next session polls it."""
        own = error.fresh()
        own.task_id, own.key, own.maybe_billed, own.phase = job.task_id, job.key, True, "query"
        self.queue.release_slot(job)
        self.report_end(job, own)

    def detach_all(self, error: RHError) -> None:
        """End the wait for every polled job; the tasks go on, and another session can attach to them."""
        for task_id, jobs in list(self.poller.jobs.items()):
            self.poller.forget(task_id)
            for job in jobs:
                own = error.fresh()
                own.task_id, own.key, own.maybe_billed = task_id, job.key, True
                self.report_end(job, own)

    def end_unsaved(self) -> None:
        """End the jobs whose outputs are still being saved: they are paid, and another session can save them."""
        for job in self.saving:
            why = "the session ended before the outputs were saved"
            set_outcome(job, SessionError(why, task_id=job.task_id, key=job.key, maybe_billed=True, advice=_SAVE_LATER))

    def break_all(self, crash: SessionError) -> None:
        """End every job with the crash of the session's task group.

        The crash may have left anything half done, so this changes nothing but the jobs: neither the schedule, nor the
        slots, nor the journal. It may run in a callback of the event loop, outside any task.
        """
        polled = ((id_, job) for id_, jobs in self.poller.jobs.items() for job in jobs)
        for task_id, job in [*polled, *((job.task_id, job) for job in (*self.poller.settling, *self.saving))]:
            own = crash.fresh()
            own.task_id, own.maybe_billed = task_id, True
            self.end_safely(job, own)
        self.queue.break_all(crash)

    def end_safely(self, job: Job, error: RHError) -> None:
        """End a job, and log whatever that raises: the jobs after it must end, too."""
        try:
            self.report_end(job, error)
        except Exception:
            log.exception("rh_async.crashing %r", job)
